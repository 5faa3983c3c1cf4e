"""One request out, its reply back: framing, pace, and trailers."""

from __future__ import annotations

import anyio
import pytest
from chain import chained
from kit import OK, Peer, answering, ask, connected, get, post, proxying, record_of, scripted, times, until
from relayed import CHUNKED, LARGE, model_body, once, streamed

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


# Request bodies.


async def test_a_buffered_body_leaves_with_its_length() -> None:
    async with chained(answering(OK)) as (upstream, proxy, client):
        head = get(b"/v1/chat/completions", b"Transfer-Encoding: chunked", method=b"POST")
        await client.send(head + b'a\r\n{"model": \r\n4\r\n"m"}\r\n0\r\nX-Trailer: lost\r\n\r\n')
        reply = await client.read_message()

        assert 200 == reply.status
        assert b'{"model": "m"}' == upstream.seen[0].body
        assert b"14" == upstream.seen[0].one(b"content-length")
        assert upstream.seen[0].one(b"transfer-encoding") is None
        record = await record_of(proxy)
        assert (14, 2, 1, "ok") == (record.bytes_in, record.bytes_out, record.attempts, record.outcome)


async def test_a_chunked_body_is_passed_on_while_it_arrives() -> None:
    first_came = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_until(b"\r\n\r\n")
        assert b"5\r\nfirst\r\n" == await peer.read_exactly(10)
        first_came.set()
        assert b"6\r\nsecond\r\n0\r\nX-Sum: 1\r\n\r\n" == await peer.read_until(b"0\r\nX-Sum: 1\r\n\r\n")
        await peer.send(OK)
        await peer.wait_gone()

    async with chained(script) as (_, proxy, client):
        await client.send(streamed(), b"5\r\nfirst\r\n")
        await first_came.wait()
        await client.send(b"6\r\nsecond\r\n0\r\nX-Sum: 1\r\nAuthorization: x\r\n\r\n")

        assert 200 == (await client.read_message()).status
        assert 11 == (await record_of(proxy)).bytes_in
        await until(lambda: 1 == proxy.service.pool.idle_count)


async def test_a_large_body_of_known_length_is_passed_on_while_it_arrives() -> None:
    first_came = anyio.Event()

    async def script(peer: Peer) -> None:
        head = await peer.read_head()
        assert b"200000" == head.one(b"content-length")
        await peer.read_exactly(100_000)
        first_came.set()
        await peer.read_exactly(100_000)
        await peer.send(OK)
        await peer.wait_gone()

    async with chained(script) as (_, proxy, client):
        await client.send(get(b"/api/internal", b"Content-Length: 200000", method=b"POST"), bytes(100_000))
        await first_came.wait()
        await client.send(bytes(100_000))

        assert 200 == (await client.read_message()).status
        await until(lambda: 1 == proxy.service.pool.idle_count)


async def test_a_small_management_body_leaves_in_one_piece() -> None:
    async with scripted(answering(OK)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(b"{}", path=b"/api/internal"))

    assert 200 == reply.status
    assert (b"{}", b"2") == (upstream.seen[0].body, upstream.seen[0].one(b"content-length"))


async def test_a_request_without_a_body_leaves_without_one() -> None:
    async with scripted(answering(OK)) as upstream, proxying(upstream.origin) as proxy:
        await ask(proxy, get(b"/api/internal", method=b"DELETE"))

    assert upstream.seen[0].one(b"content-length") is None
    assert upstream.seen[0].one(b"transfer-encoding") is None


@pytest.mark.sample(1 / 2)
async def test_an_upstream_that_reads_slowly_gets_all_of_a_large_body() -> None:
    body = model_body(LARGE)

    async def script(peer: Peer) -> None:
        message = await peer.read_message()
        assert body == message.body
        await peer.send(OK)
        await peer.wait_gone()

    async with scripted(script, receive_bytes=65_536) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(body))

        assert 200 == reply.status
        assert LARGE == (await record_of(proxy)).bytes_in
        await until(lambda: 1 == proxy.service.pool.idle_count)


async def test_an_upstream_that_takes_nothing_is_timed_out() -> None:
    async def script(peer: Peer) -> None:
        await anyio.sleep_forever()

    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin, timeouts=times(write_stall_s=0.1)) as proxy,
    ):
        reply = await ask(proxy, post(model_body(LARGE)))

        assert (504, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert "timeout" == (await record_of(proxy)).outcome


# Response bodies.

FRAMED = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"Content-Length", True),
    "chunks": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"Transfer-Encoding", True),
    "close": (b"HTTP/1.1 200 OK\r\n\r\nhello", b"Transfer-Encoding", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"Content-Length", False),
}


@pytest.mark.parametrize(("raw", "field", "kept"), FRAMED.values(), ids=FRAMED.keys())
async def test_a_reply_is_framed_anew_for_http_1_1(raw: bytes, field: bytes, kept: bool) -> None:
    async with chained(once(raw)) as (_, proxy, client):
        await client.send(get())
        reply = await client.read_message()

        assert (200, b"hello", True) == (reply.status, reply.body, reply.whole)
        assert [field] == [name for name, _ in reply.lines]
        await until(lambda: kept == bool(proxy.service.pool.idle_count))
        record = await record_of(proxy)
        assert ("ok", 5) == (record.outcome, record.bytes_out)
        await client.send(get(b"/"))
        assert 200 == (await client.read_message()).status


@pytest.mark.parametrize(("raw", "field", "kept"), FRAMED.values(), ids=FRAMED.keys())
async def test_a_reply_is_framed_anew_for_http_1_0(raw: bytes, field: bytes, kept: bool) -> None:
    async with chained(once(raw)) as (_, _, client):
        await client.send(get(version=b"1.0"))
        reply = await client.read_message()

        assert (b"hello", b"close") == (reply.body, reply.one(b"connection"))
        assert reply.one(b"transfer-encoding") is None
        assert b"" == await client.read_rest()


BODILESS = {
    "HEAD with a length": (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", [b"5"]),
    "HEAD with chunks": (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", []),
    "204": (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", []),
    "204 with chunks": (b"GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", []),
    "304": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n", [b"5"]),
    "nothing": (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [b"0"]),
}


@pytest.mark.parametrize(("method", "raw", "lengths"), BODILESS.values(), ids=BODILESS.keys())
async def test_a_reply_without_a_body_keeps_both_connections(method: bytes, raw: bytes, lengths: list[bytes]) -> None:
    async with chained(answering(raw, OK)) as (upstream, _, client):
        await client.send(get(method=method) + get())
        reply = await client.read_message(no_body=True)
        second = await client.read_message()

        assert lengths == reply.all(b"content-length")
        assert reply.one(b"transfer-encoding") is None
        assert b"ok" == second.body
        assert 1 == upstream.count


async def test_each_piece_of_a_reply_leaves_at_once() -> None:
    go = [anyio.Event() for _ in range(3)]

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED)
        for number, event in enumerate(go):
            await event.wait()
            await peer.send(b"5\r\ntick%d\r\n" % number)
        await peer.send(b"0\r\n\r\n")
        await peer.wait_gone()

    async with chained(script) as (_, _, client):
        await client.send(get())
        await client.read_head()
        for number, event in enumerate(go):
            event.set()
            assert b"5\r\ntick%d\r\n" % number == await client.read_exactly(10)

        assert b"0\r\n\r\n" == await client.read_exactly(5)


@pytest.mark.sample(1 / 2)
async def test_a_slow_client_slows_its_upstream() -> None:
    sent = 0

    async def pour(peer: Peer) -> None:
        nonlocal sent
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
        while sent < LARGE:
            await peer.send(bytes(65_536))
            sent += 65_536
        await peer.wait_gone()

    async with (
        scripted(pour) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy, receive_bytes=65_536) as client,
    ):
        await client.send(get())
        await client.read_head()
        before = -1
        while before != sent:
            before = sent
            await anyio.sleep(0.1)  # long enough for anything that is not held back
        (wire,) = proxy.open_connections
        assert "writing paused" in repr(wire.raw)
        assert sent < LARGE // 2

        await client.read_exactly(LARGE)
        assert "ok" == (await record_of(proxy)).outcome


# Trailers.


async def test_trailers_follow_a_chunked_reply() -> None:
    raw = CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\nSet-Cookie: no\r\n\r\n"
    async with scripted(once(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, get())

    assert [b"X-Sum: 1", b"x-sum: 2"] == reply.trailers


async def test_trailers_are_dropped_where_there_is_no_place_for_them() -> None:
    raw = CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with chained(once(raw)) as (_, _, client):
        await client.send(get(version=b"1.0"))

        assert (await client.read_rest()).endswith(b"\r\n\r\nok")
