"""ampmap as a process, its upstreams as processes, and what is done to them: reloads, signals, deaths."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import trustme

from .wire import Broken, Line

UPSTREAMS = {
    "amp": (),
    "amp-tls": (),
    "chat": ("chat-a", "chat-b", "vendor/chat-c"),
    "claude": ("claude-a",),
    "gem": ("gem-a", "gem-b"),
    "vault": ("vault-1", "vault-2"),
    "spare": ("spare-a",),
}  # fmt: skip

TLS = ("vault", "amp-tls")
BROKEN = ("syntax", "key", "type", "empty", "gone")
_HERE = Path(__file__).parent.parent
_TESTS = f"{_HERE}{os.pathsep}{_HERE / 'support'}"
_IN_FORCE_S = 8.0  # a saved file is read within a second; this machine may be busy


@dataclass(slots=True)
class Outage:
    """When an upstream was away, in seconds of the monotonic clock, with the rest that ampmap grants it afterwards."""

    upstream: str
    since: float
    until: float = float("inf")


class UpstreamProcess:
    """One stand-in, which can be killed and started again in the same place."""

    def __init__(self, name: str, number: int, folder: Path, certificate: Path | None) -> None:
        self.name = name
        # An address of its own: no client's port on 127.0.0.1 can take this one's place while it is away.
        self.host = f"127.0.0.{number + 2}"
        with socket.socket() as sock:
            sock.bind((self.host, 0))
            self.port = sock.getsockname()[1]
        self._log = folder / f"{name}.seen"
        self._log.write_bytes(b"")
        self._read = 0
        self._certificate = certificate
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        arguments = [self.name, self.host, str(self.port), str(self._log), ",".join(UPSTREAMS[self.name])]
        arguments += [str(self._certificate)] if self._certificate else []
        env = os.environ | {"PYTHONPATH": _TESTS}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "soak.upstream", *arguments, stdout=asyncio.subprocess.PIPE, env=env
        )
        assert self._process.stdout is not None
        said = await self._process.stdout.readline()
        if said != b"ready\n":
            raise RuntimeError(f"the stand-in {self.name} does not start: {said!r}")

    async def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def notes(self) -> Iterator[tuple[str, list[str]]]:
        """Yield what it has noted since the last time."""
        with self._log.open("rb") as file:
            file.seek(self._read)
            found = file.read()
        self._read += len(found)
        for line in found.decode().splitlines():
            yield self.name, line.split()


def make_upstreams(folder: Path) -> dict[str, UpstreamProcess]:
    """Make the stand-ins, and the authority that one of them needs."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    made: dict[str, UpstreamProcess] = {}
    for number, name in enumerate(UPSTREAMS):
        certificate = None
        if name in TLS:
            certificate = folder / f"{name}.pem"
            authority.issue_cert(f"127.0.0.{number + 2}").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        made[name] = UpstreamProcess(name, number, folder, certificate)
    return made


class Proxy:
    """The process that is soaked."""

    def __init__(self, folder: Path, upstreams: dict[str, UpstreamProcess], random: Random) -> None:
        self.config = folder / "ampmap.yaml"
        self.log = folder / "ampmap.log"
        self.port = 0
        self.pid = 0
        self._folder = folder
        self._held = folder / "held.json"
        self._upstreams = upstreams
        self._random = random
        self._turn = 0
        self._counted = 0
        self._process: asyncio.subprocess.Process | None = None
        self._line: Line | None = None
        self._asking = asyncio.Lock()
        self.asked = 0  # pages fetched, each a record
        self.unanswered = 0  # pages asked for in vain, each perhaps a record

    def text(self, turn: int, more: str = "") -> str:
        """Return a configuration that works; each turn's is another one."""
        lines = [f"listen: 127.0.0.1:{self.port}", f"amp-upstream-url: {self._url(('amp', 'amp-tls')[turn % 2])}"]
        lines += ["amp-upstream-api-key: sgamp_soak", "amp-credits: warn", "amp-model-mappings:"]
        rules = [
            "{from: big-brain, to: chat-a, credits: refuse}",
            f"{{from: shift, to: chat-{'ab'[turn % 2]}, credits: refuse}}",
            "{from: twice, to: [chat-b, spare-a], credits: refuse}",
            "{from: opus, to: claude-a, credits: refuse}",
            "{from: gem-far, to: gem-b, credits: refuse}",
            "{from: '^behind-tls', to: vault-2, regex: true, credits: refuse}",
            "{from: never, to: nobody-has-this-either, credits: refuse}",
        ]
        rules += [f"{{from: filler-{turn}-{number}, to: chat-a}}" for number in range(20)]  # as many each time
        Random(turn).shuffle(rules)
        lines += [f"  - {rule}" for rule in [*rules, f"{{from: marker-{turn}, to: chat-a}}"]]
        lines += [
            "providers:",
            f"  - {{name: chat, base-url: '{self._url('chat')}', protocols: [openai-chat], api-key: k1,",
            "     models: [chat-a, chat-b, {id: chat-c, upstream: vendor/chat-c}]}",
            f"  - {{name: claude, base-url: '{self._url('claude')}', protocols: [anthropic], api-key: k2,",
            "     auth: x-api-key, models: [claude-*]}",
            f"  - {{name: gem, base-url: '{self._url('gem')}', protocols: [gemini], api-key: k3,",
            "     auth: x-goog-api-key, models: discover}",
            f"  - {{name: vault, base-url: '{self._url('vault')}', protocols: [openai-chat], api-key: k4,",
            f"     ca-file: {self._folder / 'ca.pem'}, models: [vault-1, vault-2]}}",
            f"  - {{name: spare, base-url: '{self._url('spare')}', protocols: [openai-chat], api-key: k5,",
            f"     models: [spare-a], headers: {{X-RequestContext: '{turn}'}}}}",
            # Short, so that what stalls is seen to be cut; who is only slow never pauses so long.
            "timeouts: {connect-s: 4, head-s: 5, body-idle-s: 5, response-head-s: 4, stream-idle-s: 4,",
            "  write-stall-s: 10, drain-s: 5}",
            f"limits: {{model-body-bytes: 8000000, idle-per-origin: {2 + turn % 31}}}",
        ]
        return "\n".join(lines) + "\n" + more

    def _url(self, name: str) -> str:
        upstream = self._upstreams[name]
        return f"http{'s' if name in TLS else ''}://{upstream.host}:{upstream.port}"

    async def start(self) -> None:
        """Start ampmap, and wait until it is ready."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.config.write_text(self.text(0))
        self._held.unlink(missing_ok=True)
        named = {"HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder), "PYTHONPATH": _TESTS}
        named["SSL_CERT_FILE"] = str(self._folder / "ca.pem")  # whom it trusts; a provider can have a ca-file besides
        strange = ("PROXY", "AMP", "_API_KEY", "PYTHONPATH", "PYTHONASYNCIODEBUG", "PYTHONWARNINGS")
        env = {k: v for k, v in os.environ.items() if not k.upper().endswith(strange) and not k.startswith("AMP")}
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-W", "always::ResourceWarning", "-m", "soak.inside", str(self._held),
                "--config", str(self.config), stdout=asyncio.subprocess.DEVNULL, stderr=log, env=env | named,
            )  # fmt: skip
        self.pid = self._process.pid
        for _ in range(400):
            with suppress(OSError, Broken):
                if b"ready" in await self.page("ready"):
                    return
            if self._process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        raise RuntimeError(f"ampmap does not start; see {self.log}")

    async def stop(self) -> int:
        """Let it drain; return its exit code."""
        if self._line is not None:
            await self._line.close()
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(20):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            return -1

    async def page(self, name: str) -> bytes:
        """Fetch a page under ``/_ampmap/`` on a connection kept for that."""
        async with self._asking:
            if self._line is None:
                self._line = await Line.connect("127.0.0.1", self.port)
            try:
                await self._line.send(b"GET /_ampmap/%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % name.encode())
                async with asyncio.timeout(20):
                    if (head := await self._line.head()) is None:
                        raise Broken("no answer")
                    found = b"".join([piece async for piece in self._line.body(head)])
            except BaseException:
                await self._line.close()
                self._line = None
                self.unanswered += 1
                raise
            self.asked += 1
            return found

    async def metrics(self) -> dict[str, float]:
        """Fetch the numbers; those of requests are added up under ``requests``."""
        found: dict[str, float] = {"requests": 0}
        for line in (await self.page("metrics")).decode().splitlines():
            if not line.startswith("#"):
                name, _, number = line.rpartition(" ")
                found[name] = float(number)
                if name.startswith("ampmap_requests_total"):
                    found["requests"] += float(number)
        return found

    async def holdings(self, *, trim: bool = False) -> dict[str, Any]:
        """Let it collect its garbage, and return what it holds afterwards: see ``inside``."""
        self._counted += 1
        os.kill(self.pid, signal.SIGUSR2 if trim else signal.SIGUSR1)
        async with asyncio.timeout(20):
            while True:
                with suppress(FileNotFoundError):
                    found: dict[str, Any] = json.loads(self._held.read_text())
                    if found["turn"] == self._counted:
                        return found
                await asyncio.sleep(0.02)

    async def reload_well(self) -> str:
        """Save other rules; return what went wrong, or nothing."""
        self._turn += 1
        text = self.text(self._turn)
        if self._random.random() < 0.5:
            beside = self.config.with_suffix(".new")
            beside.write_text(text)
            beside.rename(self.config)
        else:
            self.config.write_text(text)
        marker = f"marker-{self._turn}'"
        return await self._until(lambda status: any(marker in rule["rule"] for rule in status["rules"]),
                                 "good rules were saved, but did not come into force")  # fmt: skip

    async def reload_badly(self) -> tuple[str, str]:
        """Save what can't be used; return how, and what went wrong, or nothing."""
        how = self._random.choice(BROKEN)
        before = json.loads(await self.page("status"))
        good = self.text(self._turn)
        broken = {
            "syntax": good + "listen: [",
            "key": good + "provider: {}\n",
            "type": good + "log: loud\n",
            "empty": "",
        }
        if how == "gone":
            self.config.unlink()
        else:
            self.config.write_text(broken[how])
        failed = before["last_reload"]["failed_at"]
        wrong = await self._until(lambda status: status["last_reload"]["failed_at"] != failed,
                                  f"a broken file ({how}) was not complained of")  # fmt: skip
        after = json.loads(await self.page("status"))
        if not wrong and (after["generation"], after["rules"] == []) != (before["generation"], False):
            wrong = f"a broken file ({how}) changed the rules in force"
        return how, wrong

    async def hang_up(self) -> str:
        """Send HUP; return what went wrong, or nothing."""
        before = json.loads(await self.page("status"))["generation"]
        os.kill(self.pid, signal.SIGHUP)
        return await self._until(lambda status: status["generation"] > before, "HUP did not reload")

    async def _until(self, fact: Callable[[dict[str, Any]], bool], complaint: str) -> str:
        until = time.monotonic() + _IN_FORCE_S
        while time.monotonic() < until:
            status = json.loads(await self.page("status"))
            if fact(status):
                return ""
            await asyncio.sleep(0.1)
        return complaint
