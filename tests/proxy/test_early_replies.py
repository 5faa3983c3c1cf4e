"""Replies that come before the request is sent whole."""

from __future__ import annotations

import socket
import threading

import anyio
import pytest
from chain import chained
from kit import OK, Peer, Script, ask, connected, get, post, proxying, record_of, scripted, until
from relayed import LARGE, TOO_LARGE, model_body, refuse_early, streamed

from ampmap.http.upstream_connection import UpstreamConnection
from ampmap.server import Server
from ampmap.settings import Hop, Origin

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


class Blocked:
    """What becomes of a request that its upstream does not read: waits until no more of it can be sent."""

    def __init__(self, proxy: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self._made: list[UpstreamConnection] = []
        dial = proxy.service.pool.dial

        async def dial_and_note(hop: Hop) -> UpstreamConnection:
            self._made.append(await dial(hop))
            return self._made[-1]

        monkeypatch.setattr(proxy.service.pool, "dial", dial_and_note)

    async def wait(self) -> None:
        await until(lambda: self._made and "sends" in repr(self._made[0].raw))


async def refuse_and_close(peer: Peer) -> None:
    """Answer after the first bytes of the body, and close with the rest unread."""
    await peer.read_until(b"\r\n\r\n")
    await peer.send(TOO_LARGE)


@pytest.mark.parametrize("script", [refuse_early, refuse_and_close])
async def test_an_early_reply_to_a_buffered_body_is_delivered(script: Script) -> None:
    async with scripted(script, receive_bytes=65_536) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(model_body(LARGE)))

        assert (413, b"big") == (reply.status, reply.body)
        assert "upstream_error" == (await record_of(proxy)).outcome
        assert 0 == proxy.service.pool.idle_count


@pytest.mark.parametrize("script", [refuse_early, refuse_and_close])
async def test_an_early_reply_to_a_streamed_body_is_delivered(script: Script) -> None:
    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        async with anyio.create_task_group() as group:
            head = get(b"/api/internal", b"Content-Length: %d" % LARGE, method=b"POST")
            group.start_soon(client.send, head, *[bytes(65_536)] * (LARGE // 65_536))
            reply = await client.read_message()
            record = await record_of(proxy)
            group.cancel_scope.cancel()

        assert (413, b"big", b"close") == (reply.status, reply.body, reply.one(b"connection"))
        assert "ok" == record.outcome
        assert 0 == proxy.service.pool.idle_count


@pytest.mark.sample(1 / 2)
async def test_hints_while_a_buffered_body_leaves_do_not_stop_it() -> None:
    async def script(peer: Peer) -> None:
        head = await peer.read_head()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await hint_came.wait()
        await peer.read_exactly(int(head.one(b"content-length") or 0))
        await peer.send(OK)
        await peer.wait_gone()

    hint_came = anyio.Event()
    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, post(model_body(LARGE)))
            assert 103 == (await client.read_message()).status
            hint_came.set()
            assert 200 == (await client.read_message()).status

        await until(lambda: 1 == proxy.service.pool.idle_count)


async def test_an_upstream_that_dies_after_a_hint_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        await blocked.wait()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await hint_came.wait()
        await blocked.wait()
        peer.reset()

    hint_came = anyio.Event()
    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        blocked = Blocked(proxy, monkeypatch)
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, post(model_body(LARGE)))
            assert 103 == (await client.read_message()).status
            hint_came.set()

            assert 502 == (await client.read_message()).status


@pytest.mark.parametrize(
    "request_",
    [
        post(model_body(LARGE)),
        get(b"/api/internal", b"Content-Length: %d" % LARGE, method=b"POST") + bytes(LARGE),
        get(b"/api/internal", b"Transfer-Encoding: chunked", method=b"POST") + b"%x\r\n" % LARGE + bytes(LARGE),
    ],
    ids=["buffered", "length", "chunks"],
)
async def test_a_reply_is_seen_while_nothing_more_can_be_sent(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        await blocked.wait()
        await peer.send(TOO_LARGE)
        await anyio.sleep_forever()

    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        blocked = Blocked(proxy, monkeypatch)
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, request_)
            reply = await client.read_message()
            group.cancel_scope.cancel()

        assert (413, b"big") == (reply.status, reply.body)


async def test_a_reply_that_came_before_the_connection_broke_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def answer_and_reset() -> None:
        sock, _ = server.accept()
        sock.recv(65_536, socket.MSG_PEEK)
        sock.sendall(TOO_LARGE)
        sock.close()  # with the request unread: a reset

    async def meanwhile() -> None:
        """The loop is busy elsewhere while the upstream answers and closes."""
        upstream.join()
        for _ in range(3):
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr("ampmap.proxy.relay.checkpoint", meanwhile)
    upstream = threading.Thread(target=answer_and_reset)
    upstream.start()
    with server:
        async with proxying(Origin("http", "127.0.0.1", server.getsockname()[1])) as proxy:
            reply = await ask(proxy, post(model_body(LARGE)))

    assert (413, b"big") == (reply.status, reply.body)


async def test_a_reply_that_comes_while_the_client_pauses_is_delivered_at_once() -> None:
    async with chained(refuse_early) as (_, _, client):
        await client.send(streamed(), b"3\r\nabc\r\n")
        reply = await client.read_message()

        assert (413, b"big") == (reply.status, reply.body)


async def test_hints_while_the_client_uploads_do_not_stop_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        for number in range(3):
            await peer.send(b"HTTP/1.1 103 Early Hints\r\nX: %d\r\n\r\n" % number)
            assert b"1\r\n%d\r\n" % number == await peer.read_exactly(6)
        await peer.read_until(b"0\r\n\r\n")
        await peer.send(OK)
        await peer.wait_gone()

    async with chained(script) as (_, proxy, client):
        await client.send(streamed())
        for number in range(3):
            hint = await client.read_message()
            assert (103, b"%d" % number) == (hint.status, hint.one(b"x"))
            await client.send(b"1\r\n%d\r\n" % number)
        await client.send(b"0\r\n\r\n")

        assert 200 == (await client.read_message()).status
        await until(lambda: 1 == proxy.service.pool.idle_count)
