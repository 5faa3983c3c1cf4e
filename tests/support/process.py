"""ampmap as a process of its own: started on a configuration, asked over its socket, looked at from outside, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import anyio
from anyio import to_thread
from kit import GUARD_S, Message, Peer, connected, get

from ampmap.server import Server
from ampmap.settings import Origin

MIB = 1024 * 1024
_TICKS = os.sysconf("SC_CLK_TCK")

# ``serve`` takes uvloop where it is installed, as it is where tests are run.
PROGRAM: tuple[str, ...] = ("-m", "ampmap")
ON_ASYNCIO = ("-c", "import sys; sys.modules['uvloop'] = None; from ampmap.__main__ import main; sys.exit(main())")

File = int | IO[bytes]


@dataclass(slots=True)
class Process:
    """A proxy that listens at ``url``."""

    popen: subprocess.Popen[bytes]
    url: str

    def connected(self, *, receive_bytes: int = 0) -> AbstractAsyncContextManager[Peer]:
        """Connect a client."""
        return connected(cast(Server, self), receive_bytes=receive_bytes)  # which wants to know its URL, no more

    async def ask(self, request: bytes) -> Message:
        """Send one request on a connection of its own; return the final response."""
        async with self.connected() as client:
            await client.send(request)
            return await client.read_final()

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self.popen.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end; return the exit code."""
        with anyio.fail_after(GUARD_S):
            return await to_thread.run_sync(self.popen.wait, abandon_on_cancel=True)

    async def said(self, words: bytes) -> bytes:
        """Wait until a line of standard error has ``words`` in it; return it. For a process whose log is a pipe."""
        assert self.popen.stderr is not None
        with anyio.fail_after(GUARD_S):
            while words not in (line := await to_thread.run_sync(self.popen.stderr.readline, abandon_on_cancel=True)):
                assert line, "the log has ended"
        return line

    @property
    def peak_bytes(self) -> int:
        """The most memory that it has had at once since :meth:`forget_peak`, as the kernel counts it."""
        return self._status("VmHWM")

    @property
    def resident_bytes(self) -> int:
        """The memory that it has now."""
        return self._status("VmRSS")

    def forget_peak(self) -> None:
        """Measure the peak from now on."""
        Path(f"/proc/{self.popen.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.popen.pid}/status").read_text().splitlines()
        (found,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
        return int(found) * 1024

    @property
    def cpu_s(self) -> float:
        """The CPU time that it has used."""
        return sum(map(int, self._stat()[11:13])) / _TICKS

    @property
    def is_asleep(self) -> bool:
        """Whether its main thread waits for something, and not for a processor."""
        return self._stat()[0] == "S"

    def _stat(self) -> list[str]:
        return Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()

    @property
    def file_count(self) -> int:
        """How many files it has open."""
        return len(os.listdir(f"/proc/{self.popen.pid}/fd"))


@contextmanager
def process(
    *arguments: str,
    program: tuple[str, ...] = (),
    stderr: File = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
    prepare: Callable[[], None] | None = None,
) -> Iterator[Process]:
    """Run ``python -m ampmap`` until the block ends; ``prepare`` runs in it before it becomes that program."""
    popen = subprocess.Popen(
        [sys.executable, *(program or PROGRAM), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **(env or {})},
        preexec_fn=prepare,
    )
    try:
        assert popen.stdout is not None
        block = b""
        while b"Gemini CLI" not in block:
            line = popen.stdout.readline()
            assert line, (block, popen.communicate())
            block += line
        yield Process(popen, block.partition(b"listens on ")[2].split()[0].decode())
    finally:
        popen.kill()
        popen.communicate()


def configuration(origin: Origin, more: str = "", *, base_path: str = "") -> str:
    """Return a configuration in which ``origin`` is the Amp upstream and the provider of the model ``m``."""
    return f"""\
listen: 127.0.0.1:0
amp-upstream-url: '{origin}'
amp-upstream-api-key: sgamp_key
amp-model-mappings: [{{from: alias, to: m}}]
providers:
  - name: local
    base-url: '{origin}{base_path}'
    protocols: [openai-chat, anthropic]
    models: [m]
    api-key: provider-key
{more}
"""


async def served(proxy: Process, count: int) -> None:
    """See that ``count`` requests on one connection are answered; their records are long: 64 KiB of pipe hold few."""
    async with proxy.connected() as client:
        for _ in range(count):
            await client.send(get(b"/" + b"x" * 900))
            assert 404 == (await client.read_final()).status


@asynccontextmanager
async def proxying_process(
    directory: Path,
    origin: Origin,
    more: str = "",
    *,
    program: tuple[str, ...] = (),
    stderr: File = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
    prepare: Callable[[], None] | None = None,
    guard_s: float = 3 * GUARD_S,
) -> AsyncIterator[Process]:
    """Run a proxy in front of ``origin``, its configuration in ``directory``; end it with the context."""
    path = directory / "ampmap.yaml"
    path.write_text(configuration(origin, more))
    with process("--config", str(path), program=program, stderr=stderr, env=env, prepare=prepare) as found:
        with anyio.fail_after(guard_s):
            yield found


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(env or {})}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=3 * GUARD_S, env=environment)
