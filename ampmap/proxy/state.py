"""The state of a running proxy: its snapshot, the availability of providers, upstream connections and the journal.

One :class:`Service` per proxy. A request reads ``snapshot`` once; a reload replaces it in one assignment.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from ..amp.cookies import CookieNames
from ..amp.secrets import AmpSecret
from ..bodies.steps import Steps
from ..http.dialer import Dialer
from ..http.pool import Pool
from ..records.journal import Journal
from ..routing.cooldown import Cooldowns
from ..routing.credits import Credits
from ..routing.decide import Decisions
from ..routing.snapshot import Availability, Offer, Snapshot
from .discovery import Discovery

_NEW_S = 60.0  # how long after its configuration a provider without a list may still cover any name


class AdminPage(NamedTuple):
    """A page under ``/_ampmap/``; ``lines`` are additional header lines."""

    status: int
    content_type: str
    body: bytes
    lines: tuple[tuple[bytes, bytes], ...] = ()


class Feed(Protocol):
    """A body whose pieces come as something happens; the reader must call ``close``, even after the last piece.

    ``on_end`` is called when the proxy begins to drain; then the body ends.
    """

    on_end: Callable[[], None]

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def __anext__(self) -> bytes: ...
    def close(self) -> None: ...


def _no_page() -> Steps[None]:
    return None
    yield


@dataclass(slots=True)
class Reload:
    """The last reload: when the configuration in force was read, and how a later reload failed; seconds since 1970."""

    at: float
    error: str = ""
    failed_at: float | None = None


@dataclass(slots=True)
class Service:
    """Everything that the exchanges of one proxy share."""

    snapshot: Snapshot
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    journal: Journal = field(default_factory=Journal)
    decisions: Decisions = field(default_factory=Decisions, repr=False)
    cooldowns: Cooldowns = field(default_factory=lambda: Cooldowns(time.monotonic, time.time))
    amp_cookies: CookieNames = field(default_factory=CookieNames, repr=False)
    credits: Credits = field(default_factory=lambda: Credits(time.time))
    # The server sets these two to admin.pages.scan_page and admin.events.Events.listen, which proxy may not import.
    page: Callable[[str], Steps[AdminPage | None]] = lambda name: _no_page()
    events: Callable[[bytes | None], Feed | None] = lambda last_id: None  # None when there are too many readers
    draining: bool = False
    count_connections: Callable[[], int] = lambda: 0
    count_tasks: Callable[[], int] = lambda: 0
    started: float = field(default_factory=time.monotonic)
    reload: Reload = field(default_factory=lambda: Reload(time.time()))
    reloads: Counter[str] = field(default_factory=Counter)  # ``applied`` and ``failed``
    pool: Pool = field(init=False, repr=False)
    discovery: Discovery = field(init=False, repr=False)
    amp_secret: AmpSecret = field(init=False, repr=False)
    _available: Availability = field(init=False, repr=False)
    _unlearnt: bool = field(init=False, default=True, repr=False)  # some provider has never given its list

    def __post_init__(self) -> None:
        settings = self.snapshot.settings
        dialer = Dialer(self.env, settings.limits, settings.timeouts.connect_s)
        self.pool = Pool(dialer, settings.limits, settings.timeouts)
        self.amp_secret = AmpSecret(self.env)
        self._available = Availability()
        self.discovery = Discovery(self.pool, self._take_offers)
        self.discovery.configure(settings.providers)

    @property
    def offers(self) -> Mapping[str, Offer]:
        """The lists of models that providers reported, by the provider's name."""
        return self._available.offers

    def availability(self) -> Availability:
        """Return the availability of providers now; the same object as long as nothing changes."""
        known = self._available
        cooldowns, limited = self.cooldowns.current(), self.cooldowns.limited()
        unlearnt = self.discovery.unlearnt() if self._unlearnt else {}
        new = frozenset([name for name, seconds in unlearnt.items() if seconds < _NEW_S])
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
        """Use other settings for requests that begin from now on.

        Settings that need a restart keep their old values; the gates rely on ``listen`` as it really is.
        """
        now, settings = self.snapshot.settings, compiled.settings
        limits = replace(settings.limits, connections=now.limits.connections)
        settings = replace(settings, listen=now.listen, admin=now.admin, limits=limits)
        if settings.amp.origin != now.amp.origin:
            self.amp_cookies.forget()
        self.pool.configure(settings.limits, settings.timeouts)
        self.pool.forget()  # a file of certificate authorities may have new content under the same name
        before = {(provider.name, provider.origin, provider.ca_file) for provider in now.providers}
        same = (p.name for p in settings.providers if (p.name, p.origin, p.ca_file) in before)
        self.cooldowns.keep_only(frozenset(same))
        self.snapshot = replace(compiled, settings=settings, generation=self.snapshot.generation + 1)
        self.discovery.configure(settings.providers)
        self.reload = Reload(time.time())
        self.reloads["applied"] += 1

    def _take_offers(self, offers: dict[str, Offer]) -> None:
        self._available = replace(self._available, offers=offers)
        self._unlearnt = any(
            (offer := offers.get(provider.name)) is None or offer.learnt_at is None
            for provider in self.snapshot.settings.providers
            if provider.discover
        )
