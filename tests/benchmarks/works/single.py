"""One request at a time: the delay that a proxy adds."""

from __future__ import annotations

from .. import bodies, load
from ..bench import AMPMAP, NGINX, Bench
from ..figures import Measure, Target, percentile
from ..upstream import Plan

BODY_BYTES = 1024


def single(bench: Bench) -> list[Measure]:
    """Measure the delay that a proxy adds to a small request."""
    middle = Measure(
        "single.p50",
        "a request of 1 kB, one at a time, p50",
        "ms added",
        targets=(Target(AMPMAP, 0.25),),
        beside=(NGINX,),
    )
    late = Measure("single.p99", "the same, p99", "ms added")
    ways = [bench.direct, *bench.subjects]
    requests = {subject.label: bodies.request(bodies.chat(subject.model, BODY_BYTES)) for subject in ways}
    for subject in ways:
        bench.prove(subject, requests[subject.label])
    bench.upstream.plan(Plan())
    socks = {subject.label: load.connect(subject.proxy.port) for subject in ways}
    try:
        for subject in ways:
            load.one_at_a_time(socks[subject.label], requests[subject.label], bench.count(100))
        for number in bench.rounds(9, 5):
            bench.say(f"one at a time, round {number + 1}")
            took = {
                subject.label: load.one_at_a_time(
                    socks[subject.label], requests[subject.label], bench.count_for(subject, bench.count(1000, 500))
                )
                for subject in bench.turns(number, bench.direct)
            }
            direct = took[bench.direct.label]
            for subject in bench.subjects:
                through = took[subject.label]
                middle.add(subject.label, load.added(through, direct))
                late.add(subject.label, (percentile(through, 0.99) - percentile(direct, 0.99)) / 1e6)
    finally:
        for sock in socks.values():
            sock.close()
    return [middle, late]
