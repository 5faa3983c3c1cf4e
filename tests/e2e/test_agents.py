"""Coding agents do their job through ampmap, and their users can read what went wrong when they cannot."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import pytest

from .agents import AGENTS
from .asks import Format
from .cases import Case, Seen, assert_the_job_is_done, cases
from .provider import FAILURE_SAYS, LIMIT_SAYS, Faults
from .replies import FINAL, THOUGHT, TOOL_SAID
from .runs import Runs

NATIVE: list[tuple[str, Format]] = [(name, agent.speaks) for name, agent in AGENTS.items()]
TRANSLATED: list[tuple[str, Format]] = [
    (name, spoken) for name, agent in AGENTS.items() for spoken in get_args(Format) if spoken != agent.speaks
]
"""An agent before a provider of another format: one more pair is one more row of all that follows."""
CELLS = [*NATIVE, *TRANSLATED]
BY_ENV = [(name, spoken) for name, spoken in CELLS if AGENTS[name].by_env]
BY_RUN = [(name, spoken) for name, spoken in CELLS if (name, spoken) in NATIVE or not AGENTS[name].by_env]
CHIEF = [(name, spoken) for name, spoken in NATIVE if name not in ("qwen", "pi")]
"""The agents with which all is tried."""
FAULTY: list[tuple[str, Format]] = [
    *CHIEF, ("claude", "openai-chat"), ("codex", "anthropic"), ("gemini", "openai-responses"), ("opencode", "gemini"),
]  # fmt: skip
"""Where faults are tried: each agent before its own format and another one."""

_PATIENCE_S = 35.0  # agents that ask a provider which is down for ever are given up so long after the first request


@cases("tool turn, env", BY_ENV)
def test_an_agent_pointed_by_env_does_its_job(case: Case, seen: Seen) -> None:
    assert_the_job_is_done(seen)
    assert {("MODEL_MAPPING", 200, "ok")} == {(r["route_type"], r["status"], r["outcome"]) for r in seen.asked}
    seen.note(f"done after {len(seen.asked)} requests")


_OLDER = "gpt-5.1-codex"  # not the default, which has a way of its own to offer tools


@cases(f"tool turn, {_OLDER}", [("codex", spoken) for spoken in get_args(Format)], arguments=("-m", _OLDER))
def test_codex_does_its_job_with_an_older_model(case: Case, seen: Seen) -> None:
    assert FINAL in seen.said and seen.outcome.status == 0, seen.said
    assert TOOL_SAID.encode() in seen.with_tools[-1]
    assert {_OLDER} == {record["requested_model"] for record in seen.asked}
    seen.note(f"done after {len(seen.asked)} requests")


@cases("tool turn, run", BY_RUN, via="run")
def test_an_agent_started_by_run_does_its_job(case: Case, seen: Seen) -> None:
    assert_the_job_is_done(seen)
    assert {("MODEL_MAPPING", 200, "ok")} == {(r["route_type"], r["status"], r["outcome"]) for r in seen.asked}
    assert f"ampmap: {len(seen.asked)} requests of {AGENTS[case.agent].title}" in seen.said
    seen.note(f"done after {len(seen.asked)} requests, table shown")


@cases("unserved", CHIEF, rules=False)
def test_a_user_can_read_what_to_write_where_nobody_serves_the_model(case: Case, seen: Seen) -> None:
    unserved = [record for record in seen.asked if record["route_type"] == "NO_PROVIDER"]
    advice = [f"ampmap map add {record['requested_model']} " for record in unserved]
    assert any(command in seen.said for command in advice), seen.said
    assert seen.outcome.status is not None and seen.outcome.seen == []
    seen.note(f"exit {seen.outcome.status}, the command to write is shown after {len(unserved)} requests")


@cases("Ctrl-C", CHIEF, via="run", faults=Faults(endless=True), interrupt=True)
def test_a_user_who_interrupts_an_agent_ends_its_request_too(case: Case, seen: Seen) -> None:
    assert seen.outcome.status is not None, seen.said
    assert seen.outcome.gone_s is not None and seen.outcome.ended_s is not None
    assert seen.outcome.gone_s < max(1.0, seen.outcome.ended_s)  # some agents hold it until they end
    assert "client_gone" in {record["outcome"] for record in seen.asked}
    seen.note(f"exit {seen.outcome.status}, provider left alone after {seen.outcome.gone_s:.2f} s")


_GO_ON = "now go on with it"
_RESUMED = [
    Case(f"Ctrl-C {when}, resumed", "codex", spoken,
         {"faults": faults, "interrupt": True, "resumed": ("resume", "--last", _GO_ON)})
    for when, faults in (
        ("in a call", Faults(stalled=1)), ("in an answer", Faults(stalled=2)), ("in a command", Faults(slow=True)),
        ("after a thought", Faults(stalled=1, thinks=True)),
    )
    for spoken in get_args(Format)
    if (when, spoken) != ("in a call", "gemini")  # whose calls come whole
    and (when != "after a thought" or spoken == "anthropic")
]  # fmt: skip
# What Codex says of an interrupted turn, besides its prompts and a command's output.
_ABORTED = ("<turn_aborted>", "aborted by user")


@pytest.mark.parametrize("case", _RESUMED, ids=lambda case: f"{case.agent}-{case.provider}-{case.name}")
def test_codex_goes_on_with_an_interrupted_turn_as_before_its_own_format(case: Case, seen: Seen, runs: Runs) -> None:
    own = replace(case, provider=AGENTS[case.agent].speaks)
    natively = Seen(runs.get(own.key, own.run), own, [])

    for each in (seen, natively):
        assert each.outcome.status == 0 and "turn interrupted" in each.said, each.said
        assert each.outcome.stdout.strip() == FINAL
    assert _told(seen) == _told(natively)
    last = _told(seen)[-1]
    assert {_GO_ON, _ABORTED[0]} < last and last & {TOOL_SAID, _ABORTED[1]}
    assert (THOUGHT.encode() in seen.with_tools[-1]) == case.options["faults"].thinks
    assert _ends(seen) == _ends(natively)
    seen.note(f"done after {len(seen.asked)} requests")


def _told(seen: Seen) -> list[set[str]]:
    """Return which of the words that matter each request has."""
    return [{word for word in (_GO_ON, TOOL_SAID, *_ABORTED) if word.encode() in body} for body in seen.with_tools]


def _ends(seen: Seen) -> list[tuple[int, str]]:
    return [(record["status"], record["outcome"]) for record in seen.asked]


@cases("provider down", CHIEF, down=True, patience_s=_PATIENCE_S)
def test_a_user_can_read_that_the_provider_is_down(case: Case, seen: Seen) -> None:
    assert seen.asked and {record["status"] for record in seen.asked} <= {502, 503}
    shown = re.search("cannot connect to [^:]*://[^:]*:9[^.]*", seen.said)
    assert shown or seen.outcome.status is None, seen.said
    ended = "goes on trying" if seen.outcome.status is None else f"exit {seen.outcome.status}"
    seen.note(f"{ended} after {len(seen.asked)} requests; {f'shows: {shown[0][:60]}' if shown else 'shows nothing'}")


@cases("429 twice", FAULTY, faults=Faults(limited=2))
def test_an_agent_that_asks_too_often_asks_again(case: Case, seen: Seen) -> None:
    assert_the_job_is_done(seen)
    assert [429, 429] == [record["status"] for record in seen.asked if record["status"] != 200]
    shown = "shows it" if LIMIT_SAYS in seen.said or "429" in seen.said else "in silence"
    seen.note(f"done after {len(seen.asked)} requests, {shown}")


@cases("cut stream", FAULTY, faults=Faults(cut=1))
def test_an_agent_sees_that_a_stream_was_cut(case: Case, seen: Seen) -> None:
    cut = [record for record in seen.asked if record["outcome"] == "upstream_truncated"]
    assert len(cut) == 1
    if FINAL in seen.said:
        assert_the_job_is_done(seen)
        seen.note(f"done after {len(seen.asked)} requests")
    else:
        assert seen.outcome.status not in (0, None) and "error" in seen.said.lower(), seen.said
        seen.note(f"exit {seen.outcome.status}, an error is shown")


# One request more than without the error, as before a provider of its own format; Codex gives up at once.
_MOST_AFTER_A_FAILURE = {"claude": 3, "codex": 1, "gemini": 4, "opencode": 4}


@cases("stated error", FAULTY, faults=Faults(failed=1))
def test_an_agent_sees_an_error_that_is_stated_in_mid_stream(case: Case, seen: Seen) -> None:
    failed = [record for record in seen.asked if record["outcome"] != "ok"]
    assert len(failed) <= 1 and {200} == {record["status"] for record in seen.asked}, seen.asked
    assert failed or (case.agent, case.provider) in NATIVE  # whose streams pass unread
    assert len(seen.asked) <= _MOST_AFTER_A_FAILURE[case.agent], seen.asked
    if FINAL in seen.said:
        assert_the_job_is_done(seen)
        seen.note(f"done after {len(seen.asked)} requests")
    else:
        assert seen.outcome.status not in (0, None), seen.said
        assert FAILURE_SAYS in seen.said or "at capacity" in seen.said, seen.said  # Codex's own words for it
        seen.note(f"exit {seen.outcome.status} after {len(seen.asked)} requests, the error is shown")


_WEBSOCKETS = {
    "by_hand": True,
    "files": {".codex/config.toml": 'openai_base_url = "http://127.0.0.1:8267/v1"\n'},
    "env": {"OPENAI_API_KEY": "ampmap"},
}


@cases("WebSocket", [("codex", "openai-responses")], **_WEBSOCKETS)
def test_codex_takes_http_where_it_would_open_a_websocket(case: Case, seen: Seen) -> None:
    assert_the_job_is_done(seen)
    opened = [record for record in seen.outcome.records if record["method"] == "GET" and "responses" in record["path"]]
    assert {426} == {record["status"] for record in opened}
    seen.note(f"426, then done after {len(seen.asked)} requests")


@cases("count tokens", [("claude", "anthropic")], prompt="/context")
def test_claude_code_counts_tokens(case: Case, seen: Seen) -> None:
    counted = [record for record in seen.asked if record["path"].endswith("/count_tokens")]
    assert len(counted) > 1 and {200} == {record["status"] for record in counted}
    assert "Context Usage" in seen.said
    seen.note(f"{len(counted)} counts")


# It counts as traffic that is not essential.
_DISCOVERY = {"CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": ""}


@cases("model list", [("claude", "anthropic")], env=_DISCOVERY)
def test_claude_code_gets_its_list_of_models(case: Case, seen: Seen) -> None:
    assert_the_job_is_done(seen)
    listed = [record for record in seen.outcome.records if record["path"] == "/v1/models"]
    assert [200] == [record["status"] for record in listed]
    seen.note("list asked for, 200")
