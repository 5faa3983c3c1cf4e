"""Heads and chunks as h11 parses them, and what it lets through that is refused here."""

from __future__ import annotations

import random

import pytest

from ampmap.errors import (
    BadRequest,
    CodingUnsupported,
    ExchangeError,
    HeadTooLarge,
    UpstreamProtocolError,
    VersionUnsupported,
)
from ampmap.http.headers import Chunked, Empty, Fields, Framing, Length, UntilClose
from ampmap.http.parser import RequestHead, RequestParser, ResponseHead, ResponseParser, _Parser
from ampmap.settings import Limits

LIMITS = Limits()
HEAD = b"POST /v1/x?y=1 HTTP/1.1\r\nHost: a\r\nX-Twice: 1\r\nx-twice: 2\r\nContent-Length: 4\r\n\r\n"


def request(raw: bytes, limits: Limits = LIMITS) -> tuple[RequestHead, Framing] | None:
    parser = RequestParser(limits)
    parser.feed(raw)
    return parser.head()


def response(raw: bytes, method: bytes = b"GET", limits: Limits = LIMITS) -> tuple[ResponseHead, Framing] | None:
    parser = ResponseParser(limits, method)
    parser.feed(raw)
    return parser.head()


def test_a_request_is_parsed_as_it_came() -> None:
    lines = [(b"Host", b"a"), (b"X-Twice", b"1"), (b"x-twice", b"2"), (b"Content-Length", b"4")]

    assert (RequestHead(b"POST", b"/v1/x?y=1", Fields(lines), b"1.1"), Length(4)) == request(HEAD)


def test_where_a_head_is_cut_makes_no_difference() -> None:
    whole = request(HEAD)
    for cut in range(1, len(HEAD)):
        parser = RequestParser(LIMITS)
        parser.feed(HEAD[:cut])
        assert parser.head() is None
        parser.feed(HEAD[cut:] + b"body")
        assert whole == parser.head()
        assert b"body" == parser.rest()


@pytest.mark.parametrize(
    ("raw", "error", "status"),
    [
        (b"nonsense\r\n\r\n", BadRequest, 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", BadRequest, 400),
        (b"GET / HTTP/1.1\r\n\r\n", BadRequest, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BadRequest, 400),
        (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", BadRequest, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", BadRequest, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\x00\r\n\r\n", BadRequest, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", BadRequest, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", BadRequest, 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BadRequest, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", CodingUnsupported, 501),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VersionUnsupported, 505),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", VersionUnsupported, 505),
        (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", BadRequest, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", BadRequest, 400),
    ],
)
def test_what_is_no_request_is_refused(raw: bytes, error: type[ExchangeError], status: int) -> None:
    with pytest.raises(error) as raised:
        request(raw)

    assert error is type(raised.value)
    assert status == raised.value.status


def test_something_that_is_no_message_is_refused() -> None:
    parser = RequestParser(LIMITS)
    parser.feed(b"")  # the end of the stream, in h11's words

    with pytest.raises(BadRequest, match="no HTTP request"):
        parser.head()


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 300 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 300,
        b"GET /" + b"y" * 300 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 10 + b"\r\n",
    ],
)
def test_a_head_beyond_the_limits_is_refused(raw: bytes) -> None:
    with pytest.raises(HeadTooLarge) as raised:
        request(raw, Limits(head_bytes=250, header_count=10))

    assert 431 == raised.value.status


def test_a_large_body_behind_a_small_head_is_no_large_head() -> None:
    found = request(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n" + bytes(500), Limits(head_bytes=100))

    assert found is not None
    assert Length(500) == found[1]


def test_chunks_give_their_content_and_allowed_trailers() -> None:
    parser = RequestParser(LIMITS)
    parser.feed(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    found = parser.head()
    rest, body = parser.rest(), parser.chunked()
    first, done = body.feed(rest), body.done
    second = body.feed(b"2;x=y\r\nde\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\nGET")

    assert found is not None
    assert Chunked() == found[1]
    assert (b"abc", False) == (first, done)
    assert b"de" == second
    assert body.done
    assert [(b"X-Sum", b"1")] == body.trailers
    assert b"GET" == body.rest


@pytest.mark.parametrize("chunks", [b"x\r\nabc\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"0\r\nX : y\r\n\r\n"])
def test_chunks_that_are_none_are_refused(chunks: bytes) -> None:
    asked = RequestParser(LIMITS)
    asked.feed(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    asked.head()
    answered = ResponseParser(LIMITS, b"GET")
    answered.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    answered.head()

    with pytest.raises(BadRequest):
        asked.chunked().feed(chunks)
    with pytest.raises(UpstreamProtocolError):
        answered.chunked().feed(chunks)


def test_a_chunk_that_does_not_get_to_its_size_is_refused() -> None:
    parser = RequestParser(Limits(head_bytes=100))
    parser.feed(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    parser.head()

    with pytest.raises(HeadTooLarge):
        parser.chunked().feed(b"0" * 200)


@pytest.mark.parametrize(
    ("raw", "method", "framing"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"GET", Length(5)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", b"PUT", Length(5)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", b"GET", Chunked()),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"GET", UntilClose()),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HEAD", Empty()),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"GET", Empty()),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET", Empty()),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"GET", Empty()),
    ],
)
def test_a_response_is_framed_as_its_recipient_must_read_it(raw: bytes, method: bytes, framing: Framing) -> None:
    found = response(raw, method)

    assert found is not None
    assert framing == found[1]


def test_a_response_keeps_its_reason_and_lines() -> None:
    head = ResponseHead(299, b"Odd but true", Fields([(b"Set-Cookie", b"a"), (b"set-cookie", b"b")]), b"1.1")

    assert (head, UntilClose()) == response(b"HTTP/1.1 299 Odd but true\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n")
    assert response(b"HTTP/1.1 299 Odd") is None


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300,
    ],
)
def test_what_is_no_response_is_refused(raw: bytes) -> None:
    with pytest.raises(UpstreamProtocolError) as raised:
        response(raw, limits=Limits(head_bytes=250, header_count=9))

    assert 502 == raised.value.status


def test_an_end_in_the_place_of_a_response_is_refused() -> None:
    with pytest.raises(UpstreamProtocolError):
        response(b"")


def test_informational_responses_come_before_the_final_one() -> None:
    parser = ResponseParser(LIMITS, b"GET")
    parser.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx")

    assert [100, 103, 200] == [found[0].status for _ in range(3) if (found := parser.head())]
    assert b"x" == parser.rest()


def test_who_parses_must_say_what_is_malformed() -> None:
    with pytest.raises(TypeError, match="_malformed"):
        _Parser(LIMITS)  # type: ignore[abstract]  # which is what is tested


@pytest.mark.parametrize("seed", range(20))
def test_garbage_gives_a_message_or_an_error_of_ours(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(50):
        raw = bytearray(HEAD + b"body")
        for _ in range(chance.randrange(1, 6)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        for parse in (request, response):
            try:
                parse(bytes(raw))
            except ExchangeError:
                continue
