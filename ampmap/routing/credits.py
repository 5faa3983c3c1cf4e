"""The requests that spent Amp credits in the last 24 hours, counted for ``amp-credits-per-day``.

Pure, except for the clock that it is given. The count is kept in memory: it survives a reload, not a restart.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

DAY_S = 86_400.0
MOST_PER_DAY = 100_000


class Credits:
    """When credits were spent; ``now`` reads the wall clock, which goes on while the machine is suspended."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._spent = array("d")

    def count(self) -> int:
        """Return how many requests have spent credits in the last 24 hours."""
        over, edge = 0, self._now() - DAY_S
        while over < len(self._spent) and self._spent[over] <= edge:
            over += 1
        del self._spent[:over]
        return len(self._spent)

    def again(self, per_day: int) -> float | None:
        """Return the time when the next request may spend credits; None if it may now, or ``per_day`` is 0."""
        if per_day == 0 or self.count() < per_day:
            return None
        return self._spent[-per_day] + DAY_S

    def spend(self) -> float:
        """Count a request that is about to leave; return what :meth:`give_back` needs."""
        self._spent.append(now := self._now())
        del self._spent[:-MOST_PER_DAY]
        return now

    def give_back(self, spent: float) -> None:
        """Count a request no longer: nothing of it left."""
        if spent in self._spent:
            self._spent.remove(spent)
