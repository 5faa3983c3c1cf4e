"""Stand-in upstreams on loopback: a provider that speaks all four protocols, and an Amp server that charges nothing.

For ``ampmap demo`` and for tests, ampmap's own and those of programs that embed it. They answer every request with a
short text that says who answered and for which model, streamed word by word where the request asks for a stream, and
they remember what they were sent.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from ..http.client_connection import ClientWire
from ..http.connection import chunk, last_chunk
from ..http.headers import value
from ..http.parser import RequestHead
from ..net.listener import accepting, listen_on
from ..routing.target import ModelList, ModelRoute, Target, parse_target, query_values, route_of
from ..settings import Limits, Protocol, TcpListen, Timeouts


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    head: RequestHead
    body: bytes

    @property
    def path(self) -> str:
        """The request's path and query."""
        return self.head.target.decode("ascii")

    def header(self, name: str) -> str | None:
        """Return the first value of a header field."""
        found = value(self.head.headers, name.lower().encode())
        return None if found is None else found.decode("latin-1")


@dataclass(slots=True)
class StandIn:
    """A stand-in upstream: ``url`` is its address, ``seen`` what it was sent, in order."""

    name: str
    url: str
    word_s: float = 0.0
    status: int = 200
    models: tuple[str, ...] = ()
    page_count: int = 1000  # models on one page of its list
    seen: list[Seen] = field(default_factory=list)


@asynccontextmanager
async def standing_in(
    name: str, *, word_s: float = 0.0, status: int = 200, models: tuple[str, ...] = (), port: int = 0
) -> AsyncIterator[StandIn]:
    """Run a stand-in while the context lasts.

    ``word_s`` is the pause between two words of a stream, in seconds; ``status`` other than 200 makes it refuse every
    model request; ``models`` is what its list says; ``port`` 0 lets the system choose.
    """
    sock = listen_on((TcpListen(host="127.0.0.1", port=port),))[0]
    stand_in = StandIn(name, f"http://127.0.0.1:{sock.getsockname()[1]}", word_s, status, models)
    async with accepting([sock], lambda raw: _serve(ClientWire(raw, Limits(), Timeouts()), stand_in)):
        yield stand_in


async def _serve(wire: ClientWire, stand_in: StandIn) -> None:
    while (head := await wire.next_head()) is not None:
        await wire.send_continue()
        body = b""
        while (piece := await wire.read()) is not None:
            body += piece
        stand_in.seen.append(Seen(head, body))
        await _answer(wire, head, body, stand_in)
        if not await wire.finish():
            return


async def _answer(wire: ClientWire, head: RequestHead, body: bytes, stand_in: StandIn) -> None:
    target = parse_target(head.target, head.method)
    route = route_of(target, head.method, has_amp_headers=False)
    if isinstance(route, ModelList):
        await _send_json(wire, 200, _list(stand_in, route, target, value(head.headers, b"anthropic-version")))
        return
    if not isinstance(route, ModelRoute):
        await _send_json(wire, 200, {"ok": True, "answered_by": stand_in.name, "path": head.target.decode("ascii")})
        return
    try:
        asked = json.loads(body) if body else {}
    except ValueError:
        await _send_json(wire, 400, {"error": {"message": "this is not JSON"}})
        return
    asked = asked if isinstance(asked, dict) else {}
    model = route.model if route.model is not None else str(asked.get("model"))
    words = f"This is {stand_in.name}, answering as {model}.".split(" ")
    if stand_in.status != 200:
        await _send_json(wire, stand_in.status, {"error": {"message": f"{stand_in.name} says {stand_in.status}"}})
    elif asked.get("stream") or "stream" in route.canonical:
        await wire.send(_head(200, b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"))
        for event in _EVENTS[route.protocol](model, words):
            await wire.send(chunk(event))
            await anyio.sleep(stand_in.word_s)
        await wire.send(last_chunk([]))
    else:
        await _send_json(wire, 200, _WHOLE[route.protocol](model, " ".join(words)))


def _list(stand_in: StandIn, route: ModelList, target: Target, version: bytes | None) -> object:
    """Return one page of the list of models, in the form that was asked for."""
    names = {"gemini": "pageToken", "anthropic": "after_id", "openai": "after"}
    form = "gemini" if route.gemini else "anthropic" if version else "openai"
    after = query_values(target.query, names[form])
    start = stand_in.models.index(after[0]) + 1 if after else 0
    page = stand_in.models[start : start + stand_in.page_count]
    more = start + len(page) < len(stand_in.models)
    if form == "gemini":
        models = [{"name": f"models/{name}"} for name in page]
        return {"models": models, "nextPageToken": page[-1]} if more else {"models": models}
    last = page[-1] if page else None
    return {"object": "list", "data": [{"id": name} for name in page], "has_more": more, "last_id": last}


def _head(status: int, lines: bytes) -> bytes:
    return b"HTTP/1.1 %d Stand-In\r\n%b\r\n" % (status, lines)


async def _send_json(wire: ClientWire, status: int, content: object) -> None:
    body = json.dumps(content).encode()
    await wire.send(_head(status, b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)) + body)


def _sse(content: object, event: str = "") -> bytes:
    line = f"event: {event}\n" if event else ""
    return f"{line}data: {json.dumps(content)}\n\n".encode()


def _pieces(words: list[str]) -> Iterator[str]:
    yield words[0]
    for word in words[1:]:
        yield f" {word}"


def _anthropic_events(model: str, words: list[str]) -> Iterator[bytes]:
    usage = {"input_tokens": 9, "output_tokens": 1}
    message: dict[str, object]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": usage}  # fmt: skip
    yield _sse({"type": "message_start", "message": message}, "message_start")
    block = {"type": "text", "text": ""}
    yield _sse({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
    for piece in _pieces(words):
        delta = {"type": "text_delta", "text": piece}
        yield _sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
    yield _sse({"type": "content_block_stop", "index": 0}, "content_block_stop")
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _sse({"type": "message_delta", "delta": ended, "usage": {"output_tokens": len(words)}}, "message_delta")
    yield _sse({"type": "message_stop"}, "message_stop")


def _anthropic_whole(model: str, text: str) -> object:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": 9}}  # fmt: skip


def _chat_events(model: str, words: list[str]) -> Iterator[bytes]:
    for piece in _pieces(words):
        choice = {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
        yield _sse({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
                    "choices": [choice]})  # fmt: skip
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield _sse({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [last]})
    yield b"data: [DONE]\n\n"


def _chat_whole(model: str, text: str) -> object:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}}  # fmt: skip


def _response(model: str, text: str, status: str) -> dict[str, object]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"type": "message", "id": "msg_1", "status": status, "role": "assistant", "content": content}
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": model, "tools": [],
            "output": [message] if text else [], "parallel_tool_calls": True, "tool_choice": "auto"}  # fmt: skip


def _response_events(model: str, words: list[str]) -> Iterator[bytes]:
    started = {"type": "response.created", "sequence_number": 0, "response": _response(model, "", "in_progress")}
    yield _sse(started, "response.created")
    item = {"type": "message", "id": "msg_1", "status": "in_progress", "role": "assistant", "content": []}
    added = {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": item}
    yield _sse(added, "response.output_item.added")
    part = {"type": "output_text", "text": "", "annotations": []}
    begun = {"type": "response.content_part.added", "sequence_number": 2, "item_id": "msg_1", "output_index": 0,
             "content_index": 0, "part": part}  # fmt: skip
    yield _sse(begun, "response.content_part.added")
    for number, piece in enumerate(_pieces(words), 3):
        delta = {"type": "response.output_text.delta", "sequence_number": number, "item_id": "msg_1",
                 "output_index": 0, "content_index": 0, "delta": piece, "logprobs": []}  # fmt: skip
        yield _sse(delta, "response.output_text.delta")
    done = _response(model, " ".join(words), "completed")
    yield _sse({"type": "response.completed", "sequence_number": 99, "response": done}, "response.completed")


def _gemini_whole(model: str, text: str) -> object:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "modelVersion": model}


def _gemini_events(model: str, words: list[str]) -> Iterator[bytes]:
    for piece in _pieces(words):
        yield _sse(_gemini_whole(model, piece))


_EVENTS: dict[Protocol, Callable[[str, list[str]], Iterator[bytes]]] = {
    "anthropic": _anthropic_events,
    "openai-chat": _chat_events,
    "openai-responses": _response_events,
    "gemini": _gemini_events,
}
_WHOLE: dict[Protocol, Callable[[str, str], object]] = {
    "anthropic": _anthropic_whole,
    "openai-chat": _chat_whole,
    "openai-responses": lambda model, text: _response(model, text, "completed"),
    "gemini": _gemini_whole,
}
