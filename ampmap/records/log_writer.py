"""Log lines to a file descriptor that may take none: a pipe nobody reads, a stopped terminal, a full disk.

Whoever logs never waits, and never writes: lines gather for a moment and leave in one write of a thread of their own,
so that a busy proxy spends next to nothing on them. Records that say so (``settled``: nothing they show will change)
gather before they become lines, for some made one after the other cost less each than one between two requests. Beyond
a bound lines are dropped, and counted in a line of their own as soon as lines are taken again.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections import deque

from ..escaping import counted

WAITING_BYTES = 1_048_576  # some thousand records: a reader that pauses for a moment loses nothing
_GATHER_S = 0.05  # nobody who reads a log sees the difference
_GATHER_RECORDS = 16  # made into lines at once: a third of a millisecond for whoever has to wait meanwhile
_LAST_S = 1.0  # for what still waits when the process ends


class Outlet(logging.Handler):
    """Writes what it is given to ``descriptor``, one line for each event.

    It goes past Python's own buffered files: a thread that is stuck in one of their locks would spoil the
    interpreter's end.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.encoding = "utf-8"  # a character that it lacks is escaped
        self._settled: list[logging.LogRecord] = []  # not lines yet
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._lost = 0
        self._writing = self._hurry = self._closed = False
        assert self.lock is not None
        self._held = self.lock
        self._changed = threading.Condition(self.lock)  # handle() holds it
        self._thread: threading.Thread | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Do as its base does, in fewer steps: a line is a good part of what a request costs."""
        if self.filters:
            return super().handle(record)
        with self._held:
            self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Leave one line to be written."""
        self._settled.append(record)
        if len(self._settled) == 1 and not self._waiting:
            self._changed.notify_all()
        if len(self._settled) >= _GATHER_RECORDS or not getattr(record, "settled", False):
            self._make_lines()
        if self._thread is None:
            # A daemon: a log that takes nothing is no reason to stay when the proxy has ended.
            self._thread = threading.Thread(target=self._run, name="ampmap log", daemon=True)
            self._thread.start()

    def _make_lines(self) -> None:
        records, self._settled = self._settled, []
        for record in records:
            try:
                line = self._line(record)
            except Exception:
                self.handleError(record)
                continue
            if self._waiting_bytes + len(line) > WAITING_BYTES:
                self._lost += 1
                continue
            self._waiting.append(line)
            self._waiting_bytes += len(line)

    def _line(self, record: logging.LogRecord) -> bytes:
        return (self.format(record) + "\n").encode(self.encoding, "backslashreplace")

    def flush(self) -> None:
        """Wait until every line is written, for a second at most."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not (self._settled or self._waiting or self._writing), _LAST_S)
            self._hurry = False

    def close(self) -> None:
        """Give the log a last second to take what waits, and end the thread."""
        self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        super().close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._settled or self._waiting or self._closed)
                if not (self._settled or self._waiting):
                    return
                self._changed.wait_for(lambda: self._hurry or self._closed, _GATHER_S)
                self._make_lines()
                lines, self._waiting, self._writing = self._waiting, deque(), True
            done = self._write(b"".join(lines))
            with self._changed:
                self._waiting_bytes -= sum(map(len, lines))
                if not done:  # no space, no reader: these lines are lost, the next ones may not be
                    self._lost += len(lines)
                elif self._lost and not self._waiting:
                    self._waiting.append(self._line(_complaint(self._lost)))
                    self._waiting_bytes += len(self._waiting[-1])
                    self._lost = 0

    def _write(self, data: bytes) -> bool:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self.descriptor, left) :]
            except BlockingIOError:  # whoever shares the descriptor has made it non-blocking
                taking = select.poll()
                taking.register(self.descriptor, select.POLLOUT)
                taking.poll()
            except OSError:
                return False
        return True


def _complaint(lost: int) -> logging.LogRecord:
    what = f"{counted(lost, 'line')} of this log {'is' if lost == 1 else 'are'} lost: it could not be written"
    return logging.LogRecord("ampmap.server", logging.WARNING, __file__, 0, what, (), None)
