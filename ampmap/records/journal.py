"""The journal logs each record, counts it, and keeps the last ones for the pages under ``/_ampmap/``.

All counts come from the records, so the log, ``/_ampmap/status``, ``/_ampmap/metrics`` and ``/_ampmap/requests`` cannot
disagree.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, deque
from collections.abc import Callable

from ..errors import ClientGone
from .histograms import Timings
from .record import TEXT_CHARS, Record
from .tokens import OTHER, TokenCounts

_log = logging.getLogger("ampmap.access")
RECENT = 200  # records kept for the pages

# Clients choose these names, so their number is bounded.
_UNCOVERED_NAMES = 1000
_LOST_NAMES = 100

_OWN = ("LOCAL_PROVIDER", "MODEL_MAPPING")
_MODEL_ROUTES = (*_OWN, "AMP_CREDITS")
_UNCOVERED = ("AMP_CREDITS", "NO_PROVIDER", "REJECTED")  # REJECTED with a model: the policy refused to spend credits
_MEMBER = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_TOOL_NAME = re.compile(r"\[.*\]?")


class _Entry(logging.LogRecord):
    settled = True  # the record will not change, so the log writer may format it later


def _entry(record: Record, level: int) -> logging.LogRecord:
    """Do as ``Logger.makeRecord``, without looking up the caller, the process and the thread."""
    if logging.getLogRecordFactory() is not logging.LogRecord:  # an embedding program has set its own
        return _log.makeRecord(_log.name, level, "", 0, "%s", (record,), None)
    entry = _Entry.__new__(_Entry)
    ended = record.time + record.duration_ms / 1e3
    entry.__dict__.update(
        _ENTRY, levelno=level, levelname=logging.getLevelName(level), args=(record,), created=ended,
        msecs=ended % 1 * 1e3, relativeCreated=(ended - _ENTRY["created"]) * 1e3,
    )  # fmt: skip
    return entry


_ENTRY = logging.LogRecord(_log.name, logging.INFO, "", 0, "%s", (), None).__dict__


class Journal:
    """Logs records, counts them and keeps the last ones."""

    def __init__(self) -> None:
        self.recent: deque[Record] = deque(maxlen=RECENT)
        self.requests: Counter[tuple[str, str, str, int, str]] = Counter()  # route, provider, protocol, status, outcome
        self.timings: dict[tuple[str, str], Timings] = {}  # by route type and provider
        self.translated: Counter[str] = Counter()  # by the two formats, as in records
        self.lost: Counter[str] = Counter()  # by the member that a translation could not carry
        self.uncovered: Counter[str] = Counter()  # by the name of a model that no provider lists
        self.uncovered_in: dict[str, str] = {}  # the protocol of the last request for each of these names
        self.rule_hits: Counter[str] = Counter()  # by the rule's place
        self.rule_used: dict[str, float] = {}  # the last use by the rule's place, in seconds since 1970
        self.tokens = TokenCounts()
        self.avoided = 0  # requests of Amp's clients that the user's providers served, so without credits
        self.bytes_in = 0
        self.bytes_out = 0
        self.written = 0
        self.streams: dict[int, Record] = {}  # model requests whose reply is under way, by the record's id()
        self.listeners: list[Callable[[Record], None]] = []  # called with each record that is written
        self.stream_listeners: list[Callable[[Record], None]] = []  # called with each record added to ``streams``

    def begin(self, record: Record) -> None:
        """Add a model's reply to ``streams``, until its record is written; called as its first bytes leave."""
        if record.route_type in _MODEL_ROUTES and record.status < 400:
            self.streams[id(record)] = record
            for listener in self.stream_listeners:
                listener(record)

    def write(self, record: Record) -> None:
        """Log, count and keep ``record``; it must not be changed afterwards."""
        record.duration_ms = record.since_start_ms()
        record.path, record.detail = record.path[:TEXT_CHARS], record.detail[:TEXT_CHARS]
        record.method = record.method[:TEXT_CHARS]
        self.recent.append(record)
        self.written += 1
        self.streams.pop(id(record), None)
        kind, by = record.route_type, record.provider
        self.requests[kind, by, record.protocol, record.status, record.outcome] += 1
        timings = self.timings.get((kind, by))
        if timings is None:
            timings = self.timings[kind, by] = Timings()
        timings.add(record)
        if record.translated:
            self.translated[record.translated] += 1
        if record.lost:
            self._count_lost(record.lost)
        if record.cost == "own" and record.status < 400 and record.path.startswith("/api/provider/"):
            self.avoided += 1
        self.bytes_in += record.bytes_in
        self.bytes_out += record.bytes_out
        self.tokens.add(record)
        if record.requested_model and not record.covered and record.route_type in _UNCOVERED:
            if len(self.uncovered) < _UNCOVERED_NAMES or record.requested_model in self.uncovered:
                self.uncovered[record.requested_model] += 1
                self.uncovered_in[record.requested_model] = record.protocol
        if record.rule:
            self.rule_hits[record.rule] += 1
            self.rule_used[record.rule] = record.time
        for listener in self.listeners:
            listener(record)
        if _log.isEnabledFor(level := record.level):
            _log.handle(_entry(record, level))

    def _count_lost(self, lost: str) -> None:
        """Count each lost member once; names that a client made up are counted as OTHER."""
        for name in {_TOOL_NAME.sub("[]", each) for each in lost.split(", ")}:
            is_counted = name in self.lost or (len(self.lost) < _LOST_NAMES and _MEMBER.fullmatch(name))
            self.lost[name if is_counted else OTHER] += 1

    @property
    def own(self) -> int:
        """How many requests the user's own providers have served."""
        return sum(count for (route, _, _, status, _), count in self.requests.items() if route in _OWN and status < 400)

    @property
    def paid(self) -> int:
        """How many requests spent Amp credits, including those whose client left: Amp had begun to work on them."""
        return sum(
            count
            for (route, _, _, status, _), count in self.requests.items()
            if route == "AMP_CREDITS" and (status < 400 or status == ClientGone.status)
        )
