"""A configuration that is followed: what is saved is in force for the next request, what is broken changes nothing.

``watch`` says when to read and reads; here the result is put in force, and what changed is told. What takes time for
many rules (reading, compiling, comparing) is done in the thread that reads; the event loop only swaps the snapshots.
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

MAX_TOLD = 100  # changes; of ten thousand, nobody reads more


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration comes from: its path, how it is read again, and the files that took part the last time.

    ``applied`` is called with settings that have been put in force.
    """

    path: Path
    load: Callable[[], Loaded]
    files: tuple[Path, ...]
    applied: Callable[[Settings], None] = lambda settings: None


@dataclass(frozen=True, slots=True)
class _Ready(Loaded):
    """A configuration that needs nothing more than to be put in force."""

    snapshot: Snapshot = field(kw_only=True)
    changes: str = field(kw_only=True)


class Reloader:
    """Keeps a service's rules equal to the files that they come from; ``told`` is called after each reload, failed or
    not.
    """

    def __init__(self, service: Service, source: Source) -> None:
        self._service = service
        self._load = source.load
        self._applied = source.applied
        self.told: Callable[[], None] = lambda: None
        self._watcher = Watcher(source.path, self._ready, self._loaded, self._failed, source.files)

    async def run(self) -> None:
        """Follow the configuration until cancelled; a thread that still loads is left behind."""
        await self._watcher.run()

    def force(self, done: Callable[[], None] = lambda: None) -> None:
        """Read the configuration now, changed or not; ``done`` is called once that has come to something."""
        self._watcher.force(done)

    def _ready(self) -> Loaded:
        """Read and compile, in a thread. Errors: as ``load``."""
        loaded = self._load()
        snapshot, warnings = compile_snapshot(loaded.settings)
        changes = differences(self._service.snapshot.settings, loaded.settings)  # what runs, not the last file
        told = "; ".join(changes[:MAX_TOLD]) or "no change"
        if len(changes) > MAX_TOLD:
            told += f"; and {len(changes) - MAX_TOLD} more"
        warned = (*loaded.warnings, *warnings)
        return _Ready(loaded.settings, warned, loaded.files, snapshot=snapshot, changes=told)

    def _loaded(self, loaded: Loaded) -> None:
        assert isinstance(loaded, _Ready)  # for it comes from the method above
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
