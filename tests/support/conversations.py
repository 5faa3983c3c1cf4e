"""Conversations that hypothesis makes up, in the order that readers keep to."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from ampmap.bodies.texts import Raw
from ampmap.formats.conversation import Call, Conversation, Media, Part, Result, Text, Tool, Turn

_WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=6,
)
_ARGUMENTS = st.dictionaries(_WORDS, _VALUES, max_size=3).map(lambda found: Raw(json.dumps(found).encode()))
_TEXTS = _WORDS.map(Text)
_IMAGES = st.sampled_from(["image/png", "image/jpeg"]).map(lambda kind: Media("image", kind, "AAAA"))
TOOLS = ("search", "write_file", "mcp__server__a_tool")


@st.composite
def _turns(draw: st.DrawFn) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    results: list[Part] = []
    for round in range(draw(st.integers(1, 4))):
        said = draw(st.lists(_TEXTS | _IMAGES, min_size=0 if results else 1, max_size=3))
        turns.append(Turn("user", (*results, *said)))
        count = draw(st.integers(0, 3))
        calls = [Call(f"call_{round}_{at}", draw(st.sampled_from(TOOLS)), draw(_ARGUMENTS)) for at in range(count)]
        texts = draw(st.lists(_TEXTS, min_size=0 if calls else 1, max_size=1))
        turns.append(Turn("assistant", (*texts, *calls)))
        results = [Result(call.id, tuple(draw(st.lists(_TEXTS, max_size=1))), name=call.name) for call in calls]
    turns.append(Turn("user", (*results, draw(_TEXTS))))
    return tuple(turns)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Return conversations that every format can say without a loss."""
    tools = tuple(
        Tool(name=name, description=draw(_WORDS), schema=Raw(b'{"type":"object","properties":{}}')) for name in TOOLS
    )
    options: dict[str, Any] = {
        "max_output": draw(st.none() | st.integers(1, 10_000)),
        "temperature": draw(st.none() | st.sampled_from([0, 0.5, 1])),
        "stop": tuple(draw(st.lists(_WORDS, max_size=2))),
        "stream": draw(st.booleans()),
        "parallel_calls": draw(st.sampled_from([None, False])),
    }
    return Conversation(system=tuple(draw(st.lists(_TEXTS, max_size=1))), turns=draw(_turns()), tools=tools, **options)
