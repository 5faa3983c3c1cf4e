"""What a connection's ``repr`` tells of its exchange, and how it will end, on both sides and on both loops."""

from __future__ import annotations

import pytest
from kit import OK, Peer, connected, proxying, scripted, until

from ampmap.http.client_connection import ClientConnection
from ampmap.http.dialer import Dialer
from ampmap.http.pool import Pool
from ampmap.settings import Hop, Limits, Timeouts

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


def shown(proxy_side: set[ClientConnection]) -> str:
    return " ".join(map(repr, proxy_side))


async def test_a_clients_connection_tells_its_phase_and_its_end() -> None:
    asked: list[Peer] = []

    async def upstream(peer: Peer) -> None:
        await peer.read_message()
        asked.append(peer)
        await peer.wait_gone()

    async with scripted(upstream) as provider, proxying(provider.origin) as proxy, connected(proxy) as client:
        wires = proxy.open_connections
        await until(lambda: shown(wires) == "<ClientConnection IDLE, end NOT_YET>")
        await client.send(b"POST /v1/chat/completions HTTP/1.1\r\n")
        await until(lambda: shown(wires) == "<ClientConnection HEAD, end NOT_YET>")
        await client.send(b"Host: localhost\r\nContent-Length: 14\r\n\r\n")
        await until(lambda: shown(wires) == "<ClientConnection SERVED, body unread, end NOT_YET>")
        await client.send(b'{"model": "m"}')
        await until(lambda: asked)
        assert "<ClientConnection SERVED, end NOT_YET>" == shown(wires)
        for wire in wires:
            wire.drain()
        assert "<ClientConnection SERVED, end DRAIN>" == shown(wires)
        await asked[0].send(OK)
        assert b"close" == (await client.read_message()).one(b"connection")
        await client.wait_ended()


async def test_a_client_that_waits_to_be_asked_is_told() -> None:
    async with scripted(_silent) as provider, proxying(provider.origin) as proxy, connected(proxy) as client:
        lines = (b"Expect: 100-continue", b"Content-Length: 99999999")
        await client.send(b"POST /api/internal HTTP/1.1\r\nHost: localhost\r\n%b\r\n\r\n" % b"\r\n".join(lines))
        await until(lambda: "UNASKED, body unread, end NOT_YET" in shown(proxy.open_connections))


async def _silent(peer: Peer) -> None:
    await peer.wait_gone()


async def test_an_upstreams_connection_tells_whether_another_request_may_follow() -> None:
    async def upstream(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n")
        await peer.wait_gone()

    async with scripted(upstream) as server:
        pool, hop = Pool(Dialer({}, Limits(), 5.0), Limits(), Timeouts()), Hop(server.origin)
        wire = await pool.dial(hop)
        for expected in ("ASKED", "KEPT, body unread", "KEPT"), ("ASKED, reused", "LAST, body unread, reused", ""):
            wire.begin(b"GET")
            assert "ASKING" in repr(wire)
            await wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            wire.asked()
            assert f"<UpstreamConnection {expected[0]}>" == repr(wire)
            await wire.next_head()
            assert f"<UpstreamConnection {expected[1]}>" == repr(wire)
            if expected[2]:
                assert b"ok" == await wire.read()
                assert f"<UpstreamConnection {expected[2]}>" == repr(wire)
            pool.release(hop, wire)
            assert bool(expected[2]) == (pool.take(hop) is wire)
