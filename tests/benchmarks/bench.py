"""What a work is given: who takes part, where they run, how long it may take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import bodies, load, nginx, peers, proxies, relay, upstream
from .machine import Cores
from .proxies import Proxy, Subject
from .upstream import Plan, Upstream

NGINX, LUA = "nginx", "nginx + Lua"
AMPMAP, PASSED = "ampmap", "ampmap, passed on"
DIRECT = "direct"
RELAY = "asyncio alone"  # hands bytes on, reads nothing in them


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    quick: bool = False
    peers: tuple[str, ...] = ()
    uvloop: bool = False
    limit: int = 0  # of requests in a round; for a try-out


@dataclass(slots=True)
class Bench:
    """One run."""

    options: Options
    directory: Path
    cores: Cores
    upstream: Upstream
    subjects: list[Subject] = field(default_factory=list)
    translators: list[Subject] = field(default_factory=list)  # other proxies that serve Messages from a chat server
    notes: list[str] = field(default_factory=list)

    @property
    def direct(self) -> Subject:
        """The way without a proxy."""
        return Subject(DIRECT, Proxy(self.upstream.port), renames=False)

    def note(self, text: str) -> None:
        """Say something that belongs beside the figures."""
        if text not in self.notes:
            self.notes.append(text)

    def say(self, text: str) -> None:
        """Print progress."""
        sys.stderr.write(f"  {text}\n")
        sys.stderr.flush()

    def some(self, full: int, quick: int) -> int:
        """Return the one or the other."""
        return quick if self.options.quick or self.options.limit else full

    def rounds(self, full: int, quick: int) -> range:
        """Return the rounds of a work."""
        return range(1 if self.options.limit else quick if self.options.quick else full)

    def count(self, full: int, quick: int = 0) -> int:
        """Return how many requests a round has."""
        count = quick if quick and self.options.quick else full
        return min(count, self.options.limit) if self.options.limit else count

    def count_for(self, subject: Subject, count: int) -> int:
        """Return how many requests ``subject`` gets where others get ``count``."""
        return max(1, count // subject.fewer)

    def turns(self, number: int, *others: Subject) -> list[Subject]:
        """Return who takes part, in an order that changes with each round."""
        everyone = [*others, *self.subjects]
        at = number % len(everyone)
        turned = everyone[at:] + everyone[:at]
        return turned if number % 2 == 0 else turned[::-1]

    def prove(self, subject: Subject, request: bytes) -> None:
        """Make sure that a proxy does what is about to be measured."""
        self.upstream.plan(Plan(kind="proof"))
        answered = subject.model if subject.gives_back else bodies.SERVED
        load.prove(subject.proxy.port, request, bodies.SERVED, answered)


@contextmanager
def running(options: Options, directory: Path, cores: Cores) -> Iterator[Bench]:
    """Start everything that takes part in most works; each proxy alone does something while the others wait."""
    with ExitStack() as stack:
        server = stack.enter_context(upstream.running(cores.load, directory))
        bench = Bench(options, directory, cores, server)
        core, port = cores.proxy, server.port

        def add(label: str, proxy: Proxy, *, renames: bool) -> None:
            bench.subjects.append(Subject(label, proxy, renames))

        if lacking := nginx.missing():
            bench.note(f"{lacking}: there are no ratios to it")
        else:
            add(NGINX, stack.enter_context(nginx.nginx(core, directory, port)), renames=False)
        if lacking := nginx.missing(lua=True):
            bench.note(lacking)
        else:
            add(LUA, stack.enter_context(nginx.nginx(core, directory, port, lua=True)), renames=True)
        add(RELAY, stack.enter_context(relay.running(core, directory, port)), renames=False)
        ours = stack.enter_context(proxies.ampmap(core, directory, port))
        add(AMPMAP, ours, renames=True)
        add(PASSED, ours, renames=False)
        if options.uvloop:
            fast = stack.enter_context(proxies.ampmap(core, directory, port, uvloop=True, name="ampmap-uvloop"))
            add("ampmap on uvloop", fast, renames=True)
        for name in options.peers:
            if lacking := peers.missing(name):
                bench.note(lacking)
            else:
                try:
                    _join(bench, name, stack.enter_context(peers.running(name, core, directory, port)))
                except RuntimeError as exc:
                    bench.note(f"{name} does not take part: {exc}")
        if not cores.pinned:
            bench.note("this machine has one core: proxies, upstream and load share it, and delays mean little")
        yield bench


def _join(bench: Bench, name: str, proxy: Proxy) -> None:
    """Let a peer take part in what it can do, once it has shown that it does it."""
    peer = peers.KNOWN[name]
    subject = Subject(
        name, proxy, renames=True, chat_only=peer.translates, gives_back=peer.gives_back, fewer=peer.fewer
    )
    if peer.chat:
        bench.prove(subject, bodies.request(bodies.chat(subject.model, 1024)))
    if peer.translates:
        bench.prove(subject, bodies.request(bodies.agent(subject.model, 0), bodies.MESSAGES))
    bench.subjects += [subject] * peer.chat
    bench.translators += [subject] * peer.translates
