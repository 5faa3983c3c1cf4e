"""Many small requests: what one costs."""

from __future__ import annotations

from .. import bodies, floors, load, peers
from ..bench import AMPMAP, LUA, NGINX, RELAY, Bench
from ..figures import Measure, Target
from ..upstream import Plan

CONNECTIONS = 16
BODY_BYTES = 2048
H11 = "h11 alone"
UVLOOP = "ampmap on uvloop"


def small(bench: Bench) -> list[Measure]:
    """Measure the CPU that a small request takes."""
    measure = Measure(
        "small.cpu",
        "a request of 2 kB, 16 connections",
        "µs of CPU for each",
        targets=(Target(AMPMAP, 230), Target(AMPMAP, 2.0, H11), Target(UVLOOP, 190)),
        beside=(NGINX, LUA, *peers.KNOWN),
        check=(H11, RELAY),
    )
    requests = {subject.label: bodies.request(bodies.chat(subject.model, BODY_BYTES)) for subject in bench.subjects}
    for subject in bench.subjects:
        bench.prove(subject, requests[subject.label])
    bench.upstream.plan(Plan())
    count = bench.count(1500, 1000)
    for subject in bench.subjects:
        load.closed_loop(
            subject.proxy.port, requests[subject.label], CONNECTIONS, bench.count_for(subject, min(count, 500))
        )
    for number in bench.rounds(15, 5):  # many short ones: a machine may change its pace from one second to the next
        bench.say(f"small requests, round {number + 1}")
        for subject in bench.turns(number):
            process = subject.proxy.running
            before = process.cpu_ns()
            own = bench.count_for(subject, count)
            load.closed_loop(subject.proxy.port, requests[subject.label], CONNECTIONS, own)
            measure.add(subject.label, (process.cpu_ns() - before) / own / 1e3)
            if subject.label == AMPMAP:
                measure.add(H11, floors.measured(bench.cores.proxy, "h11", str(count)) / 1e3)
    return [measure]
