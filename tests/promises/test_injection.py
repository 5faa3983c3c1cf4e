"""What a peer, a model's name or a configuration may write where others read it: fields, trailers, records, answers."""

from __future__ import annotations

import json

import h11
import pytest
from kit import OK, Peer, answering, ask, connected, get, post, scripted, times
from smuggling import Upstream
from spelledrequests import BODY
from threeformats import KEY, one_plain_line, proxy_for

from ampmap.config.file import parse
from ampmap.errors import ConfigError
from ampmap.server import running
from ampmap.settings import Amp, Settings, TcpListen

leaves_nothing = pytest.mark.usefixtures("nothing_left")


# -- Fields and trailers that must not come through, however they are spelled.

SECRET_FIELDS = [
    b"Authorization: Bearer " + KEY.encode(), b"X-Api-Key: " + KEY.encode(), b"x-goog-api-key: sk-ant-other",
    b"Api-Key: sk-other",
    b"Proxy-Authorization: Basic eDp5", b"X-Note: " + KEY.encode(), b"X-Forwarded-For: 192.0.2.1",
    b"X-Forwarded-Foo: 192.0.2.1",
    b"Forwarded: for=192.0.2.1", b"Via: 1.1 x", b"X-Real-IP: 192.0.2.1", b"X-Auth-Token: sk-other",
    b"Cookie: a=sk-other",
    b"Content-Length: 9", b"Transfer-Encoding: chunked", b"Host: evil", b"Connection: x-sum", b"Upgrade: h2c",
]  # fmt: skip


@pytest.mark.parametrize("line", SECRET_FIELDS)
@leaves_nothing
async def test_a_trailer_carries_nothing_that_a_field_may_not(line: bytes) -> None:
    upstream = Upstream()
    async with scripted(upstream.script) as server, proxy_for(server.origin, api_keys=(KEY,)) as proxy:
        head = get(b"/api/internal", b"X-Api-Key: client-key", b"Transfer-Encoding: chunked", method=b"POST")
        reply = await ask(proxy, head + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n" + line + b"\r\n\r\n")

    (seen,) = upstream.readers[0].seen
    assert (200, b"hi") == (reply.status, seen.body)
    assert ((b"x-sum", b"1"),) == seen.trailers


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer_Encoding: chunked", b"Content_Length: 3", b"X_Api_Key: sk-other", b"x-api_key: sk-other",
        b"X_Forwarded_For: 192.0.2.1",
        b"x_forwarded-foo: 1", b"Proxy_Authorization: Basic eDp5", b"X_Real_IP: 192.0.2.1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/api/internal"])
@leaves_nothing
async def test_an_underscore_is_no_way_past_what_is_taken_off(line: bytes, path: bytes) -> None:
    """Servers that hand fields to programs as variables make one name of both spellings (RFC 3875 §4.1.18)."""
    upstream = Upstream()
    async with scripted(upstream.script) as server, proxy_for(server.origin) as proxy:
        reply = await ask(proxy, post(BODY, line, b"X_Other: kept", path=path))

    (seen,) = upstream.readers[0].seen
    names = [name for name, _ in seen.fields]
    assert 200 == reply.status
    assert b"x_other" in names and line.partition(b":")[0].lower() not in names


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/api/internal"])
@pytest.mark.parametrize(
    "nominated",
    [
        b"content-length", b"Content-Length, Host", b"authorization", b"x-api-key, Authorization",
        b"close, host, transfer-encoding",
        b"accept-encoding", b",,authorization,", b"x-amp-a", b"content-type", b"*", b"\xff",
    ],
)  # fmt: skip
@leaves_nothing
async def test_what_a_client_nominates_takes_nothing_of_ours_away(path: bytes, nominated: bytes) -> None:
    upstream = Upstream()
    async with scripted(upstream.script) as server, proxy_for(server.origin, api_keys=(KEY,)) as proxy:
        reply = await ask(proxy, post(BODY, b"X-Api-Key: client-key", b"Connection: " + nominated, path=path))

    (seen,) = upstream.readers[0].seen
    names = [name for name, _ in seen.fields]
    secret = dict(seen.fields)[b"authorization"]
    assert 200 == reply.status
    assert [1, 1, 1] == [names.count(name) for name in (b"host", b"content-length", b"authorization")]
    assert (b"Bearer own-key" if path.startswith(b"/v1") else b"Bearer sgamp_key") == secret
    assert b"connection" not in names and b"client-key" not in bytes(upstream.raw[0])


@leaves_nothing
async def test_trace_does_not_show_a_client_our_credential() -> None:
    upstream = Upstream()
    async with scripted(upstream.script) as server, proxy_for(server.origin) as proxy:
        replies = [await ask(proxy, get(path, method=b"TRACE")) for path in (b"/api/internal", b"/api/provider/x/y")]

    assert [405, 405] == [reply.status for reply in replies]
    assert [] == upstream.raw


# -- Upgrades and expectations that mean one thing to us and another to the upstream.

SWITCHED = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "version", "body"),
    [
        ((b"Upgrade: websocket", b"Connection: Upgrade"), b"1.0", b""),
        ((b"Upgrade: websocket", b"Connection: Upgrade", b"Content-Length: 2"), b"1.1", b"hi"),
        (
            (b"Upgrade: websocket", b"Connection: Upgrade", b"Transfer-Encoding: chunked"),
            b"1.1",
            b"2\r\nhi\r\n0\r\n\r\n",
        ),
        ((b"Upgrade: websocket, h2c", b"Connection: Upgrade"), b"1.1", b""),
        ((b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABk"), b"1.1", b""),
        ((b"Upgrade: websocket",), b"1.1", b""),
        ((b"Upgrade: websocket\x0b", b"Connection: Upgrade"), b"1.1", b""),
    ],
)
@leaves_nothing
async def test_only_a_plain_request_becomes_a_websocket(lines: tuple[bytes, ...], version: bytes, body: bytes) -> None:
    """An upstream that switches though it was not asked to has broken off; a tunnel there would carry anything."""
    async with scripted(answering(SWITCHED)) as server, proxy_for(server.origin) as proxy:
        reply = await ask(proxy, get(b"/api/internal", *lines, version=version) + body)

    assert reply.status in (400, 502)
    assert not any(message.one(b"upgrade") or message.one(b"connection") for message in server.seen)


@leaves_nothing
async def test_a_switch_has_no_framing() -> None:
    async with scripted(answering(SWITCHED)) as server, proxy_for(server.origin) as proxy, connected(proxy) as client:
        await client.send(get(b"/api/internal", b"Upgrade: websocket", b"Connection: Upgrade"))
        head = await client.read_head()

    assert (101, [], []) == (head.status, head.all(b"content-length"), head.all(b"transfer-encoding"))


@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD"])
@leaves_nothing
async def test_nobody_is_told_to_wait_for_a_body_that_there_is_not(method: bytes) -> None:
    async with scripted(answering(OK)) as server, proxy_for(server.origin) as proxy:
        await ask(proxy, get(b"/api/internal", b"Expect: 100-continue", method=method), no_body=method == b"HEAD")

    assert server.seen[0].one(b"expect") is None


@leaves_nothing
async def test_hints_without_end_are_given_up_while_a_body_is_sent() -> None:
    async def flood(peer: Peer) -> None:
        await peer.read_until(b"\r\n\r\n")
        for _ in range(10_000):
            await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        await peer.wait_gone()

    async with scripted(flood) as server, proxy_for(server.origin) as proxy, connected(proxy) as client:
        await client.send(get(b"/api/internal", b"Transfer-Encoding: chunked", method=b"POST") + b"2\r\nhi\r\n")
        hints = 0
        while (head := await client.read_head()).status == 103:
            hints += 1
        assert 502 == head.status
        assert hints <= 20


# -- What a configuration may hold.

BREAKS = ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\x00b", "a\x0bb", "a\x0cb", "a\u2028b", "a\r\n\r\nb"]


@pytest.mark.parametrize("value", BREAKS)
@pytest.mark.parametrize("through", ["value", "name", "variable", "key"])
def test_a_configuration_cannot_break_a_line(value: str, through: str) -> None:
    shown = json.dumps(value)
    fields = {"value": f"X-A: {shown}", "name": f"{shown}: x", "variable": "X-A: '${EVIL}'", "key": "X-A: x"}[through]
    key = shown if through == "key" else "k"
    where = "name: p, base-url: 'http://127.0.0.1:1', protocols: [anthropic], models: [m]"
    text = f"providers: [{{{where}, api-key: {key}, headers: {{{fields}}}}}]\n"

    with pytest.raises(ConfigError) as raised:
        parse(text, "a.yaml", {"EVIL": value})

    assert all(one_plain_line(line) for line in str(raised.value).split("\n"))


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    where = "name: p, base-url: 'http://127.0.0.1:1', protocols: [anthropic], models: [m]"
    text = f"providers: [{{{where}, api-key: '${{KEY}}', headers: {{X-A: '${{KEY}}'}}}}]\n"

    (local,) = parse(text, "a.yaml", {"KEY": "\r\n k\x85\r\n"}).settings.providers

    assert ("k", (("X-A", "k"),)) == (local.api_key, local.headers)


@leaves_nothing
async def test_a_field_that_a_page_asks_for_is_given_back_as_one_line() -> None:
    async with scripted(answering(OK)) as server:
        settings = Settings(
            listen=(TcpListen(port=0),),
            amp=Amp(origin=server.origin),
            allowed_origins=("https://a.example",),
            timeouts=times(),
        )
        async with running(settings, env={}) as proxy, connected(proxy) as client:
            await client.send(
                get(
                    b"/v1/messages",
                    b"Origin: https://a.example",
                    b"Access-Control-Request-Headers: a\r\n b, \xff\x1b[1m",
                    method=b"OPTIONS",
                )
            )
            raw = await client.read_until(b"\r\n\r\n")

    conn = h11.Connection(h11.CLIENT)
    conn.send(h11.Request(method="OPTIONS", target="/", headers=[("Host", "a")]))
    conn.receive_data(raw)
    event = conn.next_event()
    assert isinstance(event, h11.Response) and event.status_code == 204
