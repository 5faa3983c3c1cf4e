"""Readers without leniency, to hold what comes out to."""

from __future__ import annotations

import re
from dataclasses import dataclass

import h11


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as a reader cut it out."""

    method: bytes
    target: bytes
    body: bytes
    fields: tuple[tuple[bytes, bytes], ...] = ()  # names in lower case
    trailers: tuple[tuple[bytes, bytes], ...] = ()


_NO_FIELDS: tuple[tuple[bytes, bytes], ...] = ()


class NotStrict(ValueError):
    """Bytes that a reader without any leniency takes for no request."""


_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ ]?([^\x00\r\n]*)")


def strictly(raw: bytes) -> tuple[list[Seen], bytes]:
    """Cut a connection's bytes into requests by the grammar alone; return them and what is left of one unfinished.

    Of every choice that RFC 9112 leaves to recipients this reader takes none: CRLF ends each line, one ``Host``, one
    framing, decimal lengths, plain chunk sizes. Raises :class:`NotStrict`.
    """
    found = []
    while raw:
        head, mark, rest = raw.partition(b"\r\n\r\n")
        if not mark:
            break
        line, *lines = head.split(b"\r\n")
        start = _LINE.fullmatch(line)
        if start is None:
            raise NotStrict(line)
        fields = _fields(lines)
        named = {name: [value for key, value in fields if key == name] for name, _ in fields}
        lengths, codings = named.get(b"content-length", []), named.get(b"transfer-encoding", [])
        if len(named.get(b"host", [])) != 1 or len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
            raise NotStrict(head)
        body, trailers = b"", _NO_FIELDS
        if lengths:
            if not re.fullmatch(rb"0|[1-9][0-9]*", lengths[0]):
                raise NotStrict(lengths[0])
            if len(rest) < int(lengths[0]):
                break
            body, rest = rest[: int(lengths[0])], rest[int(lengths[0]) :]
        elif codings:
            taken = _chunked(rest)
            if taken is None:
                break
            body, trailers, rest = taken
        found.append(Seen(start[1], start[2], body, fields, trailers))
        raw = rest
    return found, raw


def _fields(lines: list[bytes]) -> tuple[tuple[bytes, bytes], ...]:
    matches = [_FIELD.fullmatch(line) for line in lines]
    if not all(matches):
        raise NotStrict(lines)
    return tuple((match[1].lower(), match[2]) for match in matches if match)


def _chunked(raw: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...], bytes] | None:
    body = b""
    while True:
        size, mark, raw = raw.partition(b"\r\n")
        if not mark:
            return None
        if not re.fullmatch(rb"0|[1-9a-f][0-9a-f]{0,7}", size):
            raise NotStrict(size)
        if size == b"0":
            break
        count = int(size, 16)
        if len(raw) < count + 2:
            return None
        if raw[count : count + 2] != b"\r\n":
            raise NotStrict(raw[count : count + 2])
        body, raw = body + raw[:count], raw[count + 2 :]
    if raw.startswith(b"\r\n"):
        return body, (), raw[2:]
    section, mark, raw = raw.partition(b"\r\n\r\n")
    return (body, _fields(section.split(b"\r\n")), raw) if mark else None


class Reader:
    """h11 as a server reads one connection: fed with bytes as they come, it gives requests and the first error."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.error: h11.RemoteProtocolError | None = None
        self.wants_continue = False
        self._conn = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        self._request: h11.Request | None = None
        self._body = b""

    def feed(self, data: bytes) -> None:
        if self.error is not None or not data:
            return
        self._conn.receive_data(data)
        try:
            while (event := self._conn.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
                if isinstance(event, h11.Request):
                    self._request, self._body = event, b""
                elif isinstance(event, h11.Data):
                    self._body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    self._finish(tuple(event.headers))
        except h11.RemoteProtocolError as exc:
            self.error = exc
        self.wants_continue = self.error is None and self._conn.they_are_waiting_for_100_continue

    def _finish(self, trailers: tuple[tuple[bytes, bytes], ...]) -> None:
        assert self._request is not None
        fields = tuple(self._request.headers)
        self.seen.append(Seen(self._request.method, self._request.target, self._body, fields, trailers))
        rest = self._conn.trailing_data[0].lstrip(b"\r\n")
        self._conn = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        if rest:
            self.feed(rest)


def as_h11_reads(raw: bytes) -> list[Seen]:
    """Return the requests that h11 finds in what a client sends, up to the first thing that is none."""
    reader = Reader()
    reader.feed(raw.lstrip(b"\r\n"))
    return reader.seen


@dataclass(frozen=True, slots=True)
class Answered:
    """One response as h11 cut it out; ``whole`` is False for one that breaks off."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool


def responses(raw: bytes, methods: list[bytes]) -> tuple[list[Answered], bytes]:
    """Cut all that a client was sent into final responses to ``methods``; return them and what lies behind the last.

    Raises :class:`h11.RemoteProtocolError` for what is no response, and :class:`NotStrict` for heads with bare line
    ends, folds or two framings, which h11 would let pass.
    """
    found: list[Answered] = []
    for method in methods:
        if not raw:
            break
        conn = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        conn.send(
            h11.Request(method=method if method in (b"GET", b"HEAD") else b"POST", target="/", headers=[("Host", "a")])
        )
        conn.send(h11.EndOfMessage())
        conn.receive_data(raw)
        conn.receive_data(b"")
        status, fields, body, whole = 0, _NO_FIELDS, b"", False
        try:
            while not whole and not isinstance(event := conn.next_event(), h11.ConnectionClosed):
                if isinstance(event, h11.Response | h11.InformationalResponse):
                    status, fields = event.status_code, tuple(event.headers)
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    whole = True
        except h11.RemoteProtocolError:
            if status < 200:
                raise
        for head in raw.split(b"\r\n\r\n")[:1]:
            if re.search(rb"(?<!\r)\n|\r(?!\n)|\r\n[ \t]|\x00", head):
                raise NotStrict(head)
        names = [name for name, _ in fields]
        if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
            raise NotStrict(names)
        found.append(Answered(status, fields, body, whole))
        raw = conn.trailing_data[0] if whole else b""
    return found, raw
