"""Blocking calls with a deadline: each runs in a thread of its own, which is abandoned when the deadline passes.

The threads are daemons, so one that never returns does not delay the end of the process. The worker threads of anyio
and asyncio would.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import anyio
from anyio import to_thread

T = TypeVar("T")


class Overdue(Exception):
    """A call did not return within its deadline; its thread may still run."""


def call_within(seconds: float, function: Callable[[], T]) -> T:
    """Return what ``function`` returns, or raise what it raises. Blocks; signal handlers still run meanwhile.

    Errors: Overdue after ``seconds``.
    """
    results: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()
    start_thread(lambda: results.put(_outcome(function)))
    try:
        result = results.get(timeout=seconds)
    except queue.Empty:
        raise Overdue from None
    return result()


async def run_within(seconds: float, function: Callable[[], T], late: Callable[[], object] = lambda: None) -> T:
    """Return what ``function`` returns, or raise what it raises, without blocking the event loop.

    Errors: Overdue after ``seconds``. When overdue or cancelled, the call's thread runs on and its result is lost;
    ``late`` is called on the event loop when that thread ends.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Callable[[], T]] = loop.create_future()

    def settle(result: Callable[[], T]) -> None:
        if done.cancelled():
            late()
        else:
            done.set_result(result)

    def run() -> None:
        result = _outcome(function)
        with suppress(RuntimeError):  # the event loop has been closed
            loop.call_soon_threadsafe(settle, result)

    with anyio.move_on_after(seconds):
        async with to_thread.current_default_thread_limiter():
            start_thread(run)
            await done
    if done.done() and not done.cancelled():
        return done.result()()
    raise Overdue


def _outcome(function: Callable[[], T]) -> Callable[[], T]:
    """Call ``function``; return a function that returns or raises the same."""
    try:
        value = function()
    except BaseException as exc:
        error = exc

        def fail() -> T:
            raise error

        return fail
    return lambda: value


def start_thread(run: Callable[[], object]) -> None:
    """Run a function in a daemon thread."""
    threading.Thread(target=run, name="ampmap worker", daemon=True).start()
