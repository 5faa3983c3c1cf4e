"""Two thousand streams at once: whether all are served, what each holds, what waiting costs."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import trustme

from .. import bodies, floors, load, nginx, proxies, upstream
from ..bench import AMPMAP, NGINX, Bench
from ..figures import Measure, Target, percentile
from ..proxies import Proxy, Subject
from ..upstream import Plan, Upstream
from .streams import followed

COUNTS = (10, 100, 500, 2000)
QUICK_COUNTS = (10, 2000)
INTERVAL_MS = 100
BARE_TLS = "bare TLS of asyncio"


def scale(bench: Bench) -> list[Measure]:
    """Measure as many streams as an office full of agents has."""
    return [*_events(bench), *_waiting(bench), *_memory(bench)]


def _events(bench: Bench) -> list[Measure]:
    most = COUNTS[-1]
    flat = Measure(
        "scale.cpu",
        "that many streams with 10 events a second",
        "µs of CPU for each event",
        targets=(Target(f"{AMPMAP}, {most}", 1.25, f"{AMPMAP}, {COUNTS[0]}"),),
        beside=(f"{AMPMAP}, {COUNTS[0]}",),
    )
    late = Measure("scale.p99", f"{most} streams at once, p99", "ms that an event takes")
    late.targets = (Target(AMPMAP, 20.0), Target(AMPMAP, 3.0, NGINX))
    seconds = bench.some(10, 2)
    subjects = [bench.direct, *(each for each in bench.subjects if each.label in (NGINX, AMPMAP))]
    for number in bench.rounds(3, 1):
        for count in QUICK_COUNTS if bench.options.quick else COUNTS:
            bench.say(f"{count} streams, round {number + 1}")
            events = seconds * 10
            bench.upstream.plan(Plan(kind="stream", events=events, interval_ms=INTERVAL_MS))
            for subject in subjects if number % 2 == 0 else subjects[::-1]:
                if subject is subjects[0] and count != most:
                    continue
                used, delays = followed(subject, count, events)
                if used is not None:
                    flat.add(f"{subject.label}, {count}", used)
                if count == most:
                    late.add(subject.label, percentile(delays, 0.99) / 1e6)
    return [flat, late]


def _waiting(bench: Bench) -> list[Measure]:
    measure = Measure("scale.waiting", f"{COUNTS[-1]} streams that wait in silence", "ms of CPU a second")
    seconds = bench.some(10, 2)
    subjects = [each for each in bench.subjects if each.label in (NGINX, AMPMAP)]
    bench.upstream.plan(Plan(kind="stream", events=1, interval_ms=3_600_000))
    for number in bench.rounds(2, 1):
        bench.say(f"streams that wait, round {number + 1}")
        for subject in subjects:
            measure.add(f"{subject.label}, none open", _idle(subject.proxy, seconds))
            request = bodies.request(bodies.chat(subject.model, 1024, stream=True))
            opened = load.Streams(subject.proxy.port, request, COUNTS[-1])
            try:
                opened.follow(until_open=COUNTS[-1])
                measure.add(f"{subject.label}, {COUNTS[-1]}", _idle(subject.proxy, seconds))
            finally:
                opened.close()
    return [measure]


def _idle(proxy: Proxy, seconds: float) -> float:
    time.sleep(0.3)
    before = proxy.running.cpu_ns()
    time.sleep(seconds)
    return (proxy.running.cpu_ns() - before) / 1e6 / seconds


def _memory(bench: Bench) -> list[Measure]:
    base = Measure("scale.base", "memory before the first request", "MiB", targets=(Target(AMPMAP, 45),))
    plain = Measure("scale.memory", "memory for each open stream", "KiB", targets=(Target(AMPMAP, 40),))
    plain.check = (NGINX,)
    tls = Measure("scale.tls", "memory for each open stream, TLS to the upstream", "KiB", check=(BARE_TLS,))
    files, trust = _certificate(bench.directory)
    plan = Plan(kind="stream", events=1, interval_ms=3_600_000)
    with upstream.running(bench.cores.load, bench.directory, tls=str(files), trust=str(trust)) as secure:
        for each in (bench.upstream, secure):
            each.plan(plan)
        for number in bench.rounds(3, 1):
            bench.say(f"memory of streams, round {number + 1}")
            with ExitStack() as stack:
                ours = stack.enter_context(_fresh(bench, bench.upstream))
                base.add(AMPMAP, ours.running.memory() / 1024**2)
                plain.add(AMPMAP, _held(bench, ours, 2000))
                if not nginx.missing():
                    other = stack.enter_context(nginx.nginx(bench.cores.proxy, bench.directory, bench.upstream.port))
                    plain.add(NGINX, _held(bench, other, 2000))
            with _fresh(bench, secure, str(trust)) as ours:
                tls.add(AMPMAP, _held(bench, ours, 500))
            bare = floors.measured(bench.cores.proxy, "tls", str(secure.port), "500", str(trust))
            tls.add(BARE_TLS, bare / 1024)
    return [base, plain, tls]


def _fresh(bench: Bench, server: Upstream, trust: str = "") -> proxies.Running:
    return proxies.ampmap(bench.cores.proxy, bench.directory, server.port, trust=trust, name="ampmap-fresh")


def _held(bench: Bench, proxy: Proxy, count: int) -> float:
    """Return the KiB that a proxy holds for each of ``count`` open streams."""
    subject = Subject(AMPMAP, proxy, renames=True)
    request = bodies.request(bodies.chat(subject.model, 1024, stream=True))
    count = bench.count(count)
    warm = load.Streams(proxy.port, request, 20)  # pays for what is there once
    warm.follow(until_open=20)
    before = proxy.running.memory()
    opened = load.Streams(proxy.port, request, count)
    try:
        opened.follow(until_open=count)
        return (proxy.running.memory() - before) / count / 1024
    finally:
        opened.close()
        warm.close()


def _certificate(directory: Path) -> tuple[Path, Path]:
    authority = trustme.CA()
    files, trust = directory / "server.pem", directory / "authority.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(files))
    authority.cert_pem.write_to_path(str(trust))
    return files, trust
