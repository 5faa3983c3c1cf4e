"""What is left of a soak: its numbers as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import median

from .numbers import COLUMNS, Sample, Trend, grown, trends
from .picture import draw
from .verdict import Finding

_SHOWN_FINDINGS = 20
_BUSY = 2.0  # of load to each core; the soak alone makes less than one

_NAMES = {
    "rss_mib": "memory, resident",
    "pss_mib": "memory, proportional",
    "native_mib": "malloc, in use",
    "objects": "Python's blocks in use",
    "fds": "open files",
    "sockets": "sockets",
    "tasks": "tasks",
    "threads": "threads",
    "cpu_per_request": "CPU per request",
}


@dataclass(slots=True)
class Soak:
    """Everything that was counted and found."""

    seed: int
    seconds: float = 0.0
    machine: str = ""
    samples: list[Sample] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    idle: dict[str, float] = field(default_factory=dict)
    at_end: dict[str, float] = field(default_factory=dict)
    types_first: dict[str, int] = field(default_factory=dict)  # live objects by type, in the first idle moment
    types_last: dict[str, int] = field(default_factory=dict)
    held_back_mib: float = 0.0  # resident at the end, without what malloc keeps free, less what it was at first
    bytes_through: int = 0
    records: int = 0  # that the proxy counted
    settled: int = 0  # requests that were compared with what upstreams saw
    exit_code: int | None = None

    @property
    def failed(self) -> bool:
        """True when something was found, or something is not flat."""
        return bool(self.findings) or not all(trend.flat for trend in trends(self.samples))


def write(soak: Soak, folder: Path) -> None:
    """Write ``soak.md``, ``soak.svg``, ``soak.csv`` and ``soak.json`` into ``folder``."""
    with (folder / "soak.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()
        rows.writerows(asdict(sample) for sample in soak.samples)
    told: dict[str, object] = {each.name: getattr(soak, each.name) for each in fields(soak) if each.name != "samples"}
    told |= {"findings": [asdict(finding) for finding in soak.findings]}
    told |= {"trends": [asdict(trend) for trend in trends(soak.samples)], "failed": soak.failed}
    (folder / "soak.json").write_text(json.dumps(told, indent=1) + "\n")
    (folder / "soak.md").write_text(markdown(soak))
    total = sum(soak.kinds.values())
    note = f"{total} requests, {sum(soak.faults.values())} of them with a fault; seed {soak.seed}; {soak.machine}"
    title = f"ampmap under mixed traffic, faults and reloads for {_time(soak.seconds)}"
    (folder / "soak.svg").write_text(draw(soak.samples, soak.outages, title, note))


def markdown(soak: Soak) -> str:
    """Return the report as text."""
    total = sum(soak.kinds.values())
    lines = [
        f"# Soak: {'FAILED' if soak.failed else 'held'}",
        "",
        f"{_time(soak.seconds)}, seed {soak.seed}, {soak.machine}. {total} requests, "
        f"{soak.bytes_through / 1e9:.2f} GB of bodies both ways, {soak.records} records.",
        "",
        "| number | idle, first | idle, last | highest | rise over the run | may rise | flat |",
        "|---|---|---|---|---|---|---|",
        *(_trend(trend) for trend in trends(soak.samples)),
        "",
        "| after all traffic stopped | " + " | ".join(soak.idle) + " |",
        "|---|" + "---|" * len(soak.idle),
        "| before the load | " + " | ".join(f"{value:g}" for value in soak.idle.values()) + " |",
        "| after it | " + " | ".join(f"{soak.at_end.get(name, -1):g}" for name in soak.idle) + " |",
        "",
        f"When malloc had given back what it kept free, {soak.held_back_mib:+.1f} MiB were resident against the first "
        "moment: the rest of the rise is kept for the next large bodies.",
        "",
        *_load(soak),
        *_types(soak),
        *_counts("requests", soak.kinds),
        *_counts("how they ended", soak.outcomes),
        *_counts("faults injected", soak.faults),
        *_counts("done to the proxy", soak.events),
        f"Findings: {len(soak.findings)}",
        "",
    ]
    lines += [f"    {finding}" for finding in soak.findings[:_SHOWN_FINDINGS]]
    return "\n".join(lines) + "\n"


def _trend(trend: Trend) -> str:
    unit = f" {trend.unit}" if trend.unit else ""
    flat = ("yes" if trend.flat else "**NO**") if trend.enough else "too short to tell"
    shown = " | ".join(f"{value:.4g}{unit}" for value in (trend.first, trend.last, trend.highest))
    return f"| {_NAMES[trend.name]} | {shown} | {trend.rise:+.2g}{unit} | {trend.bound:.2g}{unit} | {flat} |"


def _load(soak: Soak) -> Sequence[str]:
    if not soak.samples:
        return ()
    loads, cores = [sample.load for sample in soak.samples], os.cpu_count() or 1
    said = f"load of the machine: median {median(loads):.1f}, highest {max(loads):.1f}, on {cores} cores"
    if median(loads) > _BUSY * cores:
        said += "; others left the soak too little of it: what was found to be late, or not in time, may be theirs"
    return (said, "")


def _types(soak: Soak) -> Sequence[str]:
    found = [f"{name} {before} to {now}" for name, before, now in grown(soak.types_first, soak.types_last)]
    return (f"of these types there are more live objects: {'; '.join(found)}", "") if found else ()


def _counts(title: str, counted: Counter[str]) -> Sequence[str]:
    if not counted:
        return ()
    shown = "; ".join(f"{name} {count}" for name, count in counted.most_common())
    return (f"{title} ({sum(counted.values())}): {shown}", "")


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
