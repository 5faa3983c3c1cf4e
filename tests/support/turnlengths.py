"""How long a turn of the event loop, or a step of long work, takes: CPU time of this thread, the best of some tries.

Another program on the machine, or a collection of this one's garbage, makes a turn longer and never shorter. So a
bound holds if it holds once.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

TRIES = 8
SLOWED = 1.0 if sys.gettrace() is None else 4.0  # coverage's tracer makes a step up to three times as long


class BestOf:
    """Some tries, until one is within the bound: ``for _ in best: best.add(seconds)``; then ``best.holds``."""

    def __init__(self, bound_s: float, tries: int = TRIES) -> None:
        self.seconds = float("inf")
        self._bound_s = bound_s * SLOWED
        self._tries = tries

    def __iter__(self) -> Iterator[int]:
        for number in range(self._tries):
            if not self.holds:
                yield number

    @property
    def holds(self) -> bool:
        """Whether the best try was within the bound."""
        return self.seconds <= self._bound_s

    def add(self, seconds: float) -> None:
        """Note how long the longest turn of a try took."""
        self.seconds = min(self.seconds, seconds)


def steps_of(work: Iterator[object]) -> tuple[list[float], Any]:
    """Take all steps of some work; return how long each took, and what the work returned or raised."""
    took: list[float] = []
    result: Any = None
    is_over = False
    while not is_over:
        began = time.thread_time()
        try:
            next(work)
        except StopIteration as done:
            is_over, result = True, done.value
        except Exception as exc:
            is_over, result = True, exc
        took.append(time.thread_time() - began)
    return took, result


@asynccontextmanager
async def turns() -> AsyncIterator[list[float]]:
    """Note how long each turn of the event loop takes: all its callbacks, those of the tests' peers as well."""
    took: list[float] = []
    gc.collect()
    gc.freeze()  # as ``serve`` does: collections pass over what is there before

    async def tick() -> None:
        before = time.thread_time()
        while True:
            await checkpoint()
            now = time.thread_time()
            took.append(now - before)
            before = now

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        yield took
        group.cancel_scope.cancel()
