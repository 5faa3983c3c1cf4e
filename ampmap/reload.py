"""A configuration that is followed: what is saved is in force for the next request, what is broken changes nothing.

``watch`` says when to read and reads; here the result is put in force, and what changed is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .address import is_loopback
from .changes import differences
from .configfile import Loaded
from .errors import Complaint, ConfigError
from .service import Service
from .settings import Settings, TcpListen
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
    """Keeps a service's rules equal to the files that they come from; ``told`` is called after each reload, failed or
    not.
    """

    def __init__(self, service: Service, source: Source) -> None:
        self._service = service
        self._applied = source.applied
        self.told: Callable[[], None] = lambda: None
        self._last = service.snapshot.settings  # as the file had them, the parts that need a restart included
        self._watcher = Watcher(source.path, source.load, self._loaded, self._failed, source.files)

    async def run(self) -> None:
        """Follow the configuration until cancelled; leaves no thread behind."""
        await self._watcher.run()

    def force(self, done: Callable[[], None] = lambda: None) -> None:
        """Read the configuration now, changed or not; ``done`` is called once that has come to something."""
        self._watcher.force(done)

    def _loaded(self, loaded: Loaded) -> None:
        service = self._service
        if opened := _opened(service.snapshot.settings, loaded.settings):
            self._failed(ConfigError(Complaint(opened)))
            return
        changes = differences(self._last, loaded.settings)
        self._last = loaded.settings
        warnings = (*loaded.warnings, *service.apply(loaded.settings))
        self._applied(loaded.settings)
        generation = service.snapshot.generation
        _log.info("configuration reloaded, generation %d: %s", generation, "; ".join(changes) or "no change")
        for warning in warnings:
            _log.warning("%s", warning)
        self.told()

    def _failed(self, error: ConfigError) -> None:
        errors = [str(complaint) for complaint in error.complaints if complaint.severity == "error"]
        self._service.reload.error = "\n".join(errors)
        self._service.reload.failed_at = time.time()
        for line in errors:
            _log.error("%s", line)
        _log.error("the configuration was not reloaded: the rules of generation %d stay in force",
                   self._service.snapshot.generation)  # fmt: skip
        self.told()


def _opened(running: Settings, wanted: Settings) -> str:
    """Say why other settings would open a proxy to strangers that listens where it did at its start; else nothing."""
    if wanted.api_keys or wanted.allow_open_access:
        return ""
    far = [str(at) for at in running.listen if isinstance(at, TcpListen) and not is_loopback(at.host)]
    if not far:
        return ""
    return f"this proxy listens on {', '.join(far)} until it is restarted; keep api-keys, or restart it"
