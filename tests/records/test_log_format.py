"""Log lines: text and JSON, one event on one line, nothing forged."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from ampmap.records import log_format as logs
from ampmap.records.record import Record
from ampmap.settings import Log

HOSTILE = "a\n2026-01-01T00:00:00.000Z error   forged \x1b[31m \u202e \u2028 \x85 \ud800"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    logger, raises = logging.getLogger("ampmap"), logging.raiseExceptions
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before
    logging.raiseExceptions = raises


def event(message: str, *args: object, exc: BaseException | None = None) -> logging.LogRecord:
    exc_info = (type(exc), exc, None) if exc else None
    record = logging.LogRecord("ampmap.server", logging.ERROR, "f.py", 1, message, args, exc_info)
    record.created = 1_000_000_000.5
    return record


def test_a_record_is_shown_by_itself_in_both_forms() -> None:
    record = Record(path="/\x1b", status=404, method="GET")

    assert str(record) == logs.TextFormatter().format(event("%s", record))
    assert record.fields() == json.loads(logs.JsonFormatter().format(event("%s", record)))


def test_another_event_has_time_level_and_message() -> None:
    assert "2001-09-09T01:46:40.500Z error   a 1" == logs.TextFormatter().format(event("a %d", 1))
    assert {
        "time": "2001-09-09T01:46:40.500Z",
        "level": "error",
        "component": "ampmap.server",
        "message": "a 1",
    } == json.loads(logs.JsonFormatter().format(event("a %d", 1)))


def test_what_a_client_wrote_begins_no_line_and_steers_no_terminal() -> None:
    text, as_json = logs.TextFormatter().format(event("%s", HOSTILE)), logs.JsonFormatter().format(event("%s", HOSTILE))

    assert text.isprintable() and 1 == len(text.splitlines())
    assert as_json.isascii() and 1 == len(as_json.splitlines())
    assert HOSTILE == json.loads(as_json)["message"]


def test_a_traceback_follows_its_line_and_is_indented() -> None:
    failed = event("failed", exc=ValueError(HOSTILE))

    first, *rest = logs.TextFormatter().format(failed).splitlines()
    as_json = logs.JsonFormatter().format(failed)

    assert first.endswith("error   failed")
    assert rest and all(line.startswith("  ") and line.isprintable() for line in rest)
    assert 1 == len(as_json.splitlines())
    assert "ValueError" in json.loads(as_json)["traceback"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_setting_up_twice_logs_once_at_the_level_that_is_asked_for(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    log = Log(format="json" if form == "json" else "text", level="warning")
    logs.set_up(log)
    logs.set_up(log)

    logging.getLogger("ampmap.server").warning("seen")
    logging.getLogger("ampmap.server").info("not seen")

    (line,) = out.getvalue().splitlines()
    assert ("seen" == json.loads(line)["message"]) if form == "json" else line.endswith("warning seen")


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError("no space left")

    monkeypatch.setattr("sys.stderr", Full())
    logs.set_up(Log())

    logging.getLogger("ampmap.server").error("lost")
