"""The floor of every proxy on asyncio: bytes handed on, nothing read in them. ``python -m benchmarks.relay PORT``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from .machine import start
from .proxies import Proxy
from .upstream import said


class _End(asyncio.Protocol):
    """One end of a connection; what it gets, the other end sends."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.early.append(data)
        else:
            self.other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.close()


class _Client(_End):
    """The client's end, which brings the upstream's with it."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._join())

    async def _join(self) -> None:
        transport, upstream = await asyncio.get_running_loop().create_connection(_End, "127.0.0.1", self._port)
        upstream.other, self.other = self.transport, transport
        for data in self.early:
            transport.write(data)


@contextmanager
def running(which: frozenset[int], directory: Path, port: int) -> Iterator[Proxy]:
    """Run the relay."""
    process = start([sys.executable, "-m", "benchmarks.relay", str(port)], which, directory / "relay.log")
    try:
        yield Proxy(int(said(process, "\n")), process)
    finally:
        process.stop()


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Client(port), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
