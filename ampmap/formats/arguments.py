"""The arguments of a tool's call as a JSON object, whatever a client or a provider wrote. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from ..bodies.texts import Long, Raw, Str, Unquoted, dump, head, plain

INVALID: Final = "_invalid_arguments"
"""The member for arguments that are no JSON object: the tool refuses it, and the model sees the text that it wrote."""

READ_BYTES: Final = 64 * 1024
"""Longer arguments are not decoded: those that begin with a brace are taken for an object."""

_EMPTY: Final = Raw(b"{}")
_NONE: Final = ("", "null")  # servers write null for a call without arguments


def arguments_of(value: Any) -> Raw | Unquoted:
    """Return arguments as one JSON object: the text of an object unchanged, no arguments as ``{}``.

    A JSON string that holds an object was encoded twice, and is taken for that object. Anything else becomes the member
    INVALID; nothing is repaired.
    """
    if value is None:
        return _EMPTY
    if isinstance(value, Raw):
        return value if bytes(value.data[:64]).lstrip().startswith(b"{") else invalid(bytes(value.data).decode())
    if isinstance(value, Long):
        if len(value) > READ_BYTES:
            return Unquoted(value) if head(value, 64).lstrip().startswith("{") else invalid(value)
        return Unquoted(value) if _object(plain(value)) is not None else _of_text(plain(value))
    if isinstance(value, str):
        return _of_text(value)
    return raw_json(value) if isinstance(value, dict) else invalid(b"".join(dump(value)).decode())


def is_json(text: str) -> bool:
    """Tell whether arguments are JSON; of long ones by their first and last characters and their quotes."""
    if len(text) <= READ_BYTES:
        return _loaded(text) is not None or text.strip() == "null"
    text = text.strip()
    quotes = text.replace("\\\\", "").replace('\\"', "").count('"')
    return text.startswith("{") and text.endswith("}") and not quotes % 2


def invalid(text: Str) -> Raw:
    """Return the object that takes the place of a text that is no JSON object."""
    return raw_json({INVALID: text})


def raw_json(value: Any) -> Raw:
    """Return a value as raw JSON."""
    return Raw(b"".join(dump(value)))


def free_text(arguments: Raw | Unquoted | str) -> str:
    """Return the free text that the arguments of a custom tool's call hold; their JSON, if they hold none.

    It is the member ``input``; models also write the text alone, or an object whose only member has another name.
    """
    if isinstance(arguments, Raw):
        arguments = bytes(arguments.data).decode("utf-8", "replace")
    elif isinstance(arguments, Unquoted):
        arguments = plain(arguments.text)
    if len(arguments) > READ_BYTES and not _FREE_TEXT.match(arguments):
        return arguments
    try:
        found = json.loads(arguments or "{}", strict=False)
    except (ValueError, RecursionError):
        return arguments
    if isinstance(found, dict):
        found = found["input"] if "input" in found else next(iter(found.values())) if len(found) == 1 else None
    return found if isinstance(found, str) else arguments


def _of_text(text: str) -> Raw:
    if text.strip() in _NONE:
        return _EMPTY
    if len(text) > READ_BYTES:
        return Raw(text.encode("utf-8", "replace")) if is_json(text) else invalid(text)
    found = _object(text)
    if found is None and isinstance(inner := _loaded(text), str):
        text, found = inner, _object(inner)
    if found is None:
        return invalid(text)
    try:
        return Raw(text.encode())
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can spell
        return raw_json(found)


def _object(text: str) -> dict[str, Any] | None:
    found = _loaded(text)
    return found if isinstance(found, dict) else None


def _loaded(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_FREE_TEXT: Final = re.compile(r'\s*+\{\s*+"[^"\\]*+"\s*+:\s*+"')
_DECODER: Final = json.JSONDecoder(parse_constant=_no_json, parse_int=float)  # digits without limit; no number is used
