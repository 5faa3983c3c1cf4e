"""The list of models that can be asked for, in the asker's own format.

Pure. It is made by asking :func:`~ampmap.router.decide` for every name that providers and rules mention, so it can't
promise what the data path would not serve. Globs and patterns name nothing, so they list nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from .mapping import Availability, Snapshot, is_glob
from .router import Ask, decide
from .settings import PROTOCOLS, Protocol
from .target import ModelList

Format = str  # "anthropic", "gemini" or "openai"

_CREATED = 1_735_689_600  # clients want a date; the models' own are not known: 2025-01-01
_CREATED_AT = "2025-01-01T00:00:00Z"


def format_of(asked: ModelList, has_anthropic_version: bool) -> Format:
    """Return the format in which the asker wants its answer."""
    segment = (asked.segment or "").lower()
    if asked.gemini or segment == "google":
        return "gemini"
    return "anthropic" if segment == "anthropic" or has_anthropic_version else "openai"


def served_names(
    snapshot: Snapshot, availability: Availability, protocols: tuple[Protocol, ...], segment: str | None = None
) -> list[str]:
    """Return every name that is served locally in one of ``protocols``: models first, then mapped names.

    ``segment`` is that of the path that asks: a rule may hold for one of them alone.
    """
    return [
        name
        for name in dict.fromkeys(_mentioned(snapshot, availability))
        if is_served(name, snapshot, availability, protocols, segment)
    ]


def is_served(
    name: str,
    snapshot: Snapshot,
    availability: Availability,
    protocols: tuple[Protocol, ...],
    segment: str | None = None,
) -> bool:
    """Tell whether a model can be had locally in one of ``protocols``."""
    return any(decide(Ask(protocol, name, segment), snapshot, availability).candidates for protocol in protocols)


def model_list(asked: ModelList, form: Format, snapshot: Snapshot, availability: Availability) -> bytes | None:
    """Return the list, or the one model that was asked for; None when that one is not served."""
    protocols: dict[Format, tuple[Protocol, ...]] = {"anthropic": ("anthropic",), "gemini": ("gemini",)}
    spoken = protocols.get(form, PROTOCOLS)
    if asked.id is not None:
        wanted = asked.id.removeprefix("models/")
        served = is_served(wanted, snapshot, availability, spoken, asked.segment)
        return json.dumps(_entry(form, wanted)).encode() if served else None
    names = served_names(snapshot, availability, spoken, asked.segment)
    entries = [_entry(form, name) for name in names]
    body: dict[str, object]
    if form == "gemini":
        body = {"models": entries}
    elif form == "anthropic":
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        body = {"data": entries, "has_more": False, **ends}
    else:
        body = {"object": "list", "data": entries}
    return json.dumps(body).encode()


def _mentioned(snapshot: Snapshot, availability: Availability) -> Iterator[str]:
    for provider in snapshot.settings.providers:
        for entry in provider.models:
            if not is_glob(entry):
                yield entry.id
        if offer := availability.offers.get(provider.name):
            yield from sorted(offer.models)
            yield from sorted(offer.dated)
    for rules in snapshot.exact.values():
        yield from (rule.source.strip() for rule in rules)


def _entry(form: Format, name: str) -> dict[str, object]:
    if form == "gemini":
        methods = ["generateContent", "streamGenerateContent", "countTokens"]
        return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}
    if form == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "ampmap"}
