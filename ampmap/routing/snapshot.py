"""Rules and providers compiled into one immutable snapshot, and the look-ups that a decision is made of.

Pure. All that a reload can change is one :class:`Snapshot`; a request reads it once and keeps it to its end. Look-ups
cost the same for one rule and for ten thousand: exact names are found in a dictionary; patterns are walked once for a
name, and the result is kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

from ..errors import Complaint
from ..settings import Endpoint, Protocol, Provider, Rule, Settings
from .names import (
    LATEST,
    TRIMMED,
    UNDATED,
    UNMARKED,
    VARIANT,
    Form,
    compile_glob,
    forms,
    is_glob,
    split_suffix,
    with_suffix,
)
from .patterns import PatternRefused, compile_pattern
from .translation import asked_in


@dataclass(frozen=True)
class Offer:
    """The models that a provider reported: the names it lists, and the dated one that serves each undated name.

    ``learnt_at`` is the time of its last good answer, in seconds since 1970, None before the first; ``error`` says why
    it could not be asked the last time. ``folded`` and ``names`` are made from the others where they are not given.
    ``entries`` are what the list says of some models, as far as a translator has to know it.
    """

    models: frozenset[str] = frozenset()
    dated: Mapping[str, str] = field(default_factory=dict)
    learnt_at: float | None = None
    error: str = ""
    folded: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)  # lower case -> listed name
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    names: tuple[str, ...] = field(default=(), repr=False, compare=False)  # in order, the undated behind the listed

    def __post_init__(self) -> None:
        if self.models and not (self.names and self.folded):
            object.__setattr__(self, "names", (*sorted(self.models), *sorted(self.dated)))
            folded = {name.lower(): name for name in sorted(self.models, reverse=True)}
            object.__setattr__(self, "folded", {base.lower(): name for base, name in self.dated.items()} | folded)

    def name_of(self, form: Form) -> str | None:
        """Return the provider's name for a form of a model's name; None when it has none."""
        if form.text in self.models:
            return form.text
        if form.rank <= TRIMMED:
            return self.dated.get(form.text)
        name = self.folded.get(form.folded)
        if form.rank == UNDATED and name is not None and name.lower() != form.folded:
            return None  # a request with a date is never given another date
        return name


@dataclass(frozen=True, slots=True)
class Cooldown:
    """A provider that could not be reached: why, and until when (seconds since 1970) others come before it."""

    why: str
    until: float


@dataclass(frozen=True, slots=True)
class Availability:
    """State of the providers, and of the day's credits, that is not in the file.

    ``cooldowns`` holds the providers that could not be reached, by name, the one whose cooldown ends first before the
    others. ``limited`` are pairs of a provider and its name of a model that answered 429. ``offers`` are the reported
    lists. ``unlearnt`` are providers whose list was never learnt, ``new`` those of them that were configured a moment
    ago. ``credits_again`` is the time (seconds since 1970) when the next request may spend credits, where those of
    ``amp-credits-per-day`` are used up.
    """

    cooldowns: Mapping[str, Cooldown] = field(default_factory=dict)
    offers: Mapping[str, Offer] = field(default_factory=dict)
    limited: frozenset[tuple[str, str]] = frozenset()
    unlearnt: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()
    credits_again: float | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A provider that lists a model: its name there, and the form of the asked name that was found."""

    provider: Provider
    model: str
    rank: int = 0

    @property
    def is_derived(self) -> bool:
        """True when the provider lists the name only without a mark, a suffix or a date, or with more to it."""
        return self.rank >= UNMARKED


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to serve a request: a provider, the protocol it is asked in and how, and the model's name there."""

    provider: Provider
    endpoint: Endpoint
    model: str
    is_derived: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class _Names:
    """The models that the file lists: exact names in lower case, and globs, by the provider's place in the file."""

    exact: Mapping[str, tuple[tuple[int, str, str], ...]]  # folded -> (provider, name, name there)
    globs: tuple[
        tuple[re.Pattern[str], re.Pattern[str], int, str, str], ...
    ]  # exact case, any case, …, glob, name there


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that routes a request, frozen together. Made by :func:`compile_snapshot` alone."""

    settings: Settings
    generation: int
    exact: Mapping[str, tuple[Rule, ...]] = field(repr=False)
    patterns: tuple[tuple[re.Pattern[str], Rule], ...] = field(repr=False)  # regular expressions and globs
    rules_for: Callable[[str], tuple[Rule, ...]] = field(repr=False, compare=False)
    """The rules that match a model's name, in the order in which they are to be tried."""
    listed: _Names = field(repr=False)
    asked: tuple[tuple[int, Provider], ...] = field(repr=False)  # the providers that are asked for their models
    looks_into_bodies: bool  # a rule does
    digest: str = ""  # of ``settings``, as digest_of() makes it

    def names(self, availability: Availability) -> Iterator[str]:
        """Yield the names of models that providers list, in the file's order; globs name nothing."""
        for provider in self.settings.providers:
            for entry in provider.models:
                if not is_glob(entry.id):
                    yield entry.id
            if offer := availability.offers.get(provider.name):
                yield from offer.names

    def listing(self, model: str, availability: Availability) -> list[Listing]:
        """Return who lists ``model`` and under which name, each provider once.

        First those that list it by name, the nearest form first, an exact case before another, then in the file's
        order; behind them those that list a glob for it, in the same order. Of a provider that is asked for its models,
        its last good answer counts.
        """
        found: dict[int, Listing] = {}
        providers = self.settings.providers
        for form in forms(model):
            hits = self._named(form, availability)
            for _, index, name in sorted(hits, key=_order) if len(hits) > 1 else hits:
                if index not in found:
                    found[index] = Listing(providers[index], _sent(name, form), form.rank)
        if len(found) < len(providers):
            for index, provider in enumerate(providers):
                if provider.variants and index not in found and (variant := self._variant(index, model, availability)):
                    found[index] = Listing(provider, variant, VARIANT)
        for form in forms(model) if self.listed.globs else ():
            for exact, any_case, index, glob, upstream in self.listed.globs:
                if index not in found and _may_match(glob, form):
                    pattern = exact if form.rank <= TRIMMED else any_case
                    if pattern.match(form.text):
                        found[index] = Listing(providers[index], _sent(upstream or form.text, form), form.rank)
        return list(found.values())

    def _named(self, form: Form, availability: Availability) -> list[tuple[bool, int, str]]:
        """Return the providers that list a form by name: whether in another case, the provider's place, its name."""
        hits = []
        seen = set()
        for index, listed, upstream in self.listed.exact.get(form.folded, ()):
            if listed == form.text:
                hits.append((False, index, upstream))
                seen.add(index)
            elif form.rank > TRIMMED:
                hits.append((True, index, upstream))
        for index, provider in self.asked:
            if index not in seen and (offer := availability.offers.get(provider.name)):
                if (name := offer.name_of(form)) is not None:
                    hits.append((name != form.text, index, name))
        return hits

    def _variant(self, index: int, model: str, availability: Availability) -> str | None:
        """Return the name of a variant, ``LISTED:variant``, at a provider that has variants of each listed name."""
        for form in forms(model):
            base, colon, variant = form.text.rpartition(":")
            if base and colon and form.rank != LATEST:
                for _, where, name in sorted(self._named(form._replace(text=base), availability), key=_order):
                    if where == index:
                        return _sent(f"{name}:{variant}", form)
        return None

    def candidates(
        self, model: str, protocol: Protocol, availability: Availability, translates: bool = True
    ) -> tuple[Candidate, ...]:
        """Return the ways to serve ``model`` in ``protocol``, in the order of :meth:`listing`, except for these.

        Providers for which the request is translated, if it ``translates``, come behind those that speak its protocol;
        those that answered 429 for this model behind the others; those in cooldown behind all, by its end.
        """
        found = [
            Candidate(listing.provider, endpoint, listing.model, listing.is_derived)
            for listing in self.listing(model, availability)
            if (endpoint := asked_in(listing.provider, protocol, self.settings, translates=translates))
        ]
        found.sort(key=lambda candidate: candidate.endpoint.protocol != protocol)
        return in_order(found, availability)


def in_order(candidates: Iterable[Candidate], availability: Availability) -> tuple[Candidate, ...]:
    """Return candidates with those behind the others that answered 429 or could not be reached."""
    if not (availability.cooldowns or availability.limited):
        return tuple(candidates)
    cooling = {name: place for place, name in enumerate(availability.cooldowns, 1)}

    def key(candidate: Candidate) -> tuple[int, bool]:
        name = candidate.provider.name
        return cooling.get(name, 0), (name, candidate.model) in availability.limited

    return tuple(sorted(candidates, key=key))


def _order(hit: tuple[bool, int, str]) -> tuple[bool, int]:
    return hit[:2]


def _sent(name: str, form: Form) -> str:
    """Return the name to send: a thinking suffix that was taken off goes along, an empty one does not."""
    if form.suffix:
        return with_suffix(name, form.suffix)
    return name


def _may_match(glob: str, form: Form) -> bool:
    """Tell whether a glob is meant for a form: a mark or a suffix is part of a name only where the glob has one."""
    return form.rank != LATEST and (not form.marked or "[" in glob) and (not form.suffixed or "(" in glob)


def fold(name: str) -> str:
    """Return the form in which exact rules are compared."""
    return name.strip().lower()


def compile_snapshot(settings: Settings, generation: int = 1) -> tuple[Snapshot, tuple[Complaint, ...]]:
    """Compile ``settings``. A rule that can't work is left out, with a warning that carries its line."""
    exact, patterns, warnings = _compile_rules(settings.amp.rules)
    asked = tuple((index, provider) for index, provider in enumerate(settings.providers) if provider.discover)
    looks = any(rule.when is not None and rule.when.needs_body for rule in settings.amp.rules)
    matching = lru_cache(maxsize=256)(partial(_matching, exact, patterns))  # agents ask for the same few names
    snapshot = Snapshot(
        settings,
        generation,
        MappingProxyType(exact),
        patterns,
        matching,
        _compile_models(settings.providers),
        asked,
        looks,
        digest_of(settings),
    )
    return snapshot, warnings


def digest_of(settings: Settings) -> str:
    """Return a digest, equal for settings of one file that decide alike. No secret takes part in it."""
    deciding = (settings.source, settings.amp, settings.translate, settings.providers)
    return hashlib.sha256(repr(deciding).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _matching(
    exact: Mapping[str, tuple[Rule, ...]], patterns: tuple[tuple[re.Pattern[str], Rule], ...], model: str
) -> tuple[Rule, ...]:
    """Return the rules that match ``model``: those with a ``when`` first, in each group exact ones before patterns.

    Exact rules are found by the forms of the name, the nearest first. Patterns stand in the file's order; each is tried
    on all forms without a thinking suffix.
    """
    found: dict[int, Rule] = {}
    shapes = [form for form in forms(model) if form.rank != LATEST]
    for form in shapes:
        found.update((id(rule), rule) for rule in exact.get(fold(form.text), ()) if id(rule) not in found)
    texts = dict.fromkeys([split_suffix(model)[0], *(form.text for form in shapes if not form.suffixed)])
    found.update((id(rule), rule) for pattern, rule in patterns if any(map(pattern.search, texts)))
    return tuple(sorted(found.values(), key=lambda rule: rule.when is None))


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
        elif is_glob(source):
            patterns.append((compile_glob(source, re.IGNORECASE), rule))
        else:
            same = exact.setdefault(fold(source), [])
            if rule.when is None and (earlier := next((other for other in same if other.when is None), None)):
                where = f" at {earlier.place}" if earlier.place else ""
                warn(rule, f"a second rule from {source!r}; this one wins over the one{where}")
                same.remove(earlier)
            same.append(rule)
    return {name: tuple(same) for name, same in exact.items()}, tuple(patterns), tuple(warnings)


def _compile_models(providers: tuple[Provider, ...]) -> _Names:
    listed: dict[str, dict[tuple[int, str], str]] = {}
    globs: list[tuple[re.Pattern[str], re.Pattern[str], int, str, str]] = []
    for index, provider in enumerate(providers):
        for entry in provider.models:
            name = entry.id
            if is_glob(name):
                any_case = compile_glob(name, re.IGNORECASE)
                globs.append((compile_glob(name), any_case, index, name, entry.upstream))
            else:
                listed.setdefault(name.lower(), {}).setdefault((index, name), entry.upstream or name)
    exact = {
        folded: tuple((index, name, upstream) for (index, name), upstream in named.items())
        for folded, named in listed.items()
    }
    return _Names(MappingProxyType(exact), tuple(globs))
