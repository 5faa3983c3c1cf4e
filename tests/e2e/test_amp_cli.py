"""The real Amp CLI, old and new, asks for models through ampmap: who is asked what, who sees which key."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import partial

import pytest

from . import clients
from .amp_cli import AMP_KEY, FORMATS, SERVED, Outcome
from .conftest import TABLE
from .promises import (
    _as_came,
    _as_sent,
    _fields,
    _renamed,
    assert_a_tool_ran_and_the_last_word_came,
    assert_amp_gets_and_says_the_same_bytes,
    assert_keys_stay_where_they_belong,
    assert_only_the_name_changes,
    main_calls,
    result,
    row,
)
from .replies import FINAL, ORACLE_SAYS, ORACLE_TASK, THOUGHT, TOOL_SAID
from .runs import Runs
from .scenarios import (
    CUT,
    ENDLESS,
    HAIKU,
    LONG,
    MISSPELT,
    NEO,
    ORACLE,
    REFUSED,
    TITLE_MODEL,
    TOOL_TURN,
    TRANSLATED,
    UNMAPPED,
    UNSERVED,
    UNSIGNED,
    Scenario,
    each,
)
from .strict import complaints


def outcome_of(client: str, scenario: Scenario, runs: Runs) -> Outcome:
    """Return what was seen of a run; skip the test where the machine lacks a part."""
    outcome: Outcome = runs.get((client, scenario.name), partial(_run, client, scenario))
    return outcome


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """Begin all the runs that the collected tests will ask for."""
    with Runs() as made:
        for item in request.session.items:
            params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
            client, scenario = params.get("client"), params.get("scenario")
            if isinstance(client, str) and isinstance(scenario, Scenario):
                made.begin((client, scenario.name), partial(_run, client, scenario))
        yield made


def _run(client: str, scenario: Scenario) -> Outcome:
    return clients.run(scenario.run(client))


@pytest.fixture
def table(request: pytest.FixtureRequest) -> list[tuple[str, ...]]:
    """The rows that are shown at the end."""
    return request.config.stash.setdefault(TABLE, [])


# What a run was like.


# The tests.


@each(TOOL_TURN)
def test_the_cli_runs_to_its_end_on_a_provider(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    assert_a_tool_ran_and_the_last_word_came(client, scenario, outcome)
    turns = [each for each in outcome.seen[scenario.wire] if b'"set_title"' not in each.body]
    assert [TOOL_SAID.encode() in each.body for each in turns] == [False, True]
    calls = main_calls(outcome)
    assert len(calls) == 2
    asked = {name for name, _ in calls}
    if scenario.model is not None:  # the first client asks groq for moonshotai's models, under another name
        assert all(name.endswith(scenario.model.partition(":")[2]) for name in asked)
    routes = [record for record in outcome.records if record["requested_model"] in asked]
    assert {(record["route_type"], record["outcome"]) for record in routes} == {(scenario.route, "ok")}
    assert_only_the_name_changes(outcome, scenario.wire)
    assert_keys_stay_where_they_belong(outcome)
    assert_amp_gets_and_says_the_same_bytes(outcome)
    title = {record["route_type"] for record in outcome.records if record["requested_model"] == TITLE_MODEL}
    assert title == ({"MODEL_MAPPING"} if HAIKU[0] in scenario.rules else {"AMP_CREDITS"})
    paid = [each for each in outcome.seen["amp"] if each.target.startswith("/api/provider/")]
    assert len(paid) == (0 if HAIKU[0] in scenario.rules else 1)
    table.append(row(client, scenario, outcome, f"{scenario.route}: tool ran, answer came, title {title.pop()}"))


@each(TRANSLATED)
def test_the_cli_runs_to_its_end_on_a_provider_of_another_format(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    assert_a_tool_ran_and_the_last_word_came(client, scenario, outcome)
    turns = [each for each in outcome.seen[scenario.wire] if b"set_title" not in each.body]
    assert [TOOL_SAID.encode() in each.body for each in turns] == [False, True]
    asked = [record for record in outcome.records if record["requested_model"]]
    assert {(record["route_type"], record["status"], record["outcome"]) for record in asked} == {
        ("MODEL_MAPPING", 200, "ok")
    }
    calls = {name for name, _ in main_calls(outcome)}
    translated = {record["translated"] for record in asked if record["requested_model"] in calls}
    assert [each.endswith(f" -> {scenario.wire}") for each in translated] == [True]
    assert_keys_stay_where_they_belong(outcome)
    assert [] == [each for each in outcome.seen["amp"] if each.target.startswith("/api/provider/")]
    table.append(row(client, scenario, outcome, f"{translated.pop()}: tool ran, answer came"))


@each(ORACLE)
def test_the_oracle_answers_from_a_provider_of_another_format(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    assert outcome.status == 0 and result(outcome)["result"] == FINAL, (outcome.stdout, outcome.stderr, outcome.log)
    assert ORACLE_SAYS in json.dumps(outcome.events[3])
    oracle = [record for record in outcome.records if record["path"] == "/api/provider/openai/v1/responses"]
    assert [(record["status"], record["outcome"]) for record in oracle] == [(200, "ok")] * 2
    assert {record["translated"] for record in oracle} == {f"openai-responses -> {scenario.wire}"}
    bodies = [each.body for each in outcome.seen[scenario.wire]]
    turns = [body for body in bodies if ORACLE_TASK.encode() in body and b'"oracle"' not in body]
    assert [b"root:x:" in body for body in turns] == [False, True]  # of the file that it reads
    for arrival in outcome.seen[scenario.wire]:
        headers = {name.lower(): content for name, content in arrival.headers}
        assert complaints(scenario.wire, headers, arrival.body) == []
    assert_keys_stay_where_they_belong(outcome)
    assert [] == [each for each in outcome.seen["amp"] if each.target.startswith("/api/provider/")]
    table.append(row(client, scenario, outcome, f"{oracle[0]['translated']}: the oracle read a file, its answer came"))


@each(ENDLESS)
def test_a_provider_that_the_cli_never_ends_with_is_mapped_all_the_same(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    assert outcome.status is None
    assert [TOOL_SAID.encode() in each.body for each in outcome.seen[scenario.wire]] == [False, True]
    assert_only_the_name_changes(outcome, scenario.wire)
    assert_keys_stay_where_they_belong(outcome)
    assert_amp_gets_and_says_the_same_bytes(outcome)
    assert "/api/provider/cerebras/v1/tcp_warming" in {each.target for each in outcome.seen["amp"]}
    table.append(row(client, scenario, outcome, "tool ran, answer delivered; the CLI never ends by itself"))


@each(LONG)
def test_threads_over_25_kb_pass_as_the_gzip_that_they_are(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    assert_a_tool_ran_and_the_last_word_came(client, scenario, outcome)
    assert_only_the_name_changes(outcome, scenario.wire)
    assert_keys_stay_where_they_belong(outcome)
    assert_amp_gets_and_says_the_same_bytes(outcome)
    zipped = [each for each in outcome.seen["amp"] if each.header("content-encoding") == "gzip"]
    assert {each.target for each in zipped} == {"/api/internal?uploadThread"}
    threads = [gzip.decompress(each.body) for each in zipped]
    assert all(scenario.prompt in thread.decode() for thread in threads)
    sizes = f"{len(zipped[-1].body)} of {len(threads[-1])} bytes"
    table.append(row(client, scenario, outcome, f"{len(zipped)} uploadThread as gzip, {sizes}, untouched"))


@each(UNMAPPED)
def test_a_model_that_nobody_serves_is_asked_of_amp_untouched(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    assert_a_tool_ran_and_the_last_word_came(client, scenario, outcome)
    assert [outcome.seen[wire] for wire in FORMATS] == [[]] * len(FORMATS)
    assert_keys_stay_where_they_belong(outcome)
    assert_amp_gets_and_says_the_same_bytes(outcome)
    paid = [each for each in outcome.seen["amp"] if each.target.startswith("/api/provider/")]
    assert {each.header("x-api-key") or each.header("authorization") for each in paid} == {AMP_KEY}
    records = [record for record in outcome.records if record["route_type"] == "AMP_CREDITS"]
    assert len(records) == len(paid) == 3
    assert {(record["level"], record["cost"]) for record in records} == {("warning", "amp_credits")}
    table.append(row(client, scenario, outcome, f"AMP_CREDITS: {len(paid)} warnings, answer came from Amp"))


@each(REFUSED)
def test_refused_credits_are_an_error_that_the_cli_shows_and_nothing_is_asked_of_amp(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    last = result(outcome)
    assert last["is_error"] is True
    assert "Amp credits are refused" in last["error"]
    assert 'from: \\"nobody-serves-this\\"' in last["error"] or 'from: "nobody-serves-this"' in last["error"]
    assert [each for each in outcome.seen["amp"] if each.target.startswith("/api/provider/")] == []
    assert len(main_calls(outcome)) == 1
    table.append(row(client, scenario, outcome, "403 shown, with the rule to write; no credits"))


@each(UNSERVED)
def test_without_an_amp_upstream_the_cli_shows_why_nobody_serves_its_model(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    unserved = [record for record in outcome.records if record["route_type"] == scenario.route]
    assert {400} == {record["status"] for record in unserved}, outcome.log
    last = result(outcome)
    assert last["is_error"] is True
    message = unserved[-1]["detail"]
    assert message in last["error"] or json.dumps(message)[1:-1] in last["error"]
    assert outcome.seconds < 20
    table.append(row(client, scenario, outcome, f"400 shown, whole, after {len(unserved)} requests"))


@each(CUT)
def test_a_stream_that_breaks_off_ends_the_cli_with_an_error_instead_of_hanging_it(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    assert outcome.status is not None, "the CLI hangs"
    last = result(outcome)
    assert last["is_error"] is True
    assert_keys_stay_where_they_belong(outcome)
    table.append(row(client, scenario, outcome, f"ends with an error: {last['error'][:40]}"))


@each(MISSPELT)
def test_a_tool_that_the_provider_misspells_runs_all_the_same(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    assert any(b'"bash"' in each.reply for each in outcome.seen[scenario.wire])
    assert_a_tool_ran_and_the_last_word_came(client, scenario, outcome)
    assert_only_the_name_changes(outcome, scenario.wire)
    table.append(row(client, scenario, outcome, "tool ran under its own name, answer came"))


@each(UNSIGNED)
def test_a_thought_without_a_signature_is_shown_but_never_sent_back(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    assert outcome.status == 0
    assert (result(outcome)["is_error"], result(outcome)["result"]) == (False, FINAL)
    turns = [each for each in outcome.seen[scenario.wire] if b'"set_title"' not in each.body]
    [(name, second)] = [call for call in main_calls(outcome) if TOOL_SAID.encode() in call[1].asked.body]
    assert THOUGHT.encode() in second.asked.body, "the CLI does not echo it: nothing is shown here"
    assert [TOOL_SAID.encode() in each.body for each in turns] == [False, True]
    expected = json.loads(_renamed(second.asked.body, name, SERVED[scenario.wire]))
    for message in expected["messages"]:
        message["content"] = [block for block in message["content"] if block["type"] != "thinking"]
    assert json.loads(turns[1].body) == expected
    table.append(row(client, scenario, outcome, "the CLI echoes it, the provider does not get it; answer came"))


@each([NEO])
def test_neo_reaches_amp_unharmed_and_no_provider(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = outcome_of(client, scenario, runs)

    calls = {each.target for each in outcome.seen["amp"]}
    assert {"/api/internal?getUserInfo", "/api/internal?loadPlugins", "/api/thread-actors"} <= calls
    assert [outcome.seen[wire] for wire in FORMATS] == [[]] * len(FORMATS)
    plain = [each for each in outcome.passed if each.asked.header("upgrade") is None]
    came = [each for each in outcome.seen["amp"] if not each.target.startswith("/actors/gateway/")]
    assert sorted(map(_as_came, came)) == sorted(_as_sent(each.asked) for each in plain)
    table.append(row(client, scenario, outcome, f"{len(came)} calls reached Amp untouched"))


@each([NEO])
def test_neo_gets_its_websocket(client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]) -> None:
    outcome = outcome_of(client, scenario, runs)

    offers = [each for each in outcome.passed if (each.asked.header("upgrade") or "").lower() == "websocket"]
    if not offers:
        pytest.skip(f"{clients.version(client)} offers no WebSocket")
    assert {each.reply.status for each in offers if each.reply is not None} == {101}
    sockets = [each for each in outcome.seen["amp"] if each.status == 101]
    assert sorted(map(_as_came, sockets)) == sorted(
        (*_as_sent(each.asked)[:2], b"", _fields(each.asked.headers)) for each in offers
    )
    assert {each.header("upgrade") for each in sockets} == {"websocket"}
    replies = [each.reply for each in offers if each.reply is not None]
    assert all(reply.body.startswith(b"\x89\x04ping") for reply in replies)
    # Whether it answers the ping before it says goodbye is the CLI's own race; what it says must arrive, and all of it.
    sent = sorted(each.asked.body for each in offers)
    assert all(sent)
    assert sorted(each.reply for each in sockets) == sent
    table.append(row(client, scenario, outcome, f"{len(sockets)} WebSocket(s) tunnelled, whole both ways"))
