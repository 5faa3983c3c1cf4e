"""The decision: who serves a request, under which name, and whether it may be tried again.

Pure: an :class:`Ask`, a snapshot and what is available go in, a :class:`Decision` comes out. The data path,
``ampmap explain``, the model lists and the tests all call :func:`decide`; nothing else decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from .facts import NO_FACTS, Facts
from .headers import Headers, values
from .mapping import Availability, Candidate, Snapshot, split_suffix, with_suffix_of
from .settings import Auth, CreditPolicy, Protocol, Rule, When

RouteType = Literal["LOCAL_PROVIDER", "MODEL_MAPPING", "AMP_CREDITS", "NO_PROVIDER"]


_DECISIONS = 64  # that are kept; names, which are bounded, and segments are a client's choice
_SEGMENT_CHARS = 256


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request says that a decision may look at.

    ``model`` is the name as the client wrote it, empty where there is none; ``segment`` is the provider's name in a
    path under ``/api/provider/``, None elsewhere: only there do Amp's clients ask, so only there may Amp be the
    answer. ``protocol`` is None for a path under ``/api/provider/`` that is no model route. ``headers`` and ``facts``
    are looked at by rules with a ``when``; the facts may be left out where :func:`needs_facts` says that none does.
    """

    protocol: Protocol | None
    model: str
    segment: str | None = None
    headers: Headers = field(default=(), repr=False)
    facts: Facts = NO_FACTS


@dataclass(frozen=True, slots=True)
class Decision:
    """Who serves a request.

    ``candidates`` are to be tried in order and are empty unless the model is served locally. ``rule`` is the mapping
    that led to them. ``credits`` says what AMP_CREDITS may do: ``refuse`` means that the request is answered with an
    error; ``credits_rule`` is the rule that says so, where it is not the general setting.
    """

    route_type: RouteType
    ask: Ask
    candidates: tuple[Candidate, ...] = ()
    rule: Rule | None = None
    credits: CreditPolicy = "allow"
    credits_rule: Rule | None = None

    @property
    def refused(self) -> bool:
        """True when only Amp credits would serve this request, and they may not be spent."""
        return self.route_type == "AMP_CREDITS" and self.credits == "refuse"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a decision looked at, in words; ``taken`` marks the one that was acted on."""

    what: str
    taken: bool
    why: str


def decide(ask: Ask, snapshot: Snapshot, availability: Availability, steps: list[Step] | None = None) -> Decision:
    """Decide who serves ``ask``; with ``steps``, also note down each thing looked at and why it was passed over.

    The order: the local provider for the model, then a mapping one of whose targets is served, then Amp, then nobody;
    with ``amp-force-model-mappings`` mappings come first.
    """
    amp = snapshot.settings.amp
    found: Decision | None = None
    if ask.model and ask.protocol is not None:
        ways = (_local, _mapped) if not amp.force_model_mappings else (_mapped, _local)
        found = ways[0](ask, ask.protocol, snapshot, availability, steps)
        found = found or ways[1](ask, ask.protocol, snapshot, availability, steps)
    elif steps is not None:
        steps.append(Step("model", False, "the request names no model that could be looked up"))
    return found or _beyond(ask, snapshot, steps)


class Decisions:
    """Decisions by what was asked, as long as the same snapshot and availability hold: agents ask for the same few.

    Where a rule with a ``when`` matches the model, requests for it differ, and each is decided by itself.
    """

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._availability: Availability | None = None
        self._made: dict[tuple[Protocol | None, str, str | None], Decision] = {}

    def decide(self, ask: Ask, snapshot: Snapshot, availability: Availability) -> Decision:
        """Return what :func:`decide` does."""
        if snapshot is not self._snapshot or availability is not self._availability:
            self._made.clear()
            self._snapshot, self._availability = snapshot, availability
        known = self._made.get(asked := (ask.protocol, ask.model, ask.segment))
        if known is not None:
            return known
        if any(rule.when is not None for rule in snapshot.rules_for(ask.model)):
            return decide(ask, snapshot, availability)
        decision = decide(Ask(*asked), snapshot, availability)  # what is kept has no fields of a request in it
        if len(ask.segment or "") <= _SEGMENT_CHARS:
            if len(self._made) >= _DECISIONS:
                self._made.clear()
            self._made[asked] = decision
        return decision


def _local(
    ask: Ask, protocol: Protocol, snapshot: Snapshot, availability: Availability, steps: list[Step] | None
) -> Decision | None:
    candidates = snapshot.candidates(ask.model, protocol, availability)
    if steps is not None:
        steps.extend(_looked_at(ask.model, protocol, snapshot, availability, candidates))
    return Decision("LOCAL_PROVIDER", ask, candidates) if candidates else None


def _mapped(
    ask: Ask, protocol: Protocol, snapshot: Snapshot, availability: Availability, steps: list[Step] | None
) -> Decision | None:
    matched = False
    for rule in snapshot.rules_for(ask.model):
        matched = True
        if rule.when is not None and (failing := unmet(rule.when, ask)):
            if steps is not None:
                steps.append(Step(f"rule {shown_rule(rule)}", False, f"its condition does not hold: {failing}"))
            continue
        candidates = _of_targets(rule, ask.model, protocol, snapshot, availability)
        if steps is not None:
            why = f"served by {candidates[0].provider.name}" if candidates else f"no target is served in {protocol}"
            steps.append(Step(f"rule {shown_rule(rule)}", bool(candidates), why))
            if not candidates:
                for target in rule.targets:
                    steps.extend(_looked_at(target.strip(), protocol, snapshot, availability, ()))
        if candidates:
            return Decision("MODEL_MAPPING", ask, candidates, rule)
    if steps is not None and not matched:
        steps.append(Step("rules", False, f"none matches {ask.model!r}"))
    return None


def _of_targets(
    rule: Rule, model: str, protocol: Protocol, snapshot: Snapshot, availability: Availability
) -> tuple[Candidate, ...]:
    """Return the ways to serve the rule's targets; two that come to the same request are one: none is sent twice."""
    if len(rule.targets) == 1:
        return snapshot.candidates(with_suffix_of(model, rule.targets[0].strip()), protocol, availability)
    found: dict[tuple[str, str], Candidate] = {}
    for target in rule.targets:
        for candidate in snapshot.candidates(with_suffix_of(model, target.strip()), protocol, availability):
            found.setdefault((candidate.provider.name, candidate.model), candidate)
    return tuple(found.values())


def _beyond(ask: Ask, snapshot: Snapshot, steps: list[Step] | None) -> Decision:
    """Nothing local serves it: Amp, where Amp's clients ask and there is an Amp upstream; else nobody."""
    amp = snapshot.settings.amp
    if ask.segment is None or amp.origin is None:
        if steps is not None:
            why = "there is no Amp upstream" if amp.origin is None else "only paths under /api/provider/ may go to Amp"
            steps.append(Step("Amp upstream", False, why))
        return Decision("NO_PROVIDER", ask)
    credits_rule = None
    if ask.model:
        matching = (rule for rule in snapshot.rules_for(ask.model) if rule.when is None or not unmet(rule.when, ask))
        credits_rule = next((rule for rule in matching if rule.credits), None)
    elif ask.protocol is not None:  # a body without a readable model may mean any model
        credits_rule = next((rule for rule in amp.rules if rule.credits == "refuse"), None)
    policy = credits_rule.credits if credits_rule and credits_rule.credits else amp.credits
    if steps is not None:
        said = f"'credits: {policy}' on rule {shown_rule(credits_rule)}" if credits_rule else f"amp-credits: {policy}"
        steps.append(Step("Amp upstream", policy != "refuse", said))
    return Decision("AMP_CREDITS", ask, credits=policy, credits_rule=credits_rule)


def unmet(when: When, ask: Ask) -> str:
    """Return the condition of ``when`` that does not hold for ``ask``, in words; empty when all do."""
    if when.provider and when.provider.lower() != (ask.segment or "").lower():
        return f"provider {when.provider!r}"
    for name, glob in when.headers:
        lines = values(ask.headers, name.lower().encode("latin-1", "replace"))
        if not any(fnmatchcase(line.decode("latin-1").lower(), glob.lower()) for line in lines):
            return f"header {name}: {glob}"
    if when.tool_choice and when.tool_choice.lower() != ask.facts.tool_choice.lower():
        return f"tool-choice {when.tool_choice!r}"
    prefix = when.system_prefix.strip().lower()
    if prefix and not ask.facts.system.lstrip()[: 2 * len(prefix)].lower().startswith(prefix):
        return "system-prefix"
    return ""


def needs_facts(model: str, snapshot: Snapshot) -> bool:
    """Tell whether a rule for ``model`` looks into the request's body."""
    if not snapshot.looks_into_bodies:
        return False
    return any(rule.when is not None and rule.when.needs_body for rule in snapshot.rules_for(model))


def shown_rule(rule: Rule) -> str:
    """Show a rule in one phrase: ``'^gpt-5' (regex) -> gpt-oss-120b, glm-5 [file:12]``."""
    kind = " (regex)" if rule.regex else ""
    if rule.when is not None:
        kind += " when …"
    where = f" [{rule.place.file}:{rule.place.line}]" if rule.place else ""
    return f"{rule.source!r}{kind} -> {', '.join(rule.targets)}{where}"


def _looked_at(
    model: str,
    protocol: Protocol,
    snapshot: Snapshot,
    availability: Availability,
    candidates: tuple[Candidate, ...],
) -> list[Step]:
    """Tell of each provider that lists ``model`` why it serves it or not; one step if none lists it."""
    listing = snapshot.listing(split_suffix(model)[0], availability)
    if not listing:
        return [Step(f"providers for {model}", False, "none lists it")]
    steps = []
    for provider, name in listing:
        taken = bool(candidates) and candidates[0].provider is provider
        if provider.name in availability.resting:
            why = "rests after failing to connect"
        elif provider.endpoint(protocol) is None:
            spoken = ", ".join(endpoint.protocol for endpoint in provider.endpoints)
            why = f"does not speak {protocol}, only {spoken}"
        else:
            why = f"serves it as {name}" + ("" if taken or not candidates else ", after the one before it")
        steps.append(Step(f"provider {provider.name} for {model}", taken, why))
    return steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt at an upstream ended without a usable reply."""

    reused: bool  # the connection had served another request before
    bytes_sent: int  # bytes of this request that were handed to the socket
    response_started: bool  # a byte of a reply arrived


def may_retry(attempt: Attempt) -> bool:
    """Tell whether the same upstream may be sent the same request again.

    Nearly all of them are paid for, so only where it is certain that nothing was begun: the connection was reused, had
    died while idle, and took none of the request. Source: RFC 9110 §9.2.2.
    """
    return attempt.reused and attempt.bytes_sent == 0 and not attempt.response_started


def may_fail_over(status: int, auth: Auth = "bearer") -> bool:
    """Tell whether a reply with ``status`` lets the next candidate be tried, nothing of it having reached the client.

    Overload and failures of the provider do, and a refusal of the provider's own key; a refusal of the client's own
    login (``auth`` says whose was sent) is the client's to know, and what is wrong with the request itself would be
    wrong everywhere.
    """
    return status == 429 or 500 <= status <= 599 or (status in (401, 403) and auth not in ("client", "none"))
