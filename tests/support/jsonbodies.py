"""JSON bodies of every spelling."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import strategies as st


class Pairs(list[tuple[str, Any]]):
    """An object with all its members, duplicates too."""


# --- bodies of every spelling -----------------------------------------------------------------------------------------

LIKE_THE_KEY = ["model", "model ", "Model", "models", "mod", 'mod"el', '"model', "model\\", "a", ""]
KEYS = st.sampled_from(LIKE_THE_KEY) | st.text(max_size=4)
NUMBERS = ["0", "-0", "1", "1.0", "1e5", "1E+5", "-12.50e-3", "12345678901234567890123", "0.1"]
SCALARS = (
    st.sampled_from(["model", '"model":', '{"model":"x"}', "\\", '"', "}", "", "  ", "gpt-5", "\ud800"])
    | st.sampled_from(["é" * 128, "a" * 257])
    | st.text(max_size=8)
    | st.sampled_from([("number", text) for text in NUMBERS])
    | st.sampled_from([None, True, False])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4).map(Pairs),
    max_leaves=12,
)
OBJECTS = st.lists(st.tuples(KEYS, VALUES), max_size=6).map(Pairs)


def serialised(value: Any, rng: random.Random, fancy: float) -> bytes:
    """Write JSON with random white space, and random escapes in strings and keys; both with probability ``fancy``."""

    def blank() -> str:
        return "".join(rng.choices(" \t\r\n", k=rng.randrange(1, 4))) if rng.random() < fancy / 2 else ""

    def string(text: str) -> str:
        return '"' + "".join(map(char, text)) + '"'

    def char(c: str) -> str:
        if c > "\uffff" and rng.random() < 0.5:
            return json.dumps(c)[1:-1]
        if "\ud800" <= c <= "\udfff" or (c <= "\uffff" and rng.random() < fancy / 2):
            digits = f"{ord(c):04x}"
            return "\\u" + (digits.upper() if rng.random() < 0.5 else digits)
        if c == "/":
            return rng.choice(["/", "\\/"])
        return json.dumps(c, ensure_ascii=False)[1:-1]

    def write(item: Any) -> str:
        if isinstance(item, Pairs):
            members = [blank() + string(k) + blank() + ":" + blank() + write(v) + blank() for k, v in item]
            return "{" + ",".join(members or [blank()]) + "}"
        if isinstance(item, list):
            return "[" + ",".join([blank() + write(v) + blank() for v in item] or [blank()]) + "]"
        if isinstance(item, tuple):
            return str(item[1])
        return string(item) if isinstance(item, str) else json.dumps(item)

    return (blank() + write(value) + blank()).encode()
