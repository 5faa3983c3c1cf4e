"""TERM, INT and HUP, received by a thread of their own, so that the process ends even if its event loop is stuck.

The main thread blocks these signals, and so do the threads that it starts later; one thread waits for them. Older
threads may still receive one: the event loop's own handlers are set, too.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_log = logging.getLogger("ampmap.server")

CUT_S = 1.0  # from the second signal to an end by force

_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
_ENDING = (signal.SIGTERM, signal.SIGINT)
_ALL = (*_ENDING, _HANGUP) if _HANGUP is not None else _ENDING


class Signals:
    """The signals in the order in which they came, an asynchronous iterator. Made by :func:`heard`."""

    def __init__(self, end_within: Callable[[float], None], drain_s: Callable[[], float]) -> None:
        self._end_within = end_within
        self._drain_s = drain_s
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[signal.Signals] = asyncio.Queue()
        self._endings = 0
        is_ignored = _HANGUP is None or signal.getsignal(_HANGUP) == signal.SIG_IGN  # as nohup(1) has it
        self._has_terminal = not is_ignored and _terminal_opens()
        self._closing = threading.Lock()
        self._is_closed = False

    def __aiter__(self) -> Signals:
        return self

    async def __anext__(self) -> signal.Signals:
        return await self._queue.get()

    def take(self, number: signal.Signals) -> None:
        """Pass a signal on; one that ends the process also starts the clock for its end. For any thread."""
        if number is _HANGUP and self._has_terminal and not _terminal_opens():
            _log.info("SIGHUP: the terminal has gone")
            number = signal.SIGTERM
        if number in _ENDING:
            self._endings += 1
            self._end_within(self._drain_s() if self._endings == 1 else CUT_S if self._endings == 2 else 0)
        with suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._queue.put_nowait, number)

    def wait(self) -> None:
        """Take signals until closed. For the thread."""
        while True:
            number = signal.sigwait(_ALL)
            with self._closing:
                if self._is_closed:
                    return
            self.take(signal.Signals(number))

    def close(self, thread: threading.Thread) -> None:
        """End the thread that waits."""
        with self._closing:  # or it could end before it is woken, and its identity be another's
            self._is_closed = True
            assert thread.ident is not None
            signal.pthread_kill(thread.ident, signal.SIGTERM)
        thread.join()


@contextmanager
def heard(end_within: Callable[[float], None], drain_s: Callable[[], float]) -> Iterator[Signals]:
    """Hear TERM, INT and HUP while the context lasts. For the main thread and its event loop.

    HUP becomes TERM if the process had a terminal, HUP was not ignored, and the terminal has gone. ``end_within`` is
    called, in any thread, with the seconds after which the process must have ended: ``drain_s()`` at the first TERM or
    INT, ``CUT_S`` at the second, 0 at a third.
    """
    found = Signals(end_within, drain_s)
    loop = asyncio.get_running_loop()
    if not hasattr(signal, "pthread_sigmask"):  # Windows, whose event loops have no handlers of signals either
        for number in _ALL:
            signal.signal(number, lambda number, _: found.take(signal.Signals(number)))
        yield found
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    for number in _ALL:
        loop.add_signal_handler(number, found.take, number)
    thread = threading.Thread(target=found.wait, name="ampmap signals", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.close(thread)
        for number in _ALL:
            loop.remove_signal_handler(number)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _terminal_opens() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError as exc:
        return exc.errno not in (errno.ENXIO, errno.EIO)  # others, such as EMFILE, say nothing of the terminal
    return True
