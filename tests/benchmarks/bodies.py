"""Requests and canned replies, the same in every run: their bytes come from a seeded generator. Pure."""

from __future__ import annotations

import json
import random
from typing import Any, Literal

ASKED = "gpt-5.2-codex"  # what the agent asks for; a rule maps it to SERVED
SERVED = "qwen3-coder-480b-a35b"  # what the upstream serves, under its own name

Place = Literal["first", "middle", "last"]

MESSAGES = "/v1/messages"
CLIENT_KEY = "sk-bench-0123456789abcdef0123456789abcdef"

_HEAD_LINES = (
    b"Accept: application/json",
    b"Accept-Encoding: identity",
    b"Connection: keep-alive",
    b"Content-Type: application/json",
    b"User-Agent: OpenAI/Python 2.8.1",
    b"X-Stainless-Lang: python",
    b"X-Stainless-Package-Version: 2.8.1",
    b"X-Stainless-OS: Linux",
    b"X-Stainless-Arch: x64",
    b"X-Stainless-Runtime: CPython",
    b"X-Stainless-Runtime-Version: 3.11.7",
    b"Authorization: Bearer " + CLIENT_KEY.encode(),
    b"X-Stainless-Async: false",
    b"x-stainless-retry-count: 0",
    b"x-stainless-read-timeout: 600",
)
_WORDS = (
    "the request is read once and its name replaced before it leaves for the upstream while every other byte stays as "
    "it was written by the client so that caches keep hitting and nothing is held back when a stream is slow"
).split()
_CODE = """def merged(left: list[int], right: list[int]) -> list[int]:
    \"\"\"Merge two sorted lists; see C:\\\\notes\\\\merge.txt and "sorting".\"\"\"
    found: list[int] = []
    while left and right:
\t\tfound.append(left.pop(0) if left[0] <= right[0] else right.pop(0))
    return found + left + right  # naïve — but “clear”
"""


def head(length: int, path: str = "/v1/chat/completions") -> bytes:
    """Return a request head as an SDK sends it."""
    start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:8267\r\n".encode()
    return start + b"\r\n".join(_HEAD_LINES) + b"\r\nContent-Length: %d\r\n\r\n" % length


def request(body: bytes, path: str = "/v1/chat/completions") -> bytes:
    """Return a whole request."""
    return head(len(body), path) + body


def prose(rng: random.Random, count: int) -> str:
    """Return about ``count`` characters of text."""
    words: list[str] = []
    length = 0
    while length < count:
        words.append(rng.choice(_WORDS))
        length += len(words[-1]) + 1
    return " ".join(words)[:count]


def chat(model: str, size: int, *, stream: bool = False) -> bytes:
    """Return an OpenAI chat body of ``size`` bytes."""
    rng = random.Random(size)
    fields: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "system", "content": "You are a careful assistant."}, {"role": "user", "content": ""}],
        "temperature": 0.2,
        "max_tokens": 512,
        "stream": stream,
    }
    fields["messages"][1]["content"] = prose(rng, size - len(json.dumps(fields)))
    return json.dumps(fields).encode()


def conversation(model: str, size: int, place: Place) -> bytes:
    """Return an Anthropic request of about ``size`` bytes: prose, code, tool calls and their results, in turns."""
    rng = random.Random(size)
    messages: list[dict[str, Any]] = []
    length = 0
    while length < size:
        name = f"toolu_{rng.randrange(1 << 60):016x}"
        result = _CODE * rng.randrange(2, 30) + prose(rng, rng.randrange(100, 4000)).replace(" the ", "\n\tthe \\")
        turn: list[dict[str, Any]] = [
            {"role": "user", "content": prose(rng, rng.randrange(20, 600))},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": prose(rng, rng.randrange(50, 900))},
                    {
                        "type": "tool_use",
                        "id": name,
                        "name": "Edit",
                        "input": {"path": "/src/a.py", "old": _CODE, "line": rng.randrange(9999), "all": False},
                    },
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": name, "content": result}]},
        ]
        messages += turn
        length += len(json.dumps(turn, ensure_ascii=False))
    fields: dict[str, Any] = {"max_tokens": 32000, "system": prose(rng, 4000), "messages": messages, "stream": False}
    return _placed(fields, model, place)


def agent(model: str, turns: int) -> bytes:
    """Return a request of Messages with so many turns of a call and its result, and two tools for three turns."""
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string", "description": "A" * 90} for n in range(30)}}
    tools = [
        {"name": f"tool{n}", "description": "What it does. " * 60, "input_schema": schema}
        for n in range(turns * 2 // 3)
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": "x" * 2000}]
    for n in range(turns):
        call = {"type": "tool_use", "id": f"toolu_{n}", "name": "tool0", "input": {"command": "cat a.txt", "n": n}}
        messages.append({"role": "assistant", "content": [{"type": "text", "text": "I look at it. " * 10}, call]})
        result = {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": "a line of the file\n" * 180}
        messages.append({"role": "user", "content": [result]})
    body = {"model": model, "max_tokens": 100, "system": "Be brief.", "messages": messages}
    return json.dumps({**body, "tools": tools} if tools else body).encode()


def responses(model: str) -> bytes:
    """Return a request of Responses of 2 kB."""
    return json.dumps({"model": model, "instructions": "Be brief.", "input": "x" * 2000}).encode()


def _placed(fields: dict[str, Any], model: str, place: Place) -> bytes:
    pairs = list(fields.items())
    if place == "middle":  # half of the conversation before it; the rest behind, as a text within the system prompt
        messages = fields["messages"]
        half = len(messages) // 2
        system = [{"type": "text", "text": json.dumps(messages[half:], ensure_ascii=False)}]
        pairs = [("messages", messages[:half]), ("max_tokens", 32000), ("system", system)]
    pairs.insert({"first": 0, "middle": 1, "last": len(pairs)}[place], ("model", model))
    return json.dumps(dict(pairs), ensure_ascii=False, separators=(",", ":")).encode()


def hostile(model: str, size: int) -> dict[str, bytes]:
    """Return bodies that are slow to search for the one ``model`` that counts; it comes last in each.

    Another key of that name comes first in each, so a search for its bytes alone does not find the right one.
    """
    rng = random.Random(size)
    numbers = ",".join(str(rng.randrange(10)) for _ in range(size // 2))
    nested = ",".join(['{"model":{"model":"x"}}'] * (size // 24))
    quoted = ",".join(['"\\"model\\":\\"x\\""'] * (size // 19))
    escapes = '\\"\\\\' * (size // 4)
    spelled = ",".join(['{"\\u006dodel":"x"}'] * (size // 19))
    deep = "[" * (size // 2) + "]" * (size // 2) if size < 2000 else ",".join(["[" * 60 + "]" * 60] * (size // 121))
    contents = {
        "dense numbers": f"[{numbers}]",
        "model as nested key": f"[{nested}]",
        "model in strings": f"[{quoted}]",
        "backslashes": f'"{escapes}"',
        "model spelled with escapes": f"[{spelled}]",
        "brackets": f"[{deep}]",
    }
    return {
        name: f'{{"tool":{{"model":"x"}},"messages":{content},"model":"{model}"}}'.encode()
        for name, content in contents.items()
    }


def asked_for(model: str) -> str:
    """Return the text by which an upstream tells which model it was asked for."""
    return f"I was asked for {model}."


def reply(model: str, text: str = "") -> bytes:
    """Return a whole response with one chat completion; 400 characters of prose unless a text is given."""
    body = json.dumps(
        {
            "id": "chatcmpl-bench0123456789",
            "object": "chat.completion",
            "created": 1760000000,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text or prose(random.Random(1), 400)},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 420, "completion_tokens": 80, "total_tokens": 500},
        },
        separators=(",", ":"),
    ).encode()
    return reply_head(b"Content-Type: application/json", b"Content-Length: %d" % len(body)) + body


def anthropic_reply(model: str) -> bytes:
    """Return a whole response with one message."""
    fields = {
        "id": "msg_bench", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
        "content": [{"type": "text", "text": prose(random.Random(1), 400)}], "stop_sequence": None,
        "usage": {"input_tokens": 420, "output_tokens": 80},
    }  # fmt: skip
    body = json.dumps(fields, separators=(",", ":")).encode()
    return reply_head(b"Content-Type: application/json", b"Content-Length: %d" % len(body)) + body


def reply_head(*lines: bytes) -> bytes:
    """Return a response head with what providers usually say."""
    usual = (
        b"Date: Mon, 03 Nov 2025 10:00:00 GMT",
        b"Server: bench",
        b"x-request-id: req_0123456789abcdef0123456789abcdef",
        b"openai-processing-ms: 812",
        b"openai-version: 2020-10-01",
        b"x-ratelimit-limit-requests: 10000",
        b"x-ratelimit-remaining-requests: 9999",
        b"x-ratelimit-reset-requests: 6ms",
        b"Connection: keep-alive",
    )
    return b"\r\n".join((b"HTTP/1.1 200 OK", *lines, *usual)) + b"\r\n\r\n"


STAMP_DIGITS = 19  # of a clock's nanoseconds
_STAMP = b"@" + b"0" * STAMP_DIGITS + b"@"


def openai_event(model: str) -> bytes:
    """Return an event of a chat stream as a chunk of the body, with room for a time stamp."""
    fields = {
        "id": "chatcmpl-bench0123456789",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": model,
        "choices": [{"index": 0, "delta": {"content": _STAMP.decode() + " and so on"}, "finish_reason": None}],
    }
    return chunked(b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n")


def anthropic_event() -> bytes:
    """Return an Anthropic delta, which names no model."""
    fields = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": _STAMP.decode() + " and so on"},
    }
    return chunked(b"event: content_block_delta\ndata: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n")


def anthropic_opening(model: str) -> bytes:
    """Return the event that an Anthropic stream begins with, the only one that names the model."""
    message = {"id": "msg_bench", "type": "message", "role": "assistant", "model": model, "content": []}
    fields = {"type": "message_start", "message": message}
    return chunked(b"event: message_start\ndata: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n")


def chunked(data: bytes) -> bytes:
    """Frame a piece of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def stamp_gap(event: bytes) -> tuple[bytes, bytes]:
    """Return what stands before and behind the digits of an event's time stamp."""
    before, _, behind = event.partition(_STAMP)
    return before + b"@", b"@" + behind
