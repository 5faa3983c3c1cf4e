"""What a browser's request may do, by the page that caused it: the gate's table, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gates import ADMIN, ALLOWING, MANAGED, MODEL, OTHER, ROUTES, ask, status
from policy import lines

from ampmap.access.gate import Admitted, Refusal
from ampmap.settings import Settings, TcpListen

LISTED = "/v1/models/m"
MODELS = {
    "POST": (MODEL, "/api/provider/x/v1/messages", OTHER),
    "GET": ("/api/provider/x/v1/messages", OTHER, "/v1/models", LISTED),
    "OPTIONS": (),
}
OWN = {"origin": "http://ampmap.localhost:8267", "sec_fetch_site": "same-origin"}
OWN_ALLOWED = Settings(allowed_origins=("http://localhost:8267",))


@pytest.mark.parametrize(
    ("fields", "method", "expected"),
    [
        ({}, "POST", "client"),
        # Node's fetch is no browser.
        ({"sec_fetch_mode": "cors", "accept_language": "*"}, "POST", "client"),
        ({"sec_fetch_site": "none"}, "POST", "typed"),
        ({"sec_fetch_site": "none", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}, "GET", "typed"),
        # What a service worker's navigation preload brings can be read by the worker.
        ({"sec_fetch_site": "none", "service_worker_navigation_preload": "true"}, "GET", "own"),
        ({"sec_fetch_site": "none", "service_worker_navigation_preload": ""}, "GET", "own"),
        ({"sec_fetch_site": "same-origin"}, "POST", "own"),
        ({"sec_fetch_site": "same-origin"}, "GET", "own"),
        ({"sec_fetch_site": "same-origin", "sec_fetch_mode": "navigate"}, "GET", "own"),
        ({"sec_fetch_site": "same-site"}, "POST", "refused"),
        ({"sec_fetch_site": "cross-site"}, "POST", "refused"),
        ({"sec_fetch_site": "cross-site"}, "GET", "refused"),
        ({"sec_fetch_site": ""}, "POST", "refused"),
        ({"sec_fetch_site": "None"}, "POST", "refused"),
        ({"origin": "http://localhost:8267"}, "POST", "own"),
        ({"origin": "https://localhost:8267"}, "POST", "own"),
        ({"origin": "HTTP://LOCALHOST:8267"}, "POST", "own"),
        ({"origin": "http://localhost:8267", "sec_fetch_site": "same-origin"}, "POST", "own"),
        ({"origin": "http://localhost:8267", "sec_fetch_site": "cross-site"}, "POST", "refused"),
        ({"origin": "http://localhost:3000"}, "POST", "refused"),
        ({"origin": "http://localhost"}, "POST", "refused"),
        ({"origin": "http://127.0.0.1:8267"}, "POST", "refused"),
        ({"origin": "http://ampmap.localhost:8267"}, "POST", "refused"),
        ({"origin": "http://localhost:8267.evil.example"}, "POST", "refused"),
        ({"origin": "http://localhost:8267/"}, "POST", "refused"),
        ({"origin": "file://"}, "POST", "refused"),
        ({"origin": "null"}, "POST", "refused"),
        ({"origin": "null"}, "GET", "refused"),
        ({"origin": ""}, "POST", "refused"),
        ({"origin": "https://evil.example", "sec_fetch_site": "none"}, "POST", "refused"),
        ({"origin": "https://evil.example", "sec_fetch_site": "same-origin"}, "GET", "refused"),
        ({}, "OPTIONS", "refused"),
        ({"origin": "http://localhost:8267"}, "OPTIONS", "refused"),
        ({"origin": "https://evil.example"}, "OPTIONS", "refused"),
    ],
)
@pytest.mark.parametrize("path", [*ROUTES, LISTED])
@pytest.mark.parametrize("settings", [Settings(), ALLOWING, OWN_ALLOWED])
def test_same_origin_is_not_same_trust(
    fields: dict[str, str], method: str, expected: str, path: str, settings: Settings
) -> None:
    headers = [*lines(host="localhost:8267"), *lines(**fields)]
    refused_paths = {"client": (), "typed": (ADMIN,), "own": (ADMIN, *MODELS[method]), "refused": (*ROUTES, LISTED)}[
        expected
    ]

    assert (403 if path in refused_paths else 200) == status(ask(path, headers, method=method, settings=settings))


@pytest.mark.parametrize("fields", [{}, OWN, {"sec_fetch_site": "none"}, {"origin": "https://app.example"}])
@pytest.mark.parametrize("host", ["ampmap.localhost", "ampmap.localhost:8267", "AmpMap.LocalHost:80"])
@pytest.mark.parametrize("settings", [ALLOWING, replace(ALLOWING, api_keys=("k1",))])
def test_ampmaps_own_pages_have_a_host_of_their_own(host: str, fields: dict[str, str], settings: Settings) -> None:
    fields = {**fields, "origin": f"http://{host}"} if fields is OWN else fields
    headers = lines(host=host, x_api_key="k1", **fields)

    assert 200 == status(ask(ADMIN, headers, method="GET", settings=settings))
    assert 200 == status(ask("/", headers, method="GET", settings=settings))
    for method in ("POST", "GET"):
        for path in (MANAGED, *MODELS[method]):
            assert 421 == status(ask(path, headers, method=method, settings=settings))
    for path in (MANAGED, MODEL):
        assert 421 == status(ask(f"http://{host}{path}", lines(host="localhost"), settings=settings))


@pytest.mark.parametrize("host", ["localhost", "ampmap.localhost.", "x.ampmap.localhost", "ampmap", "127.0.0.1"])
@pytest.mark.parametrize("fields", [{"sec_fetch_site": "same-origin"}, {"sec_fetch_site": "none"}, OWN])
def test_no_other_host_shows_them_to_a_browser(host: str, fields: dict[str, str]) -> None:
    settings = Settings(allowed_hosts=("ampmap",))
    own = {**fields, "origin": f"http://{host}:80"} if "origin" in fields else fields

    refused = ask(ADMIN, lines(host=f"{host}:80", **own), method="GET", settings=settings)

    assert isinstance(refused, Refusal) and 403 == refused.status
    assert "http://ampmap.localhost:80/_ampmap/" in refused.message
    assert 200 == status(ask(ADMIN, lines(host=host), method="GET", settings=settings))


def test_a_page_of_another_origin_gets_nothing_from_ampmaps_own_host_either() -> None:
    for site in ("cross-site", "same-site"):
        fields = lines(host="ampmap.localhost:8267", sec_fetch_site=site, sec_fetch_mode="navigate")
        assert 403 == status(ask(ADMIN, fields, method="GET"))
        assert 403 == status(ask(ADMIN, [*fields, (b"Origin", b"http://localhost:8267")]))


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("localhost:8267", True),
        ("127.0.0.1:8267", True),
        ("[::1]:8267", True),
        ("proxy.lan:8267", False),
        ("box.test", False),
        ("192.0.2.7:8267", False),
        ("[2001:db8::1]", False),
    ],
)
@pytest.mark.parametrize("keys", [(), ("k1",)])
def test_amps_pages_are_shown_only_where_a_browser_says_who_asks(host: str, served: bool, keys: tuple[str]) -> None:
    """Browsers send ``Sec-Fetch-Site`` to trusted origins alone: a page elsewhere could read all that a client can."""
    settings = Settings(listen=(TcpListen(host="proxy.lan"),), allowed_hosts=("box.test",), api_keys=keys)
    client = lines(host=host, x_api_key="k1")
    browser = [*client, (b"Accept", b"text/html,application/xhtml+xml,*/*;q=0.8")]

    assert (200 if served else 403) == status(ask("/threads", browser, method="GET", settings=settings))
    assert 200 == status(ask("/threads", client, method="GET", settings=settings))
    assert 200 == status(ask("/threads", [*browser, *lines(sec_fetch_site="none")], method="GET", settings=settings))


def test_an_origin_given_twice_is_nobodys() -> None:
    own, allowed = b"http://localhost:8267", b"https://app.example"

    for first, second in ((own, own), (own, b"http://evil.example"), (allowed, allowed)):
        headers = [(b"Host", b"localhost:8267"), (b"Origin", first), (b"Origin", second)]
        assert 403 == status(ask(MODEL, headers, settings=ALLOWING))


@pytest.mark.parametrize("path", [MODEL, MANAGED, "/v1/models", ADMIN])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_an_allowed_origin_gets_answers_for_itself_alone(path: str, site: str) -> None:
    host = "ampmap.localhost:8267" if path == ADMIN else "localhost:8267"
    headers = lines(host=host, origin="https://app.example", sec_fetch_site=site)

    assert Admitted(origin=b"https://app.example") == ask(path, headers, settings=ALLOWING)
    assert Admitted(origin=b"https://app.example", preflight=True) == ask(
        path, headers, method="OPTIONS", settings=ALLOWING
    )
    for other in ("https://app.example.evil", "http://app.example", "https://app.example:8443", "null"):
        assert 403 == status(ask(path, lines(host="localhost", origin=other), settings=ALLOWING))


def test_an_opaque_origin_cannot_be_allowed() -> None:
    everybody = Settings(allowed_origins=("null",))

    assert 403 == status(ask(MODEL, lines(host="localhost", origin="null"), settings=everybody))


def test_an_allowed_page_still_needs_a_key_and_may_read_that_it_does() -> None:
    settings = Settings(api_keys=("k1",), allowed_origins=("https://app.example",))
    headers = lines(host="localhost", origin="https://app.example")

    refused = ask(MODEL, headers, settings=settings)

    assert isinstance(refused, Refusal)
    assert (401, b"https://app.example") == (refused.status, refused.origin)
    assert Admitted("k1", b"https://app.example") == ask(MODEL, [*headers, (b"x-api-key", b"k1")], settings=settings)
    assert Admitted(None, b"https://app.example", preflight=True) == ask(
        MODEL, headers, method="OPTIONS", settings=settings
    )


@pytest.mark.parametrize(
    ("path", "method", "fields", "allowed"),
    [
        ("/auth/cli-login", "GET", {}, True),
        ("/threads/T-1", "GET", {"sec_fetch_dest": "document"}, True),
        ("/auth/cli-login", "GET", {"sec_fetch_dest": "iframe"}, False),
        ("/auth/cli-login", "GET", {"origin": "https://evil.example"}, False),
        ("/auth/cli-login", "GET", {"origin": "null"}, False),
        ("/auth/cli-login", "POST", {}, False),
        ("/auth/cli-login", "HEAD", {}, False),
        ("/auth/cli-login", "OPTIONS", {}, False),
        ("/auth/cli-login", "GET", {"sec_fetch_mode": "no-cors"}, False),
        (MODEL, "GET", {}, False),
        ("/v1/models", "GET", {}, False),
        (ADMIN, "GET", {}, False),
        (OTHER, "GET", {}, False),
        ("/", "GET", {}, False),
    ],
)
def test_a_browser_may_come_back_to_a_management_page(
    path: str, method: str, fields: dict[str, str], allowed: bool
) -> None:
    headers = lines(**{"host": "localhost", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", **fields})

    assert (200 if allowed else 403) == status(ask(path, headers, method=method))
