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
from typing import TypeVar, TypeVarTuple, Unpack

import pytest
from anyio import to_thread

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_QUIET_S = 0.0003  # of real time without an event, after which the clock moves
_STEP_S = 1.0  # what it moves at most: a long deadline takes as many quiet moments as it has seconds


def on_quick_clock(debug: bool = True) -> pytest.MarkDecorator:
    """Have a test run on a :class:`QuickLoop`: nothing that a machine is busy with makes a deadline of it pass."""
    backend = "asyncio", {"debug": debug, "loop_factory": QuickLoop}
    return pytest.mark.parametrize("anyio_backend", [backend], ids=["quick"])


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
        time.sleep(_QUIET_S)
        if (events := super().select(0)) or self.busy():
            return events
        self.now += min(timeout, _STEP_S)
        return []


class QuickLoop(asyncio.SelectorEventLoop):
    """The loop: its clock starts at 0, and stands still while a thread works for it."""

    def __init__(self) -> None:
        self._quick = _Selector()
        self._quick.busy = self._has_job
        self._running_jobs = 0
        super().__init__(self._quick)

    def time(self) -> float:
        """Return the clock's reading in seconds."""
        return self._quick.now

    def _has_job(self) -> bool:
        return self._running_jobs > 0 or any("look-up" in thread.name for thread in threading.enumerate())

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Run ``func`` in a thread as always."""
        future = super().run_in_executor(executor, func, *args)
        self._running_jobs += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: object) -> None:
        self._running_jobs -= 1

    def mind_threads(self) -> None:
        """Stand still for anyio's threads as well; to be called where anyio runs."""
        limiter = to_thread.current_default_thread_limiter()
        self._quick.busy = lambda: self._has_job() or limiter.borrowed_tokens > 0
