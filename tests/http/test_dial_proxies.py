"""Proxies of the environment: which one is used, tunnels, and what fails."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import pytest
import trustme
from anyio.streams.tls import TLSStream
from dialling import LOGIN, failure, new_dialler
from kit import OK, Peer, Script, answering, ask, closed_origin, get, post, provider, proxying, scripted
from servertls import server_tls

from ampmap.http.dialer import Proxy
from ampmap.settings import Hop, Origin

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


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
        dialer = new_dialler({"https_proxy": str(tunnel.origin)})
        told = await failure(Hop(Origin("https", "2001:db8::1", 443)), dialer)

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
        dialer = new_dialler({"HTTPS_PROXY": "http://proxy.test:3128", name: no_proxy})
        found = dialer.proxy_for(Origin("https", host, 443))

        assert direct == (found is None)


async def test_a_proxy_s_password_does_not_show() -> None:
    proxy = new_dialler({"HTTPS_PROXY": "http://user:secret@proxy.test:3128"}).proxy_for(Origin("https", "a.test", 443))

    assert "Proxy(http://proxy.test:3128)" == repr(proxy)
