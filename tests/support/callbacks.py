"""How long each callback of an event loop takes, in CPU time of its thread: what a hostile peer can make it hold.

Callbacks are the steps of tasks, and what transports call of a protocol; timers of this program do next to nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ampmap.net.client_stream import ClientStream
from ampmap.net.stream import Stream

_T = TypeVar("_T")


@dataclass(slots=True)
class Callbacks:
    """What was measured."""

    count: int = 0
    longest: list[tuple[float, str]] = field(default_factory=list)  # in seconds, the longest first

    def timed(self, name: str, call: Callable[[], _T]) -> _T:
        """Call, and note how long that took."""
        began = time.thread_time()
        try:
            return call()
        finally:
            self.count += 1
            self.longest.append((time.thread_time() - began, name))
            if len(self.longest) > 100:
                self.longest = sorted(self.longest, reverse=True)[:20]

    @property
    def worst(self) -> tuple[float, str]:
        return max(self.longest)


class _Steps(Coroutine[Any, Any, _T]):
    """A coroutine whose steps are timed."""

    def __init__(self, callbacks: Callbacks, inner: Coroutine[Any, Any, _T]) -> None:
        self._callbacks = callbacks
        self._inner = inner
        self.__name__ = self.__qualname__ = getattr(inner, "__qualname__", "?")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __await__(self) -> Any:
        return self._inner.__await__()

    def send(self, value: Any) -> Any:
        return self._callbacks.timed(self.__name__, lambda: self._inner.send(value))

    def throw(self, *args: Any) -> Any:
        return self._callbacks.timed(self.__name__, lambda: self._inner.throw(*args))

    def close(self) -> None:
        self._inner.close()


@contextmanager
def watched(loop: asyncio.AbstractEventLoop) -> Iterator[Callbacks]:
    """Time the callbacks of ``loop``: of tasks that are made from now on, and of all streams."""
    callbacks = Callbacks()
    before = {cls: cls.buffer_updated for cls in (Stream, ClientStream)}

    def factory(
        loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, _T], context: Context | None = None, **more: Any
    ) -> asyncio.Task[_T]:
        return asyncio.Task(_Steps(callbacks, coro), loop=loop, context=context, **more)

    def timed(original: Callable[[Any, int], None]) -> Callable[[Any, int], None]:
        return lambda stream, nbytes: callbacks.timed("buffer_updated", lambda: original(stream, nbytes))

    loop.set_task_factory(factory)  # type: ignore[arg-type]  # typeshed wants to know of eager tasks
    for cls, original in before.items():
        cls.buffer_updated = timed(original)  # type: ignore[method-assign, assignment]
    try:
        yield callbacks
    finally:
        for cls, original in before.items():
            cls.buffer_updated = original  # type: ignore[method-assign]
        loop.set_task_factory(None)
