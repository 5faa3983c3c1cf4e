"""Samples of the process and of its own numbers, and whether they stay flat."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Sample:
    """One moment. Counts of requests are since the sample before."""

    at: float  # seconds since the load began
    floor: bool = False  # taken while nothing was under way
    rss_mib: float = 0.0
    pss_mib: float = 0.0
    native_mib: float = 0.0  # that malloc has handed out; as it was in the last idle moment
    native_free_mib: float = 0.0  # that malloc keeps, the same
    objects: int = 0  # blocks of Python's own allocator in use, the same
    fds: int = 0
    sockets: int = 0
    threads: int = 0
    tasks: int = 0
    connections: int = 0
    idle_upstream: int = 0
    cpu_s: float = 0.0  # since the process began
    requests: int = 0
    ok: int = 0
    failed_visibly: int = 0
    left: int = 0
    load: float = 0.0  # the machine's average of a minute
    small_ms: float = 0.0  # median until a small request without fault was answered whole
    event: str = ""  # reloads, deaths


COLUMNS = tuple(field.name for field in fields(Sample))


def take(pid: int, at: float, metrics: dict[str, float]) -> Sample:
    """Return what ``/proc`` and the proxy's own metrics say now."""
    proc = Path(f"/proc/{pid}")
    memory = dict.fromkeys(("Rss", "Pss"), 0)
    for line in (proc / "smaps_rollup").read_text().splitlines()[1:]:
        name, _, amount = line.partition(":")
        if name in memory:
            memory[name] = int(amount.split()[0])
    files = _links(proc / "fd")
    stat = (proc / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        round(at, 2),
        rss_mib=round(memory["Rss"] / 1024, 2),
        pss_mib=round(memory["Pss"] / 1024, 2),
        fds=len(files),
        sockets=sum(link.startswith("socket:") for link in files),
        threads=int(stat[17]),
        tasks=int(metrics["ampmap_tasks"]),
        connections=int(metrics["ampmap_connections"]),
        idle_upstream=int(metrics["ampmap_idle_upstream_connections"]),
        load=round(os.getloadavg()[0], 2),
        cpu_s=(int(stat[11]) + int(stat[12])) / _TICKS,
    )


def _links(folder: Path) -> list[str]:
    found = []
    for entry in os.listdir(folder):
        try:
            found.append(os.readlink(folder / entry))
        except OSError:  # closed meanwhile
            continue
    return found


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the median of the slopes between all pairs of points (Theil and Sen): a few strays do not move it."""
    slopes = [(y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1 :] if x2 > x1]
    return median(slopes) if slopes else 0.0


@dataclass(frozen=True, slots=True)
class Trend:
    """How one number went after the warm-up."""

    name: str
    unit: str
    first: float
    last: float
    highest: float  # of all samples, under load too
    rise: float  # slope over the whole time
    bound: float
    enough: bool  # points to judge by

    @property
    def flat(self) -> bool:
        """True when it did not rise by more than its bound, or there is too little to tell."""
        return self.rise <= self.bound or not self.enough


WARM_UP = 0.1  # of the time: caches, pools and the allocator fill
ENOUGH_FLOORS = 6
TYPES_SHOWN = 12
_SMALL = 0.5  # of a count: less than one more over the whole time

# What may be added over the whole time: in units of the number, or as a share of its first floor if that is more.
# Resident memory may rise by what malloc keeps free besides: bodies of 5 MB come and go, and the heap stays as large as
# it once had to be, with holes. That would hide a slow leak, so what is in use of it is held to little, and what is
# resident at the end, when malloc has given back what it can, is compared with the beginning.
_FLOORS: tuple[tuple[str, str, float, float], ...] = (
    ("rss_mib", "MiB", 16.0, 0.10),
    ("pss_mib", "MiB", 16.0, 0.10),
    ("native_mib", "MiB", 1.0, 0.0),
    ("objects", "", 1000.0, 0.0),  # where one of thousand requests leaves ten behind, it shows in half an hour
    ("fds", "", _SMALL, 0.0),
    ("sockets", "", _SMALL, 0.0),
    ("tasks", "", _SMALL, 0.0),
    ("threads", "", 2.0, 0.0),  # workers for files and names come and go
)
_MEMORY = ("rss_mib", "pss_mib", "native_mib", "objects")
MEMORY_WARM_UP_S = 120.0  # until the caches hold their hundreds of names
MOST_HELD_BACK_MIB = 12.0
_COST_SHARE = 0.5  # CPU per request; other programs on the machine move it more than anything else


def floors_of(samples: Sequence[Sample]) -> list[Sample]:
    """Return the idle moments after the warm-up."""
    end = samples[-1].at if samples else 0.0
    return [sample for sample in samples if sample.floor and sample.at >= end * WARM_UP]


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """Tell how each number went."""
    all_floors = floors_of(samples)
    found = []
    for name, unit, most, share in _FLOORS:
        read, in_memory = _reader(name), name in _MEMORY
        floors = [each for each in all_floors if each.at >= MEMORY_WARM_UP_S or not in_memory]
        span = floors[-1].at - floors[0].at if floors else 0.0
        if floors and name in ("rss_mib", "pss_mib"):
            most += max(0.0, max(each.native_free_mib for each in floors) - floors[0].native_free_mib)
        points = [(sample.at, read(sample)) for sample in floors]
        first, last = (points[0][1], points[-1][1]) if points else (0.0, 0.0)
        highest = max(map(read, samples), default=0.0)
        bound, rise = max(most, first * share), slope(points) * span
        found.append(Trend(name, unit, first, last, highest, rise, bound, len(points) >= ENOUGH_FLOORS))
    span = all_floors[-1].at - all_floors[0].at if all_floors else 0.0
    return [*found, _cost(samples, span)]


def grown(first: Mapping[str, int], last: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """Return the types of which there are most more than there were: a name, how many before, how many now."""
    names = sorted(last, key=lambda name: first.get(name, 0) - last[name])[:TYPES_SHOWN]
    return [(name, first.get(name, 0), last[name]) for name in names if last[name] > first.get(name, 0)]


def _reader(name: str) -> Callable[[Sample], float]:
    return lambda sample: float(getattr(sample, name))


def _cost(samples: Sequence[Sample], span: float) -> Trend:
    """CPU per request between each two floors."""
    points: list[tuple[float, float]] = []
    began: Sample | None = None
    count = 0
    for sample in samples:
        count += sample.requests
        if sample.floor:
            if began is not None and count and sample.at >= samples[-1].at * WARM_UP:
                points.append((sample.at, (sample.cpu_s - began.cpu_s) / count * 1e3))
            began, count = sample, 0
    first, last = (points[0][1], points[-1][1]) if points else (0.0, 0.0)
    highest = max((cost for _, cost in points), default=0.0)
    usual = median(cost for _, cost in points) if points else 0.0
    enough = len(points) >= ENOUGH_FLOORS
    return Trend("cpu_per_request", "ms", first, last, highest, slope(points) * span, usual * _COST_SHARE, enough)
