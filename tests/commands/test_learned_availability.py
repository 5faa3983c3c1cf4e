"""Availability for a command line: from the proxy that runs with the same file, else from one round of asking."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import kit
import pytest
from ports import held_port

from ampmap.commands.availability import learn
from ampmap.commands.stand_in import StandIn, standing_in
from ampmap.config.file import parse
from ampmap.routing.names import forms
from ampmap.routing.snapshot import digest_of
from ampmap.server import running
from ampmap.settings import Settings, TcpListen


def settings(stand_in: StandIn, port: int, source: str = "/a.yaml", more: str = "") -> Settings:
    text = f"providers: [{{name: p, base-url: '{stand_in.url}', protocols: [openai-chat]}}]\n{more}"
    found = parse(text, "a.yaml", {}).settings
    return dataclasses.replace(found, listen=(TcpListen(port=port),), source=source)


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as port:
        yield port


async def test_a_proxy_that_runs_with_this_file_is_asked(port: int) -> None:
    async with standing_in("p", models=("m-20250101", "n")) as stand_in:
        ours = settings(stand_in, port)
        async with running(ours, env={}) as proxy:
            await proxy.service.discovery.wait_first(10)
            proxy.service.cooldowns.failed("p", "refused", 0.0)
            availability, learnt = await learn(ours, {})

    assert f"learnt from the proxy that runs at 127.0.0.1:{port}" == learnt
    assert ["p"] == list(availability.cooldowns)
    assert ("m-20250101", "n") == tuple(availability.offers["p"].name_of(forms(name)[0]) for name in ("m", "n"))


async def test_a_proxy_that_runs_with_another_file_or_a_broken_one_is_not_believed(port: int) -> None:
    async with standing_in("p", models=("n",)) as stand_in:
        async with running(settings(stand_in, port, "/other.yaml"), env={}):
            _, learnt = await learn(settings(stand_in, port), {})
        assert learnt.startswith("asked of the providers just now")
        async with running(settings(stand_in, port), env={}) as proxy:
            proxy.service.reload.error = "broken"
            _, learnt = await learn(settings(stand_in, port), {})
        assert learnt.startswith("asked of the providers just now")


async def test_without_a_proxy_each_provider_is_asked_once(port: int) -> None:
    async with standing_in("p", models=("m-20250101",)) as stand_in:
        availability, learnt = await learn(settings(stand_in, port), {})

        assert learnt.startswith("asked of the providers just now")
        assert "m-20250101" == availability.offers["p"].name_of(forms("m")[0])
        assert ["/v1/models"] == [seen.path for seen in stand_in.seen]


async def test_what_answers_at_the_address_but_is_no_proxy_is_passed_over(port: int) -> None:
    async with standing_in("p", models=("m",)) as stand_in:
        elsewhere = int(stand_in.url.rpartition(":")[2])
        _, learnt = await learn(settings(stand_in, elsewhere), {})

    assert learnt.startswith("asked of the providers just now")


async def answer_anything(peer: kit.Peer) -> None:
    while True:
        await peer.read_message()
        await peer.send(kit.OK)


async def test_no_key_is_sent_to_a_server_that_took_the_proxys_port() -> None:
    async with standing_in("p", models=("m",)) as stand_in, kit.scripted(answer_anything) as stranger:
        _, learnt = await learn(settings(stand_in, stranger.origin.port, more="api-keys: [client-key]"), {})
        assert [] == stranger.peers
        await learn(settings(stand_in, stranger.origin.port), {})

    [asked] = stranger.seen
    assert b"GET /_ampmap/health HTTP/1.1" == asked.start  # and no status, without the right digest
    assert asked.one(b"authorization") is None
    assert learnt.startswith("asked of the providers just now")


@pytest.mark.parametrize(
    "more", ["amp-credits: refuse", "amp-model-mappings: [{from: a, to: b}]", "amp-upstream-url: ''"]
)
async def test_a_proxy_with_the_same_file_as_it_was_before_an_edit_is_not_believed(port: int, more: str) -> None:
    async with standing_in("p", models=("n",)) as stand_in, running(settings(stand_in, port), env={}):
        _, learnt = await learn(settings(stand_in, port, more=more), {})

    assert learnt.startswith("asked of the providers just now")


def test_the_digest_is_of_what_decides_and_of_no_secret() -> None:
    text = "api-keys: [{0}]\namp-upstream-api-key: {0}\nproviders: [{{name: p, base-url: 'http://127.0.0.1:1/{0}', " + (
        "protocols: [openai-chat], api-key: {0}, models: [m]}}]"
    )
    one, two = (parse(text.format(secret), "a.yaml", {}).settings for secret in ("secret-one", "secret-two"))
    other = dataclasses.replace(one, providers=(dataclasses.replace(one.providers[0], discover=True),))

    assert digest_of(one) == digest_of(two) != digest_of(other)
    assert digest_of(one) == digest_of(dataclasses.replace(one, listen=(TcpListen(port=1),)))
