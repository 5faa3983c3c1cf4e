"""Long work in steps: a generator that yields where other tasks may run, and returns its result. Pure."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, TypeVar

_FREED: Final = 32  # in one step; each may have many of its own
_T = TypeVar("_T")
Steps = Generator[None, None, _T]
"""A step must take only a few milliseconds, however hostile the bytes."""


def freed(*lists: list[Any]) -> Steps[None]:
    """Empty lists in steps, because to free many objects at once would block the event loop."""
    for each in lists:
        while each:
            del each[-_FREED:]
            yield


def finished(steps: Steps[_T]) -> _T:
    """Run all steps without a pause and return the result: for small bodies, and for commands."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # typeshed has no type for it
