"""Carriers of other providers' seals leave a request that is not translated, and nothing else does."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnlengths import BestOf

from ampmap.bodies.edits import cut
from ampmap.bodies.steps import finished
from ampmap.formats.carrier import encode
from ampmap.formats.conversation import Seal
from ampmap.formats.foreign_seals import Cut, scan_foreign_seals

SEAL = Seal("signature", "x" * 40, "0123456789ab", "m")
MARK = encode(SEAL)
PURE = encode(SEAL, pure_base64=True)
SENTINEL = "skip_thought_signature_validator"
TEXT = {"type": "text", "text": 'é "ampmap1.x" 😀'}
OURS = {"type": "thinking", "thinking": "t", "signature": MARK}
REDACTED = {"type": "redacted_thinking", "data": MARK}
THEIRS = {"type": "thinking", "thinking": "t", "signature": "EqQB"}
CALL = {"type": "tool_use", "id": "c", "name": "n", "input": {"data": MARK, "signature": MARK}}
USER = {"role": "user", "content": "hi"}


def found(body: bytes | bytearray) -> Cut:
    return finished(scan_foreign_seals(body))


def without(value: Any, **spelling: Any) -> Any:
    body = json.dumps(value, ensure_ascii=False, **spelling).encode()
    return json.loads(b"".join(cut(body, found(body).edits)))


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


@pytest.mark.parametrize("spelling", [{}, {"separators": (",", ":")}, {"indent": 1}], ids=["usual", "tight", "wide"])
@pytest.mark.parametrize(
    ("blocks", "left"),
    [
        ([OURS, TEXT], [TEXT]),
        ([TEXT, OURS], [TEXT]),
        ([TEXT, OURS, REDACTED, CALL], [TEXT, CALL]),
        ([OURS, REDACTED, TEXT, OURS], [TEXT]),
        ([OURS, THEIRS, REDACTED, CALL, OURS], [THEIRS, CALL]),
        ([THEIRS, TEXT, CALL], [THEIRS, TEXT, CALL]),
    ],
)
def test_blocks_with_a_carrier_leave_messages(blocks: list[Any], left: list[Any], spelling: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [USER, assistant(*blocks), USER, assistant(*blocks)], "stream": True}

    assert {**body, "messages": [USER, assistant(*left), USER, assistant(*left)]} == without(body, **spelling)


def test_a_message_of_carriers_alone_goes_as_a_whole() -> None:
    assert {"messages": [USER, USER]} == without({"messages": [USER, assistant(OURS, REDACTED), USER]})
    assert {"messages": []} == without({"messages": [assistant(REDACTED)]})


def test_entries_with_a_carrier_leave_chat_messages() -> None:
    entry = {"type": "reasoning.encrypted", "data": MARK}
    kept = {"type": "reasoning.text", "text": "t", "signature": "Eq"}
    call = {"id": "c", "type": "function", "function": {"name": "n", "arguments": "{}"}}
    sealed = {**call, "extra_content": {"google": {"thought_signature": PURE}}}
    before = {"role": "assistant", "content": "a", "reasoning_details": [entry, kept], "tool_calls": [sealed, call]}
    only = {"role": "assistant", "content": "a", "reasoning_details": [entry, entry]}

    assert {
        "messages": [
            {"role": "assistant", "content": "a", "reasoning_details": [kept], "tool_calls": [call, call]},
            {"role": "assistant", "content": "a"},
        ]
    } == without({"messages": [before, only]})


def test_items_with_a_carrier_leave_responses() -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": MARK}
    kept = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    call = {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}

    assert {"input": [USER, kept, call]} == without({"input": [item, USER, item, kept, item, call, item]})


def test_signatures_with_a_carrier_leave_gemini() -> None:
    def call(**more: str) -> dict[str, Any]:
        return {"functionCall": {"name": "n", "args": {"thoughtSignature": PURE}}, **more}

    thought = {"text": "t", "thought": True}
    parts = [{**thought, "thoughtSignature": PURE}, call(thoughtSignature=PURE), call(thoughtSignature=PURE)]
    theirs = [call(thoughtSignature="Eq=="), call(thoughtSignature=PURE)]

    assert {
        "contents": [
            {"role": "model", "parts": [thought, call(thoughtSignature=SENTINEL), call()]},
            {"role": "model", "parts": [call(thoughtSignature="Eq=="), call()]},
        ]
    } == without({"contents": [{"role": "model", "parts": parts}, {"role": "model", "parts": theirs}]})


@pytest.mark.parametrize(
    ("asked", "blocks", "lost"),
    [
        ({"type": "enabled", "budget_tokens": 9}, [OURS, CALL], True),
        ({"type": "adaptive"}, [OURS, CALL], False),
        ({"type": "enabled", "budget_tokens": 9}, [THEIRS, CALL], False),
        ({"type": "enabled", "budget_tokens": 9}, [OURS, TEXT], False),
    ],
)
def test_who_demands_thinking_and_has_lost_it_does_without(asked: Any, blocks: list[Any], lost: bool) -> None:
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]}
    for body in (
        {"thinking": asked, "messages": [USER, assistant(*blocks), result]},
        {"messages": [USER, assistant(*blocks), result], "thinking": asked},
    ):
        assert lost == found(json.dumps(body).encode()).lost_thinking
        assert lost == ("thinking" not in without(body))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'{"messages": "ampmap1.', b'{"messages": ["ampmap1."]}', b'"ampmap1."']
)
def test_what_is_odd_stays_as_it_is(body: bytes) -> None:
    assert [] == found(body).edits


def test_a_body_without_a_carrier_is_not_read() -> None:
    assert [] == found(b'{"messages": [' + b"[" * 100_000 + b'"ampmap1"').edits


KEYS = ["content", "parts", "data", "signature", "thoughtSignature", "functionCall", "x", "google"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([MARK, PURE]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["messages", "input", "contents", "thinking", "é"]), st.lists(JSON, max_size=5)))
def test_what_is_left_is_json(body: dict[str, Any]) -> None:
    for spelling in ({}, {"indent": 1}, {"separators": (",", ":")}):
        left = without(body, **spelling)
        assert left == without(left)


def test_others_have_their_turn_within_a_message_of_many_parts() -> None:
    parts = [OURS, *[{"type": "text"}] * 100_000]
    steps = scan_foreign_seals(json.dumps({"messages": [{"role": "assistant", "content": parts}]}).encode())

    assert sum(1 for _ in steps) > 1000


def test_a_message_of_many_levels_is_not_read_once_a_level() -> None:
    inner: list[Any] = [OURS, {"type": "text", "text": "x" * 5_000_000}]
    for _ in range(300):
        inner = [{"content": inner}]
    body = json.dumps({"messages": [{"role": "assistant", "content": inner}]}).encode()

    for _ in (best := BestOf(1.5)):
        began = time.thread_time()
        found(body)
        best.add(time.thread_time() - began)

    assert best.holds, best.seconds  # once a level takes four seconds
