"""Log lines: text for people, JSON for machines. Access records and everything else go through the same handler."""

from __future__ import annotations

import json
import logging
import sys

from ..escaping import printable
from ..settings import Log
from .log_writer import Outlet
from .record import Record, shown_time


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


def set_up(log: Log) -> None:
    """Send ampmap's log to standard error in the form that ``log`` asks for. A log that can't be written is dropped."""
    logger = logging.getLogger("ampmap")
    handler = _handler(logger.handlers)
    handler.setFormatter(JsonFormatter() if log.format == "json" else TextFormatter())
    if isinstance(handler, Outlet):  # JSON is UTF-8 wherever it goes, RFC 8259 §8.1
        handler.encoding = "utf-8" if log.format == "json" else getattr(sys.stderr, "encoding", None) or "utf-8"
    logger.handlers[:] = [handler]
    logger.setLevel(log.level.upper())
    logger.propagate = False
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line tells, each would ask
    logging.raiseExceptions = False  # a full disk under the log is no reason to print about it, or to stop


def _handler(before: list[logging.Handler]) -> logging.Handler:
    """Return what writes to standard error: the outlet in use, for lines may wait in it, or a new one."""
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or a program has put something of its own there
        return logging.StreamHandler(sys.stderr)
    for handler in before:
        if isinstance(handler, Outlet) and handler.descriptor == descriptor:
            return handler
    return Outlet(descriptor)
