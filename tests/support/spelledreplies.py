"""What an upstream may say: the client is told one response or none, and nobody else is told the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Reply:
    """What an upstream sends in answer to one request.

    ``kept`` is one good response whose connection may serve again; ``once`` one that is passed on, but its connection
    is not to be trusted with another; ``broken`` is an error, or a response that visibly breaks off.
    """

    name: str
    raw: bytes
    verdict: Literal["kept", "once", "broken"]
    method: bytes = b"POST"


_OK = b"HTTP/1.1 200 OK\r\n"
_SPLIT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsplit"


def replies() -> Iterator[Reply]:
    """Spell responses."""
    for raw in (
        _OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", _OK + b"Content-Length: 2, 2\r\n\r\nok",
        _OK + b"content-length:002\r\n\r\nok", _OK + b"Content-Length: 2\r\nX: a\r\n b\r\n\r\nok",
        _OK + b"X: a\nContent-Length: 2\n\nok",
        _OK + b"Transfer-Encoding: Chunked\r\n\r\n2;x\r\nok\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n00\r\nX: y\r\n\r\n",
        _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 5\r\nSet-Cookie: a\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 \xff\x1b\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"X: \xff\x1b\x85\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Connection: content-length\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Content_Length: 9\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Transfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 9\r\nTransfer_Encoding: x\r\n\r\n"
        + _OK + b"Content-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n",
        _OK + b"Content-Length: 0\r\n\r\n",
    ):  # fmt: skip
        yield Reply(repr(raw), raw, "kept")
    yield Reply("HEAD with a length", _OK + b"Content-Length: 2\r\n\r\n", "kept", b"HEAD")
    yield Reply("HEAD with a coding", _OK + b"Transfer-Encoding: chunked\r\n\r\n", "kept", b"HEAD")
    for raw in (
        _OK + b"Content-Length: 2\r\n\r\nok\r\n", _OK + b"Content-Length: 2\r\n\r\nokx",
        _OK + b"Content-Length: 2\r\n\r\nok" + _SPLIT,
        _OK + b"Content-Length: 0\r\n\r\n" + _SPLIT,
        _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + _SPLIT,
        _OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n" + _SPLIT,
        b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n" + _SPLIT, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Connection: x, Close\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Content-Length: 2\r\n\r\nok\x00", b"HTTP/1.1 304 Not\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):  # fmt: skip
        yield Reply(repr(raw), raw, "once")
    yield Reply("HEAD with a body", _OK + b"Content-Length: 2\r\n\r\nok", "once", b"HEAD")
    yield Reply("HEAD with another response", _OK + b"Content-Length: 43\r\n\r\n" + _SPLIT, "once", b"HEAD")
    yield Reply("HEAD with chunks", _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "once", b"HEAD")
    for raw in (
        _OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + _SPLIT,
        _OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", _OK + b"Content-Length: 2, 3\r\n\r\nok",
        _OK + b"Content-Length: +2\r\n\r\nok",
        _OK + b"Content-Length: 0x2\r\n\r\nok", _OK + b"Content-Length: -2\r\n\r\nok",
        _OK + b"Content-Length: 2 2\r\n\r\nok", _OK + b"Content-Length: \r\n\r\nok",
        _OK + b"Content-Length: 18446744073709551618\r\n\r\nok", _OK + b"Content-Length: " + b"9" * 20 + b"\r\n\r\nok",
        _OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nok", _OK + b"Content-Length : 2\r\n\r\nok",
        _OK + b"Content Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: identity\r\n\r\nok", _OK + b"Transfer-Encoding: xchunked\r\n\r\nok",
        _OK + b"Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        _OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        _OK + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nok", _OK + b"X: a\rb\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"X\x00: a\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"X\r\nContent-Length: 2\r\n\r\nok", _OK + b"X y: z\r\nContent-Length: 2\r\n\r\nok",
        _OK + b" X: y\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok", b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 000 OK\r\n\r\n", b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 +20 OK\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + _SPLIT,
        b"<html>no head</html>\r\n\r\n", b"\r\n" + _SPLIT, b"ok",
        b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n" * 11 + _SPLIT, b"HTTP/1.1 103 Early\r\nX: a\x00\r\n\r\n" + _SPLIT,
        b"HTTP/1.1 100 Continue\r\n\r\nok",
        b"HTTP/1.1 102 P\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + _SPLIT,
        _OK + b"X: y\r\n" * 200 + b"Content-Length: 2\r\n\r\nok",
        _OK + b"X: " + b"y" * 70_000 + b"\r\nContent-Length: 2\r\n\r\nok", _OK + b"Content-Length: 5\r\n\r\nok",
        *(_OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked for chunked in (
            b"2\r\nok", b"2\r\nok0\r\n\r\n", b"2\nok\n0\n\n", b"0x2\r\nok\r\n0\r\n\r\n", b"-2\r\nok\r\n0\r\n\r\n",
            b"+2\r\nok\r\n0\r\n\r\n",
            b"2 ;x\r\nok\r\n0\r\n\r\n", b"f" * 21 + b"\r\nok\r\n0\r\n\r\n", b"ffffffffffffffff\r\nok\r\n0\r\n\r\n",
            b"2\r\nokay\r\n0\r\n\r\n", b"2\r\nok\r\n0\r\n",
            b"2\r\nok\r\n0\r\nX : y\r\n\r\n", b"2\r\nok\r\n0\r\nX: \x00\r\n\r\n", b"2\r\nok\r\n" + _SPLIT,
            b"2\r\nok\r\n0\r\n" + _SPLIT,
            b"2\r\nok\r\n0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        )),
    ):  # fmt: skip
        yield Reply(repr(raw)[:120] + f" {len(raw)}", raw, "broken")


REPLIES = tuple(replies())
