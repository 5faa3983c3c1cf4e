"""Run as a program: a network of its own whose name server is scripted, and a proxy in it; see ``test_lookup``.

``unshare --net --mount python silentnames.py LOOP SCENE`` prints a line of JSON. Only root may do that.

Names under ``silent.test`` are never answered. Names under ``late.test`` are 127.0.0.1 once the scene says so.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from anyio import to_thread
from kit import OK, answering, ask, post, provider, proxying, scripted, times, until

from ampmap.errors import DialFailed
from ampmap.http.dialer import Dialer
from ampmap.settings import Hop, Limits, Origin

_SERVER = "127.0.0.53"
CONNECT_S = 1.0  # less than what a silent name server is waited for


class NameServer:
    """A name server that counts its questions by name, and keeps those for late names until :meth:`answer`."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._kept: list[tuple[bytes, tuple[str, int]]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_SERVER, 53))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            question, sender = self._socket.recvfrom(512)
            self.asked.append(question[12 : question.index(b"\0", 12)])
            self._kept.append((question, sender))

    def answer(self) -> None:
        """Answer what was asked for late names."""
        for question, sender in self._kept:
            end = question.index(b"\0", 12) + 5
            if b"\x04late" in question:
                is_a = question[end - 4 : end - 2] == b"\0\1"
                head = question[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0"
                record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1" if is_a else b""
                self._socket.sendto(head + question[12:end] + record, sender)


def look_up_threads() -> list[str]:
    """Return the names of the threads that look names up."""
    return sorted(thread.name for thread in threading.enumerate() if "look-up" in thread.name)


async def healthy(names: NameServer) -> dict[str, object]:
    """Forty requests for a silent name, and then some for a provider in digits and for one on localhost."""
    async with scripted(answering(*[OK] * 10)) as upstream:
        port = upstream.origin.port
        providers = (
            provider(Origin("http", "a.silent.test", 80), name="silent", models=("silent",)),
            provider(upstream.origin, name="digits", models=("digits",)),
            provider(Origin("http", "localhost", port), name="localhost", models=("localhost",)),
        )
        async with proxying(upstream.origin, timeouts=times(connect_s=CONNECT_S), providers=providers) as proxy:
            silent: list[bytes] = []
            found: list[object] = []

            async def ask_silent() -> None:
                silent.append((await ask(proxy, post(b'{"model": "silent"}'))).body)

            async with anyio.create_task_group() as group:
                for _ in range(40):
                    group.start_soon(ask_silent)
                await until(look_up_threads)
                for model in (b"digits", b"localhost") * 2:
                    reply = await ask(proxy, post(b'{"model": "%b"}' % model))
                    found.append(reply.status)
            await ask_silent()
            resting = sorted(proxy.service.cooldowns.current())
            return {
                "healthy": found,
                "silent": silent[0].decode(),
                "resting": resting,
                "threads": look_up_threads(),
            }


async def shared(names: NameServer) -> dict[str, object]:
    """Forty dials of one name at once, of which every other one is cancelled before the name server answers."""
    async with scripted(answering(*[OK])) as upstream:
        dialer = Dialer({}, Limits(), 5.0)
        hop = Hop(Origin("http", "a.late.test", upstream.origin.port))
        reached: list[int] = []
        scopes = [anyio.CancelScope() for _ in range(40)]

        async def dial(number: int) -> None:
            with scopes[number]:
                _, raw = await dialer.dial(hop)
                reached.append(number)
                raw.abort()

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(dial, number)
            await until(lambda: len(names.asked) == 2)  # one for each family
            for scope in scopes[::2]:
                scope.cancel()
            names.answer()
        return {"reached": sorted(reached), "questions": len(names.asked), "threads": look_up_threads()}


async def outlived(names: NameServer) -> dict[str, object]:
    """Dials one after the other for a name whose look-up outlives each of them."""
    dialer = Dialer({}, Limits(), 0.1)
    said = []
    for _ in range(5):
        try:
            await dialer.dial(Hop(Origin("http", "b.silent.test", 80)))
        except DialFailed as exc:
            said.append(str(exc))
    return {"said": sorted(set(said)), "threads": look_up_threads(), "questions": len(names.asked)}


SCENES: dict[str, Callable[[NameServer], Awaitable[dict[str, object]]]] = {
    "healthy": healthy, "shared": shared, "outlived": outlived,
}  # fmt: skip


async def _play(scene: str) -> None:
    names = await to_thread.run_sync(NameServer)
    sys.stdout.write(json.dumps({**await SCENES[scene](names), "ended": time.monotonic()}))


def _ask_one_server() -> None:
    """Have all names of this namespace asked of the scripted server."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        for name, text in (("resolv.conf", f"nameserver {_SERVER}\n"), ("nsswitch.conf", "hosts: files dns\n")):
            path = Path(directory, name)
            path.write_text(text)
            subprocess.run(["mount", "--bind", str(path), f"/etc/{name}"], check=True)


if __name__ == "__main__":
    _ask_one_server()
    anyio.run(_play, sys.argv[2], backend_options={"use_uvloop": sys.argv[1] == "uvloop"})
