"""Request targets: routes, wire formats, models in paths, and everything that is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ampmap.errors import BadRequest, MethodNotAllowed, RequestError
from ampmap.routing.target import (
    Admin,
    Home,
    Management,
    ModelList,
    ModelRoute,
    ProviderOther,
    Route,
    Target,
    Unknown,
    parameters,
    parse_target,
    path_of,
    provider_path,
    route_of,
)
from ampmap.settings import Protocol


def route(path: str, method: str = "POST", *, amp: bool = False) -> Route:
    verb = method.encode()
    return route_of(parse_target(path.encode(), verb), verb, amp)


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


# Model routes.

CANONICAL: list[tuple[str, Protocol, str]] = [
    ("/v1/messages", "anthropic", "/v1/messages"),
    ("/v1/messages/count_tokens", "anthropic", "/v1/messages/count_tokens"),
    ("/v1/responses/input_tokens", "openai-responses", "/v1/responses/input_tokens"),
    ("/v1/chat/completions", "openai-chat", "/v1/chat/completions"),
    ("/chat/completions", "openai-chat", "/v1/chat/completions"),
    ("/v1/completions", "openai-chat", "/v1/completions"),
    ("/completions", "openai-chat", "/v1/completions"),
    ("/v1/embeddings", "openai-chat", "/v1/embeddings"),
    ("/embeddings", "openai-chat", "/v1/embeddings"),
    ("/v1/responses", "openai-responses", "/v1/responses"),
    ("/responses", "openai-responses", "/v1/responses"),
    ("/v1/responses/compact", "openai-responses", "/v1/responses/compact"),
]


@pytest.mark.parametrize(("path", "protocol", "canonical"), CANONICAL)
def test_a_wire_format_is_known_by_its_path_alone_or_under_a_provider(
    path: str, protocol: Protocol, canonical: str
) -> None:
    assert ModelRoute(protocol, canonical) == route(path)
    assert ModelRoute(protocol, canonical, "groq") == route(f"/api/provider/groq{path}")
    assert ModelRoute(protocol, canonical, "groq") == route(f"/api/provider/groq{path}?a=b", amp=True)


@pytest.mark.parametrize(("path", "protocol", "canonical"), CANONICAL)
def test_only_post_asks_a_model(path: str, protocol: Protocol, canonical: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"):
        assert Unknown() == route(path, method)
        assert ProviderOther("x") == route(f"/api/provider/x{path}", method)


@pytest.mark.parametrize(
    "path",
    [
        "/messages",
        "/v1/messages/",
        "/v1/messages/batches",
        "/V1/messages",
        "/v1//messages",
        "//v1/messages",
        "/v2/chat/completions",
        "/v1/chat/completionsx",
        "/responses/compact",
        "/v1/%6dessages",
    ],
)
def test_another_path_is_no_model_route(path: str) -> None:
    assert Unknown() == route(path)
    assert ProviderOther("x") == route(f"/api/provider/x{path}")


@pytest.mark.parametrize(
    ("path", "model", "verb"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", "generateContent"),
        ("/v1beta1/publishers/google/models/g:streamGenerateContent", "g", "streamGenerateContent"),
        ("/v1/projects/p/locations/l/publishers/google/models/g:countTokens", "g", "countTokens"),
        ("/v1/models/g:generateContent", "g", "generateContent"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict", None, ""),
        ("/v1beta1/publishers/mistralai/models/m:streamRawPredict", None, ""),
        ("/v1beta1/publishers/google/x/models/m:x", None, ""),
        ("/v1beta1/publishers/notgoogle/models/m:x", None, ""),
        ("/v1beta/models/gemini%202:x", "gemini 2", "x"),
        ("/v1beta/models/g(8192):x", "g(8192)", "x"),
        ("/v1beta/models/g%28high%29:x", "g(high)", "x"),
        ("/v1beta/models/org/name:x", "org/name", "x"),
        ("/v1beta/models/accounts/a/models/b:x", "accounts/a/models/b", "x"),
        ("/v1beta/models/name:tag:x", "name:tag", "x"),
        ("/v1beta/models/%ff:x", "", "x"),
        ("/v1beta/models/%20:x", "", "x"),
        ("/v1beta/models/%E6%A8%A1:x", "模", "x"),
        ("/v1beta/models/:x", None, ""),
        ("/v1beta/models/g:", None, ""),
        ("/v1beta/models/g", None, ""),
        ("/v1beta/models/g:x/y", None, ""),
        ("/v1beta/model/g:x", None, ""),
    ],
)
def test_a_gemini_path_names_its_model(path: str, model: str | None, verb: str) -> None:
    canonical = f"/v1beta/models/{{model}}:{verb}"

    alone, under = route(path), route(f"/api/provider/google{path}")

    assert (Unknown() if model is None else ModelRoute("gemini", canonical, None, model)) == alone
    assert (ProviderOther("google") if model is None else ModelRoute("gemini", canonical, "google", model)) == under


def test_a_gemini_path_needs_no_version() -> None:
    assert ModelRoute("gemini", "/v1beta/models/{model}:x", None, "g") == route("/models/g:x")


@pytest.mark.parametrize(("path", "method"), [("/v1beta/models/{}:x", "POST"), ("/v1/models/{}", "GET")])
def test_a_name_in_a_path_has_256_bytes_at_most(path: str, method: str) -> None:
    assert not isinstance(route(path.format("m" * 254 + "%C3%A4"), method), Unknown)

    with pytest.raises(BadRequest, match="256"):
        route(path.format("m" * 255 + "%C3%A4"), method)


# Lists of models.


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/models", ModelList()),
        ("/models", ModelList()),
        ("/v1beta/models", ModelList(protocol="gemini")),
        ("/v1/models/gpt-5", ModelList(id="gpt-5")),
        ("/models/org/name", ModelList(id="org/name")),
        ("/v1beta/models/g%20x", ModelList(protocol="gemini", id="g x")),
        ("/api/provider/anthropic/v1/models", ModelList("anthropic")),
        ("/api/provider/x/models/y", ModelList("x", id="y")),
        ("/api/provider/google/v1beta/models", ModelList("google", "gemini")),
        ("/v1/models?limit=5", ModelList()),
    ],
)
def test_lists_of_models_are_ampmaps_own(path: str, asked: ModelList) -> None:
    assert asked == route(path, "GET")
    assert asked == route(path, "HEAD")
    assert not isinstance(route(path, "POST"), ModelList)


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/modelsx", "/v1beta1/models", "/v2/models"])
def test_what_only_resembles_a_list_is_none(path: str) -> None:
    assert Unknown() == route(path, "GET")


# Management.

MANAGED = [
    *(f"/api/{name}" for name in (
        "internal", "user", "auth", "meta", "ads", "telemetry", "threads", "thread-actors", "durable-thread-workers",
        "attachments", "skills", "rivet", "otel", "tab",
    )),
    "/auth", "/threads", "/docs", "/settings", "/attachments", "/actors",
]  # fmt: skip


@pytest.mark.parametrize("path", MANAGED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_management_is_known_with_and_without_sub_paths_and_by_any_method(path: str, method: str) -> None:
    for end in ("", "/", "/a", "/a/b?c=d", "?x", "//a", "/models/a:b", "/v1/models"):
        assert Management() == route(path + end, method)


@pytest.mark.parametrize("path", MANAGED)
def test_a_boundary_is_needed(path: str) -> None:
    for wrong in (path + "x", path + "-x", path + "%2fx", path.upper(), "/" + path, path + ".", "/x" + path):
        assert Unknown() == route(wrong, "GET")


@pytest.mark.parametrize("path", ["/threads.rss", "/news.rss"])
def test_the_feeds_have_no_sub_paths(path: str) -> None:
    assert Management() == route(path, "GET")
    assert Unknown() == route(path + "/a", "GET")


@pytest.mark.parametrize("path", ["/api/new", "/api/new/x", "/api/a.b_c~d-e", "/api/provider", "/api/providers/x"])
def test_an_unknown_api_path_is_amps_only_with_amps_own_fields(path: str) -> None:
    assert Management() == route(path, amp=True)
    assert Unknown() == route(path)


@pytest.mark.parametrize(
    "path",
    ["/api/%70rovider/a/v1/messages", "/api//provider/a/v1/messages", "/api/Provider/a/v1/messages", "/api/a%2fb/x",
     "/api/", "/api", "/apix/new", "/other", "/api\\provider/x"],
)  # fmt: skip
def test_amps_fields_open_no_second_way_to_paid_routes(path: str) -> None:
    assert Unknown() == route(path, amp=True)


# What is left.


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/", "GET", Home()),
        ("/?x", "HEAD", Home()),
        ("/", "POST", Unknown()),
        ("/_ampmap/health", "GET", Admin("health")),
        ("/_ampmap/", "GET", Admin("")),
        ("/_ampmap/status/x", "POST", Admin("status/x")),
        ("/_ampmap", "GET", Unknown()),
        ("/_ampmapx/health", "GET", Unknown()),
        ("/favicon.ico", "GET", Unknown()),
        ("/api/provider/", "POST", ProviderOther("")),
        ("/api/provider/cerebras/v1/tcp_warming", "GET", ProviderOther("cerebras")),
        ("/api/provider/anthropic", "POST", ProviderOther("anthropic")),
        ("/api/provider/a/v1/messages/batches", "POST", ProviderOther("a")),
    ],
)
def test_other_paths(path: str, method: str, expected: Route) -> None:
    assert expected == route(path, method)


def test_an_empty_provider_name_stays_under_the_rules_for_credits() -> None:
    assert ModelRoute("anthropic", "/v1/messages", "") == route("/api/provider//v1/messages")


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
