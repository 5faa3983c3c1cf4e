"""``/_ampmap/events``: records and the status as server-sent events (HTML Standard §9.2).

=========== ============================================================ ====================
event       data                                                         id
=========== ============================================================ ====================
``record``  a record, as in ``/_ampmap/requests``, when its request ends ``START-NUMBER``
``stream``  a record, when the reply to its model request begins         none
``status``  ``/_ampmap/status`` without models' names: at the start, and that of the last
            within a second of a record, of a stream that begins, of a   record
            reload, or of a change in providers' availability; changes
            of other numbers alone send none
``dropped`` ``{"records": NUMBER}``: the reader was too slow, and that   none
            many are lost; streams under way and kept records follow
=========== ============================================================ ====================

A comment is sent after 15 s of silence. A new reader gets the streams under way first. With ``Last-Event-ID`` it also
gets the kept records after that one; with an id of another process, all kept records.

A slow reader delays nobody: records wait for it as objects, and when too many wait, they are dropped and replaced by
those that the journal keeps. The reader's own task makes the JSON, a few events at a time.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from ..proxy.state import Service
from ..proxy.turns import in_turns
from ..records.journal import RECENT
from ..records.record import Record
from ..routing.snapshot import Availability
from .pages import status_of

MAX_READERS = 16
_WAITING = 512  # the most events that wait for one reader
_BATCH = 32  # events that are made JSON before other tasks run
_STATUS_S = 1.0  # the least time between two
_SILENCE_S = 15.0  # before a comment is sent
_ID = re.compile(rb"([0-9a-f]+)-([0-9]{1,15})")


class Events:
    """The readers of one proxy's events."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.start = b"%x" % time.time_ns()
        self.ended = False
        self._readers: set[Reader] = set()
        service.journal.listeners.append(self._add_record)
        service.journal.stream_listeners.append(self._add_stream)

    def listen(self, last_id: bytes | None) -> Reader | None:
        """Return a new reader, which the caller must close; None if there are MAX_READERS."""
        if len(self._readers) >= MAX_READERS:
            return None
        reader = Reader(self, last_id)
        self._readers.add(reader)
        return reader

    def end(self) -> None:
        """End all readers, and any new one: the proxy drains."""
        self.ended = True
        for reader in self._readers:
            reader.on_end()
            reader.wake()

    def forget(self, reader: Reader) -> None:
        """Stop collecting events for a reader."""
        self._readers.discard(reader)

    def _add_record(self, record: Record) -> None:
        for reader in self._readers:
            reader.add(self.service.journal.written, record)

    def _add_stream(self, record: Record) -> None:
        for reader in self._readers:
            reader.add(None, record)


class Reader:
    """The events for one reader, as pieces of a body; the iteration ends when the proxy drains."""

    def __init__(self, events: Events, last_id: bytes | None) -> None:
        self.on_end: Callable[[], None] = lambda: None
        self._events = events
        self.waiting: deque[tuple[int | None, Record]] = deque()  # records with their numbers; None for a stream
        self._dropped = False
        self._wake = anyio.Event()
        self._silent_since = self._status_at = -inf
        self._available: Availability | None = None  # in the last status
        self._counts: tuple[object, ...] = ()  # in the last status
        written = events.service.journal.written
        self._sent = written  # the number of the last record that was sent, or that the reader does not want
        if last_id is not None:
            found = _ID.fullmatch(last_id)
            self._sent = min(int(found[2]), written) if found and found[1] == events.start else 0
        self._fill()

    def add(self, number: int | None, record: Record) -> None:
        """Queue a record; ``number`` None means that its stream begins."""
        if len(self.waiting) >= _WAITING:
            self.waiting.clear()
            self._dropped = True
        if not self._dropped:
            self.waiting.append((number, record))
        self.wake()

    def wake(self) -> None:
        """Wake the iteration, because something has changed."""
        self._wake.set()

    def close(self) -> None:
        """Stop collecting events."""
        self._events.forget(self)

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        await checkpoint()
        while not self._events.ended:
            self._wake = anyio.Event()
            now = anyio.current_time()
            if piece := await self._status(now) or self._next_batch():
                self._silent_since = now
                return piece
            if now - self._silent_since >= _SILENCE_S:
                self._silent_since = now
                return b":\n\n"
            due = self._status_at + _STATUS_S - now
            with anyio.move_on_after(due if due > 0 else _STATUS_S):
                await self._wake.wait()
        raise StopAsyncIteration

    def _fill(self) -> int:
        """Queue the streams under way and the kept records that were not sent; return how many are no longer kept."""
        journal = self._events.service.journal
        lost = journal.written - len(journal.recent)  # the number of the last record that is no longer kept
        streams = list(journal.streams.values())[-RECENT:]
        self.waiting.extend((None, record) for record in streams)
        self.waiting.extend(item for item in enumerate(journal.recent, lost + 1) if item[0] > self._sent)
        return max(lost - self._sent, 0)

    async def _status(self, now: float) -> bytes:
        """Return the status if it has changed and the last one was sent at least _STATUS_S ago."""
        if now - self._status_at < _STATUS_S:
            return b""
        service, journal = self._events.service, self._events.service.journal
        available = service.availability()  # the same object as long as nothing changes
        counts = journal.written, len(journal.streams), service.snapshot.generation, service.reload.failed_at
        if available is self._available and counts == self._counts:
            return b""
        self._status_at, self._available, self._counts = now, available, counts
        status = await in_turns(status_of(service, brief=True))
        return self._id() + _event("status", status)

    def _next_batch(self) -> bytes:
        """Return the next waiting events, at most _BATCH."""
        pieces = []
        if self._dropped:
            self._dropped = False
            pieces.append(_event("dropped", {"records": self._fill()}))
        for _ in range(min(len(self.waiting), _BATCH)):
            number, record = self.waiting.popleft()
            if number is None:
                pieces.append(_event("stream", record.fields()))
            else:
                self._sent = number
                pieces += self._id(), _event("record", record.fields())
        return b"".join(pieces)

    def _id(self) -> bytes:
        return b"id: %b-%d\n" % (self._events.start, self._sent)


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps(data, separators=(",", ":")).encode())
