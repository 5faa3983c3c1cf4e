"""Request targets: routes, wire formats, models in paths, and everything that is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from policy import route

from ampmap.errors import BadRequest, MethodNotAllowed, RequestError
from ampmap.http.query import parameters
from ampmap.routing.target import (
    Management,
    ModelList,
    ModelRoute,
    Target,
    Unknown,
    parse_target,
    path_of,
    provider_path,
    route_of,
)

# Targets taken apart.


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        (b"/v1/messages", Target("/v1/messages")),
        (b"/v1/messages?beta=true&x=%20", Target("/v1/messages", "beta=true&x=%20")),
        (b"/x?", Target("/x", "")),
        (b"/x??a#b", None),
        (b"http://localhost:8267/v1/models?a", Target("/v1/models", "a", "localhost:8267")),
        (b"HTTPS://[::1]:8267/x", Target("/x", None, "[::1]:8267")),
        (b"http://localhost", Target("/", None, "localhost")),
        (b"http://localhost?a=b", Target("/", "a=b", "localhost")),
        (b"http://a//b", Target("//b", None, "a")),
        (b"http://user:secret@localhost/", None),
        (b"http://user@/", None),
        (b"http:///x", None),
        (b"http://:80/", None),
        (b"http://[::1/x", None),
        (b"http://::1/x", None),
        (b"http://a\\b/x", None),
        (b"http://%6cocalhost/", None),
        (b"http:/x", None),
        (b"ftp://a/x", None),
        (b"localhost:80", None),
        (b"v1/messages", None),
        (b"", None),
        (b"*", None),
        (b"/a b", None),
        (b"/a\tb", None),
        (b"http://a\tb/", None),
        (b"/\x00", None),
        (b"/\xc3\xa4", None),
        (b"/a#b", None),
        (b"/a?b#c", None),
    ],
)
def test_a_target_is_taken_apart_or_refused(raw: bytes, target: Target | None) -> None:
    if target is None:
        with pytest.raises(BadRequest):
            parse_target(raw, b"GET")
    else:
        assert target == parse_target(raw, b"GET")


def test_an_asterisk_is_a_target_for_options_alone() -> None:
    assert Target("*") == parse_target(b"*", b"OPTIONS")
    assert Unknown() == route_of(Target("*"), b"OPTIONS", True)


@pytest.mark.parametrize("raw", [b"example.com:443", b"/", b"\xff"])
def test_connect_is_not_served(raw: bytes) -> None:
    with pytest.raises(MethodNotAllowed):
        parse_target(raw, b"CONNECT")


@pytest.mark.parametrize(
    "segment",
    [
        ".", "..", "%2e", "%2E", "%2e.", ".%2E", "%2e%2e", "x%2f..", "..%2Fx", "x%2f..%2fy", "x%5c..", "..%5Cx",
        "..\\x", "%252e%252e", "x%252f..", "x%252f%252e%252E%252fy", "%25252e", "..%255c", "%2525252e",
        "%252525252525.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/internal/{}/x", "/{}", "/a/{}", "/api/provider/a/{}/v1/messages", "/x/{}/"])
def test_segments_that_mean_another_place_are_refused_everywhere(path: str, segment: str) -> None:
    for raw in (path.format(segment), "http://localhost" + path.format(segment)):
        with pytest.raises(BadRequest):
            parse_target(raw.encode(), b"GET")


@pytest.mark.parametrize("path", ["/threads.rss", "/v1/..x", "/...", "/a.b/.c", "/x?../..", "/%2f..x%2f", "/a%5cb.c"])
def test_dots_that_are_no_such_segment_pass(path: str) -> None:
    assert path.partition("?")[0] == parse_target(path.encode(), b"GET").path


@pytest.mark.parametrize("mark", ["%2f", "%2F", "%5c", "%5C", "%00", "\\"])
@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/api/provider/a{}b/v1/messages", "POST"),
        ("/api/provider/anthropic/x{}y", "GET"),
        ("/api/provider/google/v1beta/models/a{}b:generateContent", "POST"),
        ("/v1beta/models/a{}b:generateContent", "POST"),
        ("/api/provider/a{}b/v1/models/x", "GET"),
    ],
)
def test_marks_that_servers_read_differently_are_refused_on_provider_routes(path: str, method: str, mark: str) -> None:
    with pytest.raises(BadRequest):
        route(path.format(mark), method)


@pytest.mark.parametrize(("mark", "meant"), [("%2f", "/"), ("%2F", "/"), ("%5C", "\\"), ("\\", "\\"), ("%00", "\0")])
def test_in_a_model_s_id_of_a_list_they_are_fine(mark: str, meant: str) -> None:
    assert ModelList(id=f"a{meant}b") == route(f"/v1/models/a{mark}b", "GET")
    assert ModelList("x", id=f"a{meant}b") == route(f"/api/provider/x/v1/models/a{mark}b", "HEAD")


@pytest.mark.parametrize("mark", ["%2f", "%5C", "%00", "\\"])
def test_management_passes_them(mark: str) -> None:
    assert Management() == route(f"/api/threads/a{mark}b", "GET")


# Anything at all.

PIECES = st.sampled_from(
    ["/", "//", "api", "provider", "v1", "v1beta", "models", "messages", ":", "%2e", "%2f", ".", "..", "%", "?", "&",
     "#", "*", "http://", "[::1]", "@", "_ampmap", "internal", "key=", "\\", "{model}", "\x00", " ", "é", "%00", "a"]
)  # fmt: skip


@given(
    st.binary(max_size=40) | st.lists(PIECES, max_size=12).map(lambda parts: "".join(parts).encode()),
    st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"X"]),
    st.booleans(),
)
@example(b"*", b"OPTIONS", False)
def test_any_bytes_have_a_route_or_are_refused(raw: bytes, method: bytes, amp: bool) -> None:
    path_of(raw)
    try:
        target = parse_target(raw, method)
        found = route_of(target, method, amp)
    except RequestError as exc:
        assert exc.status in (400, 405)
        return

    assert target.path.isascii() and target.path[:1] in ("/", "*")
    parameters(target.query)
    if isinstance(found, ModelRoute) and found.model is not None:
        path = provider_path("/base", found.canonical, found.model)
        assert path.startswith("/base/v1beta/models/") and path.isascii() and not set(path) & set(" ?#\r\n")
