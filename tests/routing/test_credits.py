"""``amp-credits-per-day``: at most so many requests spend credits in 24 hours, then none do."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import anyio
import pytest
from kit import OK, answering, ask, closed_origin, get, post, proxying, scripted

from ampmap.commands.availability import learn
from ampmap.config.file import parse
from ampmap.errors import ConfigError
from ampmap.routing.credits import DAY_S, MOST_PER_DAY, Credits
from ampmap.routing.decide import Ask, decide
from ampmap.routing.reasons import Step
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.server import Server, running
from ampmap.settings import TcpListen

PAID = post(b'{"model": "unserved"}', path=b"/api/provider/openai/v1/chat/completions")


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


async def told(proxy: Server) -> dict[str, object]:
    status = json.loads((await ask(proxy, get(b"/_ampmap/status"))).body)
    found: dict[str, object] = status["amp_credits_per_day"]
    return found


@pytest.mark.parametrize(
    ("text", "expected"), [("", 0), ("amp-credits-per-day: 0", 0), ("amp-credits-per-day: 20", 20)]
)
def test_the_number_is_read(text: str, expected: int) -> None:
    assert expected == parse(text, "a.yaml", {}).settings.amp.credits_per_day


@pytest.mark.parametrize("wrong", ["-1", "1.5", "many", "100001"])
def test_what_is_no_number_of_requests_is_an_error(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml:1:22: .*whole number"):
        parse(f"amp-credits-per-day: {wrong}", "a.yaml", {})


def test_the_day_is_the_last_24_hours() -> None:
    clock = Clock()
    credits = Credits(clock)
    for _ in range(3):
        credits.spend()
        clock.now += 3600

    again = credits.again(3)
    assert clock.now - 3 * 3600 + DAY_S == again
    clock.now = again - 1
    assert again == credits.again(3)
    clock.now = again
    assert credits.again(3) is None
    assert 2 == credits.count()


def test_a_lower_number_counts_what_was_spent_under_a_higher_one() -> None:
    clock = Clock()
    credits = Credits(clock)
    for _ in range(5):
        credits.spend()
        clock.now += 60

    assert 1_000_000_000 + 3 * 60 + DAY_S == credits.again(2)
    assert credits.again(6) is None
    assert credits.again(0) is None


async def test_requests_at_once_spend_no_more_than_the_day_has() -> None:
    async with scripted(answering(*[OK] * 20)) as amp, proxying(amp.origin, credits_per_day=5) as proxy:
        statuses: list[int] = []

        async def spend() -> None:
            statuses.append((await ask(proxy, PAID)).status)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(spend)

        assert [200] * 5 + [403] * 15 == sorted(statuses)
        assert 5 == len(amp.seen)
        assert ["amp_credits"] * 5 + ["none"] * 15 == sorted(r.cost for r in proxy.service.journal.recent)


async def test_the_refusal_names_the_setting_and_says_when_the_next_one_is_possible() -> None:
    clock = Clock()
    async with scripted(answering(*[OK] * 3)) as amp, proxying(amp.origin, credits_per_day=1) as proxy:
        proxy.service.credits = Credits(clock)
        first = await ask(proxy, PAID)
        clock.now += 60
        refused = [await ask(proxy, PAID), await ask(proxy, post(b"{}", path=b"/api/provider/openai/v1/files"))]
        status = await told(proxy)
        clock.now += DAY_S - 60
        again = await ask(proxy, PAID)

    assert [200, 403, 403, 200] == [reply.status for reply in (first, *refused, again)]
    for reply in refused:
        assert b"amp-credits-per-day: 1 request" in reply.body
        assert b"the next one may at 01:46:40 UTC" in reply.body
    assert {"limit": 1, "spent": 1, "again": 1_000_000_000 + DAY_S} == status


async def test_a_request_that_never_left_is_not_counted() -> None:
    async with proxying(await closed_origin(), providers=(), credits_per_day=1) as proxy:
        for _ in range(3):
            assert 502 == (await ask(proxy, PAID)).status

        assert {"limit": 1, "spent": 0, "again": None} == await told(proxy)
        assert ["none"] * 3 == [record.cost for record in list(proxy.service.journal.recent)[:3]]


async def test_a_request_that_left_and_failed_is_counted() -> None:
    async with scripted(answering(b"SSH-2.0\r\n\r\n")) as amp, proxying(amp.origin, credits_per_day=1) as proxy:
        assert [502, 403] == [(await ask(proxy, PAID)).status for _ in range(2)]


async def test_the_count_survives_a_reload() -> None:
    async with scripted(answering(*[OK] * 3)) as amp, proxying(amp.origin) as proxy:
        for _ in range(2):
            await ask(proxy, PAID)
        settings = proxy.service.snapshot.settings
        proxy.service.apply(compile_snapshot(replace(settings, amp=replace(settings.amp, credits_per_day=2)))[0])

        assert 403 == (await ask(proxy, PAID)).status
        proxy.service.apply(compile_snapshot(replace(settings, amp=replace(settings.amp, credits_per_day=3)))[0])
        assert 200 == (await ask(proxy, PAID)).status


def test_the_decision_and_its_explanation_say_that_the_day_is_used_up() -> None:
    snapshot, _ = compile_snapshot(parse("amp-credits-per-day: 7", "a.yaml", {}).settings)
    steps: list[Step] = []
    decision = decide(Ask("anthropic", "x", "anthropic"), snapshot, Availability(credits_again=50_827.0), steps)

    assert decision.refused
    assert steps[-1].why.startswith("amp-credits-per-day: 7 requests")
    assert steps[-1].why.endswith("the next one may at 14:07:07 UTC")


async def test_explain_learns_from_the_running_proxy_that_the_day_is_used_up() -> None:
    async with scripted(answering(OK)) as amp:
        text = f"listen: 127.0.0.1:0\namp-upstream-url: '{amp.origin}'\nproviders: []\namp-credits-per-day: 1"
        settings = parse(text, "a.yaml", {}).settings
        async with running(replace(settings, source="a.yaml"), env={}) as proxy:
            await ask(proxy, PAID)
            port = int(proxy.url.rpartition(":")[2])
            here = replace(settings, listen=(TcpListen(port=port),), source="a.yaml")
            availability, _ = await learn(here, {})

    assert availability.credits_again is not None


def test_a_busy_day_takes_a_bounded_number_of_bytes_and_no_objects() -> None:
    clock = Clock()
    credits, before = Credits(clock), sys.getallocatedblocks()
    for _ in range(MOST_PER_DAY + 5):
        clock.now += 0.1
        credits.spend()

    assert sys.getallocatedblocks() - before < 1000
    assert MOST_PER_DAY == credits.count()
    assert clock.now + DAY_S - 0.2 == pytest.approx(credits.again(3))
