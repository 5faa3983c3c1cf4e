"""How long requests took, as histograms for ``/_ampmap/metrics``."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from .record import Record

DURATIONS_MS: Final = (
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000,
)  # fmt: skip
OVERHEADS_MS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000)


class Histogram:
    """Counts of durations: each at most its bound in ``bounds_ms`` and above the one before; the last has no bound."""

    __slots__ = ("bounds_ms", "counts", "sum_ms")

    def __init__(self, bounds_ms: tuple[float, ...]) -> None:
        self.bounds_ms = (*map(float, bounds_ms),)  # a float is compared with another in a third of the steps
        self.counts = [0] * (len(bounds_ms) + 1)
        self.sum_ms = 0.0

    def add(self, ms: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds_ms, ms)] += 1
        self.sum_ms += ms


class Timings:
    """The histograms of one route type and provider."""

    __slots__ = ("duration", "first_byte", "overhead")

    def __init__(self) -> None:
        self.duration = Histogram(DURATIONS_MS)
        self.first_byte = Histogram(DURATIONS_MS)
        self.overhead = Histogram(OVERHEADS_MS)

    def add(self, record: Record) -> None:
        """Add a request; one that reached no upstream has no overhead."""
        self.duration.add(record.duration_ms)
        if record.ttfb_ms is not None:
            self.first_byte.add(record.ttfb_ms)
        if record.overhead_ms:
            self.overhead.add(record.overhead_ms)
