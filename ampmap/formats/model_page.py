"""Read a page of a provider's list of models element by element, in each of the forms that servers give it.

Pure. A page is an array of entries, or an object that has one under ``data`` (OpenAI, Anthropic) or ``models`` (Gemini,
Ollama). An entry is a name, or an object with the name under ``id``, else under ``name``.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from ..bodies.json_walk import Parts, Walk
from ..bodies.steps import Steps
from ..settings import Protocol
from .base import ListSource
from .registry import FORMATS

MOST_NAMES: Final = 20_000
NAME_BYTES: Final = 256

_WINDOW_BYTES: Final = 16 * 1024  # the most hostile takes half a millisecond
_BARE: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\n\r]{0,4096}\[")
_LISTS: Final = frozenset({"data", "models"})
_TOKENS: Final = dict(each.source.token for each in FORMATS.values() if each.source.token)
_TELLING: Final = _LISTS.union({"object", "error", "has_more", "last_id"}, _TOKENS)
_NAMED: Final = frozenset({"id", "name", "model"})
_KEPT: Final = frozenset({"max_tokens", "capabilities"})  # platform.claude.com/docs/en/api/models/list
_READ: Final = _NAMED | _KEPT
_ENTRIES: Final = 200


class Refused(Exception):
    """A provider's answer is no list of models; the text says why."""


class Names(list[str]):
    """Names of models. ``entries`` has, for some of them, the members of their entries that a translator uses."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, dict[str, Any]] = {}

    def add(self, page: Names) -> None:
        """Add the names of one more page."""
        self += page
        for name, entry in page.entries.items():
            self.keep(name, entry)

    def keep(self, name: str, entry: dict[str, Any]) -> None:
        """Keep the useful members of an entry, for at most _ENTRIES models."""
        if kept := {key: entry[key] for key in _KEPT & entry.keys()}:
            if len(self.entries) < _ENTRIES:
                self.entries[name] = kept


class Page(NamedTuple):
    """The names on a page, in order, and the query that asks for the next one; empty on the last."""

    names: Names
    after: str


def scan_page(body: bytes | bytearray, protocol: Protocol, most: int) -> Steps[Page]:
    """Read a page of at most ``most`` names; yields after each short step.

    Raises :class:`Refused` for more names, for a name of more than NAME_BYTES bytes, and for anything but a list.
    """
    walk = Walk(body, _WINDOW_BYTES)
    lists: dict[str, Names] = {}
    others: dict[str, Any] = {}
    source = FORMATS[protocol].source
    keys = _LISTS | {source.key}
    telling = _TELLING | keys
    try:
        if _BARE.match(body):
            lists[source.key] = yield from _scan_entries(walk, walk.elements(), source, most)
        else:
            for part in walk.members(*keys):
                yield
                if part is None:
                    continue
                if part.value is None and part.key in keys and walk.is_array(part):
                    walk.at = part.at
                    lists[part.key] = yield from _scan_entries(walk, walk.parts(), source, most)
                elif part.value is None:
                    others[part.key if part.key in telling else ""] = body  # larger than any value that is looked for
                else:
                    others[""] = None
                    _take(others, walk.exact(part) if telling & part.value.keys() else {}, telling)  # type: ignore[union-attr]
    except (ValueError, RecursionError):
        raise Refused("what it answers is not JSON") from None
    for key in keys & others.keys():
        if isinstance(others[key], list):  # a short one beside many other members
            lists[key] = _names(others[key], source, Names(), most)
    names = lists.get(source.key) or next((found for key, found in lists.items() if key != source.key), None)
    if names is None:
        if not lists and not _means_empty(others, source):
            raise Refused(f"what it answers is no list of models in the form of {protocol}")
        names = Names()
    return Page(names, _after(others, names, source))


def _scan_entries(walk: Walk, parts: Parts, source: ListSource, most: int) -> Steps[Names]:
    names = Names()
    for part in parts:
        yield
        if part is None:
            continue
        if part.value is not None:
            _names(walk.exact(part), source, names, most)
        elif walk.is_object(part):
            walk.at = part.at
            entry: dict[str, Any] = {}
            for member in walk.parts():
                yield
                if member is not None and member.value is not None and _READ & member.value.keys():  # type: ignore[union-attr]
                    _take(entry, walk.exact(member), _READ)
            _names([entry], source, names, most)
    return names


def _take(known: dict[str, Any], members: dict[str, Any], keys: frozenset[str]) -> None:
    known.update({key: members[key] for key in keys & members.keys()})


def _names(entries: list[Any], source: ListSource, names: Names, most: int) -> Names:
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
        if len(names) >= most:
            raise Refused(f"its list has more than {MOST_NAMES:,} models")
        names.append(name.removeprefix("models/"))  # Gemini writes that, in its OpenAI form, too
        if isinstance(entry, dict):
            names.keep(names[-1], entry)
    return names


def _name(entry: Any, source: ListSource) -> Any:
    if not isinstance(entry, dict):
        return entry
    if source.prefers_name and isinstance(name := entry.get("name"), str):
        return name
    if isinstance(name := entry.get("id"), str):
        return name
    name, model = entry.get("name"), entry.get("model")
    return name if model is None or model == name else None  # if they differ, either could be a title for people


def _means_empty(others: dict[str, Any], source: ListSource) -> bool:
    """Tell whether a page without an array is an empty list: the server wrote null, or left the member out."""
    if others.get("error") is not None or any(others.get(key) is not None for key in _LISTS):
        return False
    # Servers that use protocol buffers leave an empty list out.
    left_out = source.omits_empty and (not others or any(isinstance(others.get(token), str) for token in _TOKENS))
    return left_out or others.get("object") == "list" or bool(_LISTS & others.keys())


def _after(others: dict[str, Any], names: list[str], source: ListSource) -> str:
    for member, parameter in _TOKENS.items():
        token = others.get(member)
        if isinstance(token, str) and token:
            return f"{parameter}={quote(token, errors='replace')}"
    last = others.get("last_id") or (names[-1] if names else None)
    if others.get("has_more") is not True or not isinstance(last, str):
        return ""
    return f"{source.after}={quote(last, errors='replace')}"
