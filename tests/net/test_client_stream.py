"""Many bytes taken in for one waiting task: where they end up, what is left for others, and what ends the wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest
from anyio import BrokenResourceError, BusyResourceError, ClosedResourceError, EndOfStream, WouldBlock
from kit import Peer, until
from quickclock import on_both_quick_clocks
from streams import Late, drip, pair_of

from ampmap.net.client_stream import GATHER_BYTES, ClientStream
from ampmap.net.stream import READ_BYTES

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True

COUNT = 3_000_000
BODY = (bytes(range(251)) * (COUNT // 251 + 1))[:COUNT]


def pair() -> AbstractAsyncContextManager[tuple[ClientStream, Peer]]:
    return pair_of(ClientStream)


async def gathered(stream: ClientStream, place: bytearray, what: Callable[[], Awaitable[object]]) -> BaseException:
    """Return what ended a wait for more than comes, when ``what`` has been done once something has come."""
    raised: list[BaseException] = []

    async def gather() -> None:
        try:
            await stream.gather(place, COUNT)
        except Exception as exc:
            raised.append(exc)

    async with anyio.create_task_group() as group:
        group.start_soon(gather)
        await until(lambda: place)
        await what()
    return raised[0]


class Suspensions:
    """Awaits something for a task, and counts how often that waits."""

    def __init__(self, awaited: Awaitable[object]) -> None:
        self._awaited = awaited
        self.count = 0

    def __await__(self) -> Generator[Any, Any, None]:
        for each in self._awaited.__await__():
            self.count += 1
            yield each

    async def ended(self) -> None:
        await self


async def test_many_pieces_become_one_and_nobody_is_woken_before() -> None:
    async with pair() as (stream, peer):
        place = bytearray(b"begun ")
        async with anyio.create_task_group() as group:
            gathering = Suspensions(stream.gather(place, 300_000))
            group.start_soon(gathering.ended)
            await until(lambda: "receives" in repr(stream))
            for start in range(0, 290_000, 29_000):
                await peer.send(BODY[start : start + 29_000])
                await until(lambda end=start + 29_000: len(place) == 6 + end)  # type: ignore[misc]
                assert 1 == gathering.count
            await peer.send(BODY[290_000:300_000])

        assert b"begun " + BODY[:300_000] == place


async def test_a_large_body_arrives_as_it_was_sent() -> None:
    async with pair() as (stream, peer):
        place = bytearray()
        async with anyio.create_task_group() as group:
            group.start_soon(peer.send, BODY)
            await stream.gather(place, COUNT)

        assert BODY == place


async def test_what_follows_is_left_for_the_next_read() -> None:
    async with pair() as (stream, peer):
        place = bytearray()
        async with anyio.create_task_group() as group:
            group.start_soon(stream.gather, place, 10)
            await until(lambda: "receives" in repr(stream))
            await peer.send(b"0123456789next")

        assert b"0123456789" == place
        assert b"next" == await stream.receive()


async def test_what_came_before_is_the_beginning() -> None:
    async with pair() as (stream, peer):
        await peer.send(b"012345678")
        await until(lambda: stream.has_data)
        place = bytearray()
        await stream.gather(place, 4)
        await stream.gather(place, 2)
        async with anyio.create_task_group() as group:
            group.start_soon(stream.gather, place, 6)
            await until(lambda: "receives" in repr(stream))
            await peer.send(b"9abcdef")

        assert b"0123456789ab" == place
        assert b"cdef" == await stream.receive()


async def test_a_stream_that_has_paused_reads_on() -> None:
    async with pair() as (stream, peer):
        place = bytearray()
        async with anyio.create_task_group() as group:
            group.start_soon(peer.send, BODY)
            await until(lambda: "reading paused" in repr(stream))
            await stream.gather(place, COUNT)

        assert BODY == place


async def test_nothing_is_a_body_too() -> None:
    async with pair() as (stream, _):
        place = bytearray()
        await stream.gather(place, 0)

        assert b"" == place


async def test_no_more_is_lent_than_is_missing_and_no_more_than_a_turn_of_the_loop_can_bear() -> None:
    async with pair() as (stream, peer):
        assert READ_BYTES == len(stream.get_buffer(-1))
        place = bytearray()
        async with anyio.create_task_group() as group:
            group.start_soon(stream.gather, place, GATHER_BYTES + 5)
            await until(lambda: "receives" in repr(stream))
            assert GATHER_BYTES == len(stream.get_buffer(-1))
            await peer.send(bytes(GATHER_BYTES))
            await until(lambda: len(place) == GATHER_BYTES)
            assert 5 == len(stream.get_buffer(-1))
            await peer.send(bytes(5))

        assert READ_BYTES == len(stream.get_buffer(-1))


async def test_an_end_within_is_told() -> None:
    async with pair() as (stream, peer):
        await peer.send(BODY[:100_000])
        place = bytearray()
        raised = await gathered(stream, place, peer.stream.send_eof)

        assert isinstance(raised, EndOfStream)
        assert BODY[:100_000] == place
        await stream.send(b"still here")
        assert b"still here" == await peer.read_exactly(10)


async def test_a_reset_within_is_told() -> None:
    async def reset() -> None:
        peer.reset()

    async with pair() as (stream, peer):
        await peer.send(b"abc")
        raised = await gathered(stream, bytearray(), reset)

        assert isinstance(raised, BrokenResourceError)


async def test_closing_ends_the_wait() -> None:
    async with pair() as (stream, peer):
        await peer.send(b"abc")

        assert isinstance(await gathered(stream, bytearray(), stream.aclose), ClosedResourceError)


async def test_an_interrupt_ends_the_wait_and_the_rest_can_be_had_later() -> None:
    async def interrupt() -> None:
        stream.interrupt(Late())

    async with pair() as (stream, peer):
        await peer.send(b"abc")
        place = bytearray()
        assert isinstance(await gathered(stream, place, interrupt), Late)
        assert b"abc" == place
        await peer.send(b"def")
        await stream.gather(place, 3)

        assert b"abcdef" == place


async def test_an_interrupt_that_waits_is_raised_first() -> None:
    async with pair() as (stream, peer):
        await peer.send(b"abc")
        await until(lambda: stream.has_data)
        for count in (0, 3):
            stream.interrupt(Late())
            with pytest.raises(Late):
                await stream.gather(bytearray(), count)

        assert b"abc" == await stream.receive()


async def test_cancelling_ends_the_wait_and_what_comes_then_is_for_others() -> None:
    async with pair() as (stream, peer):
        place = bytearray()
        async with anyio.create_task_group() as group:
            group.start_soon(stream.gather, place, COUNT)
            await peer.send(b"abc")
            await until(lambda: place)
            group.cancel_scope.cancel()
        await peer.send(b"def")

        assert b"def" == await stream.receive()
        assert b"abc" == place


async def test_silence_within_is_late() -> None:
    async with pair() as (stream, peer):
        stream.read_within(0.1, Late)
        await peer.send(b"abc")
        place = bytearray()
        with pytest.raises(Late):
            await stream.gather(place, COUNT)

        assert b"abc" == place


@on_both_quick_clocks()
async def test_each_piece_moves_a_deadline_between_pieces() -> None:
    async with pair() as (stream, peer):
        stream.read_within(0.2, Late)
        started = anyio.current_time()
        place = bytearray()
        async with anyio.create_task_group() as group:
            group.start_soon(drip, peer, 8, 0.05)
            await stream.gather(place, 8)

        assert anyio.current_time() - started > 0.3
        assert b"x" * 8 == place


@on_both_quick_clocks()
async def test_no_piece_moves_a_deadline_for_the_whole() -> None:
    async with pair() as (stream, peer):
        stream.read_by(0.1, Late)
        async with anyio.create_task_group() as group:
            group.start_soon(drip, peer, 100, 0.02)
            with pytest.raises(Late):
                await stream.gather(bytearray(), 100)
            group.cancel_scope.cancel()


async def test_only_one_task_may_wait() -> None:
    async with pair() as (stream, peer):
        place = bytearray()
        async with anyio.create_task_group() as group:
            group.start_soon(stream.gather, place, 6)
            await until(lambda: "receives" in repr(stream))
            with pytest.raises(BusyResourceError):
                await stream.gather(bytearray(), 3)
            with pytest.raises(BusyResourceError):
                await stream.receive()
            await peer.send(b"abcdef")

        assert b"abcdef" == place


async def test_without_waiting_there_is_nothing_until_something_came() -> None:
    async with pair() as (stream, _):
        stream.nonblocking = True
        with pytest.raises(WouldBlock):
            await stream.gather(bytearray(), 1)


async def test_streams_of_two_threads_do_not_share_a_buffer() -> None:
    async def view() -> memoryview:
        return ClientStream().get_buffer(-1)

    theirs = await anyio.to_thread.run_sync(asyncio.run, view())

    assert theirs.obj is not (await view()).obj
