"""What a client has been given of a reply's body."""

from __future__ import annotations

from ..bodies.last_event import ENDS, LastEvent
from ..formats.registry import FORMATS
from ..records.record import Record


class Given(LastEvent):
    """Counts the bytes of one reply in the record, and knows whether a stream's last event is among them."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        super().__init__(FORMATS[record.protocol].last_events if record.protocol else ())
        self._record = record

    def note(self, data: bytes) -> None:
        """Take the next bytes that the client gets."""
        self._record.bytes_out += len(data)
        if not self._tail and data.endswith(ENDS):  # as feed does: a call for each event less
            self._event = data
        else:
            self.feed(data)
