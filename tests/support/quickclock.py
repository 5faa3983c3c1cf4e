"""An event loop whose clock stands still while anything happens, and jumps on when nothing does.

Deadlines of minutes pass in milliseconds, and none of them because a machine was busy: a second of this clock means
that all bytes on their way have arrived and every task waits. So ``sleep`` is a barrier here, not a hope.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar, TypeVarTuple, Unpack

import pytest
import uvloop
from anyio import CapacityLimiter, to_thread
from bothloops import CheckedLoop

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_QUIET_S = 0.0003  # of real time without an event, after which the clock moves
_BUSY_S = 0.002  # a quiet moment does not count if it took longer: a busy kernel may not have handed on all bytes
_BUSY_TRIES = 10
_UV_TICK_S = 0.001
_UV_BUSY_S = 0.005
_UV_QUIET_TICKS = 4  # ticks in a row between which nobody was woken; libuv polls once between two
_STEP_S = 1.0  # what it moves at most: a long deadline takes as many quiet moments as it has seconds


def on_quick_clock(debug: bool = True) -> pytest.MarkDecorator:
    """Have a test run on a :class:`QuickLoop`: nothing that a machine is busy with makes a deadline of it pass."""
    backend = "asyncio", {"debug": debug, "loop_factory": QuickLoop}
    return pytest.mark.parametrize("anyio_backend", [backend], ids=["quick"])


def on_both_quick_clocks(debug: bool = True) -> pytest.MarkDecorator:
    """Have a test run on a :class:`QuickLoop` and on a :class:`QuickUvLoop`."""
    backends = [("asyncio", {"debug": debug, "loop_factory": QuickLoop}), ("asyncio", {"loop_factory": QuickUvLoop})]
    return pytest.mark.parametrize("anyio_backend", backends, ids=["quick", "quick-uvloop"])


class _Selector(selectors.DefaultSelector):
    """Waits for files as its base does, and moves the clock instead of waiting for time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.busy: Callable[[], bool] = bool

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if events := super().select(0):
            return events
        for _ in range(_BUSY_TRIES):
            began = time.monotonic()
            time.sleep(_QUIET_S)
            if time.monotonic() - began < _BUSY_S:
                break
        is_busy = self.busy()  # before the look: what a thread has just done has an event by now
        if (events := super().select(0)) or is_busy:
            return events
        self.now += min(timeout, _STEP_S)
        return []


_UvLoop: Any = uvloop.Loop


class _Jobs:
    """What threads do for a loop."""

    def __init__(self) -> None:
        self.running = 0
        self._limiter: CapacityLimiter | None = None

    def mind_threads(self) -> None:
        """Count anyio's threads as well; to be called where anyio runs."""
        self._limiter = to_thread.current_default_thread_limiter()

    def add(self, future: asyncio.Future[Any]) -> None:
        """Count a job until it is done."""
        self.running += 1
        future.add_done_callback(self._done)

    def _done(self, _: object) -> None:
        self.running -= 1

    def are_done(self) -> bool:
        """Tell whether no thread works for the loop."""
        if self.running or (self._limiter is not None and self._limiter.borrowed_tokens):
            return False
        names = [thread.name for thread in threading.enumerate()]
        return not any("ampmap look-up" in name or name == "ampmap worker" for name in names)


class QuickLoop(CheckedLoop):
    """asyncio's loop: its clock starts at 0, and stands still while a thread works for it."""

    def __init__(self) -> None:
        self._quick = _Selector()
        self.jobs = _Jobs()
        super().__init__(self._quick)
        self._quick.busy = lambda: not self.jobs.are_done()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Run ``func`` in a thread as always."""
        future = super().run_in_executor(executor, func, *args)
        self.jobs.add(future)
        return future

    def time(self) -> float:
        """Return the clock's reading in seconds."""
        return self._quick.now


class QuickUvLoop(_UvLoop):  # type: ignore[misc]  # no subclass fits uvloop's own types
    """uvloop's: its timers are kept here, and the clock moves when no task was woken for a while.

    What libuv waits for can't be seen from outside. So a quiet moment is some ticks of a millisecond, libuv's own unit,
    and the clock takes longer steps.
    """

    _UV_STEP_S = 10.0

    def __init__(self) -> None:
        self._now = 0.0
        self._wakes = self._wakes_before = 0
        self._quiet_ticks = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._ticking = False
        self._ticked_at = 0.0
        self.jobs = _Jobs()
        super().__init__()

    def run_in_executor(self, executor: Executor | None, func: Callable[..., object], *args: Any) -> Any:
        """Run ``func`` in a thread as always."""
        future = super().run_in_executor(executor, func, *args)
        self.jobs.add(future)
        return future

    def time(self) -> float:
        """Return the clock's reading in seconds."""
        return self._now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        """Call soon as always; somebody has something to do."""
        self._wakes += 1
        return super().call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call when the clock has gone on by ``delay``."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call when the clock says ``when``."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), handle))
        if not self._ticking:
            self._ticking = True
            super().call_later(_UV_TICK_S, self._tick)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave a cancelled handle where it is: it is passed over."""

    def _tick(self) -> None:
        while self._timers and self._timers[0][2].cancelled():
            heappop(self._timers)
        ticked_at, self._ticked_at = self._ticked_at, time.monotonic()
        quiet = self._wakes == self._wakes_before and self.jobs.are_done()
        counts = 1 / _BUSY_TRIES if self._ticked_at - ticked_at > _UV_BUSY_S else 1
        self._quiet_ticks = self._quiet_ticks + counts if quiet else 0.0
        self._wakes_before = self._wakes
        if self._timers and self._quiet_ticks >= _UV_QUIET_TICKS:
            self._quiet_ticks = 0.0
            self._now = max(self._now, min(self._timers[0][0], self._now + self._UV_STEP_S))
        while self._timers and self._timers[0][0] <= self._now:
            handle = heappop(self._timers)[2]
            if not handle.cancelled():
                handle._run()
        self._ticking = bool(self._timers)
        if self._ticking:
            super().call_later(_UV_TICK_S, self._tick)
