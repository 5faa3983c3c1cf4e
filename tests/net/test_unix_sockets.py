"""Unix sockets: for their owner alone, taken over from the dead, left alone where others use them."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import anyio
import pytest
from kit import get, until

from ampmap.net.listener import CannotListen, listen_on, shown, unix_files
from ampmap.server import running
from ampmap.settings import Amp, Settings, TcpListen, UnixListen


async def over_unix(path: str, request: bytes) -> bytes:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    writer.write(request)
    reply = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return reply


@pytest.mark.usefixtures("nothing_left")
async def test_a_unix_socket_is_for_its_owner_alone_and_goes_with_the_proxy(tmp_path: Path) -> None:
    path = tmp_path / "proxy.sock"
    settings = Settings(listen=(UnixListen(path=str(path)),), amp=Amp(origin=None))
    async with running(settings, env={}) as proxy:
        assert [f"unix:{path}"] == proxy.addresses
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        assert (await over_unix(str(path), get(b"/"))).startswith(b"HTTP/1.1 200 OK\r\n")

    assert not path.exists()


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "proxy.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    address = UnixListen(path=path)

    (sock,) = listen_on((address,))

    with sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        (file,) = unix_files([sock])
        file.remove()
        file.remove()
    assert not os.path.exists(path)


async def test_a_successor_keeps_its_socket_when_the_predecessor_has_drained(tmp_path: Path) -> None:
    path = str(tmp_path / "proxy.sock")
    settings = Settings(listen=(UnixListen(path=path),), amp=Amp(origin=None))
    async with running(settings, env={}) as old:
        with socket.socket(socket.AF_UNIX) as busy:
            busy.connect(path)
            busy.sendall(b"GET /")  # a request that does not end holds the drain up
            await until(lambda: old.listener.count == 1)
            ended = anyio.Event()

            async def drain() -> None:
                await old.drain(1000)
                old.stop_listening()  # as at its end
                ended.set()

            async with anyio.create_task_group() as group:
                group.start_soon(drain)
                await until(lambda: old.service.draining)
                async with running(settings, env={}):
                    old.cut()
                    await ended.wait()
                    assert (await over_unix(path, get(b"/"))).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_socket_that_has_taken_the_place_of_this_proxy_s_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "proxy.sock"
    async with running(Settings(listen=(UnixListen(path=str(path)),), amp=Amp(origin=None)), env={}):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.is_socket()


def test_an_address_that_cannot_be_listened_on_leaves_no_file(tmp_path: Path) -> None:
    (sock,) = listen_on((TcpListen(port=0),))
    with sock, pytest.raises(CannotListen):
        listen_on((UnixListen(path=str(tmp_path / "proxy.sock")), TcpListen(port=sock.getsockname()[1])))

    assert [] == list(tmp_path.iterdir())


def test_a_unix_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    address = UnixListen(path=str(tmp_path / "proxy.sock"))
    (sock,) = listen_on((address,))

    with sock, pytest.raises(OSError, match=rf"cannot listen on {address}: Address already in use"):
        listen_on((address,))


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    with pytest.raises(OSError, match="cannot listen on unix:"):
        listen_on((UnixListen(path=str(path)),))
    assert "data" == path.read_text()


def test_a_unix_socket_is_shown_by_its_path() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(b"\0ampmap-test-%d" % os.getpid())  # an abstract name, as systemd may pass one

        assert f"unix:\0ampmap-test-{os.getpid()}" == shown(sock)
