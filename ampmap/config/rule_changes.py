"""The ``set`` and ``drop`` of a rule: top-level members of a request's body with new values, and those to be left out.

Values may be anything that YAML's core schema has; they become JSON of the same type, numbers as they are written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from ..errors import Place
from . import nodes as yamlnodes
from .keys import KEPT
from .nodes import Node, Scalar, Sequence
from .reader import BASES, Reading
from .yaml_tree import guarded

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")  # RFC 8259 §6
_DIGITS = 400  # of a number that is written otherwise than in JSON


def read_changes(reading: Reading, fields: Mapping[str, Node]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Read both: pairs of a member's name and its value as compact JSON, and names."""
    changes: dict[str, str] = {}
    if "set" in fields:
        node = fields["set"]
        if isinstance(node, yamlnodes.Mapping):
            for key, value in node.entries:
                if _may_change(reading, key.text, key.place, "set") and (text := _json(reading, value)) is not None:
                    changes[key.text] = text
        else:
            reading.wrong(node, "a mapping")
    drop: list[str] = []
    for item, name in reading.strings(fields["drop"]) if "drop" in fields else ():
        if name in changes:
            reading.error(item.place, f"{guarded(name)} is in 'set' and in 'drop'; keep one")
        elif _may_change(reading, name, item.place, "drop") and name not in drop:
            drop.append(name)
    return tuple(changes.items()), tuple(drop)


def _may_change(reading: Reading, name: str, place: Place, where: str) -> bool:
    if not name:
        reading.error(place, f"a name in '{where}' is empty")
    elif name in KEPT:
        reading.error(place, f"'{name}' cannot be in '{where}': {KEPT[name]}")
    return bool(name) and name not in KEPT


def _json(reading: Reading, node: Node) -> str | None:
    """Return a value as compact JSON; None, with a complaint, if JSON has none for it."""
    if isinstance(node, Sequence):
        items = [text for item in node.items if (text := _json(reading, item)) is not None]
        return f"[{','.join(items)}]"
    if isinstance(node, yamlnodes.Mapping):
        members = [(key.text, _json(reading, value)) for key, value in node.entries]
        return f"{{{','.join(f'{json.dumps(key)}:{text}' for key, text in members if text is not None)}}}"
    if node.kind == "str":
        text = reading.expanded(node)
        return None if text is None else json.dumps(text)
    if node.kind == "null":
        return "null"
    return node.text.lower() if node.kind == "bool" else _number(reading, node)


def _number(reading: Reading, node: Scalar) -> str | None:
    """Return a number as it is written, or as JSON writes it: YAML also has ``+1``, ``.5``, ``0x10``, ``.inf``."""
    text = node.text
    if _JSON_NUMBER.fullmatch(text):
        return text
    if len(text) <= _DIGITS and "n" not in text.lower():  # .nan and .inf
        base = BASES.get(text[:2])
        number = int(text, base) if base else int(text) if node.kind == "int" else float(text)
        if math.isfinite(number):
            return repr(number)
    reading.error(node.place, "JSON has no such number; write it like 12, -0.5 or 1e9")
    return None
