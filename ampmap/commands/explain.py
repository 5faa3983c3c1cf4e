"""``ampmap explain``: says what would happen to a request for a model, step by step, for a person or a machine."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from ..bodies.find_model import find_model
from ..errors import BadRequest, Complaint, ConfigError
from ..escaping import printable
from ..formats.registry import FORMATS
from ..http.headers import Headers
from ..routing.advice import how_to_serve, no_provider, refused_credits, unavailable
from ..routing.conditions import NO_FACTS, Facts, facts_of
from ..routing.explain import CREDITS, Explanation, exit_code, explain, outcome
from ..routing.reasons import shown_rule
from ..routing.snapshot import Availability, Candidate, Snapshot, compile_snapshot
from ..settings import Protocol
from .agents import AGENTS, ASKED_AS
from .availability import learn
from .explain_request import sent
from .options import load

_AS_CONFIGURED = "as configured; no provider was asked"

HELP = """\
Say what would happen to a request for a model, rule by rule, and why. Providers
are asked for their lists of models at most; nothing is spent.

examples:
  ampmap explain claude-opus-4-8 --as claude
  ampmap explain --request body.json

exit codes: 0 served locally; 2 a configuration that cannot be used; 3 it would
spend Amp credits; 4 nobody serves it, or credits are refused; 5 it is covered,
but nobody can serve it now
"""


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
            print(f"\n{sent(body, span, found, availability)}")
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
    """Return the explanations for a person; ``learnt`` names the source of the availability.

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
        "candidates": [_candidate(each, decision.ask.protocol) for each in decision.candidates],
        "steps": [{"what": step.what, "taken": step.taken, "why": step.why} for step in explanation.steps],
        "exit_code": explanation.exit_code,
    }


def _candidate(candidate: Candidate, protocol: Protocol | None) -> dict[str, str]:
    shown = {"provider": candidate.provider.name, "model": candidate.model}
    target = candidate.endpoint.protocol
    return shown if target == protocol else {**shown, "translated": f"{protocol} -> {target}"}
