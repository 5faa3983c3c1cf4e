"""Tell whether the last user message of a request has an image, in each wire format.

Pure. An image is a part of type ``image`` (Anthropic), ``image_url`` (Chat Completions) or ``input_image`` (Responses),
or inline or file data of a MIME type ``image/…`` (Gemini); in the message itself or in a tool's result within it. Where
a tool's results are messages of their own (Chat Completions, Responses), those behind the last user message count, too.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from .jsonwalk import Part, Walk

PARTS: Final = 1000
"""The most parts of a message that are looked at, as far as it is read at once."""

_TYPES: Final = frozenset({"image", "image_url", "input_image", "computer_screenshot"})
_MIME_TYPES: Final = ("mimeType", "mime_type")
_INSIDE: Final = (  # where a message, or a part of one, has parts
    "content", "parts", "output", "functionResponse", "function_response",
    "inlineData", "inline_data", "fileData", "file_data",
)  # fmt: skip
_LEVELS: Final = 8  # message, parts, part, functionResponse, parts, part, inlineData; and one to spare
_RESULT_ROLES: Final = ("tool", "function")


def last_has_image(messages: list[Any], name: str, before: bool, *, may: bool = True) -> bool:
    """Whether the last user message has an image, behind those of which ``before`` says it.

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


def follow(message: dict[str, Any], name: str, before: bool, image: bool) -> bool:
    """Do the same for one message of which only the role and the type are known, and whether it has an image."""
    return image if _is_users(message, name) else before or (image and _is_result(message))


def has_image(message: Any) -> bool:
    """Whether a message, or a part of one, is an image or has one; PARTS of it are looked at."""
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


def scan_image(walk: Walk, part: Part, levels: int = _LEVELS) -> Generator[None, None, bool]:
    """Whether a large part of a message, which begins here, is an image or has one."""
    found = False
    if levels and (not part.key or part.key in _INSIDE) and (walk.is_array(part) or walk.is_object(part)):
        for inner in walk.parts():
            if inner is None:
                yield
            elif inner.value is None:
                found = (yield from scan_image(walk, inner, levels - 1)) or found
            elif not found and walk.may_have(inner, b"image"):
                found = has_image(inner.value)
    return found


def _is_users(message: dict[str, Any], name: str) -> bool:
    role = message.get("role")
    return role == "user" or (role is None and name == "contents")  # Gemini's role may be left out


def _is_result(message: dict[str, Any]) -> bool:
    return message.get("role") in _RESULT_ROLES or str(message.get("type")).endswith("_output")
