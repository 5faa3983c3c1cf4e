"""Idle connections: which are kept, which are used again, and which are found dead."""

from __future__ import annotations

import time

import anyio
import pytest
from anyio.abc import ByteStream
from kit import OK, Peer, answering, ask, connected, get, post, provider, proxying, scripted, until
from quickclock import on_quick_clock

from ampmap.http.dialer import Dialer
from ampmap.http.pool import IDLE_S, Pool
from ampmap.http.upstream_connection import UpstreamConnection
from ampmap.net.stream import Stream
from ampmap.settings import Hop, Limits, Origin, Timeouts

pytestmark = pytest.mark.usefixtures("nothing_left")


def new_pool(limits: Limits | None = None) -> Pool:
    return Pool(Dialer({}, limits or Limits(), 5.0), limits or Limits(), Timeouts())


async def answered(pool: Pool, origin: Origin) -> UpstreamConnection:
    """Send one request on a connection to ``origin`` and read its whole reply."""
    hop = Hop(origin)
    wire = pool.take(hop) or await pool.dial(hop)
    wire.begin(b"GET")
    await wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.asked()
    wire.await_head()
    await wire.next_head()
    while await wire.read() is not None:
        pass
    return wire


async def test_the_newest_connection_is_used_first_and_says_that_it_is_not_new() -> None:
    async with scripted(answering(*[OK] * 3)) as upstream:
        pool, hop = new_pool(), Hop(upstream.origin)
        wires = [await answered(pool, upstream.origin) for _ in range(2)]
        new = [wire.reused for wire in wires]
        for wire in wires:
            pool.release(hop, wire)

        assert [False, False] == new
        assert 2 == pool.idle_count
        assert wires[1] is pool.take(hop)
        assert wires[1].reused
        assert 1 == pool.idle_count
        wires[1].abort()
        pool.close()
        assert 0 == pool.idle_count


async def test_connections_to_different_places_are_kept_apart() -> None:
    async with scripted(answering(OK)) as one, scripted(answering(OK)) as other:
        pool = new_pool()
        pool.release(Hop(one.origin), await answered(pool, one.origin))

        assert pool.take(Hop(other.origin)) is None
        assert pool.take(Hop(one.origin, "ca.pem")) is None
        pool.close()


async def test_no_more_connections_wait_than_are_allowed() -> None:
    async with scripted(answering(*[OK] * 3)) as upstream:
        pool, hop = new_pool(Limits(idle_per_origin=2)), Hop(upstream.origin)
        wires = [await answered(pool, upstream.origin) for _ in range(3)]
        for wire in wires:
            pool.release(hop, wire)

        assert 2 == pool.idle_count
        assert not wires[2].raw.is_open
        pool.close()


async def test_limits_and_timeouts_can_change() -> None:
    async with scripted(answering(OK)) as upstream:
        pool, hop = new_pool(), Hop(upstream.origin)
        wire = await answered(pool, upstream.origin)
        pool.configure(Limits(idle_per_origin=0), Timeouts())
        pool.release(hop, wire)

        assert 0 == pool.idle_count


async def test_no_connection_of_an_earlier_configuration_is_used_again() -> None:
    async with scripted(answering(OK, OK, OK)) as upstream:
        pool, hop = new_pool(), Hop(upstream.origin)
        idle, busy = [await answered(pool, upstream.origin) for _ in range(2)]
        pool.release(hop, idle)
        pool.forget()
        pool.release(hop, busy)

        assert (0, False, False) == (pool.idle_count, idle.raw.is_open, busy.raw.is_open)
        pool.release(hop, await answered(pool, upstream.origin))
        assert 1 == pool.idle_count
        pool.close()


async def test_a_connection_that_was_being_made_when_the_configuration_changed_serves_one_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted(answering(OK, OK)) as upstream:
        dialer, hop = Dialer({}, Limits(), 5.0), Hop(upstream.origin)
        pool = Pool(dialer, Limits(), Timeouts())
        dial = dialer.dial

        async def dial_and_reload(hop: Hop) -> tuple[ByteStream, Stream]:
            made = await dial(hop)
            pool.forget()
            return made

        monkeypatch.setattr(dialer, "dial", dial_and_reload)
        pool.release(hop, await answered(pool, upstream.origin))

        assert 0 == pool.idle_count


@pytest.mark.parametrize(
    "word", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_its_upstream_ends_while_idle_is_dropped_at_once(word: bytes, reset: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        await idle.wait()
        await peer.send(word)
        if reset:
            peer.reset()

    idle = anyio.Event()
    async with scripted(script) as upstream:
        pool = new_pool()
        pool.release(Hop(upstream.origin), await answered(pool, upstream.origin))
        before = pool.idle_count
        idle.set()
        await until(lambda: not pool.idle_count)

        assert 1 == before
        assert pool.take(Hop(upstream.origin)) is None
        pool.close()


async def test_a_connection_that_speaks_unasked_answers_nobody() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        if upstream.count == 1:
            await idle.wait()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        await peer.wait_gone()
        gone.set()

    idle, gone = anyio.Event(), anyio.Event()
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        await ask(proxy, get())
        idle.set()
        await gone.wait()

        assert b"ok" == (await ask(proxy, get())).body
        assert 2 == upstream.count


async def test_a_connection_that_died_in_this_very_moment_is_not_handed_out() -> None:
    async with scripted(answering(OK)) as upstream:
        pool, hop = new_pool(), Hop(upstream.origin)
        wire = await answered(pool, upstream.origin)
        pool.release(hop, wire)
        wire.raw.on_data = wire.raw.on_gone = None  # the word of it is still on its way to the pool
        wire.raw.eof_received()

        assert pool.take(hop) is None
        assert 0 == pool.idle_count
        pool.close()


@on_quick_clock()
async def test_connections_that_nobody_uses_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampmap.http.pool.LOCAL_IDLE_S", 0.1)
    monkeypatch.setattr("ampmap.http.pool._SWEEP_S", 0.03)
    async with scripted(answering(OK, OK)) as upstream:
        pool, hop = new_pool(), Hop(upstream.origin)
        old, young = [await answered(pool, upstream.origin) for _ in range(2)]
        pool.release(hop, old)
        await anyio.sleep(0.06)
        pool.release(hop, young)
        await until(lambda: pool.idle_count < 2)
        first = old.raw.is_open, young.raw.is_open
        await until(lambda: not pool.idle_count)

        assert (False, True) == first
        assert pool._sweeper is None


def keeping(hint: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % hint


@pytest.mark.parametrize(
    ("hint", "seconds", "is_used"),
    [
        (b"", 3.9, True),  # of a server on this machine
        (b"", 4.1, False),
        (b"Keep-Alive: timeout=5\r\n", 3.9, True),  # Node, uvicorn
        (b"Keep-Alive: timeout=5\r\n", 4.1, False),
        (b"keep-alive: max=100, Timeout = 15\r\n", 13.9, True),
        (b"keep-alive: max=100, Timeout = 15\r\n", 14.1, False),
        (b"Keep-Alive: timeout=120\r\n", 59.9, True),
        (b"Keep-Alive: timeout=120\r\n", 60.1, False),
        (b"Keep-Alive: timeout=1\r\n", 0.0, False),
        (b"Keep-Alive: timeout=0\r\n", 0.0, False),
        (b"Keep-Alive: xtimeout=0\r\n", 3.9, True),
        (b"Keep-Alive: timeout=never\r\n", 4.1, False),
    ],
)
@on_quick_clock()
async def test_a_connection_is_used_again_only_as_long_as_its_server_keeps_it(
    hint: bytes, seconds: float, is_used: bool
) -> None:
    async with scripted(answering(keeping(hint))) as upstream:
        pool, hop = new_pool(), Hop(upstream.origin)
        pool.release(hop, await answered(pool, upstream.origin))
        await anyio.sleep(seconds)

        found = pool.take(hop)
        assert is_used == (found is not None)
        if found:
            found.abort()
        pool.close()


@on_quick_clock()
async def test_connections_to_elsewhere_are_kept_for_a_minute() -> None:
    async with scripted(answering(OK, OK)) as upstream:
        pool, hop = new_pool(), Hop(upstream.origin)
        wire = await answered(pool, upstream.origin)
        wire.is_local = False
        pool.release(hop, wire)
        await anyio.sleep(IDLE_S - 0.1)
        found = pool.take(hop)
        assert found is wire
        pool.release(hop, wire)
        await anyio.sleep(IDLE_S + 0.1)

        assert pool.take(hop) is None
        pool.close()


async def test_after_a_suspend_no_idle_connection_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock has gone on, and the monotonic one has not."""
    async with scripted(answering(*[OK] * 4)) as upstream, proxying(upstream.origin) as proxy:
        for _ in range(2):
            await ask(proxy, get())
        before = upstream.count
        wall_clock = time.time
        monkeypatch.setattr(time, "time", lambda: wall_clock() + 600)
        for _ in range(2):
            await ask(proxy, get())

        assert (1, 2) == (before, upstream.count)


async def test_what_a_client_did_not_take_is_no_reason_to_reuse() -> None:
    """A reply that was not read to its end leaves bytes that would answer the next request."""
    async with scripted(answering(OK)) as upstream:
        pool, hop = new_pool(), Hop(upstream.origin)
        wire = await pool.dial(hop)
        wire.begin(b"GET")
        await wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wire.asked()
        await wire.next_head()
        pool.release(hop, wire)

        assert 0 == pool.idle_count
        assert not wire.raw.is_open


async def test_requests_at_once_get_a_connection_each_and_keep_them() -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_message()
            if upstream.count == 3:
                together.set()
            await together.wait()
            await peer.send(OK)

    together = anyio.Event()
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        async with anyio.create_task_group() as group:
            for request in (get(), post(), get()):
                group.start_soon(ask, proxy, request)
        async with connected(proxy) as client:
            for _ in range(5):
                await client.send(get())
                await client.read_message()

        assert (3, 8) == (upstream.count, len(upstream.seen))
        await until(lambda: 3 == proxy.service.pool.idle_count)


async def test_a_provider_and_the_amp_upstream_at_one_place_share_connections() -> None:
    async with scripted(answering(OK, OK)) as upstream:
        async with proxying(upstream.origin, providers=(provider(upstream.origin),)) as proxy:
            await ask(proxy, get())
            await ask(proxy, post())

            assert (1, 2) == (upstream.count, len(upstream.seen))
