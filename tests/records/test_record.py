"""Records: their fields, and what they never hold."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.records.journal import Journal
from ampmap.records.record import Record, shown_time

CONTRACT = (
    "time", "level", "component", "request_id", "route_type", "requested_model", "resolved_model", "provider",
    "protocol", "translated", "lost", "rule", "cost", "source", "mapping", "path", "method", "status", "outcome",
    "attempts", "bytes_in", "bytes_out", "ttfb_ms", "duration_ms", "overhead_ms", "generation", "input_tokens",
    "output_tokens", "cached_tokens", "reasoning_tokens",
)  # fmt: skip


def full() -> Record:
    return Record(
        route_type="MODEL_MAPPING", requested_model="a", resolved_model="b", provider="p", protocol="gemini",
        translated="gemini -> anthropic", lost="seed, topK", rule="f.yaml:3", cost="free", source="p", mapping="a -> b",
        method="POST", path="/v1/messages", status=200,
        attempts=1, bytes_in=2, bytes_out=3, ttfb_ms=1.23456, overhead_ms=0.1, input_tokens=5, output_tokens=6,
        cached_tokens=4, reasoning_tokens=3, generation=1,
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

    left_out = {
        "resolved_model", "provider", "protocol", "translated", "lost", "rule", "mapping", "ttfb_ms", "input_tokens",
        "output_tokens", "cached_tokens", "reasoning_tokens",
    }  # fmt: skip
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


def test_a_number_that_a_reply_states_is_shown_though_it_is_0() -> None:
    record = Record(cached_tokens=0, output_tokens=0)

    assert ("0", "0") == (parsed(str(record))["cached_tokens"], parsed(str(record))["output_tokens"])
    assert "input_tokens" not in parsed(str(record))
