"""A further wire format is one value and one line: an invented one is served as those that ampmap knows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from kit import record_of, times

from ampmap.commands.explain import explain_for
from ampmap.commands.stand_in import StandIn, standing_in
from ampmap.config.file import parse
from ampmap.formats.base import ListSource, ServedList, WireFormat
from ampmap.formats.registry import FORMATS
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.server import Server, running
from ampmap.settings import Amp, Endpoint, ModelEntry, Origin, Provider, Rule, Settings, TcpListen


def _sample_events(model: str, words: list[str]) -> Iterator[bytes]:
    for word in words:
        yield f"data: {json.dumps({'response': {'model': model}, 'word': word})}\n\n".encode()


def _model_path(path: str) -> tuple[str, str] | None:
    name = path.removeprefix("/v7/ask/")
    return (name, "/v7/ask/{model}") if name != path else None


INVENTED = WireFormat(
    paths={"/v7/invented": "/v7/invented", "/invented": "/v7/invented"},
    model_path=_model_path,
    path_template="/v7/ask/{model}",
    error=lambda status, message, code: {"oops": {"number": status, "text": message}},
    is_error=lambda event: "oops" in event,
    no_model_status=418,
    source=ListSource(path="/v7/names", query="many=1", fields=((b"x-invented", b"7"),), key="names"),
    lists=(
        ServedList(
            name="invented",
            path="/v7/names",
            segments=("inventor",),
            fields=(b"x-invented",),
            entry=lambda name: {"called": name},
            document=lambda names, entries, _: f'{{"count": {len(names)}, "names": [{", ".join(entries)}]}}',
        ),
    ),
    amp_segment="inventor",
    sample_reply=lambda model, text: {"model": model, "text": text},
    sample_events=_sample_events,
)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "invented", INVENTED)


def provider(upstream: StandIn, name: str = "inventor", *, discover: bool = False) -> Provider:
    return Provider(
        name=name,
        origin=Origin("http", "127.0.0.1", int(upstream.url.rpartition(":")[2])),
        endpoints=(Endpoint(protocol="invented"),),
        models=() if discover else (ModelEntry(id="m-1"),),
        discover=discover,
        api_key="key-1",
    )


@asynccontextmanager
async def proxying(*providers: Provider) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    settings = Settings(
        listen=(TcpListen(port=0),),
        amp=Amp(origin=None, rules=(Rule(source="alias", targets=("m-1",)),)),
        providers=providers,
        timeouts=times(),
    )
    async with running(settings, env={}) as proxy, httpx.AsyncClient(base_url=proxy.url) as client:
        yield proxy, client


def test_the_configuration_takes_its_name() -> None:
    text = "providers: [{name: p, base-url: 'http://127.0.0.1:1', protocols: [invented], models: [m]}]"

    loaded = parse(text, "ampmap.yaml", {})

    assert ["invented"] == [each.protocol for each in loaded.settings.providers[0].endpoints]


@pytest.mark.parametrize("path", ["/v7/invented", "/invented", "/api/provider/inventor/v7/invented"])
async def test_it_is_routed_to_a_provider_that_speaks_it(path: str) -> None:
    async with standing_in("one") as upstream, proxying(provider(upstream)) as (proxy, client):
        reply = await client.post(path, json={"model": "m-1"})
        record = await record_of(proxy)

    assert {"model": "m-1", "text": "This is one, answering as m-1."} == reply.json()
    assert ("/v7/invented", "Bearer key-1") == (upstream.seen[0].path, upstream.seen[0].header("authorization"))
    assert ("invented", "LOCAL_PROVIDER") == (record.protocol, record.route_type)


@pytest.mark.parametrize("stream", [False, True])
async def test_its_models_are_mapped_and_given_back(stream: bool) -> None:
    async with standing_in("one") as upstream, proxying(provider(upstream)) as (_, client):
        reply = await client.post("/v7/invented", json={"model": "alias", "stream": stream})

    assert {"model": "m-1", "stream": stream} == json.loads(upstream.seen[0].body)
    assert '"model": "alias"' in reply.text and '"model": "m-1"' not in reply.text


async def test_a_model_in_its_path_is_mapped() -> None:
    async with standing_in("one") as upstream, proxying(provider(upstream)) as (_, client):
        reply = await client.post("/v7/ask/alias", json={})

    assert "/v7/ask/m-1" == upstream.seen[0].path
    assert "alias" == reply.json()["model"]


async def test_it_is_refused_in_its_own_words() -> None:
    async with standing_in("one") as upstream, proxying(provider(upstream)) as (_, client):
        unserved = await client.post("/v7/invented", json={"model": "nobody's"})
        nameless = await client.post("/v7/invented", json={})
        unlisted = await client.get("/v7/names/nobody's")

    assert (418, 418) == (unserved.status_code, unserved.json()["oops"]["number"])
    assert "nobody's" in unserved.json()["oops"]["text"]
    assert (400, 400) == (nameless.status_code, nameless.json()["oops"]["number"])
    assert (404, 404) == (unlisted.status_code, unlisted.json()["oops"]["number"])


@pytest.mark.parametrize(
    ("path", "fields"),
    [("/v7/names", {}), ("/v1/models", {"x-invented": "7"}), ("/api/provider/inventor/v1/models", {})],
)
async def test_its_list_is_served(path: str, fields: dict[str, str]) -> None:
    async with standing_in("one") as upstream, proxying(provider(upstream)) as (_, client):
        listed = await client.get(path, headers=fields)
        single = await client.get("/v7/names/alias")

    assert {"count": 2, "names": [{"called": "m-1"}, {"called": "alias"}]} == listed.json()
    assert {"called": "alias"} == single.json()


async def test_the_default_list_has_its_models_too() -> None:
    async with standing_in("one") as upstream, proxying(provider(upstream)) as (_, client):
        listed = await client.get("/v1/models")

    assert ["m-1", "alias"] == [each["id"] for each in listed.json()["data"]]


async def test_a_provider_is_asked_for_its_list() -> None:
    async with (
        standing_in("one", models=("m-1",)) as upstream,
        proxying(provider(upstream, discover=True)) as (_, client),
    ):
        reply = await client.post("/v7/invented", json={"model": "alias"})

    asked = upstream.seen[0]
    assert ("/v7/names?many=1", "7") == (asked.path, asked.header("x-invented"))
    assert "alias" == reply.json()["model"]


async def test_a_provider_whose_stream_begins_with_its_error_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(model: str, words: list[str]) -> Iterator[bytes]:
        yield b'data: {"oops": {}}\n\n' if "one," in words else b'data: {"model": "%b"}\n\n' % model.encode()

    monkeypatch.setitem(FORMATS, "invented", replace(INVENTED, sample_events=failing))
    async with (
        standing_in("one") as first,
        standing_in("two") as second,
        proxying(provider(first), provider(second, "second")) as (_, client),
    ):
        reply = await client.post("/v7/invented", json={"model": "m-1", "stream": True})

    assert 'data: {"model": "m-1"}\n\n' == reply.text
    assert (1, 1) == (len(first.seen), len(second.seen))


def test_it_is_explained() -> None:
    somewhere = Provider(
        name="inventor",
        origin=Origin("http", "127.0.0.1", 1),
        endpoints=(Endpoint(protocol="invented"),),
        models=(ModelEntry(id="m-1"),),
    )
    found = compile_snapshot(Settings(providers=(somewhere,)))[0]
    plain, amps = explain_for(None, "m-1", None, found, Availability())

    for explained, segment in ((plain, None), (amps, "inventor")):
        served = [each.decision.ask for each in explained if each.decision.candidates]
        assert [("invented", segment)] == [(ask.protocol, ask.segment) for ask in served]
