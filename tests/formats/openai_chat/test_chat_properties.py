"""What holds for every conversation and every stream."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import hub
import strict_chat
from conversations import conversations
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import examples

from ampmap.errors import BadRequest, UpstreamError
from ampmap.formats.conversation import Conversation
from ampmap.formats.openai_chat.replies_out import ReplyOptions
from ampmap.formats.profile import UNKNOWN, Profile

_PROFILES = [
    UNKNOWN,
    Profile(cache_control=True, tool_content_parts=True, reasoning_field="reasoning_details", mid_system="keep"),
    Profile(tool_id="nine", reasoning_field="reasoning_content", stream_usage=False, developer_role=True),
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["{", '{"a":1}', "x", "{}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "text", "index", "id", "name", "function", "arguments", "content", "role", "url"]),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip
_ITEMS = st.fixed_dictionaries({}, optional={
    "index": st.integers(0, 2) | st.none(), "id": st.sampled_from(["a", "b", "c", ""]) | st.none(),
    "type": st.sampled_from(["function", "custom"]),
    "function": st.fixed_dictionaries({}, optional={
        "name": st.sampled_from(["f", "g", ""]) | st.none(),
        "arguments": st.sampled_from(["", "{", "}", '{"a":', "1}", '"', "\\", "[", " ", '"{}"']) | _JSON,
    }),
})  # fmt: skip
_DELTAS = st.fixed_dictionaries({}, optional={
    "content": st.sampled_from(["", " ", "\n", "A"]) | _JSON, "reasoning_content": st.sampled_from(["", "\n", "h"]),
    "reasoning": _JSON, "reasoning_details": st.lists(_JSON, max_size=2), "tool_calls": st.lists(_ITEMS, max_size=3),
    "function_call": _JSON, "refusal": _JSON, "annotations": _JSON,
})  # fmt: skip
_CHUNKS = st.fixed_dictionaries({}, optional={
    "id": _JSON, "usage": _JSON, "error": st.none() | st.just({"message": "no"}),
    "choices": st.lists(st.fixed_dictionaries({"delta": _DELTAS | _JSON}, optional={
        "index": st.sampled_from([0, 0, 1, None]),
        "finish_reason": st.sampled_from([None, "", "stop", "length", "tool_calls", "x"]),
    }), max_size=2) | _JSON,
}) | _JSON  # fmt: skip


@settings(max_examples=examples(400, 10), deadline=None)
@given(conversations(), st.sampled_from([UNKNOWN, _PROFILES[1]]))
def test_there_and_back(conversation: Conversation, profile: Profile) -> None:
    written = hub.write("openai-chat", conversation, hub.target(profile))
    strict_chat.check(hub.body(written), profile)
    back = hub.read("openai-chat", b"".join(written.pieces))
    assert written.lost == ()
    assert replace(back, reply_options=None, choice=None) == conversation


@settings(max_examples=examples(400, 10), deadline=None)
@given(conversations(), st.sampled_from(_PROFILES))
def test_a_longer_conversation_begins_with_the_bytes_of_the_shorter(
    conversation: Conversation, profile: Profile
) -> None:
    last = b""
    for count in range(1, len(conversation.turns) + 1, 2):
        shorter = replace(conversation, turns=conversation.turns[:count])
        body = b"".join(hub.write("openai-chat", shorter, hub.target(profile)).pieces)
        messages = body[: body.index(b'],"tools":[')]
        assert messages.startswith(last)
        last = messages


@settings(max_examples=examples(400, 10), deadline=None)
@given(conversations())
def test_there_and_back_through_messages(conversation: Conversation) -> None:
    """A chat client's conversation stays the same at a provider of Messages."""
    asked = replace(conversation, max_output=100, parallel_calls=None)
    chat = b"".join(hub.write("openai-chat", asked).pieces)
    sent = b"".join(hub.write("anthropic", hub.read("openai-chat", chat)).pieces)
    back = hub.read("anthropic", sent)
    assert [_unmarked(text) for text in back.system] == list(asked.system)
    assert back.turns == asked.turns
    assert [tool.name for tool in back.tools] == [tool.name for tool in asked.tools]
    assert (back.max_output, back.stop, back.stream) == (100, asked.stop, asked.stream)


def _unmarked(text: Any) -> Any:
    return replace(text, mark=None)


@settings(max_examples=examples(2000, 40), deadline=None)
@given(st.lists(_CHUNKS, max_size=8), st.booleans())
def test_any_stream_gives_events_in_order_and_one_end(chunks: list[Any], done: bool) -> None:
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    stream += b"data: [DONE]\n\n" if done else b""
    try:
        events = hub.events(hub.dialect("openai-chat").reply_reader(hub.source()), [stream])
    except UpstreamError:
        assert not done
        return
    hub.blocks(events)
    assert type(events[-1]).__name__ in ("End", "Failure")
    # … and a client can read them.
    out, cut = hub.stream("openai-chat", "openai-chat", [stream], ReplyOptions(usage=True))
    assert not cut
    for line in out.split(b"\n\n"):
        if line.startswith(b"data: {"):
            json.loads(line[6:])


@settings(max_examples=examples(2000, 40), deadline=None)
@given(st.dictionaries(st.sampled_from(["messages", "tools", "tool_choice", "stop", "n", "response_format",
                                        "reasoning", "functions", "stream", "max_tokens"]), _JSON))  # fmt: skip
def test_any_request_is_read_or_refused(body: Any) -> None:
    try:
        found = hub.read("openai-chat", body)
        hub.body(hub.write("openai-chat", found, hub.target(_PROFILES[1])))
    except BadRequest:
        pass
