"""Amp's pages pass through the proxy and have its origin; their scripts reach no provider and none of ampmap's pages.

The stranger leads the browser to a page of Amp's, as a link does; what the page's script tries comes as same-origin.
"""

from __future__ import annotations

import json

import kit
import pytest

from .attempts import POST, REBOUND, Attempt
from .chromium import Browser, Page
from .sites import PAGE, SECRET, World, page, world

STATUS = "uptime_s"
AMP = ("fetch a management page", "put", "worker", "WebSocket to Amp", "OPTIONS")  # these concern Amp's server
ATTEMPTS = (
    *(attempt for attempt in REBOUND if attempt.name not in AMP),
    Attempt("fetch a model", "return read(fetch(P + '/v1/models/m'))"),
    Attempt("fetch Amp's model list", "return read(fetch(P + '/api/provider/openai/v1/models'))"),
    Attempt("post to Amp's model route", """
        return read(fetch(P + '/api/provider/openai/v1/chat/completions', {method: 'POST', body}))
    """, POST),
    Attempt("post to what is Amp's beside the models", """
        return read(fetch(P + '/api/provider/x/y', {method: 'POST', body}))
    """, POST),
    Attempt("fetch no-cors", "return read(fetch(status, {mode: 'no-cors', referrerPolicy: 'no-referrer'}))"),
    Attempt("fetch the requests", "return read(fetch(P + '/_ampmap/requests'))"),
    Attempt("fetch the metrics", "return read(fetch(P + '/_ampmap/metrics'))"),
    Attempt("XHR of the status", "return xhr('GET', status, {})"),
    Attempt("window with the status", """
        const other = open(status);
        await new Promise(resolve => other.onload = resolve);
        return other.document.body.innerText
    """),
    Attempt("window with the model list", """
        const other = open(P + '/v1/models');
        await new Promise(resolve => other.onload = resolve);
        return other.document.body.innerText
    """),
    Attempt("worker that posts", """
        return new Promise(resolve => {
            const url = URL.createObjectURL(new Blob([`fetch('${model}', {method: 'POST', body: '${body}'}).then(
                a => a.text()).then(text => postMessage(text), () => postMessage(null))`]));
            new Worker(url).onmessage = event => resolve(event.data);
        })
    """, POST),
    Attempt("fetch of ampmap's own host", "return read(fetch(HOME + '/_ampmap/status'))"),
    Attempt("fetch of ampmap's own host, no-cors", "return read(fetch(HOME + '/_ampmap/status', {mode: 'no-cors'}))"),
    Attempt("event source of ampmap's own host", "return source(HOME + '/_ampmap/events')"),
    Attempt("frame of the live page", "return inside(await put('iframe', {src: HOME + '/_ampmap/'}))"),
    Attempt("events", "return source(P + '/_ampmap/events')"),
    Attempt("frame of ampmap's own host", "return inside(await put('iframe', {src: HOME + '/_ampmap/status'}))"),
    Attempt("window of ampmap's own host", "return opened(HOME + '/_ampmap/status')"),
    Attempt("model by ampmap's own host", """
        return read(fetch(HOME + '/v1/chat/completions', {method: 'POST', mode: 'no-cors', body}))
    """, POST),
    Attempt("model by another loopback name", """
        return read(fetch(model.replace('127.0.0.1', 'localhost'), {method: 'POST', mode: 'no-cors', body}))
    """, POST),
)  # fmt: skip

# Amp's server may give its worker any scope. It passes on each address that a user types, by itself or by preload, and
# keeps what it reads.
WORKER = b"""
let seen = [];
addEventListener('install', () => skipWaiting());
addEventListener('activate', event => event.waitUntil((async () => {
    if (location.search === '?preload') await registration.navigationPreload.enable();
    await clients.claim();
})()));
addEventListener('fetch', event => {
    if (event.request.mode === 'navigate') event.respondWith((async () => {
        const answer = await event.preloadResponse || await fetch(event.request);
        seen.push(await answer.clone().text());
        return answer;
    })());
});
onmessage = async ({data: urls, ports: [port]}) => {
    for (const [url, options] of urls)
        try { seen.push(await (await fetch(url, options)).text()); } catch (error) { seen.push(String(error)); }
    port.postMessage(seen);
};
"""
REGISTER = """
    await navigator.serviceWorker.register('/threads/sw.js' + QUERY, {scope: '/'});
    await navigator.serviceWorker.ready;
    while (!navigator.serviceWorker.controller) await new Promise(resolve => setTimeout(resolve, 5));
"""
TOLD = """
    return new Promise(resolve => {
        const {port1, port2} = new MessageChannel();
        port1.onmessage = event => resolve(event.data);
        navigator.serviceWorker.controller.postMessage(URLS, [port2]);
    })
"""


async def amps_pages(peer: kit.Peer) -> None:
    while True:
        target = (await peer.read_message()).start.split(b" ")[1]
        if target.startswith(b"/threads/sw.js"):
            await peer.send(page(WORKER, b"text/javascript", b"Service-Worker-Allowed: /"))
        else:
            await peer.send(page(PAGE, b"text/html", b"Content-Security-Policy: script-src * 'unsafe-inline' blob:"))


async def led(tab: Page, at: World) -> None:
    """Go to a stranger's page, and by its script to a page of Amp's."""
    await tab.go(f"{at.at('evil.example')}/")
    await tab.go_by(f"location = {json.dumps(f'{at.proxy.url}/threads/T-1')}")


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
async def test_a_page_of_amps_gets_nothing_but_amps(attempt: Attempt, browser: Browser) -> None:
    async with world(amp_script=amps_pages) as at:
        async with browser.page() as tab:
            await led(tab, at)
            origin = await tab.run("return location.origin")
            script = attempt.source(at.proxy.url, origin)
            learnt = await tab.run(f"const HOME = {json.dumps(at.home)}; {script}")
            await at.recorded(1 + len(attempt.comes))

    led_by, *tried = at.records
    assert at.proxy.url == origin
    assert ("MANAGEMENT", 200) == (led_by.route_type, led_by.status)
    assert set(attempt.comes) == {record.method for record in tried}
    assert {("REJECTED", "rejected")} == {(record.route_type, record.outcome) for record in tried}
    assert {403, 404, 421} > {record.status for record in tried}
    assert [b"GET /threads/T-1 HTTP/1.1"] == at.reached
    assert STATUS not in str(learnt) and SECRET.decode() not in str(learnt) and '"m"' not in str(learnt)


async def test_a_page_of_amps_may_call_amps_own_server(browser: Browser) -> None:
    async with world(amp_script=amps_pages) as at:
        async with browser.page() as tab:
            await led(tab, at)
            status = await tab.run("return (await fetch('/api/internal?x', {method: 'POST', body: '{}'})).status")

    assert 200 == status
    assert b"POST /api/internal?x HTTP/1.1" in at.reached


@pytest.mark.parametrize("query", ["", "?preload"])
async def test_a_service_worker_of_amps_reads_nothing(query: str, browser: Browser) -> None:
    async with world(amp_script=amps_pages) as at:
        body = '{"model":"m","messages":[]}'
        urls = [
            [f"{at.proxy.url}/v1/chat/completions", {"method": "POST", "body": body}],
            [f"{at.proxy.url}/v1/models", {}],
            [f"{at.proxy.url}/_ampmap/status", {}],
            [f"{at.home}/_ampmap/status", {}],
        ]
        async with browser.page() as tab:
            await led(tab, at)
            await tab.run(f"const QUERY = {json.dumps(query)}; {REGISTER}")
            await tab.go(f"{at.proxy.url}/v1/models")
            await tab.go(f"{at.proxy.url}/_ampmap/status")
            await tab.go(f"{at.proxy.url}/threads/T-2")
            seen = await tab.run(f"const URLS = {json.dumps(urls)}; {TOLD}")
        async with browser.page() as tab:
            await tab.go(f"{at.home}/_ampmap/status")
            shown = await tab.text()

    assert 3 + len(urls) == len(seen)
    assert 2 == sum("403" in each or "own address" in each or "own pages" in each for each in seen[:2])
    assert not [each for each in seen if STATUS in each or SECRET.decode() in each or '"m"' in each]
    assert at.provider.seen == []
    assert STATUS in shown  # where no worker of Amp's can be


@pytest.mark.parametrize("path", ["/threads/T-1", "/v1/models", "/api/internal"])
async def test_ampmaps_own_host_has_none_of_amps_pages(path: str, browser: Browser) -> None:
    async with world() as at:
        async with browser.page() as tab:
            await tab.go(at.home + path)
            shown = await tab.text()

    assert "ampmap.localhost has ampmap's own pages only" in shown
    assert {421} == {record.status for record in at.records}
    assert [] == at.reached


@pytest.mark.parametrize(
    ("host", "status"), [("[::ffff:127.0.0.1]", 421), ("0.0.0.0", 421), ("proxy.lan", 403), ("rebind.example", 421)]
)
@pytest.mark.parametrize("path", ["/threads/T-1", "/auth/cli-login"])
async def test_amps_pages_are_not_where_a_browser_does_not_say_who_asks(
    host: str, status: int, path: str, browser: Browser
) -> None:
    """Chromium sends no ``Sec-Fetch-Site`` there, and all of them lead to this machine's loopback."""
    async with world(amp_script=amps_pages, hosts=("proxy.lan",)) as at:
        async with browser.page() as tab:
            await tab.go(f"{at.at('evil.example')}/")
            url = f"http://{host}:{at.port}{path}"
            await tab.go_by(f"location = {json.dumps(url)}")
            learnt = await tab.run("return (await fetch('/api/internal')).text().catch(() => null)")

    assert {status} == {record.status for record in at.records if record.path == path}
    assert SECRET.decode() not in str(learnt)
    assert not [line for line in at.reached if path.encode() in line]
