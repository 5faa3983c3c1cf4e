"""A limit on the bytes that readers and writers keep of a reply until its end. Pure."""

from __future__ import annotations

from typing import Final

from ..bodies.event_stream import EVENT_BYTES
from ..errors import UpstreamProtocolError

PART_BYTES: Final = 16 * 1024
"""The count for a call, an item or a source beside its text, so that no reply makes us keep more than 1,024 of them."""


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
