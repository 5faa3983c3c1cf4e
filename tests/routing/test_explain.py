"""A decision told beforehand, to people and to machines."""

from __future__ import annotations

import pytest
from policy import EVERYBODY, LOCAL, in_cooldown, provider, rule, snapshot

from ampmap.formats.registry import FORMATS
from ampmap.routing.explain import exit_code, explain, outcome
from ampmap.routing.snapshot import Availability
from ampmap.settings import Amp, Protocol

CHAT = provider("chat", "gpt-oss", protocols=("openai-chat",), translate=False)
OPUS = rule("opus", "claude-sonnet-4", "both")


@pytest.mark.parametrize(
    ("model", "protocol", "amp", "code"),
    [
        ("claude-sonnet-4", "anthropic", Amp(), 0),
        ("opus", "gemini", Amp(credits="refuse"), 0),
        ("gpt-oss", "anthropic", Amp(), 3),
        ("gpt-oss", None, Amp(), 0),
        ("unknown", None, Amp(), 3),
        ("unknown", None, Amp(credits="allow"), 3),
        ("unknown", None, Amp(credits="refuse"), 4),
        ("gpt-oss", None, Amp(credits="refuse"), 0),
        ("unknown", None, Amp(origin=None), 4),
    ],
)
def test_the_exit_code_is_that_of_the_best_outcome(model: str, protocol: Protocol | None, amp: Amp, code: int) -> None:
    found = snapshot(LOCAL, CHAT, OPUS, amp=amp)

    explanations = explain(model, protocol, "any", found, EVERYBODY)

    assert code == exit_code(explanations)
    assert ([protocol] if protocol else list(FORMATS)) == [each.decision.ask.protocol for each in explanations]


def test_covered_but_not_to_be_had_now_has_an_exit_code_of_its_own() -> None:
    asked = snapshot(provider("asked", discover=True), rule("m", "n"))
    unknown = Availability(unlearnt=frozenset({"asked"}))

    assert 5 == exit_code(explain("both", "anthropic", "any", snapshot(LOCAL), in_cooldown("local")))
    assert 5 == exit_code(explain("m", "anthropic", "any", asked, unknown))
    assert 5 == exit_code(explain("m", "anthropic", None, asked, unknown))
    assert 4 == exit_code(explain("m", "anthropic", None, asked, EVERYBODY))
    assert "the list of models of asked is unknown" in outcome(
        explain("m", "anthropic", None, asked, unknown)[0].decision
    )


def test_an_outcome_is_one_line() -> None:
    (explanation,) = explain("both", "anthropic", None, snapshot(LOCAL, provider("two", "both")), EVERYBODY)

    assert "LOCAL_PROVIDER  both  by local, then two as both  (free of Amp credits)" == outcome(explanation.decision)
