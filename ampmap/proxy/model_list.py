"""The list of models that can be asked for, in the asker's own format.

Pure. It is made by asking :func:`~ampmap.routing.decide.decide` for every name that providers and rules mention, so it
can't promise what the data path would not serve. Globs and patterns name nothing, so they list nothing.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import Literal

from ..http.headers import Headers, value
from ..routing.decide import Ask, decide
from ..routing.snapshot import Availability, Snapshot
from ..routing.target import ModelList, query_values
from ..settings import PROTOCOLS, Protocol

Format = Literal["anthropic", "gemini", "openai", "codex", "codex-login"]
"""Whose list is asked for; ``codex-login`` is Codex with a ChatGPT login."""

_CREATED = 1_735_689_600  # clients want a date; the models' own are not known: 2025-01-01
_CREATED_AT = "2025-01-01T00:00:00Z"

# Codex takes no entry without instructions, and sends them in the place of its own for a model that it does not know.
_CODEX_INSTRUCTIONS = (
    "You are Codex, a coding agent that works in the user's terminal, in the current working directory.\n"
    "Use the tools that you are offered to read, change and run code until the task is done. Make small, focused "
    "changes that fit the code around them, and check them with what the project offers: tests, linters, builds.\n"
    "Obey the AGENTS.md files of the directories in which you change files. Never undo changes that you did not make. "
    "Ask for approval where the sandbox demands it.\n"
    "At the end say in a few words what you changed, and what you could not do or check."
)


def format_of(asked: ModelList, query: str | None, headers: Headers) -> Format:
    """Return the format in which the asker wants its answer."""
    segment = (asked.segment or "").lower()
    if asked.gemini or segment == "google":
        return "gemini"
    if segment == "anthropic" or value(headers, b"anthropic-version") is not None:
        return "anthropic"
    if any(value(headers, name) is not None for name in (b"x-goog-api-key", b"x-goog-api-client")):
        return "gemini"  # google-genai with api_version "v1"
    if query_values(query, "client_version"):
        return "codex" if value(headers, b"chatgpt-account-id") is None else "codex-login"
    return "openai"


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


def scan_list(
    asked: ModelList, form: Format, snapshot: Snapshot, availability: Availability
) -> Generator[None, None, bytes | None]:
    """Make the list, or the one model that was asked for; None when that one is not served. Yields after each name."""
    protocols: dict[Format, tuple[Protocol, ...]] = {"anthropic": ("anthropic",), "gemini": ("gemini",)}
    spoken = protocols.get(form, PROTOCOLS)
    if asked.id is not None:
        wanted = asked.id.removeprefix("models/")
        served = is_served(wanted, snapshot, availability, spoken, asked.segment)
        return json.dumps(_entry(form, wanted)).encode() if served else None
    names: list[str] = []
    entries: list[str] = []
    seen: set[str] = set()
    for name in _mentioned(snapshot, availability):
        yield
        if name not in seen and is_served(name, snapshot, availability, spoken, asked.segment):
            names.append(name)
            entries.append(json.dumps(_entry(form, name)))
        seen.add(name)
    listed = ", ".join(entries)
    if form == "gemini":
        return f'{{"models": [{listed}]}}'.encode()
    if form == "anthropic":
        first, last = (json.dumps(names[at] if names else None) for at in (0, -1))
        return f'{{"data": [{listed}], "has_more": false, "first_id": {first}, "last_id": {last}}}'.encode()
    if form == "openai":
        return f'{{"object": "list", "data": [{listed}]}}'.encode()
    catalogue: list[str] = []  # Codex takes these before what it knows of its vendor's models, and their prompts
    for name in names if form == "codex" else ():
        yield
        if is_served(name, snapshot, availability, ("openai-responses",), asked.segment):
            catalogue.append(json.dumps(_codex_entry(name, len(catalogue))))
    return f'{{"object": "list", "data": [{listed}], "models": [{", ".join(catalogue)}]}}'.encode()


def _mentioned(snapshot: Snapshot, availability: Availability) -> Iterator[str]:
    yield from snapshot.names(availability)
    for rules in snapshot.exact.values():
        yield from (rule.source.strip() for rule in rules)


def _entry(form: Format, name: str) -> dict[str, object]:
    if form == "gemini":
        methods = ["generateContent", "streamGenerateContent", "countTokens"]
        return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}
    if form == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "ampmap"}


def _codex_entry(name: str, place: int) -> dict[str, object]:
    """Return what Codex has to be told of a model: what it supposes itself of one that it does not know.

    Source: openai/codex, ``ModelInfo`` in codex-rs/protocol/src/openai_models.rs; older releases need each of these.
    """
    return {
        "slug": name,
        "display_name": name,
        "description": None,
        "supported_reasoning_levels": [],
        "shell_type": "default",
        "visibility": "list",
        "supported_in_api": True,
        "priority": place,
        "upgrade": None,
        "base_instructions": _CODEX_INSTRUCTIONS,
        "supports_reasoning_summaries": False,
        "support_verbosity": False,
        "default_verbosity": None,
        "apply_patch_tool_type": None,
        "truncation_policy": {"mode": "bytes", "limit": 10_000},
        "supports_parallel_tool_calls": False,
        "context_window": 272_000,
        "experimental_supported_tools": [],
    }
