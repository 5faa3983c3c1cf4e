"""Replies of providers in three formats that other translators know, too: one feature each, whole and as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ampmap.formats.base import Json

_ARGUMENTS = '{"city": "Oslo", "days": 1.0}'
_REASON = "The capital,\n\nso Oslo."
_TEXT = "It is in Oslo: 5 °C."
_IDS = ("call_a", "call_b")


def _message(*content: Json, stop: str = "end_turn", usage: Json | None = None, **members: Any) -> Json:
    counts = {"input_tokens": 20, "output_tokens": 7, **(usage or {})}
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [*content],
            "stop_reason": stop, "stop_sequence": None, "usage": counts, **members}  # fmt: skip


def _use(at: int, arguments: str = _ARGUMENTS) -> Json:
    return {"type": "tool_use", "id": f"toolu_{'ab'[at]}", "name": "weather", "input": json.loads(arguments)}


def _chat(content: str | None, stop: str = "stop", usage: Json | None = None, **members: Any) -> Json:
    counts = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27, **(usage or {})}
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **members}, "finish_reason": stop}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
            "usage": counts}  # fmt: skip


def _call(at: int, arguments: str = _ARGUMENTS) -> Json:
    return {"id": _IDS[at], "type": "function", "function": {"name": "weather", "arguments": arguments}}


def _gemini(*parts: Json, stop: str = "STOP", usage: Json | None = None) -> Json:
    counts = {"promptTokenCount": 20, "candidatesTokenCount": 7, "totalTokenCount": 27, **(usage or {})}
    return {"candidates": [{"content": {"role": "model", "parts": [*parts]}, "finishReason": stop, "index": 0}],
            "usageMetadata": counts, "modelVersion": "gemini", "responseId": "reply-1"}  # fmt: skip


def _function(**members: Any) -> Json:
    return {"functionCall": {"name": "weather", "args": json.loads(_ARGUMENTS)}, **members}


_SAID: Json = {"type": "text", "text": _TEXT}
_THOUGHT: Json = {"type": "thinking", "thinking": _REASON, "signature": "c2ln"}

MESSAGES: dict[str, Json] = {
    "text": _message(_SAID),
    "two calls": _message(_SAID, _use(0), _use(1, "{}"), stop="tool_use"),
    "thinking": _message(_THOUGHT, _SAID, _use(0), stop="tool_use"),
    "sealed thinking": _message({"type": "redacted_thinking", "data": "c2VjcmV0"}, _SAID),
    "limit": _message(_SAID, stop="max_tokens"),
    "refusal": _message(_SAID, stop="refusal"),
    "cache": _message(_SAID, usage={"cache_read_input_tokens": 300, "cache_creation_input_tokens": 40}),
}
CHAT: dict[str, Json] = {
    "text": _chat(_TEXT),
    "two calls": _chat(_TEXT, "tool_calls", tool_calls=[_call(0), _call(1, "")]),
    "reasoning": _chat(
        None, "tool_calls", {"completion_tokens_details": {"reasoning_tokens": 3}}, reasoning_content=_REASON,
        tool_calls=[_call(0)],
    ),
    "a call and stop": _chat(None, tool_calls=[_call(0)]),
    "invalid arguments": _chat(None, "tool_calls", tool_calls=[_call(0, '["Oslo"]')]),
    "limit": _chat(_TEXT, "length"),
    "refusal": _chat(None, refusal="I will not."),
    "filter": _chat(_TEXT, "content_filter"),
    "cache": _chat(_TEXT, usage={"prompt_tokens": 360, "prompt_tokens_details": {"cached_tokens": 300},
                                 "total_tokens": 367}),
}  # fmt: skip
GEMINI: dict[str, Json] = {
    "text": _gemini({"text": _TEXT}),
    "two calls": _gemini({"text": _TEXT}, _function(thoughtSignature="c2ln"), _function()),
    "thoughts": _gemini(
        {"text": _REASON, "thought": True}, {"text": _TEXT}, usage={"thoughtsTokenCount": 3, "totalTokenCount": 30}
    ),
    "limit": _gemini({"text": _TEXT}, stop="MAX_TOKENS"),
    "safety": _gemini({"text": _TEXT}, stop="SAFETY"),
    "cache": _gemini({"text": _TEXT}, usage={"cachedContentTokenCount": 12}),
}


def streamed(reply: Json) -> list[Json]:
    """Return a whole reply as the events in which its provider streams it."""
    if "content" in reply:
        return [*_message_events(reply)]
    return [*_chat_chunks(reply)] if "choices" in reply else [*_gemini_chunks(reply)]


def body(events: list[Json]) -> bytes:
    """Return events as a body."""
    named = [(f"event: {event['type']}\n" if "type" in event else "", json.dumps(event)) for event in events]
    last = "data: [DONE]\n\n" if "choices" in events[0] else ""
    return ("".join(f"{name}data: {event}\n\n" for name, event in named) + last).encode()


def _halves(text: str) -> list[str]:
    return [text[: len(text) // 2], text[len(text) // 2 :]] if text else []


def _message_events(reply: Json) -> Iterator[Json]:
    counts = {**reply["usage"], "output_tokens": 1}
    yield {"type": "message_start", "message": {**reply, "content": [], "stop_reason": None, "usage": counts}}
    for at, block in enumerate(reply["content"]):
        started, deltas = dict(block), list[Json]()
        if block["type"] == "text":
            started["text"] = ""
            deltas = [{"type": "text_delta", "text": half} for half in _halves(block["text"])]
        elif block["type"] == "thinking":
            started |= {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": half} for half in _halves(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        elif block["type"] == "tool_use":
            started["input"] = {}
            arguments = json.dumps(block["input"]) if block["input"] else ""
            deltas = [{"type": "input_json_delta", "partial_json": half} for half in _halves(arguments)]
        yield {"type": "content_block_start", "index": at, "content_block": started}
        yield from ({"type": "content_block_delta", "index": at, "delta": delta} for delta in deltas)
        yield {"type": "content_block_stop", "index": at}
    ended = {"stop_reason": reply["stop_reason"], "stop_sequence": None}
    output = {"output_tokens": reply["usage"]["output_tokens"]}
    yield {"type": "message_delta", "delta": ended, "usage": output}
    yield {"type": "message_stop"}


def _chat_chunks(reply: Json) -> Iterator[Json]:
    [choice] = reply["choices"]
    message = choice["message"]
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    for key in ("reasoning_content", "content", "refusal"):
        deltas += [{key: half} for half in _halves(message.get(key) or "")]
    for at, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        deltas.append({"tool_calls": [{**call, "index": at, "function": {**function, "arguments": ""}}]})
        for half in _halves(function["arguments"]):
            deltas.append({"tool_calls": [{"index": at, "function": {"arguments": half}}]})
    chunk = {"id": reply["id"], "object": "chat.completion.chunk", "created": 1, "model": "m"}
    for delta in deltas:
        yield {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    yield {**chunk, "choices": [], "usage": reply["usage"]}


def _gemini_chunks(reply: Json) -> Iterator[Json]:
    [candidate] = reply["candidates"]
    parts: list[Json] = []
    for part in candidate["content"]["parts"]:
        parts += [{**part, "text": half} for half in _halves(part["text"])] if "text" in part else [part]
    for at, part in enumerate(parts):
        content = {**candidate["content"], "parts": [part]}
        if at < len(parts) - 1:
            yield {**reply, "candidates": [{"content": content, "index": 0}]}
        else:
            yield {**reply, "candidates": [{**candidate, "content": content}]}
