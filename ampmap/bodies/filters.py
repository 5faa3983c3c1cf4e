"""The interface of the filters that a reply's bytes pass through on their way to the client. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, cast


class ByteFilter(Protocol):
    """Changes one reply while it streams. Its output must not depend on where the bytes were cut into pieces."""

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and return those that can leave now; never raises."""
        ...

    def finish(self) -> bytes:
        """Return the bytes that are still held at the reply's end; called once, after the last ``feed``."""
        ...


class SlowFilter(ByteFilter, Protocol):
    """A filter that may have much work with a small piece, because the piece completes the bytes that it holds."""

    @property
    def is_loaded(self) -> bool:
        """Tell whether it holds so many bytes."""
        ...

    def steps(self, data: bytes) -> Iterator[bytes]:
        """Do as ``feed``, and yield the output in parts, between which other tasks can run."""
        ...


def slow(byte_filter: ByteFilter | None) -> SlowFilter | None:
    """Return a filter if it is a slow one, otherwise None."""
    # isinstance() is slow for a protocol.
    return cast(SlowFilter, byte_filter) if hasattr(byte_filter, "steps") else None


class Chain:
    """Two filters as one: the output of ``first`` is the input of ``then``."""

    def __init__(self, first: ByteFilter, then: ByteFilter) -> None:
        self._first = first
        self._then = then
        self._slow = slow(first)

    @property
    def is_loaded(self) -> bool:
        """Tell whether the first filter holds so many bytes that a small piece may be much work."""
        return self._slow is not None and self._slow.is_loaded

    def steps(self, data: bytes) -> Iterator[bytes]:
        """Do as ``feed``, in the steps of the first filter."""
        for piece in self._slow.steps(data) if self._slow else (self._first.feed(data),):
            yield self._then.feed(piece)

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and return those that can leave now; never raises."""
        return self._then.feed(self._first.feed(data))

    def finish(self) -> bytes:
        """Return the bytes that are still held at the reply's end."""
        return self._then.feed(self._first.finish()) + self._then.finish()
