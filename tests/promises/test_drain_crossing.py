"""The way out: what is on its way when a proxy begins to drain is served, and nothing else keeps it."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint
from chain import chained, without_upstream
from kit import GUARD_S, Peer, connected, get, proxying, scripted, until

from ampmap.http.client_connection import Phase

pytestmark = pytest.mark.usefixtures("nothing_left")


async def test_the_first_request_on_a_connection_is_served_though_the_drain_came_before_it() -> None:
    async with without_upstream() as (proxy, client):
        await until(lambda: proxy.open_connections)
        async with anyio.create_task_group() as group:
            group.start_soon(proxy.drain, 5)
            await until(lambda: proxy.service.draining)
            await client.send(get(b"/"))
            reply = await client.read_message()

        assert (200, b"close") == (reply.status, reply.one(b"connection"))
        assert b"" == await client.read_rest()


async def test_a_connection_that_is_accepted_in_the_last_moment_is_served() -> None:
    async with without_upstream() as (proxy, client):
        while not proxy.listener.count:
            await checkpoint()
        assert not proxy.open_connections  # its task has not begun
        async with anyio.create_task_group() as group:
            group.start_soon(proxy.drain, 5)
            await until(lambda: proxy.service.draining)
            await client.send(get(b"/"))

            assert 200 == (await client.read_message()).status


async def test_a_request_that_crosses_the_drain_on_an_idle_connection_is_served() -> None:
    async with without_upstream() as (proxy, client):
        await client.send(get(b"/"))
        await client.read_message()
        await until(lambda: all(wire.phase is Phase.IDLE for wire in proxy.open_connections))
        async with anyio.create_task_group() as group:
            group.start_soon(proxy.drain, 5)
            await until(lambda: proxy.service.draining)
            await client.send(get(b"/"))
            reply = await client.read_message()

        assert (200, b"close") == (reply.status, reply.one(b"connection"))
        assert b"" == await client.read_rest()


async def test_a_request_after_a_reply_that_promised_no_end_is_served() -> None:
    """The head of a long stream has left before the drain: its client may ask once more on that connection."""
    asked, go = anyio.Event(), anyio.Event()

    async def stream(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        asked.set()
        await go.wait()
        await peer.send(b"1\r\nb\r\n0\r\n\r\n")
        await peer.wait_gone()

    async with chained(stream) as (_, proxy, client):
        await client.send(get())
        head = await client.read_head()
        await asked.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(proxy.drain, 5)
            await until(lambda: proxy.service.draining)
            go.set()
            await client.read_until(b"0\r\n\r\n")
            await client.send(get(b"/"))
            reply = await client.read_message()

        assert (200, None) == (head.status, head.one(b"connection"))
        assert (200, b"close") == (reply.status, reply.one(b"connection"))
        assert b"" == await client.read_rest()


@pytest.mark.parametrize("begun", [b"", b"\r\n"], ids=["silent", "empty lines"])
async def test_a_connection_that_asks_for_nothing_holds_up_no_drain(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ampmap.http.client_connection._FIRST_S", 0.05)
    async with without_upstream() as (proxy, client):
        await until(lambda: proxy.open_connections)
        await client.send(begun)
        with anyio.fail_after(GUARD_S):
            await proxy.drain(3600)

        assert b"" == await client.read_rest()


async def test_a_stream_that_does_not_end_is_cut_when_the_time_is_over() -> None:
    async def forever(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await peer.wait_gone()

    async with scripted(forever) as upstream:
        async with proxying(upstream.origin) as proxy, connected(proxy) as client:
            await client.send(get())
            await client.read_head()
            await client.read_exactly(6)
            await proxy.drain(0.05)
            assert 1 == proxy.listener.count
            proxy.cut()
        assert "shutdown" == proxy.service.journal.recent[-1].outcome
