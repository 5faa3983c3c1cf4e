"""Read a page of a provider's list of models element by element, in each of the forms that servers give it.

Pure. A page is an array of entries, or an object that has one under ``data`` (OpenAI, Anthropic) or ``models`` (Gemini,
Ollama). An entry is a name, or an object with the name under ``id``, else under ``name``.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from ..bodies.json_walk import Parts, Walk
from ..settings import Protocol
from .base import ListSource
from .registry import FORMATS

MOST_NAMES: Final = 20_000
NAME_BYTES: Final = 256

_WINDOW_BYTES: Final = 16 * 1024  # the most hostile takes half a millisecond
_BARE: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\n\r]{0,4096}\[")
_LISTS: Final = frozenset({"data", "models"})
_TOLD: Final = _LISTS | {"object", "error", "has_more", "last_id", "nextPageToken"}
_NAMED: Final = frozenset({"id", "name", "model"})


class Refused(Exception):
    """A provider did not answer with a list of models; the text says why."""


class Page(NamedTuple):
    """The names on a page, in order, and the query that asks for the next one; empty on the last."""

    names: list[str]
    after: str


def scan_page(body: bytes | bytearray, protocol: Protocol, room: int) -> Generator[None, None, Page]:
    """Read a page; yields after each short step.

    ``room`` is how many names it may have. Raises :class:`Refused` for more, for a name of more than NAME_BYTES bytes,
    and for anything else than a list.
    """
    walk = Walk(body, _WINDOW_BYTES)
    lists: dict[str, list[str]] = {}
    told: dict[str, Any] = {}
    source = FORMATS[protocol].source
    keys = _LISTS | {source.key}
    telling = _TOLD | keys
    try:
        if _BARE.match(body):
            lists[source.key] = yield from _scan_entries(walk, walk.elements(), source, room)
        else:
            for part in walk.members(*keys):
                yield
                if part is None:
                    continue
                if part.value is None and part.key in keys and walk.is_array(part):
                    walk.at = part.at
                    lists[part.key] = yield from _scan_entries(walk, walk.parts(), source, room)
                elif part.value is None:
                    told[part.key if part.key in telling else ""] = body  # larger than any that is looked for
                else:
                    told[""] = None
                    _take(told, walk.exact(part) if telling & part.value.keys() else {}, telling)  # type: ignore[union-attr]
    except (ValueError, RecursionError):
        raise Refused("what it answers is not JSON") from None
    for key in keys & told.keys():
        if isinstance(told[key], list):  # a short one beside many other members
            lists[key] = _names(told[key], source, [], room)
    names = lists.get(source.key) or next((found for key, found in lists.items() if key != source.key), None)
    if names is None:
        if not lists and not _means_empty(told, source):
            raise Refused(f"what it answers is no list of models in the form of {protocol}")
        names = []
    return Page(names, _after(told, names, source))


def _scan_entries(walk: Walk, parts: Parts, source: ListSource, room: int) -> Generator[None, None, list[str]]:
    names: list[str] = []
    for part in parts:
        yield
        if part is None:
            continue
        if part.value is not None:
            _names(walk.exact(part), source, names, room)
        elif walk.is_object(part):
            walk.at = part.at
            entry: dict[str, Any] = {}
            for member in walk.parts():
                yield
                if member is not None and member.value is not None and _NAMED & member.value.keys():  # type: ignore[union-attr]
                    _take(entry, walk.exact(member), _NAMED)
            _names([entry], source, names, room)
    return names


def _take(known: dict[str, Any], members: dict[str, Any], keys: frozenset[str]) -> None:
    known.update({key: members[key] for key in keys & members.keys()})


def _names(entries: list[Any], source: ListSource, names: list[str], room: int) -> list[str]:
    """Add the names of entries to ``names`` and return it."""
    for entry in entries:
        name = _name(entry, source)
        if not isinstance(name, str) or not name.strip():
            continue
        try:
            size = len(name) if name.isascii() else len(name.encode())
        except UnicodeEncodeError:  # half a surrogate pair, which no request can name
            continue
        if size > NAME_BYTES:
            raise Refused(f"its list has a name of more than {NAME_BYTES} bytes")
        if len(names) >= room:
            raise Refused(f"its list has more than {MOST_NAMES:,} models")
        names.append(name.removeprefix("models/"))  # Gemini writes that, in its OpenAI form, too
    return names


def _name(entry: Any, source: ListSource) -> Any:
    if not isinstance(entry, dict):
        return entry
    if source.prefers_name and isinstance(name := entry.get("name"), str):
        return name
    if isinstance(name := entry.get("id"), str):
        return name
    name, model = entry.get("name"), entry.get("model")
    return name if model is None or model == name else None  # of two, either could be for people


def _means_empty(told: dict[str, Any], source: ListSource) -> bool:
    """Tell whether an object without an array is a list without a model: a null, or what a server leaves out."""
    if told.get("error") is not None or any(told.get(key) is not None for key in _LISTS):
        return False
    left_out = source.omits_empty and (not told or isinstance(told.get("nextPageToken"), str))  # as protobuf does
    return left_out or told.get("object") == "list" or bool(_LISTS & told.keys())


def _after(told: dict[str, Any], names: list[str], source: ListSource) -> str:
    token = told.get("nextPageToken")
    if isinstance(token, str) and token:
        return f"pageToken={quote(token, errors='replace')}"
    last = told.get("last_id") or (names[-1] if names else None)
    if told.get("has_more") is not True or not isinstance(last, str):
        return ""
    return f"{source.after}={quote(last, errors='replace')}"
