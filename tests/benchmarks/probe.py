"""ampmap with a watch on its event loop: ``python -m benchmarks.probe FILE ARGUMENTS`` runs it.

The longest turn is kept in eight bytes of a shared file. Turns are counted in CPU time: what the machine does meanwhile
is not the loop's doing.
"""

from __future__ import annotations

import asyncio
import mmap
import re
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .machine import start
from .proxies import Proxy, ampmap_config, config_file
from .upstream import said

_NUMBER = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Probed:
    """An ampmap that is watched."""

    proxy: Proxy
    config: Path
    shared: mmap.mmap

    def longest_ns(self) -> int:
        """Return the longest turn since this was asked before."""
        found: int = _NUMBER.unpack_from(self.shared)[0]
        _NUMBER.pack_into(self.shared, 0, 0)
        return found


@contextmanager
def ampmap(which: frozenset[int], directory: Path, port: int) -> Iterator[Probed]:
    """Run ampmap and watch its loop."""
    log, file = (directory / f"probed.{kind}" for kind in ("log", "turn"))
    config = config_file(directory, "probed")
    config.write_text(ampmap_config(port))
    log.unlink(missing_ok=True)
    file.write_bytes(bytes(mmap.PAGESIZE))
    command = [sys.executable, "-m", "benchmarks.probe", str(file), "--config", str(config)]
    process = start(command, which, log)
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said(process, "OPENAI_BASE_URL"))
        assert found is not None
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as shared:
            yield Probed(Proxy(int(found[1]), process), config, shared)
    finally:
        process.stop()


def _watch(shared: mmap.mmap) -> None:
    run = asyncio.Handle._run
    clock = time.thread_time_ns

    def watched(handle: asyncio.Handle) -> None:
        began = clock()
        run(handle)
        took = clock() - began
        if took > _NUMBER.unpack_from(shared)[0]:
            _NUMBER.pack_into(shared, 0, took)

    setattr(asyncio.Handle, "_run", watched)  # noqa: B010 - a type checker knows that it is no attribute to be set


def main() -> int:
    """Run ampmap, watched."""
    from ampmap.commands.main import main as ampmap_main

    with open(sys.argv[1], "r+b") as opened, mmap.mmap(opened.fileno(), 0) as shared:
        _watch(shared)
        return ampmap_main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
