"""Bodies that are made to be slow: what they cost beside ``json.loads`` of the same bytes."""

from __future__ import annotations

from .. import bodies, floors, load
from ..bench import AMPMAP, Bench
from ..figures import Measure, Target
from ..proxies import Subject
from ..upstream import Plan

FLOOR = "json.loads"
PATH = "/v1/messages"


def hostile(bench: Bench) -> list[Measure]:
    """Measure the CPU that each kind of slow body takes."""
    size = 5_000_000 if not bench.options.quick and not bench.options.limit else 1_000_000
    subject = next(each for each in bench.subjects if each.label == AMPMAP)
    kinds = bodies.hostile(subject.model, size)
    measure = Measure(
        "hostile.cpu",
        f"bodies of {size // 1_000_000} MB that are made to be slow",
        "CPU, × json.loads of the same bytes",
        targets=tuple(Target(f"{AMPMAP}: {kind}", 2.0) for kind in kinds),
        check=(FLOOR,),
    )
    count = bench.count(8, 6)
    for body in kinds.values():
        bench.prove(subject, bodies.request(body, PATH))
    bench.upstream.plan(Plan())
    for number in bench.rounds(5, 2):
        bench.say(f"hostile bodies, round {number + 1}")
        for kind, body in kinds.items():
            file = bench.directory / "body.json"
            file.write_bytes(body)
            floor = floors.measured(bench.cores.proxy, "json", str(file), str(count))
            measure.add(f"{AMPMAP}: {kind}", _cpu(subject, bodies.request(body, PATH), count) / floor)
        measure.add(FLOOR, 1.0)
    return [measure]


def _cpu(subject: Subject, request: bytes, count: int) -> float:
    process = subject.proxy.running
    with load.connect(subject.proxy.port) as sock:
        load.one_at_a_time(sock, request, 1)
        before = process.cpu_ns()
        load.one_at_a_time(sock, request, count)
        return (process.cpu_ns() - before) / count
