"""The end of a proxy in a process of its own, by real signals: what still runs, what is cut, and the exit code."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import anyio
import pytest
from kit import BODY, GUARD_S, OK, Message, Peer, Scripted, get, post, scripted, until
from process import Process, proxying_process

UPGRADE = get(b"/api/internal", b"Connection: Upgrade", b"Upgrade: websocket")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
LONG, SHORT = "timeouts: {drain-s: 3600}\n", "timeouts: {drain-s: 1.5}\n"


class Upstream:
    """Responses a request when it is let go; says 101 to who asks for it, and then what it hears."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.go = anyio.Event()
        self.count = self.ended = 0

    async def __call__(self, peer: Peer) -> None:
        try:
            await self._serve(peer)
        finally:
            self.ended += 1

    async def _serve(self, peer: Peer) -> None:
        while True:
            message = await peer.read_message()
            self.count += 1
            self.asked.set()
            if message.one(b"upgrade"):
                await peer.send(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                )
                while True:
                    await peer.send(await peer.stream.receive())
            if b"stream" in message.body:
                await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
                await self.go.wait()
                await peer.send(b"1\r\nb\r\n0\r\n\r\n")
                continue
            if message.start.startswith(b"POST"):
                await self.go.wait()
            await peer.send(OK)


STREAM = post(b'{"model": "m", "stream": true}')


@asynccontextmanager
async def running_proxy(directory: Path, more: str) -> AsyncIterator[tuple[Process, Upstream, Scripted]]:
    upstream = Upstream()
    async with scripted(upstream) as server, proxying_process(directory, server.origin, more) as it:
        yield it, upstream, server


async def drain(it: Process, number: Signals = SIGTERM) -> None:
    """Send the first signal, and wait until it has been heard."""
    it.signal(number)
    await it.said(b"draining")


def is_listening(it: Process) -> bool:
    host, _, port = it.url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_a_signal_ends_what_is_idle_and_lets_a_reply_come_to_its_end(number: Signals, tmp_path: Path) -> None:
    async with (
        running_proxy(tmp_path, LONG) as (it, upstream, server),
        it.connected() as fresh,
        it.connected() as idle,
        it.connected() as busy,
    ):
        await idle.send(get())
        await idle.read_final()
        await busy.send(post())
        await upstream.asked.wait()
        await until(lambda: upstream.count == 2)
        await drain(it, number)

        assert b"" == await fresh.read_rest()  # nobody has asked anything on it
        assert b"" == await idle.read_rest()
        assert not is_listening(it)
        assert it.popen.poll() is None
        upstream.go.set()
        reply = await busy.read_final()
        assert (200, b"close", b"ok", True) == (reply.status, reply.one(b"connection"), reply.body, reply.whole)
        assert b"" == await busy.read_rest()
        assert 0 == await it.ended()
        await until(lambda: upstream.ended == server.count)  # idle connections to upstreams end as well


async def test_a_stream_whose_head_has_left_comes_to_its_end(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, LONG) as (it, upstream, _), it.connected() as client:
        await client.send(STREAM)
        head = await client.read_until(b"\r\n\r\n1\r\na\r\n")
        await drain(it)
        it.signal(SIGHUP)  # which is no second signal to end
        upstream.go.set()

        assert b"connection" not in head.lower()
        assert b"1\r\nb\r\n0\r\n\r\n" == await client.read_rest()
        assert 0 == await it.ended()


async def test_a_request_that_is_still_arriving_is_served(tmp_path: Path) -> None:
    request = post()
    async with (
        running_proxy(tmp_path, LONG) as (it, upstream, _),
        it.connected() as within_head,
        it.connected() as within_body,
    ):
        upstream.go.set()
        await within_head.send(request[:20])
        await within_body.send(request[:-5])
        await it.ask(get(b"/", b"Connection: close"))  # what came before has been read when this is answered
        await drain(it)
        await within_head.send(request[20:])
        await within_body.send(request[-5:])
        replies: list[Message] = [await peer.read_final() for peer in (within_head, within_body)]

        assert [(200, b"close")] * 2 == [(reply.status, reply.one(b"connection")) for reply in replies]
        assert 0 == await it.ended()


async def test_a_request_behind_the_last_reply_is_asked_of_nobody(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, LONG) as (it, upstream, _), it.connected() as client:
        await client.send(post(), post())
        await upstream.asked.wait()
        await drain(it)
        upstream.go.set()

        assert b"close" == (await client.read_final()).one(b"connection")
        assert b"" == await client.read_rest()
        assert (0, 1) == (await it.ended(), upstream.count)


async def test_tunnels_and_stragglers_are_cut_when_the_time_is_over(tmp_path: Path) -> None:
    async with (
        running_proxy(tmp_path, SHORT) as (it, upstream, _),
        it.connected() as tunnel,
        it.connected() as silent,
        it.connected() as streaming,
    ):
        await tunnel.send(UPGRADE)
        assert 101 == (await tunnel.read_head()).status
        await streaming.send(STREAM)
        await streaming.read_until(b"1\r\na\r\n")
        await silent.send(post())
        await until(lambda: upstream.count == 3)
        began = anyio.current_time()
        await drain(it)
        await tunnel.send(b"still there")
        assert b"still there" == await tunnel.read_exactly(11)

        assert [b"", b"", b""] == [await peer.read_rest() for peer in (tunnel, silent, streaming)]
        took = anyio.current_time() - began
        assert 0 == await it.ended()
        upstream.go.set()  # who is held up looks at its connection again
        await until(lambda: upstream.ended == upstream.count)
        assert it.popen.stderr is not None
        assert 3 == it.popen.stderr.read().count(b"outcome=shutdown")
    assert 1.4 < took < GUARD_S


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("numbers", [(SIGTERM, SIGTERM), (SIGTERM, SIGINT), (SIGINT, SIGINT)])
async def test_a_second_signal_cuts_what_still_runs_now(numbers: tuple[Signals, Signals], tmp_path: Path) -> None:
    async with (
        running_proxy(tmp_path, LONG) as (it, upstream, _),
        it.connected() as tunnel,
        it.connected() as silent,
    ):
        await tunnel.send(UPGRADE)
        assert 101 == (await tunnel.read_head()).status
        await silent.send(post())
        await until(lambda: upstream.count == 2)
        await drain(it, numbers[0])
        it.signal(numbers[1])

        assert 0 == await it.ended()
        assert [b"", b""] == [await peer.read_rest() for peer in (tunnel, silent)]
        upstream.go.set()  # who is held up looks at its connection again
        await until(lambda: upstream.ended == upstream.count)


async def test_a_proxy_with_nothing_to_do_ends_at_once(tmp_path: Path) -> None:
    async with running_proxy(tmp_path, LONG) as (it, upstream, _), it.connected() as client:
        upstream.go.set()
        await client.send(get(b"/api/internal", b"Content-Length: %d" % len(BODY), method=b"PUT"), BODY)
        assert 200 == (await client.read_final()).status
        it.signal()

        assert 0 == await it.ended()
