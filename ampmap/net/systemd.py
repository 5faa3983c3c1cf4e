"""Word to the service manager that started the proxy: ready, reloading, stopping, alive, and a line of status.

The datagrams of sd_notify(3), written to the socket that ``NOTIFY_SOCKET`` names; systemd's and whoever speaks as it
does. Telling never fails: a manager that has gone must not take the proxy with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections import deque
from collections.abc import MutableMapping

import anyio

from ..escaping import printable

_log = logging.getLogger("ampmap.server")

_AGAIN_S = 0.05  # after the manager's queue was full
_QUEUED = 64  # messages that wait for it at most; the oldest go first
_STATUS_CHARS = 400  # a line for people
_DIGITS = 20  # as many mean "never"


class ServiceManager:
    """Whoever waits for news of this process; without an ``address`` nobody does, and nothing is sent.

    Messages leave in the order in which they are given; after :meth:`stopping` only signs of life do. They are sent
    without waiting, from the event loop: a loop that is stuck sends no sign of life, which is what a watchdog is for.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = watchdog_s
        self._waiting: deque[bytes] = deque(maxlen=_QUEUED)
        self._retry: asyncio.TimerHandle | None = None
        self._sock: socket.socket | None = None  # kept: a process without files left must still seem alive
        self._has_failed = self._is_stopping = False
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

    @property
    def waiting(self) -> int:
        """How many messages the manager has not taken yet."""
        return len(self._waiting)

    def close(self) -> None:
        """Tell nothing more."""
        if self._waiting:
            self._flush()
        if self._retry is not None:
            self._retry.cancel()
        self._address = ""
        if self._sock is not None:
            self._sock.close()

    def _tell(self, *lines: str) -> None:
        self._shown = next((line for line in lines if line.startswith("STATUS=")), self._shown)
        if self._address:
            self._waiting.append("\n".join(lines).encode("utf-8", "replace"))
            if self._retry is None:
                self._flush()

    def _flush(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        try:
            if self._sock is None:
                self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._sock.setblocking(False)
            while self._waiting:
                self._sock.sendto(self._waiting[0], self._address)
                self._waiting.popleft()
        except BlockingIOError:  # the manager is busy; it will want to know all the same
            self._retry = asyncio.get_running_loop().call_later(_AGAIN_S, self._flush)
        except (OSError, ValueError) as exc:
            self._waiting.clear()
            if not self._has_failed:
                self._has_failed = True
                _log.warning("cannot tell the service manager how things are (%s); serving all the same", exc)


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
