"""A real LiteLLM is ampmap's provider in all four formats, by its preset and the models that it lists."""

from __future__ import annotations

import functools

import pytest

from . import clients
from .asks import Format
from .conftest import TABLE
from .litellm_run import BY_CHAT, BY_GEMINI, BY_RESPONSES, KEY, MASTER_KEY, PROGRAMS, LiteLLMOutcome, LiteLLMRun
from .provider import LIMIT_SAYS
from .replies import FINAL, TOOL_SAID
from .sdks import LITELLM


@functools.cache
def _outcome() -> LiteLLMOutcome | str:
    """Make the one run, or return what this machine lacks for it."""
    try:
        run = LiteLLMRun(LITELLM.command())
        outcome: LiteLLMOutcome = clients.within("e2e.litellm_run", run, run.limit_s)
    except clients.Lacking as exc:
        return str(exc)
    return outcome


@pytest.fixture
def seen() -> LiteLLMOutcome:
    outcome = _outcome()
    if isinstance(outcome, str):
        pytest.skip(outcome)
    return outcome


def test_its_list_is_read(seen: LiteLLMOutcome) -> None:
    assert {BY_CHAT, BY_RESPONSES, BY_GEMINI} <= set(seen.listed)


@pytest.mark.parametrize("wire", PROGRAMS)
def test_a_tool_turn_goes_through_it(wire: Format, seen: LiteLLMOutcome, request: pytest.FixtureRequest) -> None:
    turn = seen.turns[wire]

    assert (turn.status, turn.complaints) == (0, []), turn.said
    assert FINAL in turn.said
    assert [200, 200] == [arrival.status for arrival in turn.seen]
    assert TOOL_SAID.encode() in turn.seen[-1].body
    assert turn.seen[-1].reply.startswith((b"data: ", b"event: "))
    assert KEY not in turn.said and MASTER_KEY not in turn.said
    asked = [record for record in seen.records if record["protocol"] == wire and record["status"] == 200]
    assert {("LOCAL_PROVIDER", "gateway", 1)} == {(r["route_type"], r["provider"], r["attempts"]) for r in asked}
    (model,) = {record["requested_model"] for record in asked}
    seconds = sum(record["duration_ms"] for record in asked) / 1000
    saw = f"tool turn done; Retry-After of a 429: {turn.limited[1]}"
    row = (f"LiteLLM {LITELLM.version}", f"provider, {wire}", f"{seconds:.1f}", model, model, saw)
    request.config.stash.setdefault(TABLE, []).append(row)


@pytest.mark.parametrize("wire", PROGRAMS)
def test_a_client_is_told_to_ask_again_as_by_itself(wire: Format, seen: LiteLLMOutcome) -> None:
    turn = seen.turns[wire]
    status, _, body = turn.limited

    assert (status, LIMIT_SAYS in body.decode()) == (429, True)
    assert turn.limited[:2] == turn.directly[:2]  # a Retry-After, too, where it states one
