"""Replies that a test chooses for a stand-in provider: texts, calls, tokens and faults, in the request's wire format.

A :class:`Reply` is a value; :func:`play` sends it on a client's connection. ``stand_in`` decides which reply is next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio

from ..bodies.steps import finished
from ..bodies.texts import dump
from ..errors import BadRequest, Untranslatable
from ..formats.base import Asked, Dialect, ReplySink, ReplyWriter, WireFormat
from ..formats.events import Begin, Delta, End, Event, Failure, Start, Stop, Usage
from ..formats.translate import read_request
from ..http.client_connection import ClientConnection
from ..http.connection import chunk, last_chunk

Fault = Literal["cut", "stall", "error", "malformed"]

EVENTS = (("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"))
"""The header fields of a stream."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool; ``arguments`` is an object as ``json`` writes it."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply of a stand-in provider.

    With ``text`` None the reply says who answers and for which model. ``calls`` are made if the request offers tools.
    The reply states the tokens as its usage. With a ``status`` other than 200 it is an error with ``text`` as its
    message. ``headers`` are added, for example ``{"Retry-After": "1"}``. ``pause_s`` passes before each event of a
    stream, and before a whole reply.

    ``fault`` happens in a stream once ``after`` events have been sent (never in a shorter one), in a whole reply in the
    middle of its body:

    * ``cut``: the connection is aborted;
    * ``stall``: nothing more comes until the stand-in ends; of a whole reply, no head either;
    * ``error``: the provider states an error, as an event in a stream, otherwise by status 500;
    * ``malformed``: JSON that ends too early, in an event or body that is complete by HTTP.
    """

    text: str | None = None
    calls: Sequence[Call] = ()
    input_tokens: int = 9
    output_tokens: int = 9
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause_s: float = 0.0
    fault: Fault | None = None
    after: int = 2


async def play(
    wire: ClientConnection,
    wire_format: WireFormat,
    dialect: Dialect,
    asked: Asked,
    streams: bool,
    reply: Reply,
    name: str,
) -> None:
    """Send ``reply`` to a request for a model; a request that the format forbids gets 400."""
    text = f"This is {name}, answering as {asked.model}." if reply.text is None else reply.text
    if reply.status != 200:
        await send_whole(wire, reply.status, _json(wire_format.error(reply.status, text, None)), reply)
        return
    try:
        request = finished(read_request(dialect, asked))
    except (BadRequest, Untranslatable) as exc:
        await send_whole(wire, 400, _json(wire_format.error(400, str(exc), None)))
        return
    sink = ReplySink(model=asked.model, reply_options=request.reply_options, maker="", sent=asked.model, created=1)
    writer, events = dialect.reply_writer(sink), _events(reply, text, offered=bool(request.tools))
    if streams:
        await _send_events(wire, writer, events, reply)
    elif reply.fault == "error":
        await send_whole(wire, 500, _json(wire_format.error(500, text, None)), reply)
    elif reply.fault == "stall":
        await anyio.sleep_forever()
    else:
        await send_whole(wire, 200, _json(finished(writer.whole(events))), reply)


def _events(reply: Reply, text: str, offered: bool) -> Iterator[Event]:
    calls = reply.calls if offered else ()
    yield Begin("reply_1", Usage(input=reply.input_tokens, cached=reply.cached_tokens))
    if text:
        yield Start("text")
        first, *more = text.split(" ")
        yield from (Delta(word) for word in (first, *(f" {word}" for word in more)) if word)
        yield Stop()
    for number, call in enumerate(calls, 1):
        yield Start("call", f"call_{number}", call.name)
        yield Delta(json.dumps(call.arguments))
        yield Stop()
    usage = Usage(reply.input_tokens, reply.output_tokens, cached=reply.cached_tokens, reasoning=reply.reasoning_tokens)
    yield End("calls" if calls else "stop", usage)


async def _send_events(wire: ClientConnection, writer: ReplyWriter, events: Iterator[Event], reply: Reply) -> None:
    pieces = (data for event in events if (data := writer.write(event)))
    await wire.send(head(200, [*EVENTS, *reply.headers.items()]))
    for number, data in enumerate(pieces):
        if reply.fault and number == reply.after:
            if reply.fault == "cut":
                wire.abort()
                return
            if reply.fault == "stall":
                await anyio.sleep_forever()
            broken = b'data: {"broken": [\n\n'
            data = writer.write(Failure(500, "the stand-in fails")) if reply.fault == "error" else broken
            await wire.send(chunk(data))
            break
        await anyio.sleep(reply.pause_s)
        await wire.send(chunk(data))
    await wire.send(last_chunk([]))


_PLAIN = Reply()


async def send_whole(wire: ClientConnection, status: int, body: bytes, reply: Reply = _PLAIN) -> None:
    """Send a whole reply of JSON, with the headers, the pause and the fault of ``reply``."""
    if reply.fault == "malformed":
        body = body[: len(body) // 2]
    await anyio.sleep(reply.pause_s)
    lines = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *reply.headers.items()]
    if reply.fault == "cut":
        await wire.send(head(status, lines) + body[: len(body) // 2])
        wire.abort()
        return
    await wire.send(head(status, lines) + body)


def _json(content: Any) -> bytes:
    return b"".join(dump(content))


def head(status: int, lines: Sequence[tuple[str, str]]) -> bytes:
    """Return the head of a reply."""
    fields = "".join(f"{name}: {content}\r\n" for name, content in lines)
    return f"HTTP/1.1 {status} Stand-In\r\n{fields}\r\n".encode("latin-1")
