"""Deadlines of a client's connection, and its end when the proxy drains."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import anyio
import pytest
from bothloops import on_asyncio
from chain import chained, without_upstream
from kit import OK, Peer, answering, closed_origin, connected, get, post, proxying, record_of, scripted, times, until
from quickclock import on_both_quick_clocks

from ampmap.http.client_connection import Phase

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


# Deadlines.


@on_both_quick_clocks()
async def test_a_silent_connection_is_closed_without_a_word() -> None:
    async with without_upstream(timeouts=times(keepalive_s=0.05)) as (proxy, client):
        assert b"" == await client.read_rest()
        assert [] == list(proxy.service.journal.recent)


@on_both_quick_clocks()
async def test_empty_lines_do_not_keep_a_connection_alive() -> None:
    async with without_upstream(timeouts=times(keepalive_s=0.2)) as (_, client):
        with anyio.fail_after(1), pytest.raises(anyio.BrokenResourceError):
            while True:
                await client.send(b"\r\n")
                await anyio.sleep(0.02)


@on_both_quick_clocks()
async def test_a_head_that_drips_is_timed_out() -> None:
    async with without_upstream(timeouts=times(head_s=0.1)) as (proxy, client):
        async with anyio.create_task_group() as group:
            group.start_soon(drip, client, get(b"/" + b"x" * 100))
            reply = await client.read_message()
            group.cancel_scope.cancel()

        assert (408, b"close") == (reply.status, reply.one(b"connection"))
        record = await record_of(proxy)
        assert (408, "timeout") == (record.status, record.outcome)


async def drip(client: Peer, raw: bytes) -> None:
    for byte in raw:
        await client.send(bytes([byte]))
        await anyio.sleep(0.01)


@on_both_quick_clocks()
@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/api/internal"])
async def test_a_body_that_stops_is_timed_out(path: bytes) -> None:
    async with chained(Peer.wait_gone, timeouts=times(body_idle_s=0.05)) as (_, proxy, client):
        await client.send(get(path, b"Content-Length: 100000", method=b"POST") + b"{")
        reply = await client.read_message()

        assert (408, b"close") == (reply.status, reply.one(b"connection"))
        record = await record_of(proxy)
        assert (408, "timeout") == (record.status, record.outcome)


@on_both_quick_clocks()
async def test_a_slow_body_is_not_stuck() -> None:
    async with chained(answering(OK), timeouts=times(body_idle_s=0.2)) as (_, _, client):
        await client.send(get(b"/v1/chat/completions", b"Content-Length: 34", method=b"POST"))
        await drip(client, b'{"model": "m"' + b" " * 20 + b"}")

        assert 200 == (await client.read_message()).status


async def test_a_client_that_takes_nothing_is_cut() -> None:
    async def pour(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            await peer.send(bytes(65_536))

    async with (
        scripted(pour) as upstream,
        proxying(upstream.origin, timeouts=times(write_stall_s=0.1)) as proxy,
        connected(proxy, receive_bytes=65_536) as client,
    ):
        await client.send(get())
        record = await record_of(proxy)

        assert ("client_gone", 200) == (record.outcome, record.status)
        assert not (await client.read_message()).whole


# Draining.


async def test_an_idle_connection_ends_when_the_proxy_drains() -> None:
    async with without_upstream() as (proxy, client):
        await client.send(get(b"/"))
        await client.read_message()
        await proxy.drain(5)

        assert b"" == await client.read_rest()


async def test_a_busy_connection_ends_with_its_reply_when_the_proxy_drains() -> None:
    asked, go = anyio.Event(), anyio.Event()

    async def wait(peer: Peer) -> None:
        await peer.read_message()
        asked.set()
        await go.wait()
        await peer.send(OK)
        await peer.wait_gone()

    async with chained(wait) as (_, proxy, client):
        async with anyio.create_task_group() as group:
            await client.send(get())
            await asked.wait()
            group.start_soon(proxy.drain, 5)
            await until(lambda: proxy.service.draining)
            go.set()
            reply = await client.read_message()

            assert (200, b"close", b"ok") == (reply.status, reply.one(b"connection"), reply.body)
            assert b"" == await client.read_rest()


async def test_a_body_that_is_still_arriving_is_cut_when_the_time_to_drain_is_over() -> None:
    async with AsyncExitStack() as clients:
        async with proxying(await closed_origin()) as proxy:
            client = await clients.enter_async_context(connected(proxy))
            await client.send(post(bytes(500_000))[:-50])
            await until(lambda: any(" 50 bytes missing" in repr(wire.raw) for wire in proxy.open_connections))
            await proxy.drain(0.05)
        record = await record_of(proxy)

        assert (503, "shutdown", 499_950) == (record.status, record.outcome, record.bytes_in)
        assert b"" == await client.read_rest()


async def test_a_request_that_has_begun_is_served_when_the_proxy_drains() -> None:
    async with without_upstream() as (proxy, client):
        await client.send(b"GET / HTT")
        await until(lambda: any(wire.phase is not Phase.IDLE for wire in proxy.open_connections))
        async with anyio.create_task_group() as group:
            group.start_soon(proxy.drain, 5)
            await until(lambda: proxy.service.draining)
            await client.send(b"P/1.1\r\nHost: localhost\r\n\r\n")
            reply = await client.read_message()

        assert (200, b"close") == (reply.status, reply.one(b"connection"))


@on_asyncio  # uvloop takes no other buffer_updated than the one that a protocol is made with
async def test_a_request_that_came_with_the_drain_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    async with without_upstream() as (proxy, client):
        await client.send(get(b"/"))
        await client.read_message()
        (wire,) = proxy.open_connections
        monkeypatch.setattr(wire.raw, "buffer_updated", drain_first(wire.raw.buffer_updated, wire.drain))
        await client.send(get(b"/"))
        reply = await client.read_message()

        assert (200, b"close") == (reply.status, reply.one(b"connection"))
        assert b"" == await client.read_rest()


@on_asyncio  # uvloop takes no other buffer_updated than the one that a protocol is made with
async def test_empty_lines_that_came_with_the_drain_do_not_keep_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with without_upstream() as (proxy, client):
        await until(lambda: proxy.open_connections)
        (wire,) = proxy.open_connections
        monkeypatch.setattr(wire.raw, "buffer_updated", drain_first(wire.raw.buffer_updated, wire.drain))
        await client.send(b"\r\n")

        assert b"" == await client.read_rest()


def drain_first(update: Callable[[int], None], drain: Callable[[], None]) -> Callable[[int], None]:
    """Return what takes bytes over and lets the drain begin before anybody has seen them."""

    def updated(nbytes: int) -> None:
        update(nbytes)
        drain()

    return updated


async def test_what_still_runs_after_the_drain_is_cut() -> None:
    asked = anyio.Event()

    async def silent(peer: Peer) -> None:
        await peer.read_message()
        asked.set()
        await peer.wait_gone()

    async with scripted(silent) as upstream:
        async with proxying(upstream.origin, timeouts=times(drain_s=30)) as proxy, connected(proxy) as client:
            await client.send(get())
            await asked.wait()
            async with anyio.create_task_group() as group:
                group.start_soon(proxy.drain, 30)
                await until(lambda: proxy.service.draining)
                proxy.cut()
        record = await record_of(proxy)

    assert ("shutdown", 503) == (record.outcome, record.status)
