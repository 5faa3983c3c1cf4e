"""Requests and replies of the Messages API with something odd at any place: only the documented errors come."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import hub
from corpus.messages_events import STREAMS
from corpus.messages_requests import MARK, PARALLEL, PDF, assistant, call, claude_code, image, result, text, tool, user
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import examples
from translating import events_of, reply_of, streamed, target_of, whole_of

from ampmap.errors import BadRequest, UpstreamError

_EVERYTHING = {
    **claude_code(2),
    "stop_sequences": ["x"], "temperature": 1, "top_p": 0.5, "top_k": 3, "cache_control": {"type": "ephemeral"},
    "tool_choice": {"type": "tool", "name": "Read"}, "service_tier": "auto", "thread": {"type": "create"},
    "messages": [
        user(image(), {**image("application/pdf", PDF), "type": "document", "title": "t", "context": "c"},
             {"type": "document", "source": {"type": "content", "content": [text("a")]},
              "citations": {"enabled": True}},
             {"type": "search_result", "title": "T", "source": "s", "content": [text("a")]}),
        {"role": "system", "content": [text("s"), {"type": "tool_addition", "tool": {
            "type": "tool_definition", "definition": tool("New")}}],
         "clear_at": "never", "output_config": {"effort": "low"}},
        assistant({"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "redacted_thinking", "data": "d"},
                  text("a", citations=[{}]), call("a", "Read", x=1), {"type": "compaction", "content": "c"},
                  {"type": "server_tool_use", "name": "n", "input": {}},
                  {"type": "web_search_tool_result", "content": [{"title": "t", "url": "u"}]}),
        user(result("a", [text("r"), image(), {"type": "tool_reference", "tool_name": "B"}], is_error=True),
             text("b", **MARK)),
    ],
    "tools": [*claude_code(0)["tools"], {"type": "web_search_20250305", "name": "web_search", "max_uses": 1},
              {"type": "memory_20250818", "name": "memory"}],
}  # fmt: skip

_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "text", "ampmap1.x", [], {}, [None], [{}], {"type": 1}, [[]], "x" * 3000]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value within a value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def damaged(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """Return a copy with something else at a place."""
    if not path:
        return odd
    found = copy.deepcopy(value)
    at = found
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = odd
    return found


@st.composite
def anything(draw: st.DrawFn, whole: list[Any]) -> Any:
    value = draw(st.sampled_from(whole))
    for _ in range(draw(st.integers(1, 3))):
        value = damaged(value, draw(st.sampled_from(sorted(places(value), key=repr))), draw(_ODD))
    return value


@settings(max_examples=examples(3000), deadline=None)
@given(request=anything([_EVERYTHING, PARALLEL]))
def test_a_damaged_request_is_read_or_refused(request: Any) -> None:
    try:
        said = hub.read("anthropic", request)
        for model in ("claude-opus-4-8", "claude-haiku-4-5", "other"):
            hub.body(hub.write("anthropic", said, target_of("anthropic", model, mid_system="keep", files=True)))
    except BadRequest:
        pass


_REPLY = {
    "id": "msg_1", "stop_reason": "tool_use", "stop_sequence": None, "stop_details": {"explanation": "x"},
    "content": [
        {"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "a", "citations": [{"url": "u", "title": "t"}]},
        {"type": "tool_use", "id": "a", "name": "T", "input": {"a": 1}},
    ],
    "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3,
              "output_tokens_details": {"thinking_tokens": 1}},
}  # fmt: skip


@settings(max_examples=examples(3000), deadline=None)
@given(reply=anything([_REPLY]))
def test_a_damaged_reply_is_read_in_order(reply: Any) -> None:
    events = whole_of("anthropic", reply)

    hub.blocks(events)
    reply_of("anthropic", events)


_EVENTS = {name: [json.loads(line[6:]) for line in stream.data.decode().splitlines() if line.startswith("data: {\"")]
           for name, stream in STREAMS.items()}  # fmt: skip


@settings(max_examples=examples(3000), deadline=None)
@given(events=anything(list(_EVENTS.values())), left_out=st.sets(st.integers(0, 20), max_size=3))
def test_a_damaged_stream_is_read_in_order_or_cut(events: Any, left_out: set[int]) -> None:
    kept = [each for at, each in enumerate(events) if at not in left_out] if isinstance(events, list) else [events]
    data = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in kept)
    try:
        found = events_of("anthropic", data)
    except UpstreamError:
        return
    hub.blocks(found)
    streamed("anthropic", found)
