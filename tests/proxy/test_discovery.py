"""Providers asked for their models: real lists over real sockets, what is kept of them, and who may wait for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from kit import GUARD_S

from ampmap.commands.stand_in import StandIn, standing_in
from ampmap.config.file import parse
from ampmap.formats.model_page import Refused
from ampmap.http.dialer import Dialer
from ampmap.http.pool import Pool
from ampmap.proxy.discovery import Discovery, offer_of
from ampmap.proxy.provider_lists import list_models
from ampmap.routing.names import forms
from ampmap.routing.snapshot import Offer
from ampmap.server import Server, running
from ampmap.settings import Limits, Provider, Timeouts


def provider(url: str, protocols: str = "openai-chat", more: str = "") -> Provider:
    text = f"providers: [{{name: p, base-url: '{url}', protocols: [{protocols}]{more}}}]"
    return parse(text, "a.yaml", {}).settings.providers[0]


@asynccontextmanager
async def a_pool() -> AsyncIterator[Pool]:
    pool = Pool(Dialer({}, Limits(), 2.0), Limits(), Timeouts())
    try:
        yield pool
    finally:
        pool.close()


def test_a_dated_name_serves_the_undated_one_and_the_newest_wins() -> None:
    offer = offer_of(["m-20250101", "m-2025-11-01", "m-20251031", "n-20250101", "n", "o-1234"], 1.0)

    assert "m-2025-11-01" == offer.name_of(forms("m")[0])
    assert "m-20250101" == offer.name_of(forms("m-20250101")[0])
    assert "n" == offer.name_of(forms("n")[0])
    assert offer.name_of(forms("o")[0]) is None


@pytest.mark.parametrize(
    ("protocols", "path"),
    [
        ("openai-chat", "/v1/models"),
        ("openai-responses", "/v1/models"),
        ("anthropic", "/v1/models?limit=1000"),
        ("gemini", "/v1beta/models?pageSize=1000"),
    ],
)
async def test_each_protocol_is_asked_in_its_own_form_page_by_page(protocols: str, path: str) -> None:
    async with standing_in("p", models=("a", "b/c", "d", "e", "f")) as stand_in, a_pool() as pool:
        stand_in.page_count = 2
        found = await list_models(pool, provider(stand_in.url, protocols, ", api-key: k, auth: x-api-key"))

    assert ["a", "b/c", "d", "e", "f"] == found
    assert path == stand_in.seen[0].path
    assert 3 == len(stand_in.seen)
    assert {"k"} == {seen.header("x-api-key") for seen in stand_in.seen}


async def test_a_list_that_says_nothing_of_models_is_refused() -> None:
    async with standing_in("p", models=("a",)) as stand_in, a_pool() as pool:
        with pytest.raises(Refused, match="no list of models in the form of openai-chat; list them under 'models:'"):
            await list_models(pool, provider(f"{stand_in.url}/nothing"))


async def serve_raw(listener: anyio.abc.Listener[anyio.abc.SocketStream], reply: bytes) -> None:
    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(reply)

    async with listener:
        await listener.serve(answer)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "it answers 401 at /v1/models"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno!", "not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "no list of models"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + b'{"data": {}}', "no list of models"),
    ],
)
async def test_what_is_no_list_is_refused_in_words(reply: bytes, why: str) -> None:
    async with a_pool() as pool, anyio.create_task_group() as group:
        listener = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners[0]
        group.start_soon(serve_raw, listener, reply)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(Refused, match=why):
            await list_models(pool, provider(f"http://127.0.0.1:{port}"))
        group.cancel_scope.cancel()


async def test_the_last_good_answer_is_kept_when_the_next_one_fails_and_across_a_reload() -> None:
    told: list[dict[str, Offer]] = []
    async with a_pool() as pool:
        discovery = Discovery(pool, told.append)
        async with standing_in("p", models=("a",)) as stand_in:
            asked = provider(stand_in.url)
            discovery.configure((asked,))
            assert discovery.pending
            await discovery.round()
            assert not discovery.pending
            assert frozenset({"a"}) == told[-1]["p"].models
        pool.close()
        await discovery.round()
        assert frozenset({"a"}) == told[-1]["p"].models
        assert "cannot connect" in told[-1]["p"].error

        discovery.configure((asked,))
        assert not discovery.pending
        assert frozenset({"a"}) == told[-1]["p"].models

        discovery.configure((provider("http://127.0.0.1:9"),))
        assert discovery.pending
        assert {} == told[-1]
        discovery.configure(())
        assert not discovery.pending


async def test_waiting_for_a_first_answer_ends_with_it_or_with_the_time() -> None:
    async with a_pool() as pool, standing_in("p", models=("a",)) as stand_in:
        discovery = Discovery(pool, lambda offers: None)
        discovery.configure((provider(stand_in.url),))
        await discovery.wait_first(0.01)
        assert discovery.pending
        async with anyio.create_task_group() as group:
            group.start_soon(discovery.run)
            with anyio.fail_after(GUARD_S):
                await discovery.wait_first(3600)
            group.cancel_scope.cancel()

        assert not discovery.pending


@asynccontextmanager
async def discovering(*stand_ins: StandIn, rules: str = "[]") -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    lines = [f"  - {{name: {s.name}, base-url: '{s.url}', protocols: [openai-chat]}}" for s in stand_ins]
    text = "\n".join(["listen: 127.0.0.1:0", f"amp-model-mappings: {rules}", "providers:", *lines])
    async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url) as client:
            yield proxy, client


async def test_the_very_first_request_waits_for_the_first_list_and_is_served_by_it() -> None:
    async with standing_in("p", models=("m-20250101",)) as stand_in:
        async with discovering(stand_in, rules="[{from: old, to: m}]") as (proxy, client):
            direct = await client.post("/v1/chat/completions", json={"model": "m"})
            mapped = await client.post("/v1/chat/completions", json={"model": "old"})
            listed = (await client.get("/v1/models")).json()["data"]

            assert ("m", "old") == (direct.json()["model"], mapped.json()["model"])
            assert "answering as m-20250101" in direct.text
            assert ["m-20250101", "m", "old"] == [model["id"] for model in listed]
            assert ["MODEL_MAPPING"] == [
                r.route_type for r in proxy.service.journal.recent if r.requested_model == "old"
            ]


async def test_a_provider_that_cannot_be_asked_serves_nothing_and_says_why() -> None:
    async with standing_in("p", models=("m",)) as stand_in:
        pass  # gone now
    async with discovering(stand_in) as (_, client):
        reply = await client.post("/v1/chat/completions", json={"model": "m"})

        assert (503, "5") == (reply.status_code, reply.headers["Retry-After"])
        assert "may serve it is unknown (p: cannot connect" in reply.json()["error"]["message"]
