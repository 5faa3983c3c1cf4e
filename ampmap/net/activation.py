"""Listening sockets that whoever started the proxy has opened for it: ``LISTEN_FDS``, as in sd_listen_fds(3).

They stay its starter's: closing them here ends no queue of connections and removes no file, so that one proxy after
the other can serve the same address without a gap.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import MutableMapping

from ..settings import Listen, TcpListen, UnixListen

_FIRST_FD = 3
_DIGITS = 8
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def inherited(env: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the sockets handed over to this process, none where ``env`` names none or means another process.

    The variables are taken out of ``env`` in any case, and the sockets are not handed on: they are for this process
    alone. Raises :class:`OSError` for what is no listening stream socket, and leaves none open then.
    """
    pid, count, names = (env.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()):
        return []
    if not (count.isdecimal() and len(count) < _DIGITS):
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
