"""The service manager that started the proxy (systemd, or another with its protocol): notices to it, sockets from it.

Notices are the datagrams of sd_notify(3), written to the socket that ``NOTIFY_SOCKET`` names: ready, reloading,
stopping, alive, and a line of status. A notice that cannot be sent is dropped: a manager that has gone must
not end the proxy.

Sockets are those of sd_listen_fds(3), ``LISTEN_FDS``. They stay the manager's: closing them here ends no queue of
connections and removes no file, so that one proxy after the other can serve the same address without a gap.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

import anyio

from ..escaping import printable
from ..settings import Listen, TcpListen, UnixListen

_STATUS_CHARS = 400  # a line for people
_DIGITS = 20  # of a watchdog's time; as many mean "never"
_FIRST_FD = 3
_FD_DIGITS = 8
_FAMILIES = (socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_UNIX", None))  # Windows has none


class ServiceManager:
    """Whoever waits for news of this process; without an ``address`` nobody does, and nothing is sent.

    After :meth:`stopping` only signs of life are sent. All are sent without waiting, from the event loop: a loop that
    is stuck sends no sign of life, which is what a watchdog is for. One that the manager does not take is lost.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = watchdog_s
        self._sock: socket.socket | None = None  # kept: a process without files left must still seem alive
        self._is_stopping = False
        self._shown = ""

    def ready(self, status: str) -> None:
        """Say that requests are served, at the start and at the end of each reload that was announced."""
        if not self._is_stopping:
            self._tell("READY=1", _status(status))

    def reloading(self) -> None:
        """Say that the configuration is being read again; :meth:`ready` has to follow, whatever comes of it."""
        if not self._is_stopping:
            self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, status: str) -> None:
        """Say in one line how things are, if it is something else than was said last."""
        if not self._is_stopping and _status(status) != self._shown:
            self._tell(_status(status))

    def stopping(self, status: str, seconds: float) -> None:
        """Say that the end has begun, and that it may take ``seconds``, however few the manager would grant."""
        self._is_stopping = True
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}", _status(status))

    async def keep_watchdog(self) -> None:
        """Give a sign of life twice in the time that the manager waits for one; return at once where it doesn't."""
        while self._watchdog_s and self._address:
            self._tell("WATCHDOG=1")
            await anyio.sleep(self._watchdog_s / 2)

    def close(self) -> None:
        """Tell nothing more."""
        self._address = ""
        if self._sock is not None:
            self._sock.close()

    def _tell(self, *lines: str) -> None:
        self._shown = next((line for line in lines if line.startswith("STATUS=")), self._shown)
        if not self._address:
            return
        with suppress(OSError, ValueError):  # it is gone or busy, or its address has a NUL
            if self._sock is None:
                self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._sock.setblocking(False)
            self._sock.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)


def service_manager(env: MutableMapping[str, str]) -> ServiceManager:
    """Return the manager that ``env`` names, and take its variables out: they are for this process alone."""
    address = env.pop("NOTIFY_SOCKET", "")
    usec, pid = env.pop("WATCHDOG_USEC", ""), env.pop("WATCHDOG_PID", "")
    if not address.startswith(("/", "@")):
        return ServiceManager()
    is_watched = usec.isdecimal() and len(usec) < _DIGITS and pid in ("", str(os.getpid()))
    return ServiceManager(address, int(usec) / 1_000_000 if is_watched else 0.0)


def _status(text: str) -> str:
    return "STATUS=" + printable(text)[:_STATUS_CHARS]


def inherited(env: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the sockets handed over to this process, none where ``env`` names none or means another process.

    The variables are taken out of ``env`` in any case, and the sockets are not handed on: they are for this process
    alone. Raises :class:`OSError` if one is no listening stream socket, and then leaves none open.
    """
    pid, count, names = (env.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()):
        return []
    if not (count.isdecimal() and len(count) < _FD_DIGITS):
        raise OSError(errno.EINVAL, f"LISTEN_FDS={count!r} is no number of sockets")
    named = dict(enumerate(names.split(":"), _FIRST_FD)) if names else {}
    taken: list[socket.socket] = []
    try:
        for number in range(_FIRST_FD, _FIRST_FD + int(count)):
            taken += [_taken(number, named.get(number, ""))]
    except OSError:
        for sock in taken:
            sock.close()
        raise
    return taken


def _taken(number: int, name: str) -> socket.socket:
    shown = f"file {number}{f' ({name})' if name else ''}, handed over by LISTEN_FDS,"
    try:
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
    except OSError as exc:
        raise OSError(exc.errno, f"{shown} is no socket: {exc.strerror}") from None
    if sock.family not in _FAMILIES or sock.type != socket.SOCK_STREAM:
        wrong = "is no stream socket of TCP or unix"
    elif not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        wrong = "does not listen; a connection each (Accept=yes) is not what ampmap takes"
    else:
        return sock
    sock.close()
    raise OSError(errno.EINVAL, f"{shown} {wrong}")


def listens_of(sockets: list[socket.socket]) -> tuple[Listen, ...]:
    """Return where sockets listen, in the words of a configuration."""
    return tuple(map(_listen_of, sockets))


def _listen_of(sock: socket.socket) -> Listen:
    where = sock.getsockname()
    if isinstance(where, str | bytes):
        return UnixListen(path=where if isinstance(where, str) else os.fsdecode(where))
    return TcpListen(host=where[0], port=where[1])
