"""One record for each request, written at its end; what was counted; the last records for a look from outside.

A record holds no body, no credential and no query; what a client wrote is escaped where it is shown. Numbers are read
from the record, so the log, ``/_ampmap/metrics`` and ``/_ampmap/requests`` can't disagree.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from random import getrandbits
from typing import Any

from ..errors import ClientGone, Outcome
from ..escaping import printable

_log = logging.getLogger("ampmap.access")
RECENT = 200  # records kept for a look from outside
_UNCOVERED_NAMES = 1000  # clients choose these names, so their number is bounded
_TEXT_CHARS = 1024  # of what a client wrote; a path may fill a whole head


@dataclass(slots=True)
class Record:
    """What happened to one request. Filled in as it goes, then handed to :meth:`Journal.write` once."""

    request_id: str = field(default_factory=lambda: f"{getrandbits(32):08x}")
    started: float = field(default_factory=time.perf_counter, repr=False)
    time: float = field(default_factory=time.time)
    route_type: str = "REJECTED"
    requested_model: str = ""
    resolved_model: str = ""
    provider: str = ""
    protocol: str = ""
    rule: str = ""
    cost: str = "none"
    source: str = "error"
    mapping: str = ""
    method: str = ""
    path: str = ""
    status: int = 0
    outcome: Outcome = "ok"
    attempts: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    ttfb_ms: float | None = None
    duration_ms: float = 0.0
    overhead_ms: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    generation: int = 0
    detail: str = ""
    hint: str = ""
    covered: bool = False  # a provider lists the model, whether or not it served this request

    def since_start_ms(self) -> float:
        """Return the milliseconds since the request's head was complete."""
        return (time.perf_counter() - self.started) * 1e3

    @property
    def level(self) -> int:
        """Return the level at which this record is logged: credits, failures and unserved models are worth a look."""
        failed = self.status >= 500 or self.outcome in ("upstream_truncated", "upstream_error", "timeout")
        if self.hint or failed or self.route_type == "NO_PROVIDER":
            return logging.WARNING
        return logging.INFO

    def fields(self) -> dict[str, Any]:
        """Return the record under the names of the contract; text is escaped, what is unknown is left out."""
        shown: dict[str, Any] = {
            "time": shown_time(self.time),
            "level": _level_name(self.level),
            "component": _COMPONENT,
        }
        for name, content in zip(_SHOWN, _contents(self), strict=True):
            if isinstance(content, str):
                if content or name in _ALWAYS:
                    shown[name] = printable(content[:_TEXT_CHARS])
            elif isinstance(content, float):
                shown[name] = round(content, 3)
            elif content is not None:
                shown[name] = content
        return shown

    def __str__(self) -> str:
        """Show the record as one line: time, level, status and kind, then every other field by name, texts first."""
        line = (
            f"{shown_time(self.time)} {_level_name(self.level):<7} status={self.status} route_type={self.route_type}"
            f" request_id={self.request_id} {_texts_shown(_texts_of(self))} attempts={self.attempts}"
            f" bytes_in={self.bytes_in} bytes_out={self.bytes_out} duration_ms={self.duration_ms:.3f}"
            f" overhead_ms={self.overhead_ms:.3f} generation={self.generation}"
        )
        for name in _AT_TIMES:
            if content := getattr(self, name):
                line += f" {name}={content:.3f}" if isinstance(content, float) else f" {name}={_quoted(str(content))}"
        return line


_COMPONENT = "amp-routing"
_UNCOVERED = ("AMP_CREDITS", "NO_PROVIDER", "REJECTED")  # a rejected request has a model where credits were refused
_ALWAYS = ("route_type", "requested_model", "cost", "source", "path", "method", "outcome")
_SHOWN = (
    "request_id", "route_type", "requested_model", "resolved_model", "provider", "protocol", "rule", "cost", "source",
    "mapping", "path", "method", "status", "outcome", "attempts", "bytes_in", "bytes_out", "ttfb_ms", "duration_ms",
    "overhead_ms", "input_tokens", "output_tokens", "generation", "detail", "hint",
)  # fmt: skip
_contents = attrgetter(*_SHOWN)
_TEXTS = (
    "requested_model", "resolved_model", "provider", "protocol", "rule", "cost", "source", "mapping", "path", "method",
    "outcome",
)  # fmt: skip
_texts_of = attrgetter(*_TEXTS)
_AT_TIMES = ("ttfb_ms", "input_tokens", "output_tokens", "detail", "hint")
_PLAIN = re.compile(r"[!#-<>-~]+")


def shown_time(seconds: float) -> str:
    """Show seconds since 1970 as RFC 3339 has it, in UTC and to the millisecond."""
    whole, millis = divmod(int(seconds * 1e3), 1000)
    return f"{_shown_second(whole)}.{millis:03}Z"


@lru_cache(maxsize=4)
def _shown_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def _texts_shown(contents: tuple[str, ...]) -> str:
    return (_recalled_texts if sum(map(len, contents)) <= _TEXT_CHARS else _shown_texts)(contents)


def _shown_texts(contents: tuple[str, ...]) -> str:
    shown = [f"component={_COMPONENT}"]
    for name, content in zip(_TEXTS, contents, strict=True):
        if content or name in _ALWAYS:
            shown.append(f"{name}={_quoted(content)}")
    return " ".join(shown)


_recalled_texts = lru_cache(maxsize=256)(_shown_texts)  # most requests of an agent differ in numbers alone


def _quoted(content: str) -> str:
    """Show a text as one word: as it is, or in quotes where a blank or a sign would make it look like more."""
    if _PLAIN.fullmatch(content):
        return content[:_TEXT_CHARS]
    shown = printable(content[:_TEXT_CHARS])
    return json.dumps(shown, ensure_ascii=False) if not shown or any(c in shown for c in ' "=') else shown


def _level_name(level: int) -> str:
    return "info" if level == logging.INFO else "warning"


class _Entry(logging.LogRecord):
    settled = True  # the record that it shows will not change: whoever writes the log may take its time


def _entry(record: Record, level: int) -> logging.LogRecord:
    """Make what ``Logger.log`` would, but for looking up who called, and which process and thread this is."""
    if logging.getLogRecordFactory() is not logging.LogRecord:  # a program that embeds the proxy has its own
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
    """Writes records, counts them and keeps the last ones."""

    def __init__(self) -> None:
        self.recent: deque[Record] = deque(maxlen=RECENT)
        self.requests: Counter[tuple[str, int, str]] = Counter()
        self.uncovered: Counter[str] = Counter()
        self.uncovered_in: dict[str, str] = {}  # the protocol in which each of these names was asked for last
        self.rule_hits: Counter[str] = Counter()  # by the place of the rule
        self.rule_used: dict[str, float] = {}  # when each was used last, in seconds since 1970
        self.avoided = 0  # served locally where Amp's clients ask, so without credits
        self.bytes_in = 0
        self.bytes_out = 0

    def write(self, record: Record) -> None:
        """Log, count and keep ``record``; it must not be changed afterwards."""
        record.duration_ms = record.since_start_ms()
        record.path, record.detail = record.path[:_TEXT_CHARS], record.detail[:_TEXT_CHARS]
        record.method = record.method[:_TEXT_CHARS]
        self.recent.append(record)
        self.requests[record.route_type, record.status, record.outcome] += 1
        if record.cost == "own" and record.status < 400 and record.path.startswith("/api/provider/"):
            self.avoided += 1
        self.bytes_in += record.bytes_in
        self.bytes_out += record.bytes_out
        if record.requested_model and not record.covered and record.route_type in _UNCOVERED:
            if len(self.uncovered) < _UNCOVERED_NAMES or record.requested_model in self.uncovered:
                self.uncovered[record.requested_model] += 1
                self.uncovered_in[record.requested_model] = record.protocol
        if record.rule:
            self.rule_hits[record.rule] += 1
            self.rule_used[record.rule] = record.time
        if _log.isEnabledFor(level := record.level):
            _log.handle(_entry(record, level))

    @property
    def paid(self) -> int:
        """How many requests spent Amp credits, or may have: a client that left does not undo what Amp had begun."""
        return sum(
            count
            for (route, status, _), count in self.requests.items()
            if route == "AMP_CREDITS" and (status < 400 or status == ClientGone.status)
        )
