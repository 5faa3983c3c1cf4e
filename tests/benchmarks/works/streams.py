"""Many streams of events: what an event costs, and how much later it arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .. import bodies, load, peers
from ..bench import AMPMAP, LUA, NGINX, PASSED, RELAY, Bench
from ..figures import Measure, Target, percentile
from ..proxies import Subject
from ..upstream import Plan

COUNT = 64
INTERVAL_MS = 10
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


@dataclass(frozen=True, slots=True)
class Delays:
    """How late events are: beside those that come without a proxy, and in all."""

    middle: Measure
    late: Measure
    whole: Measure

    def add(self, found: dict[str, list[int]], direct: list[int]) -> None:
        """Add one round's, in nanoseconds."""
        for label, delays in found.items():
            late = percentile(delays, 0.99)
            self.middle.add(label, (percentile(delays, 0.5) - percentile(direct, 0.5)) / 1e6)
            self.late.add(label, (late - percentile(direct, 0.99)) / 1e6)
            self.whole.add(label, late / 1e6)


def streams(bench: Bench) -> list[Measure]:
    """Measure streams that name the model in every event (OpenAI's), and such that name it once (Anthropic's)."""
    cpu = Measure(
        "streams.cpu",
        f"{COUNT} streams, an event every {INTERVAL_MS} ms, each names the model",
        "µs of CPU for each event",
        targets=(Target(AMPMAP, 60), Target(PASSED, 40)),
        beside=(NGINX, LUA, *peers.KNOWN),
        check=(RELAY,),
    )
    middle = Measure(
        "streams.p50", f"{COUNT} streams, the delay of an event, p50", "ms added", targets=(Target(AMPMAP, 0.3),)
    )
    late = Measure("streams.p99", f"{COUNT} streams, the delay of an event, p99", "ms added")
    whole = Measure(
        "streams.whole",
        f"{COUNT} streams, from the event's making until it is read, p99",
        "ms",
        targets=(Target(AMPMAP, 2.0, NGINX),),
    )
    _measure(bench, "openai", bench.rounds(5, 2), cpu, Delays(middle, late, whole))
    once = Measure(
        "streams.anthropic",
        f"{COUNT} streams of Anthropic's events",
        "µs of CPU for each event",
        targets=(Target(AMPMAP, 60), Target(PASSED, 40)),
        beside=(NGINX,),
        check=(RELAY,),
    )
    _measure(bench, "anthropic", bench.rounds(5, 2), once)
    return [cpu, middle, late, whole, once]


def _measure(
    bench: Bench,
    wire: Literal["openai", "anthropic"],
    rounds: range,
    cpu: Measure,
    delays: Delays | None = None,
) -> None:
    events = bench.count(100, 60)
    for number in rounds:
        bench.say(f"streams of {wire}, round {number + 1}")
        found: dict[str, list[int]] = {}
        bench.upstream.plan(Plan(kind="stream", events=events, interval_ms=INTERVAL_MS, wire=wire))
        for subject in bench.turns(number, *([bench.direct] if delays else [])):
            if wire == "anthropic" and (subject.chat_only or subject.label == LUA):
                continue
            streams = bench.count_for(subject, COUNT)
            used, found[subject.label] = followed(subject, streams, events, path=PATHS[wire])
            if used is not None:
                cpu.add(subject.label, used)
        if delays:
            delays.add(found, found.pop(bench.direct.label))


def followed(
    subject: Subject, count: int, events: int, *, path: str = PATHS["openai"]
) -> tuple[float | None, list[int]]:
    """Follow ``count`` streams to their end; return µs of CPU for an event, once all are open, and the delays in ns."""
    request = bodies.request(bodies.chat(subject.model, 1024, stream=True), path)
    process = subject.proxy.process
    opened = load.Streams(subject.proxy.port, request, count)
    try:
        opened.follow(until_open=count)
        before, earlier = process.cpu_ns() if process else 0, len(opened.result.delays_ns)
        result = opened.follow()
        used = process.cpu_ns() - before if process else None
    finally:
        opened.close()
    if result.ended != count or len(result.delays_ns) != count * events:
        came = f"{len(result.delays_ns)} of {count * events} events came"
        raise load.LoadError(f"{subject.label}: {result.ended} of {count} streams ended, {came}")
    later = result.delays_ns[earlier:]
    return None if used is None else used / len(later) / 1e3, later
