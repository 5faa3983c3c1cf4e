"""Cooldowns: providers that could not be reached go behind the others for a short, growing time.

Pure except for the clocks that it is given. Only failures to connect, or to agree on TLS, put a provider into
cooldown: one that answers at all is up. A cooldown refuses nothing. It orders candidates, and while all of them are in
cooldown it lets one request at a time try one. Nothing is probed: the try is a request that a client makes anyway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .snapshot import Cooldown

FIRST_S = 1.0
LONGEST_S = 60.0
LIMITED_S = 5.0  # after a 429 without a usable Retry-After
UNREACHABLE_S = 10.0  # after which clients are told not to try again by themselves


@dataclass(slots=True)
class _Cooldown:
    """The cooldown of one provider; all times are those of the monotonic clock."""

    failures: int
    first: float  # when the first of these failures was noted
    since: float
    until: float
    shown: Cooldown
    trial: float | None = None  # when the request began that tries the provider now


class Cooldowns:
    """Providers in cooldown, by name. ``now`` reads a monotonic clock in seconds, ``wall`` seconds since 1970."""

    def __init__(self, now: Callable[[], float], wall: Callable[[], float] = lambda: 0.0) -> None:
        self.now = now
        self._wall = wall
        self._cooldowns: dict[str, _Cooldown] = {}
        self.begun: Counter[str] = Counter()  # how many cooldowns each provider has had
        self._limited: dict[tuple[str, str], float] = {}  # a provider and its name of a model -> until when

    def current(self) -> dict[str, Cooldown]:
        """Return the providers that come behind others now, the one whose cooldown ends first before the others.

        A provider whose cooldown is over stays among them while one request tries it.
        """
        if not self._cooldowns:
            return {}
        now = self.now()
        found = [(each.until, name) for name, each in self._cooldowns.items() if each.until > now or each.trial]
        return {name: self._cooldowns[name].shown for _, name in sorted(found)}

    def limited(self) -> frozenset[tuple[str, str]]:
        """Return the pairs of a provider and a model that answered 429 a moment ago."""
        if not self._limited:
            return frozenset()
        now = self.now()
        self._limited = {pair: until for pair, until in self._limited.items() if until > now}
        return frozenset(self._limited)

    def limit(self, name: str, model: str, seconds: float | None) -> None:
        """Note a 429 of a provider for a model; ``seconds`` is its Retry-After, None without a usable one."""
        wanted = LIMITED_S if seconds is None else min(max(seconds, 0.0), LONGEST_S)
        self._limited[name, model] = self.now() + wanted

    def begin(self, name: str) -> float:
        """Note that a request begins to ask a provider; return the time, for :meth:`failed` and :meth:`gave_up`.

        If the provider is in cooldown and no other request tries it, this one does.
        """
        found, now = self._cooldowns.get(name), self.now()
        if found is not None and found.trial is None:
            found.trial = now
        return now

    def on_trial(self, name: str) -> bool:
        """Tell whether a request is trying a provider after a failure."""
        found = self._cooldowns.get(name)
        return found is not None and found.trial is not None

    def reached(self, name: str) -> bool:
        """Note that a provider could be reached; True when it had been in cooldown."""
        return self._cooldowns.pop(name, None) is not None

    def gave_up(self, name: str, began: float) -> None:
        """Note that the request that began then has ended; if it was the one that tried the provider, another may."""
        found = self._cooldowns.get(name)
        if found is not None and found.trial == began:
            found.trial = None

    def failed(self, name: str, why: str, began: float) -> float:
        """Note that a provider could not be reached; return for how many seconds it is in cooldown from now on.

        ``began`` is what :meth:`begin` returned. An attempt that began before the cooldown did
        says nothing new, however late it fails: it makes the cooldown no longer.
        """
        found, now = self._cooldowns.get(name), self.now()
        if found and began <= found.since and found.trial != began:
            return max(found.until - now, 0.0)
        failures = found.failures + 1 if found else 1
        seconds = min(FIRST_S * 2.0 ** min(failures - 1, 30), LONGEST_S)
        first = found.first if found else now
        self.begun[name] += 1
        shown = Cooldown(why, self._wall() + seconds)
        self._cooldowns[name] = _Cooldown(failures, first, now, now + seconds, shown)
        return seconds

    def long_unreachable(self, name: str) -> bool:
        """Tell whether a provider has been unreachable for so long that trying again at once is of no use."""
        found = self._cooldowns.get(name)
        return found is not None and self.now() - found.first >= UNREACHABLE_S

    def keep_only(self, names: frozenset[str]) -> None:
        """Forget the providers that are no longer configured."""
        for name in self._cooldowns.keys() - names:
            del self._cooldowns[name]
        self._limited = {pair: until for pair, until in self._limited.items() if pair[0] in names}
