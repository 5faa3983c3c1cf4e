"""Peers that follow a script, over real sockets: upstreams, clients and proxies that speak and read plain bytes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

import anyio
import planted
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

from ampmap.records.record import Record
from ampmap.server import Server, running
from ampmap.settings import (
    Amp,
    CreditPolicy,
    Endpoint,
    Limits,
    ModelEntry,
    Origin,
    Provider,
    Rule,
    Settings,
    TcpListen,
    Timeouts,
)  # fmt: skip

GUARD_S = 25.0  # no test waits longer than this for anything; a proxy waits longer for a head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BODY = b'{"model": "m"}'


@dataclass(slots=True)
class Message:
    """One request or response as it came; ``body`` is without its framing, ``whole`` tells whether it was complete."""

    start: bytes
    lines: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[bytes] = field(default_factory=list)
    whole: bool = True

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    def all(self, name: bytes) -> list[bytes]:
        return [content for key, content in self.lines if key.lower() == name.lower()]

    def one(self, name: bytes) -> bytes | None:
        found = self.all(name)
        assert len(found) <= 1, found
        return found[0] if found else None


class Peer:
    """One end of a connection, read and written as bytes."""

    def __init__(self, stream: ByteStream, raw: ByteStream | None = None) -> None:
        self.stream = stream
        self.raw = raw or stream  # below TLS
        self.buffer = b""
        self.seen: list[Message] = []
        self.is_client = False
        self._tail = b""  # what was looked at, as far as a secret could begin in it

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            await self.stream.send(part)

    async def more(self) -> None:
        data = await self.stream.receive()
        if self.is_client:
            planted.look("what a client was sent", self._tail + data)
            self._tail = (self._tail + data)[1 - planted.LONGEST :]
        self.buffer += data

    async def read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            await self.more()
        found, _, self.buffer = self.buffer.partition(mark)
        return found + mark

    async def read_exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            await self.more()
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    async def read_rest(self) -> bytes:
        """Return all that comes until the end, be it a polite one or a reset."""
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await self.more()
        found, self.buffer = self.buffer, b""
        return found

    async def wait_ended(self) -> None:
        """Wait for a polite end after nothing more; a reset raises."""
        with suppress(anyio.EndOfStream):
            raise AssertionError(await self.stream.receive())

    async def wait_gone(self) -> bytes:
        """Wait until the other side has left; what it still said is returned."""
        return await self.read_rest()

    async def read_head(self) -> Message:
        start, *lines = (await self.read_until(b"\r\n\r\n"))[:-4].split(b"\r\n")
        pairs = [line.split(b": ", 1) for line in lines]
        return Message(start, [(pair[0], pair[1] if len(pair) == 2 else b"") for pair in pairs])

    async def read_message(self, *, no_body: bool = False) -> Message:
        """Return the next message; one that breaks off in its body is not ``whole``."""
        message = await self.read_head()
        self.seen.append(message)
        is_response = message.start.startswith(b"HTTP/")
        length = message.one(b"content-length")
        try:
            if no_body or (is_response and (message.status in (204, 304) or message.status < 200)):
                pass
            elif message.one(b"transfer-encoding") == b"chunked":
                await self.read_chunks(message)
            elif length is not None:
                message.body = await self.read_exactly(int(length))
            elif is_response:
                message.body = await self.read_rest()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            message.whole = False
            message.body += self.buffer
            self.buffer = b""
        return message

    async def read_chunks(self, message: Message) -> None:
        while size := int(await self.read_until(b"\r\n"), 16):
            message.body += (await self.read_exactly(size + 2))[:-2]
        while (line := (await self.read_until(b"\r\n"))[:-2]) != b"":
            message.trailers.append(line)

    async def read_final(self, *, no_body: bool = False) -> Message:
        while (message := await self.read_message(no_body=no_body)).status < 200:
            pass
        return message

    def reset(self) -> None:
        """Close with a reset: what was not read by either side is lost."""
        sock = self.raw.extra(SocketAttribute.raw_socket)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    @property
    def transport(self) -> asyncio.Transport:
        """The socket's transport, below TLS, for what must happen in the very same turn of the loop."""
        return cast(asyncio.Transport, self.raw._transport)  # type: ignore[attr-defined]

    async def close(self) -> None:
        await anyio.aclose_forcefully(self.stream)


async def wrapped(sock: socket.socket) -> SocketStream:
    """Make a stream of a connected socket that reads nothing ahead: what is not received stays with the kernel."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = await SocketStream.from_socket(sock)
    stream._transport.pause_reading()  # type: ignore[attr-defined]
    return stream


Script = Callable[[Peer], Awaitable[object]]


@dataclass(slots=True)
class Scripted:
    """A server that follows a script on each connection."""

    origin: Origin
    peers: list[Peer] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.peers)

    @property
    def seen(self) -> list[Message]:
        return [message for peer in self.peers for message in peer.seen]


@asynccontextmanager
async def scripted(
    script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, receive_bytes: int = 0
) -> AsyncIterator[Scripted]:
    """Run ``script`` for each connection while the context lasts; a script that ends closes its connection."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.bind((host, 0))
    sock.listen()
    sock.setblocking(False)
    server = Scripted(Origin("https" if tls else "http", host, sock.getsockname()[1]))

    async def serve(accepted: socket.socket) -> None:
        try:
            raw = await wrapped(accepted)
        except BaseException:
            accepted.close()
            raise
        stream: ByteStream = raw
        try:
            if tls is not None:
                with suppress(ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream):
                    stream = await TLSStream.wrap(raw, server_side=True, ssl_context=tls)
                if stream is raw:
                    return
            peer = Peer(stream, raw)
            server.peers.append(peer)
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                await script(peer)
        finally:
            await anyio.aclose_forcefully(raw)

    async def accept() -> None:
        while True:
            await anyio.wait_readable(sock)
            group.start_soon(serve, sock.accept()[0])

    with sock:
        async with anyio.create_task_group() as group:
            group.start_soon(accept)
            yield server
            group.cancel_scope.cancel()


def answering(*replies: bytes) -> Script:
    """Answer one request after the other, over all connections; then wait for the other side to leave."""
    left = list(replies)

    async def script(peer: Peer) -> None:
        while left:
            await peer.read_message()
            await peer.send(left.pop(0))
        await peer.wait_gone()

    return script


_REFUSING = socket.socket()
_REFUSING.bind(("127.0.0.1", 0))  # and not listened on: nobody else gets the port


async def closed_origin() -> Origin:
    """Return an origin that nobody listens at."""
    return Origin("http", *_REFUSING.getsockname())


def provider(origin: Origin, *, name: str = "local", ca_file: str = "", models: tuple[str, ...] = ("m",)) -> Provider:
    return Provider(
        name=name,
        origin=origin,
        endpoints=(Endpoint(protocol="openai-chat"), Endpoint(protocol="anthropic", auth="x-api-key")),
        models=tuple(ModelEntry(id=model) for model in models),
        api_key="provider-key",
        ca_file=ca_file,
    )


def times(**seconds: float) -> Timeouts:
    """The usual deadlines except those given; a drain takes at most 0.1 s."""
    return Timeouts(**{"drain_s": 0.1, **seconds})


@asynccontextmanager
async def proxying(
    upstream: Origin | None,
    *,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    env: dict[str, str] | None = None,
    providers: tuple[Provider, ...] | None = None,
    sockets: list[socket.socket] | None = None,
    rules: tuple[Rule, ...] = (Rule(source="alias", targets=("m",)),),
    credits: CreditPolicy = "warn",
    credits_per_day: int = 0,
) -> AsyncIterator[Server]:
    """Run a proxy: ``upstream`` is both its Amp upstream and its provider of the model ``m``."""
    settings = Settings(
        listen=(TcpListen(port=0),),
        amp=Amp(origin=upstream, api_key="sgamp_key", rules=rules, credits=credits, credits_per_day=credits_per_day),
        providers=(provider(upstream),) if providers is None and upstream else providers or (),
        timeouts=timeouts or times(),
        limits=limits or Limits(),
    )
    with anyio.fail_after(GUARD_S):
        async with running(settings, env=env or {}, sockets=sockets) as server:
            yield server


@asynccontextmanager
async def connected(proxy: Server, *, receive_bytes: int = 0) -> AsyncIterator[Peer]:
    """Connect a client; ``receive_bytes`` makes its kernel take little."""
    host, _, port = proxy.url.removeprefix("http://").rpartition(":")
    sock = socket.socket(socket.AF_INET6 if "[" in host else socket.AF_INET)
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.connect((host.strip("[]"), int(port)))
    stream = await wrapped(sock)
    peer = Peer(stream, stream)
    peer.is_client = True
    try:
        yield peer
    finally:
        await peer.close()


def get(path: bytes = b"/api/internal", *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    """Return a request without a body."""
    return b"%b %b HTTP/%b\r\nHost: localhost\r\n%b\r\n" % (method, path, version, b"".join(x + b"\r\n" for x in lines))


def post(body: bytes = BODY, *lines: bytes, path: bytes = b"/v1/chat/completions") -> bytes:
    """Return a request with a body of known length."""
    return get(path, b"Content-Length: %d" % len(body), *lines, method=b"POST") + body


async def ask(proxy: Server, request: bytes, *, no_body: bool = False) -> Message:
    """Send one request on a connection of its own; return the final response."""
    async with connected(proxy) as client:
        await client.send(request)
        return await client.read_final(no_body=no_body)


async def record_of(proxy: Server, number: int = 1) -> Record:
    """Wait for the ``number``-th record of a proxy."""
    recent = proxy.service.journal.recent
    await until(lambda: len(recent) >= number)
    return recent[number - 1]


async def until(fact: Callable[[], object]) -> None:
    """Wait until ``fact`` holds."""
    with anyio.fail_after(GUARD_S):
        while not fact():
            await anyio.sleep(0.002)
