"""Providers that speak one format, asked in another: their replies as bytes, and requests for them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kit import post

from ampmap.settings import Auth, Endpoint, ModelEntry, Origin, Provider

CHAT, CLAUDE, RESPONSES = "openai-chat", "anthropic", "openai-responses"
SSE = b"Content-Type: text/event-stream\r\n"
MESSAGES = b"/v1/messages"
USER = {"role": "user", "content": "hi"}


def speaking(
    protocol: str, origin: Origin, name: str = "p", model: str = "m", *, auth: Auth = "bearer", **more: Any
) -> Provider:
    """Make a provider that speaks one format."""
    endpoints = (Endpoint(protocol=protocol, auth=auth),)
    models = (ModelEntry(id=model),)
    return Provider(name=name, origin=origin, endpoints=endpoints, models=models, api_key="provider-key", **more)


def asking(*lines: bytes, path: bytes = MESSAGES, **members: Any) -> bytes:
    """Return a request in the format of Messages, or what ``path`` and ``members`` make of it."""
    body = {"model": "m", "max_tokens": 9, "messages": [USER], **members}
    return post(json.dumps(body).encode(), *lines, path=path)


def piece(text: str = "", finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of Chat Completions."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


HELLO: tuple[dict[str, Any], ...] = (piece("Hel"), piece("lo"), piece(finish="stop"))


def events(chunks: Iterable[dict[str, Any]] = HELLO, *, done: bool = True) -> list[bytes]:
    """Return chunks as events of a stream."""
    return [*(f"data: {json.dumps(each)}\n\n".encode() for each in chunks), *([b"data: [DONE]\n\n"] if done else [])]


def chunked(*parts: bytes) -> bytes:
    """Return parts of a body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def streamed(parts: Iterable[bytes], lines: bytes = b"", *, ends: bool = True) -> bytes:
    """Return a streamed reply as an upstream sends it."""
    head = b"HTTP/1.1 200 OK\r\n" + SSE + lines + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + chunked(*parts) + (b"0\r\n\r\n" if ends else b"")


def replied(content: Any, status: int = 200, lines: bytes = b"") -> bytes:
    """Return a whole reply as an upstream sends it; ``content`` is JSON, or the bytes themselves."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (status, lines, len(body)) + body


def completion(text: str = "Hello") -> dict[str, Any]:
    """Return a whole reply of Chat Completions."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"id": "c-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def message(text: str = "Hello") -> dict[str, Any]:
    """Return a whole reply of Messages."""
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": text}], "stop_sequence": None,
            "usage": {"input_tokens": 7, "output_tokens": 3}}  # fmt: skip


def data_of(body: bytes) -> list[Any]:
    """Return the data of a stream's events, read as JSON."""
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]


def text_of(body: bytes) -> str:
    """Return the text in a stream of Messages."""
    return "".join(each["delta"]["text"] for each in data_of(body) if each.get("delta", {}).get("type") == "text_delta")
