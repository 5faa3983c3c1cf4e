"""A whole proxy: its listener, its client connections, its reloads and its shutdown.

:func:`running` is the proxy as a context manager for programs and tests; :func:`serve` runs one until a signal ends it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from functools import partial

import anyio

from .access.gate import Peer
from .admin.events import Events
from .admin.pages import scan_page
from .config.file import LOAD_S, overdue
from .errors import RequestError
from .escaping import counted
from .http.client_connection import ClientConnection
from .net.client_stream import ClientStream
from .net.listener import Listener, UnixFile, listen_on, shown, unix_files
from .net.signals import heard
from .net.systemd import ServiceManager
from .proxy.exchange import Exchange
from .proxy.reload import Reloader, Source
from .proxy.responses import refuse
from .proxy.state import Service
from .records.log_format import reopen
from .routing.snapshot import compile_snapshot
from .settings import Settings
from .threads import Overdue, run_within

_log = logging.getLogger("ampmap.server")

_SHUTDOWN_S = 5.0  # how long the shutdown may take in addition to the drain


class Server:
    """A proxy that listens. Made by :func:`running`."""

    def __init__(self, service: Service, sockets: list[socket.socket]) -> None:
        self.service = service
        self.listener = Listener(sockets, self._serve, service.snapshot.settings.limits.connections)
        self.addresses = [shown(sock) for sock in sockets]
        service.count_connections = lambda: self.listener.count
        service.count_tasks = lambda: len(asyncio.all_tasks())
        self.open_connections: set[ClientConnection] = set()
        self._drain = anyio.CancelScope()
        self.unix_files: list[UnixFile] = []  # those that this proxy has created
        self.reloader: Reloader | None = None
        self.on_drain: Callable[[], None] = lambda: None  # called when a drain begins

    @property
    def url(self) -> str:
        """The URL of the first TCP listener."""
        return next(address for address in self.addresses if address.startswith("http"))

    async def _serve(self, stream: ClientStream) -> None:
        """Serve one client's requests, one after the other. Raises :class:`ClientGone` when the client has left."""
        service = self.service
        settings = service.snapshot.settings
        peer = Peer.of(stream.info("peername"), stream.info("sockname"))
        client = ClientConnection(stream, settings.limits, settings.timeouts)
        self.open_connections.add(client)
        try:
            if service.draining:
                client.drain()
            while True:
                try:
                    head = await client.next_head()
                except RequestError as exc:
                    await refuse(client, service.journal, service.snapshot.generation, exc)
                    await client.finish()
                    return
                if head is None:
                    return
                await Exchange(service, client, peer, head).run()
                if not await client.finish():
                    return
        finally:
            self.open_connections.discard(client)

    async def drain(self, seconds: float) -> None:
        """Stop listening; return when all open connections have ended, or after ``seconds``.

        Connections that remain are cut when the proxy's context ends. A second call does nothing.
        """
        if self.service.draining:
            return
        self.service.draining = True
        self.stop_listening()
        self.on_drain()
        for client in list(self.open_connections):
            client.drain()
        self._drain.deadline = anyio.current_time() + seconds
        with self._drain:
            await self.listener.wait_idle()

    def stop_listening(self) -> None:
        """Accept no more connections; remove the files of unix sockets."""
        while self.unix_files:  # before the sockets close: until then no other file can get the inode of ours
            self.unix_files.pop().remove()
        self.listener.stop()

    def cut(self) -> None:
        """End the drain now; connections that remain are cut."""
        self._drain.cancel()


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    env: Mapping[str, str] | None = None,
    sockets: list[socket.socket] | None = None,
    source: Source | None = None,
) -> AsyncIterator[Server]:
    """Run a proxy while the context lasts: it listens when this yields, and has drained when it ends.

    ``env`` replaces the process's environment, where HTTP proxies and Amp's key are looked for; ``sockets`` are
    listening sockets to use instead of ``settings.listen``; ``source`` names the configuration that the settings were
    read from: the proxy reloads it when it changes. Raises :class:`OSError` when an address can't be listened on.
    """
    snapshot, _ = compile_snapshot(settings)
    listening = sockets if sockets is not None else listen_on(settings.listen)
    service = Service(snapshot, dict(os.environ if env is None else env))
    events = Events(service)
    service.page, service.events = partial(scan_page, service=service), events.listen
    server = Server(service, listening)
    server.on_drain = events.end
    if sockets is None:
        server.unix_files = unix_files(listening)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(server.listener.accept, group)
            group.start_soon(service.discovery.run)
            if source is not None:
                try:
                    server.reloader = await run_within(LOAD_S, partial(Reloader, service, source))
                except Overdue:
                    raise overdue(source.path, LOAD_S) from None
                group.start_soon(server.reloader.run)
            try:
                yield server
            finally:
                with anyio.CancelScope(shield=True):
                    await server.drain(server.service.snapshot.settings.timeouts.drain_s)
                group.cancel_scope.cancel()
    finally:
        service.pool.close()
        server.stop_listening()


async def serve(
    settings: Settings,
    *,
    env: Mapping[str, str] | None = None,
    sockets: list[socket.socket] | None = None,
    source: Source | None = None,
    on_ready: Callable[[Server], None] | None = None,
    manager: ServiceManager | None = None,
    end_within: Callable[[float], None] = lambda seconds: None,
) -> None:
    """Run a proxy until TERM or INT drains it; a second one cuts connections that remain. For the main thread.

    HUP reads the configuration again, changed or not; but when the process's terminal has gone, it drains as TERM does.
    ``end_within`` is called in another thread when the drain begins, with the seconds after which the process must be
    ended by force: the event loop or a thread may be blocked.

    ``on_ready`` is called once the proxy listens; ``manager`` gets its status, and is closed at the end. Raises as
    :func:`running` does.
    """
    manager = manager or ServiceManager()
    drain_s = settings.timeouts.drain_s
    with heard(end_within, lambda: drain_s + _SHUTDOWN_S) as signals, closing(manager):
        async with running(settings, env=env, sockets=sockets, source=source) as server:
            if on_ready is not None:
                on_ready(server)
            async with anyio.create_task_group() as group:
                group.start_soon(manager.keep_watchdog)
                number = await _follow(signals, server, manager)
                _log.info("%s: draining; a second signal cuts what still runs", number.name)
                drain_s = server.service.snapshot.settings.timeouts.drain_s
                manager.stopping(f"draining; open connections: {server.listener.count}", drain_s + _SHUTDOWN_S)
                group.start_soon(_cut_on_signal, signals, server)
                await server.drain(drain_s)
                group.cancel_scope.cancel()


async def _follow(signals: AsyncIterator[signal.Signals], server: Server, manager: ServiceManager) -> signal.Signals:
    """Reload and reopen the log on HUP, and keep the service manager informed, until TERM or INT; return that."""

    def status() -> str:
        service = server.service
        return _status_line(service.snapshot.settings, server.addresses, service.reload.error)

    reloader = server.reloader
    if reloader is not None:
        reloader.on_reload = lambda: manager.status(status())
    manager.ready(status())
    while (number := await anext(signals)) not in (signal.SIGTERM, signal.SIGINT):
        reopen()
        manager.reloading()
        if reloader is None:
            manager.ready(status())
        else:
            reloader.force(lambda: manager.ready(status()))
    return number


def _status_line(settings: Settings, addresses: list[str], error: str) -> str:
    """Return the one line that a service manager shows; ``error`` is why the last reload failed, or empty."""
    holds = f"{counted(len(settings.amp.rules), 'rule')}, {counted(len(settings.providers), 'provider')}"
    line = f"listens on {', '.join(addresses)}; {holds}"
    return f"{line}; not reloaded: {error.splitlines()[0]}" if error else line


async def _cut_on_signal(signals: AsyncIterator[signal.Signals], server: Server) -> None:
    while await anext(signals) not in (signal.SIGTERM, signal.SIGINT):
        pass
    server.cut()
