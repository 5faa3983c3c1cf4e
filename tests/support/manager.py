"""A stand-in for a service manager: starts ampmap as a process, hands it sockets, and hears what it says of itself."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import anyio
import pytest
from kit import GUARD_S

# What a manager does between fork and exec: the sockets get the numbers from 3 on, and LISTEN_PID tells whose they are.
LAUNCH = """
import os, sys
count = int(sys.argv.pop(1))
for number in range(count):
    os.dup2(int(sys.argv[1 + number]), 3 + number)
    os.close(int(sys.argv[1 + number]))
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, *sys.argv[1 + count:]])
"""

Notice = dict[str, str]
_SO_TIMESTAMP = 29  # socket(7)


class Process:
    """An ampmap that was started, and the notices that have come from it."""

    def __init__(self, started: subprocess.Popen[bytes], notices: socket.socket, errors: Path) -> None:
        self.started = started
        self._notices = notices
        self._notices.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMP, 1)
        self.noticed_at = 0.0  # when the last notice was sent, by the kernel's clock
        self._errors = errors

    async def notice(self, guard_s: float = GUARD_S) -> Notice:
        """Wait for the next notice; return its lines."""
        with anyio.fail_after(guard_s):
            while True:
                with suppress(BlockingIOError):
                    data, [(_, _, at)], _, _ = self._notices.recvmsg(65_536, 64)
                    seconds, microseconds = struct.unpack("ll", at)
                    self.noticed_at = seconds + microseconds / 1_000_000
                    return dict(line.split("=", 1) for line in data.decode().split("\n"))
                await anyio.wait_readable(self._notices)

    async def next_but_watchdog(self, guard_s: float = GUARD_S) -> Notice:
        """Wait for the next notice that is no sign of life."""
        while (notice := await self.notice(guard_s)) == {"WATCHDOG": "1"}:
            pass
        return notice

    async def ready(self, guard_s: float = GUARD_S) -> Notice:
        """Wait for the first notice; it says that the process is ready."""
        notice = await self.next_but_watchdog(guard_s)
        assert "1" == notice.get("READY"), notice
        return notice

    def heard(self) -> bool:
        """Whether there is a notice to be read."""
        return bool(select.select([self._notices], [], [], 0)[0])

    @property
    def naps(self) -> int:
        """How often its event loop has gone to sleep; an idle one does so after each timer."""
        status = Path(f"/proc/{self.started.pid}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    def deafen(self) -> None:
        """Hear nothing more: the notify socket is gone."""
        self._notices.close()

    def stderr(self) -> str:
        """Return what it has written to standard error."""
        return self._errors.read_text()

    def signal(self, number: signal.Signals) -> None:
        self.started.send_signal(number)

    async def ended(self, guard_s: float = GUARD_S) -> int:
        """Wait for its end; return its exit code."""
        with anyio.fail_after(guard_s):
            while (code := self.started.poll()) is None:
                await anyio.sleep(0.005)
        return code

    def kill(self) -> None:
        """Leave nothing behind."""
        if self.started.poll() is None:
            self.started.kill()
        self.started.wait()
        self._notices.close()


def launched(
    *arguments: str, errors: Path, sockets: Sequence[socket.socket] = (), env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start ``python ARGUMENTS`` with ``sockets`` handed over; what it complains of goes to the file ``errors``."""
    environment = {**os.environ, **(env or {})}
    command = [sys.executable, *arguments]
    high: list[int] = []  # numbers that no socket is going to get
    if sockets:
        environment.setdefault("LISTEN_FDS", str(len(sockets)))
        high = [fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, 100) for sock in sockets]
        command = [sys.executable, "-ISc", LAUNCH, str(len(high)), *map(str, high), *arguments]
    try:
        with errors.open("wb") as stderr:
            return subprocess.Popen(
                command,
                env=environment,
                pass_fds=high,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
    finally:
        for number in high:
            os.close(number)


class Manager:
    """Starts processes, to be closed; each has a notify socket of its own in ``home``, or in the abstract space."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._processes: list[Process] = []

    def start(
        self,
        *arguments: str,
        sockets: Sequence[socket.socket] = (),
        env: dict[str, str] | None = None,
        abstract: bool = False,
    ) -> Process:
        """Start ``python -m ampmap ARGUMENTS``."""
        name = f"notify-{len(self._processes)}"
        address = f"@ampmap-test-{os.getpid()}-{name}" if abstract else str(self._home / name)
        errors = self._home / f"{name}.err"
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notices.bind(address.replace("@", "\0", 1) if abstract else address)
        notices.setblocking(False)
        environment = {**(env or {}), "NOTIFY_SOCKET": address}
        try:
            started = launched("-m", "ampmap", *arguments, errors=errors, sockets=sockets, env=environment)
        except BaseException:
            notices.close()
            raise
        process = Process(started, notices, errors)
        self._processes.append(process)
        return process

    def close(self) -> None:
        """Kill what still runs."""
        for process in self._processes:
            process.kill()


@pytest.fixture
async def service_manager_of_a_test(tmp_path: Path, nothing_left: None) -> AsyncIterator[Manager]:
    """A manager that leaves no process behind."""
    with closing(Manager(tmp_path)) as manager:
        yield manager
