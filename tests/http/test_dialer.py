"""Connections made: certificates that must prove the host, proxies of the environment, and words for what failed."""

from __future__ import annotations

import base64
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.lowlevel import checkpoint
from anyio.streams.tls import TLSAttribute, TLSStream
from kit import OK, Peer, Script, answering, ask, closed_origin, get, post, provider, proxying, scripted, server_tls

from ampmap.errors import DialFailed
from ampmap.http.dialer import Dialler, Proxy
from ampmap.settings import Hop, Limits, Origin

pytestmark = pytest.mark.usefixtures("nothing_left")

LOGIN = b"Basic " + base64.b64encode(b"user name:p@ss")


def new_dialler(env: dict[str, str] | None = None, connect_s: float = 5.0) -> Dialler:
    return Dialler(env or {}, Limits(), connect_s)


async def failure(hop: Hop, dialler: Dialler | None = None) -> str:
    """Return the words for a dial that fails."""
    with anyio.fail_after(5), pytest.raises(DialFailed) as raised:
        await (dialler or new_dialler()).dial(hop)
    return str(raised.value)


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


# What fails, in words.


async def test_a_closed_port_is_told() -> None:
    origin = await closed_origin()

    assert f"cannot connect to {origin}: Connection refused" == await failure(Hop(origin))


async def test_a_name_without_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    told = await failure(Hop(Origin("https", "nowhere.test", 443)))

    assert "cannot connect to https://nowhere.test: its name has no address (Name or service not known)" == told


async def test_a_name_that_is_none_is_told() -> None:
    told = await failure(Hop(Origin("http", "a" * 64 + ".test", 80)))

    assert told.endswith("its name is not one that can be looked up")


async def test_several_addresses_that_fail_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    port = (await closed_origin()).port
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (1, 2)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    told = await failure(Hop(Origin("http", "two.test", port)))

    assert told.endswith(": 127.0.0.1: Connection refused; 127.0.0.2: Connection refused")


async def test_an_address_that_hangs_is_overtaken_and_nothing_of_it_is_left(
    monkeypatch: pytest.MonkeyPatch, nothing_left: None
) -> None:
    full = socket.create_server(("127.0.0.2", 0), backlog=0)
    with full:
        port = full.getsockname()[1]
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener:
            with contextlib.ExitStack() as stack:
                for _ in range(2):  # a backlog that is full takes no more connections
                    filler = stack.enter_context(socket.socket())
                    filler.setblocking(False)
                    filler.connect_ex(("127.0.0.2", port))
                found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (2, 1)]
                monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
                _, raw = await new_dialler().dial(Hop(Origin("http", "two.test", port)))

                assert ("127.0.0.1", port) == raw.info("peername")
                raw.abort()
            assert listener.listeners


@pytest.mark.parametrize("turns", range(12))
async def test_a_dial_that_is_cancelled_at_any_turn_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch, turns: int, nothing_left: None
) -> None:
    async with scripted(Peer.wait_gone) as upstream:
        port = upstream.origin.port
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (1, 9)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        async with anyio.create_task_group() as group:
            group.start_soon(new_dialler().dial, Hop(Origin("https", "two.test", port)))
            for _ in range(turns):
                await checkpoint()
            group.cancel_scope.cancel()


async def test_an_address_that_works_makes_up_for_one_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(Peer.wait_gone) as upstream:
        port = upstream.origin.port
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (9, 1)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        stream, raw = await new_dialler().dial(Hop(Origin("http", "two.test", port)))

        assert stream is raw
        assert ("127.0.0.1", port) == raw.info("peername")
        raw.abort()


async def test_a_handshake_that_does_not_come_is_timed_out() -> None:
    async with scripted(Peer.wait_gone) as upstream:
        origin = Origin("https", "127.0.0.1", upstream.origin.port)

        assert (
            f"cannot connect to {origin}: timed out: no connection within 0.05 s (timeouts.connect-s)"
            == await failure(Hop(origin), new_dialler(connect_s=0.05))
        )


async def test_a_cancelled_dial_leaves_nothing_open() -> None:
    hello, gone = anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.stream.receive()
        hello.set()
        await peer.wait_gone()
        gone.set()

    async with scripted(script) as upstream, anyio.create_task_group() as group:
        group.start_soon(new_dialler().dial, Hop(Origin("https", "127.0.0.1", upstream.origin.port)))
        await hello.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(5):
            await gone.wait()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no agreement on TLS"),
    ],
)
async def test_a_server_without_tls_is_told(script: Script, why: str) -> None:
    async with scripted(script) as upstream:
        told = await failure(Hop(Origin("https", "127.0.0.1", upstream.origin.port)))

        assert why in told


async def test_a_dial_that_is_cancelled_before_it_began_leaves_nothing_open() -> None:
    async with scripted(Peer.wait_gone) as upstream:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await new_dialler().dial(Hop(upstream.origin))

    assert scope.cancelled_caught


async def test_a_handshake_that_breaks_off_is_told() -> None:
    async def script(peer: Peer) -> None:
        await peer.stream.receive()
        await peer.stream.send_eof()
        await peer.wait_gone()

    async with scripted(script) as upstream:
        told = await failure(Hop(Origin("https", "127.0.0.1", upstream.origin.port)))

        assert "no agreement on TLS (UNEXPECTED_EOF_WHILE_READING)" in told


async def test_a_handshake_that_is_reset_is_told() -> None:
    async def script(peer: Peer) -> None:
        await peer.stream.receive()
        peer.reset()

    async with scripted(script) as upstream:
        told = await failure(Hop(Origin("https", "127.0.0.1", upstream.origin.port)))

        assert "it closed the connection before it was ready" in told


# Certificates.


async def test_a_certificate_of_the_given_authority_proves_its_host(authority: trustme.CA, ca_file: str) -> None:
    async with scripted(Peer.wait_gone, tls=server_tls(authority.issue_cert("localhost"))) as upstream:
        hop = Hop(Origin("https", "localhost", upstream.origin.port), ca_file)
        dialler = new_dialler()
        for _ in range(2):
            stream, raw = await dialler.dial(hop)
            assert isinstance(stream, TLSStream)
            raw.abort()

        assert [ca_file] == list(dialler._contexts)


async def test_http_1_1_is_all_that_is_offered(authority: trustme.CA, ca_file: str) -> None:
    context = server_tls(authority.issue_cert("localhost"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with scripted(Peer.wait_gone, tls=context) as upstream:
        stream, raw = await new_dialler().dial(Hop(Origin("https", "localhost", upstream.origin.port), ca_file))

        assert "http/1.1" == stream.extra(TLSAttribute.alpn_protocol)
        raw.abort()


def expired(authority: trustme.CA) -> ssl.SSLContext:
    return server_tls(authority.issue_cert("localhost", not_after=datetime.now(UTC) - timedelta(days=1)))


CERTIFICATES: dict[str, tuple[Callable[[trustme.CA], ssl.SSLContext], bool, str]] = {
    "another host": (lambda ca: server_tls(ca.issue_cert("example.test")), True, "Hostname mismatch"),
    "another authority": (lambda ca: server_tls(trustme.CA().issue_cert("localhost")), True, "certificate"),
    "an authority not given": (lambda ca: server_tls(ca.issue_cert("localhost")), False, "certificate"),
    "expired": (expired, True, "certificate has expired"),
}


@pytest.mark.parametrize(("context", "given", "why"), CERTIFICATES.values(), ids=CERTIFICATES.keys())
async def test_a_certificate_that_proves_nothing_is_told_and_sent_nothing(
    context: Callable[[trustme.CA], ssl.SSLContext], given: bool, why: str, authority: trustme.CA, ca_file: str
) -> None:
    async with scripted(answering(OK), tls=context(authority)) as upstream:
        secure = provider(
            Origin("https", "localhost", upstream.origin.port), ca_file=ca_file if given else "", name="secure"
        )
        async with proxying(upstream.origin, providers=(secure,)) as proxy:
            reply = await ask(proxy, post())
            record = proxy.service.journal.recent[-1]

    assert (502, None) == (reply.status, reply.one(b"x-should-retry"))
    assert b"its certificate is not trusted" in reply.body
    assert why in record.detail
    assert ("upstream_error", 0) == (record.outcome, record.attempts)
    assert [] == upstream.seen


async def test_a_file_of_authorities_that_is_gone_is_told(tmp_path: Path) -> None:
    async with scripted(Peer.wait_gone) as upstream:
        hop = Hop(Origin("https", "localhost", upstream.origin.port), str(tmp_path / "none.pem"))

        assert "No such file or directory" in await failure(hop)


# Proxies of the environment.


def tunnelling(peers: list[Peer], context: ssl.SSLContext, reply: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Script:
    """Answer a CONNECT with ``reply``, then be the host at the other end."""

    async def script(peer: Peer) -> None:
        peer.seen.append(await peer.read_head())
        await peer.send(reply)
        stream = await TLSStream.wrap(peer.stream, server_side=True, ssl_context=context)
        inner = Peer(stream, peer.raw)
        peers.append(inner)
        await answering(OK)(inner)

    return script


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.0 200 Connection established\r\n\r\n"]
)
async def test_https_goes_through_a_tunnel(reply: bytes, authority: trustme.CA, ca_file: str) -> None:
    peers: list[Peer] = []
    context = server_tls(authority.issue_cert("example.test"))
    async with scripted(tunnelling(peers, context, reply)) as tunnel:
        env = {"HTTPS_PROXY": f"http://user%20name:p%40ss@127.0.0.1:{tunnel.origin.port}"}
        secure = provider(Origin("https", "example.test", 443), ca_file=ca_file)
        async with proxying(await closed_origin(), providers=(secure,), env=env) as proxy:
            answer = await ask(proxy, post())

    (connect,) = tunnel.seen
    assert b"ok" == answer.body
    assert b"CONNECT example.test:443 HTTP/1.1" == connect.start
    assert (b"example.test:443", LOGIN) == (connect.one(b"host"), connect.one(b"proxy-authorization"))
    (inside,) = peers[0].seen
    assert b"POST /v1/chat/completions HTTP/1.1" == inside.start
    assert (b"example.test", None) == (inside.one(b"host"), inside.one(b"proxy-authorization"))


async def test_an_ipv6_origin_is_named_with_brackets() -> None:
    async with scripted(answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as tunnel:
        dialler = new_dialler({"https_proxy": str(tunnel.origin)})
        told = await failure(Hop(Origin("https", "2001:db8::1", 443)), dialler)

    assert b"CONNECT [2001:db8::1]:443 HTTP/1.1" == tunnel.seen[0].start
    assert tunnel.seen[0].one(b"proxy-authorization") is None
    assert told.endswith(f"through the proxy {tunnel.origin}: the proxy refuses the tunnel with status 403")


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n", "refuses the tunnel with status 407"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "sent bytes of its own into the tunnel"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "is not valid HTTP/1.1"),
        (b"", "it closed the connection before it was ready"),
    ],
)  # fmt: skip
async def test_a_tunnel_that_is_not_dug_is_told(reply: bytes, why: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        await peer.send(reply)

    async with scripted(script) as tunnel:
        told = await failure(
            Hop(Origin("https", "example.test", 443)), new_dialler({"HTTPS_PROXY": str(tunnel.origin)})
        )

    assert why in told


@pytest.mark.parametrize("login", ["", "user%20name:p%40ss@"])
async def test_http_goes_through_a_proxy_that_is_told_the_whole_url(login: str) -> None:
    async with scripted(answering(OK, OK)) as through:
        env = {"HTTP_PROXY": f"http://{login}127.0.0.1:{through.origin.port}"}
        async with proxying(Origin("http", "gateway.test", 8080), env=env) as proxy:
            first = await ask(proxy, post())
            second = await ask(proxy, get(b"/api/internal?x=1"))

    assert (b"ok", b"ok", 1) == (first.body, second.body, through.count)
    post_, get_ = through.seen
    assert b"POST http://gateway.test:8080/v1/chat/completions HTTP/1.1" == post_.start
    assert b"GET http://gateway.test:8080/api/internal?x=1 HTTP/1.1" == get_.start
    assert [b"gateway.test:8080"] == post_.all(b"host")
    assert [LOGIN] * bool(login) == post_.all(b"proxy-authorization")
    assert b'{"model": "m"}' == post_.body


async def test_a_streamed_body_goes_through_a_proxy() -> None:
    async with scripted(answering(OK)) as through:
        env = {"HTTP_PROXY": str(through.origin)}
        async with proxying(Origin("http", "gateway.test", 80), env=env) as proxy:
            chunked = get(b"/api/internal", b"Transfer-Encoding: chunked", method=b"POST")
            reply = await ask(proxy, chunked + b"3\r\nabc\r\n0\r\n\r\n")

    assert 200 == reply.status
    assert b"POST http://gateway.test/api/internal HTTP/1.1" == through.seen[0].start
    assert b"abc" == through.seen[0].body


async def test_a_proxy_that_cannot_be_reached_is_named() -> None:
    through = await closed_origin()
    told = await failure(Hop(Origin("http", "gateway.test", 80)), new_dialler({"HTTP_PROXY": str(through)}))

    assert f"cannot connect to http://gateway.test through the proxy {through}: Connection refused" == told


PROXY = Proxy(Origin("http", "proxy.test", 3128))


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy.test:3128"}, PROXY),
        ({"https_proxy": "proxy.test:3128"}, PROXY),
        ({"https_proxy": "http://proxy.test:3128", "HTTPS_PROXY": "http://other.test:1"}, PROXY),
        ({"ALL_PROXY": "http://proxy.test:3128/"}, PROXY),
        ({"all_proxy": "http://proxy.test:3128", "HTTP_PROXY": "http://other.test:1"}, PROXY),
        ({"HTTP_PROXY": "http://proxy.test:3128"}, None),
        ({"HTTPS_PROXY": "http://proxy.test"}, Proxy(Origin("http", "proxy.test", 80))),
    ],
)
async def test_the_environment_names_the_proxy(env: dict[str, str], found: Proxy | None) -> None:
    assert found == new_dialler(env).proxy_for(Origin("https", "api.example.test", 443))


@pytest.mark.parametrize(
    "url", ["socks5://proxy.test:1080", "https://proxy.test", "http://proxy.test:port", "http://:80"]
)
async def test_a_proxy_of_another_kind_is_not_used_and_not_shown(url: str, caplog: pytest.LogCaptureFixture) -> None:
    assert new_dialler({"HTTPS_PROXY": url}).proxy_for(Origin("https", "api.example.test", 443)) is None
    assert [logging.WARNING] == [record.levelno for record in caplog.records]
    assert url not in caplog.text


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("", "api.example.test", False),
        ("*", "api.example.test", True),
        ("example.test", "api.example.test", True),
        (".example.test", "api.example.test", True),
        ("ample.test", "api.example.test", False),
        ("api.example.test:443", "api.example.test", True),
        ("api.example.test:444", "api.example.test", False),
        ("10.0.0.0/8, 192.168.1.7", "10.1.2.3", True),
        ("10.0.0.0/8, 192.168.1.7", "192.168.1.7", True),
        ("10.0.0.0/8, 192.168.1.7", "192.168.1.8", False),
        ("fd00::/8", "fd12::1", True),
        ("10.0.0.0/8", "fd12::1", False),
        ("*.corp.test", "api.corp.test", True),
        ("other.test, *.CORP.test", "a.b.corp.test", True),
        ("*.corp.test", "corp.test", False),
        ("*.corp.test", "api.corp.test.example", False),
        ("*.corp.test", "xcorp.test", False),
        ("*.corp.test:443", "api.corp.test", True),
        ("*.corp.test:8443", "api.corp.test", False),
        ("192.0.2.*", "192.0.2.77", True),
        ("192.0.2.*", "192.0.20.7", False),
        ("192.0.2.*", "192.0.2.example.test", False),
        ("api.*.test", "api.eu.test", True),
        ("", "127.0.0.1", True),
        ("", "::1", True),
        ("", "localhost", True),
    ],
)
async def test_some_hosts_are_reached_directly(no_proxy: str, host: str, direct: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        dialler = new_dialler({"HTTPS_PROXY": "http://proxy.test:3128", name: no_proxy})
        found = dialler.proxy_for(Origin("https", host, 443))

        assert direct == (found is None)


async def test_a_proxy_s_password_does_not_show() -> None:
    proxy = new_dialler({"HTTPS_PROXY": "http://user:secret@proxy.test:3128"}).proxy_for(Origin("https", "a.test", 443))

    assert "Proxy(http://proxy.test:3128)" == repr(proxy)
