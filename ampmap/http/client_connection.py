"""A client's side of HTTP/1.1: its requests one after the other, a deadline for each phase, the connection's end.

``proxy.exchange`` drives it, one request at a time. Methods raise only errors of ``errors``.

============ ========================================================= ==================
phase        begins                                                    ends with
============ ========================================================= ==================
IDLE         :meth:`ClientConnection.next_head`                        a byte of a request
HEAD         a request's first byte                                    its head
UNASKED      a head with ``Expect: 100-continue`` and a body           a 100, or the body
SERVED       any other head, and after UNASKED                         ``next_head``
============ ========================================================= ==================

What becomes of the connection after a response is its ``end``, which only ever rises: see :class:`End`. The parts of a
body are told by ``body_read`` and ``framing``, as for upstreams.
"""

from __future__ import annotations

from collections.abc import Awaitable
from enum import Enum, IntEnum
from typing import TypeVar

import anyio
from anyio.lowlevel import checkpoint

from ..errors import BadRequest, ClientGone, ExchangeError, RequestError, RequestTimeout, ShuttingDown
from ..net.client_stream import ClientStream
from ..settings import Limits, Timeouts
from .connection import LOST, Connection
from .headers import Chunked, Framing, UntilClose, connection_options, tokens
from .parser import RequestHead, RequestParser

_DISCARD_BYTES = 65_536  # what is read of an unwanted body so that the connection can be kept
# What is read after the last response, so that a reset does not destroy it. Many clients look for an answer only when
# they have sent everything: a body that is too large is several times the limit at most.
_LINGER_BYTES = 256 * 1024 * 1024
_LINGER_S = 2.0
_FIRST_S = 1.0  # while the proxy drains: for the first request on a connection, which nobody would send again
_NEXT_S = 0.1  # and for one more on an idle connection, which may be on its way

_T = TypeVar("_T")


class Phase(Enum):
    """Where a client's connection is in the exchange; the table is at the module's head."""

    IDLE = "waits for a request"
    HEAD = "reads a head"
    UNASKED = "the client waits to be asked for its body"
    SERVED = "serves a request"


class End(IntEnum):
    """How the connection ends."""

    NOT_YET = 0  # another request may follow
    DRAIN = 1  # with the next response whose head is yet to be sent
    CLOSE = 2  # with the response under way, or the next one: its head says so
    CUT = 3  # as CLOSE, and its end is the response's end too: one that breaks off is told by a reset


# Python 3.11 looks a member of an enumeration up in thirty times as many steps as a global.
_IDLE, _HEAD, _UNASKED, _SERVED = Phase
_NOT_YET, _DRAIN, _CLOSE, _CUT = End


class ClientConnection(Connection):
    """A client's connection."""

    raw: ClientStream

    def __init__(self, raw: ClientStream, limits: Limits, timeouts: Timeouts) -> None:
        super().__init__(raw, raw, limits, timeouts)
        self.phase: Phase = _IDLE
        self.end: End = _NOT_YET
        self.version = b"1.1"
        raw.write_within(timeouts.write_stall_s, self._stalled)

    def __repr__(self) -> str:
        left = "" if self.body_read else ", body unread"
        return f"<{type(self).__name__} {self.phase.name}{left}, end {self.end.name}>"

    def end_with(self, end: End) -> None:
        """Have the connection end so, or as was said before if that is more."""
        self.end = max(self.end, end)

    async def next_head(self) -> RequestHead | None:
        """Return the next request's head; None when the client is done, stays silent, or is told to go.

        Raises :class:`RequestError` for what is no request or too large a one, :class:`RequestTimeout` for one that
        began and did not arrive in time. Source: RFC 9112 §2.2, §3, §9.
        """
        if self._rest:
            await checkpoint()  # pipelined requests get one turn each, as others do, in their order (RFC 9112 §9.3.2)
        self.phase = _IDLE
        self._wait_for_request()
        try:
            return self._begin(*await self._read_head(RequestParser(self._limits)))
        except anyio.EndOfStream:
            if self.phase is _IDLE:
                return None
            self._distrust()
            raise BadRequest("the connection ended within the request's head") from None
        except RequestError:
            self._distrust()
            raise
        except (ShuttingDown, *LOST):
            return None

    async def _read_head(self, parser: RequestParser) -> tuple[RequestHead, Framing]:
        self._parser = parser
        data, self._rest = self._rest, b""
        while True:
            begins = self.phase is _IDLE
            if begins:
                data = data.lstrip(b"\r\n")  # empty lines before a request, RFC 9112 §2.2
            if data:
                self.phase = _HEAD
                parser.feed(data)
                if found := parser.head():
                    return found
                if begins:
                    self.raw.read_by(self._timeouts.head_s, self._head_is_late)
            data = await self._receive()

    def _distrust(self) -> None:
        """Take whatever else comes for part of what could not be read: no request can begin there."""
        self.end_with(_CLOSE)
        self.body_read, self.framing, self._parser = False, UntilClose(), None

    def _begin(self, head: RequestHead, framing: Framing) -> RequestHead:
        self.phase, self.version = _SERVED, head.version
        # RFC 9112 §9.3: HTTP/1.0 persists only where asked to, which is not served here.
        if head.version == b"1.0" or b"close" in connection_options(head.headers):
            self.end_with(_CLOSE)
        self._begin_body(framing)
        if not self.body_read:
            # RFC 9110 §10.1.1: of an HTTP/1.0 client the expectation is ignored.
            if head.version == b"1.1" and b"100-continue" in tokens(head.headers, b"expect"):
                self.phase = _UNASKED
            self.raw.read_within(self._timeouts.body_idle_s, self._body_is_late)
        return head

    async def read(self) -> bytes | None:
        """Return the next piece of the request's body; None at its end, after which ``trailers`` holds its trailers.

        Raises :class:`BadRequest` for a body that breaks off or is framed wrongly, :class:`RequestTimeout` for one that
        stays silent. Asks for nothing: see :meth:`send_continue`. Source: RFC 9112 §8, RFC 9110 §15.5.9.
        """
        return await self._reading(self._read())

    def whole_now(self) -> bytearray | None:
        """Return all that is left of a body of known length if all of it has come; None, and nothing is taken, else."""
        left, rest = self._left, self._rest
        if len(rest) < left:
            return None
        self.phase, self.body_read = _SERVED, True
        self._left, self._rest = 0, rest[left:]
        self.body_bytes += left
        return bytearray(rest if len(rest) == left else rest[:left])

    async def read_whole(self) -> bytearray:
        """Return all that is left of a body of known length; else as :meth:`read`."""
        return await self._reading(self._read_whole())

    async def _read_whole(self) -> bytearray:
        rest, left = self._rest, self._left
        body = bytearray(rest if len(rest) <= left else rest[:left])
        self._rest = rest[len(body) :]
        came = len(body)
        try:
            if len(body) < left:
                await self.raw.gather(body, left - len(body))
        finally:
            self.bytes_rcvd += len(body) - came
            self.body_bytes += len(body)
            self._left -= len(body)
        self.body_read = True
        return body

    async def _reading(self, body: Awaitable[_T]) -> _T:
        try:
            return await body
        except RequestError:
            self.end_with(_CLOSE)
            raise
        except anyio.EndOfStream:
            self.end_with(_CLOSE)
            raise BadRequest("the connection ended within the request's body") from None
        except LOST:
            raise ClientGone("the client left while it sent its body") from None

    async def send_continue(self) -> None:
        """Ask for the body, if the client waits to be asked. Source: RFC 9110 §10.1.1."""
        if self.phase is _UNASKED:
            self.phase = _SERVED
            if not self._rest and not self.raw.has_data:
                await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def send_now(self, data: bytes) -> bool:
        """Send as :meth:`send` does, without waiting; False if :meth:`flush` is to be awaited before anything else."""
        try:
            return self.raw.send_now(data)
        except LOST as exc:
            raise self._lost() from exc

    def _lost(self) -> ClientGone:
        return ClientGone("the client left")

    async def finish(self) -> bool:
        """End the exchange after its response; True when another request may follow on this connection.

        What is left of an unwanted body is read if it is small. A larger one, or one that a waiting client was never
        asked for, ends the connection after a linger, in which it is read and thrown away: else the kernel would reset
        the connection and might take the response with it. Source: RFC 9112 §9.3, §9.6.
        """
        if self.raw.dropped:
            self.end_with(_CLOSE)
        unread = not self.body_read and self.phase is not _UNASKED
        if unread and self.end < _CLOSE and self._left <= _DISCARD_BYTES:
            await self._discard()
        if self.body_read and self.end < _CLOSE and self.raw.is_open:
            return True
        if self.raw.is_open and not (self.body_read and not self._rest and not self.raw.has_data):
            await self._linger()
        self.raw.close()
        return False

    async def _discard(self) -> None:
        until = self.bytes_rcvd + _DISCARD_BYTES
        self.raw.read_by(_LINGER_S, lambda: RequestTimeout("the rest of an unwanted body is late"))
        try:
            while self.bytes_rcvd <= until and await self.read() is not None:
                pass
        except ExchangeError:
            self.end_with(_CLOSE)

    async def _linger(self) -> None:
        await self.raw.send_eof()
        self.raw.read_by(_LINGER_S, lambda: RequestTimeout("lingered long enough"))
        until = self.bytes_rcvd + _LINGER_BYTES
        try:
            while self.bytes_rcvd < until:
                await self._receive()
        except (ExchangeError, anyio.EndOfStream, *LOST):
            return

    def abort(self) -> None:
        """Cut the connection: by a reset where a polite end would make a reply look whole. Source: RFC 9112 §8."""
        (self.raw.reset if self.end is _CUT else self.raw.abort)()

    @property
    def will_close(self) -> bool:
        """True when the response about to begin is the last one on this connection."""
        long = self._left > _DISCARD_BYTES or isinstance(self.framing, Chunked)  # of chunks nobody knows how many come
        unwanted = not self.body_read and (self.phase is _UNASKED or long)
        return self.end > _NOT_YET or unwanted or self.raw.dropped

    def drain(self) -> None:
        """Make the response in progress the last one; a connection that waits for a request ends in a moment.

        A request that is on its way is still served, and so is one that follows a response whose head, sent before,
        has promised nothing of an end.
        """
        self.end_with(_DRAIN)
        if self.phase is _IDLE:
            self._wait_for_request()

    def _head_is_late(self) -> RequestTimeout:
        within = f"{self._timeouts.head_s:g} s (timeouts.head-s)"
        return RequestTimeout(f"timed out: the request headers did not arrive within {within}")

    def _body_is_late(self) -> RequestTimeout:
        during = f"{self._timeouts.body_idle_s:g} s (timeouts.body-idle-s)"
        return RequestTimeout(f"timed out: nothing of the request body arrived for {during}")

    def _stalled(self) -> ClientGone:
        during = f"{self._timeouts.write_stall_s:g} s (timeouts.write-stall-s)"
        return ClientGone(f"timed out: the client took nothing of the reply for {during}")

    def _wait_for_request(self) -> None:
        seconds = self._timeouts.keepalive_s
        if self.end is not _NOT_YET:
            seconds = min(seconds, _NEXT_S if self.bytes_rcvd else _FIRST_S)
        self.raw.read_by(seconds, lambda: ShuttingDown("the time for another request is over"))
