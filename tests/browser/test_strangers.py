"""No page of another origin reaches a provider or Amp through a running ampmap, and none learns anything."""

from __future__ import annotations

import pytest

from ampmap.net.listener import listen_on
from ampmap.settings import TcpListen

from .attempts import AHEAD, ATTEMPTS, POST, PREFLIGHT, REBOUND, Attempt
from .chromium import Browser
from .sites import SECRET, World, serving_first, world

# Another site by a name of its own, and another port of this machine, which browsers call the same site.
NAMES = {"another site": "evil.example", "another port": "127.0.0.1"}


def assert_all_refused(at: World) -> None:
    assert [] == at.reached
    for record in at.records:
        assert ("REJECTED", "rejected") == (record.route_type, record.outcome), record
        assert record.status in (401, 403, 421), record


@pytest.mark.parametrize("where", NAMES)
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
async def test_a_page_of_another_origin_gets_nothing(attempt: Attempt, where: str, browser: Browser) -> None:
    async with world() as at:
        origin = at.at(NAMES[where])
        async with browser.page() as page:
            went = await page.go(f"{origin}/")
            learnt = await page.run(attempt.source(at.proxy.url, origin))
            await at.recorded(len(attempt.comes))
            shown = await page.text()

    assert ("", None) == (went, learnt)
    assert list(attempt.comes) == [record.method for record in at.records]
    assert {403} >= {record.status for record in at.records}
    assert SECRET.decode() not in shown
    assert_all_refused(at)


@pytest.mark.parametrize("where", NAMES)
@pytest.mark.parametrize("attempt", AHEAD, ids=lambda attempt: attempt.name)
async def test_what_a_page_has_fetched_ahead_is_refused(attempt: Attempt, where: str, browser: Browser) -> None:
    """A browser says of such a request that its user made it: ``Sec-Fetch-Site: none``."""
    async with world() as at:
        origin = at.at(NAMES[where])
        async with browser.page() as page:
            await page.go(f"{origin}/")
            await page.run(attempt.source(at.proxy.url, origin))
            await at.recorded(1)

    assert ["GET"] == [record.method for record in at.records]
    assert_all_refused(at)


@pytest.mark.parametrize(
    "attempt",
    [
        Attempt("fetch", "return read(fetch(E + '/redirect/302?' + amp))"),
        Attempt("post", "return read(fetch(E + '/redirect/307?' + model, {method: 'POST', body}))", POST),
        Attempt("post no-cors", """
            return read(fetch(E + '/redirect/308?' + model, {method: 'POST', mode: 'no-cors', body}))
        """, POST),
        Attempt("form", "return form(E + '/redirect/307?' + model, {enctype: 'text/plain'})", POST),
        Attempt("image", "return image({src: E + '/redirect/302?' + amp})"),
        Attempt("window", "open(E + '/redirect/302?' + P + '/v1/models'); return null"),
    ],
    ids=lambda attempt: attempt.name,
)  # fmt: skip
async def test_an_allowed_page_that_leads_on_lends_its_name_to_nobody(attempt: Attempt, browser: Browser) -> None:
    """A stranger goes by way of an allowed origin that redirects to wherever one likes."""
    async with world(origins=("http://app.example:{site}",)) as at:
        async with browser.page() as page:
            await page.go(f"{at.at('evil.example')}/")
            learnt = await page.run(attempt.source(at.proxy.url, at.at("app.example")))
            await at.recorded(len(attempt.comes))

    assert learnt is None
    assert list(attempt.comes) == [record.method for record in at.records]
    assert_all_refused(at)


@pytest.mark.parametrize(
    "name",
    ["fetch", "post text no-cors", "form as text", "image of Amp's", "frame of Amp's", "beacon", "WebSocket to Amp"],
)
async def test_a_stranger_gets_nothing_by_ipv6_either(name: str, browser: Browser) -> None:
    [sock] = listen_on((TcpListen(host="::1", port=0),))
    attempt = next(each for each in ATTEMPTS if each.name == name)
    async with world(sockets=[sock]) as at:
        async with browser.page() as page:
            await page.go(f"{at.at('evil.example')}/")
            learnt = await page.run(attempt.source(at.proxy.url, at.at("evil.example")))
            await at.recorded(len(attempt.comes))

    assert "[::1]" in at.proxy.url
    assert learnt is None
    assert list(attempt.comes) == [record.method for record in at.records]
    assert_all_refused(at)


@pytest.mark.parametrize("path", ["/_ampmap/status", "/api/internal", "/v1/chat/completions"])
async def test_the_address_of_every_interface_is_not_this_proxys(path: str, browser: Browser) -> None:
    """0.0.0.0 leads to the loopback, too, and browsers, which don't trust it, don't say where a page is from."""
    async with world() as at:
        url = at.proxy.url.replace("127.0.0.1", "0.0.0.0") + path
        async with browser.page() as page:
            await page.go(f"{at.at('evil.example')}/")
            attempt = Attempt("", f"await put('img', {{src: '{url}'}}); await put('script', {{src: '{url}'}}); "
                              f"return read(fetch('{url}', {{mode: 'no-cors', method: 'POST', body}}))")  # fmt: skip
            learnt = await page.run(attempt.source(at.proxy.url, at.at("evil.example")))

    assert learnt is None
    assert_all_refused(at)


async def test_a_service_worker_gets_nothing(browser: Browser) -> None:
    attempt = Attempt(
        "service worker",
        """
        await navigator.serviceWorker.register('/sw.js');
        const worker = (await navigator.serviceWorker.ready).active, channel = new MessageChannel();
        const answer = new Promise(resolve => channel.port1.onmessage = event => resolve(event.data));
        worker.postMessage([model, {method: 'POST', body}], [channel.port2]);
        return answer;
        """,
    )
    async with world() as at:
        origin = at.at("127.0.0.1")  # such workers need a host that browsers trust
        async with browser.page() as page:
            await page.go(f"{origin}/")
            learnt = await page.run(attempt.source(at.proxy.url, origin))
            await at.recorded(1)

    assert learnt is None
    assert list(POST) == [record.method for record in at.records]
    assert_all_refused(at)


@pytest.mark.parametrize("permitted", [False, True])
async def test_a_page_of_the_internet_may_not_look_into_this_machine(permitted: bool, browser: Browser) -> None:
    """Browsers ask their user before such a page may; that a user said yes makes it no friend of the proxy's."""
    async with world() as at:
        origin = at.at("127.0.0.1")
        if permitted:
            await browser.permit(origin, "loopbackNetwork", "localNetworkAccess")
        async with browser.page() as page:
            await page.go(f"{origin}/public")
            learnt = await page.run(ATTEMPTS[0].source(at.proxy.url, origin))
            await at.recorded(int(permitted))

    assert learnt is None
    assert ["GET"] * permitted == [record.method for record in at.records]
    assert_all_refused(at)


@pytest.mark.parametrize("keys", [(), ("a-key",)], ids=["open", "with keys"])
@pytest.mark.parametrize("attempt", REBOUND, ids=lambda attempt: attempt.name)
async def test_a_name_that_was_rebound_gets_refusals(attempt: Attempt, keys: tuple[str, ...], browser: Browser) -> None:
    """The name and the port led to a stranger, who served a page, and lead to ampmap now: to the browser it is one."""
    [sock] = listen_on((TcpListen(port=0),))
    origin = f"http://rebind.example:{sock.getsockname()[1]}"
    async with browser.page() as page:
        async with serving_first(sock):
            went = await page.go(f"{origin}/")
        async with world(api_keys=keys, sockets=[sock]) as at:
            shown = await page.run(attempt.source(origin, origin))
            await at.recorded(1)

    assert "" == went
    status, said = 421, "this proxy is not rebind.example"
    if keys:
        refusals: dict[tuple[str, ...], tuple[int, str]] = {
            POST: (403, "own address may not use models"),  # it names its origin
            PREFLIGHT: (403, "OPTIONS is answered for web pages alone"),
        }
        status, said = refusals.get(attempt.comes, (401, "Missing API key"))
    assert 1 <= len(at.records) <= 2  # Chromium asks once more after a 421, on another connection
    assert {status} == {record.status for record in at.records}
    assert set(attempt.comes) == {record.method for record in at.records}
    assert shown is None or said in str(shown)
    assert SECRET.decode() not in str(shown)
    assert_all_refused(at)


@pytest.mark.parametrize("path", ["/", "/_ampmap/status", "/v1/models", "/auth/cli-login"])
async def test_a_rebound_name_that_is_gone_to_shows_a_refusal(path: str, browser: Browser) -> None:
    async with world() as at:
        async with browser.page() as page:
            await page.go(f"http://rebind.example:{at.port}{path}")
            shown = await page.text()

    assert "this proxy is not rebind.example" in shown
    assert {421} == {record.status for record in at.records}
    assert_all_refused(at)
