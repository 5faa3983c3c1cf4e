"""The configuration's files, watched: when one of them really changes, all are loaded and the result is handed over.

The one room that imports watchdog. Its threads only tell the event loop that something happened to a name that matters;
everything else is decided in :class:`Watcher`, where files are read in a worker thread:

* Directories are watched, never files: a file that is saved by renaming is another file afterwards.
* Events say *when* to look, a digest of all files says *whether* to load. So no event is too many and, with a slow
  poll beside them, none is too few: network file systems and some mounts send none.
* What looks like a save that has not ended (a file that is gone, or empty, or was written to and not closed) is given
  a second. An empty file never means "no rules".
* What was loaded counts only if the files are still the same afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import anyio
from anyio import to_thread
from watchdog import events
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from . import filestate
from .configfile import Loaded, UnusableFiles
from .errors import Complaint, ConfigError, Place
from .filestate import EVERY_YAML, Found, Names

_log = logging.getLogger("ampmap.watch")
# Watchdog 7 calls it an error when an event is left as a thread is told to stop; without this, standard error shows it.
logging.getLogger("watchdog").addHandler(logging.NullHandler())

POLL_S = 2.0
QUIET_S = 0.09  # after a file was closed, or renamed into place: a save is several events
UNFINISHED_S = 1.0  # after a write without a close, and before a missing or empty file is believed
CAP_S = 1.0  # saves that never cease are loaded once in this time
_STOP_S = 5.0
_TRIES = 4  # looks in a row while files change as they are loaded; a newly named file takes two, and one to make sure

# Neither "opened" nor "closed without a write": reading the files would call for reading them.
_EVENTS: list[type[events.FileSystemEvent]] = [
    events.FileCreatedEvent,
    events.FileModifiedEvent,
    events.FileClosedEvent,
    events.FileMovedEvent,
    events.FileDeletedEvent,
    events.DirCreatedEvent,
    events.DirMovedEvent,
    events.DirDeletedEvent,
]
_KINDS = ("created", "modified", "closed", "moved", "deleted")


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
    ) -> None:
        self.loads = 0
        self.looks = 0
        self._path = path.absolute()
        self._load = load
        self._on_loaded = on_loaded
        self._on_failed = on_failed
        self._poll_s = poll_s
        self._directories = _Directories(self._tell, poll_s) if with_events else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = anyio.Event()
        self._forced = False
        self._owed: list[Callable[[], None]] = []  # to be called after the next outcome
        self._pause = _Pause(poll_s)
        # Worked on in a thread, by one look or glance at a time:
        self._good = self._files = frozenset(file.absolute() for file in files)
        self._seen = filestate.contents(filestate.taking_part(self._path, self._files))
        self._filled = filestate.filled(self._seen)
        self._signature: object = None

    def force(self, done: Callable[[], None] = lambda: None) -> None:
        """Load at once, changed or not; ``done`` is called once what came of it was told. For the event loop."""
        self._forced = True
        self._owed.append(done)
        self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled; no thread of watchdog's is left then."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._round()  # files may have changed since this was made
            while True:
                await self._settled()
                await self._round()
        finally:
            if self._directories is not None:
                with anyio.move_on_after(_STOP_S, shield=True):
                    await to_thread.run_sync(self._directories.stop, abandon_on_cancel=True)

    def _tell(self, path: str, is_unfinished: bool) -> None:
        """Take an event over from watchdog's thread, which nothing raised here may end."""
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._note, path, is_unfinished)
        except RuntimeError:  # the event loop is closed
            _log.debug("an event came after the end")

    def _note(self, path: str, is_unfinished: bool) -> None:
        self._pause.note(asyncio.get_running_loop().time(), path, is_unfinished)
        self._wake.set()

    async def _settled(self) -> None:
        """Return when it is time to look: on demand, or when what has been going on has come to rest."""
        poll_at = anyio.current_time() + self._poll_s
        while not self._forced:
            now, due = anyio.current_time(), self._pause.due()
            if now >= due:
                return
            if due == math.inf and now >= poll_at:
                if await to_thread.run_sync(self._glance):
                    self._note("", True)
                poll_at = anyio.current_time() + self._poll_s
                continue
            self._wake = anyio.Event()
            with anyio.move_on_after((poll_at if due == math.inf else due) - now):
                await self._wake.wait()

    async def _round(self) -> None:
        """Look once and hand over what came of it."""
        pause, self._pause = self._pause, _Pause(self._poll_s)
        forced, self._forced = self._forced, False
        owed, self._owed = self._owed, []
        outcome: Loaded | ConfigError | None
        try:
            outcome, again = await to_thread.run_sync(self._look, pause.is_doubtful or forced, forced)
        except Exception as exc:
            _log.exception("a bug in ampmap: the configuration could not be read")
            outcome, again = ConfigError(Complaint(f"a bug in ampmap ({type(exc).__name__}); its log says more")), False
        self.looks += 1
        if again:
            self._note("", True)
        try:
            if isinstance(outcome, Loaded):
                self._on_loaded(outcome)
            elif outcome is not None:
                self._on_failed(outcome)
        except Exception:
            _log.exception("a bug in ampmap: the configuration could not be taken over")
        if outcome is None:
            self._owed = owed + self._owed
            return
        for done in owed:
            done()

    def _glance(self) -> bool:
        """Tell whether files look different, or have ceased to be watched. Opens nothing. In a thread."""
        before, self._signature = self._signature, filestate.signature(filestate.taking_part(self._path, self._files))
        return before != self._signature or (self._directories is not None and not self._directories.is_whole())

    def _look(self, patient: bool, forced: bool) -> tuple[Loaded | ConfigError | None, bool]:
        """Load if the files have changed. Return what came of it, and whether to look again in a while. In a thread.

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
        """Say what must not be loaded: it would block, or pass for a configuration without rules."""
        for file, (what, _) in found.items():
            if what == "stream":
                return Complaint("this is not a file that can be read again", Place(str(file), 1))
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


class _Pause:
    """What has happened since the last look, and when it will have come to rest. Times are the event loop's."""

    def __init__(self, poll_s: float) -> None:
        self._first = self._last = math.inf
        self._unfinished: set[str] = set()  # "" stands for files that were seen in a state to be doubted
        self._doubt_s = min(poll_s, UNFINISHED_S)

    @property
    def is_doubtful(self) -> bool:
        """Whether nothing but time has passed since the files were seen in a state to be doubted."""
        return "" in self._unfinished

    def note(self, now: float, path: str, is_unfinished: bool) -> None:
        """Take note that ``path`` was written to, or that a save of it has ended."""
        self._first, self._last = min(self._first, now), now
        if is_unfinished:
            self._unfinished.add(path)
        else:
            self._unfinished -= {path, ""}

    def due(self) -> float:
        """Return when to look; infinity when nothing has happened."""
        if self._unfinished:
            return self._last + (self._doubt_s if self._unfinished == {""} else UNFINISHED_S)
        return min(self._last + QUIET_S, self._first + CAP_S)


class _Directories(events.FileSystemEventHandler):
    """The directories that are watched; ``tell`` is called in watchdog's thread with each path that matters.

    Where watching fails the poll has to do, and that is said once.
    """

    def __init__(self, tell: Callable[[str, bool], None], poll_s: float) -> None:
        self._tell = tell
        self._poll_s = poll_s
        self._names: Names = {}
        self._observer: BaseObserver | None = None
        self._watched: dict[str, tuple[ObservedWatch, tuple[int, int]]] = {}
        self._has_warned = False

    def on_any_event(self, event: events.FileSystemEvent) -> None:
        """Pass on what happened to a name that matters."""
        if event.event_type not in _KINDS or (event.is_directory and event.event_type == "modified"):
            return
        for path in map(os.fsdecode, (event.src_path, event.dest_path)):
            directory, name = os.path.split(path)
            known = self._names.get(directory, frozenset())
            is_yaml = EVERY_YAML in known and name.endswith(".yaml") and not name.startswith(".")
            if name in known or is_yaml or path in self._names:
                self._tell(path, event.event_type == "modified")

    def watch(self, names: Names) -> None:
        """Watch these directories and no others, and anew those that stand in the place of old ones. Blocks."""
        self._names = names
        if self._observer is None or not self._observer.is_alive():
            self.stop()
            self._observer = self._started()
        observer = self._observer
        if observer is None:
            return
        dead = _dead(observer)
        for directory, (watch, identity) in list(self._watched.items()):
            if directory not in names or directory in dead or identity != filestate.identity(directory):
                del self._watched[directory]
                observer.unschedule(watch)
        for directory in names.keys() - self._watched.keys():
            if current := filestate.identity(directory):
                try:
                    self._watched[directory] = observer.schedule(self, directory, event_filter=_EVENTS), current
                except FileNotFoundError:
                    continue  # gone again; what comes in its place is told by its parent, or found by the poll
                except (OSError, RuntimeError) as exc:  # inotify's limits, or that of threads
                    self._warn(exc)

    def is_whole(self) -> bool:
        """Tell whether all that was watched still is."""
        return self._observer is None or (self._observer.is_alive() and not _dead(self._observer))

    def stop(self) -> None:
        """End all threads. Blocks."""
        observer, self._observer = self._observer, None
        self._watched.clear()
        if observer is not None:
            observer.stop()
            observer.join()

    def _started(self) -> BaseObserver | None:
        observer: BaseObserver | None = None
        try:
            observer = Observer()
            observer.start()
        except (OSError, RuntimeError) as exc:
            if observer is not None:
                observer.stop()  # it has threads before it is started
            self._warn(exc)
            return None
        return observer

    def _warn(self, exc: Exception) -> None:
        level = logging.DEBUG if self._has_warned else logging.WARNING
        self._has_warned = True
        seconds = self._poll_s + min(self._poll_s, UNFINISHED_S)
        _log.log(level, "cannot watch the configuration: %s; changes are noticed within %g s", exc, seconds)


def _dead(observer: BaseObserver) -> set[str]:
    return {os.fsdecode(emitter.watch.path) for emitter in observer.emitters.copy() if not emitter.is_alive()}
