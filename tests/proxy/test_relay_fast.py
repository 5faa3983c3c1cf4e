"""Replies that go on in the callback which brings them: on a stream alone, and through a whole proxy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import anyio
import pytest
from anyio import BusyResourceError, EndOfStream
from anyio.lowlevel import checkpoint
from chunkreader import reader
from kit import OK, Peer, Script, connected, post, proxying, record_of, scripted, times, until
from quickclock import on_both_quick_clocks
from streams import Late, pair

from ampmap.bodies.rename import Follower
from ampmap.net.stream import Stream
from ampmap.records.record import Record
from ampmap.server import Server

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = EVENTS + b"Transfer-Encoding: chunked\r\n\r\n"
NAMED = b'data: {"model":"m"}\n\n'
GIVEN_BACK = b'data: {"model":"alias"}\n\n'

either = pytest.mark.parametrize("model", [b"m", b"alias"], ids=["passed on", "renamed"])


def asking(model: bytes) -> bytes:
    """A request for a model; of ``alias`` the reply's names are given back."""
    return post(b'{"model": "%b"}' % model)


def plain(data: bytes) -> bytes:
    """Frame a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


# A stream.


async def pumping(stream: Stream, sink: Callable[[bytes], bool]) -> None:
    """Wait until a pump runs; for a task beside it."""
    await until(lambda: stream._reader is not None and stream._sink is sink)


async def test_what_comes_is_sunk_until_it_is_refused() -> None:
    sunk: list[bytes] = []
    sent: list[bytes] = []

    def sink(piece: bytes) -> bool:
        if piece == b"stop":
            return False
        sunk.append(piece)
        return True

    async with pair() as (stream, peer):
        async with anyio.create_task_group() as group:
            group.start_soon(stream.pump, sink)
            for piece in (b"one", b"two", b"stop"):
                await pumping(stream, sink)
                sent.append(piece)
                await peer.send(piece)
                await until(lambda: sunk == sent or stream.has_data)

        assert [b"one", b"two"] == sunk
        assert b"stop" == await stream.receive()
        assert not stream.has_data


async def test_what_waits_already_is_not_for_a_pump() -> None:
    async with pair() as (stream, peer):
        await peer.send(b"x")
        await until(lambda: stream.has_data)
        await stream.pump(lambda _: pytest.fail("it was to be received"))
        assert b"x" == await stream.receive()

        stream.interrupt(Late())
        await stream.pump(lambda _: True)
        with pytest.raises(Late):
            await stream.receive()

        await peer.close()
        await stream.pump(lambda _: True)
        with pytest.raises(EndOfStream):
            await stream.receive()
        stream.close()
        await stream.pump(lambda _: True)


async def test_an_end_an_interrupt_and_an_abort_end_a_pump() -> None:
    async with pair() as (stream, peer):
        ends: tuple[Callable[[], object], ...] = (partial(stream.interrupt, Late()), peer.transport.abort, stream.abort)
        for end in ends:
            async with anyio.create_task_group() as group:
                group.start_soon(stream.pump, bool)
                await checkpoint()
                end()
            stream.clear_interrupt()


async def test_what_comes_after_a_pump_was_told_to_end_waits_to_be_received() -> None:
    sunk: list[bytes] = []

    async with pair() as (stream, peer):

        def sink(piece: bytes) -> bool:
            sunk.append(piece)
            stream.end_pump()
            stream._view[:3] = b"two"
            stream.buffer_updated(3)  # in the same turn of the loop
            return True

        async with anyio.create_task_group() as group:
            group.start_soon(stream.pump, sink)
            await pumping(stream, sink)
            await peer.send(b"one")

        assert [b"one"] == sunk
        assert b"two" == await stream.receive()
        stream.end_pump()  # of none
        await peer.send(b"three")
        assert b"three" == await stream.receive()


async def test_an_error_of_the_sink_is_raised_where_the_pump_is_awaited() -> None:
    def sink(piece: bytes) -> bool:
        raise Late

    async with pair() as (stream, peer):
        async with anyio.create_task_group() as group:

            async def send() -> None:
                await pumping(stream, sink)
                await peer.send(b"x")

            group.start_soon(send)
            with pytest.raises(Late):
                await stream.pump(sink)

        assert stream.is_open


async def test_a_cancelled_pump_loses_nothing() -> None:
    async with pair() as (stream, peer):
        async with anyio.create_task_group() as group:
            group.start_soon(stream.pump, lambda _: pytest.fail("nobody pumps"))
            await until(lambda: stream._reader is not None)
            group.cancel_scope.cancel()
            stream._view[:1] = b"x"
            stream.buffer_updated(1)  # before the task knows

        assert b"x" == await stream.receive()
        await peer.send(b"y")
        assert b"y" == await stream.receive()


async def test_nobody_else_may_read_while_a_pump_runs() -> None:
    async with pair() as (stream, _), anyio.create_task_group() as group:
        group.start_soon(stream.pump, lambda _: True)
        await until(lambda: stream._reader is not None)
        with pytest.raises(BusyResourceError):
            await stream.receive()
        group.cancel_scope.cancel()


@on_both_quick_clocks()
async def test_each_piece_that_is_sunk_moves_the_deadline_between_pieces() -> None:
    async with pair() as (stream, peer):
        stream.read_within(0.25, Late)
        sunk: list[bytes] = []

        def sink(piece: bytes) -> bool:
            sunk.append(piece)
            return True

        async with anyio.create_task_group() as group:
            group.start_soon(_drip, peer)
            with pytest.raises(Late):
                await stream.pump(sink)

        assert 8 == len(b"".join(sunk))


async def _drip(peer: Peer) -> None:
    for _ in range(8):
        await anyio.sleep(0.05)
        await peer.send(b"x")


@on_both_quick_clocks()
async def test_no_piece_that_is_sunk_moves_a_deadline_for_the_whole() -> None:
    async with pair() as (stream, peer):
        stream.read_by(0.1, Late)
        async with anyio.create_task_group() as group:
            group.start_soon(_drip, peer)
            with pytest.raises(Late):
                await stream.pump(lambda _: True)
            group.cancel_scope.cancel()


# A proxy.


def in_turns(*pieces: bytes, head: bytes = CHUNKED) -> tuple[Script, Callable[[Server], Awaitable[None]]]:
    """Make an upstream that sends a piece each time it is told to, and what tells it once a pump waits for that."""
    turns = [anyio.Event() for _ in pieces]
    left = iter(turns)

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(head)
        for piece, turn in zip(pieces, turns, strict=True):
            await turn.wait()
            await peer.send(piece)
        await peer.wait_gone()

    async def go(proxy: Server) -> None:
        await until(lambda: pumps(proxy))
        next(left).set()

    return script, go


def pumps(proxy: Server) -> bool:
    """Tell whether the one client's reply is being pumped."""
    (wire,) = proxy._wires
    gone = cast("partial[None]", wire.raw.on_gone)  # it interrupts the upstream's stream
    upstream = cast(Stream, gone.args[0])
    return upstream._sink is not None and upstream._reader is not None


@pytest.mark.parametrize(
    ("piece", "count"),
    [(plain(NAMED), len(NAMED)), (b"A\r\ndata: 12\n\n\r\n", 10), (b"0a\r\ndata: 12\n\n\r\n9\r\ndata: 1\n\n\r\n", 19)],
)
async def test_chunks_that_come_whole_are_passed_on_as_they_came(piece: bytes, count: int) -> None:
    script, go = in_turns(piece, piece, b"0\r\nX-Sum: 1\r\n\r\n")
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(asking(b"m"))
        await client.read_head()
        for _ in range(2):
            await go(proxy)
            assert piece == await client.read_exactly(len(piece))
        await go(proxy)

        assert b"0\r\nX-Sum: 1\r\n\r\n" == await client.read_exactly(15)
        record = await record_of(proxy)
        assert ("ok", 2 * count) == (record.outcome, record.bytes_out)
        assert 1 == proxy.service.pool.idle_count


PARTS = {
    b"m": (b"", b"data: {", b'"model":"m', b'"}\n', b"\n", b"x", b""),
    b"alias": (b"", b"data: {", b'"model":"alias"', b"}\n", b"\n", b"x", b""),
}


@either
async def test_each_part_of_a_chunk_leaves_at_once(model: bytes) -> None:
    pieces = (b"1", b"5\r\ndata: {", b'"model":"m', b'"}\n', b"\n\r", b"\n" + plain(b"x") + b"0\r\n", b"\r\n")
    script, go = in_turns(*pieces)
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(asking(model))
        await client.read_head()
        for part in PARTS[model]:
            await go(proxy)
            wanted = plain(part) if part else b""
            assert wanted == await client.read_exactly(len(wanted))

        assert b"0\r\n\r\n" == await client.read_exactly(5)
        record = await record_of(proxy)
        assert ("ok", len(b"".join(PARTS[model]))) == (record.outcome, record.bytes_out)
        assert 1 == proxy.service.pool.idle_count


async def test_names_are_given_back_in_what_is_pumped() -> None:
    script, go = in_turns(plain(NAMED), plain(NAMED) + plain(NAMED), plain(b": none\n\n"), b"0\r\n\r\n")
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(asking(b"alias"))
        await client.read_head()
        for wanted in (GIVEN_BACK, 2 * GIVEN_BACK, b": none\n\n"):
            await go(proxy)
            assert plain(wanted) == await client.read_exactly(len(plain(wanted)))
        await go(proxy)

        assert b"0\r\n\r\n" == await client.read_exactly(5)
        record = await record_of(proxy)
        assert ("ok", 3 * len(GIVEN_BACK) + 8) == (record.outcome, record.bytes_out)


@either
@pytest.mark.parametrize("head", [EVENTS + b"Content-Length: %d\r\n\r\n" % (2 * len(NAMED)), EVENTS + b"\r\n"])
async def test_bodies_without_chunks_are_pumped_too(head: bytes, model: bytes) -> None:
    script, go = in_turns(NAMED, NAMED, head=head)
    wanted = GIVEN_BACK if model == b"alias" else NAMED
    framed = wanted if b"Length" in head and model == b"m" else plain(wanted)
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(asking(model))
        await client.read_head()
        for _ in range(2):
            await go(proxy)
            assert framed == await client.read_exactly(len(framed))
        upstream.peers[0].transport.close()
        record = await record_of(proxy)

        assert ("ok", 2 * len(wanted)) == (record.outcome, record.bytes_out)
        if framed != wanted:
            assert b"0\r\n\r\n" == await client.read_exactly(5)


async def test_a_reply_without_chunks_is_framed_though_the_one_before_it_came_in_chunks() -> None:
    note = b": no name\n\n"
    turns = [anyio.Event() for _ in range(4)]
    left = iter(turns)

    async def script(peer: Peer) -> None:
        for head, pieces in (
            (CHUNKED, (plain(note), b"0\r\n\r\n")),
            (EVENTS + b"Content-Length: %d\r\n\r\n" % (2 * len(note)), (note, note)),
        ):
            await peer.read_message()
            await peer.send(head)
            for piece in pieces:
                await next(waited).wait()
                await peer.send(piece)
        await peer.wait_gone()

    waited = iter(turns)
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        for wanted in (plain(note), b"0\r\n\r\n"), (plain(note), plain(note) + b"0\r\n\r\n"):
            await client.send(asking(b"alias"))
            await client.read_head()
            for part in wanted:
                await until(lambda: pumps(proxy))
                next(left).set()
                assert part == await client.read_exactly(len(part))

        assert 1 == len(upstream.peers)


@either
async def test_what_follows_the_end_of_a_pumped_reply_answers_no_other_request(model: bytes) -> None:
    script, go = in_turns(plain(NAMED), plain(NAMED) + b"0\r\n\r\n" + OK)
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
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
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
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
    async with (
        scripted(script) as upstream,
        proxying(upstream.origin, timeouts=times(stream_idle_s=0.1)) as proxy,
        connected(proxy) as client,
    ):
        await client.send(asking(model))
        await client.read_head()
        await go(proxy)
        await client.read_rest()

        assert (200, "timeout") == _told(await record_of(proxy))


@either
@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_a_pumped_reply_ends_it(model: bytes, reset: bool) -> None:
    script, go = in_turns(plain(NAMED), plain(NAMED))
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(asking(model))
        await client.read_head()
        await go(proxy)
        await client.read_until(b"}\n\n\r\n")
        (client.reset if reset else client.transport.close)()

        assert (200, "client_gone") == _told(await record_of(proxy))
        assert b"" == await upstream.peers[0].wait_gone()


async def test_a_client_that_refuses_a_pumped_piece_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    script, go = in_turns(plain(NAMED), plain(NAMED))
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(asking(b"m"))
        await client.read_head()
        await go(proxy)
        await client.read_until(b"}\n\n\r\n")
        await until(lambda: pumps(proxy))
        (wire,) = proxy._wires
        assert wire.raw._transport is not None
        wire.raw._transport.abort()  # as the kernel's refusal ends it, before anybody is told
        await go(proxy)

        assert (200, "client_gone") == _told(await record_of(proxy))


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
        (wire,) = proxy._wires
        before = -1
        while before != sent or not wire.raw._writing_paused:
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
        (wire,) = proxy._wires
        while not wire.raw._writing_paused:
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
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
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
