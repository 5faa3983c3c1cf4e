"""Gemini's two dialects of schemas: JSON Schema, and its own subset of OpenAPI's. Pure.

Source: https://ai.google.dev/api/caching#Schema. Both ways keep the order of members, so that a schema always becomes
the same bytes.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..base import elements

_LEVELS: Final = 32
_NOTE_CHARS: Final = 200
_REFERENCE_LEVELS: Final = 4
_SCHEMAS: Final = 2000  # that one may become: references and alternatives multiply
_SAME: Final = frozenset({
    "title", "description", "default", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
    "minProperties", "maxProperties", "pattern",
})  # fmt: skip
_NUMBERS: Final = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"})
_NO_FORMATS: Final = frozenset({"enum", "int32", "int64", "float", "double"})
_FORMATS: Final = {"STRING": ("enum", "date-time"), "INTEGER": ("int32", "int64"), "NUMBER": ("float", "double")}
DIGITS: Final = re.compile("[0-9]{1,18}")
"""A whole number as protocol buffers write a large one: as a string."""
_TYPES: Final = frozenset({"string", "integer", "number", "boolean", "array", "object"})


def to_json_schema(schema: Any, levels: int = _LEVELS) -> Any:
    """Return JSON Schema for a schema in Gemini's own dialect."""
    if not isinstance(schema, dict) or not levels:
        return {}
    found: dict[str, Any] = {}
    kind = schema.get("type")
    if isinstance(kind, str) and kind.upper() != "TYPE_UNSPECIFIED":
        found["type"] = kind.lower()
    for key, value in schema.items():
        if key in _SAME:
            is_number = key in _NUMBERS and isinstance(value, str) and DIGITS.fullmatch(value)
            found[key] = int(value) if is_number else value
        elif key == "format" and value not in _NO_FORMATS:
            found[key] = value
        elif key == "enum" and isinstance(value, list):
            found |= _enum(value, found.get("type"))
        elif key == "example":
            found["examples"] = [value]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            found[key] = to_json_schema(value, levels - 1)
        elif key in ("required", "additionalProperties"):
            found[key] = value
        elif key in ("anyOf", "any_of") and isinstance(value, list):
            found["anyOf"] = [to_json_schema(each, levels - 1) for each in value]
        elif key == "properties" and isinstance(value, dict):
            order = schema.get("propertyOrdering") or schema.get("property_ordering") or []
            order = (
                [name for name in order if isinstance(name, str) and name in value] if isinstance(order, list) else []
            )
            found[key] = {name: to_json_schema(value[name], levels - 1) for name in dict.fromkeys([*order, *value])}
        elif key in ("ref", "defs"):
            found[f"${key}"] = value
    return _nullable(found) if schema.get("nullable") is True else found


def _enum(values: list[Any], kind: Any) -> dict[str, Any]:
    if kind in ("integer", "number"):
        try:
            return {"enum": [int(value) if kind == "integer" else float(value) for value in values]}
        except (TypeError, ValueError):
            return {}
    return {"enum": values}


def _nullable(found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    if isinstance(found.get("enum"), list):
        found["enum"] = [*found["enum"], None]
    if isinstance(found.get("anyOf"), list):
        found["anyOf"] = [*found["anyOf"], {"type": "null"}]
    return found


def to_gemini_schema(schema: Any) -> dict[str, Any] | None:
    """Return a JSON Schema in Gemini's own dialect; None for a root object without properties, which Gemini refuses."""
    root = schema if isinstance(schema, dict) else {}
    found = _Converter(root).convert(root, _LEVELS, root=True)
    return None if found.get("type") == "OBJECT" and not found.get("properties") else found


class _Converter:
    """Converts the schemas below one root, to which their references lead."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._inside = 0  # how many references lead to the schema that is converted now
        self._left = _SCHEMAS

    def convert(self, schema: Any, levels: int, *, root: bool = False) -> dict[str, Any]:
        """Return one schema."""
        self._left -= 1
        if not isinstance(schema, dict) or not levels or self._left < 0:
            return {"type": "STRING", "description": "any JSON"}
        if isinstance(reference := schema.get("$ref"), str):
            return self._referred(reference, schema, levels)
        schema = self._merged(schema)
        options = schema.get("anyOf") or schema.get("oneOf")
        kinds, nullable = _kinds(schema)
        found: dict[str, Any] = {}
        if isinstance(options, list):
            kept = [each for each in options if not (isinstance(each, dict) and each.get("type") == "null")]
            nullable = nullable or len(kept) < len(options)
            if root or len(kept) == 1:
                others = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
                merged = self._merged({**others, "allOf": kept}) if root else {**kept[0], **others}
                return self.convert(merged, levels - 1, root=root) | ({"nullable": True} if nullable else {})
            found["anyOf"] = [self.convert(each, levels - 1) for each in kept]
        elif len(kinds) > 1:
            found["anyOf"] = [self.convert({**schema, "type": kind}, levels - 1) for kind in kinds]
        else:
            found |= self._plain(schema, kinds[0] if kinds else _guessed(schema, root=root), levels)
        for key in ("title", "description"):
            if isinstance(schema.get(key), str):
                found[key] = schema[key]
        return found | ({"nullable": True} if nullable else {})

    def _plain(self, schema: dict[str, Any], kind: str, levels: int) -> dict[str, Any]:
        name = kind.upper()
        found: dict[str, Any] = {"type": name}
        found |= {key: schema[key] for key in _SAME - {"title", "description"} if key in schema}
        found = {"type": name, **{key: found[key] for key in schema if key in found and key != "type"}}
        for key, limit, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
            if isinstance(value := schema.get(key), int | float) and not isinstance(value, bool):
                found[limit] = value + step if name == "INTEGER" else value
        if schema.get("format") in _FORMATS.get(name, ()):
            found["format"] = schema["format"]
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list):
            words = [value if isinstance(value, str) else _word(value) for value in values if value is not None]
            found |= {"type": "STRING", "enum": words} | ({"nullable": True} if None in values else {})
        if name == "ARRAY":
            found["items"] = self._items(schema, levels)
        if name == "OBJECT":
            found |= self._object(schema, levels)
        return found

    def _items(self, schema: dict[str, Any], levels: int) -> dict[str, Any]:
        items = schema.get("prefixItems") or schema.get("items")
        if isinstance(items, list):
            options = [self.convert(each, levels - 1) for each in items]
            return {"anyOf": options} if len(options) > 1 else next(iter(options), {})
        return self.convert(items, levels - 1) if isinstance(items, dict) and items else {}

    def _object(self, schema: dict[str, Any], levels: int) -> dict[str, Any]:
        members = schema.get("properties")
        members = members if isinstance(members, dict) else {}
        properties = {name: self.convert(each, levels - 1) for name, each in members.items() if each is not False}
        found: dict[str, Any] = {"properties": properties} if properties else {}
        if needed := [name for name in filter(_is_word, elements(schema.get("required"))) if name in properties]:
            found["required"] = needed
        return found

    def _merged(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a schema with the members of its ``allOf`` in it."""
        if not isinstance(schema.get("allOf"), list):
            return schema
        found = {key: value for key, value in schema.items() if key != "allOf"}
        own = found.get("properties")
        properties = dict(own) if isinstance(own, dict) else {}
        required = dict.fromkeys(filter(_is_word, elements(found.get("required"))))
        for each in schema["allOf"]:
            each = self._target(each) if isinstance(each, dict) and "$ref" in each else each
            for key, value in each.items() if isinstance(each, dict) else ():
                if key == "properties" and isinstance(value, dict):
                    properties.update(value)
                elif key == "required" and isinstance(value, list):
                    required.update(dict.fromkeys(filter(_is_word, value)))
                else:
                    found.setdefault(key, value)
        found |= {"properties": properties} if properties else {}
        found |= {"required": list(required)} if required else {}
        return found

    def _referred(self, reference: str, schema: dict[str, Any], levels: int) -> dict[str, Any]:
        target = self._target(schema)
        if target is None or self._inside >= _REFERENCE_LEVELS:
            return {"type": "OBJECT", "description": f"as {reference.rpartition('/')[2]}"[:_NOTE_CHARS]}
        self._inside += 1
        found = self.convert({**target, **{key: value for key, value in schema.items() if key != "$ref"}}, levels - 1)
        self._inside -= 1
        return found

    def _target(self, schema: dict[str, Any]) -> dict[str, Any] | None:
        found: Any = self._root
        reference = schema.get("$ref")
        for step in reference.removeprefix("#").strip("/").split("/") if isinstance(reference, str) else ():
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) and step else found
        return found if isinstance(found, dict) else None


def _kinds(schema: dict[str, Any]) -> tuple[list[str], bool]:
    """Return the types of a schema that Gemini has, and whether null is one of them."""
    said = schema.get("type")
    said = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    return [kind for kind in dict.fromkeys(filter(_is_word, said)) if kind in _TYPES], "null" in said


def _is_word(value: Any) -> bool:
    return isinstance(value, str)


def _guessed(schema: dict[str, Any], *, root: bool) -> str:
    if root or "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _word(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
