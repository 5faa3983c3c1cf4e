"""A pump hands what a stream receives to a callback in the turn of the loop that brings it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import pytest
from anyio import BusyResourceError, EndOfStream
from anyio.lowlevel import checkpoint
from kit import Peer, until
from quickclock import on_both_quick_clocks
from streams import Late, pair

from ampmap.net.stream import Stream

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


async def pumping(stream: Stream, sink: Callable[[bytes], bool]) -> None:
    """Wait until a pump runs; for a task beside it."""
    await until(lambda: "pumps, receives" in repr(stream))


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
            stream.get_buffer(-1)[:3] = b"two"
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
            await until(lambda: "receives" in repr(stream))
            group.cancel_scope.cancel()
            stream.get_buffer(-1)[:1] = b"x"
            stream.buffer_updated(1)  # before the task knows

        assert b"x" == await stream.receive()
        await peer.send(b"y")
        assert b"y" == await stream.receive()


async def test_nobody_else_may_read_while_a_pump_runs() -> None:
    async with pair() as (stream, _), anyio.create_task_group() as group:
        group.start_soon(stream.pump, lambda _: True)
        await until(lambda: "receives" in repr(stream))
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
