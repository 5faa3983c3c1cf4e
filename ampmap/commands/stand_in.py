"""Stand-in upstreams on loopback: a provider that speaks all wire formats, and an Amp server that charges nothing.

For ``ampmap demo`` and for tests, ampmap's own and those of programs that embed it. They answer every request with a
short text that says who answered and for which model, streamed word by word where the request asks for a stream, and
they remember what they were sent.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from ..formats.base import Asked
from ..formats.registry import DEFAULT, FORMATS
from ..formats.samples import list_page
from ..http.client_connection import ClientConnection
from ..http.connection import chunk, last_chunk
from ..http.headers import value
from ..http.parser import RequestHead
from ..http.query import query_values
from ..net.listener import accepting, listen_on
from ..routing.target import ModelList, ModelRoute, Target, parse_target, route_of
from ..settings import Limits, TcpListen, Timeouts
from .scripted import EVENTS, Reply, head, play, send_whole


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    head: RequestHead
    body: bytes

    @property
    def json(self) -> Any:
        """The body as ``json`` reads it."""
        return json.loads(self.body)

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
    """A stand-in upstream: ``url`` is its address, ``seen`` what it was sent, in order.

    ``default`` is the reply when :meth:`reply` has given no other; None: a text that says who answers.
    """

    name: str
    url: str
    word_s: float = 0.0
    models: tuple[str, ...] = ()
    page_count: int = 1000  # models on one page of its list
    default: Reply | None = None
    seen: list[Seen] = field(default_factory=list)
    _replies: deque[Reply] = field(default_factory=deque)

    def reply(self, *replies: Reply) -> None:
        """Answer the next requests for models by these, one each, then by ``default``. Any thread may call."""
        self._replies.extend(replies)

    def next_reply(self) -> Reply | None:
        """Take the reply for one request; None for the plain one."""
        return self._replies.popleft() if self._replies else self.default


@asynccontextmanager
async def standing_in(
    name: str,
    *,
    word_s: float = 0.0,
    models: tuple[str, ...] = (),
    port: int = 0,
    default: Reply | None = None,
) -> AsyncIterator[StandIn]:
    """Run a stand-in while the context lasts.

    ``word_s`` is the pause between two words of a stream, in seconds; ``models`` is what its list says; ``port`` 0 lets
    the system choose; ``default`` is as in :class:`StandIn`.
    """
    sock = listen_on((TcpListen(host="127.0.0.1", port=port),))[0]
    stand_in = StandIn(name, f"http://127.0.0.1:{sock.getsockname()[1]}", word_s, models, default=default)
    async with accepting([sock], lambda raw: _serve(ClientConnection(raw, Limits(), Timeouts()), stand_in)):
        yield stand_in


async def _serve(wire: ClientConnection, stand_in: StandIn) -> None:
    while (head := await wire.next_head()) is not None:
        await wire.send_continue()
        body = b""
        while (piece := await wire.read()) is not None:
            body += piece
        stand_in.seen.append(Seen(head, body))
        await _answer(wire, head, body, stand_in)
        if not await wire.finish():
            return


async def _answer(wire: ClientConnection, request: RequestHead, body: bytes, stand_in: StandIn) -> None:
    target = parse_target(request.target, request.method)
    route = route_of(target, request.method, has_amp_headers=False)
    if isinstance(route, ModelList):
        await _send_json(wire, 200, _list(stand_in, route, target, value(request.headers, b"anthropic-version")))
        return
    if not isinstance(route, ModelRoute):
        await _send_json(wire, 200, {"ok": True, "answered_by": stand_in.name, "path": request.target.decode("ascii")})
        return
    try:
        asked = json.loads(body) if body else {}
    except ValueError:
        await _send_json(wire, 400, {"error": {"message": "this is not JSON"}})
        return
    asked = asked if isinstance(asked, dict) else {}
    wire_format = FORMATS[route.protocol]
    model = route.model if route.model is not None else str(asked.get("model"))
    streams = bool(asked.get("stream")) or "stream" in route.canonical
    dialect = wire_format.dialect
    if dialect and route.canonical in dialect.paths and (reply := stand_in.next_reply()):
        read = Asked(body=body, model=model, path=route.canonical, query=target.query or "")
        await play(wire, wire_format, dialect, read, streams, reply, stand_in.name)
        return
    words = f"This is {stand_in.name}, answering as {model}.".split(" ")
    if streams:
        await wire.send(head(200, EVENTS))
        for event in wire_format.sample_events(model, words):
            await wire.send(chunk(event))
            await anyio.sleep(stand_in.word_s)
        await wire.send(last_chunk([]))
    else:
        await _send_json(wire, 200, wire_format.sample_reply(model, " ".join(words)))


def _list(stand_in: StandIn, route: ModelList, target: Target, version: bytes | None) -> object:
    """Return one page of the list of models, in the form that was asked for."""
    source = FORMATS[route.protocol or ("anthropic" if version else DEFAULT)].source
    after = query_values(target.query, source.token[1] if source.token else source.after)
    start = stand_in.models.index(after[0]) + 1 if after else 0
    page = stand_in.models[start : start + stand_in.page_count]
    return list_page(source, page, more=start + len(page) < len(stand_in.models))


async def _send_json(wire: ClientConnection, status: int, content: object) -> None:
    await send_whole(wire, status, json.dumps(content).encode())
