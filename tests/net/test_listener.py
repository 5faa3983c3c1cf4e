"""Listening: addresses, sockets that are taken over, and an accept loop that nothing can end."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import socket
import subprocess
import sys

import anyio
import pytest
from kit import GUARD_S, OK, Peer, answering, ask, closed_origin, connected, get, proxying, scripted, until, wrapped

from ampmap.net.listener import Listener, accepting, listen_on, shown
from ampmap.net.stream import Stream
from ampmap.server import running
from ampmap.settings import Amp, Listen, Settings, TcpListen

LOOPBACK: tuple[Listen, ...] = (TcpListen(port=0),)


@pytest.mark.usefixtures("nothing_left")
async def test_ipv6_is_listened_on_and_asked() -> None:
    async with scripted(answering(OK), host="::1") as upstream:
        sockets = listen_on((TcpListen(host="::1", port=0),))
        async with proxying(upstream.origin, sockets=sockets) as proxy:
            assert re.fullmatch(r"http://\[::1\]:\d+", proxy.url)
            assert b"ok" == (await ask(proxy, get())).body

    assert b"[::1]:%d" % upstream.origin.port == upstream.seen[0].one(b"host")


@pytest.mark.usefixtures("nothing_left")
async def test_several_addresses_are_listened_on() -> None:
    settings = Settings(listen=(TcpListen(port=0), TcpListen(host="::1", port=0)), amp=Amp(origin=None))
    async with running(settings, env={}) as proxy:
        assert 2 == len(proxy.addresses)
        assert ["closed"] != [shown(sock) for sock in proxy.listener.sockets]
    assert ["closed", "closed"] == [shown(sock) for sock in proxy.listener.sockets]


def test_an_address_in_use_is_named_and_none_is_left_open() -> None:
    (sock,) = listen_on(LOOPBACK)
    port = sock.getsockname()[1]
    with sock, pytest.raises(OSError, match=rf"cannot listen on 127.0.0.1:{port}: ") as raised:
        listen_on((TcpListen(port=0), TcpListen(port=port)))

    assert errno.EADDRINUSE == raised.value.errno


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:0: "):
        listen_on((TcpListen(host="192.0.2.1", port=0),))


class Served:
    """Connections that are held open until they are let go."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.go = anyio.Event()

    async def __call__(self, stream: Stream) -> None:
        self.streams.append(stream)
        await self.go.wait()


async def connect_to(listener: Listener) -> Peer:
    sock = socket.create_connection(listener.sockets[0].getsockname())
    return Peer(await wrapped(sock))


@pytest.mark.usefixtures("nothing_left")
async def test_over_the_limit_connections_wait_their_turn() -> None:
    served = Served()
    listener = Listener(listen_on(LOOPBACK), served, 2)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.accept, group)
        peers = [await connect_to(listener) for _ in range(3)]
        await until(lambda: len(served.streams) == 2)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        most = listener.count
        served.go.set()
        await until(lambda: len(served.streams) == 3)
        listener.stop()
        await listener.wait_idle()
        for peer in peers:
            assert b"" == await peer.read_rest()
            await peer.close()

    assert 2 == most
    assert 0 == listener.count


@pytest.mark.usefixtures("nothing_left")
async def test_a_bug_costs_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(stream: Stream) -> None:
        raise LookupError("a bug")

    listener = Listener(listen_on(LOOPBACK), broken, 10)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.accept, group)
        for _ in range(2):
            peer = await connect_to(listener)
            assert b"" == await peer.read_rest()
            await peer.close()
        listener.stop()

    assert ["a connection ended by a bug in ampmap"] * 2 == [record.message for record in caplog.records]
    assert all(record.exc_info for record in caplog.records)


@pytest.mark.usefixtures("nothing_left")
async def test_a_connection_that_its_client_breaks_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    async def breaking(stream: Stream) -> None:
        raise ConnectionResetError

    async with accepting(listen_on(LOOPBACK), breaking):
        pass
    listener = Listener(listen_on(LOOPBACK), breaking, 10)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.accept, group)
        peer = await connect_to(listener)
        assert b"" == await peer.read_rest()
        await peer.close()
        listener.stop()

    assert [] == caplog.records


@pytest.mark.usefixtures("nothing_left")
async def test_a_connection_that_cannot_be_taken_over_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise OSError(errno.ENOTCONN, "gone already")

    served = Served()
    listener = Listener(listen_on(LOOPBACK), served, 10)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.accept, group)
        peer = await connect_to(listener)
        monkeypatch.setattr(asyncio.get_running_loop(), "connect_accepted_socket", fail)
        assert b"" == await peer.read_rest()
        await peer.close()
        listener.stop()

    assert [] == served.streams


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EMFILE, errno.ENETDOWN])
async def test_an_accept_that_fails_is_tried_again(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ampmap.net.listener._PAUSE_S", 0.001)
    failures = iter([OSError(number, os.strerror(number))] * 3)

    class Bad(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            for failure in failures:
                raise failure
            return super().accept()

    sockets: list[socket.socket] = [Bad(fileno=sock.detach()) for sock in listen_on(LOOPBACK)]
    async with proxying(await closed_origin(), sockets=sockets) as proxy:
        assert 200 == (await ask(proxy, get(b"/"))).status

    complaints = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (0 if number == errno.ECONNABORTED else 1) == len(complaints)


@pytest.mark.usefixtures("nothing_left")
async def test_a_listening_socket_that_is_none_is_a_bug() -> None:
    listener = Listener(listen_on(LOOPBACK), Served(), 10)
    listener.sockets[0].close()

    with pytest.raises(BaseExceptionGroup) as raised:
        async with anyio.create_task_group() as group:
            group.start_soon(listener.accept, group)
    assert raised.group_contains(OSError) or raised.group_contains(ValueError)


@pytest.mark.usefixtures("nothing_left")
async def test_stopping_before_the_first_accept_closes_the_sockets() -> None:
    listener = Listener(listen_on(LOOPBACK), Served(), 10)

    listener.stop()

    assert "closed" == shown(listener.sockets[0])


@pytest.mark.usefixtures("nothing_left")
async def test_a_file_number_that_is_used_again_at_once_is_read() -> None:
    """The socket that takes the number of a listening one must not lose its place in the loop."""
    listener = Listener(listen_on(LOOPBACK), Served(), 10)
    async with anyio.create_task_group() as group, scripted(answering(OK)) as upstream:
        group.start_soon(listener.accept, group)
        await until(lambda: listener.is_accepting)
        await anyio.lowlevel.checkpoint()
        listener.stop()
        sock = socket.create_connection((upstream.origin.host, upstream.origin.port))
        peer = Peer(await wrapped(sock))
        await peer.send(get())

        with anyio.fail_after(GUARD_S):
            assert 200 == (await peer.read_message()).status
        await peer.close()


@pytest.mark.usefixtures("nothing_left")
async def test_a_connection_that_comes_with_the_end_is_closed() -> None:
    served = Served()
    listener = Listener(listen_on(LOOPBACK), served, 10)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.accept, group)
        await until(lambda: listener.is_accepting)
        await anyio.lowlevel.checkpoint()
        sock = socket.create_connection(listener.sockets[0].getsockname())
        asyncio.get_running_loop().call_soon(listener.stop)  # in the turn in which the connection is seen
        peer = Peer(await wrapped(sock))
        served.go.set()

        assert b"" == await peer.read_rest()
        await peer.close()


EMFILE = """
import asyncio, resource, socket, sys
import anyio
from ampmap.server import running
from ampmap.settings import Amp, Settings, TcpListen

async def main():
    async with running(Settings(listen=(TcpListen(port=0),), amp=Amp(origin=None)), env={}) as proxy:
        host, port = proxy.url.removeprefix("http://").split(":")
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        hogs = []
        try:
            while True:
                hogs.append(socket.create_connection((host, int(port))))
        except OSError:
            pass
        await anyio.sleep(0.3)  # accepting fails all this time
        for hog in hogs:
            hog.close()
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
        print((await reader.read()).split(b"\\r\\n")[0].decode())
        writer.close()

asyncio.run(main())
"""


def test_a_process_without_files_left_goes_on_when_it_has_some_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EMFILE], capture_output=True, text=True, timeout=3 * GUARD_S, check=False
    )

    assert (0, "HTTP/1.1 200 OK\n") == (done.returncode, done.stdout), done.stderr
    assert 1 == done.stderr.count("cannot accept connections (Too many open files)")


@pytest.mark.usefixtures("nothing_left")
async def test_what_runs_when_a_stand_in_ends_is_cut() -> None:
    served = Served()
    sockets = listen_on(LOOPBACK)
    where = sockets[0].getsockname()
    async with accepting(sockets, served):
        peer = Peer(await wrapped(socket.create_connection(where)))
        await until(lambda: served.streams)

    assert b"" == await peer.read_rest()
    await peer.close()


@pytest.mark.usefixtures("nothing_left")
async def test_a_proxy_can_use_sockets_that_are_open_already() -> None:
    async with scripted(answering(OK)) as upstream:
        async with proxying(upstream.origin, sockets=listen_on(LOOPBACK)) as proxy, connected(proxy) as client:
            await client.send(get())

            assert b"ok" == (await client.read_message()).body
