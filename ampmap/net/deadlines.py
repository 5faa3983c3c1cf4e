"""The two waits of a stream (for bytes to read, and for buffer space to write), their deadlines, and their one timer.

Each ``stream`` has them. A deadline that each piece of data moves on does not re-arm the timer: when the timer
fires, it compares the time and sleeps again for the rest. Nothing here knows the meaning of the bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from time import perf_counter

from anyio import BusyResourceError

TURN_S = 0.0015  # how long one task may keep the loop, in steps that take no longer than this themselves


class Waits:
    """What a stream waits for, and until when; at most one task for each."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._read_s = self._read_at = self._read_until = inf
        self._write_s = self._write_until = inf
        self._read_error: Callable[[], Exception] = TimeoutError
        self._write_error: Callable[[], Exception] = TimeoutError
        self._unsent = 0
        self._turn_began = 0.0  # when the task that reads here was woken last, by the clock of ``perf_counter``

    def now(self) -> float:
        """Return the time by the clock of the stream's loop."""
        return self._loop.time()

    def read_within(self, seconds: float, error: Callable[[], Exception]) -> None:
        """From now on each wait for bytes may last ``seconds``; then it raises what ``error`` makes."""
        self._read_s, self._read_at, self._read_error = seconds, inf, error

    def read_by(self, seconds: float, error: Callable[[], Exception]) -> None:
        """All waits for bytes, one that is going on included, must end within ``seconds`` from now, together."""
        self._read_s, self._read_at, self._read_error = inf, self._loop.time() + seconds, error
        if self._reader is not None:
            self._read_until = self._read_at
            self._arm(self._read_until)

    def write_within(self, seconds: float, error: Callable[[], Exception]) -> None:
        """From now on a peer that takes nothing at all for ``seconds`` makes a send raise what ``error`` makes."""
        self._write_s, self._write_error = seconds, error

    async def _until_readable(self) -> None:
        if self._reader is not None:
            raise BusyResourceError("receiving from")
        self._reader = self._loop.create_future()
        self._read_until = self._read_at if self._read_s == inf else self._loop.time() + self._read_s
        self._arm(self._read_until)
        try:
            await self._reader
        finally:
            self._reader, self._read_until = None, inf
            self._turn_began = perf_counter()

    @property
    def turn_is_over(self) -> bool:
        """True when the task that reads here has kept the loop long enough; waiting for bytes begins another turn."""
        return perf_counter() - self._turn_began > TURN_S

    async def _until_writable(self) -> None:
        if self._writer is not None:
            raise BusyResourceError("sending to")
        self._writer = self._loop.create_future()
        self._write_until = self._loop.time() + self._write_s
        self._unsent = self._transport.get_write_buffer_size() if self._transport else 0
        self._arm(self._write_until)
        try:
            await self._writer
        finally:
            self._writer, self._write_until = None, inf

    def _arm(self, until: float) -> None:
        """See to it that the timer fires no later than ``until``; one that fires too early arms itself anew."""
        if until != inf and (self._timer is None or self._timer.when() > until):
            self._disarm()
            self._timer = self._loop.call_at(until, self._on_timer)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        now = self._loop.time()
        if now >= self._write_until and self._transport is not None:
            left = self._transport.get_write_buffer_size()
            if left < self._unsent:  # slow is not stuck
                self._unsent, self._write_until = left, now + self._write_s
            else:
                fail(self._writer, self._write_error())
        if now >= self._read_until:
            fail(self._reader, self._read_error())
        until = min(x for x in (self._read_until, self._write_until, inf) if x > now)
        self._arm(until)


def wake(waiter: asyncio.Future[None] | None) -> None:
    """End a wait, if there is one that has not ended yet."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def fail(waiter: asyncio.Future[None] | None, error: Exception) -> None:
    """End a wait by an error, if there is one that has not ended yet."""
    if waiter is not None and not waiter.done():
        waiter.set_exception(error)
