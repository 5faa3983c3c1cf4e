"""Reasons of a decision in words: each rule and provider that was looked at, and why it was taken or passed over.

Pure. :func:`~ampmap.routing.decide.decide` collects these steps if the caller passes a list; ``ampmap explain`` shows
them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..escaping import counted
from ..settings import Protocol, Rule
from .names import DIFFERENCE, UNMARKED, forms, is_glob
from .snapshot import Availability, Candidate, Cooldown, Listing, Snapshot, fold
from .translation import asked_in, translates_for


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a decision looked at, in words; ``taken`` marks the one that was acted on."""

    what: str
    taken: bool
    why: str


def shown_rule(rule: Rule) -> str:
    """Show a rule in one phrase: ``'^gpt-5' (regex) -> gpt-oss-120b, glm-5 [file:12]``."""
    kind = " (regex)" if rule.regex else ""
    if rule.when is not None:
        kind += " when …"
    where = f" [{rule.place.file}:{rule.place.line}]" if rule.place else ""
    return f"{rule.source!r}{kind} -> {', '.join(rule.targets)}{where}"


def rule_place(rule: Rule) -> str:
    """Return what records say of a rule: ``file:line``, or the rule itself if it has no place."""
    return f"{rule.place.file}:{rule.place.line}" if rule.place else shown_rule(rule)


def unknown_lists(
    protocol: Protocol, snapshot: Snapshot, names: frozenset[str], translates: bool = True
) -> tuple[str, ...]:
    """Return those of the providers ``names``, whose lists are unknown, that can be asked in the protocol."""
    if not names:
        return ()
    asked = [each for _, each in snapshot.asked if each.name in names]
    return tuple(each.name for each in asked if asked_in(each, protocol, snapshot.settings, translates=translates))


def why_rule(
    rule: Rule,
    model: str,
    protocol: Protocol,
    candidates: tuple[Candidate, ...],
    unknown: tuple[str, ...],
    availability: Availability,
) -> str:
    """Say where a rule that matches ``model`` leads to."""
    if unknown:
        return f"{' and '.join(unknown)} may serve a target: no list of models has come yet"
    if not candidates:
        return f"no target is served in {protocol}"
    first = candidates[0]
    matched = _form_of_rule(rule, model)
    cooldown = availability.cooldowns.get(first.provider.name)
    state = f", which is in cooldown {shown_cooldown(cooldown)}" if cooldown else ""
    return f"{matched}served by {first.provider.name} as {first.model}{shown_format(first, protocol)}{state}"


def shown_format(candidate: Candidate, protocol: Protocol) -> str:
    """Say which format a request in ``protocol`` is translated into for a candidate; empty if it is not."""
    return "" if candidate.endpoint.protocol == protocol else f", translated to {candidate.endpoint.protocol}"


def only_in(listing: Listing, snapshot: Snapshot) -> str:
    """Say in which formats alone a provider serves a model that it lists."""
    provider = listing.provider
    spoken = ", ".join(endpoint.protocol for endpoint in provider.endpoints)
    return f"only in {spoken}{'' if translates_for(provider, snapshot.settings) else ' (translate: false)'}"


def _form_of_rule(rule: Rule, model: str) -> str:
    """Name the form of ``model`` that an exact rule matches, where it is not the name that the client sent."""
    if rule.regex or is_glob(rule.source):
        return ""
    source = fold(rule.source)
    form = next((form for form in forms(model) if fold(form.text) == source), None)
    return f"matches the name {DIFFERENCE[form.rank]}, " if form and form.rank >= UNMARKED else ""


def shown_cooldown(cooldown: Cooldown) -> str:
    """Show until when a provider is in cooldown, and why: ``until 14:02:07 UTC: connection refused``."""
    return f"until {_shown_time(cooldown.until)}: {cooldown.why}"


def shown_credits(per_day: int, again: float) -> str:
    """Say that the credits of the day are used up, and when the next request may spend some."""
    spent = f"{counted(per_day, 'request')} {'has' if per_day == 1 else 'have'} spent credits in the last 24 hours"
    return f"amp-credits-per-day: {spent}, the next one may at {_shown_time(again)}"


def _shown_time(at: float) -> str:
    seconds = int(at) % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} UTC"


def looked_at(
    model: str, protocol: Protocol, snapshot: Snapshot, availability: Availability, translates: bool = True
) -> list[Step]:
    """Tell of each provider that lists ``model`` why it serves it or not; one step if none lists it."""
    steps = []
    for listing in snapshot.listing(model, availability):
        provider = listing.provider
        endpoint = asked_in(provider, protocol, snapshot.settings, translates=translates)
        if endpoint is None:
            why = f"lists it, but {only_in(listing, snapshot)}"
        elif cooldown := availability.cooldowns.get(provider.name):
            why = f"lists it, but is in cooldown {shown_cooldown(cooldown)}"
        else:
            form = f" (the name {DIFFERENCE[listing.rank]})" if listing.rank else ""
            translated = shown_format(Candidate(provider, endpoint, listing.model), protocol)
            why = f"serves it as {listing.model}{form}{translated}"
        steps.append(Step(f"provider {provider.name} for {model}", False, why))
    steps += [
        Step(f"provider {name} for {model}", False, "its list of models has not come yet")
        for name in unknown_lists(protocol, snapshot, availability.unlearnt, translates)
    ]
    return steps or [Step(f"providers for {model}", False, "none lists it")]


def mark_taken(steps: list[Step], what: str) -> None:
    """Mark the step named ``what`` as the one that a decision acts on."""
    place = next(place for place, step in enumerate(steps) if step.what == what)
    steps[place] = replace(steps[place], taken=True)
