"""The facts of a request's body that the conditions (``when``) of rules compare: tools, system prompt, image.

Pure; ``proxy.request_body`` collects them where a rule needs them, and ``decide.unmet`` compares them, as it does the
conditions on other parts of a request. The body is walked once, in short steps, so that a large conversation never
holds the event loop. A body that is not JSON has no facts, and says so. Of members with the same key the last
counts, as for parsers. Each format's ``RequestMembers`` says where the facts are.

A value or a message of more than FACT_BYTES counts as empty for tools and system prompt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..bodies.json_walk import WINDOW_BYTES, Part, Walk
from ..bodies.steps import Steps, finished
from ..formats.images import last_has_image, scan_message
from ..formats.offered_tools import NAMES, scan_tools, tools_of
from ..formats.registry import MEMBERS
from ..formats.request_members import SYSTEM_ROLES

FACT_BYTES: Final = 1024 * 1024
"""The largest value, and the largest message, that facts are taken from, in bytes of JSON."""

_LISTS: Final = {each.messages: each for each in MEMBERS}
_OFFERS: Final = frozenset(name for each in MEMBERS for name in each.tools + each.built_in_tools)
_BUILT_IN: Final = frozenset(name for each in MEMBERS for name in each.built_in_tools)
_SYSTEM: Final = tuple(dict.fromkeys(name for each in MEMBERS for name in each.system))
_FORCED: Final = {name: read for each in MEMBERS for name, read in each.forced_tool.items()}
_KEYS: Final = _OFFERS.union(_LISTS, _SYSTEM, _FORCED)
_ITEMS_AT_ONCE = 256  # takes 0.2 ms


@dataclass(frozen=True, slots=True)
class Facts:
    """What a body says: the one tool it forces, its system prompt (each empty where there is none), and the rest.

    ``image`` tells whether the last user message has one; ``tools`` are the names and types of the tools it offers.
    ``readable`` is False for a body that is no JSON: others may read more of it.
    """

    tool_choice: str = ""
    system: str = ""
    image: bool = False
    tools: frozenset[str] = frozenset()
    readable: bool = True


NO_FACTS = Facts()
_UNREADABLE = Facts(readable=False)


class _Said(NamedTuple):
    """What one member of a body says."""

    text: str = ""  # the tool that it forces, or the system prompt
    image: bool = False
    tools: frozenset[str] = frozenset()


_NOTHING = _Said()


def facts_of(body: bytes | bytearray) -> Facts:
    """Return the facts of a body, all at once: for a command line, or a small body."""
    return finished(scan_facts(body))


def scan_facts(body: bytes | bytearray, *, window_bytes: int = WINDOW_BYTES) -> Steps[Facts]:
    """Find the facts of a body; yields after each window or so, so that others may have their turn."""
    said: dict[str, _Said] = {}
    walk = Walk(body, window_bytes)
    try:
        for part in walk.members(*_LISTS, *_OFFERS):
            if part is None:
                yield
            elif part.value is not None:
                if not _KEYS.isdisjoint(part.value):
                    said.update({key: _said(key, value) for key, value in walk.exact(part).items() if key in _KEYS})
            elif part.key in _LISTS and walk.is_array(part):
                said[part.key] = yield from _of_list(walk, part.key)
            elif part.key in _BUILT_IN:
                said[part.key] = _said(part.key, None)
            elif part.key in _OFFERS:
                said[part.key] = _Said(tools=frozenset((yield from scan_tools(walk, part))))
            elif part.key in _KEYS:
                said[part.key] = _said(part.key, (yield from _large(walk)))
    except (ValueError, RecursionError):
        return _UNREADABLE
    return Facts(
        _first(said, _FORCED),
        _first(said, _SYSTEM),
        any(one.image for one in said.values()),
        frozenset().union(*(one.tools for one in said.values())),
    )


def _first(said: dict[str, _Said], keys: Iterable[str]) -> str:
    return next((text for key in keys if (text := said.get(key, _NOTHING).text)), "")


def _large(walk: Walk) -> Steps[Any]:
    """Read the value that begins here; None if it is too large."""
    start = walk.at
    for _ in walk.skip():
        yield
    return walk.read(start, walk.at) if walk.at - start <= FACT_BYTES else None


def _of_list(walk: Walk, key: str) -> Steps[_Said]:
    """Find the system prompt in the list of messages that begins here, the last one's image, and tools."""
    system, image, tools, may_bring = "", False, set[str](), _LISTS[key].messages_bring_tools
    items = 0
    for part in walk.parts():
        if part is None:
            yield
        elif part.value is not None:
            if not system and walk.may_have(part, b'"role"') and _system(part.value):
                system = _system(walk.exact(part))
            if isinstance(part.value, list) and walk.may_have(part, b"{"):
                image = last_has_image(part.value, key, image, may=walk.may_have(part, b"image"))
                if may_bring and len(tools) < NAMES and walk.may_have(part, b"tools"):
                    tools |= _tools_in(walk.exact(part))
                items += len(part.value)
                if items > _ITEMS_AT_ONCE:
                    items = 0
                    yield
        elif walk.is_object(part):
            message = yield from scan_message(walk, {"tools": _large_tools} if may_bring else {})
            image = last_has_image([message], key, image)
            tools |= _tools_in([message]) if may_bring and len(tools) < NAMES else set()
            if message.get("role") in SYSTEM_ROLES and not system and walk.at - part.at <= FACT_BYTES:
                system = _system([walk.read(part.at, walk.at)])
    return _Said(system, image, frozenset(tools))


def _large_tools(walk: Walk, part: Part) -> Steps[Any]:
    return frozenset((yield from scan_tools(walk, part)))


def _tools_in(items: list[Any]) -> set[str]:
    """Return the tools that messages bring."""
    lists = [item["tools"] for item in items if isinstance(item, dict) and "tools" in item]
    named = tools_of([tool for tools in lists if isinstance(tools, list) for tool in tools])
    return named.union(*(tools for tools in lists if isinstance(tools, frozenset)))


def _said(key: str, value: Any) -> _Said:
    """Return what the member of a body says."""
    if key in _LISTS:
        items = value if isinstance(value, list) else []
        tools = frozenset(_tools_in(items)) if _LISTS[key].messages_bring_tools else frozenset()
        return _Said(_system(items), last_has_image(items, key, False), tools)
    if key in _OFFERS:
        return _Said(tools=frozenset([key] if key in _BUILT_IN else tools_of(value)))
    if key in _FORCED:
        return _Said(_FORCED[key](value))
    return _Said(_text(value.get("parts") if isinstance(value, dict) else value))


def _system(messages: Any) -> str:
    """Give the first system prompt in a list of messages."""
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") in SYSTEM_ROLES:
            if text := _text(message.get("content")):
                return text
    return ""


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | dict)]
    return "".join(text for text in texts if isinstance(text, str))
