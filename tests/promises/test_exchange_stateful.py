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
import os
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import anyio
import h11
from exchangeworld import (
    BODY_LIMIT,
    BROKEN,
    HELD_HEAD,
    HOLDING,
    MAPPED,
    ONE_IDLE,
    PLANS,
    Client,
    Request,
    World,
    chunk,
    event,
)
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kit import GUARD_S, Peer, connected, until
from samples import examples

from ampmap.routing.snapshot import compile_snapshot
from ampmap.settings import Limits

EXAMPLES = int(os.environ.get("AMPMAP_STATEFUL_EXAMPLES", "0"))

_T = TypeVar("_T")


CLIENTS = 4
NUMBERS = st.integers(0, CLIENTS - 1)


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

    async def _ready(self, number: int, fresh: bool) -> Client:
        """Return a client that can ask: one of those that have asked before, or a new one."""
        idle = self._idle()
        if idle and not fresh:
            return idle[number % len(idle)]
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
        self.run(self._send_the_rest(waiting[number % len(waiting)]))

    async def _send_the_rest(self, client: Client) -> None:
        rest, client.unsent = client.unsent, b""
        await client.peer.send(rest)
        await self._arrived(client)

    def _begin(self, client: Client, request: Request, *, expect: bool = False) -> None:
        self.world.requests.append(request)
        client.begin(request)
        client.unsent = request.written(expect=expect)

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
            body = event(request.answered, 0) if request.plan == "chunked" else request.plain_reply
            await self._replied(client, 429 if request.plan == "refuse" else 200, body)

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
        self.run(self._leave(self.connected[number % len(self.connected)], reset))

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
        service.cooldowns.reached("down")
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
    stateful_step_count=40,
    derandomize=not EXAMPLES,
    database=None,
    phases=(Phase.generate, Phase.shrink) if EXAMPLES else (Phase.generate,),  # a hang costs its guard each time
    suppress_health_check=list(HealthCheck),
)
