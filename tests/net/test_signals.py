"""HUP: it reloads, from the first moment of a start; it ends ampmap only when the terminal has really gone."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM

import pytest
from kit import GUARD_S
from process import run

CONFIG = "listen: 127.0.0.1:0\n"
RELOADED = b"configuration reloaded"


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    path = tmp_path / "ampmap.yaml"
    path.write_text(CONFIG)
    return [sys.executable, "-m", "ampmap", "--config", str(path)]


class Started:
    """An ampmap whose log is a file."""

    def __init__(self, command: list[str], log: Path, prepare: Callable[[], None] = lambda: None) -> None:
        self.log = log
        with log.open("wb") as file:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, preexec_fn=prepare, close_fds=True
            )

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 3 * GUARD_S
        while not holds():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.005)

    def until_said(self, words: bytes, count: int = 1) -> None:
        self.until(lambda: self.log.read_bytes().count(words) >= count)

    def until_blocked(self) -> None:
        """Wait until HUP is blocked, which is done before anything else is imported."""
        status = Path(f"/proc/{self.popen.pid}/status")
        self.until(lambda: "SigBlk:\t0000000000000001" in status.read_text())

    def close(self) -> None:
        self.popen.kill()
        self.popen.wait()


def test_hup_in_a_start_ends_nothing_and_reloads_once_afterwards(command: list[str], tmp_path: Path) -> None:
    with closing(Started(command, tmp_path / "log")) as it:
        it.until_blocked()
        assert b"" == it.log.read_bytes()
        for _ in range(3):
            it.popen.send_signal(SIGHUP)
        it.until_said(RELOADED)
        it.popen.send_signal(SIGTERM)
        assert 0 == it.popen.wait(GUARD_S)

    assert 1 == it.log.read_bytes().count(RELOADED)


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_a_start_is_ended_by_a_signal_without_a_traceback(
    number: signal.Signals, command: list[str], tmp_path: Path
) -> None:
    with closing(Started(command, tmp_path / "log")) as it:
        it.until_blocked()
        it.popen.send_signal(number)

        assert it.popen.wait(GUARD_S) in (-number, 130)
    assert b"" == it.log.read_bytes()


def test_hup_ends_other_commands() -> None:
    code = "import os, signal; from ampmap.__main__ import main; signal.raise_signal(1); main(['--help'])"

    assert -SIGHUP == run("-c", code.replace("--help", "map', 'list', '--config', '/dev/null")).returncode


# Terminals.


@contextmanager
def terminal() -> Iterator[tuple[int, Callable[[], None]]]:
    """Open a terminal; yield its master, and what makes it the controlling one of a new session."""
    master, slave = pty.openpty()

    def control() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        os.close(slave)

    try:
        yield master, control
    finally:
        os.close(slave)
        with suppress(OSError):  # the test has closed it
            os.close(master)


def ignoring_hup(prepare: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        prepare()
        signal.signal(SIGHUP, signal.SIG_IGN)

    return both


def test_hup_reloads_while_the_terminal_is_there(command: list[str], tmp_path: Path) -> None:
    with terminal() as (_, control), closing(Started(command, tmp_path / "log", control)) as it:
        it.until_said(b"listens on")
        for number in (1, 2):
            it.popen.send_signal(SIGHUP)
            it.until_said(RELOADED, number)

        assert it.popen.poll() is None


def test_a_terminal_that_goes_ends_it_as_term_does(command: list[str], tmp_path: Path) -> None:
    with terminal() as (master, control), closing(Started(command, tmp_path / "log", control)) as it:
        it.until_said(b"listens on")
        os.close(master)

        assert 0 == it.popen.wait(GUARD_S)
    assert b"SIGHUP: the terminal has gone" in it.log.read_bytes()


def test_so_does_the_terminal_of_a_shell_that_started_it(command: list[str], tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    shell = ["bash", "-c", f'"$@" & echo $! > {pids}; wait; wait', "bash", *command]
    with terminal() as (master, control), closing(Started(shell, tmp_path / "log", control)) as it:
        it.until_said(b"listens on")
        pid = int(pids.read_text())
        os.close(master)
        it.popen.wait(GUARD_S)
        os.kill(pid, SIGHUP)  # a shell that passes none on, as this one is no interactive one
        it.until_said(b"SIGHUP: the terminal has gone")
        it.until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())


def test_hup_that_was_ignored_from_the_start_reloads_without_a_terminal(command: list[str], tmp_path: Path) -> None:
    with terminal() as (master, control):
        with closing(Started(command, tmp_path / "log", ignoring_hup(control))) as it:
            it.until_said(b"listens on")
            os.close(master)  # the kernel sends HUP to the leader of a session
            it.until_said(RELOADED, 1)
            it.popen.send_signal(SIGHUP)
            it.until_said(RELOADED, 2)

            assert it.popen.poll() is None


def test_a_process_without_a_terminal_reloads(command: list[str], tmp_path: Path) -> None:
    with closing(Started(command, tmp_path / "log", os.setsid)) as it:
        it.until_said(b"listens on")
        it.popen.send_signal(SIGHUP)
        it.until_said(RELOADED)

        assert it.popen.poll() is None
