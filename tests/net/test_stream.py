"""The byte stream under everything: flow control, deadlines, interrupts, and what it tells of a peer that leaves."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest
from anyio import BrokenResourceError, BusyResourceError, ClosedResourceError, EndOfStream, WouldBlock
from anyio.lowlevel import checkpoint
from bothloops import shut
from kit import Peer, until
from quickclock import on_both_quick_clocks
from streams import LARGE, Late, drip, pair

from ampmap.net.stream import READ_AHEAD_BYTES, READ_BYTES, Stream

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


async def test_bytes_pass_both_ways() -> None:
    async with pair() as (stream, peer):
        await peer.send(b"hello")
        received = await stream.receive()
        await stream.send(memoryview(b"world"))

        assert b"hello" == received
        assert b"world" == await peer.read_exactly(5)
        assert 5 == stream.bytes_handed
        assert {} == stream.extra_attributes
        assert stream.info("sockname") is not None


async def test_no_more_than_asked_for_is_received() -> None:
    async with pair() as (stream, peer):
        await peer.send(b"abcdef")

        assert b"ab" == await stream.receive(2)
        assert b"cdef" == await stream.receive(100)


async def test_what_is_not_connected_can_neither_send_nor_be_asked() -> None:
    stream = Stream()

    assert stream.info("peername") is None
    with pytest.raises(BrokenResourceError):
        await stream.send(b"x")
    await stream.send_eof()
    stream.close()
    with pytest.raises(ClosedResourceError):
        await stream.receive()


async def test_reading_pauses_when_nobody_takes_what_came() -> None:
    async with pair(receive_bytes=65_536) as (stream, peer):
        async with anyio.create_task_group() as group:
            group.start_soon(peer.send, LARGE)
            await until(lambda: stream._reading_paused)
            held = stream._buffered
            received = 0
            while received < len(LARGE):
                received += len(await stream.receive())

    assert READ_AHEAD_BYTES <= held < 2 * READ_AHEAD_BYTES
    assert len(LARGE) == received


async def test_a_cancelled_receive_loses_nothing_and_reads_no_further() -> None:
    async with pair() as (stream, peer):
        with anyio.move_on_after(0):
            await stream.receive()
        async with anyio.create_task_group() as group:
            group.start_soon(peer.send, LARGE)
            await until(lambda: stream._reading_paused)
            held = stream._buffered
            group.cancel_scope.cancel()

    assert held < 2 * READ_AHEAD_BYTES


async def test_a_send_waits_for_a_slow_peer() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        async with anyio.create_task_group() as group:
            group.start_soon(stream.send, LARGE)
            await until(lambda: stream._writer is not None)
            waiting = stream._writing_paused
            await peer.read_exactly(len(LARGE))
        assert waiting
        assert not stream._writing_paused
        assert len(LARGE) == stream.bytes_handed


async def test_the_peers_end_is_told_and_writing_goes_on() -> None:
    async with pair() as (stream, peer):
        await peer.stream.send_eof()
        with pytest.raises(EndOfStream):
            await stream.receive()
        await stream.send(b"still here")
        await stream.send_eof()

        assert b"still here" == await peer.read_rest()
        assert not stream.is_open
        assert stream.has_data


async def test_an_end_that_nobody_can_be_told_of_is_no_error() -> None:
    async with pair() as (stream, peer):
        peer.reset()
        await checkpoint()  # the reset is here, and the loop has not looked yet
        await stream.send_eof()

        with pytest.raises(BrokenResourceError):
            await stream.receive()


async def test_bytes_before_an_end_are_received_first() -> None:
    async with pair() as (stream, peer):
        await peer.send(b"last words")
        await peer.stream.send_eof()
        await until(lambda: not stream.is_open)

        assert b"last words" == await stream.receive()
        with pytest.raises(EndOfStream):
            await stream.receive()


async def test_a_reset_is_told_to_whoever_reads() -> None:
    async with pair() as (stream, peer):
        peer.reset()
        with pytest.raises(BrokenResourceError) as raised:
            await stream.receive()

        assert isinstance(raised.value.__cause__, ConnectionResetError)
        with pytest.raises(BrokenResourceError):
            await stream.send(b"x")
        await stream.send_eof()
        assert 0 == stream.bytes_handed


async def test_a_send_that_the_kernel_refuses_has_handed_over_nothing() -> None:
    async with pair() as (stream, peer):
        shut(stream)
        with pytest.raises(BrokenResourceError):
            await stream.send(b"x")

        assert 0 == stream.bytes_handed
        assert b"" == await peer.read_rest()


async def test_a_send_that_breaks_off_has_handed_over_something() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        async with anyio.create_task_group() as group:
            group.start_soon(_reset_when_waiting, stream, peer)
            with pytest.raises(BrokenResourceError):
                await stream.send(LARGE)

        assert len(LARGE) == stream.bytes_handed


async def _reset_when_waiting(stream: Stream, peer: Peer) -> None:
    await until(lambda: stream._writer is not None)
    peer.reset()


async def test_a_reader_that_is_about_to_take_something_lets_no_more_come() -> None:
    """uvloop reads up to 32 times before the task that was woken runs."""
    async with pair(receive_bytes=len(LARGE)) as (stream, peer):
        most = 0
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(peer.send, LARGE[: 4 * 1024 * 1024])
                left = 4 * 1024 * 1024
                while left:
                    piece = await stream.receive()
                    most = max(most, len(piece) + stream._buffered)
                    left -= len(piece)

        assert most <= READ_AHEAD_BYTES + READ_BYTES


async def test_a_peer_that_leaves_calls_back() -> None:
    async with pair() as (stream, peer):
        gone = anyio.Event()
        stream.on_gone = gone.set
        await peer.close()
        await gone.wait()

        assert not stream.is_open


async def test_bytes_that_nobody_waits_for_call_back() -> None:
    async with pair() as (stream, peer):
        came = anyio.Event()
        stream.on_data = came.set
        await peer.send(b"x")
        await came.wait()

        assert stream.has_data
        assert b"x" == await stream.receive()
        assert not stream.has_data


async def test_an_interrupt_ends_a_wait_and_keeps_what_came() -> None:
    async with pair() as (stream, peer):
        async with anyio.create_task_group() as group:
            group.start_soon(_interrupt_when_reading, stream)
            with pytest.raises(Late):
                await stream.receive()
        await peer.send(b"kept")
        await until(lambda: stream.has_data)
        stream.interrupt(Late())

        with pytest.raises(Late):
            await stream.receive()
        assert b"kept" == await stream.receive()


async def _interrupt_when_reading(stream: Stream) -> None:
    await until(lambda: stream._reader is not None)
    stream.interrupt(Late())


async def test_an_interrupt_can_be_taken_back() -> None:
    async with pair() as (stream, peer):
        stream.interrupt(Late())
        stream.clear_interrupt()
        await stream.send(b"x")

        assert b"x" == await peer.read_exactly(1)


async def test_only_one_task_may_wait_on_each_side() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, _):
        async with anyio.create_task_group() as group:
            group.start_soon(stream.receive)
            group.start_soon(stream.send, LARGE)
            await until(lambda: stream._reader is not None and stream._writer is not None)
            with pytest.raises(BusyResourceError, match="receiving from"):
                await stream.receive()
            with pytest.raises(BusyResourceError, match="sending to"):
                await stream.drain()
            group.cancel_scope.cancel()


async def test_without_waiting_there_is_nothing_until_something_came() -> None:
    async with pair() as (stream, peer):
        stream.nonblocking = True
        with pytest.raises(WouldBlock):
            await stream.receive()
        await peer.send(b"x")
        await until(lambda: stream.has_data)

        assert b"x" == await stream.receive()


async def test_a_send_returns_early_when_the_peer_speaks() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        stream.wake_on_data = True
        async with anyio.create_task_group() as group:
            group.start_soon(_speak_when_waiting, stream, peer)
            await stream.send(LARGE)

        assert stream._writing_paused
        assert b"stop" == await stream.receive()
        async with anyio.create_task_group() as group:
            group.start_soon(peer.read_exactly, len(LARGE))
            await stream.drain()
        assert not stream._writing_paused


async def _speak_when_waiting(stream: Stream, peer: Peer) -> None:
    await until(lambda: stream._writer is not None)
    await peer.send(b"stop")


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
            await until(lambda: stream._writer is not None)
            with pytest.raises(Late):
                await stream.receive()
            assert stream._writer is not None
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
            await until(lambda: stream._reader is not None)
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
        await until(lambda: stream._lost)

        assert len(await peer.read_rest()) < len(LARGE)


async def test_an_abort_drops_what_is_left_and_wakes_who_waits() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        async with anyio.create_task_group() as group:
            group.start_soon(_abort_when_waiting, stream)
            with pytest.raises(ClosedResourceError):
                await stream.send(LARGE)

        assert len(await peer.read_rest()) < len(LARGE)


async def _abort_when_waiting(stream: Stream) -> None:
    await until(lambda: stream._writer is not None)
    stream.abort_unless_closed()
    stream.abort_unless_closed()


async def test_a_paused_stream_that_is_closed_can_still_be_emptied() -> None:
    async with pair() as (stream, peer):
        with anyio.move_on_after(0.05):
            await peer.send(LARGE)
        await until(lambda: stream._reading_paused)
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
