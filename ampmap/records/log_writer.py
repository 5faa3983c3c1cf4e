"""Write log lines to a descriptor or file that may block or fail: a pipe nobody reads, a stopped terminal, a full disk.

The logging task neither waits nor writes: a thread writes the lines of a moment in one call. Entries whose content will
not change (``settled``) are formatted several in a row, which costs less than formatting each between two requests.
Lines beyond WAITING_BYTES are dropped, and a line that counts them follows as soon as lines can be written again.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections import deque
from contextlib import suppress

from ..escaping import counted, printable
from ..files import open_to_append

WAITING_BYTES = 1_048_576  # some thousand records, enough for a reader that pauses for a moment
_GATHER_S = 0.05  # how long lines may wait for others; a reader of the log does not notice
_GATHER_RECORDS = 16  # formatted in a row at most, because requests wait meanwhile
_STDERR = 2
_FLUSH_S = 1.0  # for lines that still wait when the process ends


class LogWriter(logging.Handler):
    """Writes one line for each entry to ``descriptor``, or appends it to ``file``.

    The thread that writes also opens the file, so that a slow disk blocks no request. When the file cannot be opened
    again, the thread goes on with the descriptor that it has.

    Python's buffered files are not used: a thread that is stuck inside one holds its lock, at which the interpreter
    would fail when it ends.
    """

    def __init__(self, descriptor: int = -1, file: str = "") -> None:
        super().__init__()
        self.descriptor = descriptor
        self.file = file
        self._is_stale = bool(file)  # the file must be opened before the next line
        self._is_torn = False  # the last write ended within a line
        self._is_failing = False  # the user has been told that the file cannot be written
        self.encoding = "utf-8"  # characters that it lacks are escaped
        self._settled: list[logging.LogRecord] = []  # not formatted yet
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._lost = 0  # lines, since the last line that says how many
        self._writing = self._hurry = self._closed = False
        assert self.lock is not None
        self._lock = self.lock  # that of logging.Handler, known not to be None
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Do as the base class does, in fewer steps, because each request logs a line."""
        if self.filters:
            return super().handle(record)
        with self._lock:
            self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one entry; the caller holds the lock."""
        self._settled.append(record)
        if len(self._settled) == 1 and not self._waiting:
            self._changed.notify_all()
        if len(self._settled) >= _GATHER_RECORDS or not getattr(record, "settled", False):
            self._make_lines()
        if self._thread is None:
            # A daemon thread, so that a blocked log does not keep the process alive.
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
        """Wait until all lines are written, at most a second. Blocks the calling thread."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not (self._settled or self._waiting or self._writing), _FLUSH_S)
            self._hurry = False

    def close(self) -> None:
        """Flush, and end the thread."""
        self.flush()
        self.retire()
        super().close()

    def retire(self) -> None:
        """Tell the thread to write the waiting lines, close the file and end; return without waiting for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def reopen(self) -> None:
        """Open the file again before the next line: a log rotation may have renamed it."""
        self._is_stale = bool(self.file)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._settled or self._waiting or self._closed)
                if not (self._settled or self._waiting):
                    if self.file and self.descriptor >= 0:
                        os.close(self.descriptor)
                    return
                self._changed.wait_for(lambda: self._hurry or self._closed, _GATHER_S)
                self._make_lines()
                lines, self._waiting, self._writing = self._waiting, deque(), True
            done = self._write(b"".join(lines))
            with self._changed:
                self._waiting_bytes -= sum(map(len, lines))
                if not done:  # a full disk or a closed pipe: these lines are lost, later ones may succeed
                    self._lost += len(lines)
                elif self._lost and not self._waiting:
                    self._waiting.append(self._line(_loss(self._lost)))
                    self._waiting_bytes += len(self._waiting[-1])
                    self._lost = 0

    def _open(self) -> None:
        """Open the file again; if that fails, keep the descriptor and try again before the next line."""
        self._is_stale = False
        try:
            descriptor = open_to_append(self.file)
        except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
            self._is_stale = True
            self._complain(exc)
            return
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor, self._is_torn, self._is_failing = descriptor, False, False

    def _complain(self, exc: Exception) -> None:
        """Say once on standard error why the file cannot be written, unless standard error would block."""
        if not self.file or self._is_failing:
            return
        self._is_failing = True
        reason = exc.strerror if isinstance(exc, OSError) else "not a path"
        what = f"ampmap: cannot write the log to {self.file} (log.file): {reason}; the proxy goes on"
        with suppress(OSError, ValueError):
            if select.select([], [_STDERR], [], 0)[1]:
                os.write(_STDERR, f"{printable(what)}\n".encode("utf-8", "backslashreplace"))

    def _write(self, data: bytes) -> bool:
        """Write whole lines; False if they are lost, perhaps after the beginning of a line was written."""
        if self._is_stale:
            self._open()
        if self.descriptor < 0:
            return False
        if self._is_torn:
            data = b"\n" + data
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self.descriptor, left) :]
            except BlockingIOError:  # another process that shares the descriptor has made it non-blocking
                writable = select.poll()
                writable.register(self.descriptor, select.POLLOUT)
                writable.poll()
            except OSError as exc:
                if len(left) < len(data):
                    self._is_torn = data[len(data) - len(left) - 1 :][:1] != b"\n"
                self._complain(exc)
                return False
        self._is_torn = False
        self._is_failing = self._is_failing and self._is_stale
        return True


def _loss(lost: int) -> logging.LogRecord:
    what = f"{counted(lost, 'line')} of this log {'is' if lost == 1 else 'are'} lost: it could not be written"
    return logging.LogRecord("ampmap.server", logging.WARNING, __file__, 0, what, (), None)
