"""Rules and providers compiled into one immutable snapshot, and the look-ups that a decision is made of.

Pure. All that a reload can change is one :class:`Snapshot`; a request reads it once and keeps it to its end. Look-ups
cost the same for one rule and for ten thousand: exact names are found in a dictionary; patterns are walked once for a
name, and what they gave is kept.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import MappingProxyType

from .errors import Complaint
from .patterns import PatternRefused, compile_pattern
from .settings import Endpoint, ModelEntry, Protocol, Provider, Rule, Settings


@dataclass(frozen=True, slots=True)
class Offer:
    """What a provider said it has: the names it lists, and the dated one that serves each undated name.

    ``learnt_at`` is the time of its last good answer, in seconds since 1970, None before the first; ``error`` says why
    it could not be asked the last time.
    """

    models: frozenset[str] = frozenset()
    dated: Mapping[str, str] = field(default_factory=dict)
    learnt_at: float | None = None
    error: str = ""

    def name_of(self, model: str) -> str | None:
        """Return the provider's name for ``model``; None when it has none."""
        return model if model in self.models else self.dated.get(model)


@dataclass(frozen=True, slots=True)
class Availability:
    """What the world, not the file, says of the providers: who rests after failing to connect, who offers what."""

    resting: frozenset[str] = frozenset()
    offers: Mapping[str, Offer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to serve a request: a provider, how it speaks the protocol, and the model's name there."""

    provider: Provider
    endpoint: Endpoint
    model: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that routes a request, frozen together. Made by :func:`compile_snapshot` alone."""

    settings: Settings
    generation: int
    exact: Mapping[str, tuple[Rule, ...]] = field(repr=False)
    patterns: tuple[tuple[re.Pattern[str], Rule], ...] = field(repr=False)
    patterned: Callable[[str], tuple[Rule, ...]] = field(repr=False, compare=False)  # those that match a base name
    listed: Mapping[str, tuple[tuple[int, str], ...]] = field(repr=False)
    globs: tuple[tuple[re.Pattern[str], int, str], ...] = field(repr=False)
    asked: tuple[tuple[int, str], ...] = field(repr=False)  # the providers that are asked for their models
    looks_into_bodies: bool  # a rule does

    def rules_for(self, model: str) -> Iterator[Rule]:
        """Yield the rules that match ``model``, in the order in which they are to be tried.

        Exact rules come first, by the whole name and then by its base name, trimmed and in any case; then patterns in
        the file's order, searched unanchored and in any case in the base name.
        """
        base, folded = split_suffix(model)[0], fold(model)
        folded_base = fold(split_suffix(model.strip())[0]) if folded.endswith(")") else folded
        yield from self.exact.get(folded, ())
        if folded_base != folded:
            yield from self.exact.get(folded_base, ())
        yield from self.patterned(base)

    def listing(self, model: str, availability: Availability) -> list[tuple[Provider, str]]:
        """Return who lists ``model`` (a base name, in its exact case), in the file's order, with its name there.

        A provider that lists the name and a glob for it is asked for what the name says. Of a provider that is asked
        for its models, its last good answer counts.
        """
        found = dict(self.listed.get(model, ()))
        for pattern, index, upstream in self.globs:
            if index not in found and pattern.match(model):
                found[index] = upstream or model
        for index, provider in self.asked:
            if (offer := availability.offers.get(provider)) and (name := offer.name_of(model)):
                found[index] = name
        providers = self.settings.providers
        return [(providers[index], found[index]) for index in sorted(found)] if found else []

    def candidates(self, model: str, protocol: Protocol, availability: Availability) -> tuple[Candidate, ...]:
        """Return the ways to serve ``model`` in ``protocol`` right now, in the file's order of providers.

        A thinking suffix plays no part in who serves the model, and stays on the name that is sent, unless it is
        empty.
        """
        base, suffix = split_suffix(model)
        tail = f"({suffix})" if suffix else ""
        found = [
            Candidate(provider, endpoint, name + tail)
            for provider, name in self.listing(base, availability)
            if provider.name not in availability.resting and (endpoint := provider.endpoint(protocol))
        ]
        return tuple(found)


def split_suffix(name: str) -> tuple[str, str | None]:
    """Split ``name(value)`` once, at the last ``(``: ``("name", "value")``; ``(name, None)`` without a suffix."""
    if not name.endswith(")"):
        return name, None
    base, bracket, value = name[:-1].rpartition("(")
    return (base, value) if bracket and base else (name, None)


def with_suffix_of(requested: str, target: str) -> str:
    """Return the name to ask for when ``requested`` is mapped to ``target``: the target's own suffix wins."""
    base, own = split_suffix(target)
    _, asked = split_suffix(requested.strip())
    suffix = own or asked
    return f"{base}({suffix})" if suffix else base


def fold(name: str) -> str:
    """Return the form in which exact rules are compared."""
    return name.strip().lower()


def compile_snapshot(settings: Settings, generation: int = 1) -> tuple[Snapshot, tuple[Complaint, ...]]:
    """Compile ``settings``. A rule that can't work is left out, with a warning that carries its line."""
    exact, patterns, warnings = _compile_rules(settings.amp.rules)
    listed, globs = _compile_models(settings.providers)
    asked = tuple((index, provider.name) for index, provider in enumerate(settings.providers) if provider.discover)
    looks = any(rule.when is not None and rule.when.needs_body for rule in settings.amp.rules)
    matching = lru_cache(maxsize=256)(partial(_matching, patterns))  # agents ask for the same few names
    snapshot = Snapshot(
        settings, generation, MappingProxyType(exact), patterns, matching, MappingProxyType(listed), globs, asked, looks
    )
    return snapshot, warnings


def _matching(patterns: tuple[tuple[re.Pattern[str], Rule], ...], base: str) -> tuple[Rule, ...]:
    return tuple([rule for pattern, rule in patterns if pattern.search(base)])


def _compile_rules(
    rules: Iterable[Rule],
) -> tuple[dict[str, tuple[Rule, ...]], tuple[tuple[re.Pattern[str], Rule], ...], tuple[Complaint, ...]]:
    exact: dict[str, list[Rule]] = {}
    patterns: list[tuple[re.Pattern[str], Rule]] = []
    warnings: list[Complaint] = []

    def warn(rule: Rule, what: str) -> None:
        warnings.append(Complaint(what, rule.place, "warning"))

    for rule in rules:
        source, targets = rule.source.strip(), [target.strip() for target in rule.targets]
        if not source or not targets or not all(targets):
            shown = ", ".join(rule.targets)
            warn(rule, f"the rule from {rule.source!r} to {shown!r} is skipped: give both a 'from' and a 'to'")
        elif rule.regex:
            try:
                patterns.append((compile_pattern(source), rule))
            except PatternRefused as exc:
                warn(rule, f"the rule is skipped: {source!r}: {exc}")
        else:
            same = exact.setdefault(fold(source), [])
            if rule.when is None and (earlier := next((other for other in same if other.when is None), None)):
                where = f" at {earlier.place}" if earlier.place else ""
                warn(rule, f"a second rule from {source!r}; this one wins over the one{where}")
                same.remove(earlier)
            same.append(rule)
    return {name: tuple(same) for name, same in exact.items()}, tuple(patterns), tuple(warnings)


def _compile_models(
    providers: tuple[Provider, ...],
) -> tuple[dict[str, tuple[tuple[int, str], ...]], tuple[tuple[re.Pattern[str], int, str], ...]]:
    listed: dict[str, dict[int, str]] = {}
    globs: list[tuple[re.Pattern[str], int, str]] = []
    for index, provider in enumerate(providers):
        for entry in provider.models:
            if is_glob(entry):
                globs.append((re.compile(fnmatch.translate(entry.id)), index, entry.upstream))
            else:
                listed.setdefault(entry.id, {}).setdefault(index, entry.upstream or entry.id)
    return {name: tuple(by_index.items()) for name, by_index in listed.items()}, tuple(globs)


def is_glob(entry: ModelEntry) -> bool:
    """Tell whether an entry of ``models`` stands for many names."""
    return any(mark in entry.id for mark in "*?[")
