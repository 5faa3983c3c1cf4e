"""Replies that go on in the callback which brings them: on a stream alone, and through a whole proxy."""

from __future__ import annotations

import anyio
import pytest
from chain import chained
from kit import Peer, record_of, until
from pumped import CHUNKED, EVENTS, GIVEN_BACK, NAMED, asking, in_turns, plain, pumps

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True

either = pytest.mark.parametrize("model", [b"m", b"alias"], ids=["passed on", "renamed"])


@pytest.mark.parametrize(
    ("piece", "count"),
    [(plain(NAMED), len(NAMED)), (b"A\r\ndata: 12\n\n\r\n", 10), (b"0a\r\ndata: 12\n\n\r\n9\r\ndata: 1\n\n\r\n", 19)],
)
async def test_chunks_that_come_whole_are_passed_on_as_they_came(piece: bytes, count: int) -> None:
    script, go = in_turns(piece, piece, b"0\r\nX-Sum: 1\r\n\r\n")
    async with chained(script) as (_, proxy, client):
        await client.send(asking(b"m"))
        await client.read_head()
        for _ in range(2):
            await go(proxy)
            assert piece == await client.read_exactly(len(piece))
        await go(proxy)

        assert b"0\r\nX-Sum: 1\r\n\r\n" == await client.read_exactly(15)
        record = await record_of(proxy)
        assert ("ok", 2 * count) == (record.outcome, record.bytes_out)
        await until(lambda: 1 == proxy.service.pool.idle_count)


PARTS = {
    b"m": (b"", b"data: {", b'"model":"m', b'"}\n', b"\n", b"x", b""),
    b"alias": (b"", b"data: {", b'"model":"alias"', b"}\n", b"\n", b"x", b""),
}


@either
async def test_each_part_of_a_chunk_leaves_at_once(model: bytes) -> None:
    pieces = (b"1", b"5\r\ndata: {", b'"model":"m', b'"}\n', b"\n\r", b"\n" + plain(b"x") + b"0\r\n", b"\r\n")
    script, go = in_turns(*pieces)
    async with chained(script) as (_, proxy, client):
        await client.send(asking(model))
        await client.read_head()
        for part in PARTS[model]:
            await go(proxy)
            wanted = plain(part) if part else b""
            assert wanted == await client.read_exactly(len(wanted))

        assert b"0\r\n\r\n" == await client.read_exactly(5)
        record = await record_of(proxy)
        assert ("ok", len(b"".join(PARTS[model]))) == (record.outcome, record.bytes_out)
        await until(lambda: 1 == proxy.service.pool.idle_count)


async def test_names_are_given_back_in_what_is_pumped() -> None:
    script, go = in_turns(plain(NAMED), plain(NAMED) + plain(NAMED), plain(b": none\n\n"), b"0\r\n\r\n")
    async with chained(script) as (_, proxy, client):
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
    async with chained(script) as (upstream, proxy, client):
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
    async with chained(script) as (upstream, proxy, client):
        for wanted in (plain(note), b"0\r\n\r\n"), (plain(note), plain(note) + b"0\r\n\r\n"):
            await client.send(asking(b"alias"))
            await client.read_head()
            for part in wanted:
                await until(lambda: pumps(proxy))
                next(left).set()
                assert part == await client.read_exactly(len(part))

        assert 1 == len(upstream.peers)
