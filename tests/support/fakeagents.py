"""Agents as small scripts, run by ``ampmap run`` in a home of their own, at a real terminal where a test wants one."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from anyio.from_thread import start_blocking_portal
from platforms import program
from process import ON_ASYNCIO, PROGRAM

from ampmap.commands.stand_in import StandIn, standing_in

GUARD_S = 40.0

# What agents begin with: `ask` sends one request for a model and returns its status, or the connection's first bytes.
_PRELUDE = """\
#!{python}
import http.client, json, os, signal, sys, time
from urllib.parse import urlsplit

def ask(model="claude-opus-4-8", stream=False, close=True):
    at = urlsplit(os.environ["ANTHROPIC_BASE_URL"])
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    body = json.dumps({{"model": model, "max_tokens": 9, "messages": [], "stream": stream}})
    fields = {{"Content-Type": "application/json", "x-api-key": os.environ.get("ANTHROPIC_AUTH_TOKEN", "")}}
    connection.request("POST", "/v1/messages", body, fields)
    reply = connection.getresponse()
    if stream:
        return connection, reply.read(20)
    reply.read()
    return reply.status

def say(*words):
    print(*words, flush=True)
"""


_PROGRAMS = {
    "uvloop": PROGRAM,
    "asyncio": ON_ASYNCIO,
    "as on macOS": program("macOS"),
    "as on Windows": program("Windows"),
    # Where ampmap waits for its own stop behind its child's, it waits until a file is there, and tells so by another.
    "slow to stop": (
        "-c",
        "import sys; from pathlib import Path; from ampmap.commands import child; wait = child.time.sleep; "
        "child.time.sleep = lambda seconds: (Path('stopping').touch(), "
        "[wait(0.01) for _ in iter(Path('goes-on').exists, True)]); "
        "from ampmap.__main__ import main; sys.exit(main())",
    ),
}


@dataclass
class Bench:
    """A home, a folder of programs and a configuration before one stand-in; ``loop`` says what ampmap runs on."""

    root: Path
    provider: StandIn
    loop: str = "uvloop"
    more: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "bin").mkdir(exist_ok=True)
        (self.root / "home").mkdir(exist_ok=True)
        self.configure("claude-*")

    def configure(self, glob: str) -> None:
        """Write a configuration that maps a family to the stand-in's model, as editors do: by renaming."""
        new = self.root / "new"
        new.write_text(
            f"{self.more}\namp-model-mappings: [{{from: '{glob}', to: served}}]\nproviders: [{{name: local, base-url: "
            f"'{self.provider.url}', protocols: [anthropic], auth: none, models: [served]}}]\n"
        )
        new.chmod(0o600)
        new.rename(self.config)

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def log(self) -> Path:
        return self.root / "home" / ".local" / "state" / "ampmap" / "run.log"

    @property
    def env(self) -> dict[str, str]:
        path = f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}"
        kept = {name: text for name, text in os.environ.items() if name.startswith(("COV", "PYTHON", "LANG", "LC_"))}
        return {**kept, "HOME": str(self.root / "home"), "PATH": path, "AMPMAP_CONFIG": str(self.config),
                "TERM": "dumb", **self.variables}  # fmt: skip

    def agent(self, code: str, name: str = "claude") -> Path:
        """Put a script where an agent would be installed."""
        path = self.root / "bin" / name
        path.write_text(_PRELUDE.format(python=sys.executable) + code)
        path.chmod(0o755)
        return path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", *_PROGRAMS[self.loop], *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, away from any terminal."""
        return subprocess.run(
            self.command(*arguments), env=self.env, capture_output=True, text=True, timeout=GUARD_S,
            start_new_session=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def started(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command whose standard output is a pipe."""
        return subprocess.Popen(
            self.command(*arguments), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    @contextmanager
    def terminal(self, command: list[str]) -> Iterator[Terminal]:
        """Run a command as the leader of a session at a terminal of its own."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            command, env=self.env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), cwd=self.root,
        )  # fmt: skip
        os.close(theirs)
        terminal = Terminal(ours, process)
        try:
            yield terminal
        finally:
            process.kill()
            process.wait()
            terminal.hang_up()


@dataclass
class Terminal:
    """The user's side of a terminal."""

    descriptor: int
    process: subprocess.Popen[bytes]
    shown: str = ""

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, words: str) -> str:
        """Wait until the terminal has shown ``words``; return all that came before them, and forget it."""
        end = time.monotonic() + GUARD_S
        while words not in self.shown:
            ready, _, _ = select.select([self.descriptor], [], [], max(0.0, end - time.monotonic()))
            try:
                data = os.read(self.descriptor, 65536) if ready else b""
            except OSError:  # EIO: nobody has the other side open
                data = b""
            assert data, f"{words!r} is not shown; this is: {self.shown!r}"
            self.shown += data.decode("utf-8", "replace")
        before, _, self.shown = self.shown.partition(words)
        return before

    def hang_up(self) -> None:
        """Close the user's side, once."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    def ended(self) -> int:
        """Wait for the end of the command; return its exit code."""
        return self.process.wait(GUARD_S)


@contextmanager
def stood_in(word_s: float = 0.0, port: int = 0, models: tuple[str, ...] = ("served",)) -> Iterator[StandIn]:
    """Run a stand-in provider in a thread of its own."""
    with start_blocking_portal("asyncio") as portal:
        context = standing_in("local", models=models, word_s=word_s, port=port)
        with portal.wrap_async_context_manager(context) as provider:
            yield provider


def told(text: str) -> dict[str, object]:
    """Return what an agent told of itself, as one line of JSON."""
    found: dict[str, object] = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
    return found
