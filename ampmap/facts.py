"""The few facts of a request's body that a rule's ``when`` may look at: the tool it forces, its system prompt.

Pure. The body is walked once, value by value and message by message, so that a large conversation never holds the event
loop for long; what is not JSON has no facts, and of members with the same key the last counts, as it does for parsers.
Where each wire format keeps them:

* the forced tool: ``tool_choice.name`` (Anthropic, Responses), ``tool_choice.function.name`` (Chat Completions),
  ``toolConfig.functionCallingConfig`` in mode ``ANY`` with exactly one allowed name (Gemini)
* the system prompt, the first that is not empty: ``system``, ``instructions``, a message of role ``system`` or
  ``developer`` in ``input`` or ``messages``, ``systemInstruction.parts``; a text, or parts with a ``text`` each
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from .jsonwalk import walk

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
    tools, systems = dict[str, str](), dict[str, str]()
    try:
        for part in walk(body.decode(), *_LISTS):
            key, value = part.key, part.value
            if key == "tool_choice":
                tools[key] = _named(value)
            elif key == "toolConfig":
                tools[key] = _only_allowed(value)
            elif part.nth >= 0:
                if not systems[key] and isinstance(value, dict) and value.get("role") in _SYSTEM_ROLES:
                    systems[key] = _text(value.get("content"))
            elif key in _LISTS:
                systems[key] = ""
                continue  # a list's elements follow
            elif key in _ORDER:
                systems[key] = _text(value.get("parts") if isinstance(value, dict) else value)
            yield
    except (ValueError, RecursionError):
        return NO_FACTS
    tool = tools.get("tool_choice") or tools.get("toolConfig", "")
    return Facts(tool, next((systems[name] for name in _ORDER if systems.get(name)), ""))


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
