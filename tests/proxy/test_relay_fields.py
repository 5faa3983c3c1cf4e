"""Fields of requests and replies, and informational responses, on their way through a whole proxy."""

from __future__ import annotations

import json

import anyio
import pytest
from chain import chained
from kit import OK, Peer, answering, ask, connected, get, post, proxying, record_of, scripted, until
from relayed import CHUNKED, streamed

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


# Fields.


async def test_fields_keep_their_order_case_and_number() -> None:
    raw = b"HTTP/1.1 200 Fine\r\nset-COOKIE: a=1\r\nX-B: 1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\nx-A: 2\r\n\r\nok"
    async with scripted(answering(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, get(b"/api/internal", b"x-One: 1", b"X-TWO: 2", b"x-one: 3"))

    assert b"HTTP/1.1 200 Fine" == reply.start
    assert [(b"set-COOKIE", b"a=1"), (b"X-B", b"1"), (b"Set-Cookie", b"b=2"), (b"x-A", b"2")] == reply.lines[:4]
    ours = [pair for pair in upstream.seen[0].lines if pair[0].lower() in (b"x-one", b"x-two")]
    assert [(b"x-One", b"1"), (b"X-TWO", b"2"), (b"x-one", b"3")] == ours


async def test_a_client_cannot_nominate_our_credential_away() -> None:
    lines = (b"Connection: keep-alive", b"Connection: authorization, X-Gone", b"X-Gone: 1", b"Keep-Alive: 5")
    async with scripted(answering(OK)) as upstream, proxying(upstream.origin) as proxy:
        await ask(proxy, post(b'{"model": "m"}', *lines, b"connection: host, content-length"))

    (seen,) = upstream.seen
    assert b"Bearer provider-key" == seen.one(b"authorization")
    assert b"14" == seen.one(b"content-length")
    assert seen.one(b"host") is not None
    assert [None, None, None] == [seen.one(name) for name in (b"x-gone", b"connection", b"keep-alive")]


async def test_an_upstream_cannot_pass_on_what_is_between_it_and_us() -> None:
    lines = b"Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTrailer: x\r\nContent-Length: 2\r\n"
    raw = b"HTTP/1.1 200 OK\r\n%b\r\nok" % lines
    async with scripted(answering(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, get())

    assert [(b"Content-Length", b"2")] == reply.lines


async def test_a_renamed_reply_loses_what_was_only_true_of_the_old_one() -> None:
    body = b'{"model": "m"}'
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-MD5: x\r\nContent-Length: 14\r\n\r\n" + body
    async with scripted(answering(raw, raw)) as upstream, proxying(upstream.origin) as proxy:
        renamed = await ask(proxy, post(b'{"model": "alias"}'))
        plain = await ask(proxy, post(body))

    assert {"model": "alias"} == json.loads(renamed.body)
    assert (None, b"x") == (renamed.one(b"content-md5"), plain.one(b"content-md5"))


async def test_a_piece_of_which_nothing_is_left_after_renaming_holds_nothing_up() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: application/json\r\n\r\n"))
        for piece in (b'{"model": "m', b"m", b'm", "x": 1}'):
            await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await anyio.sleep(0.01)
        await peer.send(b"0\r\n\r\n")
        await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(b'{"model": "alias"}'))

    assert ({"model": "alias", "x": 1}, True) == (json.loads(reply.body), reply.whole)


# Informational responses.


async def test_informational_responses_are_passed_on() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: 1\r\nContent-Length: 0\r\n\r\n"
    async with scripted(answering(hints + hints + OK)) as upstream, proxying(upstream.origin) as proxy:
        async with connected(proxy) as client:
            await client.send(get())
            messages = [await client.read_message() for _ in range(3)]

    assert [103, 103, 200] == [message.status for message in messages]
    assert [(b"Link", b"</a>")] == messages[0].lines


async def test_informational_responses_are_not_for_http_1_0() -> None:
    async with chained(answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)) as (_, _, client):
        await client.send(get(version=b"1.0"))

        assert 200 == (await client.read_message()).status


async def test_a_continue_that_nobody_waits_for_is_dropped() -> None:
    async with chained(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as (_, _, client):
        await client.send(get())

        assert 200 == (await client.read_message()).status


async def test_an_upstream_that_only_informs_is_given_up() -> None:
    async with scripted(answering(b"HTTP/1.1 102 Processing\r\n\r\n" * 50)) as upstream:
        async with proxying(upstream.origin) as proxy:
            reply = await ask(proxy, get())
            record = await record_of(proxy)

    assert (502, "upstream_error") == (reply.status, record.outcome)


async def test_a_waiting_client_is_asked_by_the_upstream_itself() -> None:
    async def script(peer: Peer) -> None:
        head = await peer.read_head()
        assert b"100-continue" == head.one(b"expect")
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert b"4\r\nbody\r\n0\r\n\r\n" == await peer.read_exactly(14)
        await peer.send(OK)
        await peer.wait_gone()

    async with chained(script) as (_, proxy, client):
        await client.send(streamed(b"Expect: 100-continue"))
        interim = await client.read_message()
        await client.send(b"4\r\nbody\r\n0\r\n\r\n")

        assert (100, 200) == (interim.status, (await client.read_message()).status)
        await until(lambda: 1 == proxy.service.pool.idle_count)


async def test_a_waiting_client_that_the_upstream_refuses_keeps_its_body() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"

    async def script(peer: Peer) -> None:
        await peer.read_head()
        await peer.send(refusal)
        assert b"" == await peer.wait_gone()

    async with chained(script) as (_, proxy, client):
        await client.send(streamed(b"Expect: 100-continue"))
        reply = await client.read_message()
        await client.stream.send_eof()

        assert (403, b"close", b"no") == (reply.status, reply.one(b"connection"), reply.body)
        assert b"" == await client.read_rest()
        assert 0 == proxy.service.pool.idle_count
