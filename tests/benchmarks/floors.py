"""What a part of the work costs alone, in a process of its own on the proxy's core: the floor that no proxy gets below.

``python -m benchmarks.floors h11 COUNT`` and ``… json FILE COUNT`` print nanoseconds of CPU for one; ``… tls PORT COUNT
TRUST`` prints the bytes of memory that one bare TLS connection of asyncio holds.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path

import h11

from . import bodies
from .machine import printed


def h11_alone(count: int) -> float:
    """Return nanoseconds to parse a request's head and a reply's head with h11 and nothing around it."""
    request = bodies.head(2048)
    response = bodies.reply(bodies.SERVED).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    asked, end = h11.Request(method="POST", target="/", headers=[("Host", "a")]), h11.EndOfMessage()

    def both() -> None:
        server = h11.Connection(h11.SERVER)
        server.receive_data(request)
        server.next_event()
        client = h11.Connection(h11.CLIENT)
        client.send(asked)
        client.send(end)
        client.receive_data(response)
        client.next_event()

    began = time.process_time_ns()
    for _ in range(count):
        both()
    return (time.process_time_ns() - began) / count


def json_loads(path: Path, count: int) -> float:
    """Return nanoseconds to parse a body with ``json.loads``; the best of some, as the first pays for memory."""
    body = path.read_bytes()
    best = float("inf")
    for _ in range(count):
        began = time.process_time_ns()
        json.loads(body)
        best = min(best, time.process_time_ns() - began)
    return best


async def bare_tls(port: int, count: int, trust: str) -> float:
    """Return the bytes that a TLS connection of asyncio holds which has sent a request and reads its reply."""
    context = ssl.create_default_context(cafile=trust)
    request = bodies.request(bodies.chat(bodies.SERVED, 1024, stream=True))
    loop = asyncio.get_running_loop()
    heard: list[asyncio.Event] = []

    class Client(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.event = asyncio.Event()
            heard.append(self.event)
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(request)

        def data_received(self, data: bytes) -> None:
            self.event.set()

    async def connect_one() -> asyncio.BaseTransport:
        transport, _ = await loop.create_connection(Client, "127.0.0.1", port, ssl=context, server_hostname="127.0.0.1")
        return transport

    transports = [await connect_one() for _ in range(20)]  # pays for what is there once
    before = _resident()
    transports += [await connect_one() for _ in range(count)]
    for event in heard:
        await event.wait()
    found = (_resident() - before) / count
    for transport in transports:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.abort()
    return found


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measured(which: frozenset[int], *arguments: str) -> float:
    """Run this module as a program on these cores; return the figure that it prints."""
    return float(printed([sys.executable, "-m", "benchmarks.floors", *arguments], which))


def main() -> None:
    """Print the figure asked for."""
    what, *rest = sys.argv[1:]
    if what == "h11":
        h11_alone(200)
        figure = h11_alone(int(rest[0]))
    elif what == "json":
        figure = json_loads(Path(rest[0]), int(rest[1]))
    else:
        figure = asyncio.run(bare_tls(int(rest[0]), int(rest[1]), rest[2]))
    sys.stdout.write(f"{figure}\n")


if __name__ == "__main__":
    main()
