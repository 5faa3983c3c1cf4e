"""A client's byte stream, which can also receive a large body for one waiting task without waking it for each read.

``listener`` makes one for each connection; ``http.connection`` asks it for the bytes of bodies. A large conversation
arrives in dozens of reads, and waking a task costs more than copying what a read brings.
"""

from __future__ import annotations

import asyncio
import select
import threading

from anyio import BusyResourceError

from .stream import READ_BYTES, Stream

GATHER_BYTES = 262_144  # what one read takes of many; about a tenth of a millisecond of the loop's time
_LOOK_S = 0.25  # between two looks at a client that is not read from
_DROP_S = 1.0  # after which what it sends is dropped, if that may be
_HANG_UP = getattr(select, "POLLRDHUP", 0)  # Linux; elsewhere only a reset is seen


class _Buffer(threading.local):  # for the reason that the one of ``stream`` is
    """One buffer for all clients of a thread; ``usual`` is as much of it as an ordinary read gets."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(GATHER_BYTES))
        self.usual = self.view[:READ_BYTES]


_buffer = _Buffer()


class ClientStream(Stream):
    """A client's socket. Made by the loop as the protocol of a transport, as any :class:`Stream`."""

    def __init__(self) -> None:
        super().__init__()
        self._view = _buffer.view
        self._usual = _buffer.usual
        self._place: bytearray | None = None  # what reads are added to while a task waits for all of them
        self._missing = 0
        self._looking: asyncio.TimerHandle | None = None  # for a client that left while reading is paused
        self._paused_at = 0.0
        self.may_drop = False  # nobody receives before the reply has been sent: see :meth:`_look`
        self.dropped = False  # bytes have been thrown away, so nothing more can be read as a request

    def __repr__(self) -> str:
        shown = super().__repr__()
        return shown if self._place is None else f"{shown[:-1]}, {self._missing} bytes missing>"

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the shared buffer for one read; of what follows the bytes that are waited for, nothing is taken."""
        return self._usual if self._place is None else self._view[: self._missing]

    def buffer_updated(self, nbytes: int) -> None:
        """Take over what one read brought; wake nobody before all that is waited for is here."""
        if self.dropped:
            return
        if self._place is None:
            super().buffer_updated(nbytes)
            if self._reading_paused:
                self._paused_at = self._loop.time()
                if self._looking is None:
                    self._look_soon()
            return
        self._place += self._view[:nbytes]
        self._missing -= nbytes
        if self._missing:
            self._read_until = min(self._read_at, self._loop.time() + self._read_s)
            return
        self._place = None
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _look_soon(self) -> None:
        self._looking = self._loop.call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        """See whether the client has left although reading is paused, which keeps the loop from telling.

        An end that lies behind more bytes than the kernel takes can't be seen. So a client that has sent so much beyond
        its request, and waits for its reply, is read from again after a while, and what it sends is thrown away: its
        connection ends with that reply (RFC 9112 §9.3.2: it may not count on more). One whose request is still being
        sent on is waited for.
        """
        self._looking = None
        if not self._reading_paused or self._closed or self._transport is None or self._lost:
            return
        if self._has_hung_up() and self.on_gone is not None:
            self.on_gone()
        elif self.may_drop and self._loop.time() - self._paused_at >= _DROP_S:
            self.dropped, self._reading_paused = True, False
            self._transport.resume_reading()
        else:
            self._look_soon()

    def _has_hung_up(self) -> bool:
        if not hasattr(select, "poll"):  # Windows
            return False
        poll = select.poll()
        poll.register(self.info("socket"), _HANG_UP)
        return bool(poll.poll(0))

    async def gather(self, place: bytearray, count: int) -> None:
        """Add the next ``count`` bytes to ``place``, which grows only as they come; then, and only then, return.

        Deadlines are those of :meth:`receive`: :meth:`read_within` bounds the silence between two reads. Raises as it
        does. After an error, or when cancelled, ``place`` holds what has come until then, which nobody else is given.
        """
        if self._reader is not None:
            raise BusyResourceError("receiving from")
        end = len(place) + count
        while self._pieces and len(place) < end:  # they came while nobody read
            place += await self.receive(end - len(place))
        self._missing = end - len(place)
        self._place = place if self._missing else None
        try:
            while self._missing or self._interrupt is not None:
                self._check_readable()
                await self._until_readable()
        finally:
            self._place = None
