"""Set up ampmap's log: the format of its lines, and the handler that writes them."""

from __future__ import annotations

import json
import logging
import os
import sys

from ..escaping import printable
from ..settings import Log
from .human_format import HumanFormatter, is_for_people, wants_colour
from .log_writer import LogWriter
from .record import record_of, shown_time


class TextFormatter(logging.Formatter):
    """One line for each entry; a traceback follows its line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one entry of the log."""
        if (request := record_of(record)) is not None:
            return str(request)
        line = f"{shown_time(record.created)} {record.levelname.lower():<7} {printable(record.getMessage())}"
        if record.exc_info:  # indented, so that text of a client in an error cannot look like an entry
            trace = self.formatException(record.exc_info).split("\n")
            line += "".join(f"\n  {printable(part)}" for part in trace)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object for each entry."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one entry of the log."""
        if (request := record_of(record)) is not None:
            return json.dumps(request.fields(), ensure_ascii=False)
        fields = {
            "time": shown_time(record.created),
            "level": record.levelname.lower(),
            "component": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def set_up(log: Log, descriptor: int | None = None) -> None:
    """Send ampmap's log to ``descriptor``, or to the file that ``log`` names, or to standard error.

    Never blocks: ``LogWriter`` says what happens to lines that cannot be written.
    """
    logger = logging.getLogger("ampmap")
    file = log.file if descriptor is None else ""
    handler = _handler(logger.handlers, descriptor, file)
    goes_to_stderr = descriptor is None and not file
    is_terminal = goes_to_stderr and _is_terminal()
    form = log.format
    if form == "auto":
        form = "human" if is_terminal else "text"
    encoding = (goes_to_stderr and getattr(sys.stderr, "encoding", None)) or "utf-8"
    if form == "human":
        handler.setFormatter(HumanFormatter(encoding, colour=is_terminal and wants_colour(os.environ)))
    else:
        handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.filters[:] = [is_for_people] if form == "human" else []
    if isinstance(handler, LogWriter):
        handler.encoding = "utf-8" if form == "json" else encoding  # RFC 8259 §8.1: JSON is UTF-8
    before, logger.handlers[:] = logger.handlers[:], [handler]
    for each in before:
        if isinstance(each, LogWriter) and each.file and each is not handler:
            each.retire()
    logger.setLevel(log.level.upper())
    logger.propagate = False
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no format uses them: save the time
    logging.raiseExceptions = False  # a full disk under the log must neither print tracebacks nor stop the proxy


def reopen() -> None:
    """Open the log's file again before its next line, if the log goes to a file."""
    for handler in logging.getLogger("ampmap").handlers:
        if isinstance(handler, LogWriter):
            handler.reopen()


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False


def _handler(before: list[logging.Handler], descriptor: int | None, file: str) -> logging.Handler:
    """Return a handler for a file, a descriptor or standard error: the one in use if any, because it may hold lines."""
    if file:
        writers = (each for each in before if isinstance(each, LogWriter) and each.file == file)
        return next(writers, None) or LogWriter(file=file)
    try:
        descriptor = sys.stderr.fileno() if descriptor is None else descriptor
    except (AttributeError, OSError, ValueError):  # there is none, or a program has replaced it
        return logging.StreamHandler(sys.stderr)
    for handler in before:
        if isinstance(handler, LogWriter) and not handler.file and handler.descriptor == descriptor:
            return handler
    return LogWriter(descriptor)
