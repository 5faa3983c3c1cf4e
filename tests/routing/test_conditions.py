"""The facts of a body for a rule's ``when``, in each wire format; ``test_decide`` compares conditions with them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.routing.conditions import FACT_BYTES, NO_FACTS, Facts, facts_of, scan_facts


@pytest.mark.parametrize(
    ("body", "tool"),
    [
        ({"tool_choice": {"type": "tool", "name": "set_title"}}, "set_title"),
        ({"tool_choice": {"type": "function", "function": {"name": "set_title"}}}, "set_title"),
        ({"tool_choice": "auto"}, ""),
        ({"tool_choice": {"type": "tool", "name": 7}}, ""),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a"]}}}, "a"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}}}, ""),
        ({"toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["a"]}}}, ""),
        ({"toolConfig": {}}, ""),
        ({"toolConfig": []}, ""),
        ({"metadata": {"tool_choice": {"name": "nested"}}}, ""),
    ],
)
def test_the_forced_tool_is_found_in_each_format(body: object, tool: str) -> None:
    assert tool == facts_of(json.dumps(body).encode()).tool_choice


@pytest.mark.parametrize(
    ("body", "system"),
    [
        ({"system": "You are Amp"}, "You are Amp"),
        ({"system": [{"type": "text", "text": "You "}, {"type": "text", "text": "are"}, 7]}, "You are"),
        ({"instructions": "Be brief"}, "Be brief"),
        ({"input": [{"role": "user", "content": "x"}, {"role": "developer", "content": "D"}]}, "D"),
        ({"input": "just text"}, ""),
        ({"messages": [{"role": "system", "content": [{"text": "S"}]}, {"role": "system", "content": "T"}]}, "S"),
        ({"messages": ["odd", 7, {"role": "system"}]}, ""),
        ({"systemInstruction": {"parts": [{"text": "G"}]}}, "G"),
        ({"systemInstruction": {"parts": {}}}, ""),
        ({"messages": [{"role": "system", "content": "second"}], "system": "first"}, "first"),
        ({"messages": [], "input": []}, ""),
    ],
)
def test_the_first_system_prompt_that_is_not_empty_is_found(body: object, system: str) -> None:
    assert system == facts_of(json.dumps(body).encode()).system


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"not", b'{"system": "x"', b'{"system" "x"}', b'{"messages": [1', b"\xff"]
)
def test_what_is_no_json_object_has_no_facts(body: bytes) -> None:
    assert Facts(readable=False) == facts_of(body)
    assert NO_FACTS == facts_of(b"{}")


@given(
    st.dictionaries(
        st.sampled_from(["system", "messages", "x", "tool_choice"]),
        st.recursive(
            st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
        ),
    ),
    st.sampled_from([None, 1]),
)
def test_any_object_is_walked_to_its_end(body: dict[str, object], indent: int | None) -> None:
    if isinstance(body.get("system"), str):
        assert body["system"] == facts_of(json.dumps(body, indent=indent).encode()).system
    else:
        assert isinstance(facts_of(json.dumps(body, indent=indent).encode()), Facts)


@pytest.mark.parametrize("message", ["x", "x" * 300])
def test_others_have_their_turn_within_a_list_of_messages(message: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": message}] * 1000}).encode()

    assert len(body) // 2500 <= sum(1 for _ in scan_facts(body, window_bytes=1000))


def facts_in(body: bytes, window_bytes: int) -> Facts:
    steps = scan_facts(body, window_bytes=window_bytes)
    while True:
        try:
            next(steps)
        except StopIteration as found:
            facts: Facts = found.value
            return facts


@pytest.mark.parametrize("window_bytes", [64, 100, 1000])
@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"system": "é日" * 40, "tool_choice": {"x": "y" * 200, "name": "ü" * 90}}, Facts("ü" * 90, "é日" * 40)),
        ({"messages": [1, "s", {"x": "y" * 200, "role": "system", "content": "é" * 99}]}, Facts("", "é" * 99)),
        ({"messages": [{"role": "user", "content": "y" * 200}, {"role": "system", "content": "é"}]}, Facts("", "é")),
        ({"messages": {"a": {"role": "system", "content": "x" * 200}}}, Facts("", "")),
        ({"messages": [["x" * 200, {"role": "system", "content": "x"}]]}, Facts("", "")),
        ({"input": [{"role": "system", "content": "x"}] * 90, "messages": 1}, Facts("", "x")),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_facts_are_found_in_values_larger_than_a_window(
    body: object, facts: Facts, window_bytes: int, ascii_only: bool
) -> None:
    assert facts == facts_in(json.dumps(body, ensure_ascii=ascii_only).encode(), window_bytes)


@pytest.mark.parametrize("place", ["system", "messages", "tool_choice"])
def test_what_is_too_large_is_not_looked_into(place: str) -> None:
    for size, is_found in ((FACT_BYTES - 100, True), (FACT_BYTES + 1, False)):
        value = {
            "system": "x" * size,
            "messages": [{"role": "system", "content": "x" * size}],
            "tool_choice": {"name": "x" * size},
        }[place]
        assert is_found == (NO_FACTS != facts_of(json.dumps({place: value}).encode()))


def test_of_lists_with_the_same_name_the_last_counts() -> None:
    body = b'{"messages":[{"role":"system","content":"a"}],"messages":[{"role":"system","content":"b"}],"x":1}'

    assert Facts("", "b") == facts_of(body)
    assert NO_FACTS == facts_of(body.replace(b'"x":1', b'"messages":[]'))
    assert Facts("", "b") == facts_of(b'{%b"x":1}' % (b'"x":1,' * 40 + body[1:-1] + b"," + b'"x":1,' * 40))
