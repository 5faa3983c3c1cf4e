"""This process: its standard streams, its limits, its signals until the proxy takes them over, its end."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ..threads import start_thread

_LAST_S = 2.0  # for threads that still run after the proxy's end


def set_up_streams() -> None:
    """Let standard output and standard error take every character: those that they cannot encode are escaped.

    A standard stream that the parent closed is opened to the null device. Otherwise a socket would get its number, and
    uvloop refuses to close such a socket.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # None, or the stream of a program that calls main
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def arguments() -> list[str]:
    """Return the command line's arguments. One that the locale could not decode is read as UTF-8, if it is."""
    return [_decoded(argument) for argument in sys.argv[1:]]


def _decoded(argument: str) -> str:
    try:
        argument.encode()
    except UnicodeEncodeError:  # bytes that were not decoded, PEP 383
        with suppress(UnicodeDecodeError):
            return os.fsencode(argument).decode()
    return argument


def mute() -> None:
    """Send standard output to the null device: its reader has left, and Python would complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one: each stream takes two, and 1024 is the usual soft limit."""
    with suppress(ImportError, OSError, ValueError):  # a system without such limits, or one that refuses its own
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def obey_signals(hang_up: bool) -> None:
    """Undo the guard that ``__main__`` puts up while it imports; HUP stays blocked unless ``hang_up``."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hang_up and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))


async def served(run: Callable[..., Awaitable[None]]) -> None:
    """Await ``run``, which is given ``end_within``; threads that still run afterwards do not hold up the exit."""
    await run(end_within=end_within)
    end_within(_LAST_S, 0)


def end_within(seconds: float, code: int = 1) -> None:
    """End this process in so many seconds unless it ends by itself: a thread in a system call may never return."""

    def end() -> None:
        time.sleep(seconds)
        logging.shutdown()
        os._exit(code)

    start_thread(end)
