"""A decision told beforehand: what would happen to a model's name, step by step, and whose money it is.

Pure. It asks the same :func:`~ampmap.routing.decide.decide` as the data path and shows what that looked at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..bodies.edits import Edit
from ..bodies.find_model import ModelSpan
from ..bodies.members import find_members
from ..errors import BadRequest
from ..escaping import printable
from ..formats.registry import ASKED_AS, FORMATS
from ..http.headers import Headers
from ..settings import Protocol, Rule
from .advice import how_to_serve, no_provider, refused_credits, unavailable
from .conditions import NO_FACTS, Facts
from .decide import Ask, Decision, decide
from .reasons import Step, shown_rule
from .snapshot import Availability, Snapshot

SERVED, CREDITS, NOBODY, UNAVAILABLE = 0, 3, 4, 5  # exit codes
_SHOWN = 200  # characters of what would change
_BEST_FIRST = (SERVED, UNAVAILABLE, CREDITS, NOBODY)
_AS_CONFIGURED = "as configured; no provider was asked"


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


def explain_for(
    agent: str | None,
    model: str,
    protocol: Protocol | None,
    snapshot: Snapshot,
    availability: Availability,
    headers: Headers = (),
    facts: Facts = NO_FACTS,
    body_bytes: int = 0,
) -> tuple[list[Explanation], list[Explanation]]:
    """Explain ``model`` as ``agent`` would ask for it; with None first as agents on plain paths, then as Amp's CLI.

    ``protocol`` replaces the wire formats of the agent. The second list is empty where an agent is named.
    """
    protocols = (protocol,) if protocol else ASKED_AS[agent] if agent else tuple(FORMATS)

    def asked(is_amp: bool) -> list[Explanation]:
        look = (snapshot, availability, headers, facts, body_bytes)
        segments = [(spoken, FORMATS[spoken].amp_segment if is_amp else None) for spoken in protocols]
        return [each for spoken, segment in segments for each in explain(model, spoken, segment, *look)]

    return (asked(agent == "amp"), []) if agent else (asked(False), asked(True))


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
        name = f"{decision.ask.model} -> {first.model}" if first.model != decision.ask.model else first.model
        then = f", then {', '.join(f'{c.provider.name} as {c.model}' for c in others)}" if others else ""
        return f"{decision.route_type}  {name}  by {first.provider.name}{then}  (free of Amp credits)"
    if decision.waiting and decision.route_type != "AMP_CREDITS":
        return f"{decision.route_type}  covered, but the list of models of {', '.join(decision.waiting)} is unknown"
    if decision.refused:
        return "REFUSED  only Amp credits would serve it, and they may not be spent"
    if decision.route_type == "AMP_CREDITS":
        return "AMP_CREDITS  goes to the Amp upstream and costs credits"
    return "NO_PROVIDER  answered with an error"


def as_text(
    explanations: list[Explanation], snapshot: Snapshot, availability: Availability, learnt: str = _AS_CONFIGURED,
    amp: Sequence[Explanation] = (),
) -> str:  # fmt: skip
    """Return the explanations for a person; ``learnt`` says where the availability comes from.

    ``amp`` are those of Amp's own paths, which get one line together.
    """
    lines = [f"availability: {learnt}"]
    for explanation in explanations:
        decision = explanation.decision
        lines += ["", f"{decision.ask.protocol}: {outcome(decision)}"]
        lines += [f"  {'*' if step.taken else '-'} {step.what}: {step.why}" for step in explanation.steps]
        if decision.refused:
            lines.append(f"  {refused_credits(decision, snapshot, availability)}")
        elif decision.waiting and decision.route_type != "AMP_CREDITS":
            lines.append(f"  {unavailable(decision, availability)}")
        elif decision.route_type == "NO_PROVIDER":
            lines.append(f"  {no_provider(decision, snapshot, availability)}")
        elif decision.route_type == "AMP_CREDITS" and (advice := how_to_serve(decision.ask, snapshot, availability)):
            lines.append(f"  {advice}")
    if amp:
        lines += ["", f"Amp's paths under /api/provider/: {_outcomes(amp)}"]
    return "\n".join(map(printable, lines))


def _outcomes(explanations: Sequence[Explanation]) -> str:
    """Say in one line what would happen, with the wire formats where that differs between them."""
    protocols: dict[str, list[str]] = {}
    for explanation in explanations:
        protocols.setdefault(outcome(explanation.decision), []).append(str(explanation.decision.ask.protocol))
    if len(protocols) == 1:
        return next(iter(protocols))
    return "; ".join(f"{', '.join(names)}: {what}" for what, names in protocols.items())


def as_json(
    explanations: list[Explanation], snapshot: Snapshot, learnt: str = _AS_CONFIGURED, amp: Sequence[Explanation] = ()
) -> str:
    """Return the explanations for a machine; ``learnt`` and ``amp`` as for :func:`as_text`."""
    return json.dumps(
        {
            "config": snapshot.settings.source or None,
            "availability": learnt,
            "exit_code": exit_code([*explanations, *amp]),
            "decisions": [_as_dict(explanation) for explanation in explanations],
            "amp_decisions": [_as_dict(explanation) for explanation in amp],
        },
        indent=2,
    )


def _as_dict(explanation: Explanation) -> dict[str, Any]:
    decision = explanation.decision
    return {
        "protocol": decision.ask.protocol,
        "requested_model": decision.ask.model,
        "route_type": decision.route_type,
        "refused": decision.refused,
        "cost": "own" if decision.candidates else "amp_credits" if explanation.exit_code == CREDITS else "none",
        "rule": shown_rule(decision.rule) if decision.rule else None,
        "candidates": [{"provider": c.provider.name, "model": c.model} for c in decision.candidates],
        "steps": [{"what": step.what, "taken": step.taken, "why": step.why} for step in explanation.steps],
        "exit_code": explanation.exit_code,
    }


def changed_bytes(body: bytes, span: ModelSpan | None, explanations: list[Explanation]) -> str:
    """Say which bytes of a request's body would change for the first candidate: the model's name, a rule's changes."""
    decision = next((e.decision for e in explanations if e.decision.candidates), None)
    edits: list[Edit] = []
    if decision and decision.rule:
        try:
            edits = find_members(body, decision.rule.set, decision.rule.drop)
        except BadRequest as exc:
            return f"the body would be refused: {exc}"
    if span and decision and (model := decision.candidates[0].model) != decision.ask.model:
        edits.append((span.start, span.end, json.dumps(model, ensure_ascii=False).encode()))
    if not edits:
        return "the body would be sent as it is"
    lines = [_change(body, edit) for edit in sorted(edits)]
    size = len(body) + sum(len(instead) - (end - start) for start, end, instead in edits)
    return "\n".join([*map(printable, lines[:-1]), printable(f"{lines[-1]} ({size} bytes are sent)")])


def _change(body: bytes, edit: Edit) -> str:
    start, end, instead = edit
    was, becomes = (text.decode("utf-8", "replace") for text in (body[start:end], instead))
    was = was if len(was) <= _SHOWN else f"{was[:_SHOWN]}…"
    if start == end:
        return f"at byte {start} of {len(body)} is added: {becomes}"
    if not instead:
        return f"bytes {start} to {end} of {len(body)} are taken out: {was}"
    return f"bytes {start} to {end} of {len(body)} change: {was} -> {becomes}"
