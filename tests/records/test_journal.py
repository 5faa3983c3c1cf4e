"""What a journal does with records: log, count and keep them."""

from __future__ import annotations

import logging

import pytest

from ampmap.errors import ClientGone
from ampmap.records.journal import RECENT, Journal
from ampmap.records.record import Record
from ampmap.records.tokens import MODELS, OTHER, Tokens


def written(*records: Record) -> Journal:
    journal = Journal()
    for record in records:
        journal.write(record)
    return journal


def test_a_record_is_logged_once_counted_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ampmap.access")
    record = Record(
        route_type="MODEL_MAPPING", status=200, rule="f.yaml:3", bytes_in=2, bytes_out=3, requested_model="a",
        provider="p", protocol="gemini",
    )  # fmt: skip

    journal = written(record)

    (logged,) = caplog.records
    assert (record,) == logged.args
    assert str(record) == logged.getMessage()
    assert [record] == list(journal.recent)
    assert (2, 3, {("MODEL_MAPPING", "p", "gemini", 200, "ok"): 1}) == (
        journal.bytes_in,
        journal.bytes_out,
        dict(journal.requests),
    )
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


def test_tokens_are_added_up_by_the_model_that_served() -> None:
    journal = written(
        Record(requested_model="a", resolved_model="m", input_tokens=10, output_tokens=2, cached_tokens=8),
        Record(requested_model="b", resolved_model="m", input_tokens=1, reasoning_tokens=0),
        Record(requested_model="a", input_tokens=5),
        Record(requested_model="a", resolved_model="silent"),
    )

    assert {
        "m": Tokens(requests=2, input=11, output=2, cached=8),
        "a": Tokens(requests=1, input=5),
    } == journal.tokens.by_model


def test_tokens_of_very_many_models_are_added_up_under_other() -> None:
    journal = written(*(Record(requested_model=f"m{n}", output_tokens=1) for n in range(MODELS + 50)))
    journal.write(Record(requested_model="m3", output_tokens=1))

    assert MODELS + 1 == len(journal.tokens.by_model)
    assert (50, 2) == (journal.tokens.by_model[OTHER].output, journal.tokens.by_model["m3"].output)
