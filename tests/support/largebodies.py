"""Requests and replies of megabytes, and hostile ones, in the four formats that are translated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

CHAT, CLAUDE, RESPONSES, GEMINI = FORMATS = ("openai-chat", "anthropic", "openai-responses", "gemini")
PATHS = {
    CHAT: b"/v1/chat/completions",
    CLAUDE: b"/v1/messages",
    RESPONSES: b"/v1/responses",
    GEMINI: b"/v1beta/models/m:generateContent",
}
LARGE_BYTES = 5_000_000
WORDS = 'line\n"quoted" é 😀 ' * 60  # about 1 KiB
LONG = "x" * 300_000  # a smaller body is read at once

Json = dict[str, Any]


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def each(made: Callable[[int], Any], count: int) -> list[Any]:
    return [made(number) for number in range(count)]


# Requests


def _chat_turn(at: int) -> list[Json]:
    call = {"id": f"c{at}", "type": "function", "function": {"name": "Read", "arguments": f'{{"path":"/{at}"}}'}}
    return [
        {"role": "assistant", "content": WORDS, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{at}", "content": WORDS},
    ]


def _claude_turn(at: int) -> list[Json]:
    call = {"type": "tool_use", "id": f"c{at}", "name": "Read", "input": {"path": f"/{at}"}}
    result = {"type": "tool_result", "tool_use_id": f"c{at}", "content": WORDS}
    return [
        {"role": "assistant", "content": [{"type": "text", "text": WORDS}, call]},
        {"role": "user", "content": [result]},
    ]


def _responses_turn(at: int) -> list[Json]:
    return [
        {"role": "assistant", "content": [{"type": "output_text", "text": WORDS}]},
        {"type": "function_call", "call_id": f"c{at}", "name": "Read", "arguments": f'{{"path":"/{at}"}}'},
        {"type": "function_call_output", "call_id": f"c{at}", "output": WORDS},
    ]


def _gemini_turn(at: int) -> list[Json]:
    call = {"functionCall": {"name": "Read", "args": {"path": f"/{at}"}}}
    answer = {"functionResponse": {"name": "Read", "response": {"output": WORDS}}}
    return [{"role": "model", "parts": [{"text": WORDS}, call]}, {"role": "user", "parts": [answer]}]


_TURNS: dict[str, tuple[Callable[[int], list[Json]], str, Json]] = {
    CHAT: (_chat_turn, "messages", {"role": "user", "content": "hi"}),
    CLAUDE: (_claude_turn, "messages", {"role": "user", "content": "hi"}),
    RESPONSES: (_responses_turn, "input", {"role": "user", "content": "hi"}),
    GEMINI: (_gemini_turn, "contents", {"role": "user", "parts": [{"text": "hi"}]}),
}


def conversation(format: str, size: int = LARGE_BYTES) -> bytes:
    """Return a request of many turns, of about so many bytes."""
    turn, key, first = _TURNS[format]
    count = size // len(dumped(turn(0)))
    return request(format, **{key: [first, *(message for at in range(count) for message in turn(at))]})


def request(format: str, **members: Any) -> bytes:
    """Return a request's body; Gemini's has the model in its path."""
    own: Json = {GEMINI: {}, CLAUDE: {"model": "m", "max_tokens": 9}}.get(format, {"model": "m"})
    return dumped({**own, **members})


def asking(format: str, *, streams: bool = False) -> tuple[bytes, bytes]:
    """Return the path and the body of a short request."""
    _, key, first = _TURNS[format]
    if format == GEMINI:
        path = b"/v1beta/models/m:streamGenerateContent?alt=sse" if streams else PATHS[GEMINI]
        return path, request(format, **{key: [first]})
    return PATHS[format], request(format, stream=streams, **{key: [first]})


# Replies: the texts are of several blocks, where a format has blocks


def chat_call(at: int, arguments: str = '{"path":"/"}') -> Json:
    return {"index": at, "id": f"c{at}", "type": "function", "function": {"name": "Read", "arguments": arguments}}


def chat_reply(message: Json) -> Json:
    return {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def chat_chunk(delta: Json, finish: str | None = None) -> Json:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def claude_reply(content: list[Any]) -> Json:
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"}


def responses_reply(output: list[Any]) -> Json:
    return {"id": "resp_1", "object": "response", "status": "completed", "output": output}


def gemini_reply(parts: list[Any], finish: str | None = "STOP") -> Json:
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}]}


def message_item(text: str, at: int = 0) -> Json:
    return {"type": "message", "id": f"m{at}", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def call_item(at: int, arguments: str = '{"path":"/"}') -> Json:
    return {"type": "function_call", "id": f"f{at}", "call_id": f"c{at}", "name": "Read", "arguments": arguments}


def claude_call(at: int) -> Json:
    return {"type": "tool_use", "id": f"c{at}", "name": "Read", "input": {"path": "/", "text": WORDS}}


def whole(format: str, size: int = LARGE_BYTES) -> bytes:
    """Return a whole reply of about so many bytes, half of it in a few texts, half in many calls."""
    text, count = WORDS * (size // 10 // len(WORDS.encode())), 100
    arguments = json.dumps({"text": WORDS * (size // 2 // count // len(WORDS.encode()))}, ensure_ascii=False)
    if format == CHAT:
        return dumped(chat_reply({"content": text * 2, "tool_calls": each(lambda n: chat_call(n, arguments), count)}))
    if format == CLAUDE:
        calls = [{**claude_call(at), "input": json.loads(arguments)} for at in range(count)]
        return dumped(claude_reply([{"type": "text", "text": text}] * 5 + calls))
    if format == RESPONSES:
        items = each(lambda at: message_item(text, at), 5) + each(lambda at: call_item(at, arguments), count)
        return dumped(responses_reply(items))
    call = {"functionCall": {"name": "Read", "args": json.loads(arguments)}}
    return dumped(gemini_reply([{"text": text}] * 5 + [call] * count))


def _named(events: Iterable[Json]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), dumped(one)) for one in events)


def _plain(events: Iterable[Json]) -> bytes:
    return b"".join(b"data: %b\n\n" % dumped(one) for one in events)


def _claude_events(size: int) -> Iterator[Json]:
    yield {"type": "message_start", "message": claude_reply([])}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for _ in range(size // len(WORDS.encode())):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORDS}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    yield {"type": "message_stop"}


def _responses_events(size: int) -> Iterator[Json]:
    yield {"type": "response.created", "response": {"id": "resp_1"}}
    count = size // 2 // len(WORDS.encode())  # all of it comes once more at the end
    for _ in range(count):
        yield {"type": "response.output_text.delta", "output_index": 0, "delta": WORDS}
    item = message_item(WORDS * count)
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": responses_reply([item])}


def streamed(format: str, size: int = LARGE_BYTES) -> bytes:
    """Return the body of a streamed reply of about so many bytes, most of it one text in many events."""
    count = size // len(WORDS.encode())
    if format == CHAT:
        return _plain([chat_chunk({"content": WORDS})] * count + [chat_chunk({}, "stop")]) + b"data: [DONE]\n\n"
    if format == CLAUDE:
        return _named(_claude_events(size))
    if format == RESPONSES:
        return _named(_responses_events(size))
    return _plain([gemini_reply([{"text": WORDS}], None)] * count + [gemini_reply([{"text": "."}])])


def named(event: Json) -> bytes:
    """Return one event of a stream with a name."""
    return _named([event])


def plain(event: Json) -> bytes:
    """Return one event of a stream."""
    return _plain([event])
