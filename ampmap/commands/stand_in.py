"""Stand-in upstreams on loopback: a provider that speaks all wire formats, and an Amp server that charges nothing.

For ``ampmap demo`` and for tests, ampmap's own and those of programs that embed it. They answer every request with a
short text that says who answered and for which model, streamed word by word where the request asks for a stream, and
they remember what they were sent.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from ..formats.registry import DEFAULT, FORMATS
from ..http.client_connection import ClientWire
from ..http.connection import chunk, last_chunk
from ..http.headers import value
from ..http.parser import RequestHead
from ..net.listener import accepting, listen_on
from ..routing.target import ModelList, ModelRoute, Target, parse_target, query_values, route_of
from ..settings import Limits, TcpListen, Timeouts


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
    wire_format = FORMATS[route.protocol]
    model = route.model if route.model is not None else str(asked.get("model"))
    words = f"This is {stand_in.name}, answering as {model}.".split(" ")
    if stand_in.status != 200:
        await _send_json(wire, stand_in.status, {"error": {"message": f"{stand_in.name} says {stand_in.status}"}})
    elif asked.get("stream") or "stream" in route.canonical:
        await wire.send(_head(200, b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"))
        for event in wire_format.sample_events(model, words):
            await wire.send(chunk(event))
            await anyio.sleep(stand_in.word_s)
        await wire.send(last_chunk([]))
    else:
        await _send_json(wire, 200, wire_format.sample_reply(model, " ".join(words)))


def _list(stand_in: StandIn, route: ModelList, target: Target, version: bytes | None) -> object:
    """Return one page of the list of models, in the form that was asked for."""
    form = route.protocol or ("anthropic" if version else DEFAULT)
    names = {"gemini": "pageToken", "anthropic": "after_id"}
    after = query_values(target.query, names.get(form, "after"))
    start = stand_in.models.index(after[0]) + 1 if after else 0
    page = stand_in.models[start : start + stand_in.page_count]
    more = start + len(page) < len(stand_in.models)
    if form == "gemini":
        models = [{"name": f"models/{name}"} for name in page]
        return {"models": models, "nextPageToken": page[-1]} if more else {"models": models}
    last = page[-1] if page else None
    entries = [{"id": name} for name in page]
    return {"object": "list", FORMATS[form].source.key: entries, "has_more": more, "last_id": last}


def _head(status: int, lines: bytes) -> bytes:
    return b"HTTP/1.1 %d Stand-In\r\n%b\r\n" % (status, lines)


async def _send_json(wire: ClientWire, status: int, content: object) -> None:
    body = json.dumps(content).encode()
    await wire.send(_head(status, b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)) + body)
