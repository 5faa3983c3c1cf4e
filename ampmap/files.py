"""Read and append to regular files only: a pipe, a device or a socket in their place is an error, never a wait.

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
_FLAGS = getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


class NotRegular(OSError):
    """A path leads to something other than a regular file; ``strerror`` says what it is and what to use instead."""


def read_regular(path: str | Path, limit: int) -> bytes:
    """Return the first ``limit`` bytes of a regular file. Blocks as long as its file system does.

    Errors: OSError, including NotRegular; ValueError for a path with a NUL in it.
    """
    require_regular(path)  # before opening it, which would release a waiting writer of a pipe or start a device
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS | _NONBLOCK)  # a pipe may have replaced the file since
    except BlockingIOError:  # another process holds a lease on the file, fcntl(2): opening it again waits for its end
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        _check(os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(descriptor)


def open_to_append(path: str | Path) -> int:
    """Open a regular file to append to, created with mode 0600 if it is missing; return its descriptor.

    Blocks as long as its file system does. Errors: OSError, including NotRegular.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _FLAGS
    descriptor = os.open(path, flags | _NONBLOCK, 0o600)  # non-blocking: a pipe without a reader would block
    try:
        _check(os.fstat(descriptor), _NAME_A_FILE)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def require_regular(path: str | Path) -> None:
    """Raise NotRegular if the path exists and is not a regular file."""
    with suppress(FileNotFoundError):
        _check(os.stat(path))


def require_appendable(path: Path) -> None:
    """Raise OSError if the path exists and is not a regular file, or if its directory does not exist.

    Permissions are not checked: the service that will write the file may run as another user.
    """
    try:
        _check(os.stat(path), _NAME_A_FILE)
    except FileNotFoundError:
        try:
            os.stat(path.parent)
        except FileNotFoundError:
            what = f"the directory {path.parent} does not exist; create it, or name a file elsewhere"
            raise FileNotFoundError(errno.ENOENT, what) from None


_NAME_A_FILE = "name a regular file"


def _check(status: os.stat_result, advice: str = "use an environment variable or a file") -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise NotRegular(errno.EINVAL, f"it is {kind}; {advice}")
