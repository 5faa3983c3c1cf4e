"""The decision: who serves a request, under which name, and whether it may be tried again.

Pure: an :class:`Ask`, a snapshot and what is available go in, a :class:`Decision` comes out. The data path,
``ampmap explain``, the model lists and the tests all call :func:`decide`; nothing else decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal

from ..http.headers import Headers, values
from ..settings import Auth, CreditPolicy, Protocol, Rule, When
from .conditions import NO_FACTS, Facts
from .logins import with_one_login
from .names import compile_glob, target_name
from .reasons import Step, looked_at, mark_taken, shown_credits, shown_rule, unknown_lists, why_rule
from .snapshot import Availability, Candidate, Snapshot, fold, in_order

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
    ``body_bytes`` is the size of the decoded body. ``translates`` is False for a request that its own format alone can
    carry, as :func:`~ampmap.routing.translation.is_translated` tells of its path.
    """

    protocol: Protocol | None
    model: str
    segment: str | None = None
    headers: Headers = field(default=(), repr=False)
    facts: Facts = NO_FACTS
    body_bytes: int = 0
    translates: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """Who serves a request.

    ``candidates`` are to be tried in order. ``rule`` is the mapping that led to them. A request is covered when a
    provider lists the model (or a rule's target) and speaks its format, or it is translated for that provider, whether
    or not the provider can be reached now; a covered request never spends credits, unless the policy that applies is
    ``allow``. ``waiting`` names the providers whose list is unknown, where the request is covered by one of them alone;
    then there is no candidate.

    ``credits`` says what AMP_CREDITS may do: ``refuse`` means that the request is answered with an error;
    ``credits_rule`` is the rule that says so, where it is not the general setting. ``amp_instead`` means that Amp
    serves the request if no candidate can be connected to. ``credits_again`` is the time when the next request may
    spend credits, where those of ``amp-credits-per-day`` are used up and are all that refuses this one.
    """

    route_type: RouteType
    ask: Ask
    candidates: tuple[Candidate, ...] = ()
    rule: Rule | None = None
    credits: CreditPolicy = "allow"
    credits_rule: Rule | None = None
    waiting: tuple[str, ...] = ()
    amp_instead: bool = False
    credits_again: float | None = None

    @property
    def refused(self) -> bool:
        """True when only Amp credits would serve this request, and they may not be spent."""
        return self.route_type == "AMP_CREDITS" and self.credits == "refuse"

    @property
    def covered(self) -> bool:
        """True when a provider would serve this request if it could be reached and its list were known."""
        return bool(self.candidates or self.waiting)


def decide(ask: Ask, snapshot: Snapshot, availability: Availability, steps: list[Step] | None = None) -> Decision:
    """Decide who serves ``ask``; with ``steps``, also note down each thing looked at and why it was passed over.

    The order: the local provider for the model, then a mapping one of whose targets is served, then Amp, then nobody;
    with ``amp-force-model-mappings`` mappings come first. An exact rule for the unchanged name also comes before
    providers that list another form of it. Of these, the first that has a candidate outside cooldown is taken; if there
    is none, the first that has a candidate.
    """
    found: Decision | None = None
    waiting: Decision | None = None
    if ask.model and ask.protocol is not None:
        for decision in _ways(ask, ask.protocol, snapshot, availability, steps):
            if decision.waiting:
                waiting = waiting or decision
            elif not _all_in_cooldown(decision, availability):
                found = decision
                break
            else:
                found = found or decision
        if found is not None and steps is not None:
            mark_taken(steps, _taken(found))
    elif steps is not None:
        steps.append(Step("model", False, "the request names no model that could be looked up"))
    return _with_amp(ask, found or waiting, snapshot, availability, steps)


def _taken(decision: Decision) -> str:
    """Name the step that a decision acts on."""
    if decision.rule is not None:
        return f"rule {shown_rule(decision.rule)}"
    return f"provider {decision.candidates[0].provider.name} for {decision.ask.model}"


def _all_in_cooldown(decision: Decision, availability: Availability) -> bool:
    return all(candidate.provider.name in availability.cooldowns for candidate in decision.candidates)


class Decisions:
    """Decisions by what was asked, as long as the same snapshot and availability hold: agents ask for the same few.

    Where a rule with a ``when`` matches the model, requests for it differ, and each is decided by itself.
    """

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._availability: Availability | None = None
        self.made: dict[tuple[Protocol | None, str, str | None, bool], Decision] = {}

    def decide(self, ask: Ask, snapshot: Snapshot, availability: Availability) -> Decision:
        """Return what :func:`decide` does."""
        if snapshot is not self._snapshot or availability is not self._availability:
            self.made.clear()
            self._snapshot, self._availability = snapshot, availability
        known = self.made.get(asked := (ask.protocol, ask.model, ask.segment, ask.translates))
        if known is not None:
            return known
        if any(rule.when is not None for rule in snapshot.rules_for(ask.model)):
            return decide(ask, snapshot, availability)
        plain = Ask(ask.protocol, ask.model, ask.segment, translates=ask.translates)  # kept without a request's fields
        decision = decide(plain, snapshot, availability)
        if len(ask.segment or "") <= _SEGMENT_CHARS:
            if len(self.made) >= _DECISIONS:
                self.made.clear()
            self.made[asked] = decision
        return decision


def _ways(
    ask: Ask, protocol: Protocol, snapshot: Snapshot, availability: Availability, steps: list[Step] | None
) -> Iterator[Decision]:
    """Yield the ways to serve a request locally, in their order; those that wait for a list have no candidate."""
    local = snapshot.candidates(ask.model, protocol, availability, ask.translates)
    local = with_one_login(local, ask.model, protocol, snapshot, availability)
    rules = snapshot.rules_for(ask.model)
    first: tuple[Rule, ...] = ()
    if snapshot.settings.amp.force_model_mappings:
        first, rules = rules, ()
    elif local and all(candidate.is_derived for candidate in local):
        first = tuple(rule for rule in rules if fold(rule.source) == fold(ask.model))
        rules = tuple(rule for rule in rules if rule not in first)
    yield from _mapped(ask, protocol, first, snapshot, availability, steps)
    if steps is not None:
        steps.extend(looked_at(ask.model, protocol, snapshot, availability, ask.translates))
    if local:
        yield Decision("LOCAL_PROVIDER", ask, local)
    elif unknown := unknown_lists(protocol, snapshot, availability.new, ask.translates):
        yield Decision("LOCAL_PROVIDER", ask, waiting=unknown)
    yield from _mapped(ask, protocol, rules, snapshot, availability, steps)
    if steps is not None and not first and not rules:
        steps.append(Step("rules", False, f"none matches {ask.model!r}"))


def _mapped(
    ask: Ask,
    protocol: Protocol,
    rules: tuple[Rule, ...],
    snapshot: Snapshot,
    availability: Availability,
    steps: list[Step] | None,
) -> Iterator[Decision]:
    """Yield what each of these rules, whose condition holds, would do."""
    for rule in rules:
        if rule.when is not None and (failing := unmet(rule.when, ask)):
            if steps is not None:
                steps.append(Step(f"rule {shown_rule(rule)}", False, f"its condition does not hold: {failing}"))
            continue
        served = _of_targets(rule, ask, protocol, snapshot, availability)
        candidates = with_one_login(served, ask.model, protocol, snapshot, availability)
        unknown = () if candidates else unknown_lists(protocol, snapshot, availability.unlearnt, ask.translates)
        if steps is not None:
            why = why_rule(rule, ask.model, protocol, candidates, unknown, availability)
            if served and not candidates:
                why = "its targets want the client's own login, which may not go there"
            steps.append(Step(f"rule {shown_rule(rule)}", False, why))
            if not candidates:
                for target in rule.targets:
                    steps.extend(looked_at(target.strip(), protocol, snapshot, availability, ask.translates))
        if candidates or unknown:
            yield Decision("MODEL_MAPPING", ask, candidates, rule, waiting=unknown)


def _of_targets(
    rule: Rule, ask: Ask, protocol: Protocol, snapshot: Snapshot, availability: Availability
) -> tuple[Candidate, ...]:
    """Return the ways to serve the rule's targets; two that come to the same request are one: none is sent twice."""
    if len(rule.targets) == 1:
        target = target_name(ask.model, rule.targets[0])
        return snapshot.candidates(target, protocol, availability, ask.translates)
    found: dict[tuple[str, str], Candidate] = {}
    for target in rule.targets:
        name = target_name(ask.model, target)
        for candidate in snapshot.candidates(name, protocol, availability, ask.translates):
            found.setdefault((candidate.provider.name, candidate.model), candidate)
    return in_order(found.values(), availability)


def _with_amp(
    ask: Ask, found: Decision | None, snapshot: Snapshot, availability: Availability, steps: list[Step] | None
) -> Decision:
    """Complete a decision by the part of the Amp upstream: only paths under ``/api/provider/`` may go there."""
    amp = snapshot.settings.amp
    if ask.segment is None or amp.origin is None:
        if steps is not None and not (found and found.candidates):
            why = "there is no Amp upstream" if amp.origin is None else "only paths under /api/provider/ may go to Amp"
            steps.append(Step("Amp upstream", False, why))
        return found or Decision("NO_PROVIDER", ask)
    policy, rule = _credit_policy(ask, snapshot)
    again = None if policy == "refuse" else availability.credits_again
    if again is not None:
        policy, rule = "refuse", None
    if found is not None and policy != "allow":
        if steps is not None and not found.candidates:
            why = f"{', '.join(found.waiting)} may serve it; Amp is asked instead only with 'credits: allow'"
            steps.append(Step("Amp upstream", False, why))
        return found
    if found is not None and found.candidates:
        return replace(found, amp_instead=True)
    if steps is not None:
        said = f"'credits: {policy}' on rule {shown_rule(rule)}" if rule else f"amp-credits: {policy}"
        said = said if again is None else shown_credits(amp.credits_per_day, again)
        steps.append(Step("Amp upstream", policy != "refuse", said))
    waiting = found.waiting if found else ()
    return Decision("AMP_CREDITS", ask, credits=policy, credits_rule=rule, waiting=waiting, credits_again=again)


def _credit_policy(ask: Ask, snapshot: Snapshot) -> tuple[CreditPolicy, Rule | None]:
    """Return the policy for credits, and the rule that sets it where it is not the general setting.

    A request whose model is unknown is refused if any rule refuses credits: it could be the model of that rule. So is
    one whose body cannot be read, if a rule could hold for it that would have served it, or refuses credits.
    """
    amp = snapshot.settings.amp
    if ask.model:
        for rule in snapshot.rules_for(ask.model):
            policy = rule.credits or amp.credits
            if rule.when is not None and _may_hold(rule.when, ask) and policy != "allow":
                return "refuse", rule
            if rule.credits and (rule.when is None or not unmet(rule.when, ask)):
                return rule.credits, rule
    else:
        for rule in amp.rules:
            if rule.credits == "refuse":
                return "refuse", rule
    return amp.credits, None


def unmet(when: When, ask: Ask) -> str:
    """Return the condition of ``when`` that does not hold for ``ask``, in words; empty when all do."""
    if failing := _unmet_outside(when, ask):
        return failing
    if when.needs_body and not ask.facts.readable:
        return "the body is no JSON that can be read"
    if when.tool_choice and when.tool_choice.lower() != ask.facts.tool_choice.lower():
        return f"tool-choice {when.tool_choice!r}"
    prefix = when.system_prefix.strip().lower()
    if prefix and not ask.facts.system.lstrip()[: 2 * len(prefix)].lower().startswith(prefix):
        return "system-prefix"
    if when.image is not None and when.image != ask.facts.image:
        return f"image: {str(when.image).lower()}"
    if when.tool and not any(map(compile_glob(when.tool, re.IGNORECASE).match, ask.facts.tools)):
        return f"tool {when.tool!r}"
    return ""


def _may_hold(when: When, ask: Ask) -> bool:
    """Tell whether only a body that cannot be read keeps ``when`` from holding, as far as anybody can know."""
    return when.needs_body and not ask.facts.readable and not _unmet_outside(when, ask)


def _unmet_outside(when: When, ask: Ask) -> str:
    """Return the condition that does not hold, of those for which nobody has to look into the body."""
    if when.provider and when.provider.lower() != (ask.segment or "").lower():
        return f"provider {when.provider!r}"
    for name, glob in when.headers:
        lines = values(ask.headers, name.lower().encode("latin-1", "replace"))
        if not any(fnmatchcase(line.decode("latin-1").lower(), glob.lower()) for line in lines):
            return f"header {name}: {glob}"
    if when.body_over is not None and ask.body_bytes <= when.body_over:
        return f"body-over {when.body_over} (it has {ask.body_bytes} bytes)"
    return ""


def needs_facts(model: str, snapshot: Snapshot) -> bool:
    """Tell whether a rule for ``model`` looks into the request's body."""
    if not snapshot.looks_into_bodies:
        return False
    return any(rule.when is not None and rule.when.needs_body for rule in snapshot.rules_for(model))


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

    Overload, an empty account and failures of the provider do, and a refusal of the provider's own key; a refusal of
    the client's own login (``auth`` says whose was sent) is the client's to know, and what is wrong with the request
    itself would be wrong everywhere.
    """
    return status in (402, 429) or 500 <= status <= 599 or refuses_key(status, auth)


def refuses_key(status: int, auth: Auth) -> bool:
    """Tell whether a reply with ``status`` refuses the provider's own key; ``auth`` says whose was sent."""
    return status in (401, 403) and auth not in ("client", "none")
