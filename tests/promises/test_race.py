"""What happens between two moments: lists that come late, reloads while things are under way, providers that return."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from kit import GUARD_S, closed_origin

from ampmap.commands.stand_in import standing_in
from ampmap.config import file as configfile
from ampmap.config.file import parse
from ampmap.proxy.discovery import Discovery
from ampmap.proxy.reload import Source
from ampmap.server import running


async def hold(stream: SocketStream) -> None:
    """An upstream that accepts and never answers."""
    async with stream:
        await anyio.sleep_forever()


async def test_a_provider_whose_list_hangs_holds_up_nobody_else() -> None:
    silent = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners[0]
    async with silent, standing_in("b", models=("m",)) as stand_in, anyio.create_task_group() as group:
        group.start_soon(silent.serve, hold)
        text = f"""
listen: 127.0.0.1:0
timeouts: {{connect-s: 60}}
providers:
  - {{name: a, base-url: 'http://127.0.0.1:{silent.extra(SocketAttribute.local_port)}', protocols: [gemini]}}
  - {{name: b, base-url: '{stand_in.url}', protocols: [gemini]}}
"""
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                with anyio.fail_after(GUARD_S):
                    reply = await client.post("/v1beta/models/m:generateContent", json={})
        group.cancel_scope.cancel()

    assert 200 == reply.status_code


@pytest.mark.parametrize("token", ["5", '"\\ud800"', "{}", "[]", "true"])
async def test_an_odd_list_ends_nothing(token: str) -> None:
    body = b'{"models": [], "nextPageToken": %b}' % token.encode()

    async def answer(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    odd = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners[0]
    async with odd, anyio.create_task_group() as group:
        group.start_soon(odd.serve, answer)
        url = f"http://127.0.0.1:{odd.extra(SocketAttribute.local_port)}"
        text = f"listen: 127.0.0.1:0\nproviders: [{{name: a, base-url: '{url}', protocols: [gemini]}}]"
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                with anyio.fail_after(GUARD_S):
                    await proxy.service.discovery.wait_first(9)
                assert 200 == (await client.get("/_ampmap/ready")).status_code
        group.cancel_scope.cancel()


async def test_a_bug_in_asking_costs_one_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing_in("p", models=("m",)) as stand_in:
        text = f"listen: 127.0.0.1:0\nproviders: [{{name: p, base-url: '{stand_in.url}', protocols: [gemini]}}]"
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            discovery: Discovery = proxy.service.discovery
            await discovery.wait_first(10)
            monkeypatch.setattr("ampmap.proxy.discovery.offer_of", lambda *_: 1 / 0)
            await discovery.round()
            offer = proxy.service.availability().offers["p"]

    assert frozenset({"m"}) == offer.models
    assert "a bug in ampmap; see its log" == offer.error
    assert "ZeroDivisionError" in caplog.text


async def test_a_model_is_looked_up_when_its_body_is_there_not_when_its_head_came() -> None:
    async with standing_in("p", models=("m",)) as stand_in:
        text = f"listen: 127.0.0.1:0\nproviders: [{{name: p, base-url: '{stand_in.url}', protocols: [anthropic]}}]"
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            host, _, port = proxy.url.removeprefix("http://").partition(":")
            async with await anyio.connect_tcp(host, int(port)) as client:
                await client.send(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n")
                await proxy.service.discovery.wait_first(10)
                await anyio.wait_all_tasks_blocked()
                await client.send(b'{"model":"m"}')
                with anyio.fail_after(GUARD_S):
                    assert b" 200 " in await client.receive()


async def test_a_provider_is_up_once_it_is_reached_however_long_it_thinks() -> None:
    answer_now = anyio.Event()
    asked = anyio.Event()

    async def think(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            asked.set()
            await answer_now.wait()
            await stream.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")

    slow = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners[0]
    async with slow, anyio.create_task_group() as group:
        group.start_soon(slow.serve, think)
        url = f"http://127.0.0.1:{slow.extra(SocketAttribute.local_port)}"
        text = f"listen: 127.0.0.1:0\nproviders: [{{name: p, base-url: '{url}', protocols: [anthropic], models: [m]}}]"
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            cooldowns = proxy.service.cooldowns
            cooldowns.failed("p", "refused", 0.0)
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                group.start_soon(partial(client.post, "/v1/messages", json={"model": "m"}))
                with anyio.fail_after(GUARD_S):
                    await asked.wait()
                assert {} == cooldowns.current()
                answer_now.set()
                assert 200 == (await client.post("/v1/messages", json={"model": "m"})).status_code
        group.cancel_scope.cancel()


async def saved(path: Path, text: str, source: Source, settled: str, proxy_url: str) -> dict[str, object]:
    """Save ``text`` and wait until the status says that it was read."""
    path.write_text(text)
    async with httpx.AsyncClient(base_url=proxy_url, headers={"x-api-key": "k"}) as client:
        with anyio.fail_after(GUARD_S):
            while True:
                status = (await client.get("/_ampmap/status")).json()
                if settled in json.dumps(status):
                    return dict(status)
                await anyio.sleep(0.01)


async def test_no_reload_opens_a_proxy_that_strangers_can_reach(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("listen: 0.0.0.0:0\napi-keys: [k]\nproviders: []\n")
    loaded = configfile.load(path, {})
    source = Source(path, partial(configfile.load, path, {}), loaded.files)
    async with running(loaded.settings, env={}, source=source) as proxy:
        url = proxy.url.replace("0.0.0.0", "127.0.0.1")
        status = await saved(path, "listen: 127.0.0.1:0\nproviders: []\n", source, "until it is restarted", url)
        assert 1 == status["generation"]
        async with httpx.AsyncClient(base_url=url) as client:
            assert 401 == (await client.get("/")).status_code

        status = await saved(
            path, "listen: 127.0.0.1:1\napi-keys: [k]\nproviders: []\n", source, '"generation": 2', url
        )
        assert "0.0.0.0" == proxy.service.snapshot.settings.listen[0].host  # type: ignore[union-attr]


async def test_a_corrected_address_is_asked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    gone = await closed_origin()
    async with standing_in("p") as stand_in:
        text = "listen: 127.0.0.1:0\nproviders: [{name: p, base-url: '%s', protocols: [anthropic], models: [m]}]\n"
        path.write_text(text % str(gone))
        loaded = configfile.load(path, {})
        source = Source(path, partial(configfile.load, path, {}), loaded.files)
        async with running(loaded.settings, env={}, source=source) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                assert 502 == (await client.post("/v1/messages", json={"model": "m"})).status_code
                await saved(path, text % stand_in.url, source, '"generation": 2', proxy.url)
                assert 200 == (await client.post("/v1/messages", json={"model": "m"})).status_code


async def test_two_targets_behind_one_closed_door_are_one_attempt() -> None:
    gone = await closed_origin()
    text = f"""
listen: 127.0.0.1:0
amp-model-mappings: [{{from: a, to: [m1, m2, m3]}}]
providers: [{{name: p, base-url: '{gone}', protocols: [anthropic], models: [m1, m2, m3]}}]
"""
    async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url) as client:
            reply = await client.post("/v1/messages", json={"model": "a"})

    assert 502 == reply.status_code
    assert 1 == proxy.service.cooldowns.begun["p"]
