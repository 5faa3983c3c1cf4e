"""One record for each request, written at its end.

A record holds no body, no credential and no query. Text that a client wrote is escaped when the record is shown.
"""

from __future__ import annotations

import json
import logging
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from random import getrandbits
from typing import Any

from ..errors import Outcome
from ..escaping import printable

TEXT_CHARS = 1024
"""How much of a client's text is kept: a path can be as long as a whole head."""


@dataclass(slots=True)
class Record:
    """What happened to one request: filled in while it is served, then written once by a ``Journal``."""

    request_id: str = field(default_factory=lambda: f"{getrandbits(32):08x}")
    started: float = field(default_factory=time.perf_counter, repr=False)
    time: float = field(default_factory=time.time)
    route_type: str = "REJECTED"
    requested_model: str = ""  # as the client wrote it
    resolved_model: str = ""  # as the provider was asked for it
    provider: str = ""
    protocol: str = ""
    translated: str = ""  # such as "anthropic -> openai-chat"
    lost: str = ""  # members that the translation could not carry, with ", " between them
    rule: str = ""  # its place as "file:line"
    cost: str = "none"  # or "own", "amp_credits"
    source: str = "error"  # who answered: a provider, the Amp upstream's host, or "ampmap" on its own pages
    mapping: str = ""  # "requested -> served" if a rule matched
    method: str = ""
    path: str = ""
    status: int = 0
    outcome: Outcome = "ok"
    attempts: int = 0  # how often it was sent, to one upstream or several; failed dials do not count
    bytes_in: int = 0
    bytes_out: int = 0
    ttfb_ms: float | None = None
    duration_ms: float = 0.0
    overhead_ms: float = 0.0
    input_tokens: int | None = None  # as the reply states them; includes the cached ones
    output_tokens: int | None = None  # includes those of reasoning
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    generation: int = 0
    detail: str = ""
    hint: str = ""
    paste: str = ""  # the command or the configuration line in ``hint``; only the ``human`` log shows it alone
    covered: bool = False  # some provider lists the model, whether or not it served this request

    def since_start_ms(self) -> float:
        """Return the milliseconds since the request's head was read."""
        return (time.perf_counter() - self.started) * 1e3

    @property
    def level(self) -> int:
        """The record's logging level: WARNING for spent credits, failures and models without a provider."""
        failed = self.status >= 500 or self.outcome in ("upstream_truncated", "upstream_error", "timeout")
        if self.hint or failed or self.route_type == "NO_PROVIDER":
            return logging.WARNING
        return logging.INFO

    def fields(self) -> dict[str, Any]:
        """Return the record's public fields by name; text is escaped, and unknown values are left out."""
        shown: dict[str, Any] = {
            "time": shown_time(self.time),
            "level": _level_name(self.level),
            "component": _COMPONENT,
        }
        for name, content in zip(_SHOWN, _shown_of(self), strict=True):
            if isinstance(content, str):
                if content or name in _ALWAYS:
                    shown[name] = printable(content[:TEXT_CHARS])
            elif isinstance(content, float):
                shown[name] = round(content, 3)
            elif content is not None:
                shown[name] = content
        return shown

    def __str__(self) -> str:
        """Show the record as one line: time, level, status, route and id, then the other fields, texts first."""
        line = (
            f"{shown_time(self.time)} {_level_name(self.level):<7} status={self.status} route_type={self.route_type}"
            f" request_id={self.request_id} {_text_fields(_texts_of(self))} attempts={self.attempts}"
            f" bytes_in={self.bytes_in} bytes_out={self.bytes_out} duration_ms={self.duration_ms:.3f}"
            f" overhead_ms={self.overhead_ms:.3f} generation={self.generation}"
        )
        for name in _OPTIONAL:
            if (content := getattr(self, name)) or content == 0:  # 0 tokens are stated; None and "" are not
                line += f" {name}={content:.3f}" if isinstance(content, float) else f" {name}={_quoted(str(content))}"
        return line


_COMPONENT = "amp-routing"
_ALWAYS = ("route_type", "requested_model", "cost", "source", "path", "method", "outcome")
_SHOWN = (
    "request_id", "route_type", "requested_model", "resolved_model", "provider", "protocol", "translated", "lost",
    "rule", "cost", "source", "mapping", "path", "method", "status", "outcome", "attempts", "bytes_in", "bytes_out",
    "ttfb_ms", "duration_ms", "overhead_ms", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens",
    "generation", "detail", "hint",
)  # fmt: skip
_shown_of = attrgetter(*_SHOWN)
_TEXTS = (
    "requested_model", "resolved_model", "provider", "protocol", "rule", "cost", "source", "mapping", "path", "method",
    "outcome",
)  # fmt: skip
_texts_of = attrgetter(*_TEXTS)
_OPTIONAL = (
    "ttfb_ms", "translated", "lost", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "detail",
    "hint",
)  # fmt: skip
_PLAIN = re.compile(r"[!#-<>-~]+")


def record_of(entry: logging.LogRecord) -> Record | None:
    """Return the record that an entry of the log is about; None if it is about anything else."""
    first = entry.args[0] if isinstance(entry.args, tuple) and entry.args else None
    return first if isinstance(first, Record) else None


def shown_time(seconds: float) -> str:
    """Show seconds since 1970 in the form of RFC 3339, in UTC and to the millisecond."""
    whole, millis = divmod(int(seconds * 1e3), 1000)
    return f"{_shown_second(whole)}.{millis:03}Z"


@lru_cache(maxsize=4)
def _shown_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def _text_fields(contents: tuple[str, ...]) -> str:
    return (_format_cached if sum(map(len, contents)) <= TEXT_CHARS else _format)(contents)


def _format(contents: tuple[str, ...]) -> str:
    shown = [f"component={_COMPONENT}"]
    for name, content in zip(_TEXTS, contents, strict=True):
        if content or name in _ALWAYS:
            shown.append(f"{name}={_quoted(content)}")
    return " ".join(shown)


_format_cached = lru_cache(maxsize=256)(_format)  # most requests of one agent differ only in their numbers


def _quoted(content: str) -> str:
    """Show a text as one word: in quotes if it is empty or has a blank, a quote or an equals sign."""
    if _PLAIN.fullmatch(content):
        return content[:TEXT_CHARS]
    shown = printable(content[:TEXT_CHARS])
    return json.dumps(shown, ensure_ascii=False) if not shown or any(c in shown for c in ' "=') else shown


def _level_name(level: int) -> str:
    return "info" if level == logging.INFO else "warning"
