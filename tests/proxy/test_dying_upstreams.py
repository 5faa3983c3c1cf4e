"""Upstreams that die, break off, or stay silent: what the client is told."""

from __future__ import annotations

import anyio
import pytest
from chain import chained
from kit import Peer, Script, ask, connected, get, post, proxying, record_of, scripted, times
from quickclock import on_both_quick_clocks
from relayed import CHUNKED, LARGE, model_body, silent, streamed

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


# Upstreams that die.


def _dying(raw: bytes) -> Script:
    """Answer with ``raw`` and close."""

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(raw)

    return script


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-Le"])
@pytest.mark.parametrize("request_", [get(), post()], ids=["management", "model"])
async def test_an_upstream_that_dies_before_its_reply_is_told(raw: bytes, request_: bytes) -> None:
    async with chained(_dying(raw)) as (upstream, proxy, client):
        await client.send(request_)
        reply = await client.read_message()
        record = await record_of(proxy)
        await client.send(get(b"/"))

        assert (502, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert (502, "upstream_truncated", 1) == (record.status, record.outcome, record.attempts)
        assert 200 == (await client.read_message()).status
        assert 1 == upstream.count


@pytest.mark.parametrize(
    "raw",
    [
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n9\r\nhal",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
    ],
)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_reply_that_breaks_off_is_cut_for_the_client_too(raw: bytes, reset: bool) -> None:
    delivered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(raw)
        await delivered.wait()
        if reset:
            peer.reset()

    async with chained(script) as (_, proxy, client):
        await client.send(get())
        await client.read_until(b"hello")
        delivered.set()
        rest = await client.read_rest()
        record = await record_of(proxy)

        assert not rest.endswith(b"0\r\n\r\n")
        assert (200, "upstream_truncated") == (record.status, record.outcome)
        assert "within its reply" in record.detail


async def test_a_reply_of_which_nothing_was_delivered_yet_can_still_be_an_error() -> None:
    async with chained(_dying(CHUNKED + b"xyz\r\n")) as (_, proxy, client):
        await client.send(get())
        reply = await client.read_message()
        record = await record_of(proxy)

        assert (502, "upstream_error") == (record.status, record.outcome)
        assert (502, b"false") == (reply.status, reply.one(b"x-should-retry"))


async def test_a_reply_that_ends_by_a_reset_is_no_whole_one() -> None:
    delivered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await delivered.wait()
        peer.reset()

    async with chained(script) as (_, proxy, client):
        await client.send(get())
        await client.read_until(b"hello")
        delivered.set()

        assert b"\r\n" == await client.read_rest()
        assert "upstream_truncated" == (await record_of(proxy)).outcome


BROKEN = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "two framings": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "an upgrade that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
async def test_an_upstream_that_does_not_speak_http_is_told(raw: bytes) -> None:
    async with scripted(_dying(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, get())
        record = await record_of(proxy)

    assert 502 == reply.status
    assert (502, "upstream_error") == (record.status, record.outcome)


async def test_chunks_that_are_none_cut_the_reply() -> None:
    delivered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        await delivered.wait()
        await peer.send(b"xyz\r\n")
        await peer.wait_gone()

    async with chained(script) as (_, proxy, client):
        await client.send(get())
        await client.read_until(b"hello\r\n")
        delivered.set()

        assert b"" == await client.read_rest()
        assert "upstream_error" == (await record_of(proxy)).outcome


@pytest.mark.parametrize("reset", [False, True])
async def test_an_upstream_that_dies_within_a_buffered_body_is_told(reset: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_until(b"\r\n\r\n")
        if reset:
            peer.reset()

    async with scripted(script, receive_bytes=65_536) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(model_body(LARGE)))
        record = await record_of(proxy)

        assert (502, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert ("upstream_truncated", 1) == (record.outcome, record.attempts)


@pytest.mark.parametrize("size", [3, LARGE])
async def test_an_upstream_that_dies_within_a_streamed_body_is_told(size: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_until(b"\r\n\r\n")

    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, streamed(), b"%x\r\n" % size, *_pieces(size))
            reply = await client.read_message()
            record = await record_of(proxy)
            group.cancel_scope.cancel()

        assert (502, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert "upstream_truncated" == record.outcome


def _pieces(size: int) -> list[bytes]:
    return [bytes(min(size, 65_536))] * (size // 65_536 or 1)


async def test_an_upstream_that_does_not_answer_is_timed_out() -> None:
    async with scripted(silent) as upstream, proxying(upstream.origin, timeouts=times(response_head_s=0.05)) as proxy:
        reply = await ask(proxy, post())
        record = await record_of(proxy)

        assert (504, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert (504, "timeout") == (record.status, record.outcome)


async def test_a_reply_that_stalls_is_cut() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        assert b"" == await peer.wait_gone()

    async with chained(script, timeouts=times(stream_idle_s=0.05)) as (_, proxy, client):
        await client.send(get())
        reply = await client.read_message()
        record = await record_of(proxy)

        assert (b"hello", False) == (reply.body, reply.whole)
        assert (200, "timeout") == (record.status, record.outcome)


@on_both_quick_clocks()
async def test_a_reply_that_drips_is_not_stalled() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED)
        for _ in range(8):
            await anyio.sleep(0.05)
            await peer.send(b"1\r\nx\r\n")
        await peer.send(b"0\r\n\r\n")
        await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin, timeouts=times(stream_idle_s=0.25)) as proxy:
        reply = await ask(proxy, get())

        assert (b"x" * 8, True) == (reply.body, reply.whole)
