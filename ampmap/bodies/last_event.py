"""Tell whether a stream has come to the event after which its reader needs no more. No bytes are held back.

Nothing is searched before :attr:`LastEvent.is_over` is asked for, so an event costs next to nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

ENDS: Final = (b"\n\n", b"\r\n\r\n")
"""The ends of events."""

_KEPT_BYTES: Final = 4096  # of the beginning, and of the end, of an event that is cut


class LastEvent:
    """Reads one stream, cut anywhere, and finds one of its last events.

    ``names`` are those events' types, the word in ``type`` of an event's JSON, or the whole data of an event.
    """

    __slots__ = ("_event", "_names", "_tail")

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._event = b""  # the last events, or the beginning of one that came in several pieces
        self._tail = b""  # the end of that one

    def feed(self, data: bytes) -> None:
        """Take the stream's next bytes; never raises."""
        if data.endswith(ENDS) and (not self._tail or self._tail.endswith(ENDS)):
            self._event, self._tail = data, b""
        else:
            self._gather(data)

    def _gather(self, data: bytes) -> None:
        if not self._event and not self._tail and data.startswith((b"{", b"[")):
            self._names = ()  # this is JSON, not a stream
        if not self._names:
            return
        end = max(data.rfind(b"\n\n", 0, -2), data.rfind(b"\n\r\n", 0, -3))
        if end >= 0 or not self._tail or self._tail.endswith(ENDS):
            self._event = self._tail = b""  # another event begins here
            data = data[end + 2 :] if end >= 0 else data
        if len(self._event) < _KEPT_BYTES:
            self._event += data[:_KEPT_BYTES]
        self._tail = (self._tail + data)[-_KEPT_BYTES:]

    @property
    def is_over(self) -> bool:
        """Whether the last bytes end a last event."""
        tail = self._tail or self._event
        pattern = _pattern(self._names)
        return bool(self._names) and tail.endswith(ENDS) and any(map(pattern.search, (self._event, tail)))


@lru_cache(maxsize=16)
def _pattern(names: tuple[str, ...]) -> re.Pattern[bytes]:
    """Return a pattern of the names. Within texts, quotes are escaped and no line begins."""
    either = b"|".join(re.escape(name.encode()) for name in names)
    return re.compile(rb'(?:"type"[ \t]*:[ \t]*"|(?:\A|[\r\n])data:[ \t]*)(?:%b)["\r\n]' % either)
