"""A reload in the middle of a request does not make a model uncovered that both configurations cover."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from kit import answering, connected, post, record_of, scripted, times, until

from ampmap.http.client_connection import Phase
from ampmap.routing.snapshot import compile_snapshot
from ampmap.server import Server, running
from ampmap.settings import Amp, Endpoint, Origin, Provider, Settings, TcpListen

BOTH_LOOPS = True

LISTED = b'{"data":[{"id":"m"}]}'
OTHERS = b'{"data":[{"id":"n"}]}'
PATH = b"/api/provider/anthropic/v1/messages"
REQUEST = post(json.dumps({"model": "m", "messages": ["x" * 1000]}).encode(), path=PATH)


def reply(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def asked(name: str, origin: Origin) -> Provider:
    return Provider(name=name, origin=origin, endpoints=(Endpoint(protocol="anthropic", auth="none"),), discover=True)


def lists(proxy: Server) -> list[bool]:
    offers = proxy.service.availability().offers
    return [bool(offer.models) for offer in offers.values()]


@pytest.mark.parametrize("change", ["another name", "another server", "gone"])
async def test_a_covered_request_is_not_paid_because_of_a_reload(change: str) -> None:
    async with AsyncExitStack() as stack:
        amp = await stack.enter_async_context(scripted(answering(*[reply(b"{}")] * 5)))
        first = await stack.enter_async_context(scripted(answering(*[reply(LISTED)] * 5)))
        second = await stack.enter_async_context(scripted(answering(*[reply(OTHERS)] * 5)))
        settings = Settings(
            listen=(TcpListen(port=0),), amp=Amp(origin=amp.origin, api_key="sgamp_key"),
            providers=(asked("a", first.origin),), timeouts=times(),
        )  # fmt: skip
        proxy = await stack.enter_async_context(running(settings, env={}))
        await until(lambda: lists(proxy) == [True])
        client = await stack.enter_async_context(connected(proxy))
        await client.send(REQUEST[:-100])
        await until(lambda: any(each.phase in (Phase.UNASKED, Phase.SERVED) for each in proxy.open_connections))
        providers = {
            "another name": (asked("b", first.origin),), "another server": (asked("a", second.origin),), "gone": (),
        }[change]  # fmt: skip
        proxy.service.apply(compile_snapshot(replace(settings, providers=providers))[0])
        await until(lambda: all(lists(proxy)))

        await client.send(REQUEST[-100:])
        await client.read_message()
        record = await record_of(proxy)

    assert ("LOCAL_PROVIDER", "own", "a") == (record.route_type, record.cost, record.provider)
    assert not amp.seen
