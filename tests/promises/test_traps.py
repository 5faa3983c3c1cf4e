"""What a proxy on top of an HTTP parser gets wrong easily, as far as no other file of tests has it."""

from __future__ import annotations

import socket

import anyio
import pytest
from chain import chained
from kit import OK, Peer, answering, ask, connected, get, post, proxying, scripted, until

from ampmap.net.listener import listen_on
from ampmap.settings import Hop, TcpListen

pytestmark = pytest.mark.usefixtures("nothing_left")

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_hint_before_the_continue_does_not_swallow_it() -> None:
    """A client that waits is still waiting after a 103, however a parser counts (RFC 9110 §10.1.1, §15.2)."""

    async def script(peer: Peer) -> None:
        await peer.read_head()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n")
        assert b"4\r\nbody\r\n0\r\n\r\n" == await peer.read_exactly(14)
        await peer.send(OK)
        await peer.wait_gone()

    async with chained(script) as (_, _, client):
        await client.send(get(b"/api/internal", b"Transfer-Encoding: chunked", b"Expect: 100-continue", method=b"PUT"))
        before = [(await client.read_message()).status for _ in range(2)]
        await client.send(b"4\r\nbody\r\n0\r\n\r\n")

        assert [103, 100, 200] == [*before, (await client.read_message()).status]


@pytest.mark.parametrize("closing", [True, False])
async def test_what_a_client_says_during_a_reply_does_not_disturb_it(closing: bool) -> None:
    """Bytes behind ``Connection: close`` are no request; others are one, and refused in their turn (RFC 9112 §9.6)."""
    go = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED + b"1\r\na\r\n")
        await go.wait()
        await peer.send(b"1\r\nb\r\n0\r\n\r\n")
        await peer.wait_gone()

    async with chained(script) as (_, proxy, client):
        await client.send(get(b"/api/internal", *([b"Connection: close"] if closing else [])))
        await client.read_until(b"1\r\na\r\n")
        await client.send(b"\x16\x03 this is no request\r\n\r\n")
        (wire,) = proxy.open_connections
        await until(lambda: wire.raw.has_data)
        go.set()

        assert b"1\r\nb\r\n0\r\n\r\n" == await client.read_exactly(11)
        rest = await client.read_rest()
        assert rest.startswith(b"" if closing else b"HTTP/1.1 400 ")
        assert closing == (rest == b"")


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/api/internal"])
async def test_an_absolute_target_is_never_dialled(path: bytes) -> None:
    """Its authority outranks ``Host`` and is dropped: this is no forward proxy (RFC 9112 §3.2.2)."""
    async with scripted(answering()) as stranger, scripted(answering(OK)) as upstream:
        async with proxying(upstream.origin) as proxy:
            where = b"localhost:%d" % stranger.origin.port
            reply = await ask(proxy, post(path=b"http://" + where + path))

    (seen,) = upstream.seen
    assert 200 == reply.status
    assert (b"POST %b HTTP/1.1" % path, upstream.origin.authority.encode()) == (seen.start, seen.one(b"host"))
    assert 0 == stranger.count


async def test_small_pieces_wait_for_no_acknowledgement() -> None:
    """Nagle's algorithm would hold an event back until the one before has been acknowledged."""
    async with chained(answering(OK)) as (upstream, proxy, client):
        await client.send(get())
        await client.read_message()
        (wire,) = proxy.open_connections
        idle = proxy.service.pool.take(Hop(upstream.origin))
        assert idle is not None

        for stream in (wire.raw, idle.raw):
            sock = stream.info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        idle.abort()


async def test_a_connection_that_was_a_tunnel_serves_no_request() -> None:
    async def script(peer: Peer) -> None:
        message = await peer.read_message()
        if message.one(b"upgrade"):
            await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
            await peer.wait_gone()
        else:
            await peer.send(OK)
            await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        async with connected(proxy) as client:
            await client.send(get(b"/api/internal", b"Connection: Upgrade", b"Upgrade: websocket"))
            await client.read_until(b"\r\n\r\nhi")
            await client.stream.send_eof()
            await client.read_rest()
        kept = proxy.service.pool.idle_count
        reply = await ask(proxy, get())

        assert (0, 200, 2) == (kept, reply.status, upstream.count)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_passed_on_and_never_followed(status: int) -> None:
    """Whoever follows one takes the credentials along to a place that nobody has configured (RFC 9110 §15.4)."""
    async with scripted(answering()) as elsewhere:
        place = b"%b/v1/chat/completions" % str(elsewhere.origin).encode()
        raw = b"HTTP/1.1 %d Elsewhere\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, place)
        async with scripted(answering(raw)) as upstream, proxying(upstream.origin) as proxy:
            reply = await ask(proxy, post())

    assert (status, place) == (reply.status, reply.one(b"location"))
    assert (1, 0) == (len(upstream.seen), elsewhere.count)


async def test_a_listening_address_is_not_shared() -> None:
    """Two proxies on one port would each get some of the connections, and nobody an error."""
    opened = listen_on((TcpListen(port=0), TcpListen(host="::1", port=0)))
    try:
        assert [0, 0] == [sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for sock in opened]
        port = opened[0].getsockname()[1]
        with pytest.raises(OSError, match="Address already in use"):
            listen_on((TcpListen(port=port),))
    finally:
        for sock in opened:
            sock.close()
