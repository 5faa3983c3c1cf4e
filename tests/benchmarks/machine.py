"""The machine: who runs on which core, what a process has used, and processes that end with the bench. Linux only."""

from __future__ import annotations

import gc
import os
import platform
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CPU_CLOCK = 2  # CPUCLOCK_SCHED of a whole process, dead threads included; see clock_getcpuclockid(3)
STOP_S = 10.0
_TESTS = Path(__file__).parent.parent
PYTHON_PATH = {"PYTHONPATH": f"{_TESTS}{os.pathsep}{_TESTS / 'support'}"}  # programs of this package find it by itself


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the proxies and the core of everything else; neither on a machine with one core."""

    proxy: frozenset[int]
    load: frozenset[int]

    @property
    def pinned(self) -> bool:
        """Tell whether the two are apart."""
        return self.proxy != self.load


def cores() -> Cores:
    """Choose the first two cores that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        return Cores(frozenset(usable), frozenset(usable))
    return Cores(frozenset(usable[:1]), frozenset(usable[1:2]))


@contextmanager
def on(which: frozenset[int]) -> Iterator[None]:
    """Run on these cores meanwhile; processes started in it stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, which)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def many_files() -> Iterator[None]:
    """Allow as many open files as can be allowed meanwhile, in the processes started in it too."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def no_collector() -> Iterator[None]:
    """Let the garbage collector not run meanwhile: it would be seen as delays."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass(slots=True)
class Process:
    """A process of the bench, with its children."""

    popen: subprocess.Popen[bytes]
    log: Path
    pids: list[int] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self.popen.pid

    def with_children(self) -> None:
        """Count the processes that it has started, too."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        self.pids = [self.pid, *map(int, children)]

    def cpu_ns(self) -> int:
        """Return the CPU time used so far, in user and kernel."""
        return sum(time.clock_gettime_ns((~pid << 3) | CPU_CLOCK) for pid in self.pids)

    def memory(self, name: str = "VmRSS") -> int:
        """Return bytes of memory now, or at their highest: ``VmHWM``."""
        total = 0
        for pid in self.pids:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(f"{name}:"):
                    total += int(line.split()[1]) * 1024
        return total

    def forget_peak(self) -> None:
        """Let the highest memory be counted from now on."""
        for pid in self.pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        """End it, politely first."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        self.popen.wait()
        if self.popen.stdout is not None:
            self.popen.stdout.close()


def start(command: Sequence[str], which: frozenset[int], log: Path, env: dict[str, str] | None = None) -> Process:
    """Start a process on these cores; what it says goes to a file."""
    with on(which), log.open("ab") as output:
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**environment(), **(env or {})},
        )
    return Process(popen, log, [popen.pid])


def environment() -> dict[str, str]:
    """Return what programs see. They may keep what they have compiled, as they do where a user runs them."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **PYTHON_PATH}


class Meanwhile:
    """What others do on this machine while the bench runs."""

    def __init__(self) -> None:
        self._began = time.monotonic(), self._busy(), self._own()

    def others(self) -> float:
        """Return the share of all cores that others have used since; to be asked when our processes have ended."""
        began, busy, own = self._began
        used = self._busy() - busy - (self._own() - own)
        return max(0.0, used / (time.monotonic() - began) / (os.cpu_count() or 1))

    @staticmethod
    def _busy() -> float:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # neither idle nor waiting for a disk

    @staticmethod
    def _own() -> float:
        return sum(os.times()[:4])


def printed(command: Sequence[str], which: frozenset[int]) -> str:
    """Run a short program on these cores to its end; return what it printed."""
    env = environment()
    with on(which):
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120, env=env).stdout


def described() -> dict[str, str]:
    """Say what this machine is."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
