"""Clients that leave take their upstream's request with them."""

from __future__ import annotations

import socket

import anyio
import pytest
from chain import chained
from kit import OK, Peer, answering, ask, connected, get, post, proxying, record_of, scripted, until
from relayed import CHUNKED, model_body, silent, streamed

from ampmap.http.upstream_connection import UpstreamConnection
from ampmap.settings import Hop, Origin

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("request_", [get(), post(), post(model_body(100_000))])
async def test_a_client_that_leaves_takes_its_upstream_request_with_it(request_: bytes, reset: bool) -> None:
    asked, left = anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        asked.set()
        assert b"" == await peer.wait_gone()
        left.set()

    async with chained(script) as (_, proxy, client):
        await client.send(request_)
        await asked.wait()
        await _leave(client, reset)
        await left.wait()
        record = await record_of(proxy)

        assert (499, "client_gone") == (record.status, record.outcome)
        assert 0 == proxy.service.pool.idle_count


async def _leave(client: Peer, reset: bool) -> None:
    if reset:
        client.reset()
    else:
        await client.close()


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_within_a_reply_ends_it(reset: bool) -> None:
    left = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        await peer.wait_gone()
        left.set()

    async with chained(script) as (_, proxy, client):
        await client.send(get())
        await client.read_until(b"hello")
        await _leave(client, reset)
        await left.wait()
        record = await record_of(proxy)

        assert (200, "client_gone") == (record.status, record.outcome)


async def test_a_client_that_leaves_within_a_reply_that_it_does_not_take_ends_it() -> None:
    async def pour(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED)
        while True:
            await peer.send(b"10000\r\n" + bytes(65_536) + b"\r\n")

    async with (
        scripted(pour) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy, receive_bytes=65_536) as client,
    ):
        await client.send(get())
        await client.read_head()
        await until(lambda: any("writing paused" in repr(wire.raw) for wire in proxy.open_connections))
        client.reset()

        assert "client_gone" == (await record_of(proxy)).outcome


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_within_its_upload_ends_it(reset: bool) -> None:
    began, left = anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_until(b"3\r\nabc\r\n")
        began.set()
        await peer.wait_gone()
        left.set()

    async with chained(script) as (_, proxy, client):
        await client.send(streamed(), b"3\r\nabc\r\n")
        await began.wait()
        await _leave(client, reset)
        await left.wait()
        record = await record_of(proxy)

        assert record.outcome in ("client_gone", "rejected")
        assert record.status in (499, 400)


async def test_a_client_that_leaves_while_a_connection_is_made_ends_the_dial() -> None:
    async def no_handshake(peer: Peer) -> None:
        hello.set()
        await peer.wait_gone()
        left.set()

    hello, left = anyio.Event(), anyio.Event()
    async with scripted(no_handshake) as upstream:
        origin = Origin("https", "127.0.0.1", upstream.origin.port)
        async with proxying(origin) as proxy, connected(proxy) as client:
            await client.send(get())
            await hello.wait()
            await client.close()
            await left.wait()
            record = await record_of(proxy)

            assert (499, "client_gone", 0) == (record.status, record.outcome, record.attempts)


async def test_a_client_that_leaves_in_the_moment_of_the_connection_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with chained(silent) as (upstream, proxy, client):
        dial = proxy.service.pool.dial

        async def dial_and_see_it_leave(hop: Hop) -> UpstreamConnection:
            made = await dial(hop)
            (wire,) = proxy.open_connections
            with anyio.CancelScope(shield=True):
                await client.close()
                await until(lambda: not wire.raw.is_open)
            return made

        monkeypatch.setattr(proxy.service.pool, "dial", dial_and_see_it_leave)
        await client.send(get())

        assert ("client_gone", 1) == ((await record_of(proxy)).outcome, (await record_of(proxy)).attempts)
        assert [] == upstream.seen


async def test_a_client_that_left_before_its_turn_is_asked_for_by_nobody() -> None:
    async with chained(silent) as (upstream, proxy, client):
        await client.send(get(b"/") + get())
        await client.stream.send_eof()

        assert "client_gone" == (await record_of(proxy, 2)).outcome
        assert 0 == upstream.count


async def test_a_client_that_left_with_its_request_is_asked_for_by_nobody() -> None:
    async with chained(silent) as (_, proxy, client):
        await client.send(get())
        await client.stream.send_eof()
        record = await record_of(proxy)

        assert "client_gone" == record.outcome
        assert b"" == await client.read_rest()


async def test_a_client_that_leaves_when_its_reply_is_complete_harms_nobody_else() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + bytes(60_000)
    async with (
        scripted(answering(reply, OK)) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy, receive_bytes=4096) as client,
    ):
        await until(lambda: proxy.open_connections)
        (wire,) = proxy.open_connections
        sock = wire.raw.info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await client.send(get())
        await until(lambda: "writing paused" in repr(wire.raw))
        await client.stream.send_eof()
        await until(lambda: not wire.raw.is_open)
        assert len(reply) == len(await client.read_rest())

        assert b"ok" == (await ask(proxy, get())).body
        assert ["ok", "ok"] == [record.outcome for record in proxy.service.journal.recent]
        assert 1 == upstream.count
