"""``ampmap explain``: what would happen to a model, step by step, for a person or for a machine."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from ..bodies.edits import Edit
from ..bodies.find_model import ModelSpan, find_model
from ..bodies.members import find_members
from ..errors import BadRequest, Complaint, ConfigError
from ..escaping import printable
from ..formats.registry import FORMATS
from ..http.headers import Headers
from ..routing.advice import how_to_serve, no_provider, refused_credits, unavailable
from ..routing.conditions import NO_FACTS, Facts, facts_of
from ..routing.explain import CREDITS, Explanation, exit_code, explain, outcome
from ..routing.reasons import shown_rule
from ..routing.snapshot import Availability, Snapshot, compile_snapshot
from ..settings import Protocol
from .agents import AGENTS, ASKED_AS
from .availability import learn
from .options import load

_SHOWN = 200  # characters of what would change
_AS_CONFIGURED = "as configured; no provider was asked"


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs, and add the command's own options."""
    parser.add_argument("model", nargs="?", help="the model's name as an agent asks for it")
    parser.add_argument("--protocol", choices=tuple(FORMATS), help="only this wire format")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--as", dest="agent", choices=ASKED_AS, help="ask as this agent would: its formats and paths")
    asked.add_argument("--provider", help="ask as Amp would, with this segment under /api/provider/")
    parser.add_argument("--header", metavar="NAME:VALUE", type=_header, action="append", default=[])
    parser.add_argument("--request", metavar="FILE", type=Path, help="take the model from a request's JSON body")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=run)


def _header(text: str) -> tuple[bytes, bytes]:
    name, colon, content = text.partition(":")
    if not (colon and name.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is no header; write 'NAME: VALUE'")
    try:
        return name.strip().encode("latin-1"), content.strip().encode("latin-1")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r} has characters that no header can carry") from None


def run(options: argparse.Namespace) -> int:
    settings = load(options).settings
    snapshot, _ = compile_snapshot(settings)
    body, span, model = b"", None, options.model
    if options.request is not None:
        try:
            body = options.request.read_bytes()
            span = find_model(body)
        except (OSError, BadRequest) as exc:
            raise ConfigError(Complaint(f"{options.request}: {exc}")) from exc
        if span is None and model is None:
            raise ConfigError(Complaint(f'{options.request}: this is no JSON object with a top-level "model" string'))
        model = model or (span.name if span else None)
    if not (model or "").strip():
        raise ConfigError(Complaint("explain what? give a model's name, or --request FILE"))
    headers = tuple(options.header)
    availability, learnt = anyio.run(learn, settings, dict(os.environ))
    facts = facts_of(body) if body else NO_FACTS
    asked = (snapshot, availability, headers, facts, len(body))
    if options.provider is None:
        found, amp = explain_for(options.agent, model, options.protocol, *asked)
    else:
        found, amp = explain(model, options.protocol, options.provider, *asked), list[Explanation]()
    if options.json:
        print(as_json(found, snapshot, learnt, amp))
    else:
        print(as_text(found, snapshot, availability, learnt, amp))
        if body:
            print(f"\n{changed_bytes(body, span, found)}")
    return exit_code([*found, *amp])


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
    protocols = (protocol,) if protocol else AGENTS[agent].protocols if agent else tuple(FORMATS)

    def asked(is_amp: bool) -> list[Explanation]:
        look = (snapshot, availability, headers, facts, body_bytes)
        segments = [(spoken, FORMATS[spoken].amp_segment if is_amp else None) for spoken in protocols]
        return [each for spoken, segment in segments for each in explain(model, spoken, segment, *look)]

    return (asked(agent == "amp"), []) if agent else (asked(False), asked(True))


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
