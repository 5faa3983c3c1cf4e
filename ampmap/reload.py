"""A configuration that is followed: what is saved is in force for the next request, what is broken changes nothing.

``watch`` says when to read and reads; here the result is put in force, and what changed is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .changes import differences
from .configfile import Loaded
from .errors import ConfigError
from .service import Service
from .settings import Settings
from .watch import Watcher

_log = logging.getLogger("ampmap.config")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration comes from: its path, how it is read again, and the files that took part the last time.

    ``applied`` is called with settings that have been put in force.
    """

    path: Path
    load: Callable[[], Loaded]
    files: tuple[Path, ...]
    applied: Callable[[Settings], None] = lambda settings: None


class Reloader:
    """Keeps a service's rules equal to the files that they come from."""

    def __init__(self, service: Service, source: Source) -> None:
        self._service = service
        self._applied = source.applied
        self._watcher = Watcher(source.path, source.load, self._loaded, self._failed, source.files)

    async def run(self) -> None:
        """Follow the configuration until cancelled; leaves no thread behind."""
        await self._watcher.run()

    def force(self) -> None:
        """Read the configuration now, changed or not."""
        self._watcher.force()

    def _loaded(self, loaded: Loaded) -> None:
        service = self._service
        changes = differences(service.snapshot.settings, loaded.settings)
        warnings = (*loaded.warnings, *service.apply(loaded.settings))
        self._applied(loaded.settings)
        generation = service.snapshot.generation
        _log.info("configuration reloaded, generation %d: %s", generation, "; ".join(changes) or "no change")
        for warning in warnings:
            _log.warning("%s", warning)

    def _failed(self, error: ConfigError) -> None:
        errors = [str(complaint) for complaint in error.complaints if complaint.severity == "error"]
        self._service.reload.error = "\n".join(errors)
        self._service.reload.failed_at = time.time()
        for line in errors:
            _log.error("%s", line)
        _log.error("the configuration was not reloaded: the rules of generation %d stay in force",
                   self._service.snapshot.generation)  # fmt: skip
