"""Builders for tests of ``routing``: settings in one line, snapshots, asks and heads."""

from __future__ import annotations

import json
from dataclasses import replace

from ampmap.bodies.steps import finished
from ampmap.formats.base import ServedList
from ampmap.formats.registry import FORMATS
from ampmap.http.headers import Headers
from ampmap.proxy.model_list import ListForm, scan_list
from ampmap.routing.decide import Ask, Decision, decide
from ampmap.routing.snapshot import Availability, Candidate, Cooldown, Snapshot, compile_snapshot
from ampmap.routing.target import ModelList, Route, parse_target, route_of
from ampmap.settings import (
    Amp,
    Auth,
    CreditPolicy,
    Endpoint,
    ModelEntry,
    Origin,
    Protocol,
    Provider,
    Rule,
    Settings,
)

EVERYBODY = Availability()


def names_listed(
    snapshot: Snapshot, availability: Availability, protocol: Protocol | None = None, segment: str | None = None
) -> list[str]:
    """Return the names that a client gets in a list: the models of all formats, or of one."""
    served = ServedList(
        name="names", entry=lambda name: {}, document=lambda names, *_: json.dumps(names), every_format=protocol is None
    )
    steps = scan_list(ModelList(segment), ListForm(protocol or "", served), snapshot, availability)
    names: list[str] = json.loads(finished(steps) or b"")
    return names


def route(path: str, method: str = "POST", *, amp: bool = False) -> Route:
    """Take a target apart and find its route."""
    verb = method.encode()
    return route_of(parse_target(path.encode(), verb), verb, amp)


def provider(
    name: str,
    *models: str,
    protocols: tuple[Protocol, ...] = tuple(FORMATS),
    auth: Auth = "bearer",
    base_path: str = "",
    key: str = "provider-secret",
    headers: tuple[tuple[str, str], ...] = (),
    discover: bool = False,
    translate: bool | None = None,
) -> Provider:
    """Make a provider on a host of its own; ``NAME=THERE`` among the models is one that it calls something else."""
    entries = tuple(ModelEntry(id=model.partition("=")[0], upstream=model.partition("=")[2]) for model in models)
    endpoints = tuple(Endpoint(protocol=protocol, auth=auth, base_path=base_path) for protocol in protocols)
    origin = Origin("https", f"{name}.example", 443)
    return Provider(
        name=name, origin=origin, endpoints=endpoints, models=entries, api_key=key, headers=headers, discover=discover,
        translate=translate,
    )  # fmt: skip


LOCAL = provider("local", "claude-sonnet-4", "both")


def rule(source: str, *targets: str, regex: bool = False, credits: CreditPolicy | None = None) -> Rule:
    """Make a rule."""
    return Rule(source=source, targets=targets, regex=regex, credits=credits)


def settings(*parts: Provider | Rule, api_keys: tuple[str, ...] = (), amp: Amp | None = None) -> Settings:
    """Make settings of providers and rules, in their order."""
    rules = tuple(part for part in parts if isinstance(part, Rule))
    providers = tuple(part for part in parts if isinstance(part, Provider))
    return Settings(amp=replace(amp or Amp(), rules=rules), providers=providers, api_keys=api_keys)


def snapshot(*parts: Provider | Rule, amp: Amp | None = None) -> Snapshot:
    """Compile settings of providers and rules."""
    return compile_snapshot(settings(*parts, amp=amp))[0]


def decided(
    model: str,
    *parts: Provider | Rule,
    protocol: Protocol = "anthropic",
    segment: str | None = "anthropic",
    amp: Amp | None = None,
    cooling: tuple[str, ...] = (),
) -> Decision:
    """Decide who serves ``model`` while the providers ``cooling`` are in cooldown, the first one for the least time."""
    return decide(Ask(protocol, model, segment), snapshot(*parts, amp=amp), in_cooldown(*cooling))


def in_cooldown(*names: str) -> Availability:
    """Return the availability in which these providers are in cooldown; the first one's ends first."""
    return Availability({name: Cooldown("refused", 50_527.0) for name in names})


def sent(decision: Decision) -> list[tuple[str, str]]:
    """Return who is asked for what, in order."""
    return [(candidate.provider.name, candidate.model) for candidate in decision.candidates]


def candidate(provider: Provider, model: str = "m", protocol: Protocol = "anthropic") -> Candidate:
    """Make the candidate that ``provider`` is for ``protocol``."""
    endpoint = provider.endpoint(protocol)
    assert endpoint is not None
    return Candidate(provider, endpoint, model)


def lines(**fields: str) -> Headers:
    """Make field lines; ``_`` in a name stands for ``-``."""
    return [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in fields.items()]


def split_head(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Return the start line and the field lines, names in lower case, of a head as it leaves."""
    start, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = [line.partition(": ") for line in rest]
    return start, [(name.lower(), value) for name, _, value in pairs]
