"""What was found: a table for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .figures import Measure, Target, ratios


def shown(value: float) -> str:
    """Show a figure with three digits or so."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def verdict(measure: Measure, target: Target) -> str:
    """Say what a target asks for and whether it is met; nothing when it was not measured."""
    reached = measure.reached(target)
    if reached is None:
        return ""
    wanted = f"≤ {shown(target.limit)} × {target.against}" if target.against else f"≤ {target.limit:g}"
    if reached <= target.limit:
        return f"{wanted}: met" if not target.against else f"{wanted}: met ({shown(reached)})"
    return f"{wanted}: NOT met ({shown(reached)})"


def rows(measure: Measure) -> list[list[str]]:
    """Return a measure's lines: subject, median, spread, ratios, targets."""
    found = []
    for subject in measure.values:
        low, high = measure.spread(subject)
        against = [
            f"{shown(measure.ratio(subject, other))} × {other}"
            for other in (*measure.beside, *measure.check)
            if subject.startswith("ampmap") and other in measure.values
        ]
        targets = [
            verdict(measure, target)
            for target in measure.targets
            if target.subject == subject and measure.reached(target) is not None
        ]
        spread = f"{shown(low)} … {shown(high)}" if len(measure.values[subject]) > 1 else ""
        found.append([subject, shown(measure.median(subject)), spread, ", ".join(against), "; ".join(targets)])
    return found


def table(measures: Sequence[Measure]) -> str:
    """Return all measures as text."""
    heads = ["", "median", "spread", "ratio", "target"]
    lines: list[list[str]] = [row for measure in measures for row in rows(measure)]
    widths = [max(len(row[column]) for row in [heads, *lines]) for column in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if 0 < column < 3 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return ("  " + "  ".join(cells)).rstrip()

    text = [line(heads)]
    for measure in measures:
        text += ["", f"{measure.title}: {measure.unit}", *(line(row) for row in rows(measure))]
    return "\n".join(text)


def document(measures: Sequence[Measure], machine: Mapping[str, str], notes: Sequence[str]) -> dict[str, Any]:
    """Return everything that was measured, for JSON."""
    return {
        "machine": dict(machine),
        "notes": list(notes),
        "ratios": ratios(measures),
        "measures": [asdict(measure) for measure in measures],
    }


def restored(found: Mapping[str, Any]) -> list[Measure]:
    """Return the measures of a document."""
    return [
        Measure(
            each["key"],
            each["title"],
            each["unit"],
            {subject: list(values) for subject, values in each["values"].items()},
            tuple(Target(**target) for target in each["targets"]),
            tuple(each["beside"]),
            tuple(each["check"]),
        )
        for each in found["measures"]
    ]


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write JSON that reads well in a diff."""
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
