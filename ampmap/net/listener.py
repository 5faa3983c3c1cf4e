"""Sockets to listen on, the accept loop, and one task per connection.

Nothing a client does can end the accept loop, and nothing that happens to one connection can end another: anyio's own
``serve`` would stop the whole process at one ``EMFILE`` or one exception.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from ..errors import ClientGone
from ..settings import Listen, TcpListen, UnixListen
from .client_stream import ClientStream

_log = logging.getLogger("ampmap.server")

_BACKLOG = 1024
# On Windows, SO_REUSEADDR would let another program take the address while this one listens.
_OWN_ADDRESS = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
_PAUSE_S = 0.1  # after an accept that failed, most likely for want of files or memory
_CLIENT_ERRNOS = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM)  # that one connection is at fault: accept(2)
_OUR_ERRNOS = (errno.EBADF, errno.EFAULT, errno.EINVAL, errno.ENOTSOCK)  # this is no socket to accept from


class Listener:
    """Listening sockets and the connections they brought; each is served by ``serve`` in a task of its own.

    Over ``limit`` connections nothing is accepted: the kernel's backlog waits, nobody is refused.
    """

    def __init__(
        self, sockets: list[socket.socket], serve: Callable[[ClientStream], Awaitable[None]], limit: int
    ) -> None:
        self.sockets = sockets
        self.count = 0  # open connections
        self._serve = serve
        self._slots = anyio.Semaphore(limit)
        self._scope = anyio.CancelScope()
        self.is_accepting = False
        self._idle = anyio.Event()
        for sock in sockets:
            sock.setblocking(False)

    async def accept(self, group: TaskGroup) -> None:
        """Accept connections until :meth:`stop`; their tasks belong to ``group`` and may outlive this call."""
        self.is_accepting = True
        try:
            with self._scope:
                async with anyio.create_task_group() as acceptors:
                    for sock in self.sockets:
                        acceptors.start_soon(self._accept, sock, group)
        finally:
            self.is_accepting = False
            self.stop()

    def stop(self) -> None:
        """Accept nothing more and close the listening sockets; connections go on.

        A socket that is being waited for is closed by its waiter. Else the loop would go on watching the number of its
        file, which the next connection would get.
        """
        self._scope.cancel()
        if not self.is_accepting:
            for sock in self.sockets:
                sock.close()

    async def wait_idle(self) -> None:
        """Wait until no connection is open."""
        while self.count:
            await self._idle.wait()

    async def _accept(self, sock: socket.socket, group: TaskGroup) -> None:
        failing = False
        while True:
            await self._slots.acquire()
            try:
                client = await _accepted(sock)
            except BaseException as exc:
                self._slots.release()
                if not isinstance(exc, OSError) or exc.errno in _OUR_ERRNOS:
                    raise
                if exc.errno not in _CLIENT_ERRNOS:
                    if not failing:
                        _log.error("cannot accept connections (%s); trying until it can be done", exc.strerror)
                    failing = True
                    await anyio.sleep(_PAUSE_S)
                continue
            failing = False
            self.count += 1
            group.start_soon(self._connection, client, name="ampmap connection")

    async def _connection(self, sock: socket.socket) -> None:
        """Serve one client. The only place that catches everything: a bug costs one connection."""
        stream: ClientStream | None = None
        try:
            _, stream = await asyncio.get_running_loop().connect_accepted_socket(ClientStream, sock)
            await self._serve(stream)
            stream.close()
        except (ClientGone, OSError):
            pass
        except Exception:
            _log.exception("a connection ended by a bug in ampmap")
        finally:
            if stream is None:
                sock.close()
            else:
                stream.abort_unless_closed()
            self.count -= 1
            self._slots.release()
            if not self.count:
                self._idle.set()
                self._idle = anyio.Event()


async def _accepted(sock: socket.socket) -> socket.socket:
    """Return the next connection; unlike asyncio's own way, cancelling can't lose one that has just come."""
    while True:
        with suppress(BlockingIOError):
            return sock.accept()[0]
        await anyio.wait_readable(sock)


@asynccontextmanager
async def accepting(
    sockets: list[socket.socket], serve: Callable[[ClientStream], Awaitable[None]]
) -> AsyncIterator[None]:
    """Accept connections while the context lasts; at its end, whatever still runs is cut."""
    listener = Listener(sockets, serve, 1_000_000)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.accept, group)
        try:
            yield
        finally:
            listener.stop()
            group.cancel_scope.cancel()


class CannotListen(OSError):
    """An address that cannot be listened on."""

    def __init__(self, address: Listen, cause: OSError) -> None:
        super().__init__(cause.errno, f"cannot listen on {address}: {cause.strerror or cause}")
        self.address = address


def listen_on(addresses: tuple[Listen, ...]) -> list[socket.socket]:
    """Open the sockets to listen on. Errors: CannotListen; no socket and no file is left then."""
    opened: list[socket.socket] = []
    try:
        for address in addresses:
            opened += _open_unix(address) if isinstance(address, UnixListen) else _open_tcp(address)
    except OSError as exc:
        for file in unix_files(opened):
            file.remove()
        for sock in opened:
            sock.close()
        raise CannotListen(address, exc) from exc
    return opened


def _open_tcp(address: TcpListen) -> list[socket.socket]:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened = []
    for family, kind, proto, _, where in dict.fromkeys(found):
        sock = socket.socket(family, kind, proto)
        opened.append(sock)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _OWN_ADDRESS, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(where)
            sock.listen(_BACKLOG)
        except OSError:
            for each in opened:
                each.close()
            raise
    return opened


def _open_unix(address: UnixListen) -> list[socket.socket]:
    """Open a unix socket with mode 0600; a stale one, that nobody listens on, is replaced."""
    path = address.path
    if not hasattr(socket, "AF_UNIX"):
        raise OSError(errno.EAFNOSUPPORT, "Python has no unix sockets on this system; write 127.0.0.1:8267")
    if (stale := UnixFile.at(path)) is not None:
        probe = socket.socket(socket.AF_UNIX)
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except FileNotFoundError:
            pass
        except ConnectionRefusedError:
            stale.remove()
        finally:
            probe.close()
    sock = socket.socket(socket.AF_UNIX)
    try:
        before = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return [sock]


@dataclass(frozen=True, slots=True)
class UnixFile:
    """The file of a unix socket, known by its device and inode: its path may come to name another proxy's."""

    path: str
    identity: tuple[int, int]

    @staticmethod
    def at(path: str) -> UnixFile | None:
        """Return the socket's file that ``path`` names; None when it names none."""
        with suppress(FileNotFoundError):
            found = os.stat(path)
            if stat.S_ISSOCK(found.st_mode):
                return UnixFile(path, (found.st_dev, found.st_ino))
        return None

    def remove(self) -> None:
        """Remove it, unless its path names another one by now. Sure as long as its socket is open.

        After that, the inode may become another file's.
        """
        with suppress(OSError):
            if UnixFile.at(self.path) == self:
                os.unlink(self.path)


def unix_files(sockets: list[socket.socket]) -> list[UnixFile]:
    """Return the files of those that are unix sockets."""
    paths = [sock.getsockname() for sock in sockets if sock.family not in (socket.AF_INET, socket.AF_INET6)]
    return [file for path in paths if (file := UnixFile.at(path)) is not None]


def shown(sock: socket.socket) -> str:
    """Show where a socket listens: a URL, or ``unix:PATH``."""
    if sock.fileno() < 0:
        return "closed"
    where = sock.getsockname()
    if isinstance(where, str | bytes):
        return f"unix:{where if isinstance(where, str) else where.decode()}"
    host = f"[{where[0]}]" if ":" in where[0] else where[0]
    return f"http://{host}:{where[1]}"
