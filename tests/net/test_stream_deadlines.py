"""Deadlines of the byte stream, and its end."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest
from anyio import ClosedResourceError
from kit import Peer, until
from quickclock import on_both_quick_clocks
from streams import LARGE, Late, drip, pair

from ampmap.net.stream import READ_AHEAD_BYTES, Stream

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


async def test_a_read_that_waits_too_long_raises_what_its_deadline_says() -> None:
    async with pair() as (stream, peer):
        stream.read_within(0.02, Late)
        with pytest.raises(Late):
            await stream.receive()
        await peer.send(b"x")

        assert b"x" == await stream.receive()


@on_both_quick_clocks()
async def test_each_piece_moves_a_deadline_between_pieces() -> None:
    async with pair() as (stream, peer):
        stream.read_within(0.2, Late)
        started = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(drip, peer, 8, 0.05)
            for _ in range(8):
                await stream.receive(1)

        assert anyio.current_time() - started > 0.3


@on_both_quick_clocks()
async def test_no_piece_moves_a_deadline_for_the_whole() -> None:
    async with pair() as (stream, peer):
        stream.read_by(0.1, Late)
        async with anyio.create_task_group() as group:
            group.start_soon(drip, peer, 100, 0.02)
            with pytest.raises(Late):
                while True:
                    await stream.receive()
            group.cancel_scope.cancel()


async def test_a_shorter_deadline_after_a_longer_one_holds() -> None:
    async with pair() as (stream, peer):
        stream.read_within(60.0, Late)
        await peer.send(b"x")
        await stream.receive()
        with anyio.move_on_after(0.01):
            await stream.receive()
        stream.read_within(0.02, Late)

        with pytest.raises(Late):
            await stream.receive()


async def test_bytes_that_come_with_the_deadline_count() -> None:
    async with pair() as (stream, peer):
        stream.read_within(0.05, Late)
        async with anyio.create_task_group() as group:
            group.start_soon(_send_before_a_stall_of_the_loop, peer)
            received = await stream.receive()

        assert b"just in time" == received


async def _send_before_a_stall_of_the_loop(peer: Peer) -> None:
    peer.transport.write(b"just in time")
    threading.Event().wait(0.1)  # the loop finds the bytes and the deadline in the same turn


async def test_a_deadline_ends_the_wait_that_it_is_for_and_no_other() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        stream.read_within(0.05, Late)
        sent = anyio.Event()

        async def send() -> None:
            await stream.send(LARGE)
            sent.set()

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            await until(lambda: "sends" in repr(stream))
            with pytest.raises(Late):
                await stream.receive()
            assert "sends" in repr(stream)
            await peer.read_exactly(len(LARGE))
            await sent.wait()


async def test_a_write_deadline_leaves_a_reader_alone() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        stream.write_within(0.05, Late)
        received: list[bytes] = []

        async def receive() -> None:
            received.append(await stream.receive())

        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            await until(lambda: "receives" in repr(stream))
            with pytest.raises(Late):
                await stream.send(LARGE)
            await peer.send(b"still read")

        assert [b"still read"] == received


async def test_a_peer_that_takes_nothing_is_told_by_the_write_deadline() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, _):
        stream.write_within(0.05, Late)
        with pytest.raises(Late):
            await stream.send(LARGE)


@on_both_quick_clocks()
async def test_a_peer_that_takes_little_by_little_is_not_stuck() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        stream.write_within(0.15, Late)
        started = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(_take_slowly, peer, len(LARGE))
            await stream.send(LARGE)

        assert anyio.current_time() - started > 0.2


async def _take_slowly(peer: Peer, count: int) -> None:
    for _ in range(8):
        await anyio.sleep(0.04)
        await peer.read_exactly(count // 8)


async def test_closing_sends_what_is_left() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        with anyio.move_on_after(0.01):
            await stream.send(LARGE)
        await stream.aclose()
        stream.close()
        with pytest.raises(ClosedResourceError):
            await stream.send(b"x")

        assert len(LARGE) == len(await peer.read_rest())


async def test_a_peer_that_takes_nothing_cannot_keep_a_closed_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampmap.net.stream._CLOSE_S", 0.05)
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        with anyio.move_on_after(0.01):
            await stream.send(LARGE)
        stream.close()
        await until(lambda: "lost" in repr(stream))

        assert len(await peer.read_rest()) < len(LARGE)


async def test_an_abort_drops_what_is_left_and_wakes_who_waits() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        async with anyio.create_task_group() as group:
            group.start_soon(_abort_when_waiting, stream)
            with pytest.raises(ClosedResourceError):
                await stream.send(LARGE)

        assert len(await peer.read_rest()) < len(LARGE)


async def _abort_when_waiting(stream: Stream) -> None:
    await until(lambda: "sends" in repr(stream))
    stream.abort_unless_closed()
    stream.abort_unless_closed()


async def test_a_paused_stream_that_is_closed_can_still_be_emptied() -> None:
    async with pair() as (stream, peer):
        with anyio.move_on_after(0.05):
            await peer.send(LARGE)
        await until(lambda: "reading paused" in repr(stream))
        stream.close()
        received = 0
        with pytest.raises(ClosedResourceError):
            while True:
                received += len(await stream.receive())

        assert received >= READ_AHEAD_BYTES


async def test_streams_of_two_threads_do_not_share_a_buffer() -> None:
    async def view() -> memoryview:
        return Stream().get_buffer(-1)

    theirs = await anyio.to_thread.run_sync(asyncio.run, view())

    assert theirs.obj is not (await view()).obj
