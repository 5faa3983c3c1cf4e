"""WebSockets through the proxy, between a client and a server that we did not write, and raw streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from kit import GUARD_S, record_of
from quickclock import on_both_quick_clocks
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from ampmap.config.file import parse
from ampmap.server import Server, running

BOTH_LOOPS = True

RIVET = [Subprotocol("rivet"), Subprotocol("rivet_encoding.bare")]
PATH = "/actors/gateway/threadActor/websocket/?rvt-key=T-1&rvt-skip-ready-wait=true"


@asynccontextmanager
async def proxy_for(port: int, more: str = "") -> AsyncIterator[Server]:
    text = f"listen: 127.0.0.1:0\namp-upstream-url: 'http://127.0.0.1:{port}'\nproviders: []\n{more}"
    async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
        yield proxy


@asynccontextmanager
async def between(
    handler: Callable[[ServerConnection], Awaitable[None]], more: str = ""
) -> AsyncIterator[tuple[Server, str]]:
    """A real WebSocket server, the proxy before it, and the URL at which clients find it."""
    async with serve(handler, "127.0.0.1", 0, subprotocols=RIVET[:1], max_size=None) as server:
        async with proxy_for(server.sockets[0].getsockname()[1], more) as proxy:
            yield proxy, proxy.url.replace("http", "ws") + PATH


async def echo(websocket: ServerConnection) -> None:
    async for message in websocket:
        await websocket.send(message)


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_messages_of_every_kind_pass_both_ways(compression: str | None) -> None:
    messages: list[str | bytes] = ["text", b"\x00\xff", "x" * 1_000_000, bytes(range(256)) * 4096, ""]
    async with between(echo) as (proxy, url):
        async with connect(url, subprotocols=RIVET, compression=compression, max_size=None) as client:
            for message in messages:
                await client.send(message)
                assert message == await client.recv()
            assert "rivet" == client.subprotocol
            assert bool(client.protocol.extensions) == (compression is not None)
        record = await record_of(proxy)

    assert ("MANAGEMENT", 101, "ok") == (record.route_type, record.status, record.outcome)
    assert record.bytes_in > 5_000
    assert record.bytes_out > 5_000
    assert record.path == PATH.partition("?")[0]


async def test_the_server_sees_the_path_the_query_and_the_headers_as_they_were() -> None:
    seen: dict[str, str] = {}

    async def note(websocket: ServerConnection) -> None:
        assert websocket.request is not None
        seen.update(path=websocket.request.path, amp=websocket.request.headers["X-Amp-Thread"])

    async with between(note) as (_, url):
        async with connect(url, additional_headers={"X-Amp-Thread": "T-1"}, subprotocols=RIVET):
            pass

    assert {"path": PATH, "amp": "T-1"} == seen


@pytest.mark.parametrize("closer", ["client", "server"])
async def test_the_close_code_and_reason_arrive(closer: str) -> None:
    told: list[tuple[int | None, str | None]] = []

    async def close(websocket: ServerConnection) -> None:
        if closer == "server":
            await websocket.close(4321, "enough")
        else:
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
            told.append((websocket.close_code, websocket.close_reason))

    async with between(close) as (_, url):
        async with connect(url, subprotocols=RIVET) as client:
            if closer == "server":
                with pytest.raises(ConnectionClosed):
                    await client.recv()
                told.append((client.close_code, client.close_reason))
            else:
                await client.close(4321, "enough")

    assert [(4321, "enough")] == told


async def test_a_refusal_to_switch_is_passed_on_as_it_is() -> None:
    async def never(websocket: ServerConnection) -> None:
        raise AssertionError

    async with between(never) as (_, url):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url.replace("/actors", "/nothing-of-amp"))

        assert 404 == refused.value.response.status_code


@asynccontextmanager
async def raw_between(
    play: Callable[[SocketStream, bytes], Awaitable[None]], more: str = ""
) -> AsyncIterator[tuple[Server, SocketStream]]:
    """A scripted upstream, which is given the head that it was sent, and a raw client that has asked to switch."""

    async def answer(stream: SocketStream) -> None:
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
            await play(stream, head)

    listener = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners[0]
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, answer)
        async with proxy_for(listener.extra(SocketAttribute.local_port), more) as proxy:
            host, _, port = proxy.url.removeprefix("http://").partition(":")
            async with await anyio.connect_tcp(host, int(port)) as client:
                yield proxy, client
        group.cancel_scope.cancel()


ASK = b"GET /actors HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def all_of(stream: SocketStream) -> bytes:
    found = b""
    try:
        while True:
            found += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return found


async def test_bytes_sent_too_early_are_delivered_first_and_each_half_closes_by_itself() -> None:
    heard = []

    async def play(stream: SocketStream, head: bytes) -> None:
        await stream.send(SWITCH + b"early-down ")
        heard.append(head.partition(b"\r\n\r\n")[2] + await all_of(stream))  # until the client's half is closed
        await stream.send(b"late-down")

    with anyio.fail_after(GUARD_S):
        async with raw_between(play) as (_, client):
            await client.send(ASK + b"early-up ")
            head = b""
            while b"early-down " not in head:
                head += await client.receive()
            await client.send(b"late-up")
            await client.send_eof()

            assert b"late-down" == await all_of(client)
            assert [b"early-up late-up"] == heard
            assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
            assert head.endswith(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly-down ")


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket, h2c", b"TLS/1.0"])
async def test_other_upgrades_are_not_passed_on(upgrade: bytes) -> None:
    heads = []

    async def play(stream: SocketStream, head: bytes) -> None:
        heads.append(head)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with raw_between(play) as (_, client):
        await client.send(ASK.replace(b"websocket", upgrade))
        assert b"HTTP/1.1 200 OK\r\n" in await client.receive()

    assert b"upgrade" not in heads[0].lower()


@on_both_quick_clocks()
async def test_a_tunnel_that_is_silent_for_long_is_cut_and_one_that_talks_one_way_is_not() -> None:
    async def play(stream: SocketStream, head: bytes) -> None:
        await stream.send(SWITCH)
        for _ in range(8):
            await anyio.sleep(0.05)
            await stream.send(b".")
        await all_of(stream)

    with anyio.fail_after(GUARD_S):
        async with raw_between(play, "timeouts: {stream-idle-s: 0.2}") as (proxy, client):
            await client.send(ASK)
            heard = await all_of(client)

            assert heard.endswith(b"........")
            record = proxy.service.journal.recent[-1]
            assert ("timeout", "timed out: the tunnel was silent for 0.2 s (timeouts.stream-idle-s)") == (
                record.outcome,
                record.detail,
            )


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_a_side_that_breaks_off_takes_the_other_with_it(who: str) -> None:
    ended = anyio.Event()

    async def play(stream: SocketStream, head: bytes) -> None:
        await stream.send(SWITCH)
        if who == "upstream":
            await anyio.aclose_forcefully(stream)
        else:
            await all_of(stream)
            ended.set()

    with anyio.fail_after(GUARD_S):
        async with raw_between(play) as (_, client):
            await client.send(ASK)
            if who == "upstream":
                await all_of(client)
            else:
                await client.receive()
                await anyio.aclose_forcefully(client)
                await ended.wait()


async def test_a_drain_waits_for_a_tunnel_and_cuts_it_when_the_time_is_over() -> None:
    async def play(stream: SocketStream, head: bytes) -> None:
        await stream.send(SWITCH)
        await all_of(stream)

    with anyio.fail_after(GUARD_S):
        async with raw_between(play, "timeouts: {drain-s: 0.2}") as (proxy, client):
            await client.send(ASK)
            assert await client.receive()
            await proxy.drain(0.2)
            assert 1 == proxy.listener.count

    assert "shutdown" == proxy.service.journal.recent[-1].outcome
