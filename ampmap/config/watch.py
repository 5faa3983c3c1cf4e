"""Watch the configuration's files; when one of them really changes, load all and hand the result to the caller.

``proxy.reload`` starts it and takes the results. The one module that imports watchdog. Any event of a
directory that matters, or the poll, is a reason to look:

* Wait until the files' ``stat`` has been still for 0.1 s, and for 1 s while one of them is empty or missing: that looks
  like a save that has not ended.
* Read a digest of all files. If it is another one than at the last look, load them and read the digest again: what was
  loaded counts only if the files are still the same.
* An empty file, or a missing one, never means "no rules".

Directories are watched, never files: a file that is saved by renaming is another file afterwards. The poll finds what
has no event: network file systems and some mounts send none.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias, TypeVar

import anyio
from watchdog import events
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from ..errors import Complaint, ConfigError
from ..threads import Overdue, run_within, start_thread
from . import fingerprint
from .file import LOAD_S, Loaded, UnusableFiles, overdue
from .fingerprint import Found, Stats

_log = logging.getLogger("ampmap.watch")
# Watchdog 7 calls it an error when an event is left as a thread is told to stop; without this, standard error shows it.
logging.getLogger("watchdog").addHandler(logging.NullHandler())

POLL_S = 2.0
QUIET_S = 0.1  # a save is several events
UNFINISHED_S = 1.0
CAP_S = 1.0  # saves that never cease are loaded once in this time
_STOP_S = 5.0

# Neither "opened" nor "closed without a write": others read these files, too.
_EVENTS: list[type[events.FileSystemEvent]] = [
    events.FileCreatedEvent, events.FileModifiedEvent, events.FileMovedEvent, events.FileDeletedEvent,
    events.DirCreatedEvent, events.DirMovedEvent, events.DirDeletedEvent,
]  # fmt: skip

T = TypeVar("T")
Outcome: TypeAlias = Loaded | ConfigError


class Watcher:
    """Watches a configuration and loads it again when it changes; ``run`` it beside the proxy.

    ``path`` is a file or a directory and need not exist yet; ``files`` are those that took part in what is in force
    (``Loaded.files``). Make it right after loading: what the files hold now, which is read at once, counts as loaded.
    ``load`` is called in a thread, ``on_loaded`` and ``on_failed`` on the event loop. A failure is told once, and again
    only when the files have changed; ``on_loaded`` after it is the recovery, even where the settings are those in
    force. ``loads`` counts the calls of ``load``, ``looks`` the times that the files were compared.
    """

    def __init__(
        self,
        path: Path,
        load: Callable[[], Loaded],
        on_loaded: Callable[[Loaded], None],
        on_failed: Callable[[ConfigError], None],
        files: Iterable[Path] = (),
        *,
        poll_s: float = POLL_S,
        with_events: bool = True,
        deadline_s: float = LOAD_S,
    ) -> None:
        self.loads = self.looks = 0
        self._path = path.absolute()
        self._load = load
        self._on_loaded = on_loaded
        self._on_failed = on_failed
        self._poll_s = poll_s
        self._deadline_s = deadline_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = anyio.Event()
        self._is_forced = False
        self._owed: list[Callable[[], None]] = []  # to be called after the next outcome
        self._directories = Directories(self.look_soon, poll_s) if with_events else None
        self._good = self._files = frozenset(file.absolute() for file in files)
        self._stats: Stats | None = None  # before the last look; None: look again
        self._found: dict[Path, Found] | None = fingerprint.contents(self._taking_part())  # None: load again
        self._filled = fingerprint.filled(self._found)
        self._is_retry = False  # the last look was overdue, and the next one leaves out what may have blocked it

    def force(self, done: Callable[[], None] = lambda: None) -> None:
        """Load at once, changed or not; ``done`` is called once the outcome was told. For the event loop."""
        self._is_forced = True
        self._owed.append(done)
        self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled; no thread of watchdog's is left then."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                await self._look(await self._settled())
        finally:
            if self._directories is not None:
                with anyio.CancelScope(shield=True), suppress(Overdue):
                    await run_within(_STOP_S, self._directories.stop)

    def look_soon(self) -> None:
        """Look at the files soon; from any thread. It raises nothing, which would end watchdog's thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(lambda: self._wake.set())

    async def _settled(self) -> Stats | None:
        """Return the files' stats once they differ from those of the last look and are still; None on demand."""
        last: Stats | None = None
        first = since = 0.0
        while not self._is_forced:
            self._wake = anyio.Event()  # set by what happens from here on
            has_others, is_retry = bool(self._files), self._is_retry
            try:
                stats = await self._within_deadline(self._stat)
            except Overdue:
                if not is_retry:
                    self._hand_over(overdue(self._path, self._deadline_s))
                if not has_others:  # there is nothing to leave out: only the end of the thread, or force, helps
                    await self._wake.wait()
                continue
            now = anyio.current_time()
            if stats == self._stats:
                last = None
                await anyio.sleep(QUIET_S)  # the most that a busy directory costs
                with anyio.move_on_after(self._poll_s):
                    await self._wake.wait()
                continue
            if last is None:
                first = now
            if stats != last:
                last, since = stats, now
            if now >= since + (UNFINISHED_S if fingerprint.is_unfinished(stats) else QUIET_S):
                return stats
            if now >= first + CAP_S and not fingerprint.is_unfinished(stats):
                return None
            await anyio.sleep(QUIET_S)
        return None

    async def _look(self, stats: Stats | None) -> None:
        """Look once, and hand over the outcome."""
        is_forced, self._is_forced = self._is_forced, False
        is_retry, self._is_retry = self._is_retry, False
        owed, self._owed = self._owed, []
        self._stats = stats
        outcome: Outcome | None = None
        try:
            outcome = await self._within_deadline(lambda: self._read(is_forced))
        except Overdue:
            if is_forced or not is_retry:
                outcome = overdue(self._path, self._deadline_s)
        except Exception as exc:
            _log.exception("a bug in ampmap: the configuration could not be read")
            outcome = ConfigError(Complaint(f"a bug in ampmap ({type(exc).__name__}); its log says more"))
        self.looks += 1
        if outcome is None:
            self._owed = owed + self._owed
            return
        self._hand_over(outcome)
        for done in owed:
            done()

    def _hand_over(self, outcome: Outcome) -> None:
        try:
            if isinstance(outcome, Loaded):
                self._on_loaded(outcome)
            else:
                self._on_failed(outcome)
        except Exception:
            _log.exception("a bug in ampmap: the configuration could not be taken over")

    async def _within_deadline(self, work: Callable[[], T]) -> T:
        """Run ``work`` on the files in a thread.

        Errors: Overdue. The configuration's own files are then followed alone, because the others may have blocked the
        thread. When that ends after all, everything is loaded again, so its late changes to this object do no harm.
        """
        try:
            return await run_within(self._deadline_s, work, self.force)
        except Overdue:
            if self._files:
                self._is_retry, self._stats = True, None
            self._good = self._files = frozenset()
            if self._directories is not None:
                start_thread(self._directories.stop)
                self._directories = Directories(self.look_soon, self._poll_s)
            raise

    # What follows blocks, and runs in threads.

    def _taking_part(self) -> set[Path]:
        """Return every path that matters: the configuration's own files as they are now, and those that it names."""
        return {*fingerprint.own_files(self._path), *self._files}

    def _stat(self) -> Stats:
        files = self._taking_part()
        if self._directories is not None:  # first, or a change would go unnoticed
            self._directories.watch(fingerprint.directories(self._path, files))
        return fingerprint.stats(files)

    def _read(self, is_forced: bool) -> Outcome | None:
        """Load if the files have changed. Return None if they have not, or have changed again meanwhile."""
        files = self._taking_part()
        before = fingerprint.stats(files)
        found = fingerprint.contents(files)
        if not is_forced and self._found is not None and found.items() <= self._found.items():
            return None
        complaint = fingerprint.lost(self._path, found, self._filled) if self._filled else None
        if complaint and not is_forced and fingerprint.stats(files) != self._stats:  # it is being saved just now
            self._stats = None
            return None
        self._found = found  # also if loading it never ends: the same files would not be loaded, either
        if complaint:
            return ConfigError(complaint)
        self.loads += 1
        outcome: Outcome
        try:
            outcome = self._load()
            self._files = frozenset(file.absolute() for file in outcome.files)
        except ConfigError as exc:
            outcome = exc
            self._files = self._good.union(exc.files if isinstance(exc, UnusableFiles) else ())
        files = self._taking_part()
        is_same = fingerprint.contents(files).items() <= found.items()
        if not is_same or not fingerprint.stats(files).items() <= before.items():
            self._found = self._stats = None
            return None
        if isinstance(outcome, Loaded):
            self._good, self._filled = self._files, fingerprint.filled(found)
        return outcome


class Directories(events.FileSystemEventHandler):
    """The directories that are watched; ``tell`` is called in watchdog's thread for each event.

    Where watching fails the poll has to do, and that is said once. All methods block.
    """

    def __init__(self, tell: Callable[[], None], poll_s: float) -> None:
        self._tell = tell
        self._poll_s = poll_s
        self._lock = threading.Lock()
        self._is_stopped = self._has_warned = False
        self._observer: BaseObserver | None = None
        self._watched: dict[str, tuple[int, int]] = {}

    def on_any_event(self, event: events.FileSystemEvent) -> None:
        """Pass it on."""
        self._tell()

    def watch(self, directories: set[str]) -> None:
        """Watch these and no others. All watches are renewed when one has ended, or a directory has been replaced."""
        wanted = {path: identity for path in directories if (identity := _identity(path))}
        with self._lock:
            if self._is_stopped or (wanted == self._watched and self._is_alive()):
                return
            self._end()
            self._watched = wanted
            try:
                self._observer = Observer()
                self._observer.start()
                for path in wanted:
                    self._observer.schedule(self, path, event_filter=_EVENTS)
            except FileNotFoundError:  # gone again
                self._watched = {}
            except Exception as exc:  # inotify's limits, that of threads, a bug in watchdog
                level = logging.DEBUG if self._has_warned else logging.WARNING
                self._has_warned = True
                seconds = self._poll_s + UNFINISHED_S
                _log.log(level, "cannot watch the configuration: %s; changes are noticed within %g s", exc, seconds)

    def _is_alive(self) -> bool:
        observer = self._observer
        return (
            observer is not None and observer.is_alive() and all(each.is_alive() for each in observer.emitters.copy())
        )

    def stop(self) -> None:
        """End all threads."""
        with self._lock:
            self._is_stopped = True
            self._end()

    def _end(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            with suppress(RuntimeError):  # it could not be started
                observer.join()


def _identity(directory: str) -> tuple[int, int] | None:
    """Return what tells a directory from another one of the same name."""
    try:
        status = os.stat(directory)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
