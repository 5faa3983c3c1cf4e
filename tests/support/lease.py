"""A regular file that nobody else can open: the kernel lets them wait until this process gives its lease back."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kit import GUARD_S


@contextmanager
def held(path: Path) -> Iterator[Callable[[], object]]:
    """Keep everybody else's ``open`` of a file waiting (fcntl(2), F_SETLEASE); yield what ends that.

    The kernel takes a lease away after 45 s (/proc/sys/fs/lease-break-time).
    """
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel asks for the lease so
    descriptor = os.open(path, os.O_RDWR)
    end = time.monotonic() + GUARD_S
    while True:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            break
        except BlockingIOError:  # somebody has it open just now
            assert time.monotonic() < end
            time.sleep(0.005)
    try:
        yield lambda: fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)
