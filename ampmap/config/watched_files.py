"""A configuration's files as they were last seen, compared and loaded again. Everything here blocks.

``watch`` calls it in a thread, one call at a time, and says when.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from ..errors import Complaint, ConfigError, Place
from . import fingerprint as filestate
from .file import Loaded, UnusableFiles
from .fingerprint import Found, Names

LOAD_S = 30.0  # for a configuration to be read: four MiB of rules take two thirds of it
_TRIES = 4  # looks in a row while files change as they are loaded; a newly named file takes two, and one to make sure


class Directories(Protocol):
    """Directories that are watched for changes."""

    def watch(self, names: Names) -> None:
        """Watch these directories and no others."""

    def is_whole(self) -> bool:
        """Tell whether all that was watched still is."""

    def stop(self) -> None:
        """Watch nothing more."""


def overdue(path: Path, seconds: float) -> ConfigError:
    """Return the error for a configuration that could not be read within ``seconds``."""
    what = f"reading the configuration has not ended within {seconds:g} s"
    advice = "a file that it names is on a disk or a network mount that does not answer; name another file"
    return ConfigError(Complaint(f"{what}: {advice}", Place(str(path), 1)))


class WatchedFiles:
    """What the files hold, and what became of loading them; ``files`` are those that took part in what is in force.

    ``loads`` counts the calls of ``load``.
    """

    def __init__(
        self, path: Path, load: Callable[[], Loaded], files: Iterable[Path], directories: Directories | None
    ) -> None:
        self.loads = 0
        self._path = path
        self._load = load
        self._directories = directories
        self._good = self._files = frozenset(file.absolute() for file in files)
        self._seen = filestate.contents(filestate.taking_part(self._path, self._files))
        self._filled = filestate.filled(self._seen)
        self._signature: object = None

    def successor(self, directories: Directories | None) -> WatchedFiles:
        """Return the files to go on with while a call on these blocks: the configuration's own files alone.

        A change in these leads to the next load. The file that the call waits for would not answer now, either.
        """
        new = copy.copy(self)
        new._directories = directories
        new._good = new._files = frozenset()
        if self.has_others:
            new._signature = None
        return new

    @property
    def has_others(self) -> bool:
        """Whether files take part beside those that the configuration's path leads to."""
        return bool(self._files)

    def stop(self) -> None:
        """Watch nothing more."""
        directories, self._directories = self._directories, None  # a look that still runs begins to watch none
        if directories is not None:
            directories.stop()

    def glance(self) -> bool:
        """Tell whether files look different, or have ceased to be watched. Opens nothing."""
        before, self._signature = self._signature, filestate.signature(filestate.taking_part(self._path, self._files))
        return before != self._signature or (self._directories is not None and not self._directories.is_whole())

    def look(self, patient: bool, forced: bool) -> tuple[Loaded | ConfigError | None, bool]:
        """Load if the files have changed. Return what came of it, and whether to look again in a while.

        ``patient``: they have been given time. If they look as they did before, what is missing is missing.
        """
        outcome: Loaded | ConfigError | None = None
        for attempt in range(_TRIES):
            files = filestate.taking_part(self._path, self._files)
            if self._directories is not None:
                self._directories.watch(filestate.names(self._path, files))  # first, or a change would go unnoticed
            before, self._signature = self._signature, filestate.signature(files)
            found = filestate.contents(files)
            if not forced:
                if all(self._seen.get(file) == what for file, what in found.items()):
                    return outcome, False
                is_moving = patient and attempt == 0 and before != self._signature
                if is_moving or (not patient and self._filled & found.keys() - filestate.filled(found)):
                    break
            forced, self._seen = False, found
            outcome = self._attempt(found)
        if attempt:
            self._seen = {}  # something was loaded, and nobody knows what it was
        return None, True

    def _attempt(self, found: Mapping[Path, Found]) -> Loaded | ConfigError:
        if complaint := self._unfit(found):
            return ConfigError(complaint)
        self.loads += 1
        try:
            loaded = self._load()
        except ConfigError as exc:
            self._files = self._good.union(exc.files if isinstance(exc, UnusableFiles) else ())
            return exc
        self._good = self._files = frozenset(file.absolute() for file in loaded.files)
        self._filled = filestate.filled(found)
        return loaded

    def _unfit(self, found: Mapping[Path, Found]) -> Complaint | None:
        """Say what must not be loaded, because it would pass for a configuration without rules."""
        if not self._filled:
            return None  # nothing was there before, either
        own = filestate.own_files(self._path)
        try:
            self._path.stat()
        except OSError as exc:
            return Complaint(f"this cannot be found any more: {exc.strerror}", Place(str(self._path), 1))
        if not own:
            return Complaint("no *.yaml is left in this directory; put one back", Place(str(self._path), 1))
        for file in own:
            if file in self._filled and file in found and found[file][0] == "blank":
                advice = "write it again, or at least a comment into it if it is to say nothing"
                return Complaint(f"this file is empty now; {advice}", Place(str(file), 1))
        return None
