"""Records: their fields, what they never hold, how they count."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.errors import ClientGone
from ampmap.records.record import RECENT, Journal, Record, shown_time

CONTRACT = (
    "time", "level", "component", "request_id", "route_type", "requested_model", "resolved_model", "provider",
    "protocol", "rule", "cost", "source", "mapping", "path", "method", "status", "outcome", "attempts", "bytes_in",
    "bytes_out", "ttfb_ms", "duration_ms", "overhead_ms", "generation", "input_tokens", "output_tokens",
)  # fmt: skip


def full() -> Record:
    return Record(
        route_type="MODEL_MAPPING", requested_model="a", resolved_model="b", provider="p", protocol="gemini",
        rule="f.yaml:3", cost="free", source="p", mapping="a -> b", method="POST", path="/v1/messages", status=200,
        attempts=1, bytes_in=2, bytes_out=3, ttfb_ms=1.23456, overhead_ms=0.1, input_tokens=5, output_tokens=6,
        generation=1,
    )  # fmt: skip


def test_a_record_has_the_fields_of_the_contract_under_their_names() -> None:
    fields = full().fields()

    assert set(CONTRACT) == set(fields)
    assert ("amp-routing", "info", 1.235, 5) == (
        fields["component"], fields["level"], fields["ttfb_ms"], fields["input_tokens"]
    )  # fmt: skip
    assert re.fullmatch("[0-9a-f]{8}", fields["request_id"])


def test_what_is_unknown_is_left_out_but_for_what_says_that_nothing_is() -> None:
    fields = Record(method="GET", path="/x").fields()

    left_out = {"resolved_model", "provider", "protocol", "rule", "mapping", "ttfb_ms", "input_tokens", "output_tokens"}
    assert set(CONTRACT) - left_out == set(fields)
    assert ("REJECTED", "", "none", "error", "ok") == (
        fields["route_type"], fields["requested_model"], fields["cost"], fields["source"], fields["outcome"]
    )  # fmt: skip


def in_text(fields: dict[str, Any]) -> dict[str, str]:
    """Show fields as a text line does: milliseconds always to the microsecond."""
    return {name: f"{value:.3f}" if isinstance(value, float) else str(value) for name, value in fields.items()}


def parsed(line: str) -> dict[str, str]:
    """Read a text line back: time, level, then ``name=value`` with JSON strings where a value needs quotes."""
    at, level, rest = re.split(" +", line, maxsplit=2)
    found = {"time": at, "level": level}
    for name, quoted, bare in re.findall(r'([a-z_]+)=(?:("(?:[^"\\]|\\.)*")|(\S*))', rest):
        assert name not in found
        found[name] = json.loads(quoted) if quoted else bare
    return found


HOSTILE = [
    "a b",
    'x" status=500 y="',
    "a=b",
    "\\",
    "",
    "a\nstatus=500",
    "\x1b[31m",
    "\u202e\u2066",
    "\x85\u2028",
    "\ud800",
    "é",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_text_and_json_have_the_same_fields_on_one_line(name: str) -> None:
    record = full()
    record.requested_model = record.mapping = record.path = record.detail = name

    line, fields = str(record), record.fields()

    assert in_text(fields) == parsed(line)
    for shown in (line, json.dumps(fields, ensure_ascii=False)):
        assert shown.isprintable()
        assert 1 == len(shown.splitlines())


@given(st.text())
def test_no_text_of_a_client_forges_a_field_or_a_line(name: str) -> None:
    record = Record(requested_model=name, path=name, method=name, detail=name)

    assert in_text(record.fields()) == parsed(str(record))
    assert str(record).isprintable()


@pytest.mark.parametrize(
    ("record", "level"),
    [
        (Record(status=200), logging.INFO),
        (Record(status=404), logging.INFO),
        (Record(status=404, route_type="NO_PROVIDER"), logging.WARNING),
        (Record(status=200, hint="this request spends Amp credits"), logging.WARNING),
        (Record(status=502), logging.WARNING),
        (Record(status=200, outcome="upstream_truncated"), logging.WARNING),
        (Record(status=408, outcome="timeout"), logging.WARNING),
        (Record(status=499, outcome="client_gone"), logging.INFO),
    ],
)
def test_what_an_operator_can_act_on_is_a_warning(record: Record, level: int) -> None:
    assert level == record.level
    assert logging.getLevelName(level).lower() == record.fields()["level"]


def test_times_are_of_this_clock_and_durations_of_another() -> None:
    before = time.time()
    record, journal = Record(), Journal()
    journal.write(record)

    assert before <= record.time <= time.time()
    assert 0 <= record.duration_ms < 5_000
    assert record.duration_ms <= record.since_start_ms()
    assert "2001-09-09T01:46:40.123Z" == shown_time(1_000_000_000.1234)
    assert shown_time(record.time) == record.fields()["time"]


def written(*records: Record) -> Journal:
    journal = Journal()
    for record in records:
        journal.write(record)
    return journal


def test_a_record_is_logged_once_counted_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ampmap.access")
    record = full()

    journal = written(record)

    (logged,) = caplog.records
    assert (record,) == logged.args
    assert str(record) == logged.getMessage()
    assert [record] == list(journal.recent)
    assert (2, 3, {("MODEL_MAPPING", 200, "ok"): 1}) == (journal.bytes_in, journal.bytes_out, dict(journal.requests))
    assert {"f.yaml:3": 1} == dict(journal.rule_hits)


def test_the_last_records_are_kept_and_what_a_client_wrote_in_them_is_bounded() -> None:
    journal = written(*(Record(path="/" + "p" * 70_000, detail="d" * 70_000, method="M" * 70_000) for _ in range(300)))

    assert RECENT == 200 == len(journal.recent)
    assert 1024 == len(journal.recent[0].path) == len(journal.recent[0].detail)
    assert len(str(journal.recent[0])) < 8_000
    assert len(str(Record(path="\u202e" * 70_000))) < 8_000


@pytest.mark.parametrize(
    ("route", "status", "paid", "avoided"),
    [
        ("AMP_CREDITS", 200, 1, 0),
        ("AMP_CREDITS", ClientGone.status, 1, 0),
        ("AMP_CREDITS", 402, 0, 0),
        ("AMP_CREDITS", 502, 0, 0),
        ("LOCAL_PROVIDER", 200, 0, 1),
        ("MODEL_MAPPING", 200, 0, 1),
        ("MODEL_MAPPING", 503, 0, 0),
        ("MANAGEMENT", 200, 0, 0),
        ("REJECTED", 403, 0, 0),
    ],
)
def test_paid_and_avoided_are_those_that_were_served(route: str, status: int, paid: int, avoided: int) -> None:
    cost = "own" if route in ("LOCAL_PROVIDER", "MODEL_MAPPING") else "none"
    path = "/api/provider/google/v1/messages"
    journal = written(Record(route_type=route, cost=cost, status=status, path=path))

    assert (paid, avoided) == (journal.paid, journal.avoided)
    assert 0 == written(Record(route_type=route, cost=cost, status=status, path="/v1/messages")).avoided


def test_models_that_nothing_covers_are_counted_with_and_without_credits() -> None:
    journal = written(
        Record(route_type="AMP_CREDITS", requested_model="a"),
        Record(route_type="AMP_CREDITS", requested_model="a"),
        Record(route_type="NO_PROVIDER", requested_model="b"),
        Record(route_type="REJECTED", requested_model="refused"),
        Record(route_type="AMP_CREDITS"),
        Record(route_type="MODEL_MAPPING", requested_model="covered"),
    )

    assert {"a": 2, "b": 1, "refused": 1} == dict(journal.uncovered)


def test_names_that_clients_invent_do_not_fill_the_memory() -> None:
    journal = written(*(Record(route_type="NO_PROVIDER", requested_model=str(n)) for n in range(1_200)))
    journal.write(Record(route_type="NO_PROVIDER", requested_model="3"))

    assert 1_000 == len(journal.uncovered)
    assert 2 == journal.uncovered["3"]
