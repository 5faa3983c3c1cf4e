"""Split an event stream into its events as the bytes arrive. Pure. Source: HTML §9.2.6.

More is accepted than the standard allows, because servers deviate from it: a line without a known field name is data,
and so is a body that is no event stream at all.
"""

from __future__ import annotations

import re
from typing import Final

from ..errors import UpstreamProtocolError

EVENT_BYTES: Final = 16 * 1024 * 1024
"""The longest event that is accepted."""

_LINE: Final = re.compile(rb"([^\r\n]*+)(?:\r\n|\n|\r)")
_FIELDS: Final = frozenset({b"data", b"event", b"id", b"retry"})
_LF, _CR = b"\n\r"  # as numbers, which ``in`` finds in a fifth of the time


Event = tuple[bytes, bytes]
"""An event: its name, empty if it has none, and its data. A comment has the name ``:`` and no data."""


class EventReader:
    """Reads a stream in pieces of any size and yields each event as soon as it is complete.

    ``held_bytes`` is the size of the incomplete event so far.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._name = b""
        self._data: list[bytes] = []
        self.held_bytes = 0
        self._began = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are complete with these bytes.

        Raises :class:`UpstreamProtocolError` for an event of more than EVENT_BYTES.
        """
        self.held_bytes += len(data)
        if self.held_bytes > EVENT_BYTES:
            raise UpstreamProtocolError(f"an event of its reply has more than {EVENT_BYTES} bytes")
        if _LF not in data and _CR not in data:
            self._held.append(data)  # a long line is joined once, not with each piece of it
            return []
        if self._held:
            self._held.append(data)
            data = b"".join(self._held)
        if not self._began:
            self._began = True
            data = data.removeprefix(b"\xef\xbb\xbf")
        events: list[Event] = []
        if _CR in data:
            # A search behind the last line would try every byte of what is there. The LF of a CR at the end may follow.
            at = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
            for found in _LINE.finditer(data, 0, at):
                self._line(found[1], events)
            self._held = [data[at:]]
            return events
        *lines, rest = data.split(b"\n")
        for line in lines:
            if not line:
                self._end(events)
            elif line.startswith(b"data: "):
                self._data.append(line[6:])
            else:
                self._line(line, events)
        self._held = [rest] if rest else []
        return events

    def finish(self) -> list[Event]:
        """Return what stands at the end of the stream without its blank line: many servers leave it out."""
        events: list[Event] = []
        if line := b"".join(self._held).removesuffix(b"\r"):
            self._held.clear()
            self._line(line, events)
        self._end(events)
        return events

    def _end(self, events: list[Event]) -> None:
        if self._data:
            events.append((self._name, b"\n".join(self._data)))
        self._name, self._data, self.held_bytes = b"", [], 0

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            self._end(events)
            return
        field, colon, content = line.partition(b":")
        if not field and colon:
            events.append((b":", b""))
        elif field == b"data" and colon:
            self._data.append(content.removeprefix(b" "))
        elif field == b"event":
            self._name = content.strip()
        elif field not in _FIELDS:  # JSON without a field's name, as some servers send errors
            self._data.append(line)
