"""Nothing that a configuration names can block ampmap: neither its start, nor a reload, nor its end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import Any

import anyio
import lease
import pytest
from kit import GUARD_S
from process import Process, process, run
from watched import text, watching

from ampmap import files
from ampmap.files import NotRegular, read_regular

ADVICE = "use an environment variable or a file"
KEY_FILE = "providers: [{name: p, base-url: 'http://127.0.0.1:1', models: [m], api-key-file: special}]\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "config.yaml"
    path.parent.mkdir()
    path.write_text(text("old"))
    return path


@contextmanager
def special(kind: str, path: Path) -> Iterator[str]:
    """Put something that is no regular file at ``path``; yield its name in errors."""
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
            yield "it is a socket"
        return
    if kind == "fifo":
        os.mkfifo(path)
        yield "it is a pipe"
    elif kind == "directory":
        path.mkdir()
        yield "it is a directory"
    else:
        path.symlink_to("/dev/zero")
        yield "it is a device"


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize(
    ("command", "key", "kind"),
    [
        *(("check", "api-key-file", kind) for kind in ("fifo", "directory", "device", "socket")),
        *((command, "ca-file", "fifo") for command in ("check", "serve", "env")),
    ],
)
def test_a_file_that_is_named_is_a_regular_one_or_an_error(command: str, key: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(KEY_FILE.replace("api-key-file", key))
    with special(kind, tmp_path / "special") as what:
        done = run("-m", "ampmap", command, "--config", str(path))

    assert 2 == done.returncode
    assert f"{path}:1:" in done.stderr and f"cannot read this file: {what}; {ADVICE}" in done.stderr


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize(
    ("command", "kind", "is_member"),
    [
        *(("check", kind, True) for kind in ("fifo", "device", "socket")),
        *((command, "fifo", False) for command in ("serve", "explain m", "map list", "map add a b", "map remove a")),
    ],
)
def test_so_is_the_configuration_itself(is_member: bool, command: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    with special(kind, path) as what:
        done = run("-m", "ampmap", *command.split(), "--config", str(tmp_path if is_member else path))

    assert 2 == done.returncode
    assert f"{what}; {ADVICE}" in done.stderr


def test_so_is_what_ssl_cert_file_names(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    env = {"SSL_CERT_FILE": str(tmp_path / "p"), "HOME": str(tmp_path)}
    done = run("-m", "ampmap", "serve", "--port", "0", env=env)

    assert 2 == done.returncode
    assert f"the variable SSL_CERT_FILE cannot be used: it is a pipe; {ADVICE}" in done.stderr


def test_the_output_of_a_command_is_a_pipe() -> None:
    done = subprocess.run(
        ["bash", "-c", f"exec {sys.executable} -m ampmap check --config <(echo 'listen: 127.0.0.1:0')"],
        capture_output=True,
        text=True,
        timeout=GUARD_S,
    )

    assert 2 == done.returncode
    assert f"it is a pipe; {ADVICE}" in done.stderr


def test_a_pipe_that_takes_a_file_s_place_at_the_last_moment_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "p")
    monkeypatch.setattr(files, "require_regular", lambda path: None)  # as if it had been regular then

    with pytest.raises(NotRegular, match="it is a pipe"):
        read_regular(tmp_path / "p", 1)


def test_a_writer_of_a_pipe_is_not_let_go(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    with pytest.raises(NotRegular):
        read_regular(tmp_path / "p", 1)

    with pytest.raises(OSError, match="No such device or address"):  # nobody reads
        os.open(tmp_path / "p", os.O_WRONLY | os.O_NONBLOCK)


def test_a_file_on_which_somebody_has_a_lease_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("content")
    read: list[bytes] = []
    with lease.held(file) as release:
        code = f"from ampmap.files import read_regular; print(read_regular({str(file)!r}, 9))"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as popen:
            waits(popen.pid)
            release()
            read += popen.communicate(timeout=GUARD_S)[:1]

    assert [b"b'content'\n"] == read


def waits(pid: int) -> None:
    """Return when a thread of the process waits for a lease."""
    end = time.monotonic() + GUARD_S
    while not any("break_lease" in place_of(task) for task in Path(f"/proc/{pid}/task").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.005)


def place_of(task: Path) -> str:
    """Return where in the kernel a thread waits; nothing for one that has ended."""
    try:
        return (task / "wchan").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def keyed(key_file: Path, target: str = "keyed") -> str:
    provider = f"{{name: p, base-url: 'http://127.0.0.1:1', protocols: [gemini], api-key-file: {key_file}}}"
    return f"listen: 127.0.0.1:0\n{text(target)}providers: [{provider}]\n"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("the-key")
    return path


QUICK = {"poll_s": 0.05, "deadline_s": 0.3}
OVERDUE = "reading the configuration has not ended within 0.3 s"


@pytest.mark.parametrize("with_events", [True, False], ids=["events", "poll"])
async def test_a_reload_that_blocks_is_a_failed_one_and_later_edits_are_followed(
    with_events: bool, config: Path, key_file: Path
) -> None:
    async with watching(config, **QUICK, with_events=with_events) as watched:
        with lease.held(key_file):
            config.write_text(keyed(key_file))
            assert OVERDUE in await watched.complaint()
            config.write_text(text("new"))
            assert ["new"] == await watched.outcome(2)


async def test_a_file_that_blocks_once_it_is_in_use_stops_no_later_edit(config: Path, key_file: Path) -> None:
    config.write_text(keyed(key_file, "before"))
    async with watching(config, **QUICK) as watched:
        with lease.held(key_file):
            config.write_text(text("new"))
            assert OVERDUE in await watched.complaint()
            assert ["new"] == await watched.outcome(2)


async def test_a_reload_on_demand_that_blocks_says_so_each_time(config: Path, key_file: Path) -> None:
    config.write_text(keyed(key_file))
    done: list[int] = []
    async with watching(config, **QUICK) as watched:
        with lease.held(key_file):
            for number in (1, 2):
                watched.watcher.force(lambda number=number: done.append(number))  # type: ignore[misc]
                assert OVERDUE in await watched.complaint(number)
                await watched.until(lambda number=number: done[-1:] == [number])  # type: ignore[misc]


async def test_a_file_that_answers_again_is_loaded_without_being_asked_for(config: Path, key_file: Path) -> None:
    async with watching(config, **QUICK) as watched:
        with lease.held(key_file) as release:
            config.write_text(keyed(key_file))
            assert OVERDUE in await watched.complaint()
            release()
            assert ["keyed"] == await watched.outcome(2)


async def test_a_file_that_does_not_answer_is_told_of_once_and_takes_no_more_threads(config: Path) -> None:
    async with watching(config, **QUICK) as watched:
        with lease.held(config):
            watched.watcher.force()
            assert OVERDUE in await watched.complaint()
            before = threading.active_count()
            await anyio.sleep(2)  # forty polls
            assert 1 == len(watched.outcomes)
            assert threading.active_count() <= before + 1


@contextmanager
def unanswered(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each ``stat`` of a file wait, as on a network mount whose server is gone."""
    release = threading.Event()
    stat = os.stat

    def waiting(file: str | Path, **options: Any) -> os.stat_result:
        if file == path:
            release.wait()
        return stat(file, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", waiting)
        try:
            yield
        finally:
            release.set()


async def test_a_mount_that_does_not_answer_stops_no_later_edit(
    config: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(keyed(key_file, "before"))
    async with watching(config, **QUICK) as watched:
        with unanswered(key_file, monkeypatch):
            assert OVERDUE in await watched.complaint()
            config.write_text(text("new"))
            assert ["new"] == await watched.outcome(2)


async def test_a_configuration_on_such_a_mount_takes_no_more_threads_and_is_loaded_when_it_answers(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(config, **QUICK, with_events=False) as watched:
        with unanswered(config, monkeypatch):
            assert OVERDUE in await watched.complaint()
            before = threading.active_count()
            await anyio.sleep(1)  # twenty polls
            assert threading.active_count() <= before + 1  # all files, then the configuration's own alone
            assert 1 == len(watched.outcomes)
        assert ["old"] == await watched.outcome(2)


def test_a_start_that_blocks_is_an_error(tmp_path: Path, key_file: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(keyed(key_file))
    code = "import sys; from ampmap.commands import main, options; options.LOAD_S = 0.5; sys.exit(main.main())"
    with lease.held(key_file):
        done = run("-c", code, "serve", "--config", str(path))

    assert (2, f"{path}:1:1: {OVERDUE.replace('0.3', '0.5')}") == (
        done.returncode,
        done.stderr.partition(": a file")[0],
    )


@contextmanager
def stuck(tmp_path: Path, key_file: Path, more: str = "") -> Iterator[Process]:
    """Run a proxy of which a thread waits in the kernel for a file."""
    path = tmp_path / "c.yaml"
    path.write_text(keyed(key_file) + more)
    with process("--config", str(path)) as it, lease.held(key_file):
        it.signal(SIGHUP)
        waits(it.popen.pid)
        yield it


async def test_a_thread_that_is_stuck_does_not_hold_up_the_end(tmp_path: Path, key_file: Path) -> None:
    with stuck(tmp_path, key_file) as it:
        it.signal(SIGTERM)

        assert 0 == await it.ended()


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("numbers", [(SIGTERM, SIGTERM), (SIGTERM, SIGINT), (SIGINT, SIGTERM)])
async def test_a_second_signal_ends_a_proxy_of_which_a_thread_is_stuck(
    numbers: tuple[Signals, Signals], tmp_path: Path, key_file: Path
) -> None:
    with stuck(tmp_path, key_file, "timeouts: {drain-s: 1000}\n") as it:
        async with it.connected() as client:
            await client.send(b"POST /v1/messages HTTP/1.1\r\nContent-Length: 5\r\nHost: localhost\r\n\r\n1")
            it.signal(numbers[0])
            await it.said(b"draining")
            assert it.popen.poll() is None
            it.signal(numbers[1])

            assert 0 == await it.ended()


LOOP_IS_STUCK = """
import asyncio, sys, time
from ampmap.commands.process import end_within
from ampmap.net.signals import heard

async def run():
    with heard(end_within, lambda: float(sys.argv[1])):
        print("ready", flush=True)
        time.sleep(1000)

asyncio.run(run())
"""


@pytest.mark.parametrize(("drain_s", "signals"), [(0.2, 1), (1000, 2), (1000, 3)])
def test_it_ends_in_time_even_if_its_event_loop_is_stuck(drain_s: float, signals: int) -> None:
    with subprocess.Popen([sys.executable, "-c", LOOP_IS_STUCK, str(drain_s)], stdout=subprocess.PIPE) as it:
        assert it.stdout is not None and b"ready\n" == it.stdout.readline()
        for _ in range(signals):
            it.send_signal(SIGTERM)
            time.sleep(0.05)  # two that come at once are one
        try:
            assert 1 == it.wait(GUARD_S)
        finally:
            it.kill()
