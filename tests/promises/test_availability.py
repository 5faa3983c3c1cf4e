"""Providers that come and go: who takes over, who returns, and that nothing is asked twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import anyio
import httpx
import pytest
from kit import closed_origin
from ports import held_port

from ampmap.commands.stand_in import standing_in
from ampmap.config.file import parse
from ampmap.server import running

PROVIDER = Path(__file__).parent.parent / "support" / "provider.py"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # not in debug mode, which would spend the load's time on itself


def start(name: str, port: int, log: Path) -> tuple[subprocess.Popen[str], str]:
    arguments = [sys.executable, str(PROVIDER), name, str(port), str(log)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def test_a_killed_provider_is_replaced_under_load_and_returns_and_no_request_is_begun_twice(
    tmp_path: Path,
) -> None:
    first, url = start("first", 0, tmp_path / "first")
    second, fallback = start("second", 0, tmp_path / "second")
    port = int(url.rpartition(":")[2])
    text = f"""
listen: 127.0.0.1:0
amp-upstream-url: ""
amp-model-mappings: [{{from: m, to: other}}]
providers:
  - {{name: first, base-url: '{url}', protocols: [openai-chat], models: [m]}}
  - {{name: second, base-url: '{fallback}', protocols: [openai-chat], models: [other]}}
"""
    answered: Counter[str] = Counter()
    broken = 0
    over = anyio.Event()
    number = 0
    async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url, timeout=30) as client:

            async def ask() -> None:
                nonlocal broken, number
                while not over.is_set():
                    await anyio.sleep(0.01)  # not to starve the processes under test
                    number += 1
                    try:
                        body = {"model": "m", "stream": True, "id": number}
                        reply = await client.post("/v1/chat/completions", json=body)
                    except httpx.RemoteProtocolError:
                        broken += 1  # in flight when the provider was killed: visibly cut
                        continue
                    if reply.status_code == 200:
                        answered["first" if "first" in reply.text else "second"] += 1
                    else:
                        broken += 1
                        assert 502 == reply.status_code, reply.text

            async def until(name: str) -> None:
                before = answered[name]
                with anyio.fail_after(100):  # a rest may have grown to half a minute on a busy machine
                    while answered[name] < before + 50:
                        await anyio.sleep(0.005)

            try:
                async with anyio.create_task_group() as group:
                    for _ in range(20):
                        group.start_soon(ask)
                    await until("first")
                    await anyio.to_thread.run_sync(stop, first)
                    with held_port(port):  # which the proxy goes on trying
                        await until("second")
                        assert "cannot connect" in proxy.service.cooldowns.current()["first"].why
                        first, _ = await anyio.to_thread.run_sync(start, "first", port, tmp_path / "first")
                    await until("first")
                    over.set()
            finally:
                stop(first)
                stop(second)

    assert broken <= 60  # the twenty in flight, those whose kept connections had just died, and the ones that tried
    for name in ("first", "second"):
        begun = (tmp_path / name).read_text().split()
        assert len(begun) == len(set(begun))
    both = set((tmp_path / "first").read_text().split()) & set((tmp_path / "second").read_text().split())
    assert set() == both


async def test_during_a_cooldown_models_are_mapped_and_the_record_and_status_say_so() -> None:
    gone = await closed_origin()
    async with standing_in("calm") as calm:
        text = f"""
listen: 127.0.0.1:0
amp-model-mappings: [{{from: m, to: n}}]
providers:
  - {{name: gone, base-url: '{gone}', protocols: [openai-chat], models: [m]}}
  - {{name: calm, base-url: '{calm.url}', protocols: [openai-chat], models: [n]}}
"""
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                first = await client.post("/v1/chat/completions", json={"model": "m"})
                second = await client.post("/v1/chat/completions", json={"model": "m"})
                status = (await client.get("/_ampmap/status")).json()

    assert (502, 200) == (first.status_code, second.status_code)
    assert "answering as n" in second.text
    assert ["cooldown", "up"] == [provider["state"] for provider in status["providers"]]
    assert "cannot connect" in status["providers"][0]["why"]


@pytest.mark.parametrize("path", ["/api/provider/openai/v1/chat/completions", "/api/provider/openai/v1/unknown"])
async def test_refused_credits_are_not_spent_by_a_cooldown_an_unknown_path_or_no_model(path: str) -> None:
    gone = await closed_origin()
    async with standing_in("amp") as amp:
        text = f"""
listen: 127.0.0.1:0
amp-upstream-url: {amp.url}
amp-credits: refuse
providers: [{{name: p, base-url: '{gone}', protocols: [openai-chat], models: [m]}}]
"""
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                replies = [await client.post(path, content=body) for body in (b'{"model": "m"}',) * 2 + (b"none", b"")]

    assert 403 in {reply.status_code for reply in replies}
    assert {403, 502} >= {reply.status_code for reply in replies}
    assert [] == amp.seen
    assert 0 == proxy.service.journal.paid


WHEN = """
listen: 127.0.0.1:0
amp-upstream-url: ""
amp-model-mappings:
  - {{from: m, to: titles, when: {{tool-choice: Set_Title}}}}
  - {{from: m, to: search, when: {{system-prefix: 'you search', provider: openai}}}}
  - {{from: m, to: headed, when: {{header: {{X-Amp-Feature: 'amp.*'}}}}}}
  - {{from: m, to: [unserved, plain]}}
providers: [{{name: p, base-url: '{url}', protocols: [openai-chat], models: [titles, search, headed, plain]}}]
"""


@pytest.mark.parametrize(
    ("body", "headers", "path", "target"),
    [
        ({"tool_choice": {"function": {"name": "set_title"}}}, {}, "/v1/chat/completions", "titles"),
        (
            {"messages": [{"role": "system", "content": " You Search the web"}]},
            {},
            "/api/provider/OpenAI/v1/chat/completions",
            "search",
        ),
        ({"messages": [{"role": "system", "content": "You search"}]}, {}, "/v1/chat/completions", "plain"),
        ({}, {"x-amp-feature": "AMP.chat"}, "/v1/chat/completions", "headed"),
        ({}, {"x-amp-feature": "other"}, "/v1/chat/completions", "plain"),
    ],
)
async def test_rules_with_conditions_are_tried_in_order_and_the_fallback_comes_last(
    body: dict[str, object], headers: dict[str, str], path: str, target: str
) -> None:
    async with standing_in("p") as stand_in:
        async with running(parse(WHEN.format(url=stand_in.url), "a.yaml", {}).settings, env={}) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                reply = await client.post(path, json={"model": "m", **body}, headers=headers)

    assert f"answering as {target}." in reply.text
    assert f"m -> {target}" == proxy.service.journal.recent[-1].mapping
