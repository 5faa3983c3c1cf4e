"""A translated stream goes at its client's pace: what a slow client has not taken waits at the provider."""

from __future__ import annotations

import socket

import anyio
import pytest
from anyio.abc import SocketAttribute
from kit import Peer, connected, proxying, record_of, scripted
from translated import CHAT, asking, chunked, events, piece, speaking

BOTH_LOOPS = True

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WORDS = "word " * 3000
EVENT = chunked(*events([piece(WORDS)], done=False))
COUNT = 1000
LAST = chunked(*events([piece(finish="stop")])) + b"0\r\n\r\n"
STILL_S = 0.5


@pytest.mark.sample(1 / 2)
async def test_a_slow_client_slows_its_provider_and_gets_all() -> None:
    sent = 0

    async def pour(peer: Peer) -> None:
        nonlocal sent
        await peer.read_message()
        peer.raw.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        await peer.send(HEAD)
        for _ in range(COUNT):
            await peer.send(EVENT)
            sent += 1
        await peer.send(LAST)
        await peer.wait_gone()

    async with (
        scripted(pour) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
        connected(proxy, receive_bytes=65_536) as client,
    ):
        await client.send(asking(stream=True))
        head = await client.read_head()
        [connection] = proxy.open_connections
        before = -1
        while before != sent or "writing paused" not in repr(connection.raw):
            before = sent
            await anyio.sleep(STILL_S)
        assert 0 < sent < COUNT // 2

        body = bytearray(client.buffer)
        while not body.endswith(b"\r\n0\r\n\r\n"):
            body += await client.stream.receive(1 << 20)
        record = await record_of(proxy)

    assert (200, "ok", COUNT) == (head.status, record.outcome, sent)
    assert b"message_stop" in body[-200:]
    assert COUNT == body.count(WORDS.encode())
