"""Hot reload: a saved configuration applies from the next request on; one with errors changes nothing.

``config.watch`` decides when to read. Its thread reads, compiles and compares, because many rules take time; this
module then swaps the snapshots on the event loop and logs the changes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..config.diff import differences
from ..config.file import Loaded
from ..config.watch import Watcher
from ..errors import Complaint, ConfigError
from ..net.address import is_loopback
from ..routing.snapshot import Snapshot, compile_snapshot
from ..settings import Settings, TcpListen
from .state import Service

_log = logging.getLogger("ampmap.config")

MAX_SHOWN = 100  # changes in one log line


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration comes from: its path, a function that reads it, and the files that the last reading read.

    ``applied`` is called with the new settings after each successful reload.
    """

    path: Path
    load: Callable[[], Loaded]
    files: tuple[Path, ...]
    applied: Callable[[Settings], None] = lambda settings: None


@dataclass(frozen=True, slots=True)
class _Ready(Loaded):
    """A configuration with everything that was computed in the thread."""

    snapshot: Snapshot = field(kw_only=True)
    changes: str = field(kw_only=True)


class Reloader:
    """Keeps a service's settings equal to their files; ``on_reload`` is called after each reload, failed or not."""

    def __init__(self, service: Service, source: Source) -> None:
        self._service = service
        self._load = source.load
        self._applied = source.applied
        self.on_reload: Callable[[], None] = lambda: None
        self._watcher = Watcher(source.path, self._ready, self._loaded, self._failed, source.files)

    async def run(self) -> None:
        """Follow the configuration until cancelled; a thread that still loads is abandoned."""
        await self._watcher.run()

    def force(self, done: Callable[[], None] = lambda: None) -> None:
        """Read the configuration now, changed or not; ``done`` is called once it is applied or has failed."""
        self._watcher.force(done)

    def _ready(self) -> Loaded:
        """Read and compile, in the watcher's thread. Errors: as ``load``."""
        loaded = self._load()
        snapshot, warnings = compile_snapshot(loaded.settings)
        changes = differences(self._service.snapshot.settings, loaded.settings)
        shown = "; ".join(changes[:MAX_SHOWN]) or "no change"
        if len(changes) > MAX_SHOWN:
            shown += f"; and {len(changes) - MAX_SHOWN} more"
        warned = (*loaded.warnings, *warnings)
        return _Ready(loaded.settings, warned, loaded.files, snapshot=snapshot, changes=shown)

    def _loaded(self, loaded: Loaded) -> None:
        assert isinstance(loaded, _Ready)  # the watcher passes on the result of _ready
        service = self._service
        if opened := _opened(service.snapshot.settings, loaded.settings):
            self._failed(ConfigError(Complaint(opened)))
            return
        service.apply(loaded.snapshot)
        self._applied(loaded.settings)
        generation = service.snapshot.generation
        _log.info("configuration reloaded, generation %d: %s", generation, loaded.changes)
        for warning in loaded.warnings:
            _log.warning("%s", warning)
        self.on_reload()

    def _failed(self, error: ConfigError) -> None:
        errors = [str(complaint) for complaint in error.complaints if complaint.severity == "error"]
        self._service.reload.error = "\n".join(errors)
        self._service.reload.failed_at = time.time()
        self._service.reloads["failed"] += 1
        for line in errors:
            _log.error("%s", line)
        generation = self._service.snapshot.generation
        _log.error("the configuration was not reloaded: the rules of generation %d stay in force", generation)
        self.on_reload()


def _opened(running: Settings, wanted: Settings) -> str:
    """Return why the wanted settings would open the proxy to other machines; empty if they would not.

    A reload does not change the addresses, so the running proxy may listen where the wanted settings would not.
    """
    if wanted.api_keys or wanted.allow_open_access:
        return ""
    far = [str(at) for at in running.listen if isinstance(at, TcpListen) and not is_loopback(at.host)]
    if not far:
        return ""
    return f"this proxy listens on {', '.join(far)} until it is restarted; keep api-keys, or restart it"
