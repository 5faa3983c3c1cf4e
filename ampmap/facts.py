"""The few facts of a request's body that a rule's ``when`` may look at: the tool it forces, its system prompt.

Pure. The body is walked once, value by value and message by message, so that a large conversation never holds the event
loop for long; what is not JSON has no facts, and of members with the same key the last counts, as it does for parsers.
Where each wire format keeps them:

* the forced tool: ``tool_choice.name`` (Anthropic, Responses), ``tool_choice.function.name`` (Chat Completions),
  ``toolConfig.functionCallingConfig`` in mode ``ANY`` with exactly one allowed name (Gemini)
* the system prompt, the first that is not empty: ``system``, ``instructions``, a message of role ``system`` or
  ``developer`` in ``input`` or ``messages``, ``systemInstruction.parts``; a text, or parts with a ``text`` each

A value or a message of more than FACT_BYTES is not looked into: it is as if it was empty.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from .jsonwalk import WINDOW_BYTES, Walk

FACT_BYTES: Final = 1024 * 1024
"""The largest value, and the largest message, that facts are taken from, in bytes of JSON."""

_LISTS = ("messages", "input")
_SYSTEM_ROLES = ("system", "developer")
_ORDER = ("system", "instructions", "input", "messages", "systemInstruction")
_TOOLS = ("tool_choice", "toolConfig")  # in this order too
_KEYS = frozenset(_ORDER + _TOOLS)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a body says: the name of the one tool it forces, and its system prompt; each empty where there is none."""

    tool_choice: str = ""
    system: str = ""


NO_FACTS = Facts()


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
    found: dict[str, str] = {}
    walk = Walk(body, window_bytes)
    try:
        for part in walk.members(*_LISTS):
            if part is None:
                yield
            elif part.value is not None:
                if not _KEYS.isdisjoint(part.value):
                    found.update({key: _fact(key, value) for key, value in walk.exact(part).items() if key in _KEYS})
            elif part.key in _LISTS and walk.is_array(part):
                found[part.key] = yield from _system_of_list(walk)
            elif part.key in _KEYS:
                found[part.key] = _fact(part.key, (yield from _large(walk)))
    except (ValueError, RecursionError):
        return NO_FACTS
    tool = next((found[key] for key in _TOOLS if found.get(key)), "")
    return Facts(tool, next((found[key] for key in _ORDER if found.get(key)), ""))


def _large(walk: Walk) -> Generator[None, None, Any]:
    """Read the value that begins here; None if it is too large."""
    start = walk.at
    for _ in walk.skip():
        yield
    return walk.read(start, walk.at) if walk.at - start <= FACT_BYTES else None


def _system_of_list(walk: Walk) -> Generator[None, None, str]:
    """Find the system prompt in the list of messages that begins here."""
    found = ""
    for part in walk.parts():
        if part is None:
            yield
        elif part.value is not None:
            if not found and walk.may_have(part, b'"role"') and _system(part.value):
                found = _system(walk.exact(part))
        elif walk.is_object(part):
            is_system = yield from _is_large_system(walk)
            if is_system and not found and walk.at - part.at <= FACT_BYTES:
                found = _system([walk.read(part.at, walk.at)])
    return found


def _is_large_system(walk: Walk) -> Generator[None, None, bool]:
    """Whether the message that begins here, which is large, has the role that is looked for."""
    role = None
    for part in walk.parts():
        if part is None:
            yield
        elif isinstance(part.value, dict):
            role = part.value.get("role", role)
        elif part.key == "role":
            role = None
    return role in _SYSTEM_ROLES


def _fact(key: str, value: Any) -> str:
    """Give what the member of a body says."""
    if key == "tool_choice":
        return _named(value)
    if key == "toolConfig":
        return _only_allowed(value)
    if key in _LISTS:
        return _system(value)
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
