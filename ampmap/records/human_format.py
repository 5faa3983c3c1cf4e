"""Log lines for people at a terminal: one line of at most 100 columns for each request.

``14:02:07  claude-opus-4-8 → qwen3-coder:30b  ollama  200  9.6 s  ↑2.1k ↓503``: when the request ended, the model that
was requested, the model and the provider that served it, status, duration, tokens sent and received. A request that
cost credits has a second line with the remedy; one that failed, with the reason. Health probes and views of the proxy's
own pages are not shown.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from unicodedata import combining, east_asian_width

from ..escaping import printable
from .record import Record, record_of

COLUMNS = 100

_INDENT = " " * 10  # a second line begins below the model's name
_SERVER_COLUMNS = 24  # the most for a provider's name
_LOST_COLUMNS = 20  # the least for a translation's losses; with less space they are left out
_OUTCOMES = {
    "client_gone": "client left",
    "upstream_truncated": "reply cut off",
    "upstream_error": "failed",
    "timeout": "timed out",
    "shutdown": "cut by shutdown",
}
_UNSERVED = {"NO_PROVIDER": "no provider", "REJECTED": "refused"}

_DIM, _RED, _YELLOW, _CYAN = "2", "31", "33", "36"  # ECMA-48 §8.3.117


def wants_colour(env: Mapping[str, str]) -> bool:
    """Tell whether the terminal has colours and its user has not turned them off (no-color.org)."""
    return not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def is_for_people(entry: logging.LogRecord) -> bool:
    """Tell whether an entry of the log is shown; a filter for handlers."""
    record = record_of(entry)
    if record is None:
        return True
    is_probe = record.path == "/" or record.path.startswith("/_ampmap/")
    return not is_probe and (record.route_type != "ADMIN" or record.status >= 400)


class HumanFormatter(logging.Formatter):
    """Formats records of requests and other entries; ``encoding`` is the terminal's."""

    def __init__(self, encoding: str, *, colour: bool) -> None:
        super().__init__()
        self._encoding = encoding
        self._colour = colour
        signs = ("→", "↑", "↓", "…")
        if any(self._encodable(sign) != sign for sign in signs):
            signs = ("->", "in ", "out ", "..")
        self._arrow, self._up, self._down, self._dots = signs

    def format(self, record: logging.LogRecord) -> str:
        """Format one entry of the log."""
        clock = self._painted(time.strftime("%H:%M:%S", time.localtime(record.created)), _DIM)
        if (request := record_of(record)) is not None:
            lines = [f"{clock}{self._request(request)}"]
            if advice := _advice(request):
                lines.append(f"{_INDENT}{self._painted(f'! {self._text(advice)}', _style(request))}")
            return "\n".join(lines)
        style = ""
        if record.levelno >= logging.WARNING:
            style = _RED if record.levelno >= logging.ERROR else _YELLOW
        message = f"{'! ' if style else ''}{self._text(record.getMessage())}"
        lines = [f"{clock}  {self._painted(message, style)}"]
        if record.exc_info:
            lines += [f"{_INDENT}{self._text(line)}" for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(lines)

    def _request(self, record: Record) -> str:
        """Return the cells of a request's line, each with two blanks before it."""
        style = _style(record)
        fixed = [
            (str(record.status), style),
            (_duration(record.duration_ms), ""),
            (self._tokens(record), ""),
            (_note(record), style),
        ]
        if record.translated:
            fixed.insert(0, (f"as {record.translated.rpartition(' ')[2]}", _CYAN))
        columns = COLUMNS - 8 - sum(2 + len(text) for text, _ in fixed if text)  # 8: the clock
        server = self._cut(self._text(_server(record)), min(_SERVER_COLUMNS, max(8, columns // 3)))
        names = self._names(record, columns - 4 - _width(server))
        columns -= 6 + _width(server) + _width(names)
        lost = self._text(f"lost {record.lost}") if record.lost else ""
        lost = self._cut(lost, columns) if columns >= min(_width(lost), _LOST_COLUMNS) else ""
        cells = [(names, ""), (server, style), *fixed, (lost, _CYAN)]
        return "".join(f"  {self._painted(text, colour)}" for text, colour in cells if text)

    def _names(self, record: Record, columns: int) -> str:
        """Return the requested model and the one that served it, or method and path, cut to ``columns``."""
        asked = self._text(record.requested_model or f"{record.method} {record.path}")
        served = self._text(record.resolved_model)
        if served in ("", asked):
            return self._cut(asked, columns)
        columns -= 2 + len(self._arrow)
        asked = self._cut(asked, max(columns // 2, columns - _width(served)))
        return f"{asked} {self._arrow} {self._cut(served, columns - _width(asked))}"

    def _tokens(self, record: Record) -> str:
        counts = ((self._up, record.input_tokens), (self._down, record.output_tokens))
        return " ".join(f"{sign}{_count(count)}" for sign, count in counts if count is not None)

    def _text(self, text: str) -> str:
        return self._encodable(printable(text))

    def _encodable(self, text: str) -> str:
        """Escape characters that the terminal's encoding lacks."""
        return text if text.isascii() else text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def _cut(self, text: str, columns: int) -> str:
        """Return the text, without its middle if it is wider than ``columns``."""
        if _width(text) <= columns:
            return text
        over = _width(text) + len(self._dots) - columns
        begin = end = len(text) // 2
        while over > 0 and (begin > 0 or end < len(text)):
            if begin >= len(text) - end:
                begin -= 1
                over -= _width(text[begin])
            else:
                over -= _width(text[end])
                end += 1
        return f"{text[:begin]}{self._dots}{text[end:]}"

    def _painted(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._colour and style else text


def _server(record: Record) -> str:
    """Return who answered the request, or why nobody did."""
    return record.provider or (record.source if record.source != "error" else _UNSERVED.get(record.route_type, ""))


def _style(record: Record) -> str:
    if record.outcome == "client_gone" or (record.status < 400 and record.outcome == "ok"):
        return _YELLOW if record.cost == "amp_credits" else ""
    return _RED


def _note(record: Record) -> str:
    credits = "costs credits" if record.cost == "amp_credits" and record.status < 400 else ""
    return ", ".join(filter(None, (credits, _OUTCOMES.get(record.outcome, ""))))


def _advice(record: Record) -> str:
    """Return how to avoid the credits that a request cost, or why it failed; empty for any other."""
    if record.hint:
        return f"to serve it yourself: {record.paste}" if record.paste else record.hint
    return record.detail if _style(record) == _RED else ""


def _width(text: str) -> int:
    """Return the number of columns of a text on a terminal (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _duration(ms: float) -> str:
    if ms < 999.5:
        return f"{ms:.0f} ms"
    return f"{ms / 1e3:.1f} s" if ms < 99_950 else f"{ms / 1e3:.0f} s"


def _count(number: int) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}" if number < 99.95 * size else f"{number / size:.0f}{unit}"
    return str(number)
