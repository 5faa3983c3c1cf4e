"""Byte streams over raw asyncio transports: flow control, one deadline timer, and notice of a peer that has left.

A :class:`Stream` is an anyio ``ByteStream``, so that anyio's ``TLSStream`` can wrap it, and an asyncio protocol, so
that nothing stands between the transport and the task that reads. It adds:

* **interrupts**: :meth:`Stream.interrupt` makes the task that waits on this stream raise an error of the caller's
  choice. A client's leaving, the end of a drain and an early reply all reach an exchange that way, so it needs no
  second task, no cancel scope and no parked reader.
* **callbacks**: ``on_data`` and ``on_gone`` are called when bytes, or the peer's end, arrive while nobody reads.
* **pumping**: as long as nothing else happens, each piece goes to a sink in the very callback that brings it, and no
  task is woken.
* **one timer** for both waits: see ``deadlines``.

Exactly one task may receive and one may send at a time. Nothing here knows HTTP.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from time import perf_counter
from typing import Any, cast

from anyio import BrokenResourceError, ClosedResourceError, EndOfStream, WouldBlock
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

from .deadlines import Waits, fail, wake

READ_BYTES = 65_536  # what one read takes from the kernel at most
READ_AHEAD_BYTES = 65_536  # what may lie here unread before reading pauses
_CLOSE_S = 10.0  # a closed stream whose last bytes nobody takes is cut after this


class _Buffer(threading.local):  # reads let other threads run: two loops would fill one buffer at the same time
    """One buffer for all streams of a thread: a read fills it, and its bytes are copied out before the loop goes on."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BYTES))


_buffer = _Buffer()


class Stream(Waits, asyncio.BufferedProtocol, ByteStream):
    """One connected socket. Made by the loop as the protocol of a transport, usable after ``connection_made``.

    After ``EndOfStream`` the stream can still be written to: the peer has only said that it will send no more.
    """

    def __init__(self) -> None:
        super().__init__()
        self._view = _buffer.view
        self._pieces: deque[bytes] = deque()
        self._sink: Callable[[bytes], bool] | None = None
        self.buffered = 0  # bytes that wait to be received
        self._eof = self._closed = False
        self._lost: Exception | bool = False
        self._interrupt: Exception | None = None
        self._reading_paused = self._writing_paused = False
        self.bytes_handed = 0  # to the kernel, or to the transport to be sent as soon as the kernel takes them
        self.nonblocking = False
        self.wake_on_data = False
        self.on_data: Callable[[], None] | None = None
        self.on_gone: Callable[[], None] | None = None

    def __repr__(self) -> str:
        facts = {
            "closed": self._closed, "lost": self._lost, "ended by the peer": self._eof, "has bytes": self._pieces,
            "pumps": self._sink, "receives": self._reader, "reading paused": self._reading_paused,
            "sends": self._writer, "writing paused": self._writing_paused,
        }  # fmt: skip
        return f"<{type(self).__name__} {', '.join(name for name, holds in facts.items() if holds) or 'quiet'}>"

    # -- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; nothing is buffered for the peer beyond what one send could not hand to the kernel."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)  # asyncio has set TCP_NODELAY (RFC 9293 §3.7.4)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the shared buffer for one read."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Take over what one read brought; pause reading when nobody is taking it."""
        piece = bytes(self._view[:nbytes])
        if self._sink is not None and self._sunk(self._sink, piece):
            return
        self._pieces.append(piece)
        self.buffered += nbytes
        if self._reader is not None and not self._reader.done():
            wake(self._reader)
            return
        # uvloop reads on, up to 32 times, before the task that was woken runs.
        if self.buffered >= READ_AHEAD_BYTES and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()
        if self._reader is None:
            self._tell_data()

    def eof_received(self) -> bool:
        """Note the peer's FIN; the transport stays open, since the peer may still read."""
        self._eof = True
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is over, and why."""
        self._lost = exc or True
        self._writing_paused = False
        self._disarm()
        self._end()

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The kernel has taken everything."""
        self._writing_paused = False
        wake(self._writer)

    def _sunk(self, sink: Callable[[bytes], bool], piece: bytes) -> bool:
        """Offer a piece to the sink, unless its pump is about to end; tell whether that was the end of the piece."""
        reader = self._reader
        if reader is None or reader.done():
            return False
        try:
            taken = sink(piece)
        except Exception as exc:
            fail(reader, exc)
            return True
        if taken and self._read_s != inf:
            self._read_until = self._loop.time() + self._read_s
        return taken

    def _end(self) -> None:
        wake(self._reader)
        if self._lost:
            wake(self._writer)
        self._tell_data()
        if self.on_gone is not None:
            self.on_gone()

    def _tell_data(self) -> None:
        if self.wake_on_data:
            wake(self._writer)
        if self.on_data is not None:
            self.on_data()

    # -- what a task does

    async def receive(self, max_bytes: int = READ_BYTES) -> bytes:
        """Return 1 to ``max_bytes`` bytes as soon as there are any.

        :raises EndOfStream: the peer has finished sending
        :raises BrokenResourceError: the connection is lost
        :raises ClosedResourceError: this side has closed it
        :raises WouldBlock: ``nonblocking`` is set and nothing has arrived
        :raises Exception: what :meth:`interrupt` or the deadline for reading was given

        Cancelling loses nothing: bytes leave the buffer only in a call that returns them.
        """
        while not self._pieces or self._interrupt is not None:
            self._check_readable()
            await self._until_readable()
        piece = self._pieces.popleft()
        if len(piece) > max_bytes:
            self._pieces.appendleft(piece[max_bytes:])
            piece = piece[:max_bytes]
        self.buffered -= len(piece)
        if self._reading_paused and self.buffered < READ_AHEAD_BYTES and self._transport is not None:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return piece

    async def pump(self, sink: Callable[[bytes], bool]) -> None:
        """Hand each piece that arrives to ``sink`` at once; return when the caller has something else to do.

        That is a piece that ``sink`` does not take, by returning False, and then has changed nothing: it waits to be
        received, as does the peer's end. Or the stream has been interrupted or closed, as the next call will tell. Or
        :meth:`end_pump` was called. The deadline for reading holds as for one :meth:`receive` after the other.

        :raises Exception: what the deadline for reading was given, or what ``sink`` raised; its piece is lost

        Cancelling loses nothing.
        """
        if self.has_data or self._interrupt is not None or self._closed:
            return
        self._sink = sink
        try:
            await self._until_readable()
        finally:
            self._sink = None

    def end_pump(self) -> None:
        """Have :meth:`pump` return, as from within its sink; what comes from now on waits to be received."""
        if self._sink is not None:
            wake(self._reader)

    async def send(self, item: bytes | memoryview) -> None:
        """Hand ``item`` to the kernel; return when it has all of it, or at once when it takes it in one go.

        With ``wake_on_data`` it also returns when the peer has sent something meanwhile; the rest is on its way.

        :raises BrokenResourceError: the connection is lost; ``item`` may have left in part
        :raises ClosedResourceError: this side has closed it
        :raises Exception: what :meth:`interrupt` or the deadline for writing was given
        """
        if not self.send_now(item):
            await self.drain()

    def send_now(self, item: bytes | memoryview) -> bool:
        """Hand ``item`` over as :meth:`send` does and raise what it raises; False if the kernel did not take it all."""
        self.check()
        transport = self._transport
        if self._lost or transport is None or transport.is_closing():
            raise BrokenResourceError
        transport.write(item)
        if transport.is_closing():  # the kernel refused: not one byte of this item has left
            raise BrokenResourceError
        self.bytes_handed += len(item)
        return not self._writing_paused

    async def drain(self) -> None:
        """Wait until the kernel has taken all that was sent; raises as :meth:`send` does."""
        while self._writing_paused and not (self.wake_on_data and self.has_data):
            await self._until_writable()
            self.check()
            if self._lost:
                raise BrokenResourceError

    async def send_eof(self) -> None:
        """Say that nothing more will be sent, once what was sent has left."""
        transport = self._transport
        if transport is not None and not self._lost and not transport.is_closing() and transport.can_write_eof():
            with suppress(OSError):  # the connection is gone; the reading task is about to learn it
                transport.write_eof()

    async def aclose(self) -> None:
        """Close as :meth:`close` does; there is nothing to wait for."""
        self.close()

    def close(self) -> None:
        """Close once what was sent has left; a peer that takes nothing is cut after ten seconds."""
        if self._closed:
            return
        self._shut()
        if self._transport is not None and not self._lost:
            if self._transport.get_write_buffer_size():
                self._timer = self._loop.call_later(_CLOSE_S, self._transport.abort)
            self._transport.close()

    def abort(self) -> None:
        """Close at once: what was not sent is dropped, and a peer in the middle of a message can tell."""
        self._shut()
        if self._transport is not None and not self._lost:  # asyncio's transports fail when aborted after their end
            self._transport.abort()

    def reset(self) -> None:
        """Abort as :meth:`abort` does, by a reset, so that the peer cannot take it for a polite end."""
        with suppress(OSError, AttributeError):  # it is gone already
            self.info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def abort_unless_closed(self) -> None:
        """Abort a stream that nobody has closed: its task ended in the middle of something."""
        if not self._closed:
            self.abort()

    def _shut(self) -> None:
        self._closed = True
        self.on_data = self.on_gone = None
        self._disarm()
        wake(self._reader)
        wake(self._writer)

    def interrupt(self, error: Exception) -> None:
        """Make what waits on this stream, or the next call on it, raise ``error``; buffered bytes stay."""
        self._interrupt = error
        wake(self._reader)
        wake(self._writer)

    async def give_way(self) -> None:
        """Let everybody else have a turn before the task that reads here goes on."""
        await checkpoint()
        self._turn_began = perf_counter()

    def check(self) -> None:
        """Raise what :meth:`interrupt` was given, or ClosedResourceError when this side has closed the stream."""
        if self._interrupt is not None:
            error, self._interrupt = self._interrupt, None
            raise error
        if self._closed:
            raise ClosedResourceError

    def clear_interrupt(self) -> None:
        """Forget an interrupt that has not been raised yet."""
        self._interrupt = None

    @property
    def has_data(self) -> bool:
        """True when bytes, or the peer's end, wait to be received."""
        return bool(self._pieces) or self._eof or bool(self._lost)

    @property
    def is_quiet(self) -> bool:
        """True while neither side has ended the connection, nor has the peer sent what nobody has received."""
        return not (self._pieces or self._eof or self._lost or self._closed)

    @property
    def is_open(self) -> bool:
        """True while neither side has ended the connection."""
        return not (self._eof or self._lost or self._closed)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """Typed attributes of anyio; there are none."""
        return {}

    def info(self, name: str) -> Any:
        """Return what the transport knows under ``name``: ``peername``, ``sockname``, ``socket``."""
        return None if self._transport is None else self._transport.get_extra_info(name)

    def _check_readable(self) -> None:
        """Raise what :meth:`receive` does where there is nothing to wait for."""
        self.check()
        if self._eof or (self._lost is True):
            raise EndOfStream
        if self._lost:
            raise BrokenResourceError from self._lost
        if self.nonblocking:
            raise WouldBlock
