"""What a running proxy knows: the snapshot in force, its connections to upstreams, its journal.

One :class:`Service` per proxy. A request reads ``snapshot`` once; a reload replaces it in one assignment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .amp import AmpSecret
from .dial import Dialler
from .journal import Journal
from .mapping import Availability, Snapshot
from .pool import Pool


@dataclass(slots=True)
class Service:
    """Everything an exchange needs and does not own."""

    snapshot: Snapshot
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    journal: Journal = field(default_factory=Journal)
    availability: Availability = field(default_factory=Availability)
    draining: bool = False
    count_connections: Callable[[], int] = lambda: 0
    started: float = field(default_factory=time.monotonic)
    pool: Pool = field(init=False, repr=False)
    amp_secret: AmpSecret = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settings = self.snapshot.settings
        dialler = Dialler(self.env, settings.limits, settings.timeouts.connect_s)
        self.pool = Pool(dialler, settings.limits, settings.timeouts)
        self.amp_secret = AmpSecret(self.env)
