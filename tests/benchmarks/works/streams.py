"""Many streams of events: what an event costs, and how much later it arrives."""

from __future__ import annotations

from typing import Literal

from .. import bodies, load
from ..bench import AMPMAP, LUA, NGINX, PASSED, RELAY, Bench
from ..figures import Measure, Target, percentile
from ..proxies import Subject
from ..upstream import Plan

COUNT = 64
INTERVAL_MS = 10
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


def streams(bench: Bench) -> list[Measure]:
    """Measure streams that name the model in every event (OpenAI's), and such that name it once (Anthropic's)."""
    cpu = Measure(
        "streams.cpu",
        f"{COUNT} streams, an event every {INTERVAL_MS} ms, each names the model",
        "µs of CPU for each event",
        targets=(Target(AMPMAP, 60), Target(PASSED, 40)),
        beside=(NGINX,),
        check=(RELAY,),
    )
    middle = Measure(
        "streams.p50", f"{COUNT} streams, the delay of an event, p50", "ms added", targets=(Target(AMPMAP, 0.3),)
    )
    late = Measure(
        "streams.p99", f"{COUNT} streams, the delay of an event, p99", "ms added", targets=(Target(AMPMAP, 2.0, NGINX),)
    )
    _measure(bench, "openai", bench.rounds(5, 2), cpu, middle, late)
    once = Measure(
        "streams.anthropic",
        f"{COUNT} streams of Anthropic's events",
        "µs of CPU for each event",
        targets=(Target(AMPMAP, 60), Target(PASSED, 40)),
        beside=(NGINX,),
        check=(RELAY,),
    )
    _measure(bench, "anthropic", bench.rounds(5, 2), once, None, None)
    return [cpu, middle, late, once]


def _measure(
    bench: Bench,
    wire: Literal["openai", "anthropic"],
    rounds: range,
    cpu: Measure,
    middle: Measure | None,
    late: Measure | None,
) -> None:
    events = bench.count(100, 60)
    for number in rounds:
        bench.say(f"streams of {wire}, round {number + 1}")
        delays: dict[str, list[int]] = {}
        bench.upstream.plan(Plan(kind="stream", events=events, interval_ms=INTERVAL_MS, wire=wire))
        for subject in bench.turns(number, *([bench.direct] if middle else [])):
            if wire == "anthropic" and (subject.chat_only or subject.label == LUA):
                continue
            used, delays[subject.label] = followed(subject, COUNT, events, path=PATHS[wire])
            if used is not None:
                cpu.add(subject.label, used)
        if middle and late:
            direct = delays.pop(bench.direct.label)
            for label, found in delays.items():
                middle.add(label, (percentile(found, 0.5) - percentile(direct, 0.5)) / 1e6)
                late.add(label, (percentile(found, 0.99) - percentile(direct, 0.99)) / 1e6)


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
