"""A proxy, its upstream and its clients, of which a test keeps account: what was asked, sent and received."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import h11
from kit import Peer, provider, proxying, scripted, until

from ampmap.server import Server
from ampmap.settings import Limits, Origin, Rule

BODY_LIMIT = 100  # bytes of a model route's body, while it is small

ONE_IDLE = Limits(idle_per_origin=1)
MAPPED = (Rule(source="alias", targets=("m",)),)


def event(name: str, number: int) -> bytes:
    return b'data: {"model": "%b", "n": %d}\n\n' % (name.encode(), number)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(eq=False)
class Client:
    """A client's connection, read as h11 reads it strictly."""

    scope: Any  # the context that the connection lives in
    peer: Peer
    conn: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))
    request: Request | None = None
    unsent: bytes = b""
    status: int = 0
    body: bytes = b""
    whole: bool = False  # the reply has come to its proper end
    ended: bool = False  # the connection has, or the reply broke off

    def begin(self, request: Request) -> None:
        self.request, self.status, self.body, self.whole = request, 0, b"", False
        if self.conn.our_state is not h11.IDLE:
            self.conn.start_next_cycle()
        headers = [("Host", "localhost")] + ([("Connection", "Upgrade"), ("Upgrade", "websocket")] * request.upgrade)
        self.conn.send(h11.Request(method=request.method, target="/", headers=headers))
        self.conn.send(h11.EndOfMessage())

    async def read_until(self, fact: Any) -> None:
        """Read until ``fact`` holds, or the connection has ended."""
        while not (fact() or self.ended):
            try:
                data = await self.peer.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                data = b""
            self._take(data)

    def _take(self, data: bytes) -> None:
        if self.conn.their_state is h11.SWITCHED_PROTOCOL:
            self.body += data
            self.ended = not data
            return
        try:
            self.conn.receive_data(data)
            while (found := self.conn.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(found, h11.Response | h11.InformationalResponse):
                    self.status = found.status_code
                    if found.status_code == 101:
                        self.body += self.conn.trailing_data[0]
                elif isinstance(found, h11.Data):
                    self.body += found.data
                elif isinstance(found, h11.EndOfMessage):
                    self.whole = True
                elif isinstance(found, h11.ConnectionClosed):
                    break
        except h11.RemoteProtocolError:
            assert data == b"", "a client gets valid HTTP until a reply breaks off"
        self.ended = self.ended or not data


@dataclass(eq=False)
class Request:
    """What the model knows of one request."""

    id: int
    plan: str
    asked: str  # the model's name; empty on a management route
    upgrade: bool = False
    sent: bytes = b""  # what the client has to get, renamed
    status: int = 0  # of the reply that has been begun
    upstream: Peer | None = None  # where it is held
    numbers: int = 0  # events that were sent
    in_force: tuple[bool, bool] | None = None  # whether names were mapped and bodies small when its head was read

    @property
    def method(self) -> str:
        return "POST" if self.asked else "GET"

    @property
    def answered(self) -> str:
        """The name that the client gets to see."""
        return self.asked or "m"

    @property
    def plain_reply(self) -> bytes:
        """The body that the client gets of a reply that is no stream."""
        return json.dumps({"model": self.answered, "id": self.id}).encode()

    def written(self, *, expect: bool) -> bytes:
        """Return the whole request; the body of each third one is larger than ``BODY_LIMIT``."""
        identity = b"Host: localhost\r\nX-Id: %d\r\n%b" % (self.id, b"Expect: 100-continue\r\n" * expect)
        if not self.asked:
            upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" if self.upgrade else b""
            return b"GET /api/internal HTTP/1.1\r\n%b%b\r\n" % (identity, upgrade)
        padding = "x" * (BODY_LIMIT if self.id % 3 == 0 else 0)
        body = json.dumps({"model": self.asked, "x": padding}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (identity, len(body))
        return head + body


class World:
    """A proxy, its upstream, and what has happened to both."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.open = 0  # connections at the upstream
        self.seen: list[int] = []
        self.proxy: Server
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()

    async def live(self) -> None:
        """Run the proxy and its upstream until told to stop."""
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # and not listened on: refused, and nobody else gets the port meanwhile
            await self._live(Origin("http", *closed.getsockname()))

    async def _live(self, nowhere: Origin) -> None:
        async with scripted(self._serve) as upstream:
            down = replace(provider(nowhere, models=("down",)), name="down")
            both = (provider(upstream.origin), down)
            async with proxying(upstream.origin, providers=both, rules=MAPPED, limits=ONE_IDLE) as self.proxy:
                self.ready.set()
                await self.stop.wait()
            await until(lambda: self.open == 0)

    async def _serve(self, peer: Peer) -> None:
        """Be the upstream on one connection: do what each request's plan says."""
        self.open += 1
        try:
            while True:
                message = await peer.read_message()
                if (number := message.one(b"x-id")) is None:
                    return
                self.seen.append(int(number))
                if await self._answer(peer, self.requests[int(number)]):
                    return
        finally:
            self.open -= 1

    async def _answer(self, peer: Peer, request: Request) -> bool:
        """Answer as planned; True when the connection is to be closed after it."""
        plain = json.dumps({"model": "m", "id": request.id}).encode()
        match request.plan:
            case "length" | "refuse":
                status = b"200 OK" if request.plan == "length" else b"429 Slow"
                await peer.send(b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n" % status)
                await peer.send(b"Content-Length: %d\r\n\r\n" % len(plain), plain[:9], plain[9:])
            case "close":
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + plain)
                return True
            case "chunked":
                await peer.send(HELD_HEAD, chunk(event("m", 0)), b"0\r\n\r\n")
            case "held" | "silent" | "switch":
                if request.plan == "held":
                    await peer.send(HELD_HEAD)
                elif request.plan == "switch":
                    await peer.send(SWITCH_HEAD)
                request.upstream = peer
                if request.plan == "switch":
                    await peer.wait_gone()
                    return True
            case "garbage":
                await peer.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
            case "reset":
                peer.reset()
                return True
            case "gone":
                return True
        return False


HELD_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SWITCH_HEAD = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

BROKEN = ("garbage", "reset", "gone")
HOLDING = ("held", "silent", "switch")
PLANS = ("length", "chunked", "close", "refuse", *BROKEN, "held", "silent")
