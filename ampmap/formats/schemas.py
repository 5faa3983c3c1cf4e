"""JSON schemas of tools and answers, in the form that providers take. Pure.

A schema that needs no change keeps its bytes; in a changed one, numbers keep their digits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ..bodies.texts import Raw, dump
from ..errors import BadRequest, Untranslatable
from .base import Json, elements
from .conversation import Format

NO_ARGUMENTS: Final = Raw(b'{"type":"object","properties":{}}')
_JSON: Final = "Answer with one JSON value and nothing else."
_UNIONS: Final = ("anyOf", "oneOf", "allOf")
_DESCRIBED_BYTES: Final = 1024  # a longer union is not repeated in the description
_CACHED_BYTES: Final = 16 * 1024
_MOST_BYTES: Final = 128 * 1024  # of one schema, and
_MOST_SIGNS: Final = 8192  # its commas and brackets: it is read at once
_MAPS: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")


class Read(NamedTuple):
    """A schema that can be sent. It is ``closed`` if all its objects require their properties and forbid others.

    OpenAI takes ``strict`` for closed schemas alone. ``merged`` says that a union at the root became one object.
    """

    schema: Raw
    closed: bool
    merged: bool = False


def parameters(schema: Raw | None) -> Read:
    """Return the schema of a tool's arguments.

    An object without ``properties`` gets empty ones, at any depth: OpenAI refuses it otherwise. The root becomes an
    object; a union at the root becomes one object with the properties of all its branches. Raises :class:`BadRequest`
    for a schema that is no object.
    """
    if schema is None:
        return Read(NO_ARGUMENTS, False)
    return _read(schema, _parameters, _parameters_cached)


def answer(schema: Raw) -> Read:
    """Return the schema of an answer, unchanged."""
    return _read(schema, _answer, _answer_cached)


def instruction(wanted: Format) -> str:
    """Return the line of the system text that asks for JSON, for providers that cannot be forced to write it."""
    if wanted.schema is None:
        return _JSON
    return f"{_JSON} It must match this JSON schema: {bytes(wanted.schema.data).decode()}"


def _read(schema: Raw, read: Callable[[bytes], Read], cached: Callable[[bytes], Read]) -> Read:
    data = bytes(schema.data)
    if len(data) > _MOST_BYTES or sum(map(data.count, (b",", b"{", b"["))) > _MOST_SIGNS:
        raise Untranslatable(
            f"tools: a schema of {len(data)} bytes is too large to be translated for this provider; use less than "
            f"{_MOST_BYTES} bytes and {_MOST_SIGNS} commas and brackets",
            "tools",
        )
    return (cached if len(data) <= _CACHED_BYTES else read)(data)


def _parameters(data: bytes) -> Read:
    found = _loaded(data)
    merged = any(isinstance(found.get(key), list) for key in _UNIONS)
    changed = _with_object_root(found)
    closed = True
    for each in _objects(found):
        if "properties" not in each:
            each["properties"] = {}
            changed = True
        closed = closed and _is_closed(each)
    return Read(Raw(b"".join(dump(found)) if changed else data), closed, merged)


def _answer(data: bytes) -> Read:
    return Read(Raw(data), all(map(_is_closed, _objects(_loaded(data)))))


# An agent sends the same tools with every request.
_parameters_cached: Final = lru_cache(maxsize=256)(_parameters)
_answer_cached: Final = lru_cache(maxsize=64)(_answer)


def _number(text: str) -> Raw:
    return Raw(text.encode())


def _loaded(data: bytes) -> Json:
    found = json.loads(data, parse_float=_number, parse_int=_number)
    if not isinstance(found, dict):
        raise BadRequest("tools: a schema must be an object")
    return found


def _is_closed(schema: Json) -> bool:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return (
        schema.get("additionalProperties") is False
        and isinstance(properties, dict)
        and isinstance(required, list)
        and properties.keys() <= {key for key in required if isinstance(key, str)}
    )


def _objects(schema: Json) -> Iterator[Json]:
    """Yield the schemas of objects, in a schema and below it."""
    stack: list[Any] = [schema]
    while stack:
        each = stack.pop()
        if not isinstance(each, dict):
            continue
        kind = each.get("type")
        if kind == "object" or "properties" in each or (isinstance(kind, list) and "object" in kind):
            yield each
        for key in _MAPS:
            if isinstance(found := each.get(key), dict):
                stack.extend(found.values())
        for key in _LISTS:
            if isinstance(found := each.get(key), list):
                stack.extend(found)
        stack.extend(each[key] for key in _SINGLE if key in each)


def _with_object_root(root: Json) -> bool:
    """Make the root an object; tell whether it changed."""
    unions = [key for key in _UNIONS if isinstance(root.get(key), list)]
    if not unions and root.get("type") == "object":
        return False
    described = []
    for key in unions:
        branches = [each for each in root.pop(key) if isinstance(each, dict)]
        text = b"".join(dump({key: branches})).decode()
        if len(text) <= _DESCRIBED_BYTES:
            described.append(text)
        _merge(root, branches, every=key == "allOf")
    if described:
        root["description"] = "\n".join([*filter(None, [root.get("description")]), *described])
    others = dict(root)
    root.clear()
    root.update({"type": "object", **{key: value for key, value in others.items() if key != "type"}})
    return True


def _merge(root: Json, branches: list[Json], *, every: bool) -> None:
    properties = root.setdefault("properties", {})
    if not isinstance(properties, dict):
        return
    required = []
    for branch in branches:
        if isinstance(found := branch.get("properties"), dict):
            for name, schema in found.items():
                properties.setdefault(name, schema)
        found = branch.get("required")
        required.append([each for each in found if isinstance(each, str)] if isinstance(found, list) else [])
    own = [each for each in elements(root.get("required")) if isinstance(each, str)]
    if every:
        more = [name for each in required for name in each]
    else:
        every_one = set(required[0]).intersection(*required[1:]) if required else ()
        more = [name for name in required[0] if name in every_one] if required else []
    if names := list(dict.fromkeys([*own, *more])):
        root["required"] = names
