"""What a running proxy knows: the snapshot in force, who is available, its connections to upstreams, its journal.

One :class:`Service` per proxy. A request reads ``snapshot`` once; a reload replaces it in one assignment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ..amp.cookies import CookieNames
from ..amp.secrets import AmpSecret
from ..http.dialer import Dialler
from ..http.pool import Pool
from ..records.record import Journal
from ..routing.cooldown import Rests
from ..routing.credits import Credits
from ..routing.decide import Decisions
from ..routing.snapshot import Availability, Offer, Snapshot
from .discovery import Discovery

_NEW_S = 60.0  # a provider that was configured so long ago and never gave its list covers no names by itself


Page = tuple[int, str, bytes]
"""A page under ``/_ampmap/``: its status, content type and body."""


@dataclass(slots=True)
class Reload:
    """What became of the configuration since the start; times are seconds since 1970."""

    at: float
    error: str = ""
    failed_at: float | None = None


@dataclass(slots=True)
class Service:
    """Everything an exchange needs and does not own."""

    snapshot: Snapshot
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    journal: Journal = field(default_factory=Journal)
    decisions: Decisions = field(default_factory=Decisions, repr=False)
    rests: Rests = field(default_factory=lambda: Rests(time.monotonic, time.time))
    amp_cookies: CookieNames = field(default_factory=CookieNames, repr=False)
    credits: Credits = field(default_factory=lambda: Credits(time.time))
    page: Callable[[str], Page | None] = lambda name: None  # the pages under /_ampmap/, handed in by the server
    draining: bool = False
    count_connections: Callable[[], int] = lambda: 0
    count_tasks: Callable[[], int] = lambda: 0
    started: float = field(default_factory=time.monotonic)
    reload: Reload = field(default_factory=lambda: Reload(time.time()))
    pool: Pool = field(init=False, repr=False)
    discovery: Discovery = field(init=False, repr=False)
    amp_secret: AmpSecret = field(init=False, repr=False)
    _available: Availability = field(init=False, repr=False)
    _unlearnt: bool = field(init=False, default=True, repr=False)  # some list has never come

    def __post_init__(self) -> None:
        settings = self.snapshot.settings
        dialler = Dialler(self.env, settings.limits, settings.timeouts.connect_s)
        self.pool = Pool(dialler, settings.limits, settings.timeouts)
        self.amp_secret = AmpSecret(self.env)
        self._available = Availability()
        self.discovery = Discovery(self.pool, self._take_offers)
        self.discovery.configure(settings.providers)

    def availability(self) -> Availability:
        """Return who is available right now; the same object as long as nothing changes."""
        known = self._available
        cooldowns, limited = self.rests.cooldowns(), self.rests.limited()
        unlearnt = self.discovery.unlearnt() if self._unlearnt else {}
        new = frozenset(name for name, seconds in unlearnt.items() if seconds < _NEW_S)
        credits_again = self.credits.again(self.snapshot.settings.amp.credits_per_day)
        if (
            cooldowns != known.cooldowns
            or limited != known.limited
            or new != known.new
            or unlearnt.keys() != known.unlearnt
            or credits_again != known.credits_again
        ):
            self._available = replace(
                known, cooldowns=cooldowns, limited=limited, unlearnt=frozenset(unlearnt), new=new,
                credits_again=credits_again,
            )  # fmt: skip
        return self._available

    def apply(self, compiled: Snapshot) -> None:
        """Put other settings in force, for requests that begin from now on.

        What needs a restart stays as it was at the start: the gates look at where the proxy really listens.
        """
        now, settings = self.snapshot.settings, compiled.settings
        limits = replace(settings.limits, connections=now.limits.connections)
        settings = replace(settings, listen=now.listen, admin=now.admin, limits=limits)
        if settings.amp.origin != now.amp.origin:
            self.amp_cookies.forget()
        self.pool.configure(settings.limits, settings.timeouts)
        self.pool.forget()  # a file of authorities may hold others now, under the same name
        before = {(provider.name, provider.origin, provider.ca_file) for provider in now.providers}
        same = (p.name for p in settings.providers if (p.name, p.origin, p.ca_file) in before)
        self.rests.keep_only(frozenset(same))
        self.snapshot = replace(compiled, settings=settings, generation=self.snapshot.generation + 1)
        self.discovery.configure(settings.providers)
        self.reload = Reload(time.time())

    def _take_offers(self, offers: dict[str, Offer]) -> None:
        self._available = replace(self._available, offers=offers)
        self._unlearnt = any(
            (offer := offers.get(provider.name)) is None or offer.learnt_at is None
            for provider in self.snapshot.settings.providers
            if provider.discover
        )
