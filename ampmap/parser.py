"""HTTP/1.1 parsed by h11, and what h11 lets through that a proxy must refuse.

The only module that imports h11, which is used as a parser alone: each message gets a fresh ``h11.Connection`` (about a
microsecond), fed with the bytes that the message before left over. Nothing is sent through it; heads are joined in
``headers``. No I/O, no clock, no limits on time: those are ``wire``'s.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import h11

from .errors import (
    BadRequest,
    ExchangeError,
    HeadTooLarge,
    UpgradeUnsupported,
    UpstreamProtocolError,
    VersionUnsupported,
)
from .headers import LENGTH_MAX, Fields, Framing, Headers, Length, request_framing, response_framing, trailers
from .settings import Limits

_VERSIONS = (b"1.1", b"1.0")  # RFC 9112 §2.3; another one is 505, RFC 9110 §15.6.6
_QUOTED = re.compile(r":? (?:bytearray\()?b['\"]")  # in h11's words

# h11 frames a response by the request that it saw sent: these stand in for the real one.
_ASKED = {
    method: h11.Request(method=method, target="/", headers=[("Host", "a")]) for method in (b"GET", b"HEAD", b"POST")
}
_ASKED_TO_SWITCH = h11.Request(
    method="GET", target="/", headers=[("Host", "a"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
)
_END = h11.EndOfMessage()
_FINAL = re.compile(rb"HTTP/1\.1 [2-5]")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a client said, never edited: every part is as it came."""

    method: bytes
    target: bytes = field(repr=False)  # a query may hold a key, as a field may
    headers: Fields = field(repr=False)
    version: bytes


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What an upstream said: a final response, or an informational one (1xx)."""

    status: int
    reason: bytes
    headers: Fields = field(repr=False)
    version: bytes


class _Parser(ABC):
    """One message: fed with bytes as they come; ``rest()`` is what lies behind the part that was parsed."""

    def __init__(self, conn: h11.Connection, limits: Limits) -> None:
        self._conn = conn
        self._limits = limits
        self._fed = 0
        self.trailers: list[tuple[bytes, bytes]] = []
        self.done = False  # the end of a chunked body has been parsed

    def feed(self, data: bytes) -> None:
        """Add bytes as they came."""
        self._fed += len(data)
        self._conn.receive_data(data)

    def rest(self) -> bytes:
        """Return the bytes that no parsed part has claimed."""
        return self._conn.trailing_data[0]

    def chunks(self) -> bytearray:
        """Return the content of all chunks that have arrived; ``done`` tells whether that was the last of it.

        Raises ``h11.RemoteProtocolError`` through :meth:`_malformed`'s translation. Source: RFC 9112 §7.1.
        """
        found = bytearray()
        try:
            while True:
                event = self._conn.next_event()
                if type(event) is h11.Data:
                    found += event.data
                    continue
                if type(event) is h11.EndOfMessage:
                    lines = event.headers.raw_items()
                    if len(lines) > self._limits.header_count or self._size(b"", lines) > self._limits.head_bytes:
                        raise h11.RemoteProtocolError("its trailers are beyond the limits", 431)
                    self.trailers = trailers(lines)
                    self.done = True
                return found
        except h11.RemoteProtocolError as exc:
            raise self._malformed(exc) from None  # h11 quotes what was sent

    @abstractmethod
    def _malformed(self, exc: h11.RemoteProtocolError) -> ExchangeError:
        """Say in our own words what h11 found."""

    def _size(self, target: bytes, headers: Headers) -> int:
        """Return the size of a head, exactly enough to hold it to its limit, and cheaply when it can't be over."""
        if self._fed <= self._limits.head_bytes:
            return 0
        return len(target) + sum([len(name) + len(content) + 4 for name, content in headers])


class RequestParser(_Parser):
    """A client's message. Source: RFC 9112 §2 to §7."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes), limits)

    def head(self) -> tuple[RequestHead, Framing] | None:
        """Return the head and how its body is framed; None while it has not all arrived.

        Raises a :class:`RequestError` for what is no request, is beyond the limits, or could be read in two ways.
        """
        try:
            event = self._conn.next_event()
        except h11.RemoteProtocolError as exc:
            raise self._malformed(exc) from None  # h11 quotes what was sent
        if event is h11.NEED_DATA:
            return None
        if type(event) is not h11.Request:
            raise BadRequest("this is no HTTP request")
        head = RequestHead(event.method, event.target, Fields(event.headers.raw_items()), event.http_version)
        if head.version not in _VERSIONS:
            raise VersionUnsupported("only HTTP/1.1 and HTTP/1.0 are spoken here")
        if len(head.headers) > self._limits.header_count:  # RFC 6585 §5
            raise HeadTooLarge(f"the request has more than {self._limits.header_count} header lines")
        if self._size(head.target, head.headers) > self._limits.head_bytes:
            raise HeadTooLarge(f"the request's head has more than {self._limits.head_bytes} bytes")
        return head, request_framing(head.headers, head.version)

    def _malformed(self, exc: h11.RemoteProtocolError) -> ExchangeError:
        if exc.error_status_hint == 431:
            limits = f"{self._limits.head_bytes} bytes or {self._limits.header_count} lines"
            return HeadTooLarge(f"the request's head, or what follows its body, has more than {limits}")
        kind = UpgradeUnsupported if exc.error_status_hint == 501 else BadRequest
        return kind(f"this is not valid HTTP/1.1: {_unquoted(exc)}")


class ResponseParser(_Parser):
    """An upstream's message, in answer to a request with ``method``; only after ``upgrade`` may it be a 101."""

    def __init__(self, limits: Limits, method: bytes, *, upgrade: bool = False) -> None:
        super().__init__(h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.head_bytes), limits)
        self._method = method
        self._request: h11.Request | None = _ASKED_TO_SWITCH if upgrade else _ASKED.get(method, _ASKED[b"POST"])

    def feed(self, data: bytes) -> None:
        """Add bytes as they came.

        h11 has to be told of the request first, unless a final response of the usual look begins here: a server may
        send one unasked. That is a fifth of what a response head costs.
        """
        if self._request is not None:
            if not (_FINAL.match(data) and self._request is not _ASKED_TO_SWITCH):
                self._conn.send(self._request)
                self._conn.send(_END)
            self._request = None
        super().feed(data)

    def head(self) -> tuple[ResponseHead, Framing] | None:
        """Return the next head and how its body is framed; None while it has not all arrived.

        Raises :class:`UpstreamProtocolError` for what is no response, is beyond the limits, or could be read in two
        ways.
        """
        try:
            event = self._conn.next_event()
        except h11.RemoteProtocolError as exc:
            raise self._malformed(exc) from None  # h11 quotes what was sent
        if event is h11.NEED_DATA:
            return None
        if not isinstance(event, h11.Response | h11.InformationalResponse):
            raise UpstreamProtocolError("the upstream does not speak HTTP/1.1")
        headers = Fields(event.headers.raw_items())
        head = ResponseHead(event.status_code, bytes(event.reason), headers, event.http_version)
        if head.version not in _VERSIONS:
            raise UpstreamProtocolError("the upstream answers in another version of HTTP")
        if len(headers) > self._limits.header_count or self._size(b"", headers) > self._limits.head_bytes:
            raise UpstreamProtocolError("the upstream's response head is beyond the limits")
        # RFC 9112 §6.1, §6.3: what two readers could cut differently is handled as an error.
        if b"transfer-encoding" in headers.first and (b"content-length" in headers.first or head.version == b"1.0"):
            raise UpstreamProtocolError("the upstream frames its response in two ways at once")
        framing = response_framing(headers, head.status, self._method)
        if isinstance(framing, Length) and framing.count > LENGTH_MAX:
            raise UpstreamProtocolError("the upstream's response is larger than any body")
        return head, framing

    def _malformed(self, exc: h11.RemoteProtocolError) -> ExchangeError:
        return UpstreamProtocolError(f"what the upstream sent is not valid HTTP/1.1: {_unquoted(exc)}")


def _unquoted(exc: h11.RemoteProtocolError) -> str:
    """Return what h11 found without the bytes that it quotes: a key may be among them."""
    return _QUOTED.split(str(exc), maxsplit=1)[0]
