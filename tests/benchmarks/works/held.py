"""The event loop: how long one body keeps it from everybody else."""

from __future__ import annotations

import threading
from typing import get_args

from .. import bodies, load, probe
from ..bench import AMPMAP, LUA, NGINX, Bench
from ..figures import Measure, Target, percentile
from ..proxies import Subject
from ..upstream import Plan

PATH = "/v1/messages"
BODY_BYTES = 5_000_000


def held(bench: Bench) -> list[Measure]:
    """Measure the longest turn of the loop, and what others feel of it."""
    return [_turns(bench), *_others(bench)]


def _turns(bench: Bench) -> Measure:
    measure = Measure("held.turn", "the longest turn of ampmap's loop for a body of 5 MB", "ms of CPU")
    conversations = {
        f"conversation, {place}": bodies.conversation(bodies.ASKED, BODY_BYTES, place)
        for place in get_args(bodies.Place)
    }
    everything = {**conversations, **bodies.hostile(bodies.ASKED, BODY_BYTES)}
    measure.targets = tuple(Target(kind, 5.0) for kind in everything)
    bench.upstream.plan(Plan())
    with probe.ampmap(bench.cores.proxy, bench.directory, bench.upstream.port) as probed:
        for number in bench.rounds(5, 2):
            bench.say(f"the longest turn, round {number + 1}")
            for kind, body in everything.items():
                with load.connect(probed.proxy.port) as sock:
                    load.one_at_a_time(sock, bodies.request(bodies.chat(bodies.ASKED, 2048)), 5)
                    probed.longest_ns()
                    load.one_at_a_time(sock, bodies.request(body, PATH), 1)
                measure.add(kind, probed.longest_ns() / 1e6)
    return measure


def _others(bench: Bench) -> list[Measure]:
    late = Measure("held.p99", "small requests while bodies of 5 MB pass, p99", "ms")
    worst = Measure("held.max", "the same, the longest", "ms")
    bench.upstream.plan(Plan())
    for number in bench.rounds(5, 2):
        bench.say(f"small requests beside large ones, round {number + 1}")
        for subject in bench.turns(number, bench.direct):
            if subject.label in (bench.direct.label, NGINX, LUA, AMPMAP):
                took = _beside_large(subject, bench.count(10, 6))
                late.add(subject.label, percentile(took, 0.99) / 1e6)
                worst.add(subject.label, max(took) / 1e6)
    return [late, worst]


def _beside_large(subject: Subject, count: int) -> list[int]:
    """Return how long each small request took while ``count`` large ones went by."""
    large = bodies.request(bodies.conversation(subject.model, BODY_BYTES, "last"), PATH)
    small = bodies.request(bodies.chat(subject.model, 1024))
    took: list[int] = []
    with load.connect(subject.proxy.port) as first, load.connect(subject.proxy.port) as second:
        load.one_at_a_time(second, small, 20)
        sender = threading.Thread(target=load.one_at_a_time, args=(first, large, count))
        sender.start()
        while sender.is_alive():
            took += load.one_at_a_time(second, small, 1)
        sender.join()
    return took
