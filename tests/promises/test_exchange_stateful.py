"""A real proxy over real sockets, driven by steps that hypothesis chooses: who asks, answers, breaks off, reloads.

A model keeps account of what must have happened; after each step the proxy is held to it:

* as many records as requests have ended, and no more a moment later
* no request reaches the upstream twice
* what a client has is what the upstream sent, with the model's name given back, and all of it as soon as it was sent
* no more connections to the upstream than requests under way and idle ones that are allowed
* at the end no task, no socket and no connection is left

The same examples in every run; ``AMPMAP_STATEFUL_EXAMPLES=1000`` asks for more of them, new in each run.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import anyio
import h11
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kit import GUARD_S, Peer, connected, provider, proxying, scripted, until
from samples import examples

from ampmap.routing.snapshot import compile_snapshot
from ampmap.server import Server
from ampmap.settings import Limits, Origin, Rule

EXAMPLES = int(os.environ.get("AMPMAP_STATEFUL_EXAMPLES", "0"))
STEPS = 40
BODY_LIMIT = 100  # bytes of a model route's body, while it is small

ONE_IDLE = Limits(idle_per_origin=1)
MAPPED = (Rule(source="alias", targets=("m",)),)

_T = TypeVar("_T")


def event(name: str, number: int) -> bytes:
    return b'data: {"model": "%b", "n": %d}\n\n' % (name.encode(), number)


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
            assert data == b"", "what reaches a client is HTTP, but for where it breaks off"
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


CLIENTS = 4
NUMBERS = st.integers(0, CLIENTS - 1)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Exchanges(RuleBasedStateMachine):
    """The steps, and the account that is kept of them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(debug=False)
        self.world = World()
        self.connected: list[Client] = []
        self.ended = 0  # requests that must have a record
        self.mapped = True
        self.small = False
        self.idle = ONE_IDLE.idle_per_origin
        self.run(self._start())

    def run(self, step: Coroutine[Any, Any, _T]) -> _T:
        """Run one step; a proxy that hangs fails it."""

        async def guarded() -> _T:
            with anyio.fail_after(GUARD_S):
                return await step

        return self.runner.run(guarded())

    async def _start(self) -> None:
        self.tasks = len(asyncio.all_tasks())
        self.life = asyncio.ensure_future(self.world.live())
        await self.world.ready.wait()

    def teardown(self) -> None:
        try:
            self.run(self._end())
        finally:
            self.runner.close()

    async def _end(self) -> None:
        for client in self.connected:
            await client.peer.close()
        for request in self.world.requests:
            if request.upstream is not None:
                await request.upstream.close()
        self.world.stop.set()
        await self.life
        await until(lambda: len(asyncio.all_tasks()) == self.tasks)
        assert self.world.proxy.service.pool.idle_count == 0
        assert self.world.proxy.listener.count == 0

    # --- clients ------------------------------------------------------------------------------------------------------

    def _idle(self) -> list[Client]:
        return [client for client in self.connected if client.request is None and not client.ended]

    def _pick(self, clients: list[Client], number: int) -> Client:
        return clients[number % len(clients)]

    async def _ready(self, number: int, fresh: bool) -> Client:
        """Return a client that can ask: one of those that have asked before, or a new one."""
        idle = self._idle()
        if idle and not fresh:
            return self._pick(idle, number)
        scope = connected(self.world.proxy)
        client = Client(scope, await scope.__aenter__())
        self.connected.append(client)
        return client

    @precondition(lambda self: len(self.connected) < CLIENTS or self._idle())
    @rule(
        number=NUMBERS,
        fresh=st.booleans(),
        plan=st.sampled_from(PLANS),
        asked=st.sampled_from(["m", "alias", "down", ""]),
        upgrade=st.integers(0, 5),
    )
    def ask(self, number: int, fresh: bool, plan: str, asked: str, upgrade: int) -> None:
        """Send a whole request."""
        request = Request(len(self.world.requests), plan, asked)
        if not upgrade:
            request = Request(request.id, "switch", "", upgrade=True)
        self.run(self._ask(number, fresh, request))

    async def _ask(self, number: int, fresh: bool, request: Request) -> None:
        client = await self._ready(number, fresh and len(self.connected) < CLIENTS)
        self._begin(client, request)
        await self._send_the_rest(client)

    @precondition(lambda self: len(self.connected) < CLIENTS - 1)
    @rule(plans=st.tuples(st.sampled_from(PLANS), st.sampled_from(PLANS)))
    def ask_together(self, plans: tuple[str, str]) -> None:
        """Send two requests on two new connections before either is answered."""
        self.run(self._ask_together(plans))

    async def _ask_together(self, plans: tuple[str, str]) -> None:
        clients = [await self._ready(0, True) for _ in plans]
        for client, plan in zip(clients, plans, strict=True):
            self._begin(client, Request(len(self.world.requests), plan, "m"))
            await client.peer.send(client.unsent)
            client.unsent = b""
        for client in clients:
            await self._arrived(client)

    @precondition(lambda self: len(self.connected) < CLIENTS or self._idle())
    @rule(number=NUMBERS, plan=st.sampled_from(PLANS), asked=st.sampled_from(["m", "alias"]), part=st.integers(0, 60))
    def ask_in_part(self, number: int, plan: str, asked: str, part: int) -> None:
        """Send the beginning of a head, or all of it and wait to be asked for the body."""
        self.run(self._ask_in_part(number, Request(len(self.world.requests), plan, asked), part // 2))

    async def _ask_in_part(self, number: int, request: Request, part: int) -> None:
        client = await self._ready(number, False)
        self._begin(client, request, expect=not part)
        part = part or client.unsent.index(b"\r\n\r\n") + 4
        await client.peer.send(client.unsent[:part])
        client.unsent = client.unsent[part:]
        if b"\r\n\r\n" in client.unsent:
            return
        request.in_force = self.mapped, self.small
        await client.read_until(lambda: client.status)
        if client.status == 100:
            client.status = 0
            return
        assert self.small and request.id % 3 == 0
        client.unsent = b""
        await self._replied(client, 413)
        await client.read_until(lambda: client.ended)

    @precondition(lambda self: any(client.unsent for client in self.connected))
    @rule(number=NUMBERS)
    def send_the_rest(self, number: int) -> None:
        waiting = [client for client in self.connected if client.unsent]
        self.run(self._send_the_rest(self._pick(waiting, number)))

    async def _send_the_rest(self, client: Client) -> None:
        rest, client.unsent = client.unsent, b""
        await client.peer.send(rest)
        await self._arrived(client)

    def _begin(self, client: Client, request: Request, *, expect: bool = False) -> None:
        self.world.requests.append(request)
        client.begin(request)
        identity = b"Host: localhost\r\nX-Id: %d\r\n%b" % (request.id, b"Expect: 100-continue\r\n" * expect)
        if request.asked:
            padding = "x" * (BODY_LIMIT if request.id % 3 == 0 else 0)
            body = json.dumps({"model": request.asked, "x": padding}).encode()
            head = b"POST /v1/chat/completions HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (identity, len(body))
            client.unsent = head + body
        else:
            upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" if request.upgrade else b""
            client.unsent = b"GET /api/internal HTTP/1.1\r\n%b%b\r\n" % (identity, upgrade)

    async def _arrived(self, client: Client) -> None:
        """See a request to where it goes now that the proxy has all of it."""
        request = client.request
        assert request is not None
        mapped, small = request.in_force or (self.mapped, self.small)
        too_large = small and request.id % 3 == 0 and bool(request.asked)
        if too_large or request.asked == "down" or (request.asked == "alias" and not mapped):
            await self._replied(client, 413 if too_large else None)
        elif request.plan in HOLDING:
            await until(lambda: request.upstream is not None)
            if request.plan != "silent":
                await client.read_until(lambda: client.status)
                assert client.status == (101 if request.upgrade else 200)
        elif request.plan in BROKEN:
            await self._replied(client, 502)
        else:
            body = event(request.answered, 0) if request.plan == "chunked" else self._plain(request)
            await self._replied(client, 429 if request.plan == "refuse" else 200, body)

    def _plain(self, request: Request) -> bytes:
        return json.dumps({"model": request.answered, "id": request.id}).encode()

    async def _replied(self, client: Client, status: int | None, body: bytes | None = None) -> None:
        """Read a reply to its proper end, and hold it to what it must be; the connection stays for the next."""
        await client.read_until(lambda: client.whole)
        assert client.whole
        assert status is None or status == client.status
        assert status is not None or client.status in (404, 502, 503), client.status
        assert body is None or body == client.body
        self._over(client)

    def _over(self, client: Client) -> None:
        client.request = None
        self.ended += 1
        if client.conn.their_state in (h11.MUST_CLOSE, h11.CLOSED):
            client.ended = True

    @precondition(lambda self: self.connected)
    @rule(number=NUMBERS, reset=st.booleans())
    def leave(self, number: int, reset: bool) -> None:
        """Close or reset a client's connection, wherever it is."""
        self.run(self._leave(self._pick(self.connected, number), reset))

    async def _leave(self, client: Client, reset: bool) -> None:
        request = client.request
        if b"\r\n\r\n" in client.unsent:  # a head that breaks off is an error to be recorded, unless a reset takes it
            self.ended += not reset
        elif request is not None:
            self.ended += 1
        if reset:
            client.peer.reset()
        await client.scope.__aexit__(None, None, None)
        self.connected.remove(client)
        if request is not None:
            request.upstream = None

    # --- the upstream -------------------------------------------------------------------------------------------------

    def _held(self, *plans: str) -> list[tuple[Client, Request, Peer]]:
        """Return the requests that the upstream has not answered to the end."""
        return [
            (client, client.request, client.request.upstream)
            for client in self.connected
            if client.request and client.request.upstream and client.request.plan in (plans or HOLDING)
        ]

    @precondition(lambda self: self._held())
    @rule(number=NUMBERS)
    def say_more(self, number: int) -> None:
        """Send an event of a reply that is under way: it reaches the client at once."""
        held = self._held()
        self.run(self._say_more(*held[number % len(held)]))

    async def _say_more(self, client: Client, request: Request, peer: Peer) -> None:
        request.numbers += 1
        if request.plan == "switch":
            await peer.send(event("m", request.numbers))
            request.sent += event("m", request.numbers)
        else:
            head = HELD_HEAD if request.plan == "silent" and not client.status else b""
            await peer.send(head + chunk(event("m", request.numbers)))
            request.sent += event(request.answered, request.numbers)
        await client.read_until(lambda: len(client.body) >= len(request.sent))
        assert client.body == request.sent

    @precondition(lambda self: self._held("held", "silent"))
    @rule(number=NUMBERS)
    def come_to_the_end(self, number: int) -> None:
        held = self._held("held", "silent")
        self.run(self._come_to_the_end(*held[number % len(held)]))

    async def _come_to_the_end(self, client: Client, request: Request, peer: Peer) -> None:
        await peer.send((b"" if client.status else HELD_HEAD) + b"0\r\n\r\n")
        await self._replied(client, 200, request.sent)
        request.upstream = None

    @precondition(lambda self: self._held("held", "silent"))
    @rule(number=NUMBERS, how=st.sampled_from(["close", "reset", "garbage"]))
    def break_off(self, number: int, how: str) -> None:
        """End a reply that is under way without its end."""
        held = self._held("held", "silent")
        self.run(self._break_off(*held[number % len(held)], how))

    async def _break_off(self, client: Client, request: Request, peer: Peer, how: str) -> None:
        request.upstream = None
        if how == "close":
            await peer.close()
        elif how == "reset":
            peer.reset()
        else:
            await peer.send(b"zz\r\n\r\n")  # neither a head nor a chunk
        if client.status:
            await client.read_until(lambda: client.whole)
            assert client.ended and not client.whole
            assert request.sent == client.body
            self._over(client)
        else:
            await self._replied(client, 502)

    # --- settings -----------------------------------------------------------------------------------------------------

    @rule(mapped=st.booleans(), small=st.booleans(), idle=st.sampled_from([1, 2, 32]))
    def reload(self, mapped: bool, small: bool, idle: int) -> None:
        """Put other rules and limits in force, for requests that begin from now on."""
        self.mapped, self.small, self.idle = mapped, small, idle
        self.run(self._reload())

    async def _reload(self) -> None:
        service = self.world.proxy.service
        now = service.snapshot.settings
        limits = Limits(idle_per_origin=self.idle, **({"model_body_bytes": BODY_LIMIT} if self.small else {}))
        amp = replace(now.amp, rules=MAPPED if self.mapped else ())
        service.rests.reached("down")
        service.apply(compile_snapshot(replace(now, amp=amp, limits=limits))[0])

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def every_request_that_ended_has_one_record(self) -> None:
        recent = self.world.proxy.service.journal.recent
        self.run(until(lambda: len(recent) >= self.ended))
        assert self.ended == len(recent), list(map(str, recent))

    @invariant()
    def no_request_is_seen_twice(self) -> None:
        assert len(self.world.seen) == len(set(self.world.seen)), self.world.seen

    @invariant()
    def connections_to_the_upstream_are_used_or_few(self) -> None:
        active = len(self._held())
        self.run(until(lambda: self.world.open <= active + self.idle))


TestExchanges = Exchanges.TestCase
TestExchanges.settings = settings(
    max_examples=EXAMPLES or examples(60, 12),
    stateful_step_count=STEPS,
    derandomize=not EXAMPLES,
    database=None,
    phases=(Phase.generate, Phase.shrink) if EXAMPLES else (Phase.generate,),  # a hang costs its guard each time
    suppress_health_check=list(HealthCheck),
)
