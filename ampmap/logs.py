"""Log lines: text for people, JSON for machines. Access records and everything else go through the same handler."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from .headers import printable
from .journal import Record
from .settings import Log


def _time(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """One line for each event; a traceback follows the line it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        """Show one event."""
        if isinstance(record.args, tuple) and record.args and isinstance(record.args[0], Record):
            return str(record.args[0])
        line = f"{_time(record.created)} {record.levelname.lower():<7} {printable(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object for each event."""

    def format(self, record: logging.LogRecord) -> str:
        """Show one event."""
        if isinstance(record.args, tuple) and record.args and isinstance(record.args[0], Record):
            return json.dumps(record.args[0].fields(), ensure_ascii=False)
        fields = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "component": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def set_up(log: Log) -> None:
    """Send ampmap's log to standard error in the form that ``log`` asks for. A log that can't be written is dropped."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log.format == "json" else TextFormatter())
    logger = logging.getLogger("ampmap")
    logger.handlers[:] = [handler]
    logger.setLevel(log.level.upper())
    logger.propagate = False
    logging.raiseExceptions = False  # a full disk under the log is no reason to print about it, or to stop
