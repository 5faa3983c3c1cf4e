"""A program as a child of this process: started, stopped and signalled as if a shell had started it itself.

The child stays in this process's group and session. So the terminal is its own: it is in the foreground when this
process is, gets the signals of Ctrl-C, Ctrl-Z and a new window size from the kernel, and may be moved to the
background. Signals that reach this process alone are passed on to it: INT and QUIT of the kernel reach the whole group,
those that another process sends do not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

_NAMES = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_PASSED = frozenset(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
_KEYS = (signal.SIGINT, getattr(signal, "SIGQUIT", None))  # a terminal sends them to the whole foreground group
_STOPPING_S = 0.02
"""Ctrl-Z stops the child a moment before this process, whose own stop on top would outlast the shell's ``fg``."""
_IS_POSIX = hasattr(os, "posix_spawn") and hasattr(signal, "pthread_sigmask")


class Child:
    """Starts one program and waits for it. Made by :func:`guarded`."""

    def __init__(self, mask: set[int]) -> None:
        self._mask = mask

    def release(self, on_signal: Callable[[], object]) -> None:
        """Stop holding signals back; TERM and INT call ``on_signal`` from now on. For the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: on_signal())
        if _IS_POSIX:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def run(self, path: str, arguments: Sequence[str], env: Mapping[str, str]) -> int:
        """Run a program to its end; return its exit code, 128 + n if signal n ended it. For the main thread.

        It gets this process's standard streams, working directory and terminal, and the signals that this process was
        started with. Raises :class:`OSError` when it cannot be started.
        """
        if not _IS_POSIX:
            return _run_plainly(path, arguments, env)
        reset = [getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)]  # Python's, not its
        child = os.posix_spawn(path, [path, *arguments], env, setsigmask=self._mask, setsigdef=reset)
        while True:
            number, is_kernels = _next_signal()
            if number == signal.SIGCHLD:
                if (code := _code(child)) is not None:
                    return code
            elif not (is_kernels and number in _KEYS):
                os.kill(child, number)


@contextmanager
def guarded() -> Iterator[Child]:
    """Hold back the signals that end a process while the context lasts, in this thread and in threads that it starts.

    A signal that comes before the program runs reaches it when it starts. One that comes after the program has ended is
    ignored, so that the program's exit code counts. For the main thread.
    """
    if not _IS_POSIX:
        yield Child(set())
        return
    heard = signal.signal(signal.SIGCHLD, lambda number, frame: None)  # if it is ignored, there is no exit code
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*_PASSED, signal.SIGCHLD})
    try:
        yield Child(mask)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGCHLD, heard or signal.SIG_DFL)


def _next_signal() -> tuple[int, bool]:
    """Wait for a signal; return it, and whether the kernel sent it, as it does for a terminal."""
    heard = {*_PASSED, signal.SIGCHLD}
    if hasattr(signal, "sigwaitinfo"):
        found = signal.sigwaitinfo(heard)
        return found.si_signo, found.si_code > 0  # sigaction(2): SI_USER is 0, SI_QUEUE and SI_TKILL are negative
    number = signal.sigwait(heard)
    return number, os.isatty(0)


def _code(child: int) -> int | None:
    """Return the exit code of a child that has ended. If it has stopped, stop as well, and continue it afterwards."""
    found, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
    if not found:
        return None
    if os.WIFSTOPPED(status):
        time.sleep(_STOPPING_S)
        found, status = os.waitpid(child, os.WNOHANG | os.WCONTINUED)
        if not found:
            os.kill(os.getpid(), signal.SIGSTOP)  # otherwise the shell would not take the terminal back
            os.kill(child, signal.SIGCONT)
            return None
        if os.WIFCONTINUED(status):
            return None
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _run_plainly(path: str, arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a program where there are no POSIX signals: Windows sends Ctrl-C to every process of a console."""
    with subprocess.Popen([path, *arguments], env=dict(env)) as child:
        while True:
            with suppress(KeyboardInterrupt):
                return child.wait()
