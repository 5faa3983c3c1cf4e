"""A provider that is down or late costs no credits: real sockets, an Amp that counts, an SDK that retries."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack

import anthropic
import anyio
import httpx
import pytest
from kit import BODY, Message, Peer, Scripted, answering, ask, closed_origin, post, record_of, scripted, times, until

from ampmap.routing.cooldown import UNREACHABLE_S
from ampmap.server import Server, running
from ampmap.settings import Amp, CreditPolicy, Endpoint, ModelEntry, Origin, Provider, Rule, Settings, TcpListen, When

AMP_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
PATH = b"/api/provider/anthropic/v1/messages"


def named(name: str, origin: Origin, *, discover: bool = False) -> Provider:
    models = () if discover else (ModelEntry(id="m"),)
    endpoints = (Endpoint(protocol="anthropic", auth="none"),)
    return Provider(name=name, origin=origin, endpoints=endpoints, models=models, discover=discover)


class World:
    """A proxy between providers and an Amp upstream that counts what would be paid for."""

    def __init__(self, proxy: Server, amp: Scripted) -> None:
        self.proxy = proxy
        self.amp = amp

    async def ask(self, model: str, path: bytes = PATH) -> Message:
        return await ask(self.proxy, post(json.dumps({"model": model}).encode(), path=path))

    @property
    def paid(self) -> int:
        return len([seen for seen in self.amp.seen if b"/api/provider/" in seen.start])


async def world(
    stack: AsyncExitStack, *providers: Provider, credits: CreditPolicy = "warn", rules: tuple[Rule, ...] = ()
) -> World:
    amp = await stack.enter_async_context(scripted(answering(*[AMP_OK] * 50)))
    settings = Settings(
        listen=(TcpListen(port=0),),
        amp=Amp(origin=amp.origin, api_key="sgamp_key", credits=credits, rules=rules),
        providers=providers,
        timeouts=times(connect_s=2.0),
    )
    return World(await stack.enter_async_context(running(settings, env={})), amp)


RULE = Rule(source="q", targets=("m",))


@pytest.mark.parametrize("model", ["m", "q"])
@pytest.mark.parametrize("credits", ["warn", "refuse"])
async def test_a_provider_that_is_down_costs_nothing_however_often_it_is_asked(
    model: str, credits: CreditPolicy
) -> None:
    async with AsyncExitStack() as stack:
        down = named("local", await closed_origin())
        found = await world(stack, down, credits=credits, rules=(RULE,))
        replies = [await found.ask(model) for _ in range(4)]
        record = await record_of(found.proxy, 4)

    assert [502] * 4 == [reply.status for reply in replies]
    assert b"cannot connect" in replies[-1].body
    assert (0, 0, {}) == (found.paid, found.proxy.service.journal.paid, dict(found.proxy.service.journal.uncovered))
    route = "LOCAL_PROVIDER" if model == "m" else "MODEL_MAPPING"
    assert (route, "none", "") == (record.route_type, record.cost, record.hint)


async def test_an_sdk_that_retries_pays_nothing() -> None:
    async with AsyncExitStack() as stack:
        found = await world(stack, named("local", await closed_origin()))
        client = anthropic.AsyncAnthropic(api_key="k", base_url=f"{found.proxy.url}/api/provider/anthropic")
        with pytest.raises(anthropic.InternalServerError):
            await client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}])
        await client.close()

    assert 0 == found.paid
    assert found.proxy.service.journal.recent


@pytest.mark.parametrize("model", ["m", "q"])
async def test_with_credits_allowed_amp_serves_what_cannot_be_connected_to(model: str) -> None:
    async with AsyncExitStack() as stack:
        found = await world(stack, named("local", await closed_origin()), credits="allow", rules=(RULE,))
        replies = [await found.ask(model) for _ in range(2)]
        record = await record_of(found.proxy, 2)

    assert [200, 200] == [reply.status for reply in replies]
    assert ("AMP_CREDITS", "amp_credits", "", "") == (record.route_type, record.cost, record.provider, record.mapping)
    assert (2, {}) == (found.paid, dict(found.proxy.service.journal.uncovered))


async def test_an_answer_that_came_is_passed_on_and_not_paid_for_again_although_credits_are_allowed() -> None:
    broken = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    async with AsyncExitStack() as stack:
        up = await stack.enter_async_context(scripted(answering(broken)))
        providers = (named("first", up.origin), named("second", await closed_origin()))
        found = await world(stack, *providers, credits="allow")
        reply = await found.ask("m")

    assert (502, 0) == (reply.status, found.paid)
    assert b"false" == reply.one(b"x-should-retry")


async def test_a_list_that_was_never_had_covers_names_for_a_minute_and_targets_always() -> None:
    async with AsyncExitStack() as stack:
        late = named("late", await closed_origin(), discover=True)
        found = await world(stack, late, rules=(RULE,))
        direct, mapped = await found.ask("m"), await found.ask("q")
        found.proxy.service.discovery.now = lambda: time.monotonic() + 60.0
        later = [(await found.ask(model)).status for model in ("m", "q")]

    for reply in (direct, mapped):
        assert (503, b"5") == (reply.status, reply.one(b"retry-after"))
        assert b"unknown (late: cannot connect" in reply.body
    assert [200, 503] == later
    assert 1 == found.paid


async def test_a_model_pulled_a_moment_ago_is_served_and_not_paid_for() -> None:
    models = ["old"]

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.read_message()
            listing = json.dumps({"data": [{"id": name} for name in models]}).encode()
            body = listing if request.start.startswith(b"GET") else b"{}"
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with AsyncExitStack() as stack:
        local = await stack.enter_async_context(scripted(script))
        found = await world(stack, named("local", local.origin, discover=True))
        await found.proxy.service.discovery.wait_first(5)
        models.append("pulled")
        found.proxy.service.discovery.now = lambda: time.monotonic() + 6.0
        reply = await found.ask("pulled")

    assert (200, 0) == (reply.status, found.paid)


async def test_while_one_request_tries_a_provider_in_cooldown_others_get_503_at_once() -> None:
    arrived, answer = anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        arrived.set()
        await answer.wait()
        await peer.send(AMP_OK)
        await peer.wait_gone()

    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(scripted(script))
        found = await world(stack, named("local", slow.origin))
        cooldowns = found.proxy.service.cooldowns
        cooldowns.failed("local", "connection refused", 0.0)
        began = cooldowns.begin("local")  # another request is dialling it
        refused = await found.ask("m")
        cooldowns.gave_up("local", began)
        async with anyio.create_task_group() as group:
            group.start_soon(found.ask, "m")
            await arrived.wait()
            assert {} == cooldowns.current()  # it could be reached
            answer.set()

    assert (503, b"1", None) == (refused.status, refused.one(b"retry-after"), refused.one(b"x-should-retry"))
    assert b"local is in cooldown until" in refused.body and b"connection refused" in refused.body
    assert 0 == found.paid


async def test_clients_are_told_not_to_try_again_once_a_provider_was_down_for_ten_seconds() -> None:
    async with AsyncExitStack() as stack:
        found = await world(stack, named("local", await closed_origin()))
        first = await found.ask("m")
        found.proxy.service.cooldowns.now = lambda: time.monotonic() + UNREACHABLE_S
        second = await found.ask("m")
        found.proxy.service.cooldowns.begin("local")
        third = await found.ask("m")

    assert [(502, None), (502, b"false"), (503, b"false")] == [
        (reply.status, reply.one(b"x-should-retry")) for reply in (first, second, third)
    ]


async def test_a_target_in_cooldown_is_tried_last_and_the_other_serves() -> None:
    async with AsyncExitStack() as stack:
        up = await stack.enter_async_context(scripted(answering(AMP_OK, AMP_OK)))
        found = await world(stack, named("down", await closed_origin()), named("up", up.origin))
        replies = [await found.ask("m") for _ in range(2)]
        record = await record_of(found.proxy, 2)

    assert [200, 200] == [reply.status for reply in replies]
    assert ("up", 1, "") == (record.provider, record.attempts, record.detail)


async def test_what_no_provider_could_serve_in_that_format_is_amps_turn_and_the_log_says_why() -> None:
    async with AsyncExitStack() as stack:
        found = await world(stack, named("local", await closed_origin()))
        reply = await ask(found.proxy, post(BODY, path=b"/api/provider/openai/v1/embeddings"))
        record = await record_of(found.proxy)

    assert (200, 1) == (reply.status, found.paid)
    assert ("AMP_CREDITS", "amp_credits") == (record.route_type, record.cost)


async def test_status_names_the_cooldown_and_lists_nothing_covered_as_uncovered() -> None:
    async with AsyncExitStack() as stack:
        found = await world(stack, named("local", await closed_origin()), rules=(RULE,))
        for model in ("m", "q", "unknown"):
            await found.ask(model)
        await until(lambda: len(found.proxy.service.journal.recent) == 3)
        async with httpx.AsyncClient(base_url=found.proxy.url) as client:
            status = (await client.get("/_ampmap/status")).json()

    assert ["unknown"] == [each["model"] for each in status["uncovered_models"]]
    assert "cooldown" == status["providers"][0]["state"]
    assert status["providers"][0]["until"] > 0


@pytest.mark.parametrize("path", [b"/api/provider/x/v1/images", b"/api/provider/anthropic/v1/messages/batches"])
async def test_a_path_that_only_amp_knows_spends_none_while_a_rule_refuses_them(path: bytes) -> None:
    """Amp's server may read the refused model in it."""
    refusing = (Rule(source="m", targets=("gone",), credits="refuse"),)
    async with AsyncExitStack() as stack:
        it = await world(stack, credits="allow", rules=refusing)
        refused = await it.ask("m", path)
        free = await world(stack, credits="allow")
        await free.ask("m", path)

    assert (403, 0, 1) == (refused.status, it.paid, free.paid)
    assert b"whatever model it may mean" in refused.body


async def test_a_broken_body_of_which_a_rule_would_have_to_know_more_spends_none() -> None:
    path = b"/api/provider/google/v1beta/models/m:generateContent"
    rules = (Rule(source="m", targets=("other",), when=When(tool="Bash")),)
    async with AsyncExitStack() as stack:
        it = await world(stack, rules=rules)
        replies = [await ask(it.proxy, post(body, path=path)) for body in (b'{"tools": [', b'{"contents": []}')]

    assert ([403, 200], 1) == ([reply.status for reply in replies], it.paid)


@pytest.mark.parametrize("field", [b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override"])
@pytest.mark.parametrize("method", [b"PUT", b"PATCH", b"GET"])
async def test_no_other_method_takes_a_covered_model_past_its_provider(method: bytes, field: bytes) -> None:
    """A server that honours the field would take it for the POST that a provider serves."""
    request = post(b'{"model":"m"}', field + b": POST", path=PATH).replace(b"POST", method, 1)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(scripted(answering(AMP_OK)))
        here = await world(stack, named("p", upstream.origin))

        reply = await ask(here.proxy, request)

    assert (400, 0) == (reply.status, here.paid)
