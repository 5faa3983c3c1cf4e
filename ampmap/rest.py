"""Providers that could not be reached rest for a short, growing time; then one request at a time tries them again.

Pure but for the clock it is given. Only failures to connect, or to agree on TLS, make a provider rest: whoever answers
at all is up. Nothing is probed: the try is a request that some client makes anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST_S = 1.0
LONGEST_S = 60.0


@dataclass(slots=True)
class _Rest:
    failures: int
    since: float
    until: float
    why: str
    on_trial: bool = False


class Rests:
    """Who rests; ``now`` reads a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._rests: dict[str, _Rest] = {}

    def names(self) -> frozenset[str]:
        """Return the providers that are not to be asked now: their rest is not over, or another request tries them."""
        if not self._rests:
            return frozenset()
        now = self._now()
        return frozenset(name for name, rest in self._rests.items() if rest.on_trial or rest.until > now)

    def why(self, name: str) -> str:
        """Return why a provider rests; empty when it does not."""
        rest = self._rests.get(name)
        return rest.why if rest else ""

    def asked(self, name: str) -> float:
        """Note that a request is on its way to a provider: if its rest is just over, it is the one that tries.

        Returns the time, which :meth:`failed` needs.
        """
        now = self._now()
        rest = self._rests.get(name)
        if rest and rest.until <= now:
            rest.on_trial = True
        return now

    def reached(self, name: str) -> bool:
        """Note that a provider could be reached; True when it had been resting."""
        return self._rests.pop(name, None) is not None

    def gave_up(self, name: str) -> None:
        """Note that the request that tried a provider ended before it was known whether it can be reached."""
        if rest := self._rests.get(name):
            rest.on_trial = False

    def failed(self, name: str, why: str, began: float) -> float:
        """Note that a provider could not be reached; return for how many seconds it still rests.

        ``began`` is the time when the attempt began, by the same clock. An attempt that began before the rest did says
        nothing new, however late it fails: it makes the rest no longer.
        """
        rest, now = self._rests.get(name), self._now()
        if rest and (rest.until > now or began <= rest.since):
            return max(rest.until - now, 0.0)
        failures = rest.failures + 1 if rest else 1
        seconds = min(FIRST_S * 2.0 ** min(failures - 1, 30), LONGEST_S)
        self._rests[name] = _Rest(failures, now, now + seconds, why)
        return seconds

    def keep_only(self, names: frozenset[str]) -> None:
        """Forget the providers that are no longer configured."""
        for name in self._rests.keys() - names:
            del self._rests[name]
