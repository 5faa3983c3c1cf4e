"""Run a proxy between a client and an upstream that are threads, and tell how long its worst callback took.

None of the peers' work counts. A busy machine makes CPU time longer, too; so the bound is for the best of a few tries,
each of which measures its worst callback.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import uvloop
from anyio import to_thread
from callbacks import Callbacks, watched
from kit import GUARD_S, proxying
from turnlengths import SLOWED

from ampmap.server import Server
from ampmap.settings import Origin, Provider

BOUND_S = 0.005 * SLOWED
TRIES = 6
CLOSE = b"Connection: close"

both_loops = pytest.mark.parametrize(  # without asyncio's debug mode, which takes longer than what is measured
    "anyio_backend",
    [("asyncio", {}), ("asyncio", {"loop_factory": uvloop.new_event_loop})],
    ids=["asyncio", "uvloop"],
)


def told(kind: bytes, body: bytes, *lines: bytes) -> bytes:
    """A reply that ends with its connection, if it is not in chunks."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%b\r\n" % (kind, b"".join(x + b"\r\n" for x in lines)) + body


@contextmanager
def answering(reply: bytes) -> Iterator[Origin]:
    """Answer each request with these bytes, in a thread; no more than the beginning of a request is looked at."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(sock: socket.socket) -> None:
        with sock, suppress(OSError):
            reader = threading.Thread(target=_drop, args=(sock,), daemon=True)
            if sock.recv(65_536):
                reader.start()
                sock.sendall(reply)
                sock.shutdown(socket.SHUT_WR)
                reader.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield Origin("http", "127.0.0.1", server.getsockname()[1])
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def _drop(sock: socket.socket) -> None:
    with suppress(OSError):
        while sock.recv(1 << 18):
            pass


def talk(proxy: Server, request: bytes) -> bytes:
    """Send bytes, and return how the answer begins once it has ended. For a thread."""
    host, _, port = proxy.url.removeprefix("http://").rpartition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=GUARD_S) as sock:
        begin = threading.Thread(target=_send, args=(sock, request), daemon=True)
        begin.start()
        with suppress(OSError):
            answer = sock.recv(65_536)
            _drop(sock)
        begin.join()
        return answer


def _send(sock: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        sock.sendall(data)


async def measured(request: bytes, reply: bytes, provider: Callable[[Origin], Provider] | None = None) -> Callbacks:
    """Run a proxy between a client and an upstream that say this; return how long its callbacks took.

    ``provider`` makes the upstream a provider of another format.
    """
    with answering(reply) as origin, watched(asyncio.get_running_loop()) as callbacks:
        providers = None if provider is None else (provider(origin),)
        async with proxying(None if provider else origin, providers=providers) as proxy:
            assert (await to_thread.run_sync(talk, proxy, request)).startswith(b"HTTP/1.1 ")
    return callbacks


async def least(
    request: bytes, reply: bytes, provider: Callable[[Origin], Provider] | None = None
) -> tuple[float, str]:
    """Return the worst callback of the best try."""
    found: list[tuple[float, str]] = []
    while len(found) < TRIES and (not found or min(found)[0] > BOUND_S):
        found.append((await measured(request, reply, provider)).worst)
    return min(found)
