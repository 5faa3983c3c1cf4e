"""Sockets that are handed over: what is taken, what is refused, and that they stay their owner's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from anyio import to_thread
from kit import GUARD_S, get, until
from manager import Manager, launched, service_manager_of_a_test

from ampmap.net.systemd import inherited

CONFIG = """\
listen: 127.0.0.1:1
amp-upstream-url: ''
providers: [{name: p, base-url: 'http://127.0.0.1:9', protocols: [anthropic], models: [m]}]
"""
manager = service_manager_of_a_test


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ampmap.yaml"
    path.write_text(CONFIG)
    return path


@contextmanager
def listening(family: socket.AddressFamily, address: object) -> Iterator[socket.socket]:
    with socket.socket(family) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)  # type: ignore[arg-type]
        sock.listen()
        yield sock


def said(sock: socket.socket, request: bytes) -> bytes:
    """Ask on a connected socket; return the reply's first line."""
    sock.settimeout(GUARD_S)
    sock.sendall(request)
    return sock.makefile("rb").readline()


def connected(to: socket.socket) -> socket.socket:
    sock = socket.socket(to.family)
    sock.settimeout(GUARD_S)
    sock.connect(to.getsockname())
    return sock


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd-socket-activate is not installed")
async def test_systemd_starts_it_for_the_first_request_which_is_answered(config: Path, nothing_left: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    passed = [name for name in ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG") if name in os.environ]
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--fdname=web"]
    command += [f"--setenv={name}={os.environ[name]}" for name in passed]
    command += [sys.executable, "-m", "ampmap", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        while "Listening on" not in (line := await to_thread.run_sync(process.stderr.readline)):
            assert line
        async with httpx.AsyncClient(timeout=GUARD_S) as client:
            reply = await client.get(f"http://127.0.0.1:{port}/_ampmap/ready")
            assert (200, "ready\n") == (reply.status_code, reply.text)
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(GUARD_S):
            assert 0 == await to_thread.run_sync(process.wait)
    finally:
        process.kill()
        process.communicate()


async def test_sockets_of_every_kind_replace_those_of_the_configuration(
    manager: Manager, config: Path, tmp_path: Path
) -> None:
    with (
        listening(socket.AF_INET, ("127.0.0.1", 0)) as four,
        listening(socket.AF_INET6, ("::1", 0)) as six,
        listening(socket.AF_UNIX, str(tmp_path / "handed.sock")) as unix,
        listening(socket.AF_UNIX, f"\0ampmap-handed-{os.getpid()}") as abstract,
    ):
        sockets = [four, six, unix, abstract]
        process = manager.start("--config", str(config), sockets=sockets)
        status = (await process.ready())["STATUS"]
        assert status.startswith(
            f"listens on http://127.0.0.1:{four.getsockname()[1]}, http://[::1]:{six.getsockname()[1]}, "
            f"unix:{tmp_path}/handed.sock, unix:\\x00ampmap-handed-{os.getpid()}; "
        )
        for sock in sockets:
            with connected(sock) as client:
                assert b"HTTP/1.1 200 OK\r\n" == said(client, get(b"/"))

        process.signal(signal.SIGTERM)
        assert 0 == await process.ended()
        assert (tmp_path / "handed.sock").exists()
        for sock in sockets:  # who opened them can go on with them
            with connected(sock) as client, sock.accept()[0] as accepted:
                accepted.sendall(b"here\n")
                assert b"here\n" == client.makefile("rb").readline()


async def test_what_waits_while_one_ends_is_answered_by_the_next(manager: Manager, config: Path) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        first = manager.start("--config", str(config), sockets=[sock])
        await first.ready()
        first.signal(signal.SIGTERM)
        assert 0 == await first.ended()
        with connected(sock) as client:
            client.sendall(get(b"/"))
            await manager.start("--config", str(config), sockets=[sock]).ready()

            assert b"HTTP/1.1 200 OK\r\n" == said(client, b"")


async def test_the_name_of_an_inherited_address_is_its_own(manager: Manager, config: Path) -> None:
    """The guard against DNS rebinding knows where the proxy really listens, and the log of a reload does, too."""
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        process = manager.start("--config", str(config), sockets=[sock])
        await process.ready()
        for host, line in ((b"127.0.0.1", b"HTTP/1.1 200 OK\r\n"), (b"evil.example", b"HTTP/1.1 421")):
            with connected(sock) as client:
                assert said(client, get(b"/").replace(b"localhost", host)).startswith(line)
        process.signal(signal.SIGHUP)
        assert "RELOADING" in await process.notice()
        assert "READY" in await process.notice()
        await until(lambda: "reloaded, generation 2: no change" in process.stderr())


@pytest.mark.sample(1 / 4)
@pytest.mark.parametrize(
    ("address", "added", "code"),
    [
        ("0.0.0.0", "", 2),
        ("0.0.0.0", "api-keys: [a-key]\n", None),
        ("0.0.0.0", "allow-open-access: true\n", None),
        ("127.0.0.1", "", None),
        ("::", "", 2),
        ("::1", "", None),
    ],
)
async def test_an_open_proxy_is_for_loopback_however_it_came_to_listen(
    manager: Manager, config: Path, address: str, added: str, code: int | None
) -> None:
    config.write_text(added + CONFIG)
    with listening(socket.AF_INET6 if ":" in address else socket.AF_INET, (address, 0)) as sock:
        process = manager.start("--config", str(config), sockets=[sock])
        if code is None:
            await process.ready()
            return
        assert code == await process.ended()
    port = sock_port(process.stderr())
    shown = f"[{address}]" if ":" in address else address
    assert process.stderr() == (
        f"handed over by LISTEN_FDS: {shown}:{port} can be reached from other machines, and no key is asked for; "
        "list keys under 'api-keys:', or write 'allow-open-access: true'\n"
    )


def sock_port(text: str) -> str:
    return text.partition(" can be")[0].rpartition(":")[2]


async def test_a_reload_that_would_open_it_to_strangers_is_refused(manager: Manager, config: Path) -> None:
    config.write_text("api-keys: [a-key]\n" + CONFIG)
    with listening(socket.AF_INET, ("0.0.0.0", 0)) as sock:
        process = manager.start("--config", str(config), sockets=[sock])
        await process.ready()
        config.write_text(CONFIG)

        assert "not reloaded: handed over by LISTEN_FDS: 0.0.0.0:" in (await process.notice())["STATUS"]
        with connected(sock) as client:
            assert said(client, get(b"/")).startswith(b"HTTP/1.1 401 ")


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("datagram", "file 3 (a), handed over by LISTEN_FDS, is no stream socket of TCP or unix"),
        ("connected", "file 3 (a), handed over by LISTEN_FDS, does not listen; "),
        ("bound", "file 3 (a), handed over by LISTEN_FDS, does not listen; "),
        ("missing", "file 4 (b), handed over by LISTEN_FDS, is no socket: Bad file descriptor"),
        ("many", "file 4, handed over by LISTEN_FDS, is no socket: "),
        ("no number", "LISTEN_FDS='two' is no number of sockets"),
        ("endless", "LISTEN_FDS='99999999"),
    ],
)
def test_what_is_no_listening_stream_socket_is_refused(config: Path, tmp_path: Path, kind: str, complaint: str) -> None:
    one, other = socket.socketpair()
    with socket.socket(type=socket.SOCK_DGRAM) as datagram, socket.create_server(("127.0.0.1", 0)) as good, one, other:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            handed = {"datagram": datagram, "connected": one, "bound": bound}.get(kind, good)
            env = {"LISTEN_FDNAMES": "a:b"}
            if kind in ("missing", "no number", "endless", "many"):
                env["LISTEN_FDS"] = {"missing": "2", "many": "100000", "no number": "two", "endless": "9" * 5000}[kind]
            if kind == "many":
                env["LISTEN_FDNAMES"] = ""
            process = launched(
                "-m", "ampmap", "--config", str(config), errors=tmp_path / "err", sockets=[handed], env=env
            )
            assert 1 == process.wait(GUARD_S)
    (line,) = (tmp_path / "err").read_text().splitlines()
    assert line.startswith(f"ampmap: {complaint}")


def test_what_is_meant_for_another_process_is_not_taken_but_its_variables_go() -> None:
    env = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "OTHER": "stays"}

    assert [] == inherited(env)
    assert {"OTHER": "stays"} == env
    assert [] == inherited({"LISTEN_FDS": "1"})
    assert [] == inherited({})
    assert [] == inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"})


TAKEN = """
import os, subprocess, sys
from ampmap.net.systemd import inherited
(sock,) = inherited(os.environ)
assert not any(name.startswith("LISTEN_") for name in os.environ), os.environ
assert 3 == sock.fileno() and not os.get_inheritable(3)
"""


def test_neither_the_sockets_nor_their_variables_are_handed_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        process = launched("-c", TAKEN, errors=tmp_path / "err", sockets=[sock])

        assert 0 == process.wait(GUARD_S), (tmp_path / "err").read_text()
