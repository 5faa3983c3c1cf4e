"""Field lines: what crosses a proxy, what frames a message, and how heads are put together."""

from __future__ import annotations

import pytest

from ampmap.errors import BadRequest
from ampmap.escaping import printable, text
from ampmap.http.headers import (
    Chunked,
    Empty,
    Fields,
    Framing,
    Headers,
    Length,
    UntilClose,
    end_to_end,
    request_framing,
    request_head,
    response_framing,
    response_head,
    tokens,
    trailers,
    value,
    values,
)

LINES: Headers = ((b"A", b"1"), (b"Set-Cookie", b"x=1"), (b"b", b"2"), (b"set-cookie", b"y=2"))


@pytest.mark.parametrize("lines", [LINES, Fields(LINES)])
def test_lines_are_found_in_any_case_and_in_order(lines: Headers) -> None:
    assert [b"x=1", b"y=2"] == values(lines, b"set-cookie")
    assert b"x=1" == value(lines, b"set-cookie")
    assert [b"2"] == values(lines[:3], b"b")
    assert value(lines, b"c") is None and [] == values(lines, b"c")


def test_fields_with_an_index_are_the_lines_as_they_came() -> None:
    assert LINES == Fields(LINES)
    assert [b"1"] == values(Fields(LINES[:2]), b"a")


def test_list_members_are_gathered_over_all_lines() -> None:
    lines = ((b"Connection", b" Close, ,X-A"), (b"connection", b"x-b"))

    assert [b"close", b"x-a", b"x-b"] == tokens(lines, b"connection")


def test_order_case_and_number_of_lines_survive() -> None:
    assert list(LINES) == end_to_end(LINES)


@pytest.mark.parametrize(
    "name",
    [
        b"Connection", b"Close", b"Keep-Alive", b"Proxy-Authenticate", b"Proxy-Authentication-Info",
        b"Proxy-Authorization", b"Proxy-Connection", b"TE", b"Trailer", b"Transfer-Encoding", b"UPGRADE",
    ],
)  # fmt: skip
def test_hop_by_hop_lines_stay_behind(name: bytes) -> None:
    assert [(b"X", b"y")] == end_to_end(((name, b"close"), (b"X", b"y")))


def test_what_any_connection_line_nominates_stays_behind() -> None:
    lines = (
        (b"Connection", b"keep-alive"),
        (b"X-First", b"1"),
        (b"Connection", b"X-First"),
        (b"connection", b"close, x-second"),
        (b"x-SECOND", b"2"),
        (b"X-Third", b"3"),
    )

    assert [(b"X-Third", b"3")] == end_to_end(lines)


def test_what_the_caller_drops_stays_behind() -> None:
    assert [(b"A", b"1"), (b"b", b"2")] == end_to_end(LINES, frozenset({b"set-cookie"}))


def test_trailers_may_not_frame_route_or_authenticate() -> None:
    lines = [(b"X-Sum", b"1"), (b"Content-Length", b"5"), (b"Authorization", b"x"), (b"Host", b"x"), (b"TE", b"x")]

    assert [(b"X-Sum", b"1")] == trailers(lines)


@pytest.mark.parametrize(
    ("lines", "version", "framing"),
    [
        ((), b"1.1", Empty()),
        (((b"content-LENGTH", b"0"),), b"1.1", Length(0)),
        (((b"Content-Length", b"12"),), b"1.0", Length(12)),
        (((b"Transfer-encoding", b"chunked"),), b"1.1", Chunked()),
    ],
)
def test_a_requests_body_is_framed_by_its_fields(lines: Headers, version: bytes, framing: Framing) -> None:
    assert framing == request_framing(lines, version)


@pytest.mark.parametrize(
    ("lines", "version", "why"),
    [
        (((b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")), b"1.1", "both"),
        (((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"1")), b"1.1", "both"),
        (((b"Transfer-Encoding", b"chunked"),), b"1.0", "send Content-Length"),
    ],
)
def test_a_request_that_could_be_cut_in_two_ways_is_refused(lines: Headers, version: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        request_framing(lines, version)


@pytest.mark.parametrize(
    ("status", "method", "lines", "framing"),
    [
        (200, b"GET", (), UntilClose()),
        (200, b"GET", ((b"X", b"y"), (b"Content-Length", b"3")), Length(3)),
        (200, b"POST", ((b"Transfer-Encoding", b"chunked"),), Chunked()),
        (200, b"HEAD", ((b"Content-Length", b"3"),), Empty()),
        (204, b"GET", ((b"Transfer-Encoding", b"chunked"),), Empty()),
        (304, b"GET", ((b"Content-Length", b"3"),), Empty()),
        (103, b"GET", ((b"Link", b"x"),), Empty()),
        (205, b"GET", ((b"Content-Length", b"0"),), Length(0)),
    ],
)
def test_a_responses_body_is_framed_by_request_status_and_fields(
    status: int, method: bytes, lines: Headers, framing: Framing
) -> None:
    assert framing == response_framing(lines, status, method)


def test_heads_are_joined_as_they_are() -> None:
    assert b"GET /x HTTP/1.1\r\nHost: a\r\nx-Y: z\r\n\r\n" == request_head(
        b"GET", b"/x", [(b"Host", b"a"), (b"x-Y", b"z")]
    )
    assert b"HTTP/1.1 204 Nothing\r\nA: b\r\n\r\n" == response_head(204, b"Nothing", [(b"A", b"b")])


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain", "plain"),
        ("schön".encode(), "schön"),
        (b"a\r\nb", "a\\r\\nb"),
        (b"\xff", "\\xff"),
        (b"\x1b[31m", "\\x1b[31m"),
        ("\u202e".encode(), "\\u202e"),
    ],
)
def test_bytes_of_a_peer_can_forge_no_line(raw: bytes, shown: str) -> None:
    assert shown == text(raw)
    assert shown == printable(shown)
