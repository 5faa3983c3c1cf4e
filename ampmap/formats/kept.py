"""A limit on the bytes that readers and writers keep of a reply until its end. Pure."""

from __future__ import annotations

from typing import Any, Final

from ..bodies.event_stream import EVENT_BYTES
from ..errors import UpstreamProtocolError

PART_BYTES: Final = 16 * 1024
"""The count for a call, an item or a source beside its text, so that no reply makes us keep more than 1,024 of them."""


ARGUMENTS_CHARS: Final = 1024 * 1024
"""The longest arguments of one call; the models of today write half of that in one reply."""

PARTS: Final = 1024
"""The most parts, calls or sources in one place of a reply that is read at once."""


def few(value: Any, what: str, most: int = PARTS) -> list[Any]:
    """Return a list, an empty one for any other value. Raises :class:`UpstreamProtocolError` beyond ``most``."""
    if isinstance(value, list) and len(value) > most:
        raise UpstreamProtocolError(f"an event of its reply has more than {most} {what}")
    return value if isinstance(value, list) else []


def arguments_in(pieces: list[str]) -> str:
    """Return the arguments of a call. Raises :class:`UpstreamProtocolError` beyond ARGUMENTS_CHARS."""
    if sum(map(len, pieces)) > ARGUMENTS_CHARS:
        raise UpstreamProtocolError(f"the arguments of a call of its reply have more than {ARGUMENTS_CHARS} characters")
    return "".join(pieces)


class Kept:
    """Counts the bytes that are kept of one reply."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, count: int) -> None:
        """Count more bytes. Raises :class:`UpstreamProtocolError` once they are more than EVENT_BYTES."""
        self._bytes += count
        if self._bytes > EVENT_BYTES:
            raise UpstreamProtocolError(f"its reply needs more than {EVENT_BYTES} bytes to be kept until its end")
