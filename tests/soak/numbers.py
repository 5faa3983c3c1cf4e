"""Samples of the process and of its own numbers, and whether they stay flat."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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
_SMALL = 0.5  # of a count: less than one more over the whole time

# What may be added over the whole time: in units of the number, or as a share of its first floor if that is more.
# Memory: where bodies of 5 MB come and go, the heap grows now and then by the size of one, and stays so.
_FLOORS: tuple[tuple[str, str, float, float], ...] = (
    ("rss_mib", "MiB", 16.0, 0.10),
    ("pss_mib", "MiB", 16.0, 0.10),
    ("fds", "", _SMALL, 0.0),
    ("sockets", "", _SMALL, 0.0),
    ("tasks", "", _SMALL, 0.0),
    ("threads", "", 2.0, 0.0),  # workers for files and names come and go
)
_COST_SHARE = 0.5  # CPU per request; other programs on the machine move it more than anything else


def floors_of(samples: Sequence[Sample]) -> list[Sample]:
    """Return the idle moments after the warm-up."""
    end = samples[-1].at if samples else 0.0
    return [sample for sample in samples if sample.floor and sample.at >= end * WARM_UP]


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """Tell how each number went."""
    floors = floors_of(samples)
    span = floors[-1].at - floors[0].at if floors else 0.0
    found = []
    for name, unit, most, share in _FLOORS:
        read = _reader(name)
        points = [(sample.at, read(sample)) for sample in floors]
        first, last = (points[0][1], points[-1][1]) if points else (0.0, 0.0)
        highest = max(map(read, samples), default=0.0)
        bound, rise = max(most, first * share), slope(points) * span
        found.append(Trend(name, unit, first, last, highest, rise, bound, len(points) >= ENOUGH_FLOORS))
    return [*found, _cost(samples, span)]


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
