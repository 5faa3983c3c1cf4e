"""What a rule's ``when`` may look at in a body, in each wire format."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.facts import NO_FACTS, Facts, facts_of, scan_facts


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
    "body", [b"", b"[]", b"{}", b"not", b'{"system": "x"', b'{"system" "x"}', b'{"messages": [1', b"\xff"]
)
def test_what_is_no_json_object_has_no_facts(body: bytes) -> None:
    assert NO_FACTS == facts_of(body)


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


def test_others_have_their_turn_between_two_messages() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x"}] * 50}).encode()

    assert 50 == sum(1 for _ in scan_facts(body))
