"""Values of several rounds, what they come to, and whether that is as good as it should be. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WORSE = 1.25  # a ratio that has grown by more than this since it was recorded fails the check


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, or its ratio to ``against``, that ``subject`` should not exceed."""

    subject: str
    limit: float
    against: str = ""


@dataclass(slots=True)
class Measure:
    """One thing that was measured, for each subject once in every round; less is better."""

    key: str
    title: str
    unit: str
    values: dict[str, list[float]] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    beside: tuple[str, ...] = ()  # the ratio of ampmap to these subjects is shown
    check: tuple[str, ...] = ()  # and of these it is steady enough to be held to the baseline

    def add(self, subject: str, value: float) -> None:
        """Add one round's value; rounds come in the same order for every subject."""
        self.values.setdefault(subject, []).append(value)

    def median(self, subject: str) -> float:
        """Return the middle of all rounds."""
        return statistics.median(self.values[subject])

    def spread(self, subject: str) -> tuple[float, float]:
        """Return the least and the greatest value."""
        return min(self.values[subject]), max(self.values[subject])

    def ratio(self, subject: str, against: str) -> float:
        """Return the median of each round's ratio: what disturbs a round disturbs both sides of it."""
        pairs = list(zip(self.values[subject], self.values[against], strict=False))
        return statistics.median(over / under if under else float("inf") for over, under in pairs)

    def reached(self, target: Target) -> float | None:
        """Return what is to be compared with the target's limit; None when a side of it was not measured."""
        if target.subject not in self.values or (target.against and target.against not in self.values):
            return None
        return self.ratio(target.subject, target.against) if target.against else self.median(target.subject)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ratios(measures: Sequence[Measure]) -> dict[str, float]:
    """Return the ratios that are held to the baseline."""
    return {
        f"{measure.key}: {subject} / {against}": round(measure.ratio(subject, against), 4)
        for measure in measures
        for against in measure.check
        if against in measure.values
        for subject in measure.values
        if subject.startswith("ampmap") and subject != against and measure.median(against) > 0
    }


def regressions(now: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """Return a sentence for each ratio that is too much worse than the one recorded."""
    return [
        f"{name} is {now[name]:.2f}, recorded is {recorded[name]:.2f}: {now[name] / recorded[name] - 1:+.0%}"
        for name in sorted(now.keys() & recorded.keys())
        if now[name] > recorded[name] * WORSE
    ]


def works_of(names: Sequence[str]) -> list[str]:
    """Return the works that ratios, or sentences about them, come from, in their order."""
    return list(dict.fromkeys(name.partition(".")[0] for name in names))
