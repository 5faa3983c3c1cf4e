"""Large conversations: the delay and the CPU that a proxy adds, wherever the model's name stands in them."""

from __future__ import annotations

import socket
from typing import get_args

from .. import bodies, load
from ..bench import AMPMAP, LUA, NGINX, RELAY, Bench
from ..figures import Measure, Target
from ..proxies import Subject
from ..upstream import Plan

PATH = "/v1/messages"
SIZES = {"200 kB": (200_000, 0.6), "5 MB": (5_000_000, 8.0)}  # what may be added, in ms


def large(bench: Bench) -> list[Measure]:
    """Measure conversations of every size with the name in every place."""
    return [measure for name, (size, limit) in SIZES.items() for measure in _sized(bench, name, size, limit)]


def _sized(bench: Bench, name: str, size: int, limit: float) -> list[Measure]:
    places: tuple[bodies.Place, ...] = get_args(bodies.Place)
    key = name.replace(" ", "")
    added = Measure(
        f"large.{key}.added",
        f"a conversation of {name}, p50",
        "ms added; the name first, in the middle, last",
        targets=tuple(Target(f"{AMPMAP}, {place}", limit) for place in places),
        beside=(f"{LUA}, last",),
    )
    cpu = Measure(
        f"large.{key}.cpu", f"a conversation of {name}", "ms of CPU for each", beside=(NGINX,), check=(RELAY,)
    )
    ways: list[tuple[str, Subject, bytes]] = []
    for subject in [bench.direct, *bench.subjects]:
        if subject.chat_only:
            bench.note(f"{subject.label} does not take part in the large bodies, which are Anthropic's")
            continue
        for place in places if subject.renames else places[:1]:
            label = f"{subject.label}, {place}" if subject.renames else subject.label
            ways.append((label, subject, bodies.request(bodies.conversation(subject.model, size, place), PATH)))
    for _, subject, request in ways:
        bench.prove(subject, request)
    bench.upstream.plan(Plan())
    socks: dict[str, socket.socket] = {label: load.connect(subject.proxy.port) for label, subject, _ in ways}
    count = bench.count(10, 5) if size > 1_000_000 else bench.count(60, 25)
    try:
        for number in bench.rounds(7, 3):
            bench.say(f"conversations of {name}, round {number + 1}")
            turned = ways if number % 2 == 0 else ways[::-1]
            took, used = {}, {}
            for label, subject, request in turned:
                process = subject.proxy.process
                load.one_at_a_time(socks[label], request, 1)
                before = process.cpu_ns() if process else 0
                took[label] = load.one_at_a_time(socks[label], request, count)
                used[label] = (process.cpu_ns() - before if process else 0) / count / 1e6
            for label, subject, _ in ways:
                if subject.proxy.process:
                    added.add(label, load.added(took[label], took[bench.direct.label]))
                    cpu.add(label, used[label])
    finally:
        for sock in socks.values():
            sock.close()
    return [added, cpu]
