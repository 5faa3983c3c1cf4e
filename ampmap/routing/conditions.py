"""The few facts of a request's body that a rule's ``when`` may look at: tools, its system prompt, an image.

Pure. The body is walked once, value by value and message by message, so that a large conversation never holds the event
loop for long; what is not JSON has no facts, and of members with the same key the last counts, as it does for parsers.
Where each wire format keeps them:

* the forced tool: ``tool_choice.name`` (Anthropic, Responses), ``tool_choice.function.name`` (Chat Completions),
  ``toolConfig.functionCallingConfig`` in mode ``ANY`` with exactly one allowed name (Gemini)
* the system prompt, the first that is not empty: ``system``, ``instructions``, a message of role ``system`` or
  ``developer`` in ``input`` or ``messages``, ``systemInstruction.parts``; a text, or parts with a ``text`` each
* the tools offered: ``tools``, ``functions``, ``web_search_options``, and items of ``input`` with ``tools``
* images: in the last user message in ``messages``, ``input`` or ``contents``

A value or a message of more than FACT_BYTES is not looked into for the first two: it is as if it was empty.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..bodies.json_walk import WINDOW_BYTES, Part, Walk
from ..formats.images import last_has_image, scan_message
from ..formats.offered_tools import NAMES, scan_tools, tools_of

FACT_BYTES: Final = 1024 * 1024
"""The largest value, and the largest message, that facts are taken from, in bytes of JSON."""

_LISTS = ("messages", "input", "contents")
_OFFERS = ("tools", "functions", "web_search_options")
_SYSTEM_ROLES = ("system", "developer")
_ORDER = ("system", "instructions", "input", "messages", "systemInstruction")
_TOOLS = ("tool_choice", "toolConfig")  # in this order too
_KEYS = frozenset(_ORDER + _TOOLS + _LISTS + _OFFERS)
_ITEMS_AT_ONCE = 256  # takes 0.2 ms


@dataclass(frozen=True, slots=True)
class Facts:
    """What a body says: the one tool it forces, its system prompt (each empty where there is none), and the rest.

    ``image`` tells whether the last user message has one; ``tools`` are the names and types of the tools it offers.
    """

    tool_choice: str = ""
    system: str = ""
    image: bool = False
    tools: frozenset[str] = frozenset()


NO_FACTS = Facts()


class _Said(NamedTuple):
    """What one member of a body says."""

    text: str = ""  # the tool that it forces, or the system prompt
    image: bool = False
    tools: frozenset[str] = frozenset()


_NOTHING = _Said()


def facts_of(body: bytes | bytearray) -> Facts:
    """Return the facts of a body, all at once: for a command line, or a small body."""
    steps = scan_facts(body)
    while True:
        try:
            next(steps)
        except StopIteration as found:
            return found.value if isinstance(found.value, Facts) else NO_FACTS


def scan_facts(body: bytes | bytearray, *, window_bytes: int = WINDOW_BYTES) -> Generator[None, None, Facts]:
    """Find the facts of a body; yields after each window or so, so that others may have their turn."""
    said: dict[str, _Said] = {}
    walk = Walk(body, window_bytes)
    try:
        for part in walk.members(*_LISTS, "tools"):
            if part is None:
                yield
            elif part.value is not None:
                if not _KEYS.isdisjoint(part.value):
                    said.update({key: _said(key, value) for key, value in walk.exact(part).items() if key in _KEYS})
            elif part.key in _LISTS and walk.is_array(part):
                said[part.key] = yield from _of_list(walk, part.key)
            elif part.key in _OFFERS:
                said[part.key] = _Said(tools=frozenset((yield from scan_tools(walk, part))))
            elif part.key in _KEYS:
                said[part.key] = _said(part.key, (yield from _large(walk)))
    except (ValueError, RecursionError):
        return NO_FACTS
    return Facts(
        _first(said, _TOOLS),
        _first(said, _ORDER),
        any(one.image for one in said.values()),
        frozenset().union(*(one.tools for one in said.values())),
    )


def _first(said: dict[str, _Said], keys: tuple[str, ...]) -> str:
    return next((text for key in keys if (text := said.get(key, _NOTHING).text)), "")


def _large(walk: Walk) -> Generator[None, None, Any]:
    """Read the value that begins here; None if it is too large."""
    start = walk.at
    for _ in walk.skip():
        yield
    return walk.read(start, walk.at) if walk.at - start <= FACT_BYTES else None


def _of_list(walk: Walk, key: str) -> Generator[None, None, _Said]:
    """Find the system prompt in the list of messages that begins here, the last one's image, and tools."""
    system, image, tools = "", False, set[str]()
    items = 0
    for part in walk.parts():
        if part is None:
            yield
        elif part.value is not None:
            if not system and walk.may_have(part, b'"role"') and _system(part.value):
                system = _system(walk.exact(part))
            if isinstance(part.value, list) and walk.may_have(part, b"{"):
                image = last_has_image(part.value, key, image, may=walk.may_have(part, b"image"))
                if key == "input" and len(tools) < NAMES and walk.may_have(part, b"tools"):
                    tools |= _tools_in(walk.exact(part))
                items += len(part.value)
                if items > _ITEMS_AT_ONCE:
                    items = 0
                    yield
        elif walk.is_object(part):
            message = yield from scan_message(walk, {"tools": _large_tools} if key == "input" else {})
            image = last_has_image([message], key, image)
            tools |= _tools_in([message]) if len(tools) < NAMES else set()
            if message.get("role") in _SYSTEM_ROLES and not system and walk.at - part.at <= FACT_BYTES:
                system = _system([walk.read(part.at, walk.at)])
    return _Said(system, image, frozenset(tools))


def _large_tools(walk: Walk, part: Part) -> Generator[None, None, Any]:
    return frozenset((yield from scan_tools(walk, part)))


def _tools_in(items: list[Any]) -> set[str]:
    """Return the tools that items of a Responses request bring: Codex's ``additional_tools``, tools that were found."""
    lists = [item["tools"] for item in items if isinstance(item, dict) and "tools" in item]
    named = tools_of([tool for tools in lists if isinstance(tools, list) for tool in tools])
    return named.union(*(tools for tools in lists if isinstance(tools, frozenset)))


def _said(key: str, value: Any) -> _Said:
    """Give what the member of a body says."""
    if key in _LISTS:
        items = value if isinstance(value, list) else []
        tools = frozenset(_tools_in(items)) if key == "input" else frozenset()
        return _Said(_system(items), last_has_image(items, key, False), tools)
    if key in _OFFERS:
        return _Said(tools=frozenset([key] if key == "web_search_options" else tools_of(value)))
    return _Said(_fact(key, value))


def _fact(key: str, value: Any) -> str:
    """Give what the member of a body says."""
    if key == "tool_choice":
        return _named(value)
    if key == "toolConfig":
        return _only_allowed(value)
    return _text(value.get("parts") if isinstance(value, dict) else value)


def _system(messages: Any) -> str:
    """Give the first system prompt in a list of messages."""
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") in _SYSTEM_ROLES:
            if text := _text(message.get("content")):
                return text
    return ""


def _named(choice: Any) -> str:
    if not isinstance(choice, dict):
        return ""
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else choice.get("name")
    return name if isinstance(name, str) else ""


def _only_allowed(config: Any) -> str:
    calling = config.get("functionCallingConfig") if isinstance(config, dict) else None
    if not isinstance(calling, dict) or calling.get("mode") != "ANY":
        return ""
    names = calling.get("allowedFunctionNames")
    return names[0] if isinstance(names, list) and len(names) == 1 and isinstance(names[0], str) else ""


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | dict)]
    return "".join(text for text in texts if isinstance(text, str))
