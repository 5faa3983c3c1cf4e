"""Covered means never paid: one expected route for each state of a provider, each way to it and each policy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy import EVERYBODY, in_cooldown, provider, snapshot

from ampmap.routing.decide import Ask, Decision, decide
from ampmap.routing.snapshot import Availability, Offer
from ampmap.settings import Amp, CreditPolicy, Protocol, Provider, Rule, When

LISTS = provider("p", "m", protocols=("anthropic",))
ASKED = provider("p", discover=True, protocols=("anthropic",))
UNKNOWN = frozenset({"p"})
FAILED = {"p": Offer(error="connection refused")}

STATES: dict[str, tuple[Provider, Availability, Protocol]] = {
    "down": (LISTS, in_cooldown("p"), "anthropic"),
    "asked in vain": (ASKED, Availability(offers=FAILED, unlearnt=UNKNOWN, new=UNKNOWN), "anthropic"),
    "never learnt": (ASKED, Availability(offers=FAILED, unlearnt=UNKNOWN), "anthropic"),
    "429": (LISTS, Availability(limited=frozenset({("p", "m")})), "anthropic"),
    "translated": (LISTS, EVERYBODY, "gemini"),
    "tr. and down": (LISTS, in_cooldown("p"), "gemini"),
    "tr. unlearnt": (ASKED, Availability(offers=FAILED, unlearnt=UNKNOWN), "gemini"),
    "another format": (replace(LISTS, translate=False), EVERYBODY, "gemini"),
    "embeddings": (LISTS, EVERYBODY, "openai-chat"),
}

RULES = {
    "direct": Rule(source="m", targets=("gone",)),  # it has no target, but may have a policy
    "exact": Rule(source="q", targets=("m",)),
    "glob": Rule(source="q*", targets=("m",)),
    "two": Rule(source="q", targets=("gone", "m")),
    "when": Rule(source="q", targets=("m",), when=When(provider="anthropic")),
    "other": Rule(source="q", targets=("m",), when=When(provider="xai")),
    "force": Rule(source="q", targets=("m",)),
}

POLICIES: dict[str, tuple[CreditPolicy, CreditPolicy | None]] = {
    "warn": ("warn", None),
    "refuse": ("refuse", None),
    "allow": ("allow", None),
    "rule allows": ("warn", "allow"),
    "rule refuses": ("allow", "refuse"),
}

# A route may end in "+AMP": Amp serves it if nobody can be connected to. "?" marks a list that is unknown.
TABLE = """
                              direct      exact     glob      two       when      other     force
down            warn          LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    AMP       MAPPED
down            refuse        LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    REFUSED   MAPPED
down            allow         LOCAL+AMP   MAPPED+AMP MAPPED+AMP MAPPED+AMP MAPPED+AMP AMP   MAPPED+AMP
down            rule-allows   LOCAL+AMP   MAPPED+AMP MAPPED+AMP MAPPED+AMP MAPPED+AMP AMP   MAPPED+AMP
down            rule-refuses  LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    AMP       MAPPED
asked-in-vain   warn          LOCAL?      LOCAL?    LOCAL?    LOCAL?    LOCAL?    LOCAL?    MAPPED?
asked-in-vain   refuse        LOCAL?      LOCAL?    LOCAL?    LOCAL?    LOCAL?    LOCAL?    MAPPED?
asked-in-vain   allow         AMP         AMP       AMP       AMP       AMP       AMP       AMP
asked-in-vain   rule-allows   AMP         AMP       AMP       AMP       AMP       LOCAL?    AMP
asked-in-vain   rule-refuses  LOCAL?      LOCAL?    LOCAL?    LOCAL?    LOCAL?    AMP       MAPPED?
never-learnt    warn          MAPPED?     MAPPED?   MAPPED?   MAPPED?   MAPPED?   AMP       MAPPED?
never-learnt    refuse        MAPPED?     MAPPED?   MAPPED?   MAPPED?   MAPPED?   REFUSED   MAPPED?
never-learnt    allow         AMP         AMP       AMP       AMP       AMP       AMP       AMP
never-learnt    rule-allows   AMP         AMP       AMP       AMP       AMP       AMP       AMP
never-learnt    rule-refuses  MAPPED?     MAPPED?   MAPPED?   MAPPED?   MAPPED?   AMP       MAPPED?
429             warn          LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    AMP       MAPPED
429             refuse        LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    REFUSED   MAPPED
429             allow         LOCAL+AMP   MAPPED+AMP MAPPED+AMP MAPPED+AMP MAPPED+AMP AMP   MAPPED+AMP
429             rule-allows   LOCAL+AMP   MAPPED+AMP MAPPED+AMP MAPPED+AMP MAPPED+AMP AMP   MAPPED+AMP
429             rule-refuses  LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    AMP       MAPPED
translated      warn          LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    AMP       MAPPED
translated      refuse        LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    REFUSED   MAPPED
translated      allow         LOCAL+AMP   MAPPED+AMP MAPPED+AMP MAPPED+AMP MAPPED+AMP AMP   MAPPED+AMP
translated      rule-allows   LOCAL+AMP   MAPPED+AMP MAPPED+AMP MAPPED+AMP MAPPED+AMP AMP   MAPPED+AMP
translated      rule-refuses  LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    AMP       MAPPED
tr.-and-down    warn          LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    AMP       MAPPED
tr.-and-down    refuse        LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    REFUSED   MAPPED
tr.-and-down    allow         LOCAL+AMP   MAPPED+AMP MAPPED+AMP MAPPED+AMP MAPPED+AMP AMP   MAPPED+AMP
tr.-and-down    rule-allows   LOCAL+AMP   MAPPED+AMP MAPPED+AMP MAPPED+AMP MAPPED+AMP AMP   MAPPED+AMP
tr.-and-down    rule-refuses  LOCAL       MAPPED    MAPPED    MAPPED    MAPPED    AMP       MAPPED
tr.-unlearnt    warn          MAPPED?     MAPPED?   MAPPED?   MAPPED?   MAPPED?   AMP       MAPPED?
tr.-unlearnt    refuse        MAPPED?     MAPPED?   MAPPED?   MAPPED?   MAPPED?   REFUSED   MAPPED?
tr.-unlearnt    allow         AMP         AMP       AMP       AMP       AMP       AMP       AMP
tr.-unlearnt    rule-allows   AMP         AMP       AMP       AMP       AMP       AMP       AMP
tr.-unlearnt    rule-refuses  MAPPED?     MAPPED?   MAPPED?   MAPPED?   MAPPED?   AMP       MAPPED?
another-format  warn          AMP         AMP       AMP       AMP       AMP       AMP       AMP
another-format  refuse        REFUSED     REFUSED   REFUSED   REFUSED   REFUSED   REFUSED   REFUSED
another-format  allow         AMP         AMP       AMP       AMP       AMP       AMP       AMP
another-format  rule-allows   AMP         AMP       AMP       AMP       AMP       AMP       AMP
another-format  rule-refuses  REFUSED     REFUSED   REFUSED   REFUSED   REFUSED   AMP       REFUSED
embeddings      warn          AMP         AMP       AMP       AMP       AMP       AMP       AMP
embeddings      refuse        REFUSED     REFUSED   REFUSED   REFUSED   REFUSED   REFUSED   REFUSED
embeddings      allow         AMP         AMP       AMP       AMP       AMP       AMP       AMP
embeddings      rule-allows   AMP         AMP       AMP       AMP       AMP       AMP       AMP
embeddings      rule-refuses  REFUSED     REFUSED   REFUSED   REFUSED   REFUSED   AMP       REFUSED
"""


def cells() -> list[tuple[str, str, str, str]]:
    head, *rows = TABLE.strip().splitlines()
    found = []
    for row in rows:
        state, policy, *routes = row.split()
        found += [
            (state.replace("-", " "), policy.replace("-", " "), way, route)
            for way, route in zip(head.split(), routes, strict=True)
        ]
    return found


def decision_of(state: str, way: str, policy: str, segment: str | None = "anthropic") -> Decision:
    who, world, protocol = STATES[state]
    general, own = POLICIES[policy]
    amp = Amp(credits=general, force_model_mappings=way == "force")
    found = snapshot(who, replace(RULES[way], credits=own), amp=amp)
    ask = Ask(protocol, "m" if way == "direct" else "q", segment, translates=state != "embeddings")
    return decide(ask, found, world)


def route(decision: Decision) -> str:
    if decision.refused:
        return "REFUSED"
    short = {"LOCAL_PROVIDER": "LOCAL", "MODEL_MAPPING": "MAPPED", "AMP_CREDITS": "AMP", "NO_PROVIDER": "NOBODY"}
    word = short[decision.route_type]
    return word + ("?" if decision.waiting and word != "AMP" else "") + ("+AMP" if decision.amp_instead else "")


@pytest.mark.parametrize(("state", "policy", "way", "expected"), cells())
def test_each_state_way_and_policy_has_one_route(state: str, policy: str, way: str, expected: str) -> None:
    assert expected == route(decision_of(state, way, policy))


def test_the_table_is_whole() -> None:
    assert len(STATES) * len(RULES) * len(POLICIES) == len({cell[:3] for cell in cells()})


@pytest.mark.parametrize(
    ("state", "policy", "way", "expected"),
    [cell for cell in cells() if cell[2] not in ("when", "other")],  # these are about the path under /api/provider/
)
def test_a_path_that_may_not_go_to_amp_gets_the_same_without_amp(
    state: str, policy: str, way: str, expected: str
) -> None:
    decision = decision_of(state, way, policy, segment=None)

    assert decision.route_type != "AMP_CREDITS" and not decision.amp_instead
    if expected not in ("AMP", "REFUSED"):
        assert route(decision) == expected.removesuffix("+AMP")
