"""Run long work on the event loop without blocking other requests."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from anyio.lowlevel import checkpoint

from ..bodies.steps import Steps

_TURN_S: Final = 0.001
_T = TypeVar("_T")


async def in_turns(steps: Steps[_T], *, makes_many: bool = False, is_small: bool = False) -> _T:
    """Run ``steps`` to its end and return its result; other tasks run after each millisecond of CPU time.

    ``is_small``: what the task did before, and most likely the steps, take little time; otherwise other tasks run after
    the first step. ``makes_many``: the steps make many objects and keep few, so the garbage collector is off meanwhile.
    Raises what ``steps`` raises. Cancelling ends it between two steps.
    """
    if makes_many:
        with _uncollected():
            return await in_turns(steps)
    began = time.thread_time() if is_small else 0.0  # in the past: the task may have worked before
    rested = False
    while True:
        try:
            next(steps)
        except StopIteration as done:
            if rested:  # long work was done: let other tasks run before the caller goes on
                await checkpoint()
            return done.value  # type: ignore[no-any-return]  # typeshed has no type for it
        except Exception:
            if rested:  # what was read is freed with the exception
                await checkpoint()
            raise
        if time.thread_time() - began > _TURN_S:
            await checkpoint()
            rested = True
            began = time.thread_time()


_uncollected_turns = 0


@contextmanager
def _uncollected() -> Iterator[None]:
    """Turn the garbage collector off, which would search all objects of a large body again and again."""
    global _uncollected_turns
    if not _uncollected_turns and not gc.isenabled():  # the program has turned it off
        yield
        return
    _uncollected_turns += 1
    gc.disable()
    try:
        yield
    finally:
        _uncollected_turns -= 1
        if not _uncollected_turns:
            gc.enable()
