"""Requests in one format and providers in another: what translation costs beside giving the model another name."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from .. import bodies, load, peers, proxies
from ..bench import AMPMAP, Bench
from ..figures import Measure, Target
from ..proxies import Subject
from ..upstream import Plan
from .streams import followed

RESPONSES = "/v1/responses"
RENAMED = "the same, renamed"
TURNS = {"2 kB": (0, 200, 1.7), "200 kB": (30, 20, 6.0)}  # of the conversation, requests in a round, allowed ratio
STREAMS, EVENTS = 8, 200


def translated(bench: Bench) -> list[Measure]:
    """Measure Messages before a chat server, Responses before one of Messages, and the same bodies renamed."""
    with ExitStack() as stack:

        def speaking(protocol: str) -> Subject:
            where = (bench.cores.proxy, bench.directory, bench.upstream.port)
            proxy = proxies.ampmap(*where, protocols=protocol, name=f"ampmap-{protocol}")
            return Subject(AMPMAP, stack.enter_context(proxy), renames=True)

        chat, messages = speaking("openai-chat"), speaking("anthropic")
        renamed = replace(messages, label=RENAMED)
        ways = [chat, renamed, *bench.translators]
        found = [_whole(bench, size, ways) for size in TURNS]
        return [*found, _responses(bench, messages), _events(bench, [chat, *bench.translators])]


def _measure(key: str, title: str, limit: float) -> Measure:
    target = Target(AMPMAP, limit, RENAMED)
    return Measure(
        f"translated.{key}", title, "µs of CPU", targets=(target,), beside=tuple(peers.KNOWN), check=(RENAMED,)
    )


def _whole(bench: Bench, size: str, ways: list[Subject]) -> Measure:
    turns, count, limit = TURNS[size]
    measure = _measure(size.replace(" ", ""), f"Messages of {size} before a chat server", limit)
    requests = {each.label: bodies.request(bodies.agent(each.model, turns), bodies.MESSAGES) for each in ways}
    bench.upstream.plan(Plan())
    for each in bench.translators:  # V8 compiles what has run often enough
        with load.connect(each.proxy.port) as sock:
            load.one_at_a_time(sock, requests[each.label], bench.count_for(each, bench.count(count)))
    for number in bench.rounds(9, 3):
        bench.say(f"translated requests of {size}, round {number + 1}")
        for each in ways if number % 2 == 0 else ways[::-1]:
            bench.upstream.plan(Plan(wire="anthropic" if each.label == RENAMED else "openai"))
            _add(bench, measure, each, requests[each.label], count)
    return measure


def _responses(bench: Bench, messages: Subject) -> Measure:
    measure = Measure("translated.responses", "Responses of 2 kB before a server of Messages", "µs of CPU")
    request = bodies.request(bodies.responses(messages.model), RESPONSES)
    bench.upstream.plan(Plan(wire="anthropic"))
    for _ in bench.rounds(9, 3):
        _add(bench, measure, messages, request, TURNS["2 kB"][1])
    return measure


def _add(bench: Bench, measure: Measure, subject: Subject, request: bytes, count: int) -> None:
    """Add a round of requests, one after the other, whose replies are complete."""
    count = bench.count_for(subject, bench.count(count))
    with load.connect(subject.proxy.port) as sock:
        first = load.ask(sock, request)
        if not first.ok or b'"output_tokens"' not in first.data:
            raise load.LoadError(f"{subject.label} does not translate: {first.data[:600]!r}")
        before = subject.proxy.running.cpu_ns()
        load.one_at_a_time(sock, request, count)
        measure.add(subject.label, (subject.proxy.running.cpu_ns() - before) / count / 1e3)


def _events(bench: Bench, ways: list[Subject]) -> Measure:
    """Measure events: those of a chat server for a client of Messages, and renamed for a client of chat."""
    measure = _measure("event", f"events of a chat server, {STREAMS} streams of {EVENTS}", 1.6)
    events = bench.count(EVENTS, 60)
    for number in bench.rounds(5, 2):
        bench.say(f"translated events, round {number + 1}")
        bench.upstream.plan(Plan(kind="stream", events=events, interval_ms=5))
        turned = [
            *((each, bodies.MESSAGES) for each in ways),
            (replace(ways[0], label=RENAMED), "/v1/chat/completions"),
        ]
        for each, path in turned if number % 2 == 0 else turned[::-1]:
            used, _ = followed(each, STREAMS, events, path=path)
            measure.add(each.label, used or 0.0)
    return measure
