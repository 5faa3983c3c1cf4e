"""The decision about a model's name in words, step by step, and what it would cost, for ``ampmap explain``.

Pure. It calls the same :func:`~ampmap.routing.decide.decide` as the data path and shows the steps that it took.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..formats.registry import FORMATS
from ..http.headers import Headers
from ..settings import Protocol, Rule
from .conditions import NO_FACTS, Facts
from .decide import Ask, Decision, decide
from .reasons import Step, shown_format, shown_rule
from .snapshot import Availability, Snapshot

SERVED, CREDITS, NOBODY, UNAVAILABLE = 0, 3, 4, 5  # exit codes
_BEST_FIRST = (SERVED, UNAVAILABLE, CREDITS, NOBODY)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen to one model in one protocol."""

    decision: Decision
    steps: tuple[Step, ...]
    reachable: bool = True  # a candidate is not in cooldown

    @property
    def exit_code(self) -> int:
        """Return 0 for served locally, 3 for credits, 4 for nobody or refused, 5 for covered but not to be had now."""
        if self.decision.candidates:
            return SERVED if self.reachable else UNAVAILABLE
        if self.decision.covered and self.decision.route_type != "AMP_CREDITS":
            return UNAVAILABLE
        return CREDITS if self.decision.route_type == "AMP_CREDITS" and not self.decision.refused else NOBODY


def explain(
    model: str,
    protocol: Protocol | None,
    segment: str | None,
    snapshot: Snapshot,
    availability: Availability,
    headers: Headers = (),
    facts: Facts = NO_FACTS,
    body_bytes: int = 0,
) -> list[Explanation]:
    """Explain ``model`` in ``protocol``, or in each; ``segment`` None stands for a path outside ``/api/provider/``.

    ``headers``, ``facts`` and ``body_bytes`` are what rules with a ``when`` look at.
    """
    found = []
    for spoken in (protocol,) if protocol else FORMATS:
        steps: list[Step] = []
        decision = decide(Ask(spoken, model, segment, headers, facts, body_bytes), snapshot, availability, steps)
        steps += _other_rules(model, snapshot, {step.what for step in steps})
        reachable = any(each.provider.name not in availability.cooldowns for each in decision.candidates)
        found.append(Explanation(decision, tuple(steps), reachable))
    return found


def _other_rules(model: str, snapshot: Snapshot, told: set[str]) -> list[Step]:
    """Tell of each rule that the decision did not come to, in the file's order, why it did not."""
    matching = {id(rule) for rule in snapshot.rules_for(model)}
    rules = [rule for rule in snapshot.settings.amp.rules if f"rule {shown_rule(rule)}" not in told]
    return [
        Step(
            f"rule {shown_rule(rule)}",
            False,
            _why_not(rule, id(rule) in matching, snapshot),
        )
        for rule in rules
    ]


def _why_not(rule: Rule, matches: bool, snapshot: Snapshot) -> str:
    if matches:
        return "not evaluated: the request was decided before"
    in_force = any(rule is each for rules in snapshot.exact.values() for each in rules)
    in_force = in_force or any(rule is each for _, each in snapshot.patterns)
    return "does not match" if in_force else "is not in force: `ampmap check` says why"


def exit_code(explanations: list[Explanation]) -> int:
    """Return the best outcome's exit code: served, covered, paid, nobody."""
    return min((explanation.exit_code for explanation in explanations), key=_BEST_FIRST.index)


def outcome(decision: Decision) -> str:
    """Say in one line what would happen."""
    if decision.candidates:
        first, *others = decision.candidates
        asked = decision.ask.protocol or ""
        name = f"{decision.ask.model} -> {first.model}" if first.model != decision.ask.model else first.model
        ways = [f"{each.provider.name} as {each.model}{shown_format(each, asked)}" for each in others]
        by = f"by {first.provider.name}{shown_format(first, asked)}{', then ' if ways else ''}{', '.join(ways)}"
        return f"{decision.route_type}  {name}  {by}  (free of Amp credits)"
    if decision.waiting and decision.route_type != "AMP_CREDITS":
        return f"{decision.route_type}  covered, but the list of models of {', '.join(decision.waiting)} is unknown"
    if decision.refused:
        return "REFUSED  only Amp credits would serve it, and they may not be spent"
    if decision.route_type == "AMP_CREDITS":
        return "AMP_CREDITS  goes to the Amp upstream and costs credits"
    return "NO_PROVIDER  answered with an error"
