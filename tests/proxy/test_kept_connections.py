"""Connections to upstreams that are kept, and requests that are sent again."""

from __future__ import annotations

import anyio
import pytest
from bothloops import shut
from kit import (
    OK,
    Peer,
    answering,
    ask,
    get,
    post,
    proxying,
    record_of,
    scripted,
)
from relayed import model_body, streamed

from ampmap.http.upstream_connection import UpstreamConnection
from ampmap.settings import Hop

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


async def test_a_connection_is_used_again() -> None:
    async with scripted(answering(OK, OK, OK)) as upstream, proxying(upstream.origin) as proxy:
        for _ in range(3):
            assert 200 == (await ask(proxy, get())).status
        idle = proxy.service.pool.take(Hop(upstream.origin))
        assert idle is not None

        assert (1, 3) == (upstream.count, len(upstream.seen))
        assert not idle.raw.wake_on_data
        idle.abort()


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
    ],
)
async def test_a_connection_that_is_not_clean_is_not_used_again(raw: bytes) -> None:
    async with scripted(answering(raw, OK)) as upstream, proxying(upstream.origin) as proxy:
        first = await ask(proxy, get())
        second = await ask(proxy, get())

        assert (2, b"ok") == (upstream.count, second.body)
        assert first.status in (200, 204)


@pytest.mark.parametrize("request_", [get(), post(), post(model_body(200_000)), streamed() + b"3\r\nabc\r\n0\r\n\r\n"])
async def test_a_request_that_a_kept_connection_took_nothing_of_is_sent_again(request_: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        await anyio.sleep_forever()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        await ask(proxy, get())
        idle = proxy.service.pool.take(Hop(upstream.origin))
        assert idle is not None
        proxy.service.pool.release(Hop(upstream.origin), idle)
        shut(idle.raw)  # the next write fails at once, as after a reset that nobody was told of yet
        reply = await ask(proxy, request_)
        record = proxy.service.journal.recent[-1]

        assert (200, b"ok") == (reply.status, reply.body)
        assert (2, "ok") == (record.attempts, record.outcome)
        assert (2, 2) == (upstream.count, len(upstream.seen))


async def test_an_answer_to_nothing_is_not_taken_for_the_answer_to_a_request_of_which_nothing_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        await anyio.sleep_forever()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        await ask(proxy, get())
        take = proxy.service.pool.take

        def take_in_the_wrong_moment(hop: Hop) -> UpstreamConnection | None:
            if wire := take(hop):
                shut(wire.raw)
                wire.raw.get_buffer(-1)[: len(late)] = late
                wire.raw.buffer_updated(len(late))
            return wire

        monkeypatch.setattr(proxy.service.pool, "take", take_in_the_wrong_moment)

        assert 200 == (await ask(proxy, get())).status
        assert 2 == upstream.count


async def test_a_request_that_a_new_connection_takes_nothing_of_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted(Peer.wait_gone) as upstream, proxying(upstream.origin) as proxy:
        dial = proxy.service.pool.dial

        async def dial_badly(hop: Hop) -> UpstreamConnection:
            wire = await dial(hop)
            shut(wire.raw)
            return wire

        monkeypatch.setattr(proxy.service.pool, "dial", dial_badly)
        reply = await ask(proxy, get())

        assert (502, None) == (reply.status, reply.one(b"x-should-retry"))
        assert 1 == (await record_of(proxy)).attempts


async def test_a_request_that_was_taken_in_part_is_not_sent_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        await peer.read_until(b"\r\n\r\n")
        peer.reset()

    async with scripted(script, receive_bytes=65_536) as upstream, proxying(upstream.origin) as proxy:
        assert 200 == (await ask(proxy, get())).status
        reply = await ask(proxy, post(model_body(60_000)))
        record = proxy.service.journal.recent[-1]

        assert (502, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert (1, 1) == (record.attempts, upstream.count)
