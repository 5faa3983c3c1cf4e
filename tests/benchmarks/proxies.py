"""ampmap as a process of its own, as a user runs it; and what the bench knows of any proxy."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import bodies
from .machine import Process, start
from .upstream import said

_AMPMAP = """\
listen: 127.0.0.1:0
amp-upstream-url: ""
amp-model-mappings:
  - {{from: {asked}, to: {served}}}
providers:
  - name: bench
    base-url: {scheme}://127.0.0.1:{port}
    protocols: [{protocols}]
    api-key: sk-provider
    auth: bearer
    models: [{served}]
"""
_LISTENS = re.compile(r"listens on http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True)
class Proxy:
    """Something that listens; without a process it is the upstream itself."""

    port: int
    process: Process | None = None

    @property
    def running(self) -> Process:
        """The process, where there is one."""
        assert self.process is not None
        return self.process


@dataclass(frozen=True, slots=True)
class Subject:
    """A way through: a proxy, and the name that it is asked for."""

    label: str
    proxy: Proxy
    renames: bool
    chat_only: bool = False  # it knows a chat server and no other
    gives_back: bool = True  # replies name the model as the client did
    fewer: int = 1  # it is so slow that it gets one request for so many of the others'

    @property
    def model(self) -> str:
        """The name that the client asks for."""
        return bodies.ASKED if self.renames else bodies.SERVED


Running = AbstractContextManager[Proxy]


def ampmap_command(uvloop: bool) -> list[str]:
    """Return how ampmap is run."""
    return [sys.executable, "-m", "benchmarks.uvlooped" if uvloop else "ampmap"]


def ampmap_config(port: int, *, trust: str = "", protocols: str = "openai-chat, anthropic") -> str:
    """Return a configuration for an upstream at this port, with TLS when ``trust`` says who signed its certificate."""
    scheme = "https" if trust else "http"
    names = {"asked": bodies.ASKED, "served": bodies.SERVED}
    text = _AMPMAP.format(**names, scheme=scheme, port=port, protocols=protocols)
    return text + (f"    ca-file: {trust}\n" if trust else "")


def config_file(directory: Path, name: str) -> Path:
    """Return where a configuration goes: not beside a log, each write to which would wake who watches the directory."""
    home = directory / f"{name}-config"
    home.mkdir(exist_ok=True)
    return home / "ampmap.yaml"


@contextmanager
def ampmap(
    which: frozenset[int], directory: Path, port: int, *, trust: str = "", uvloop: bool = False, name: str = "ampmap",
    protocols: str = "openai-chat, anthropic",
) -> Iterator[Proxy]:  # fmt: skip
    """Run ampmap, its log in a file."""
    config = config_file(directory, name)
    config.write_text(ampmap_config(port, trust=trust, protocols=protocols))
    log = directory / f"{name}.log"
    log.unlink(missing_ok=True)
    process = start([*ampmap_command(uvloop), "--config", str(config)], which, log)
    try:
        found = _LISTENS.search(said(process, "OPENAI_BASE_URL"))
        assert found is not None
        yield Proxy(int(found[1]), process)
    finally:
        process.stop()
