"""Advice: why nobody serves a model, and the command and the line of configuration that change it.

Pure. Errors, the hint in the log, ``ampmap explain`` and the status page all take their words from here, so they can't
disagree. The advice fits the case: a provider in cooldown, a list that could not be had, a model that is served in
another format only, a misspelt name, or a model that nobody has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from ..escaping import printable
from .decide import Ask, Decision, decide, unmet
from .names import target_name
from .reasons import only_in, shown_cooldown, shown_credits, shown_rule
from .snapshot import Availability, Snapshot

_COMPARED = 2000  # names that a misspelt one is compared with
_ALIKE = 30  # of these, names that are compared letter by letter
_SHELL_SAFE = re.compile(r"[\w./:@%+,-][\w./:@%+=,-]*", re.ASCII)  # zsh looks for a program behind a first "="
_QUOTED = {"'": '"\'"', "\\": '"\\\\"'}


def yaml_line(model: str, target: str) -> str:
    """Return the line of configuration that maps ``model``; YAML and the expansion of variables read it back."""
    quoted = [_in_yaml(name) for name in (model, target)]
    return f"amp-model-mappings: [{{from: {quoted[0]}, to: {quoted[1]}}}]"


def _in_yaml(name: str) -> str:
    return printable(json.dumps(name.replace("${", "$${"), ensure_ascii=False))


def command(model: str, target: str) -> str:
    """Return the command that maps ``model``, quoted for a POSIX shell, and for fish."""
    dashes = "-- " if model.startswith("-") or target.startswith("-") else ""
    return f"ampmap map add {dashes}{_in_shell(model)} {_in_shell(target)}"


def _in_shell(name: str) -> str:
    if _SHELL_SAFE.fullmatch(name):
        return name
    # In fish, unlike in other shells, a backslash escapes within single quotes, so neither stands there.
    quoted = (_QUOTED.get(part, f"'{part}'") for part in re.split(r"(['\\])", printable(name)) if part)
    return "".join(quoted) or "''"


def how_to_serve(ask: Ask, snapshot: Snapshot, availability: Availability) -> str:
    """Return what to do so that a provider of the user's serves the model: one or two sentences; empty if covered."""
    return remedy(ask, snapshot, availability)[0]


def remedy(ask: Ask, snapshot: Snapshot, availability: Availability) -> tuple[str, str]:
    """Return what :func:`how_to_serve` does, and the command or the line of configuration in it, both empty if
    covered.
    """
    if not ask.model or ask.protocol is None or decide(ask, snapshot, availability).covered:
        return "", ""
    names = [*dict.fromkeys(islice(snapshot.names(availability), _COMPARED))]
    is_served = partial(_is_served, ask=ask, snapshot=snapshot, availability=availability)
    if near := nearest(ask.model, names, is_served):
        paste = command(ask.model, near)
        return f"Did you mean {near!r}? If not, map the name: {paste}", paste
    if target := next(filter(is_served, names), None):
        paste = command(ask.model, target)
        return f"To serve it yourself: {paste} (or add {yaml_line(ask.model, target)})", paste
    paste = yaml_line(ask.model, "<a model you serve>")
    who = (
        "Configure a provider that serves it" if not snapshot.settings.providers else "Add it to a provider's 'models'"
    )
    return f"{who}, or map it to a model that you serve: {paste}", paste


def _is_served(name: str, ask: Ask, snapshot: Snapshot, availability: Availability) -> bool:
    assert ask.protocol is not None
    return bool(snapshot.candidates(name, ask.protocol, availability, ask.translates))


def nearest(name: str, names: list[str], is_served: Callable[[str], bool]) -> str | None:
    """Return the served one of ``names`` that ``name`` is most likely a misspelling of; None when none is close."""
    from difflib import get_close_matches  # only requests that nobody serves need it

    letters, folded = set(name.lower()), name.lower()
    alike = [
        other
        for other in names
        if abs(len(other) - len(name)) <= 3 and len(letters.symmetric_difference(other.lower())) <= 4
    ]
    by_fold = {other.lower(): other for other in reversed([*islice(filter(is_served, alike), _ALIKE)])}
    found = get_close_matches(folded, by_fold, n=1, cutoff=0.84)
    return by_fold[found[0]] if found else None


def no_provider(decision: Decision, snapshot: Snapshot, availability: Availability) -> str:
    """Say why nobody serves a model, and what to do so that somebody does."""
    ask = decision.ask
    if not ask.model:
        return "the request names no model, and there is no Amp upstream that it could be passed on to"
    seen = "; ".join(_looked_at(ask, snapshot, availability)) or "no provider is configured"
    why = f"no provider serves {ask.model!r} in {ask.protocol}. Looked at: {seen}"
    return f"{why}. {how_to_serve(ask, snapshot, availability)}".rstrip()


def _looked_at(ask: Ask, snapshot: Snapshot, availability: Availability) -> Iterator[str]:
    """Yield each provider and each matching rule with the reason why it does not serve the model."""
    listing = {each.provider.name: each for each in snapshot.listing(ask.model, availability)}
    for provider in snapshot.settings.providers:
        offer = availability.offers.get(provider.name)
        if provider.name in listing:
            why = f"lists it, but {only_in(listing[provider.name], snapshot)}"
        elif provider.discover and offer is not None and offer.error:
            why = f"its list of models could not be had: {offer.error}"
        elif provider.name in availability.unlearnt:
            why = "its list of models has not come yet"
        else:
            why = "does not list it"
        yield f"{provider.name} ({why})"
    for rule in snapshot.rules_for(ask.model):
        failing = unmet(rule.when, ask) if rule.when else ""
        why = (
            f"its condition does not hold: {failing}"
            if failing
            else _why_no_target(rule.targets, ask, snapshot, availability)
        )
        yield f"rule {shown_rule(rule)} ({why})"


def _why_no_target(targets: tuple[str, ...], ask: Ask, snapshot: Snapshot, availability: Availability) -> str:
    only = {
        f"{listing.provider.name} lists {listing.model}, but {only_in(listing, snapshot)}": None
        for target in targets
        for listing in snapshot.listing(target_name(ask.model, target), availability)
    }
    return "; ".join(only) or f"no target is served in {ask.protocol}"


def unavailable(decision: Decision, availability: Availability) -> str:
    """Say that a covered request cannot be served right now: whose list is unknown, or who is in cooldown and why."""
    model = decision.ask.model
    if decision.waiting:
        offers = availability.offers
        errors = {name: offers[name].error for name in decision.waiting if name in offers}
        why = "; ".join(f"{name}{f': {error}' if (error := errors.get(name)) else ''}" for name in decision.waiting)
        return f"{model!r} cannot be served yet: the list of models of a provider that may serve it is unknown ({why})"
    names = dict.fromkeys(candidate.provider.name for candidate in decision.candidates)
    cooling = [(name, cooldown) for name in names if (cooldown := availability.cooldowns.get(name))]
    states = [f"{name} is in cooldown {shown_cooldown(cooldown)}" for name, cooldown in cooling]
    return f"{model!r} cannot be served right now: {'; '.join(states)}. Another request is trying it at this moment"


def refused_credits(decision: Decision, snapshot: Snapshot, availability: Availability) -> str:
    """Say that credits were not spent, which setting said so, and what would serve the model instead."""
    model = decision.ask.model
    by = f"rule {shown_rule(decision.credits_rule)}" if decision.credits_rule else "amp-credits: refuse"
    if decision.credits_again is not None:
        by = shown_credits(snapshot.settings.amp.credits_per_day, decision.credits_again)
    if not model:
        why = ", whatever model it may mean" if decision.credits_rule else ""
        return f"this request names no model that can be read, and it would cost Amp credits, refused by {by}{why}"
    if decision.credits_rule and not decision.ask.facts.readable:
        why = f"whether {by} is for this request cannot be told, because its body is no JSON that can be read"
        return f"{why}; without that rule it would cost Amp credits: send one JSON object"
    help_ = how_to_serve(decision.ask, snapshot, availability)
    return f"no local provider serves {model!r}, and Amp credits are refused by {by}. {help_}".rstrip()


def credits_hint(decision: Decision, snapshot: Snapshot, availability: Availability) -> tuple[str, str]:
    """Say that a request spends Amp credits, and how it would not; beside it the command or line for that."""
    help_, paste = remedy(decision.ask, snapshot, availability)
    return f"this request spends Amp credits. {help_}".rstrip(), paste
