"""The few facts of a request's body that a rule's ``when`` may look at: the tool it forces, its system prompt.

Pure. The body is walked once, value by value and message by message, so that a large conversation never holds the event
loop for long; what is not JSON has no facts. Where each wire format keeps them:

* the forced tool: ``tool_choice.name`` (Anthropic, Responses), ``tool_choice.function.name`` (Chat Completions),
  ``toolConfig.functionCallingConfig`` in mode ``ANY`` with exactly one allowed name (Gemini)
* the system prompt, the first that is not empty: ``system``, ``instructions``, a message of role ``system`` or
  ``developer`` in ``input`` or ``messages``, ``systemInstruction.parts``; a text, or parts with a ``text`` each
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

_BLANKS = re.compile(r"[ \t\n\r]*")
_decoder = json.JSONDecoder()
_LISTS = ("messages", "input")
_SYSTEM_ROLES = ("system", "developer")
_ORDER = ("system", "instructions", "input", "messages", "systemInstruction")


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


def scan_facts(body: bytes | bytearray) -> Generator[None, None, Facts]:
    """Find the facts of a body; yields after each value and message, so that others may have their turn."""
    tool, systems = "", dict[str, str]()
    try:
        for key, value in _members(body.decode()):
            if key == "tool_choice":
                tool = _named(value) or tool
            elif key == "toolConfig":
                tool = _only_allowed(value) or tool
            elif key in _LISTS:
                if not systems.get(key) and isinstance(value, dict) and value.get("role") in _SYSTEM_ROLES:
                    systems[key] = _text(value.get("content"))
            elif key in _ORDER:
                systems[key] = _text(value.get("parts") if isinstance(value, dict) else value)
            yield
    except (ValueError, RecursionError):
        return NO_FACTS
    return Facts(tool, next((systems[name] for name in _ORDER if systems.get(name)), ""))


def _members(text: str) -> Generator[tuple[str, Any], None, None]:
    """Yield each member of the outermost object; the elements of a list of messages each by itself.

    Raises ValueError for what is no JSON object.
    """
    at = _expect(text, 0, "{")
    if text[at : at + 1] == "}":
        return
    while True:
        key, at = _decoder.raw_decode(text, at)
        at = _expect(text, at, ":")
        if key in _LISTS and text[at : at + 1] == "[":
            at = _blank(text, at + 1)
            while text[at : at + 1] != "]":
                value, at = _decoder.raw_decode(text, at)
                yield key, value
                at = _blank(text, at)
                if text[at : at + 1] != "]":
                    at = _expect(text, at, ",")
            at += 1
        else:
            value, at = _decoder.raw_decode(text, at)
            yield key, value
        at = _blank(text, at)
        if text[at : at + 1] == "}":
            return
        at = _expect(text, at, ",")


def _blank(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, mark: str) -> int:
    at = _blank(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"expected {mark} at {at}")
    return _blank(text, at + 1)


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
