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
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from watchdog import events
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from ..errors import Complaint, ConfigError
from ..threads import Overdue, run_within, start_thread
from . import fingerprint as filestate
from .file import Loaded
from .fingerprint import EVERY_YAML, Names
from .watched_files import LOAD_S, WatchedFiles, overdue

_log = logging.getLogger("ampmap.watch")
# Watchdog 7 calls it an error when an event is left as a thread is told to stop; without this, standard error shows it.
logging.getLogger("watchdog").addHandler(logging.NullHandler())

T = TypeVar("T")

POLL_S = 2.0
QUIET_S = 0.09  # after a file was closed, or renamed into place: a save is several events
UNFINISHED_S = 1.0  # after a write without a close, and before a missing or empty file is believed
CAP_S = 1.0  # saves that never cease are loaded once in this time
_STOP_S = 5.0

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
        deadline_s: float = LOAD_S,
    ) -> None:
        self.looks = 0
        self._path = path.absolute()
        self._on_loaded = on_loaded
        self._on_failed = on_failed
        self._poll_s = poll_s
        self._directories = _Directories(self._tell, poll_s) if with_events else None
        self._deadline_s = deadline_s
        self._is_blind = False  # a glance is overdue: no poll until its thread ends
        self._is_overdue = False  # the last look was, and that has been told
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = anyio.Event()
        self._forced = False
        self._owed: list[Callable[[], None]] = []  # to be called after the next outcome
        self._pause = _Pause(poll_s)
        self._files = WatchedFiles(self._path, load, files, self._directories)

    @property
    def loads(self) -> int:
        """How often ``load`` was called."""
        return self._files.loads

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
            with anyio.CancelScope(shield=True), suppress(Overdue):
                await run_within(_STOP_S, self._files.stop)

    def _tell(self, path: str, is_unfinished: bool) -> None:
        """Take an event over from watchdog's thread, which nothing raised here may end."""
        self._from_thread(lambda: self._note(path, is_unfinished))

    def _from_thread(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the event loop is closed
            _log.debug("an event came after the end")

    def _note(self, path: str, is_unfinished: bool) -> None:
        self._pause.note(asyncio.get_running_loop().time(), path, is_unfinished)
        self._wake.set()

    async def _settled(self) -> None:
        """Return when it is time to look: on demand, or when what has been going on has come to rest."""
        poll_at = math.inf if self._is_blind else anyio.current_time() + self._poll_s
        while not self._forced:
            now, due = anyio.current_time(), self._pause.due()
            if now >= due:
                return
            if due == math.inf and now >= poll_at:
                poll_at = now + self._poll_s
                try:
                    has_changed = await self._in_thread(self._glance)
                except Overdue:
                    has_changed = self._is_blind = True
                    poll_at = math.inf
                if has_changed:
                    self._note("", True)
                continue
            self._wake = anyio.Event()
            with anyio.move_on_after((poll_at if due == math.inf else due) - now):
                await self._wake.wait()

    async def _round(self) -> None:
        """Look once and hand over what came of it."""
        pause, self._pause = self._pause, _Pause(self._poll_s)
        forced, self._forced = self._forced, False
        owed, self._owed = self._owed, []
        files, load_count = self._files, self.loads
        outcome: Loaded | ConfigError | None
        try:
            outcome, again = await self._in_thread(partial(files.look, pause.is_doubtful or forced, forced))
        except Overdue:
            is_news = forced or not self._is_overdue or files.loads > load_count
            outcome = overdue(self._path, self._deadline_s) if is_news else None
            again = files.has_others  # the configuration's own files may answer, and have changed
            self._is_overdue = True
        except Exception as exc:
            _log.exception("a bug in ampmap: the configuration could not be read")
            outcome, again = ConfigError(Complaint(f"a bug in ampmap ({type(exc).__name__}); its log says more")), False
        else:
            self._is_overdue = False
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
        return self._files.glance()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run ``work`` on the files in a thread.

        Errors: Overdue. A successor then takes the place of the files that the thread works on; if the thread ends
        after all, everything is loaded again.
        """
        files, has_ended = self._files, False

        def end() -> None:
            nonlocal has_ended
            has_ended = True
            if files is not self._files:
                self._is_blind = False
                self.force()

        def run() -> T:
            try:
                return work()
            finally:
                self._from_thread(end)

        try:
            return await run_within(self._deadline_s, run)
        except Overdue:
            self._directories = _Directories(self._tell, self._poll_s) if self._directories is not None else None
            self._files = files.successor(self._directories)
            start_thread(files.stop)
            if has_ended:
                self.force()
            raise


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
