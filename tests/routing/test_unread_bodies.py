"""Rules that look into a body which cannot be read: nobody knows whether they hold, so no credits are risked."""

from __future__ import annotations

import pytest

from ampmap.routing.advice import refused_credits
from ampmap.routing.conditions import Facts
from ampmap.routing.decide import Ask, Decision, decide, unmet
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.settings import Amp, CreditPolicy, Endpoint, ModelEntry, Origin, Provider, Rule, Settings, When

ORIGIN = Origin("http", "127.0.0.1", 1)
LOCAL = Provider(name="p", origin=ORIGIN, endpoints=(Endpoint(protocol="gemini"),), models=(ModelEntry(id="local"),))
UNREAD = Facts(readable=False)
TOOL = When(tool="Bash")


def decided(
    when: When | None, policy: CreditPolicy = "warn", own: CreditPolicy | None = None, **asked: object
) -> Decision:
    rules = (Rule(source="m", targets=("local",), when=when, credits=own),)
    settings = Settings(providers=(LOCAL,), amp=Amp(origin=ORIGIN, rules=rules, credits=policy))
    ask = Ask("gemini", "m", "google", **{"facts": UNREAD, **asked})  # type: ignore[arg-type]
    return decide(ask, compile_snapshot(settings)[0], Availability())


@pytest.mark.parametrize(
    ("policy", "own", "refused"),
    [
        ("warn", None, True), ("refuse", None, True), ("allow", None, False),
        ("allow", "refuse", True), ("allow", "warn", True), ("warn", "allow", False),
    ],
)  # fmt: skip
def test_a_rule_that_could_hold_keeps_the_request_from_credits(
    policy: CreditPolicy, own: CreditPolicy | None, refused: bool
) -> None:
    decision = decided(TOOL, policy, own)

    assert ("AMP_CREDITS", refused) == (decision.route_type, decision.refused)
    assert "no JSON" in unmet(TOOL, decision.ask)


def test_the_error_says_that_the_body_is_why() -> None:
    settings = Settings(amp=Amp(origin=ORIGIN))
    said = refused_credits(decided(TOOL), compile_snapshot(settings)[0], Availability())

    assert "its body is no JSON" in said and "send one JSON object" in said


@pytest.mark.parametrize(
    "when",
    [When(provider="other", tool="Bash"), When(headers=(("x-a", "b"),), image=True), When(body_over=9, image=True)],
)
def test_a_rule_that_cannot_hold_whatever_the_body_says_changes_nothing(when: When) -> None:
    assert "warn" == decided(when).credits


def test_a_body_that_can_be_read_is_judged_by_what_it_says() -> None:
    assert "warn" == decided(TOOL, facts=Facts()).credits
    assert "MODEL_MAPPING" == decided(TOOL, facts=Facts(tools=frozenset({"Bash"}))).route_type


def test_a_rule_without_conditions_on_the_body_holds_as_ever() -> None:
    assert "MODEL_MAPPING" == decided(None).route_type
    assert "MODEL_MAPPING" == decided(When(provider="google")).route_type
