"""Regular files, read without waiting for a writer: a pipe, a device or a socket in their place is an error.

A file system that does not answer, such as a dead network mount, still blocks; callers use a thread with a deadline.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory",
}
# Absent on Windows. O_NOCTTY: a terminal must not become the one that controls this process.
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_FLAGS = os.O_RDONLY | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


class NotRegular(OSError):
    """A path leads to something else than a regular file; ``strerror`` says to what, and what to do."""


def read_regular(path: str | Path, limit: int) -> bytes:
    """Return the first ``limit`` bytes of a regular file. Blocks as long as its file system does.

    Errors: OSError, NotRegular among them; ValueError for a path with a NUL in it.
    """
    require_regular(path)  # before it is opened: that would let a pipe's writer go on, and a device act
    try:
        descriptor = os.open(path, _FLAGS | _NONBLOCK)  # a pipe may have taken the file's place since
    except BlockingIOError:  # a regular file on which somebody has a lease, fcntl(2); the kernel asks for it back
        descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(descriptor)


def require_regular(path: str | Path) -> None:
    """Raise NotRegular for all that is there and is no regular file."""
    with suppress(FileNotFoundError):
        _check(os.stat(path))


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise NotRegular(errno.EINVAL, f"it is {kind}; use an environment variable or a file")
