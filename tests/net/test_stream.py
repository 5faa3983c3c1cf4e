"""The byte stream under everything: flow control, deadlines, interrupts, and what it tells of a peer that leaves."""

from __future__ import annotations

import anyio
import pytest
from anyio import BrokenResourceError, BusyResourceError, ClosedResourceError, EndOfStream, WouldBlock
from anyio.lowlevel import checkpoint
from bothloops import shut
from kit import Peer, until
from streams import LARGE, Late, pair

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
            await until(lambda: "reading paused" in repr(stream))
            held = stream.buffered
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
            await until(lambda: "reading paused" in repr(stream))
            held = stream.buffered
            group.cancel_scope.cancel()

    assert held < 2 * READ_AHEAD_BYTES


async def test_a_send_waits_for_a_slow_peer() -> None:
    async with pair(send_bytes=65_536, receive_bytes=65_536) as (stream, peer):
        async with anyio.create_task_group() as group:
            group.start_soon(stream.send, LARGE)
            await until(lambda: "sends" in repr(stream))
            waiting = "writing paused" in repr(stream)
            await peer.read_exactly(len(LARGE))
        assert waiting
        assert "writing paused" not in repr(stream)
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


async def test_a_reset_is_an_error_for_a_waiting_reader() -> None:
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
    await until(lambda: "sends" in repr(stream))
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
                    most = max(most, len(piece) + stream.buffered)
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
    await until(lambda: "receives" in repr(stream))
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
            await until(lambda: "receives, sends" in repr(stream))
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

        assert "writing paused" in repr(stream)
        assert b"stop" == await stream.receive()
        async with anyio.create_task_group() as group:
            group.start_soon(peer.read_exactly, len(LARGE))
            await stream.drain()
        assert "writing paused" not in repr(stream)


async def _speak_when_waiting(stream: Stream, peer: Peer) -> None:
    await until(lambda: "sends" in repr(stream))
    await peer.send(b"stop")
