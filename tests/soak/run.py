"""All of it together: the load, what is done to proxy and upstreams meanwhile, the samples, the verdict."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from .caller import Caller, Seen
from .numbers import MEMORY_WARM_UP_S, MOST_HELD_BACK_MIB, WARM_UP, Sample, take
from .proxy import Outage, Proxy, UpstreamProcess, make_upstreams
from .report import Soak
from .traffic import Plan, Planner
from .verdict import Finding, Ledger, outcome
from .wire import Broken

_AT_ONCE = 64  # requests under way, at most
_SETTLE_S = 12.0  # what is under way ends in this time: stalls last four seconds, sockets five
_GRACE_S = 4.0  # after an upstream is back, beside the time for which it was away: so long ampmap may let it rest
_IDLE = ("fds", "sockets", "tasks", "connections", "idle_upstream")
_WARM_SEED = 987_654_321
_THREADS = 12  # that may be added to those of the start: five for names, the rest for files
_SUSPICIOUS = (
    "Traceback",
    "a bug in ampmap",
    "ResourceWarning",
    "never retrieved",
    "never awaited",
    "Exception ignored",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is told."""

    seconds: float
    seed: int
    rate: float  # requests a second
    folder: Path
    most_bytes: int = 5_000_000


class Run:
    """One soak."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._random = Random(options.seed + 1)
        self.soak = Soak(
            options.seed, machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        self._upstreams: dict[str, UpstreamProcess] = {}
        self._ledger = Ledger()
        self._began = 0.0
        self._going = asyncio.Event()  # cleared while an idle moment is wanted
        self._under_way: set[asyncio.Task[None]] = set()
        self._outages: list[Outage] = []
        self._since = Sample(0.0)  # counts since the last sample
        self._held: dict[str, Any] = {"blocks": 0, "native": 0, "native_free": 0}
        self._small: deque[float] = deque()
        self._hands = asyncio.Lock()  # held by what is done to the proxy: one thing after the other

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _find(self, what: str, tag: str = "") -> None:
        self.soak.findings.append(Finding(round(self._now(), 1), what, tag))

    async def run(self) -> Soak:
        """Run it all; return what was found."""
        options, folder = self._options, self._options.folder
        self._upstreams = make_upstreams(folder)
        self._proxy = Proxy(folder, self._upstreams, self._random)
        try:
            await asyncio.gather(*(upstream.start() for upstream in self._upstreams.values()))
            await self._proxy.start()
            self._caller = Caller(self._proxy.port)
            self._began = time.monotonic()
            await self._warm()
            self.soak.idle = await self._idle_figures()
            self._held = await self._proxy.holdings()
            self._going.set()
            self._began = time.monotonic()
            meanwhile = [
                asyncio.create_task(work) for work in (self._reload(), self._kill(), self._sample(), self._pause())
            ]
            await self._load()
            self._going.clear()
            for task in meanwhile:
                task.cancel()
            await asyncio.gather(*meanwhile, return_exceptions=True)
            self._found(await self._proxy.reload_well())  # what they were stopped at may be a broken file
            await self._finish(options.seconds)
        finally:
            for upstream in self._upstreams.values():
                await upstream.kill()
            with suppress(AttributeError, AssertionError):
                self.soak.exit_code = await self._proxy.stop()
        if self.soak.exit_code:
            self._find(f"ampmap ended with {self.soak.exit_code}")
        self._read_log()
        return self.soak

    async def _warm(self) -> None:
        """Let each upstream be asked once, so that contexts and worker threads are there before anything is counted."""
        planner, upstreams = Planner(_WARM_SEED, most_bytes=10_000), set(self._upstreams) - {"spare"}
        while upstreams:
            plan = planner.plan()
            if plan.upstreams and not plan.fault and upstreams & set(plan.upstreams):
                await self._perform(plan)
                upstreams -= set(plan.upstreams)

    async def _idle_figures(self) -> dict[str, float]:
        """Return what is open when nothing is under way, once that has settled."""
        await self._caller.close_idle()
        self._found(await self._proxy.hang_up())  # which closes the connections that are kept to upstreams
        figures: dict[str, float] = {}
        same = 0
        until = time.monotonic() + 10
        while time.monotonic() < until and same < 3:
            before = figures
            sample = take(self._proxy.pid, 0.0, await self._proxy.metrics())
            figures = {name: getattr(sample, name) for name in _IDLE}
            wanted = figures == self.soak.idle if self.soak.idle else figures == before
            same = same + 1 if wanted and figures["connections"] == 1 else 0
            await asyncio.sleep(0.2)
        return figures

    def _found(self, wrong: str) -> None:
        if wrong:
            self._find(wrong)

    # -- the load

    async def _load(self) -> None:
        options, draw = self._options, Random(self._options.seed + 2)
        planner = Planner(options.seed, most_bytes=options.most_bytes)
        left = int(options.seconds * options.rate * 1.2) + 1
        due = self._now()
        while left and self._now() < options.seconds:
            if not self._going.is_set():
                await self._going.wait()
                due = self._now()
            due += draw.expovariate(options.rate)
            if (early := due - self._now()) > 0:
                await asyncio.sleep(early)
            elif early < -1:
                due = self._now()  # this machine can't keep up: less load, not a flood afterwards
            while len(self._under_way) >= _AT_ONCE:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            if self._going.is_set():
                self._start(planner.plan())
                left -= 1

    def _start(self, plan: Plan) -> None:
        task = asyncio.create_task(self._perform(plan), name=f"{plan.kind}, {plan.fault or 'no fault'}, {plan.tag}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _perform(self, plan: Plan) -> None:
        try:
            seen = await self._caller.perform(plan)
        except Exception as exc:
            self._find(f"the soak itself failed: {exc!r}", plan.tag)
            raise
        down = any(
            outage.upstream in plan.needs and outage.since <= seen.ended and seen.began <= outage.until
            for outage in self._outages
        )
        ended, wrong = outcome(seen, down=down)
        if wrong:
            self._find(wrong, plan.tag)
        self._ledger.enter(seen, is_ok=ended == "ok")
        self._count(seen, ended)

    def _count(self, seen: Seen, ended: str) -> None:
        soak, since, plan = self.soak, self._since, seen.plan
        soak.kinds[plan.kind] += 1
        soak.outcomes[ended] += 1
        if plan.fault:
            soak.faults[plan.fault] += 1
        since.requests += 1
        since.ok += ended == "ok"
        since.failed_visibly += ended == "failed visibly"
        since.left += ended == "left"
        if plan.kind == "small" and ended == "ok" and not plan.order.delay_ms:
            self._small.append((seen.ended - seen.began) * 1e3)

    # -- what happens meanwhile

    async def _reload(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(1.0, 4.0) * min(1.0, self._options.seconds / 30))
            await self._going.wait()
            async with self._hands:
                draw = self._random.random()
                if draw < 0.6:
                    what, wrong = "reload", await self._proxy.reload_well()
                elif draw < 0.8:
                    what, wrong = "HUP", await self._proxy.hang_up()
                else:
                    how, wrong = await self._proxy.reload_badly()
                    what = f"broken file: {how}"
                    wrong = wrong or await self._proxy.reload_well()
                self.soak.events[what] += 1
                self._since.event = what
                self._found(wrong)

    async def _kill(self) -> None:
        least = min(15.0, self._options.seconds / 5)
        while True:
            await asyncio.sleep(self._random.uniform(least, 2 * least))
            upstream = self._random.choice(list(self._upstreams.values()))
            outage = Outage(upstream.name, time.monotonic())
            self._outages.append(outage)
            self.soak.events[f"killed {upstream.name}"] += 1
            try:
                await upstream.kill()
                await asyncio.sleep(self._random.uniform(0.2, 3.0) * min(1.0, self._options.seconds / 30))
            finally:
                await asyncio.shield(upstream.start())
                back = time.monotonic()
                outage.until = back + (back - outage.since) + _GRACE_S
                self.soak.outages.append((outage.since - self._began, back - self._began))

    async def _sample(self) -> None:
        every = min(1.0, self._options.seconds / 20)
        while True:
            await asyncio.sleep(every)
            await self._take()

    async def _take(self, *, floor: bool = False) -> None:
        try:
            metrics = await self._proxy.metrics()
        except (Broken, OSError, TimeoutError) as exc:
            self._find(f"the metrics do not come: {exc!r}")
            return
        since, self._since = self._since, Sample(0.0)
        sample = take(self._proxy.pid, self._now(), metrics)
        sample.floor, sample.event = floor, since.event
        sample.native_mib, sample.native_free_mib = (
            round(self._held[name] / 2**20, 3) for name in ("native", "native_free")
        )
        sample.objects = self._held["blocks"]
        sample.requests, sample.ok = since.requests, since.ok
        sample.failed_visibly, sample.left = since.failed_visibly, since.left
        sample.small_ms = round(median(self._small), 2) if self._small else 0.0
        self._small.clear()
        self.soak.samples.append(sample)

    async def _pause(self) -> None:
        """Stop the traffic now and then until nothing is under way, so that floors can be compared."""
        every = (
            min(max(self._options.seconds / 40, 8.0), 30.0)
            if self._options.seconds >= 60
            else self._options.seconds / 2.5
        )
        while True:
            await asyncio.sleep(every)
            stopped = time.monotonic()
            await self._rest()
            for outage in self._outages:
                if outage.until >= stopped:  # nobody has asked meanwhile whether it is back
                    outage.until = max(outage.until, time.monotonic() + _GRACE_S)
            self._going.set()

    async def _rest(self) -> None:
        self._going.clear()
        async with self._hands:
            if self._under_way:
                _, late = await asyncio.wait(self._under_way, timeout=_SETTLE_S)
                for task in late:
                    self._find(f"a request is still under way after {_SETTLE_S:g} s without others", task.get_name())
            self.soak.at_end = await self._idle_figures()
            self._held = await self._proxy.holdings()
            warm = min(max(self._options.seconds * WARM_UP, MEMORY_WARM_UP_S), self._options.seconds / 2)
            if self._now() >= warm and not self.soak.types_first:
                self.soak.types_first = self._held["types"]
            self.soak.types_last = self._held["types"]
            await self._take(floor=True)
            self._settle()

    def _settle(self) -> None:
        notes = [note for upstream in self._upstreams.values() for note in upstream.notes()]
        for tag, wrong in self._ledger.settle(notes):
            self._find(wrong, tag)
        self.soak.settled = self._ledger.settled

    async def _finish(self, seconds: float) -> None:
        self.soak.seconds = seconds
        await self._rest()
        soak, caller = self.soak, self._caller
        if soak.at_end != soak.idle:
            self._find(f"at the end {soak.at_end} is open; before the load it was {soak.idle}")
        threads = [sample.threads for sample in soak.samples]
        if threads and threads[-1] > threads[0] + _THREADS:
            self._find(f"at the end there are {threads[-1]} threads; in the beginning there were {threads[0]}")
        await self._proxy.holdings(trim=True)
        soak.held_back_mib = take(self._proxy.pid, 0.0, await self._proxy.metrics()).rss_mib - soak.samples[0].rss_mib
        if soak.held_back_mib > MOST_HELD_BACK_MIB:
            self._find(f"{soak.held_back_mib:.1f} MiB more are resident than at first, though malloc gave back its own")
        asked = self._proxy.asked
        numbers = await self._proxy.metrics()
        soak.records = int(numbers["requests"])
        soak.bytes_through = int(
            numbers["ampmap_request_body_bytes_total"] + numbers["ampmap_response_body_bytes_total"]
        )
        least = caller.answered + asked
        unanswered = caller.unanswered + self._proxy.unanswered
        if not least <= soak.records <= least + unanswered:
            self._find(f"{soak.records} records for {least} answers and {unanswered} requests without one")
        if sum(soak.kinds.values()) != soak.settled or sum(soak.outcomes.values()) != soak.settled:
            self._find(f"{soak.settled} requests were settled, {sum(soak.kinds.values())} were made")

    def _read_log(self) -> None:
        with self._proxy.log.open(errors="replace") as log:
            for line in log:
                if any(word in line for word in _SUSPICIOUS):
                    self._find(f"ampmap wrote: {line.strip()[:300]}")


async def soaked(options: Options) -> Soak:
    """Soak a proxy as ``options`` say."""
    return await Run(options).run()


def shown(findings: Sequence[Finding], most: int = 20) -> str:
    """Return the first findings, one a line."""
    return "\n".join(map(str, findings[:most]))
