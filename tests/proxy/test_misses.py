"""A miss asks again: lists that may have grown since are asked for once more before a model is called unserved."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import kit
import pytest
from quickclock import on_quick_clock

from ampmap.http.dialer import Dialer
from ampmap.http.pool import Pool
from ampmap.proxy.discovery import Discovery
from ampmap.routing.snapshot import Offer
from ampmap.settings import Endpoint, Limits, Origin, Provider, Timeouts


@dataclass(slots=True)
class Lists:
    """A provider's server: it answers with ``names``; as long as ``held`` is given, only once that is set."""

    names: list[str] = field(default_factory=lambda: ["a"])
    held: anyio.Event | None = None
    asked: int = 0

    async def script(self, peer: kit.Peer) -> None:
        while True:
            await peer.read_message()
            self.asked += 1
            if self.held:
                await self.held.wait()
            body = json.dumps({"data": [{"id": name} for name in self.names]}).encode()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@dataclass(slots=True)
class Clock:
    now: float = 1000.0
    moves: bool = False  # with the loop's own clock

    def __call__(self) -> float:
        return self.now + (anyio.current_time() if self.moves else 0.0)


@dataclass(slots=True)
class Asking:
    discovery: Discovery
    lists: Lists
    clock: Clock
    offers: dict[str, Offer]
    origin: Origin


def provider(origin: Origin, api_key: str = "") -> Provider:
    return Provider(
        name="p", origin=origin, endpoints=(Endpoint(protocol="openai-chat"),), discover=True, api_key=api_key
    )


@asynccontextmanager
async def asking(lists: Lists, host: str = "127.0.0.1") -> AsyncIterator[Asking]:
    """Run a discovery that has asked its one provider once, or waits for that answer."""
    pool = Pool(Dialer({}, Limits(), 2.0), Limits(), Timeouts())
    offers: dict[str, Offer] = {}

    def take(found: dict[str, Offer]) -> None:
        offers.clear()
        offers.update(found)

    clock = Clock()
    discovery = Discovery(pool, take, clock)
    async with kit.scripted(lists.script, host=host) as server, anyio.create_task_group() as group:
        discovery.configure((provider(server.origin),))
        group.start_soon(discovery.run)
        await kit.until(lambda: lists.asked)
        if lists.held is None:
            await discovery.wait_first(kit.GUARD_S)
        yield Asking(discovery, lists, clock, offers, server.origin)
        group.cancel_scope.cancel()
    pool.close()


async def test_a_local_list_that_is_older_than_five_seconds_is_asked_again_and_waited_for() -> None:
    async with asking(Lists()) as this:
        this.lists.names = ["a", "pulled"]
        this.clock.now += 5.0
        assert not await this.discovery.missed()
        assert 1 == this.lists.asked

        this.clock.now += 0.1
        assert await this.discovery.missed()
        assert {"a", "pulled"} == this.offers["p"].models
        assert not await this.discovery.missed()
        assert 2 == this.lists.asked


@on_quick_clock()
async def test_a_local_list_is_waited_for_a_second_and_not_again_by_the_next_miss() -> None:
    async with asking(Lists()) as this:
        this.lists.held = anyio.Event()
        this.clock.now += 6
        this.clock.moves = True
        began = anyio.current_time()
        assert not await this.discovery.missed()
        assert 1.0 == pytest.approx(anyio.current_time() - began)
        assert not await this.discovery.missed()
        assert 1.0 == pytest.approx(anyio.current_time() - began)
        assert 2 == this.lists.asked


async def test_misses_at_once_share_one_question_and_one_that_leaves_takes_nothing_with_it() -> None:
    async with asking(Lists()) as this, anyio.create_task_group() as group:
        this.lists.held = anyio.Event()
        this.clock.now += 6
        answered: list[bool] = []

        async def miss() -> None:
            answered.append(await this.discovery.missed())

        with anyio.CancelScope() as scope:
            group.start_soon(miss)
            group.start_soon(miss)
            await kit.until(lambda: 2 == this.lists.asked)
            scope.cancel()
            await this.discovery.missed()  # its client has left
        group.start_soon(miss)
        group.start_soon(this.discovery.round)
        await anyio.wait_all_tasks_blocked()
        this.lists.held.set()
        await kit.until(lambda: 3 == len(answered))

        assert [True] * 3 == answered
        assert 2 == this.lists.asked


async def test_a_list_from_elsewhere_is_asked_again_in_the_background_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ampmap.proxy.discovery.is_loopback", lambda host: False)
    async with asking(Lists()) as this:
        this.lists.names = ["a", "new"]
        this.clock.now += 60
        assert not await this.discovery.missed()
        assert 1 == this.lists.asked
        this.clock.now += 0.1
        assert not await this.discovery.missed()
        await kit.until(lambda: "new" in this.offers["p"].models)
        assert not await this.discovery.missed()
        assert 2 == this.lists.asked


async def test_a_provider_in_its_first_question_is_asked_no_other() -> None:
    async with asking(Lists(held=anyio.Event())) as this:
        this.clock.now += 100
        assert not await this.discovery.missed()
        assert 1 == this.lists.asked
        assert {"p": 100.0} == this.discovery.unlearnt()


async def test_without_a_loop_of_its_own_nothing_is_asked() -> None:
    pool = Pool(Dialer({}, Limits(), 2.0), Limits(), Timeouts())
    discovery = Discovery(pool, lambda offers: None)
    discovery.configure((provider(await kit.closed_origin()),))

    assert not await discovery.missed()


async def test_a_reload_that_leaves_a_provider_as_it_is_keeps_since_when_it_is_unlearnt() -> None:
    clock, origin = Clock(), await kit.closed_origin()
    pool = Pool(Dialer({}, Limits(), 2.0), Limits(), Timeouts())
    discovery = Discovery(pool, lambda offers: None, clock)
    discovery.configure((provider(origin),))
    clock.now += 30
    await discovery.round()  # it fails, which teaches nothing
    discovery.configure((provider(origin),))
    assert {"p": 30.0} == discovery.unlearnt()

    discovery.configure((provider(origin, api_key="another"),))
    assert {"p": 0.0} == discovery.unlearnt()
    discovery.configure(())
    assert {} == discovery.unlearnt()


async def test_a_list_that_was_learnt_stays_so_when_the_next_question_fails_and_across_a_reload() -> None:
    async with asking(Lists()) as this:
        assert {} == this.discovery.unlearnt()
    await this.discovery.round()
    this.discovery.configure((provider(this.origin),))

    assert this.offers["p"].error
    assert {} == this.discovery.unlearnt()
