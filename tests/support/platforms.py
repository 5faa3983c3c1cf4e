"""This process as it were on another system: without what Python lacks there, which docs.python.org tells.

To be called before anything of ``ampmap`` is imported, by a program of its own: see :func:`program`. What differs
without being absent, such as the event loop of Windows, is not imitated.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import watchdog.observers

_MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
_OF_OS = """
    O_ACCMODE O_CLOEXEC O_DIRECTORY O_DSYNC O_NDELAY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC WCONTINUED WEXITSTATUS
    WIFCONTINUED WIFEXITED WIFSIGNALED WIFSTOPPED WNOHANG WSTOPSIG WTERMSIG WUNTRACED chown chroot confstr ctermid
    environb fchdir fchmod fchown fdatasync fork forkpty fpathconf fstatvfs getegid getenvb geteuid getgid getgroups
    getloadavg getpgid getpgrp getpriority getsid getuid killpg lchown lockf mkfifo mknod nice openpty pathconf
    posix_spawn posix_spawnp pread preadv pwrite pwritev readv register_at_fork setpgid setpriority setsid sync sysconf
    tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 waitid writev
"""
_OF_SIGNAL = """
    SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGUSR1 SIGUSR2 SIGWINCH
    alarm pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigwait
"""
# Of Linux alone, so absent on Windows, too.
_LINUX: tuple[tuple[Any, str], ...] = (
    (os, "O_PATH O_TMPFILE getrandom memfd_create pidfd_open posix_fadvise sched_getaffinity sched_setaffinity splice"),
    (select, "POLLRDHUP epoll"),
    (signal, "SIGPWR SIGSTKFLT sigtimedwait sigwaitinfo"),
    (socket, "AF_NETLINK AF_PACKET MSG_CMSG_CLOEXEC SOCK_CLOEXEC SOCK_NONBLOCK"),
)


def imitate(system: str) -> None:
    """Take away what ``system`` lacks: "Windows", or "macOS" before events of files, such as on a network mount."""
    _take_away(*_LINUX)
    watchdog.observers.Observer = None  # type: ignore[assignment]  # as where none can be made
    if system == "Windows":
        sys.modules.update(dict.fromkeys((*_MODULES, "uvloop")))  # type: ignore[arg-type]  # cannot be imported
        socket.socketpair = partial(socket.socketpair, socket.AF_UNIX)  # event loops make one for themselves
        _take_away((os, _OF_OS), (select, "poll"), (signal, _OF_SIGNAL), (socket, "AF_UNIX SO_REUSEPORT"))
        socket.SO_EXCLUSIVEADDRUSE = socket.SO_REUSEADDR  # type: ignore[attr-defined]  # for a bind after a bind
        del asyncio.SelectorEventLoop.add_signal_handler, asyncio.SelectorEventLoop.remove_signal_handler
        os.open = _not_directories(os.open)


def program(system: str, code: str = "from ampmap.__main__ import main; sys.exit(main())") -> tuple[str, ...]:
    """Return the arguments of a Python that runs ``code`` as on ``system``."""
    here = os.path.dirname(__file__)
    return "-c", f"import sys; sys.path.append({here!r}); from platforms import imitate; imitate({system!r}); {code}"


def _take_away(*names: tuple[Any, str]) -> None:
    for module, absent in names:
        for name in absent.split():
            if hasattr(module, name):
                delattr(module, name)


def _not_directories(opened: Callable[..., int]) -> Callable[..., int]:
    def open_file(path: Any, *arguments: Any, **others: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *arguments, **others)

    return open_file
