"""What one peer may send at most, and what it is told beyond that: heads, trailers, bodies, connections."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import pytest
from chain import chained, without_upstream
from kit import (
    BODY,
    OK,
    Peer,
    answering,
    ask,
    closed_origin,
    connected,
    get,
    post,
    proxying,
    record_of,
    scripted,
    times,
    until,
)

from ampmap.settings import Limits

pytestmark = pytest.mark.usefixtures("nothing_left")

LIMITS = Limits(head_bytes=2000, header_count=10, model_body_bytes=100_000)
PATH = b"/v1/chat/completions"

# Heads.


def lines(count: int, size: int = 1) -> list[bytes]:
    return [b"x: " + b"y" * size] * count


@pytest.mark.parametrize(
    ("fields", "status"),
    [(lines(9), 404), (lines(10), 431), (lines(1, 1900), 404), (lines(1, 2000), 431), (lines(3, 700), 431)],
    ids=["lines that fit", "a line too many", "bytes that fit", "a long line", "many bytes"],
)
async def test_a_request_s_head_has_limits(fields: list[bytes], status: int) -> None:
    async with proxying(await closed_origin(), limits=LIMITS) as proxy:
        assert status == (await ask(proxy, get(b"/nowhere", *fields))).status


@pytest.mark.parametrize(
    ("fields", "status"),
    [(lines(9), 200), (lines(10), 502), (lines(1, 1900), 200), (lines(1, 2000), 502), (lines(3, 700), 502)],
    ids=["lines that fit", "a line too many", "bytes that fit", "a long line", "many bytes"],
)
async def test_a_reply_s_head_has_limits(fields: list[bytes], status: int) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%b\r\nok" % b"".join(line + b"\r\n" for line in fields)
    async with scripted(answering(reply)) as upstream, proxying(upstream.origin, limits=LIMITS) as proxy:
        assert status == (await ask(proxy, post())).status


TRAILERS = {
    "lines that fit": (lines(10), True),
    "a line too many": (lines(11), False),
    "bytes that fit": (lines(1, 1900), True),
    "a long line": (lines(1, 2100), False),
    "many bytes": (lines(3, 700), False),
}


@pytest.mark.parametrize(("fields", "fits"), TRAILERS.values(), ids=TRAILERS.keys())
@pytest.mark.parametrize("path", [PATH, b"/api/internal"])
@pytest.mark.parametrize("piece_bytes", [100_000, 300])
async def test_a_request_s_trailers_have_limits(path: bytes, fields: list[bytes], fits: bool, piece_bytes: int) -> None:
    head = get(path, b"Transfer-Encoding: chunked", method=b"POST")
    raw = head + b"e\r\n" + BODY + b"\r\n0\r\n" + b"".join(line + b"\r\n" for line in fields) + b"\r\n"
    async with chained(answering(OK), limits=LIMITS) as (_, _, client):
        for start in range(0, len(raw), piece_bytes):
            await client.send(raw[start : start + piece_bytes])
            await anyio.lowlevel.checkpoint()
        reply = await client.read_final()

        assert (200 if fits else 431) == reply.status
        assert reply.one(b"connection") == (None if fits else b"close")


@pytest.mark.parametrize(("fields", "fits"), TRAILERS.values(), ids=TRAILERS.keys())
@pytest.mark.parametrize("path", [PATH, b"/api/internal"])
async def test_a_reply_s_trailers_have_limits(path: bytes, fields: list[bytes], fits: bool) -> None:
    last = b"0\r\n" + b"".join(line + b"\r\n" for line in fields) + b"\r\n"
    arrived = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        await arrived.wait()
        await peer.send(last)
        await peer.wait_gone()

    async with chained(script, limits=LIMITS) as (_, proxy, client):
        await client.send(post(path=path))
        await client.read_until(b"ok\r\n")
        arrived.set()
        rest = await (client.read_exactly(len(last)) if fits else client.read_rest())

        assert (last if fits else b"") == rest
        assert ("ok" if fits else "upstream_error") == (await record_of(proxy)).outcome


# Bodies of model routes.


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() -> None:
    async with scripted(answering()) as upstream, proxying(upstream.origin, limits=LIMITS) as proxy:
        for fields in ((), (b"Expect: 100-continue",)):
            async with connected(proxy) as client:
                await client.send(get(PATH, b"Content-Length: 1000000", *fields, method=b"POST"))
                reply = await client.read_message()
                await client.stream.send_eof()

                assert (413, b"close") == (reply.status, reply.one(b"connection"))
                assert b"" == await client.read_rest()
        assert 0 == upstream.count
        assert [(413, "rejected", 0)] * 2 == [(r.status, r.outcome, r.bytes_in) for r in proxy.service.journal.recent]


async def test_a_body_slightly_too_large_costs_no_connection() -> None:
    limits = Limits(model_body_bytes=1000)
    async with chained(answering(OK), limits=limits) as (upstream, _, client):
        await client.send(post(bytes(1001)))
        refused = await client.read_message()
        await client.send(post())

        assert (413, None) == (refused.status, refused.one(b"connection"))
        assert 200 == (await client.read_message()).status
        assert 1 == len(upstream.seen)


async def test_chunks_are_cut_off_at_the_limit() -> None:
    """What is behind the limit is never taken for a request, and nothing of it is held."""
    piece = b"4000\r\n" + bytes(0x4000) + b"\r\n"
    async with chained(answering(), limits=LIMITS) as (upstream, proxy, client):
        await client.send(get(PATH, b"Transfer-Encoding: chunked", method=b"POST"))
        for _ in range(7):
            await client.send(piece)
        reply = await client.read_message()  # while the body is still arriving
        record = await record_of(proxy)
        for _ in range(20):
            await client.send(piece)
        await client.send(b"0\r\n\r\n", get(b"/"))
        await client.stream.send_eof()

        assert (413, b"close", True) == (reply.status, reply.one(b"connection"), reply.whole)
        assert b"" == await client.read_rest()
        assert 100_000 < record.bytes_in < 100_000 + 3 * 65_536
        assert (0, 1) == (upstream.count, len(proxy.service.journal.recent))


@pytest.mark.parametrize("framing", [b"Content-Length: 67108864", b"Transfer-Encoding: chunked"])
async def test_a_client_that_reads_when_it_has_sent_everything_still_reads_its_413(framing: bytes) -> None:
    """Many clients look for an answer only then: a connection closed before would have been reset, the answer lost."""
    piece = bytes(0x40000)
    async with without_upstream(limits=LIMITS) as (_, client):
        await client.send(get(PATH, framing, method=b"POST"))
        for _ in range(256):
            await client.send(b"40000\r\n" + piece + b"\r\n" if framing.endswith(b"chunked") else piece)
        reply = await client.read_message()

        assert (413, b"close", True) == (reply.status, reply.one(b"connection"), reply.whole)


async def test_routes_that_hold_nothing_have_no_limit() -> None:
    async with (
        scripted(answering(OK)) as upstream,
        proxying(upstream.origin, limits=LIMITS) as proxy,
    ):
        assert 200 == (await ask(proxy, post(bytes(300_000), path=b"/api/internal"))).status
        assert 300_000 == len(upstream.seen[0].body)


# Connections.


async def test_over_the_limit_clients_wait_and_nobody_is_refused() -> None:
    async with (
        scripted(answering(*[OK] * 6)) as upstream,
        proxying(upstream.origin, limits=Limits(connections=2), timeouts=times(drain_s=1)) as proxy,
        AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(connected(proxy)) for _ in range(6)]
        for client in clients:
            await client.send(post())
        answered = []
        for client in clients:  # in the order in which they came
            answered.append((await client.read_message()).status)
            assert proxy.listener.count <= 2
            await client.close()

        assert [200] * 6 == answered
        await until(lambda: not proxy.listener.count)
