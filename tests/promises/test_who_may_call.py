"""The chart of who may call what: one table, shown by ``ampmap.access``, and every combination over real sockets.

A proxy of each kind (with ``api-keys`` and without) listens on loopback, on a unix socket and, where this machine has
one, on an address that is not loopback. Where it has none, strangers are judged by the gate alone.
"""

from __future__ import annotations

import itertools
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

import kit
import pytest
from anyio.from_thread import start_blocking_portal
from samples import sampled

from ampmap import access
from ampmap.access.credentials import presented
from ampmap.access.gate import Peer, Refusal, admit
from ampmap.http.headers import Headers
from ampmap.net.listener import listen_on
from ampmap.routing.target import parse_target, route_of
from ampmap.server import Server, running
from ampmap.settings import Amp, Origin, Settings, TcpListen, UnixListen

PEERS = ("loopback", "unix socket", "another machine")
ORIGINS = ("no page", "typed address", "own page", "foreign page", "allowed page", "navigation", "fetched ahead")
HOSTS = ("loopback name", "listen address", "own host", "foreign name")
KEYS = ("none configured", "missing", "right", "wrong")
ROUTES: dict[str, tuple[str, str]] = {
    "model": ("POST", "/v1/chat/completions"),
    "model list": ("GET", "/v1/models"),
    "management": ("GET", "/auth/cli-login"),
    "status": ("GET", "/_ampmap/status"),
    "live page": ("GET", "/_ampmap/"),
    "probe": ("GET", "/_ampmap/ready"),
    "home": ("GET", "/"),
    "unknown": ("GET", "/nothing"),
    "preflight": ("OPTIONS", "/v1/chat/completions"),
}


class Case(NamedTuple):
    """Who asks, and what for."""

    peer: str
    origin: str
    host: str
    key: str
    route: str


CASES = [Case(*combination) for combination in itertools.product(PEERS, ORIGINS, HOSTS, KEYS, ROUTES)]


@dataclass(frozen=True)
class Row:
    """A row of the chart; it holds for the cases that no row above it holds for."""

    who: str
    what: str
    answer: str
    holds: Callable[[Case], bool]
    status: int


CHART = (
    Row("anyone", "`/_ampmap/health`, `/_ampmap/ready`", "served", lambda c: c.route == "probe", 200),
    Row(
        "without `api-keys`, not over a unix socket: a `Host` that is no name of this proxy (DNS rebinding)",
        "anything else",
        "421",
        lambda c: c.peer != "unix socket" and c.key == "none configured" and c.host == "foreign name",
        421,
    ),
    Row(
        "anyone, by the `Host` `ampmap.localhost`",
        "Amp's own pages, models, model lists",
        "421",
        lambda c: c.host == "own host" and c.route in ("management", "model", "model list"),
        421,
    ),
    Row("a page of another origin", "anything", "403", lambda c: c.origin == "foreign page", 403),
    Row(
        "a browser that fetches ahead what a page may lead to (`Sec-Purpose: prefetch`)",
        "anything",
        "403",
        lambda c: c.origin == "fetched ahead",
        403,
    ),
    Row(
        "a browser that comes from another site to a page as a whole",
        "anything but Amp's own pages",
        "403",
        lambda c: c.origin == "navigation" and c.route != "management",
        403,
    ),
    Row(
        "a page of `allowed-origins`",
        "`OPTIONS`, the preflight",
        "204, no key asked for",
        lambda c: c.origin == "allowed page" and c.route == "preflight",
        204,
    ),
    Row("anyone else", "`OPTIONS`", "403", lambda c: c.route == "preflight", 403),
    Row(
        "a browser, by another `Host` than `ampmap.localhost`",
        "other pages under `/_ampmap/`",
        "403",
        lambda c: c.origin != "no page" and c.host != "own host" and c.route in ("status", "live page"),
        403,
    ),
    Row(
        "a page of the proxy's own origin: Amp's pages are such",
        "models, model lists",
        "403",
        lambda c: c.origin == "own page" and c.route in ("model", "model list"),
        403,
    ),
    Row(
        "another machine",
        "Amp's own pages, other pages under `/_ampmap/`",
        "403, unless `amp-restrict-management-to-localhost: false`",
        lambda c: c.peer == "another machine" and c.route in ("management", "status", "live page"),
        403,
    ),
    Row(
        "no key, or a wrong one, where `api-keys` are set",
        "anything but the page `/_ampmap/` itself, which asks for a key",
        "401",
        lambda c: c.key in ("missing", "wrong") and c.route != "live page",
        401,
    ),
    Row(
        "anyone else (no browser, a typed address, the proxy's own page, an allowed one, a navigation to Amp's pages)",
        "a path that is no route",
        "404",
        lambda c: c.route == "unknown",
        404,
    ),
    Row("the same", "models, model lists, Amp's own pages, `/_ampmap/`, `/`", "served", lambda c: True, 200),
)
REACHES_AN_UPSTREAM = ("model", "management")
MAY_READ = b"Access-Control-Allow-Origin: https://app.example\r\n"


def row_of(case: Case) -> Row:
    return next(row for row in CHART if row.holds(case))


def chart() -> str:
    """Return the chart as the page of ``ampmap.access`` shows it."""
    rows = (f"{number:>2}. {row.who}\n    {row.what}: {row.answer}\n" for number, row in enumerate(CHART, 1))
    return "".join(rows).replace("`", "``")


def foreign_address() -> str | None:
    """Return an address of this machine that is not loopback; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = str(sock.getsockname()[0])
    return None if address.startswith("127.") or address == "0.0.0.0" else address


LAN = foreign_address()
LISTENED_ON = "proxy.test"  # a name for the loopback address that is none of the loopback names


@dataclass
class World:
    """Proxies with ``api-keys`` and without, one upstream behind both, a kept connection to each of their sockets."""

    proxies: dict[bool, Server] = field(default_factory=dict)
    upstream: kit.Scripted | None = None
    clients: dict[tuple[bool, str], socket.socket] = field(default_factory=dict)

    def asked(self) -> int:
        assert self.upstream is not None
        return sum(len(peer.seen) for peer in self.upstream.peers)

    def records(self, keyed: bool) -> int:
        return sum(self.proxies[keyed].service.journal.requests.values())


async def answer_all(peer: kit.Peer) -> None:
    while True:
        await peer.read_message()
        await peer.send(kit.OK)


def settings_for(keyed: bool, upstream: Origin, unix: str) -> Settings:
    listen: list[TcpListen | UnixListen] = [TcpListen(host=LISTENED_ON), UnixListen(path=unix)]
    return Settings(
        listen=(*listen, TcpListen(host=LAN or "192.0.2.7")),
        api_keys=("right",) if keyed else (),
        allow_open_access=True,
        allowed_origins=("https://app.example",),
        amp=Amp(origin=upstream, api_key="sgamp_key"),
        providers=(kit.provider(upstream),),
        timeouts=kit.times(),
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = World()
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        found.upstream = stack.enter_context(portal.wrap_async_context_manager(kit.scripted(answer_all)))
        for keyed in (False, True):
            unix = str(tmp_path_factory.mktemp("run") / "ampmap.sock")
            settings = settings_for(keyed, found.upstream.origin, unix)
            sockets = listen_on((TcpListen(port=0), UnixListen(path=unix)))
            if LAN is not None:
                sockets += listen_on((TcpListen(host=LAN, port=0),))
            context = running(settings, env={}, sockets=sockets)
            found.proxies[keyed] = stack.enter_context(portal.wrap_async_context_manager(context))
            for peer, sock in zip(PEERS, sockets, strict=False):
                client = stack.enter_context(socket.socket(sock.family))
                client.settimeout(kit.GUARD_S)
                client.connect(sock.getsockname())
                found.clients[keyed, peer] = client
        yield found
        for client in found.clients.values():
            client.close()


def head_of(case: Case) -> tuple[str, str, Headers]:
    """Return the method, the target and the fields of a case's request."""
    method, path = ROUTES[case.route]
    names = {"loopback name": "localhost", "own host": "ampmap.localhost", "foreign name": "rebind.example"}
    host = f"{names.get(case.host)}:8267"
    if case.host == "listen address":
        host = f"{LAN or '192.0.2.7'}:8267" if case.peer == "another machine" else f"{LISTENED_ON}:8267"
    fields = [("Host", host)]
    fields += {
        "no page": [("Sec-Fetch-Mode", "cors")],  # as Node's fetch has it
        "typed address": [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
        "own page": [("Origin", f"http://{host}"), ("Sec-Fetch-Site", "same-origin")],
        "foreign page": [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")],
        "allowed page": [("Origin", "https://app.example"), ("Sec-Fetch-Site", "cross-site")],
        "navigation": [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ],
        "fetched ahead": [
            ("Sec-Purpose", "prefetch;prerender"),
            ("Sec-Fetch-Site", "none"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ],
    }[case.origin]
    if case.key in ("right", "wrong"):
        fields.append(("Authorization", f"Bearer {case.key}"))
    return method, path, tuple((name.encode(), content.encode()) for name, content in fields)


def ask(client: socket.socket, case: Case) -> bytes:
    """Ask on a connection that is kept; return the whole answer."""
    method, path, fields = head_of(case)
    body = kit.BODY if method == "POST" else b""
    lines = b"".join(b"%b: %b\r\n" % pair for pair in fields)
    client.sendall(
        b"%b %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (method.encode(), path.encode(), lines, len(body), body)
    )
    received = b""
    while b"\r\n\r\n" not in received:
        received += (data := client.recv(65536))
        assert data, received
    head, _, rest = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    while len(rest) < (int(length[1]) if length else 0):
        rest += (data := client.recv(65536))
        assert data, received
    return head + b"\r\n\r\n" + rest


def judged(case: Case) -> int:
    """Return the answer of the gate alone, for a peer that no socket of this machine can be."""
    method, path, fields = head_of(case)
    target = parse_target(path.encode(), method.encode())
    route = route_of(target, method.encode(), False)
    settings = settings_for(case.key != "none configured", Origin("http", "127.0.0.1", 9), "/x")
    peer = Peer("192.0.2.9", False)
    answer = admit(method.encode(), target, fields, route, peer, settings, presented(fields, None))
    if isinstance(answer, Refusal):
        return answer.status
    return 204 if answer.preflight else 404 if case.route == "unknown" else 200


@pytest.mark.sample
@pytest.mark.parametrize("case", sampled(CASES, 1 / 10), ids=lambda case: ", ".join(case))
def test_every_combination_is_answered_as_the_chart_says(case: Case, world: World) -> None:
    expected = row_of(case).status
    if case.peer == "another machine" and LAN is None:
        assert expected == judged(case)
        return
    keyed = case.key != "none configured"
    asked, recorded = world.asked(), world.records(keyed)

    answer = ask(world.clients[keyed, case.peer], case)

    deadline = time.monotonic() + kit.GUARD_S
    while world.records(keyed) == recorded:  # the record is written after the answer
        assert time.monotonic() < deadline
        time.sleep(0.0002)
    record = world.proxies[keyed].service.journal.recent[-1]
    reached = expected == 200 and case.route in REACHES_AN_UPSTREAM
    assert f"HTTP/1.1 {expected} ".encode() == answer[: len("HTTP/1.1 200 ")]
    assert reached == world.asked() - asked
    assert (expected >= 400) == (record.route_type == "REJECTED")
    assert expected == record.status
    may_read = case.origin == "allowed page" and case.route != "probe" and expected != 421
    assert may_read == (MAY_READ in answer) == (b"access-control-" in answer.lower())


def test_every_row_of_the_chart_is_needed() -> None:
    assert set(CHART) == {row_of(case) for case in CASES}
    assert len(CHART) <= 14


@pytest.mark.parametrize("case", [case for case in CASES if case.peer == "another machine"][::7])
def test_the_gate_alone_says_the_same_of_another_machine(case: Case) -> None:
    assert row_of(case).status == judged(case)


def test_the_page_of_the_package_shows_the_chart() -> None:
    assert access.__doc__ is not None
    assert chart() in access.__doc__
