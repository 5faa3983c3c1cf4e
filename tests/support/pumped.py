"""Upstreams whose replies a proxy pumps: each part is sent once the pump waits for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from types import MethodType
from typing import cast

import anyio
from kit import Peer, Script, post, until

from ampmap.net.stream import Stream
from ampmap.server import Server

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = EVENTS + b"Transfer-Encoding: chunked\r\n\r\n"
NAMED = b'data: {"model":"m"}\n\n'
GIVEN_BACK = b'data: {"model":"alias"}\n\n'


def asking(model: bytes) -> bytes:
    """A request for a model; of ``alias`` the reply's names are given back."""
    return post(b'{"model": "%b"}' % model)


def plain(data: bytes) -> bytes:
    """Frame a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def in_turns(*pieces: bytes, head: bytes = CHUNKED) -> tuple[Script, Callable[[Server], Awaitable[None]]]:
    """Make an upstream that sends a piece each time it is told to, and what tells it once a pump waits for that."""
    turns = [anyio.Event() for _ in pieces]
    left = iter(turns)

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(head)
        for piece, turn in zip(pieces, turns, strict=True):
            await turn.wait()
            await peer.send(piece)
        await peer.wait_gone()

    async def go(proxy: Server) -> None:
        await until(lambda: pumps(proxy))
        next(left).set()

    return script, go


def pumps(proxy: Server) -> bool:
    """Tell whether the one client's reply is being pumped."""
    (wire,) = proxy.open_connections
    gone = cast("partial[None]", wire.raw.on_gone)  # it interrupts the upstream's stream
    upstream = cast(Stream, cast(MethodType, gone.func).__self__)
    return "pumps, receives" in repr(upstream)
