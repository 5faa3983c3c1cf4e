"""The strangers' own web server, and a running ampmap whose upstreams count what reaches them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import anyio
import kit

from ampmap.records.record import Record
from ampmap.server import Server, running
from ampmap.settings import Amp, Settings, TcpListen

PAGE = b"<!doctype html><meta charset=utf-8><title>a page</title><body></body>"
SECRET = b"what only ampmap's own clients may read"

WORKER = b"""
onmessage = async ({data: [url, options], ports: [port]}) => {
    try {
        const answer = await fetch(url, options);
        (port || self).postMessage([answer.type, answer.status, await answer.text()]);
    } catch (error) {
        (port || self).postMessage(null);
    }
};
self.addEventListener('activate', event => event.waitUntil(self.clients && clients.claim()));
"""


def page(body: bytes, kind: bytes = b"text/html", *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a response that no cache keeps."""
    fields = b"".join(line + b"\r\n" for line in (b"Content-Type: " + kind, b"Cache-Control: no-store", *lines))
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), fields, body)


async def serve(peer: kit.Peer) -> None:
    """Serve pages; what stands behind ``?`` is the URL that a page leads to."""
    while True:
        target = (await peer.read_message()).start.split(b" ")[1]
        path, _, url = target.partition(b"?")
        if path.startswith(b"/redirect/"):
            fields = b"Location: " + url, b"Access-Control-Allow-Origin: *"
            await peer.send(page(b"", b"text/plain", *fields, status=path[10:] + b" Elsewhere"))
        elif path in (b"/worker.js", b"/sw.js"):
            await peer.send(page(WORKER, b"text/javascript"))
        elif path == b"/reports":
            policy = b"Content-Security-Policy: img-src 'none'; report-uri " + url
            await peer.send(page(PAGE + b"<img src=/x.png>", b"text/html", policy))
        elif path == b"/public":
            await peer.send(page(PAGE, b"text/html", b"Content-Security-Policy: treat-as-public-address"))
        else:
            await peer.send(page(PAGE))


async def answer(peer: kit.Peer) -> None:
    """Answer what should never have come with what must not be read."""
    while True:
        await peer.read_message()
        await peer.send(page(SECRET, b"text/plain", b"Access-Control-Allow-Origin: *"))


@dataclass
class World:
    """A proxy, its provider, its Amp upstream, and the strangers' server."""

    proxy: Server
    provider: kit.Scripted
    amp: kit.Scripted
    site: kit.Scripted

    @property
    def port(self) -> int:
        return int(self.proxy.url.rpartition(":")[2])

    @property
    def home(self) -> str:
        """The origin of ampmap's own pages."""
        return f"http://ampmap.localhost:{self.port}"

    @property
    def records(self) -> list[Record]:
        """The records without those of the favicon, which browsers request for each page."""
        return [record for record in self.proxy.service.journal.recent if record.path != "/favicon.ico"]

    @property
    def reached(self) -> list[bytes]:
        """The first line of each request that came to an upstream."""
        return [message.start for upstream in (self.provider, self.amp) for message in upstream.seen]

    async def recorded(self, count: int) -> None:
        """Wait until so many requests have been recorded; a test tells afterwards what is missing."""
        with suppress(TimeoutError):
            await kit.until(lambda: len(self.records) >= count)

    def at(self, host: str) -> str:
        """Return the strangers' origin under one of their names."""
        return f"http://{host}:{self.site.origin.port}"


@asynccontextmanager
async def serving_first(sock: socket.socket) -> AsyncIterator[None]:
    """Serve the strangers' page at a listening socket that is ampmap's afterwards."""

    async def serve_one(accepted: socket.socket) -> None:
        stream = await kit.wrapped(accepted)
        try:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await kit.Peer(stream).read_message()
                await stream.send(page(PAGE, b"text/html", b"Connection: close"))
        finally:
            await anyio.aclose_forcefully(stream)

    async with anyio.create_task_group() as group:

        async def accept() -> None:
            while True:
                await anyio.wait_readable(sock)
                group.start_soon(serve_one, sock.accept()[0])

        group.start_soon(accept)
        yield
        group.cancel_scope.cancel()


@asynccontextmanager
async def world(
    *,
    api_keys: tuple[str, ...] = (),
    origins: tuple[str, ...] = (),
    script: kit.Script = answer,
    amp_script: kit.Script | None = None,
    hosts: tuple[str, ...] = (),
    sockets: list[socket.socket] | None = None,
) -> AsyncIterator[World]:
    """Run everything that a test needs but the browser. ``{site}`` in ``origins`` is the strangers' port."""
    scripts = kit.scripted(script), kit.scripted(amp_script or script), kit.scripted(serve)
    async with scripts[0] as provider, scripts[1] as amp, scripts[2] as site:
        settings = Settings(
            listen=(TcpListen(port=0),),
            api_keys=api_keys,
            allowed_origins=tuple(origin.replace("{site}", str(site.origin.port)) for origin in origins),
            allowed_hosts=hosts,
            amp=Amp(origin=amp.origin, api_key="sgamp_key"),
            providers=(replace(kit.provider(provider.origin), name="provider"),),
            timeouts=kit.times(),
        )
        async with running(settings, env={}, sockets=sockets) as proxy:
            yield World(proxy, provider, amp, site)
