"""An upstream's side of HTTP/1.1: a request out, its response back, again and again while both sides keep it clean.

``proxy.relay`` drives it; ``pool`` keeps it between requests. Methods raise only errors of ``errors``.

============ =================================================== ===============================
phase        begins with                                         ends with
============ =================================================== ===============================
ASKING       :meth:`UpstreamConnection.begin`                    :meth:`~UpstreamConnection.asked`
ASKED        all of the request has been handed over             the final head
KEPT         a head that lets another request follow             the next ``begin``, or bytes of
                                                                 nobody's behind the reply: LAST
LAST         any other head, and one that came while ASKING      the connection's end
============ =================================================== ===============================

A connection that was never asked anything is in ASKING. What is left of a reply's body is told by ``body_read``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeVar

import anyio
from anyio.abc import ByteStream

from ..errors import UpstreamBroken, UpstreamTimeout
from ..net.stream import Stream
from ..settings import Limits, Timeouts
from .connection import LOST, Connection
from .headers import UntilClose, connection_options, value
from .parser import ResponseHead, ResponseParser

_Found = TypeVar("_Found")


class Phase(Enum):
    """Where an upstream's connection is in the exchange; the table is at the module's head."""

    ASKING = "the request is being sent"
    ASKED = "the final head is awaited"
    KEPT = "a reply after which another request may be sent"
    LAST = "a reply after which the connection ends"


_ASKING, _ASKED, _KEPT, _LAST = Phase  # see client_connection


class UpstreamConnection(Connection):
    """A connection to an upstream.

    ``addressed`` remakes heads for a connection that leads to a proxy, which has to be told where each is to go.
    """

    def __init__(
        self,
        stream: ByteStream,
        raw: Stream,
        limits: Limits,
        timeouts: Timeouts,
        addressed: Callable[[bytes], bytes] | None = None,
    ) -> None:
        super().__init__(stream, raw, limits, timeouts)
        self.reused = False  # it has served another request before
        self.epoch = 0  # of the pool that made it
        self.is_local = False  # it leads to this machine
        self.keep_alive: bytes | None = None  # the field of that name in its last reply
        self.phase: Phase = _ASKING
        self._addressed = addressed
        self._handed_before = 0
        raw.write_within(timeouts.write_stall_s, self._stalled)

    def __repr__(self) -> str:
        left = "" if self.body_read else ", body unread"
        return f"<{type(self).__name__} {self.phase.name}{left}{', reused' if self.reused else ''}>"

    def begin(self, method: bytes, *, upgrade: bool = False) -> None:
        """Make ready for a request and its response; ``method`` decides whether that may have a body.

        After ``upgrade`` the response may be a 101, and what follows it belongs to no message: see :meth:`take`.
        """
        self._handed_before, self.bytes_rcvd = self.raw.bytes_handed, 0
        self.phase = _ASKING
        self._parser = ResponseParser(self._limits, method, upgrade=upgrade)

    def asked(self) -> None:
        """Note that all of the request has been handed over."""
        self.phase = _ASKED

    @property
    def bytes_sent(self) -> int:
        """How much of the request has been handed over, in bytes on the wire: not zero if any of it may have left."""
        return self.raw.bytes_handed - self._handed_before

    def addressed(self, head: bytes) -> bytes:
        """Return a request's head in the form that the next hop needs: a proxy wants the absolute target."""
        return head if self._addressed is None else self._addressed(head)

    def _lost(self) -> UpstreamBroken:
        return UpstreamBroken("the upstream closed the connection while it was being asked")

    async def send_eof(self) -> None:
        """Say that nothing more will be sent. TLS has no half-close here: such a connection is closed."""
        if self._stream is self.raw:
            await self.raw.send_eof()
        else:
            self.close()

    def await_head(self) -> None:
        """Start the clock for the response's head."""
        self.raw.read_by(self._timeouts.response_head_s, self._head_is_late)

    def await_body(self) -> None:
        """Start the clock for each piece of the response's body."""
        self.raw.read_within(self._timeouts.stream_idle_s, self._reply_is_late)

    async def next_head(self) -> ResponseHead:
        """Return the next head: informational ones first, then the final one.

        Raises :class:`UpstreamProtocolError` for what is no response, :class:`UpstreamBroken` when the connection ends
        first, :class:`UpstreamTimeout` when the head is late. Source: RFC 9112 §4, §6.3; RFC 9110 §15.2.
        """
        parser = self._parser
        assert isinstance(parser, ResponseParser)
        try:
            while (found := parser.head()) is None:
                parser.feed(await self._receive())
        except (anyio.EndOfStream, *LOST) as exc:
            raise UpstreamBroken("the upstream closed the connection without an answer") from exc
        head, framing = found
        if head.status == 101:
            self._begin_body(framing)
        if head.status >= 200:
            may_follow = (
                self.phase is _ASKED
                and head.version == b"1.1"
                and not isinstance(framing, UntilClose)
                and b"close" not in connection_options(head.headers)
            )
            self.phase = _KEPT if may_follow else _LAST
            self.keep_alive = value(head.headers, b"keep-alive")
            self._begin_body(framing)
            self.await_body()
            if self.body_read and self.phase is _KEPT and self._stream is not self.raw:
                await self._settle()
        return head

    async def read(self) -> bytes | None:
        """Return the next piece of the response's body as soon as it is there; None at its end.

        Raises :class:`UpstreamBroken` for a body that breaks off, :class:`UpstreamProtocolError` for one framed
        wrongly, :class:`UpstreamTimeout` for one that stays silent too long.
        """
        try:
            data = await self._read()
        except (anyio.EndOfStream, *LOST) as exc:
            raise UpstreamBroken("the upstream closed the connection within its reply") from exc
        if self.body_read and self.phase is _KEPT and self._stream is not self.raw:
            await self._settle()
        return data

    async def pump(self, sink: Callable[[bytes], bool]) -> None:
        """Hand what arrives of the body to ``sink`` at once, as :meth:`Stream.pump` does, until :meth:`read` is needed.

        ``sink`` has to use :meth:`take_now`. Raises :class:`UpstreamTimeout` as :meth:`read` does, and what ``sink``
        raises. Through TLS nothing is pumped.
        """
        if self._stream is self.raw and not (self._rest or self.body_read):
            await self.raw.pump(sink)

    async def _settle(self) -> None:
        """At the end of a reply, see whether TLS holds more: it would be read as the answer to the next request.

        Session tickets are taken up by the way: they are no reason to give the connection up.
        """
        before, self.raw.nonblocking = self.raw.nonblocking, True
        try:
            self._rest += await self._stream.receive()
        except anyio.WouldBlock:
            pass
        except (anyio.EndOfStream, *LOST):
            self.phase = _LAST
        finally:
            self.raw.nonblocking = before

    def read_now(self) -> Awaitable[bytes | None]:
        """Return what :meth:`read` would, but ``b""`` instead of waiting."""
        return self._now(self.read(), b"")

    def head_now(self) -> Awaitable[ResponseHead | None]:
        """Return what :meth:`next_head` would, but None instead of waiting."""
        return self._now(self.next_head(), None)

    async def _now(self, found: Awaitable[_Found], nothing: _Found) -> _Found:
        self.raw.nonblocking = True
        try:
            return await found
        except anyio.WouldBlock:
            return nothing
        finally:
            self.raw.nonblocking = False

    def _stalled(self) -> UpstreamTimeout:
        during = f"{self._timeouts.write_stall_s:g} s (timeouts.write-stall-s)"
        return UpstreamTimeout(f"timed out: the upstream took nothing of the request for {during}")

    def _head_is_late(self) -> UpstreamTimeout:
        within = f"{self._timeouts.response_head_s:g} s (timeouts.response-head-s)"
        return UpstreamTimeout(f"timed out: the response headers did not arrive within {within}")

    def _reply_is_late(self) -> UpstreamTimeout:
        during = f"{self._timeouts.stream_idle_s:g} s (timeouts.stream-idle-s)"
        return UpstreamTimeout(f"timed out: nothing of the reply arrived for {during}")

    @property
    def reusable(self) -> bool:
        """True when another request may be sent on this connection. Source: RFC 9112 §9.3."""
        return self.phase is _KEPT and self.body_read and not self._rest and self.raw.is_quiet

    def close(self) -> None:
        """Close the connection once what was sent has left."""
        self.raw.close()
