"""Deadlines together: what may take long although every other clock is short, and what a late connection is told."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest
from kit import OK, Peer, ask, connected, get, post, proxying, record_of, scripted, times
from quickclock import on_both_quick_clocks

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True

TINY_S = 0.15
EVENT = b"data: {}\n\n"
ROUTES = [b"/v1/chat/completions", b"/api/internal"]


@on_both_quick_clocks()
@pytest.mark.parametrize("path", ROUTES)
async def test_a_model_may_think_longer_than_every_clock_but_its_own(path: bytes) -> None:
    async def think(peer: Peer) -> None:
        await peer.read_message()
        await anyio.sleep(4 * TINY_S)
        await peer.send(OK)
        await peer.wait_gone()

    short = times(
        connect_s=TINY_S, head_s=TINY_S, keepalive_s=TINY_S, body_idle_s=TINY_S, stream_idle_s=TINY_S,
        write_stall_s=TINY_S, response_head_s=30,
    )  # fmt: skip
    async with scripted(think) as upstream, proxying(upstream.origin, timeouts=short) as proxy:
        assert 200 == (await ask(proxy, post(path=path))).status
        assert "ok" == (await record_of(proxy)).outcome


@on_both_quick_clocks()
@pytest.mark.parametrize("path", ROUTES)
async def test_a_model_may_think_after_its_head_as_long_as_between_two_pieces(path: bytes) -> None:
    async def think(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await anyio.sleep(4 * TINY_S)
        await peer.send(b"a\r\n" + EVENT + b"\r\n0\r\n\r\n")
        await peer.wait_gone()

    short = times(
        connect_s=TINY_S, head_s=TINY_S, keepalive_s=TINY_S, body_idle_s=TINY_S, response_head_s=TINY_S,
        write_stall_s=TINY_S, stream_idle_s=30,
    )  # fmt: skip
    async with scripted(think) as upstream, proxying(upstream.origin, timeouts=short) as proxy:
        reply = await ask(proxy, post(path=path))

        assert (EVENT, True) == (reply.body, reply.whole)


@on_both_quick_clocks()
@pytest.mark.parametrize("path", ROUTES)
async def test_a_stream_may_last_longer_than_every_clock(path: bytes) -> None:
    async def tell(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(30):
            await anyio.sleep(0.04)
            await peer.send(b"a\r\n" + EVENT + b"\r\n")
        await peer.send(b"0\r\n\r\n")
        await peer.wait_gone()

    all_short = replace(
        times(), connect_s=0.4, head_s=0.4, keepalive_s=0.4, body_idle_s=0.4, response_head_s=0.4, stream_idle_s=0.4,
        write_stall_s=0.4,
    )  # fmt: skip
    async with scripted(tell) as upstream, proxying(upstream.origin, timeouts=all_short) as proxy:
        started = anyio.current_time()
        reply = await ask(proxy, post(path=path))

        assert (EVENT * 30, True) == (reply.body, reply.whole)
        assert anyio.current_time() - started > 1


@pytest.mark.parametrize("path", ROUTES)
async def test_a_connection_that_is_not_made_in_time_is_told(path: bytes) -> None:
    """The upstream takes the connection and never shakes hands: name look-up, TCP and TLS share one deadline."""
    async with scripted(Peer.wait_gone) as plain:
        origin = plain.origin._replace(scheme="https")
        async with proxying(origin, timeouts=times(connect_s=0.05)) as proxy, connected(proxy) as client:
            await client.send(post(path=path))
            reply = await client.read_final()
            record = await record_of(proxy)
            await client.send(get(b"/"))

            assert (502, None) == (
                reply.status,
                reply.one(b"x-should-retry"),
            )  # nothing has left
            assert ("upstream_error", True) == (
                record.outcome,
                "no connection within 0.05 s (timeouts.connect-s)" in record.detail,
            )
            assert 200 == (await client.read_final()).status
