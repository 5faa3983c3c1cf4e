"""One ampmap takes over from another on the same listening socket, under load; no reply may be lost or cut.

``python tests/restarts.py COUNT`` restarts that often and prints what became of the requests.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import to_thread
from kit import Peer, post, wrapped
from manager import Manager, Process

from ampmap.commands.stand_in import StandIn, standing_in

CLIENTS = 24
_GUARD_S = 60.0  # the clients leave a busy machine little for a start
WORD_S = 0.004  # a stream lasts some 50 ms

CONFIG = """\
listen: 127.0.0.1:0
amp-upstream-url: ''
amp-model-mappings: [{{from: asked, to: served}}]
providers: [{{name: p, base-url: '{url}', protocols: [openai-chat], models: [served]}}]
log: {{level: warning}}
"""


@dataclass
class Tally:
    """What became of the requests; ``lost`` holds a line for each that was refused, cut or answered wrongly."""

    kinds: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    again: int = 0  # an idle connection had ended before a byte of the reply came; asked on another, as clients do
    last: int = 0  # replies that said "Connection: close"
    takeover_s: list[float] = field(default_factory=list)  # from TERM to the exit of the old process

    @property
    def replies(self) -> int:
        return sum(self.kinds.values())


class Client:
    """Asks one thing after the other: streams and plain replies, on one connection or on a new one each time."""

    def __init__(self, number: int, address: tuple[str, int], tally: Tally) -> None:
        self._number = number
        self._address = address
        self._tally = tally
        self._chance = random.Random(number)
        self._keeps = number % 3 != 0
        self._peer: Peer | None = None
        self._asked = 0

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Ask until it is over."""
        try:
            while not is_over():
                await self._ask()
                await anyio.sleep(self._chance.choice((0, 0, 0.001, 0.01, 0.05)))  # think
        finally:
            await self._leave()

    async def _ask(self) -> None:
        self._asked += 1
        name, streams = f"{self._number}/{self._asked}", self._number % 2 == 1
        asked = json.dumps({"id": name, "model": "asked", "stream": streams}).encode()
        request = post(asked, *(() if self._keeps else (b"Connection: close",)))
        is_reused = self._peer is not None
        problem = await self._exchange(request, streams)
        if problem == "nothing" and is_reused:
            self._tally.again += 1
            problem = await self._exchange(request, streams)
        if problem:
            self._tally.lost.append(f"{name}: {problem}")
        else:
            kind = "streamed" if streams else "plain"
            self._tally.kinds[f"{kind} {'on a kept connection' if is_reused else 'on a new connection'}"] += 1

    async def _exchange(self, request: bytes, streams: bool) -> str:
        """Ask once; return what went wrong, "nothing" where the connection ended before the reply began."""
        try:
            if self._peer is None:
                self._peer = Peer(await wrapped(await to_thread.run_sync(socket.create_connection, self._address)))
            await self._peer.send(request)
            reply = await self._peer.read_message()
        except OSError as exc:
            return f"refused: {exc}"
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            begun = self._peer is not None and self._peer.buffer
            await self._leave()
            return "cut within its head" if begun else "nothing"
        if reply.one(b"connection") == b"close":
            self._tally.last += 1
            await self._leave()
        if not reply.whole:
            await self._leave()
            return f"cut after {len(reply.body)} bytes"
        end = b"data: [DONE]\n\n" if streams else b"}"
        if reply.status != 200 or b'"asked"' not in reply.body or not reply.body.rstrip(b" ").endswith(end):
            return f"answered wrongly: {reply.status} {reply.body!r}"
        return ""

    async def _leave(self) -> None:
        if self._peer is not None:
            peer, self._peer = self._peer, None
            await peer.close()


async def restart(count: int, home: Path, told: Callable[[int, Tally], None] = lambda number, tally: None) -> Tally:
    """Let ``count`` proxies take over, one from the other, under load; return what became of the requests.

    Also holds that each request reached the provider once, and that each proxy ended with code 0.
    """
    tally = Tally()
    over = False
    async with standing_in("p", word_s=WORD_S) as provider:
        config = home / "ampmap.yaml"
        config.write_text(CONFIG.format(url=provider.url))
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening, closing(Manager(home)) as manager:
            now = manager.start("--config", str(config), sockets=[listening])
            await now.ready()
            async with anyio.create_task_group() as group:
                clients = [Client(number, listening.getsockname(), tally) for number in range(CLIENTS)]
                for client in clients:
                    group.start_soon(client.run, lambda: over)
                served: set[str] = set()
                for number in range(count):
                    now = await _take_over(now, manager.start("--config", str(config), sockets=[listening]), tally)
                    _count_asked(provider, served, tally)
                    told(number + 1, tally)
                over = True
            _count_asked(provider, served, tally)
            now.signal(signal.SIGTERM)
            assert 0 == await now.ended()
    assert tally.replies <= len(served) <= tally.replies + len(tally.lost)
    return tally


async def _take_over(old: Process, new: Process, tally: Tally) -> Process:
    await new.ready(_GUARD_S)
    before, began = tally.replies, time.monotonic()
    old.signal(signal.SIGTERM)
    assert 0 == await old.ended(_GUARD_S)
    tally.takeover_s.append(time.monotonic() - began)
    old.kill()
    while tally.replies < before + CLIENTS:  # the new one serves them all
        await anyio.sleep(0.002)
    return new


def _count_asked(provider: StandIn, served: set[str], tally: Tally) -> None:
    seen, provider.seen = provider.seen, []
    for request in seen:
        name = json.loads(request.body)["id"]
        if name in served:
            tally.lost.append(f"{name}: sent to the provider twice")
        served.add(name)


def shown(tally: Tally) -> str:
    """Return a summary for people."""
    waits = sorted(tally.takeover_s)
    median, most = waits[len(waits) // 2], waits[-1]
    kinds = "; ".join(f"{kind}: {number}" for kind, number in sorted(tally.kinds.items()))
    return (
        f"{len(waits)} restarts, {tally.replies} replies, {len(tally.lost)} lost or cut, {tally.again} asked again\n"
        f"{kinds}; with 'Connection: close': {tally.last}\n"
        f"from TERM to the end: median {median:.3f} s, most {most:.3f} s"
    )


def main(count: int) -> int:
    def told(number: int, tally: Tally) -> None:
        if number % 50 == 0:
            print(f"{number}: {tally.replies} replies, {len(tally.lost)} lost, {tally.again} again", flush=True)

    with tempfile.TemporaryDirectory() as home:
        tally = anyio.run(restart, count, Path(home), told)
    print(shown(tally))
    for line in tally.lost[:20]:
        print(line)
    return 1 if tally.lost else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
