"""Clients that wait to be asked for their bodies (RFC 9110 §10.1.1), and those that do not."""

from __future__ import annotations

import pytest
from chain import chained, without_upstream
from kit import OK, answering, get, post, until

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


async def test_a_waiting_client_is_asked_for_a_body_that_is_buffered() -> None:
    async with chained(answering(OK)) as (upstream, _, client):
        request = post(b'{"model": "m"}', b"Expect: 100-continue")
        await client.send(request[:-14])
        interim = await client.read_message()
        await client.send(request[-14:])

        assert b"HTTP/1.1 100 Continue" == interim.start
        assert 200 == (await client.read_message()).status
        assert upstream.seen[0].one(b"expect") is None


async def test_a_client_that_does_not_wait_is_not_asked() -> None:
    async with chained(answering(OK)) as (_, _, client):
        await client.send(post(b'{"model": "m"}', b"Expect: 100-continue"))

        assert 200 == (await client.read_message()).status


async def test_a_waiting_client_that_is_refused_is_closed_without_its_body() -> None:
    async with without_upstream() as (_, client):
        await client.send(get(b"/nowhere", b"Content-Length: 9", b"Expect: 100-continue", method=b"POST"))
        reply = await client.read_message()
        await client.stream.send_eof()

        assert (404, b"close") == (reply.status, reply.one(b"connection"))
        assert b"" == await client.read_rest()


async def test_http_1_0_is_never_asked_to_continue() -> None:
    async with chained(answering(OK)) as (_, proxy, client):
        head = get(
            b"/v1/chat/completions", b"Content-Length: 14", b"Expect: 100-continue", method=b"POST", version=b"1.0"
        )
        await client.send(head)
        await until(lambda: proxy.listener.count)
        await client.send(b'{"model": "m"}')

        assert 200 == (await client.read_message()).status
