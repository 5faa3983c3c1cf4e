"""Streams with a peer, over TCP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import anyio
from kit import GUARD_S, Peer, wrapped

from ampmap.net.client_stream import ClientStream
from ampmap.net.stream import Stream

LARGE = bytes(8 * 1024 * 1024)


class Late(Exception):
    """What the deadlines of these tests raise."""


_Stream = TypeVar("_Stream", Stream, ClientStream)


def pair(*, send_bytes: int = 0, receive_bytes: int = 0) -> AbstractAsyncContextManager[tuple[Stream, Peer]]:
    """Connect a stream with a peer over TCP."""
    return pair_of(Stream, send_bytes=send_bytes, receive_bytes=receive_bytes)


@asynccontextmanager
async def pair_of(
    kind: type[_Stream], *, send_bytes: int = 0, receive_bytes: int = 0
) -> AsyncIterator[tuple[_Stream, Peer]]:
    """Connect a stream of that kind with a peer over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if receive_bytes:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    if send_bytes:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
    _, stream = await asyncio.get_running_loop().create_connection(kind, sock=ours)
    peer = Peer(await wrapped(theirs))
    try:
        with anyio.fail_after(GUARD_S):
            yield stream, peer
    finally:
        stream.abort()
        await peer.close()


async def drip(peer: Peer, count: int, pause_s: float) -> None:
    for _ in range(count):
        await anyio.sleep(pause_s)
        await peer.send(b"x")
