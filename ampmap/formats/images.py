"""Tell whether the last user message of a request has an image, in each wire format.

Pure. An image is a part of type ``image`` (Anthropic), ``image_url`` (Chat Completions) or ``input_image`` (Responses),
or inline or file data of a MIME type ``image/…`` (Gemini); in the message itself or in a tool's result within it. Where
a tool's results are messages of their own (Chat Completions, Responses), those behind the last user message count, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from ..bodies.json_walk import Part, Walk
from ..bodies.steps import Steps
from .registry import MEMBERS

PARTS: Final = 1000
"""The most parts of a message that are looked at, as far as it is read at once."""

_TYPES: Final = frozenset(kind for each in MEMBERS for kind in each.image_types)
_ROLELESS: Final = frozenset(each.messages for each in MEMBERS if each.roleless_users)
_MIME_TYPES: Final = ("mimeType", "mime_type")
_INSIDE: Final = (  # where a message, or a part of one, has parts
    "content", "parts", "output", "functionResponse", "function_response",
    "inlineData", "inline_data", "fileData", "file_data",
)  # fmt: skip
_TELLING: Final = frozenset({"role", "type", *_MIME_TYPES, *_INSIDE})
_IMAGE: Final = {"type": "image"}
_LEVELS: Final = 8  # message, parts, part, functionResponse, parts, part, inlineData; and one to spare
_RESULT_ROLES: Final = ("tool", "function")

Scan = Callable[[Walk, Part], Steps[Any]]
"""Reads the large value that begins at a part."""


def last_has_image(messages: list[Any], name: str, before: bool, *, may: bool = True) -> bool:
    """Tell whether the last user message has an image; ``before`` is the answer for the messages before these.

    ``name`` is the list's key in the body; ``may`` is False if none of these messages can have an image.
    """
    found = before
    for message in messages:
        if isinstance(message, dict):
            if _is_users(message, name):
                found = may and has_image(message)
            elif may and not found and _is_result(message):
                found = has_image(message)
    return found


def has_image(message: Any) -> bool:
    """Tell whether a message, or a part of one, is or has an image. At most PARTS of its parts are looked at."""
    stack = [message]
    for _ in range(PARTS):
        if not stack:
            break
        value = stack.pop()
        if isinstance(value, list):
            stack += [part for part in value[:PARTS] if isinstance(part, dict)]
        elif isinstance(value, dict):
            kind = value.get("type")
            if isinstance(kind, str) and kind in _TYPES:
                return True
            if any(isinstance(mime := value.get(key), str) and mime[:6].lower() == "image/" for key in _MIME_TYPES):
                return True
            stack += [value[key] for key in _INSIDE if key in value]
    return False


def scan_message(
    walk: Walk, also: Mapping[str, Scan] = MappingProxyType({}), levels: int = _LEVELS
) -> Steps[dict[str, Any]]:
    """Return the members of the large message that begins here which ``last_has_image`` needs.

    ``also`` are the keys of further members to return, each with a scan for a large value.
    """
    seen: dict[str, Any] = {}
    for part in walk.parts():
        if part is None:
            yield
        elif isinstance(part.value, dict):
            members = part.value if also.keys().isdisjoint(part.value) else walk.exact(part)
            seen.update({key: value for key, value in members.items() if key in _TELLING or key in also})
        elif part.key in also:
            seen[part.key] = yield from also[part.key](walk, part)
        elif part.key in _TELLING:
            seen[part.key] = _IMAGE if (yield from _scan(walk, part, levels)) else None
    return seen


def _scan(walk: Walk, part: Part, levels: int) -> Steps[bool]:
    """Tell whether the large value that begins here is or has an image."""
    if not levels:
        return False
    if walk.is_object(part):
        return has_image((yield from scan_message(walk, levels=levels - 1)))
    found = False
    if walk.is_array(part):
        for inner in walk.parts():
            if inner is None:
                yield
            elif inner.value is None:
                found = (yield from _scan(walk, inner, levels - 1)) or found
            elif not found and walk.may_have(inner, b"image"):
                found = has_image(inner.value)
    return found


def _is_users(message: dict[str, Any], name: str) -> bool:
    role = message.get("role")
    return role == "user" or (role is None and name in _ROLELESS)


def _is_result(message: dict[str, Any]) -> bool:
    return message.get("role") in _RESULT_ROLES or str(message.get("type")).endswith("_output")
