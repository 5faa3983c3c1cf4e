"""At a terminal: names that it cannot show, a port that is taken, a setting changed and changed back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from kit import GUARD_S, until
from process import process

from ampmap.commands.occupant import who_listens
from ampmap.config import file as configfile
from ampmap.proxy.reload import Source
from ampmap.server import running
from ampmap.settings import TcpListen, UnixListen

NAME = "千问-大🙂"
CONFIG = f"""\
listen: 127.0.0.1:0
amp-upstream-url: ''
amp-model-mappings: [{{from: é, to: {NAME}}}]
providers: [{{name: p, base-url: 'http://127.0.0.1:1', protocols: [openai-chat], models: [{NAME}]}}]
"""
ENCODINGS = [
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ampmap.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


# Characters that standard output and standard error cannot encode.


@pytest.mark.sample(1 / 5)
@pytest.mark.parametrize("env", ENCODINGS, ids=["latin-1", "ascii", "C"])
@pytest.mark.parametrize("command", ["check", "map list", f"explain {NAME}", f"map add x {NAME}", f"map remove {NAME}"])
def test_no_command_ends_at_a_character_that_cannot_be_shown(command: str, env: dict[str, str], config: Path) -> None:
    arguments = [sys.executable, "-m", "ampmap", *command.split(), "--config", str(config)]
    done = subprocess.run(
        [os.fsencode(argument) for argument in arguments], env={**os.environ, **env}, capture_output=True, timeout=30
    )

    assert b"Traceback" not in done.stderr, done.stderr
    assert done.returncode == (2 if "remove" in command else 0), done.stderr


def test_an_argument_that_is_no_text_is_an_error(config: Path) -> None:
    arguments = [sys.executable, "-m", "ampmap", "map", "add", "x", os.fsdecode(b"\xff"), "--config", str(config)]
    done = subprocess.run(arguments, capture_output=True, timeout=3 * GUARD_S)

    assert (2, b"ampmap: an argument is not UTF-8; write it as UTF-8\n") == (done.returncode, done.stderr)


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("env", ENCODINGS, ids=["latin-1", "ascii", "C"])
async def test_serve_shows_and_logs_every_name(env: dict[str, str], config: Path) -> None:
    encoding = env.get("PYTHONIOENCODING", "ascii")
    with process("--config", str(config), env=env) as it:
        body = f'{{"model": "{NAME}"}}'.encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert 502 == (await it.ask(head + body)).status
        line = await it.said(b"requested_model=")

    assert NAME.encode(encoding, "backslashreplace") in line


# A port that is taken.


@contextmanager
def listening(answer: bytes) -> Iterator[socket.socket]:
    """Listen on a port; answer one connection, or take it and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)
                if not answer:
                    client.recv(4096)

        threading.Thread(target=serve, daemon=True).start()
        yield server


async def test_a_port_that_ampmap_holds_is_told_with_the_option(config: Path) -> None:
    with process("--config", str(config)) as it:
        port = it.url.rpartition(":")[2]
        command = [sys.executable, "-m", "ampmap", "--config", str(config), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=3 * GUARD_S)

    assert 1 == done.returncode
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use: an ampmap listens there already" in done.stderr
    assert f"--port {int(port) + 1}" in done.stderr


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n\r\nhello", b"HTTP/1.1 404 No\r\n\r\nok\n", b"\0" * 100], ids=len
)
def test_a_port_of_another_program_is_told_with_its_process(answer: bytes) -> None:
    with listening(answer) as server:
        told = who_listens(TcpListen(port=server.getsockname()[1]))

    assert f"(process {os.getpid()}) listens there; choose another port by --port" in told


def test_the_last_port_has_no_next(tmp_path: Path) -> None:
    assert "another program listens there; choose another port by --port 8267" in who_listens(TcpListen(port=65535))


def test_a_unix_socket_of_another_program_is_told_with_the_setting(tmp_path: Path) -> None:
    told = who_listens(UnixListen(path=str(tmp_path / "s")))

    assert "another program listens there; choose another path under 'listen:'" == told


# Settings that need a restart.


async def test_a_listen_address_changed_and_changed_back_needs_no_restart(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ampmap")
    loaded = configfile.load(config, {})
    source = Source(config, partial(configfile.load, config, {}), loaded.files)
    changes = ("127.0.0.1:1", "127.0.0.1:1 # the same", "127.0.0.1:0")
    async with running(loaded.settings, env={}, source=source) as proxy:
        for number, listen in enumerate(changes, 1):
            config.write_text(CONFIG.replace("127.0.0.1:0", listen), encoding="utf-8")
            with anyio.fail_after(GUARD_S):
                await until(lambda number=number: proxy.service.snapshot.generation > number)  # type: ignore[misc]
    lines = [record.getMessage().partition(": ")[2] for record in caplog.records if "reloaded" in record.msg]

    needed = "listen: 127.0.0.1:0 -> 127.0.0.1:1; needs a restart"
    assert [needed, needed, "no change"] == lines
