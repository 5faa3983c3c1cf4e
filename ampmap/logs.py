"""Log lines: text for people, JSON for machines. Access records and everything else go through the same handler.

Lines are written by a thread of their own: a full disk, or a terminal that somebody has stopped, holds up no request.
"""

from __future__ import annotations

import io
import json
import logging
import os
import select
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import TextIO

from .headers import printable
from .journal import Record, shown_time
from .settings import Log

_GATHER_S = 0.05  # lines that come within this time leave in one write
_LINES = 10_000  # what may wait for a reader; what comes then is counted and dropped
_FLUSH_S = 1.0  # how long an end waits for the last lines


class TextFormatter(logging.Formatter):
    """One line for each event; a traceback follows the line it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        """Show one event."""
        if isinstance(record.args, tuple) and record.args and isinstance(record.args[0], Record):
            return str(record.args[0])
        line = f"{shown_time(record.created)} {record.levelname.lower():<7} {printable(record.getMessage())}"
        if record.exc_info:  # indented, so that what a client wrote into an error begins no line of its own
            trace = self.formatException(record.exc_info).split("\n")
            line += "".join(f"\n  {printable(part)}" for part in trace)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object for each event."""

    def format(self, record: logging.LogRecord) -> str:
        """Show one event."""
        if isinstance(record.args, tuple) and record.args and isinstance(record.args[0], Record):
            return json.dumps(record.args[0].fields(), ensure_ascii=False)
        fields = {
            "time": shown_time(record.created),
            "level": record.levelname.lower(),
            "component": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class Lines(logging.Handler):
    """Writes to ``out`` from a thread of its own, many lines at once. What can't be written is dropped."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._waiting: deque[str] = deque()
        self._lost = 0
        self._writing = self._hurry = self._closed = False
        assert self.lock is not None
        self._changed = threading.Condition(self.lock)  # handle() holds it
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Leave one line to be written."""
        if len(self._waiting) >= _LINES:
            self._lost += 1
            return
        self._waiting.append(self.format(record))
        if len(self._waiting) == 1:
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ampmap log", daemon=True)
            self._thread.start()

    def flush(self) -> None:
        """Wait until every line is written, for a second at most."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting and not self._writing, _FLUSH_S)
            self._hurry = False

    def close(self) -> None:
        """End the thread once it has written what waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        super().close()

    def writes_to(self, out: TextIO) -> bool:
        """Tell whether this is where lines go."""
        return self._out is out

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                self._changed.wait_for(lambda: self._hurry or self._closed, _GATHER_S)
                lines, self._waiting, lost, self._lost = self._waiting, deque(), self._lost, 0
                self._writing = True
            if lost:
                said = "%d lines of this log are missing: nobody read it"
                record = logging.LogRecord("ampmap.log", logging.WARNING, "", 0, said, (lost,), None)
                lines.append(self.format(record))
            with suppress(OSError, ValueError):  # no space left, no reader left, closed
                _write(self._out, "\n".join((*lines, "")))
            with self._changed:
                self._writing = False
                self._changed.notify_all()


def _write(out: TextIO, text: str) -> None:
    """Write past Python's own buffers: their locks would hold up the interpreter's end while a reader is stopped."""
    try:
        number = out.fileno()
    except io.UnsupportedOperation:
        out.write(text)
        return
    left = memoryview(text.encode("utf-8", "backslashreplace"))
    while left:
        try:
            left = left[os.write(number, left) :]
        except BlockingIOError:  # somebody who shares this terminal or pipe has made it so
            select.select((), (number,), ())


def set_up(log: Log) -> None:
    """Send ampmap's log to standard error in the form that ``log`` asks for."""
    if sys.stderr is None:  # closed before the start: its number may belong to a connection by now
        return
    logger = logging.getLogger("ampmap")
    lines = next((each for each in logger.handlers if isinstance(each, Lines) and each.writes_to(sys.stderr)), None)
    lines = lines or Lines(sys.stderr)
    lines.setFormatter(JsonFormatter() if log.format == "json" else TextFormatter())
    for other in logger.handlers:
        if other is not lines:
            other.close()
    logger.handlers[:] = [lines]
    logger.setLevel(log.level.upper())
    logger.propagate = False
    logging.raiseExceptions = False  # a line that can't be made is no reason to print about it, or to stop
