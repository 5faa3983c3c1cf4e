"""The live page in a real browser: its numbers are the status's, it is readable, quick, and shows no name as markup."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import kit
import nodejudge
import pytest

from ampmap.records.record import Record

from .chromium import Browser, Page
from .livetraffic import Traffic, a_days_work, traffic

LIVE = "document.querySelector('#link').textContent === 'live'"
ROWS = "[...document.querySelectorAll('#records tbody')].filter(each => !each.hidden)"


@asynccontextmanager
async def shown(at: Traffic, browser: Browser) -> AsyncIterator[Page]:
    """Open the page; at its end the browser has complained of nothing."""
    async with browser.page() as tab:
        await tab.looks(1440, 1000, "light")
        await tab.call("Log.enable")
        await tab.call("Runtime.enable")
        assert "" == await tab.go(at.home)
        yield tab
        complaints = ("Log.entryAdded", "Runtime.exceptionThrown")
        assert [] == [event["params"] for event in browser.events if event["method"] in complaints]


async def status_of(at: Traffic) -> Any:
    return json.loads((await kit.ask(at.proxy, kit.get(b"/_ampmap/status", b"x-api-key: key"))).body)


def number(count: int) -> str:
    return f"{count:,}"


async def test_every_number_is_the_statuss(browser: Browser) -> None:
    async with traffic() as at, shown(at, browser) as tab:
        await a_days_work(at)
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(partial(at.ask, "claude-sonnet-4-6", text="hold"))
            await tab.until("document.querySelector('#n-streams').textContent === '2'")
            status = await status_of(at)
            await tab.until(f"document.querySelector('#n-own').textContent === '{number(status['requests']['own'])}'")
            page = await tab.run("""
                const text = id => document.getElementById(id).textContent;
                const cells = (id, part = 'td') => [...document.getElementById(id).children].map(
                    row => [...row.querySelectorAll(part)].map(cell => cell.innerText.split('\\n')[0]));
                return {
                    own: text('n-own'), paid: text('n-paid'), avoided: text('n-avoided'), streams: text('n-streams'),
                    tokens: text('n-tokens-more'), rules: cells('rules').map(row => row[1]), models: cells('tokens'),
                    uncovered: cells('uncovered', 'bdi, .n, code'),
                    providers: cells('providers', 'strong, .pill, summary'),
                    running: cells('streams').length, version: text('version'), file: text('config'),
                    generation: text('reloaded'),
                }
            """)
            at.gate.set()

    counts = status["requests"]
    assert (number(counts["own"]), number(counts["paid"]), number(counts["avoided"])) == (
        page["own"], page["paid"], page["avoided"]
    )  # fmt: skip
    assert (2, "2", 2) == (status["streams"], page["streams"], page["running"])
    assert [number(rule["hits"]) for rule in status["rules"]] == page["rules"]
    into, out = (sum(each[way] for each in status["tokens"]) for way in ("input", "output"))
    assert f"{number(into)} in, {number(out)} out" == page["tokens"] and out > 0
    assert page["models"] == [
        [each["model"], number(each["requests"]), number(each["input"]), number(each["output"])]
        for each in status["tokens"]
    ]
    assert page["uncovered"] == [
        [each["model"], f"{each['requests']} request", each["paste"]] for each in status["uncovered_models"]
    ]
    states = {"up": "up", "cooldown": "in cooldown"}
    assert page["providers"] == [
        [each["name"], states[each["state"]], f"{len(each['models'])} model{'s' * (len(each['models']) != 1)}"]
        for each in status["providers"]
    ]
    assert (f"version {status['version']}", status["config"]) == (page["version"], page["file"])
    assert f"generation {status['generation']}," in page["generation"]


async def test_a_stream_is_shown_while_it_runs_and_its_record_afterwards(browser: Browser) -> None:
    async with traffic() as at, shown(at, browser) as tab, anyio.create_task_group() as group:
        group.start_soon(partial(at.ask, "claude-haiku-4-5", text="hold"))
        await tab.until("document.querySelector('#streams tr')")
        running = await tab.run("return document.querySelector('#streams tr').innerText")
        at.gate.set()
        await tab.until(f"{ROWS}.length === 1 && document.querySelector('#running').hidden")
        ended = await tab.run(f"return {ROWS}[0].innerText")

    assert "claude-haiku-4-5 → qwen3-coder:30b" in running.replace("\n", " ") and "anthropic → openai-chat" in running
    assert all(
        said in ended for said in ("claude-haiku-4-5", "qwen3-coder:30b", "anthropic → openai-chat", "200", "↑", "↓")
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
async def test_it_is_readable_in_every_size_and_light(width: int, scheme: str, browser: Browser) -> None:
    axe = (nodejudge.installed("axe-core", "4.14.1") / "axe.min.js").read_text()
    async with traffic() as at, shown(at, browser) as tab, anyio.create_task_group() as group:
        await a_days_work(at)
        group.start_soon(partial(at.ask, "claude-haiku-4-5", text="hold"))
        at.proxy.service.reload.error = f"{'/long' * 40}/config.yaml:12:5: unknown key 'provider'"
        await tab.looks(width, 900, scheme, still=True)
        await tab.go(at.home)
        await tab.until(f"{LIVE} && {ROWS}.length > 8 && document.querySelector('#streams tr')")
        await tab.run("""
            document.querySelector('#ask').hidden = false;
            document.querySelectorAll('.open')[0].click();
            for (const each of document.querySelectorAll('details')) each.open = true;
        """)
        await tab.until("document.querySelector('details li')")
        wide = await tab.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        cut = await tab.run("""
            return [...document.querySelectorAll('main *')].filter(each => !each.closest('.out') && each.offsetParent
                && each.getBoundingClientRect().right > innerWidth).map(each => each.outerHTML.slice(0, 200))
        """)
        ground = await tab.run("return getComputedStyle(document.body).backgroundColor")
        await tab.call("Page.setBypassCSP", enabled=True)
        await tab.run(f"{axe}; window.axe = axe")
        found = await tab.run("return (await axe.run()).violations.map(each => [each.id, each.nodes.map(x => x.html)])")
        at.gate.set()

    assert wide and cut == []
    assert (scheme == "dark") == (sum(map(int, ground[4:-1].split(","))) < 300)
    assert [] == found


HOSTILE = "<img src=x onerror=window.taken=1>"


async def test_names_are_shown_as_they_are_and_run_nothing(browser: Browser) -> None:
    turned = "gpt-\u202e5\u200b"
    names = (HOSTILE, f"</script>{HOSTILE}", "' onmouseover='window.taken=1", turned)
    async with traffic(models=(HOSTILE,)) as at, shown(at, browser) as tab:
        provider = at.proxy.service.snapshot.settings.providers[1]
        object.__setattr__(provider, "name", f"{HOSTILE}&amp;")
        for name in names:
            await at.ask(name, "/v1/chat/completions")
        journal = at.proxy.service.journal
        journal.write(Record(requested_model=HOSTILE, detail=HOSTILE, lost=HOSTILE, translated=HOSTILE, status=500))
        await tab.until(f"{ROWS}.length === 5 && document.querySelectorAll('#uncovered li').length === 4")
        await tab.run("""
            for (const each of document.querySelectorAll('.open')) each.click();
            for (const each of document.querySelectorAll('details')) each.open = true;
        """)
        await tab.until("document.querySelector('details li')")
        said = await tab.text()
        made = await tab.run("return [document.querySelectorAll('img, main script').length, window.taken || null]")

    assert [0, None] == made
    assert all(name in said for name in names[:3])
    assert turned not in said and "gpt-\\u202e5\\u200b" in said
    assert f"{HOSTILE}&amp;" in said


async def test_two_hundred_records_and_fifty_streams_are_shown_at_once(browser: Browser) -> None:
    async with traffic() as at, shown(at, browser) as tab:
        journal = at.proxy.service.journal

        def record(number: int) -> Record:
            return Record(
                route_type="MODEL_MAPPING", requested_model=f"model-{number}", resolved_model="qwen3-coder:30b",
                provider="ollama", source="ollama", cost="own", translated="anthropic -> openai-chat", status=200,
                path="/v1/messages", method="POST", ttfb_ms=420.0, input_tokens=2100, output_tokens=503,
            )  # fmt: skip

        for count in range(200):
            journal.write(record(count))
        for count in range(50):
            journal.begin(record(1000 + count))
        await tab.call("Performance.enable", timeDomain="threadTicks")
        await tab.go(at.home)
        await tab.until(
            "document.querySelectorAll('#streams tr').length === 50"
            " && document.querySelectorAll('#records tbody').length === 200"
        )
        first = await cpu_ms(tab)
        await tab.run("document.getElementById('more').click()")
        visible = await tab.run(f"return {ROWS}.filter(each => each.offsetParent).length")
        whole = await cpu_ms(tab)

    assert visible > 190  # the page's own requests are among the last 200
    assert first < 1000 and whole < 1500, (first, whole)


async def cpu_ms(tab: Page) -> int:
    """Return the CPU time of the page's thread so far: script, style and layout."""
    metrics = (await tab.call("Performance.getMetrics"))["metrics"]
    return next(int(each["value"] * 1e3) for each in metrics if each["name"] == "TaskDuration")


async def test_it_says_that_the_proxy_is_gone_and_comes_back_with_it(browser: Browser) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    async with traffic(port=port) as at:
        async with browser.page() as tab:
            await at.ask("claude-sonnet-4-6")
            await tab.go(at.home)
            await tab.until(f"{LIVE} && {ROWS}.length === 1")
            await at.proxy.drain(0.1)
            await tab.until("document.querySelector('#link').textContent === 'connection lost, trying again'")
            said = await tab.run("return document.querySelector('#said').textContent")
            at.proxy.listener.stop()
            async with traffic(port=port) as again:
                await again.ask("claude-opus-5")
                await tab.until(f"{LIVE} && {ROWS}.length === 1 && {ROWS}[0].innerText.includes('claude-opus-5')")
                await tab.until("document.querySelector('#n-own').textContent === '1'")
                again_said = await tab.run("return document.querySelector('#said').textContent")

    assert "connection lost, trying again" == said
    assert "ampmap was started again" == again_said


async def test_with_api_keys_it_asks_for_one_and_keeps_it_to_itself(browser: Browser) -> None:
    give = "document.querySelector('#key').value = '{}'; document.querySelector('form').requestSubmit()"
    async with traffic(api_keys=("key",)) as at, browser.page() as tab:
        await tab.go(at.home)
        await tab.until("!document.querySelector('#ask').hidden && document.activeElement.id === 'key'")
        await tab.run(give.format("wrong"))
        await tab.until("document.querySelector('#ask-why').textContent.includes('none of its keys')")
        await tab.run(give.format("key"))
        await tab.until(f"{LIVE} && document.querySelector('#ask').hidden")
        await tab.run("document.querySelector('details').open = true")
        await tab.until("document.querySelector('details li')")
        kept = await tab.run("return [localStorage.length, sessionStorage.length, document.cookie, location.href]")
        left = await tab.run("return document.querySelector('#key').value")
        await tab.go(at.home)
        await tab.until("!document.querySelector('#ask').hidden")

    assert [0, 0, "", at.home] == kept
    assert "" == left
    targets = {message.path for message in at.proxy.service.journal.recent}
    assert {"/_ampmap/", "/_ampmap/events", "/_ampmap/status"} == targets
