"""Parse HTTP/1.1 with h11, and refuse what h11 accepts but a proxy must not pass on.

``connection`` feeds it with the bytes of a stream. The only module that imports h11, as a parser alone: each message
gets a fresh ``h11.Connection``, fed with the bytes that the message before left over. ``headers`` writes heads. No I/O,
no clock.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import h11

from ..errors import (
    BadRequest,
    CodingUnsupported,
    ExchangeError,
    HeadTooLarge,
    UpstreamProtocolError,
    VersionUnsupported,
)
from ..settings import Limits
from .chunked import LAST, PlainChunks, is_size
from .costly import fault_of, has_many_lines, long_list, over, size_of
from .head_cache import KnownHeads
from .headers import LENGTH_MAX, Fields, Framing, Headers, Length, request_framing, response_framing, trailers
from .line_cache import KnownLines

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
_INFORMATIONAL_COUNT = 10  # an upstream that sends more 1xx than this is not going to answer
_CHUNKS_FOLLOW = b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a client said: every part is unchanged."""

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


def _next_event(conn: h11.Connection, limits: Limits, part: str = "head has", fields_at: int = 1) -> object:
    """Return h11's next event, unless that would take long to find."""
    data = conn.trailing_data[0]
    if has_many_lines(data, limits):
        raise _LimitBroken(f"{part} more than {over(limits, limits.header_count + 1, 0)}", 431)
    if fault := fault_of(data, fields_at):
        raise h11.RemoteProtocolError(fault)
    return conn.next_event()


def _read_alone(lines: Sequence[bytes]) -> Sequence[tuple[bytes, bytes]] | None:
    """Have h11 read field lines by themselves, in a head of HTTP/1.0, which needs no other; None if it refuses them."""
    conn = h11.Connection(h11.SERVER)
    conn.receive_data(b"GET / HTTP/1.0\r\n%b\r\n\r\n" % b"\r\n".join(lines))
    try:
        event = _next_event(conn, Limits())
    except h11.RemoteProtocolError:
        return None
    return event.headers.raw_items() if type(event) is h11.Request else None


_lines = KnownLines(_read_alone)
_requests = KnownHeads[tuple[bytes, bytes]](_lines, (b"host", b"content-length", b"transfer-encoding"))
_responses = KnownHeads[tuple[int, bytes]](_lines, (b"content-length", b"transfer-encoding"))


class _LimitBroken(h11.RemoteProtocolError):
    """A part of a message breaks a limit; the text says which."""


class _Parser(ABC):
    """One message: fed with bytes as they come; ``rest()`` is what lies behind the part that was parsed.

    h11 is asked only where the first bytes are no whole head of known lines.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._fed = 0
        self._data: bytes | None = None  # what came first, as long as h11 has no need of it
        self._head_end = 0  # in it, once the head has been read without h11
        self._conn: h11.Connection | None = None

    def feed(self, data: bytes) -> None:
        """Add bytes in the order in which they arrive."""
        if self._conn is None and (self._data is None or self._head_end):
            self._data = (self._data or b"") + data
        else:
            self._machine().receive_data(data)
        self._fed += len(data)

    def rest(self) -> bytes:
        """Return the bytes that no parsed part has claimed."""
        return self._conn.trailing_data[0] if self._conn is not None else (self._data or b"")[self._head_end :]

    def _machine(self) -> h11.Connection:
        """Return h11's machine, which has been given all that came."""
        if self._conn is None:
            first = self._data or b""
            self._conn = self._connect(first)
            self._conn.receive_data(first)
        return self._conn

    @abstractmethod
    def _connect(self, first: bytes) -> h11.Connection:
        """Make h11's machine for this message, which begins with ``first``."""

    def chunked(self) -> ChunkedBody:
        """Leave the rest to a reader of the chunks that follow the head; this parser is not used any more."""
        self._conn = self._data = None  # a body may be long under way
        return ChunkedBody(self)

    @abstractmethod
    def _malformed(self, exc: h11.RemoteProtocolError) -> ExchangeError:
        """Say in our own words what h11 found."""

    def _broken_limit(self, exc: h11.RemoteProtocolError) -> str:
        """Say which part of a message broke which limit. h11 itself knows the one on what it has to keep."""
        if isinstance(exc, _LimitBroken):
            return str(exc)
        part = "head has" if self._conn is not None else "chunk header or trailers have"
        return f"{part} more than {over(self._limits, 0, self._limits.head_bytes + 1)}"

    def _event(self) -> object:
        try:
            return _next_event(self._machine(), self._limits)
        except h11.RemoteProtocolError as exc:
            raise self._malformed(exc) from None  # h11 quotes what was sent

    def _check_lists(self, fields: Fields) -> None:
        if wrong := long_list(fields, self._fed):
            raise self._malformed(h11.RemoteProtocolError(wrong))

    def _size(self, target: bytes, headers: Headers) -> int:
        """Return the size of a head, exactly enough to hold it to its limit, and cheaply when it can't be over."""
        return 0 if self._fed <= self._limits.head_bytes else len(target) + size_of(headers)


class RequestParser(_Parser):
    """A client's message. Source: RFC 9112 §2 to §7."""

    def head(self) -> tuple[RequestHead, Framing] | None:
        """Return the head and how its body is framed; None while it has not all arrived.

        Raises a :class:`RequestError` for a head that is malformed, beyond the limits, or could be read in two ways.
        """
        if self._conn is None and (known := _requests.read(self._data or b"", self._limits)):
            (method, target), fields, end = known
            if b"host" in fields.first:  # RFC 9112 §3.2
                self._head_end = end
                self._check_lists(fields)
                return RequestHead(method, target, fields, b"1.1"), request_framing(fields, b"1.1")
        event = self._event()
        if event is h11.NEED_DATA:
            return None
        if type(event) is not h11.Request:
            raise BadRequest("no HTTP request arrived")
        head = RequestHead(event.method, event.target, Fields(event.headers.raw_items()), event.http_version)
        if head.version not in _VERSIONS:
            raise VersionUnsupported("this proxy speaks HTTP/1.1 and HTTP/1.0 only")
        if broken := over(self._limits, len(head.headers), self._size(head.target, head.headers)):  # RFC 6585 §5
            raise HeadTooLarge(f"the request's head has more than {broken}")
        self._check_lists(head.headers)
        if self._data and head.version == b"1.1":
            _requests.learn(self._data, (head.method, head.target), head.headers)
        self._data = None
        return head, request_framing(head.headers, head.version)

    def _connect(self, first: bytes) -> h11.Connection:
        return h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head_bytes)

    def _malformed(self, exc: h11.RemoteProtocolError) -> ExchangeError:
        if exc.error_status_hint == 431:
            return HeadTooLarge(f"the request's {self._broken_limit(exc)}")
        kind = CodingUnsupported if exc.error_status_hint == 501 else BadRequest
        return kind(f"this is not valid HTTP/1.1: {_unquoted(exc)}")


class ResponseParser(_Parser):
    """An upstream's message, in answer to a request with ``method``; only after ``upgrade`` may it be a 101."""

    def __init__(self, limits: Limits, method: bytes, *, upgrade: bool = False) -> None:
        super().__init__(limits)
        self._method = method
        self._upgrade = upgrade
        self._informed = 0  # 1xx responses so far

    def _connect(self, first: bytes) -> h11.Connection:
        """Make h11's machine; it has to be told of the request first, unless this is a final response.

        A server may send one of those unasked. That is a fifth of what a response head costs.
        """
        conn = h11.Connection(h11.CLIENT, max_incomplete_event_size=self._limits.head_bytes)
        if self._upgrade or not _FINAL.match(first):
            conn.send(_ASKED_TO_SWITCH if self._upgrade else _ASKED.get(self._method, _ASKED[b"POST"]))
            conn.send(_END)
        return conn

    def head(self) -> tuple[ResponseHead, Framing] | None:
        """Return the next head and how its body is framed; None while it has not all arrived.

        Raises :class:`UpstreamProtocolError` for a head that is malformed, beyond the limits, or could be read in two
        ways.
        """
        if self._data is None and self._conn is None:
            return None
        if self._conn is None and (known := _responses.read(self._data or b"", self._limits)):
            (status, reason), fields, self._head_end = known
            head = ResponseHead(status, reason, fields, b"1.1")
            return head, self._framing(head)
        event = self._event()
        if event is h11.NEED_DATA:
            return None
        if not isinstance(event, h11.Response | h11.InformationalResponse):
            raise UpstreamProtocolError("the upstream does not speak HTTP/1.1")
        headers = Fields(event.headers.raw_items())
        head = ResponseHead(event.status_code, bytes(event.reason), headers, event.http_version)
        if head.version not in _VERSIONS:
            raise UpstreamProtocolError("the upstream answers in another version of HTTP")
        if broken := over(self._limits, len(headers), self._size(b"", headers)):
            raise UpstreamProtocolError(f"the upstream's response head has more than {broken}")
        if head.status < 200 and head.status != 101:
            self._informed += 1
            if self._informed > _INFORMATIONAL_COUNT:
                raise UpstreamProtocolError("the upstream sends informational responses without end")
        if self._data and head.version == b"1.1" and head.status >= 200:
            _responses.learn(self._data, (head.status, head.reason), headers)
        self._data = None
        return head, self._framing(head)

    def _framing(self, head: ResponseHead) -> Framing:
        """Tell how the body is framed. RFC 9112 §6.1, §6.3: what two readers could cut differently is an error."""
        self._check_lists(head.headers)
        first = head.headers.first
        if b"transfer-encoding" in first and (b"content-length" in first or head.version == b"1.0"):
            raise UpstreamProtocolError("the upstream frames its response in two ways at once")
        framing = response_framing(head.headers, head.status, self._method)
        if isinstance(framing, Length) and framing.count > LENGTH_MAX:
            raise UpstreamProtocolError("the upstream's response is larger than any body")
        return framing

    def _malformed(self, exc: h11.RemoteProtocolError) -> ExchangeError:
        if exc.error_status_hint == 431:
            return UpstreamProtocolError(f"the upstream's response {self._broken_limit(exc)}")
        return UpstreamProtocolError(f"what the upstream sent is not valid HTTP/1.1: {_unquoted(exc)}")


class ChunkedBody:
    """The chunks of one body. All but the last are read in ``chunked``; h11 reads that one and the trailers.

    The content, the end and the errors are those that h11 alone would give. Source: RFC 9112 §7.1.
    """

    def __init__(self, parser: _Parser) -> None:
        self.trailers: list[tuple[bytes, bytes]] = []
        self.done = False  # the end has been read
        self.rest = b""  # what lies behind it
        self._parser = parser
        self._plain = PlainChunks()
        self._judge: h11.Connection | None = None  # of the last chunk, or of a malformed one
        self._in_trailers = False

    def plain(self, data: bytes) -> bytes | None:
        """Take a piece and return its content; return None and take nothing if it is not for :class:`PlainChunks`."""
        return None if self._judge is not None else self._plain.take(data)

    @property
    def whole(self) -> bool:
        """Whether the piece that :meth:`plain` took last was made of whole chunks."""
        return self._plain.whole

    def feed(self, data: bytes) -> bytes:
        """Take a piece and return its content, and in :attr:`done` whether that was the last of it.

        Raises the error that a malformed message of this side has.
        """
        if self._judge is not None:
            self._judged(self._judge, data)
            return b""
        content, rest = self._plain.take_until(data)
        if rest is None:
            if self._plain.size_bytes > self._parser._limits.head_bytes:
                raise self._parser._malformed(h11.RemoteProtocolError("Receive buffer too long", 431))
        elif self._plain.within:
            raise self._parser._malformed(h11.RemoteProtocolError("malformed chunk footer"))
        elif rest.startswith(LAST):
            self.done, self.rest = True, rest[len(LAST) :]
        elif LAST.startswith(rest):
            self._plain.put_back(rest)
        else:
            self._judge = h11.Connection(h11.CLIENT, max_incomplete_event_size=self._parser._limits.head_bytes)
            self._judge.receive_data(_CHUNKS_FOLLOW)
            self._judge.next_event()
            self._judged(self._judge, rest)
        return content

    def _judged(self, judge: h11.Connection, data: bytes) -> None:
        """Read the last chunk and the trailers, or find their fault, once all of them have arrived."""
        try:
            judge.receive_data(data)
            at = 0 if self._in_trailers else 1
            if at:
                line, crlf, _ = judge.trailing_data[0].partition(b"\r\n")
                if crlf and not is_size(line + crlf):  # h11 would find that out by the square of its blanks
                    raise h11.RemoteProtocolError("illegal chunk header")
                self._in_trailers = bool(crlf)
            event = _next_event(judge, self._parser._limits, "trailers have", at)
            if type(event) is h11.EndOfMessage:
                self.trailers = self._within_limits(event.headers.raw_items())
                self.done, self.rest = True, judge.trailing_data[0]
        except h11.RemoteProtocolError as exc:
            raise self._parser._malformed(exc) from None  # h11 quotes what was sent

    def _within_limits(self, lines: Headers) -> list[tuple[bytes, bytes]]:
        limits = self._parser._limits
        if broken := over(limits, len(lines), size_of(lines)):
            raise _LimitBroken(f"trailers have more than {broken}", 431)
        return trailers(lines)


def _unquoted(exc: h11.RemoteProtocolError) -> str:
    """Return what h11 found without the bytes that it quotes: a key may be among them."""
    return _QUOTED.split(str(exc), maxsplit=1)[0]
