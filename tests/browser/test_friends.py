"""What must still work in a browser: a login that comes back, an allowed page, the proxy's own pages."""

from __future__ import annotations

import json

import anyio
import kit
import pytest

from .attempts import PRELUDE
from .chromium import Browser
from .sites import SECRET, page, world

APP, KEY = "http://app.example:{site}", "a-key"


@pytest.mark.parametrize("way", ["redirect", "link"])
async def test_a_login_that_comes_back_reaches_amp(way: str, browser: Browser) -> None:
    async with world() as at:
        back = f"{at.proxy.url}/auth/cli-login?code=1"
        url = f"{at.at('login.example')}/redirect/302?{back}" if way == "redirect" else back
        async with browser.page() as tab:
            await tab.go(f"{at.at('login.example')}/")
            await tab.go_by(
                f"const link = document.createElement('a'); link.href = {json.dumps(url)};"
                "document.body.append(link); link.click();"
            )
            shown = await tab.text()

    [record] = at.records
    assert SECRET.decode() == shown
    assert ("MANAGEMENT", "ok", 200) == (record.route_type, record.outcome, record.status)
    assert [b"GET /auth/cli-login?code=1 HTTP/1.1"] == at.reached
    [seen] = at.amp.seen
    assert b"cross-site" == seen.one(b"sec-fetch-site")


@pytest.mark.parametrize("path", ["/", "/_ampmap/status", "/_ampmap/health", "/v1/models", "/threads/T-1"])
async def test_a_typed_address_is_answered(path: str, browser: Browser) -> None:
    async with world() as at:
        async with browser.page() as tab:
            went = await tab.go((at.home if path == "/_ampmap/status" else at.proxy.url) + path)
            shown = await tab.text()

    [record] = at.records
    said = {
        "/": "This is ampmap",
        "/_ampmap/status": '"uptime_s"',
        "/_ampmap/health": "ok",
        "/v1/models": '"m"',
        "/threads/T-1": SECRET.decode(),
    }
    assert "" == went
    assert said[path] in shown
    assert (200, "ok") == (record.status, record.outcome)


async def test_ampmaps_own_page_may_read_ampmaps_own_pages(browser: Browser) -> None:
    async with world() as at:
        async with browser.page() as tab:
            await tab.go(f"{at.home}/_ampmap/status")
            status = await tab.run("return (await fetch('/_ampmap/status')).json()")
            requests = await tab.run("return (await fetch('requests')).json()")

    assert ["provider"] == [provider["name"] for provider in status["providers"]]
    assert "/_ampmap/status" in [request["path"] for request in requests["requests"]]


async def test_ampmaps_own_page_reads_them_with_a_key_in_a_field(browser: Browser) -> None:
    async with world(api_keys=(KEY,)) as at:
        async with browser.page() as tab:
            await tab.go(f"{at.home}/")
            asked = "return (await fetch('/_ampmap/status', {headers: {'x-api-key': KEY}})).status"
            statuses = [await tab.run(f"const KEY = '{key}'; {asked}") for key in (KEY, "another")]

    assert [200, 401] == statuses


async def test_an_allowed_page_reads_a_stream_and_no_other_page_does(browser: Browser) -> None:
    more = anyio.Event()

    async def stream(peer: kit.Peer) -> None:
        await peer.read_message()
        await peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'f\r\ndata: "first"\n\n\r\n'
        )
        await more.wait()
        await peer.send(b'10\r\ndata: "second"\n\n\r\n0\r\n\r\n')

    ask = """
        const fields = {'content-type': 'application/json', 'x-api-key': KEY};
        const sent = {method: 'POST', headers: fields, body};
        const answer = await fetch(P + '/v1/chat/completions', sent).catch(() => null);
        if (!answer) return null;
        if (!answer.ok) return [answer.status, await answer.text()];
        window.reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        return (await reader.read()).value;
    """
    async with world(api_keys=(KEY,), origins=(APP,), script=stream) as at:
        start = f"const P = {json.dumps(at.proxy.url)};{PRELUDE}"
        async with browser.page() as app:
            await app.go(f"{at.at('app.example')}/")
            refused = await app.run(f"{start} const KEY = 'another'; {ask}")
            first = await app.run(f"{start} const KEY = {json.dumps(KEY)}; {ask}")
            more.set()
            rest = await app.run("let s = '', x; while (!(x = await reader.read()).done) s += x.value; return s")
            fields = f"{{headers: {{'x-api-key': '{KEY}'}}}}"
            status = await app.run(f"{start} return read(fetch({json.dumps(at.home)} + '/_ampmap/status', {fields}))")
        async with browser.page() as other:
            await other.go(f"{at.at('app.example.evil.example')}/")
            nothing = await other.run(f"{start} const KEY = {json.dumps(KEY)}; {ask}")
        await at.recorded(6)

    assert (401, True) == (refused[0], "Invalid API key" in refused[1])
    assert ('data: "first"\n\n', 'data: "second"\n\n') == (first, rest)
    assert ("cors", 200) == tuple(status[:2])
    assert nothing is None
    assert ["OPTIONS 204", "POST 401", "POST 200", "OPTIONS 204", "GET 200", "OPTIONS 403"] == [
        f"{record.method} {record.status}" for record in at.records
    ]
    assert [b"POST /v1/chat/completions HTTP/1.1"] == at.reached


async def test_what_a_browser_keeps_for_the_proxys_host_reaches_no_provider(browser: Browser) -> None:
    """Cookies know no ports: a page of another port sends those that Amp's page has set."""
    async with world(origins=("http://127.0.0.1:{site}",), script=answering_with_a_cookie) as at:
        async with browser.page() as tab:
            await tab.go(f"{at.proxy.url}/threads")
            await tab.go(f"{at.at('127.0.0.1')}/")
            sent = "{method: 'POST', mode: 'no-cors', credentials: 'include', body: '{\"model\":\"m\"}'}"
            await tab.run(f"await fetch({json.dumps(at.proxy.url)} + '/v1/messages', {sent})")

    assert [None] == [message.one(b"cookie") for message in at.provider.seen]
    assert [None] == [message.one(b"origin") for message in at.provider.seen]


async def answering_with_a_cookie(peer: kit.Peer) -> None:
    while True:
        await peer.read_message()
        await peer.send(page(SECRET, b"text/html", b"Set-Cookie: session=planted; Path=/"))
