"""How a pumped reply ends: by its upstream, its client, a deadline, a bug or a drain; and what slows it."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint
from bothloops import shut
from chain import chained
from chunkreader import reader
from kit import OK, Peer, connected, proxying, record_of, scripted, times, until
from pumped import CHUNKED, NAMED, asking, in_turns, plain, pumps

from ampmap.bodies.rename import Follower
from ampmap.records.record import Record

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True
either = pytest.mark.parametrize("model", [b"m", b"alias"], ids=["passed on", "renamed"])


@either
async def test_what_follows_the_end_of_a_pumped_reply_answers_no_other_request(model: bytes) -> None:
    script, go = in_turns(plain(NAMED), plain(NAMED) + b"0\r\n\r\n" + OK)
    async with chained(script) as (_, proxy, client):
        await client.send(asking(model))
        await client.read_head()
        await go(proxy)
        await go(proxy)
        await client.read_until(b"\r\n0\r\n\r\n")

        assert "ok" == (await record_of(proxy)).outcome
        assert 0 == proxy.service.pool.idle_count


WRONG = {
    "no size": (b"x\r\n", "upstream_error"),
    "too long": (b"3\r\nabcd\r\n", "upstream_error"),
    "an empty line": (plain(NAMED) + b"\r\n\r\n", "upstream_error"),
    "within a chunk": (b"5\r\nab", "upstream_truncated"),
    "behind a chunk": (plain(NAMED), "upstream_truncated"),
}


@either
@pytest.mark.parametrize(("wrong", "outcome"), WRONG.values(), ids=WRONG.keys())
async def test_a_pumped_reply_that_breaks_off_is_cut(model: bytes, wrong: bytes, outcome: str) -> None:
    script, go = in_turns(plain(NAMED), wrong)
    async with chained(script) as (upstream, proxy, client):
        await client.send(asking(model))
        await client.read_head()
        await go(proxy)
        await client.read_until(b"}\n\n\r\n")
        await go(proxy)
        if outcome == "upstream_truncated":
            await until(lambda: upstream.peers[0].transport.get_write_buffer_size() == 0)
            upstream.peers[0].transport.close()
        rest = await client.read_rest()

        assert not rest.endswith(b"0\r\n\r\n")
        assert (200, outcome) == _told(await record_of(proxy))
        assert 0 == proxy.service.pool.idle_count


def _told(record: Record) -> tuple[int | None, str]:
    return record.status, record.outcome


@either
async def test_a_pumped_reply_that_stalls_is_cut(model: bytes) -> None:
    script, go = in_turns(plain(NAMED))
    async with chained(script, timeouts=times(stream_idle_s=0.1)) as (_, proxy, client):
        await client.send(asking(model))
        await client.read_head()
        await go(proxy)
        await client.read_rest()

        assert (200, "timeout") == _told(await record_of(proxy))


@either
@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_a_pumped_reply_ends_it(model: bytes, reset: bool) -> None:
    script, go = in_turns(plain(NAMED), plain(NAMED))
    async with chained(script) as (upstream, proxy, client):
        await client.send(asking(model))
        await client.read_head()
        await go(proxy)
        await client.read_until(b"}\n\n\r\n")
        (client.reset if reset else client.transport.close)()

        assert (200, "client_gone") == _told(await record_of(proxy))
        assert b"" == await upstream.peers[0].wait_gone()


async def test_a_client_that_refuses_a_pumped_piece_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    script, go = in_turns(plain(NAMED), plain(NAMED))
    async with chained(script) as (_, proxy, client):
        await client.send(asking(b"m"))
        await client.read_head()
        await go(proxy)
        await client.read_until(b"}\n\n\r\n")
        await until(lambda: pumps(proxy))
        (wire,) = proxy.open_connections
        shut(wire.raw)  # the kernel refuses the next write, before anybody is told
        await go(proxy)

        assert (200, "client_gone") == _told(await record_of(proxy))


@pytest.mark.sample(1 / 4)
@either
async def test_a_slow_client_slows_a_pumped_reply(model: bytes) -> None:
    content = b"data: " + b"x" * 60_000 + b"\n\n"
    event = plain(content)
    count, sent = 400, 0

    async def pour(peer: Peer) -> None:
        nonlocal sent
        await peer.read_message()
        await peer.send(CHUNKED)
        while sent < count:
            await peer.send(event)
            sent += 1
        await peer.send(b"0\r\n\r\n")
        await peer.wait_gone()

    async with (
        scripted(pour) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy, receive_bytes=65_536) as client,
    ):
        await client.send(asking(model))
        await client.read_head()
        (wire,) = proxy.open_connections
        before = -1
        while before != sent or "writing paused" not in repr(wire.raw):
            before = sent
            await anyio.sleep(0.1)  # long enough for anything that is not held back
        assert sent < count // 2

        raw = bytearray(client.buffer)
        while not raw.endswith(b"\r\n0\r\n\r\n"):
            raw += await client.stream.receive()
        record = await record_of(proxy)
        body = reader().feed(bytes(raw))
        assert (count * len(content), True) == (record.bytes_out, body == content * count)
        assert ("ok", 1) == (record.outcome, proxy.service.pool.idle_count)


async def test_a_client_that_takes_nothing_of_a_pumped_reply_is_cut() -> None:
    """Also when the upstream says no more: the piece that it did not take is waited for."""
    paused = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED)
        (wire,) = proxy.open_connections
        while "writing paused" not in repr(wire.raw):
            await peer.send(plain(b"data: " + b"x" * 60_000 + b"\n\n"))
            await checkpoint()
        paused.set()
        await peer.wait_gone()

    async with (
        scripted(script) as upstream,
        proxying(upstream.origin, timeouts=times(write_stall_s=0.1)) as proxy,
        connected(proxy, receive_bytes=65_536) as client,
    ):
        await client.send(asking(b"m"))
        await paused.wait()

        assert (200, "client_gone") == _told(await record_of(proxy))


async def test_a_bug_within_a_pump_costs_one_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    script, go = in_turns(plain(NAMED), plain(NAMED))
    async with chained(script) as (_, proxy, client):
        await client.send(asking(b"alias"))
        await client.read_head()
        await go(proxy)
        await client.read_until(b"}\n\n\r\n")
        monkeypatch.setattr(Follower, "feed", lambda self, data: 1 / 0)
        await go(proxy)
        rest = await client.read_rest()

        assert not rest.endswith(b"0\r\n\r\n")
        record = await record_of(proxy)
        assert (200, "rejected") == _told(record)
        assert "ZeroDivisionError" in record.detail
        assert "a bug in ampmap" in caplog.text


async def test_the_end_of_a_drain_cuts_what_is_pumped() -> None:
    script, go = in_turns(plain(NAMED))
    async with scripted(script) as upstream:
        async with proxying(upstream.origin) as proxy, connected(proxy) as client:
            await client.send(asking(b"m"))
            await client.read_head()
            await go(proxy)
            await client.read_until(b"}\n\n\r\n")
            await proxy.drain(0.05)
            journal = proxy.service.journal

        assert (200, "shutdown") == _told(journal.recent[0])
