"""What a peer, a model's name or a configuration may write where others read it: fields, trailers, records, answers."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import h11
import pytest
from kit import OK, Message, Peer, answering, ask, connected, get, post, record_of, scripted, times
from smuggling import Upstream
from spelledrequests import BODY

from ampmap.config.file import parse
from ampmap.errors import ConfigError
from ampmap.records.log_format import JsonFormatter, TextFormatter
from ampmap.server import Server, running
from ampmap.settings import Amp, Endpoint, ModelEntry, Origin, Protocol, Provider, Rule, Settings, TcpListen

leaves_nothing = pytest.mark.usefixtures("nothing_left")

KEY = "client-key"
PROTOCOLS: tuple[Protocol, ...] = ("openai-chat", "anthropic", "gemini")


@asynccontextmanager
async def proxy_for(origin: Origin, *, api_keys: tuple[str, ...] = (), refuse: bool = False) -> AsyncIterator[Server]:
    """Run a proxy before ``origin``, its Amp upstream and its provider of ``m`` in three formats."""
    endpoints = tuple(Endpoint(protocol=protocol) for protocol in PROTOCOLS)
    local = Provider(name="local", origin=origin, endpoints=endpoints, models=(ModelEntry(id="m"),), api_key="own-key")
    rules = (Rule(source="alias", targets=("m",)),)
    amp = Amp(origin=origin, api_key="sgamp_key", rules=rules, credits="refuse" if refuse else "warn")
    settings = Settings(
        listen=(TcpListen(port=0),), amp=amp, providers=(local,), timeouts=times(keepalive_s=5), api_keys=api_keys
    )
    async with running(settings, env={}) as proxy:
        with anyio.fail_after(20):
            yield proxy


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


# -- Upgrades and expectations that say one thing to us and another to whoever stands behind us.

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


# -- What is shown of what a client wrote.

NAMES = {
    "line": "m\r\nstatus=200 forged=yes",
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "quote": 'a"b\'c\\d\\"',
    "nul": "a\x00b",
    "delete": "a\x7f\x80\x9b31m",
    "direction": "\u202egnp.exe\u2066\u2028\u2029\u0085",
    "markup": "</script><img src=x>{{7*7}}${x}%s%(a)s%n",
    "metrics": 'x"} 1\nampmap_paid_requests_total 99\n#',
    "yaml": "a: b, to: [c] # \"'|>",
    "lone surrogate": "\ud800",
    "separators": "a\x1c\x1d\x1e\x1f\x0b\x0cb",
    "astral": "\U000e0041\U0001f600\ufeff",
}


def asked(protocol: Protocol, name: str, prefix: str = "") -> bytes:
    if protocol == "gemini":
        quoted = "".join(f"%{byte:02x}" for byte in name.encode("utf-8", "surrogatepass"))
        return post(b"{}", path=f"{prefix}/v1beta/models/{quoted}:generateContent".encode())
    path = "/v1/messages" if protocol == "anthropic" else "/v1/chat/completions"
    return post(json.dumps({"model": name}).encode(), path=f"{prefix}{path}".encode())


def told(protocol: Protocol, reply: Message) -> str:
    """Return the message of an error, which has to be in the asker's format where its path was taken for one."""
    body = json.loads(reply.body)
    if "in the path" in body["error"]["message"] or body["error"]["message"].startswith("the path"):
        return str(body["error"]["message"])
    assert b"application/json" == reply.one(b"content-type")
    assert ("error" == body["type"]) if protocol == "anthropic" else True
    assert (reply.status == body["error"]["code"]) if protocol == "gemini" else True
    return str(body["error"]["message"])


def one_plain_line(shown: str) -> bool:
    return shown.isprintable() and len(shown.splitlines()) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@leaves_nothing
async def test_a_models_name_forges_nothing(name: str, protocol: Protocol, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "ampmap")
    upstream = Upstream()
    async with scripted(upstream.script) as server, proxy_for(server.origin, refuse=True) as proxy:
        replies = [await ask(proxy, asked(protocol, name, prefix)) for prefix in ("", "/api/provider/x")]
        pages = [await ask(proxy, get(b"/_ampmap/" + page)) for page in (b"status", b"requests", b"metrics")]
        records = [record.fields() for record in proxy.service.journal.recent][:2]

    for reply in replies:
        assert reply.status in (400, 403, 404)
        assert one_plain_line(told(protocol, reply))
        assert all(b"\r" not in value and b"\n" not in value for _, value in reply.lines)
    assert [] == upstream.raw
    for record in caplog.records:
        assert one_plain_line(TextFormatter().format(record))
        as_json = JsonFormatter().format(record)
        assert one_plain_line(as_json)
        json.loads(as_json)
    for fields in records:
        assert all(one_plain_line(str(value)) for value in fields.values() if value != "")
    for page in pages[:2]:
        json.loads(page.body)
    for line in pages[2].body.decode().splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .*|\w+(\{(\w+="[\w]*",?)+\})? [0-9.]+', line), line


@pytest.mark.parametrize("form", [TextFormatter, JsonFormatter])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_whatever_an_event_says_it_is_one_line_without_control_characters(
    name: str, form: type[logging.Formatter]
) -> None:
    shown = form().format(logging.LogRecord("ampmap.x", logging.ERROR, "f", 1, "said %s", (name,), None))

    assert one_plain_line(shown)
    assert "forged" not in shown or shown.index("said") < shown.index("forged")


SECRET = "sk-ant-very-secret"
MALFORMED = {
    "a credential's line": get(b"/api/internal", b"Authorization : Bearer " + SECRET.encode()),
    "a credential's value": get(b"/api/internal", b"X-Api-Key: " + SECRET.encode() + b"\x0b"),
    "a cookie in a fold": get(b"/api/internal").replace(b"Host", b" Cookie: a=" + SECRET.encode() + b"\r\nHost"),
    "a query": b"GET /api/internal?key=" + SECRET.encode() + b"  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a body": get(b"/api/internal", b"Transfer-Encoding: chunked", method=b"POST") + SECRET.encode() + b"\r\n\r\n",
    "a body on a model route": get(b"/v1/messages", b"Transfer-Encoding: chunked", method=b"POST")
    + b"2\r\n{}\r\n" + SECRET.encode() + b"\r\n\r\n",
    "a trailer": get(b"/api/internal", b"Transfer-Encoding: chunked",
    method=b"POST") + b"0\r\nX " + SECRET.encode() + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
@leaves_nothing
async def test_what_is_malformed_is_not_repeated(raw: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "ampmap")
    upstream = Upstream()
    async with scripted(upstream.script) as server, proxy_for(server.origin) as proxy:
        reply = await ask(proxy, raw)
        record = await record_of(proxy)
        page = await ask(proxy, get(b"/_ampmap/requests"))

    assert 400 == reply.status
    assert "not valid HTTP/1.1" in record.detail
    for shown in (reply.body.decode(), str(record), page.body.decode(), caplog.text):
        assert SECRET not in shown


@pytest.mark.parametrize("head", [b"Set-Cookie : ", b"X: y\x0b", b" X: ", b"Content-Length: "])
@leaves_nothing
async def test_what_an_upstream_says_wrongly_is_not_repeated(head: bytes) -> None:
    raw = b"HTTP/1.1 200 OK\r\n" + head + SECRET.encode() + b"\r\n\r\n"
    async with scripted(answering(raw)) as server, proxy_for(server.origin) as proxy:
        reply = await ask(proxy, asked("anthropic", "m"))
        record = await record_of(proxy)

    assert 502 == reply.status
    assert SECRET not in reply.body.decode() and SECRET not in str(record)


# -- Paths on routes that carry credentials.

REFUSED_PATHS = [
    "/api/provider/x/%2e%2e/v1/messages", "/api/provider/%2E%2e/internal", "/api/provider/x/..;/y/..",
    "/api/provider/x/.%2e/y",
    "/api/provider/x%2f..%2fy/v1/messages", "/api/provider/x%2Fv1/messages", "/api/provider/x%5c..%5cy",
    "/api/provider/x\\..\\y",
    "/api/provider/x/%00/v1/messages", "/api/provider/x/v1/messages%00", "/v1beta/models/a%2fb:generateContent",
    "/v1beta/models/a%5Cb:generateContent", "/v1beta/models/a%00b:generateContent",
    "/v1beta/models/../x:generateContent",
    "/v1beta/models/a\\b:generateContent", "/v1beta/models/a/%2e/b:generateContent", "/v1/../api/internal/%2e%2e",
    "/./v1/messages",
    "/api/internal/..", "/api/internal/%2e%2E/provider/x", "/api/internal/./x",
    "http://localhost/api/provider/x/%2e%2e/y",
]  # fmt: skip

# Asked of nobody, or of the one server whose path it is, in the bytes in which it came.
OTHER_PATHS = [
    "/api/provider/x/%252e%252e/v1/messages", "/api/provider/x/%252f..%252fy", "/api/provider/x/%c0%ae%c0%ae/y",
    "/api/provider/x/%e0%80%af/y",
    "/api/provider/x/v1/messages;a=b", "/api/provider/x/..;/y",
    "/api/provider//v1/messages/",
    "/api/provider/x//v1/messages", "/api/provider/x/v1//messages", "/api/provider/x/V1/MESSAGES",
    "/api/provider/x/%u002e%u002e/y",
    "/api/provider/x/v1/messages%20", "/api/provider/x/v1/%6dessages", "/api/provider/x/v1/messages%0d%0aX:%20y",
    "/api/provider/x/.../y",
    "/api/internal/%2f..%2fprovider", "/api/internal/%5c..", "/api/internal;x/y", "/api/internal//",
    "/api/%69nternal", "//api/internal",
    "/api//internal", "/API/internal", "/api/internal%00", "/api/internal%2e%2e",
    "/_ampmap/../status"[:9] + "/%2fstatus",
]  # fmt: skip


@pytest.mark.parametrize("path", REFUSED_PATHS)
@leaves_nothing
async def test_a_path_that_could_mean_another_place_is_refused(path: str) -> None:
    upstream = Upstream()
    async with scripted(upstream.script) as server, proxy_for(server.origin) as proxy:
        replies = [await ask(proxy, post(b"{}", path=path.encode())), await ask(proxy, get(path.encode()))]

    assert {400, 404} >= {reply.status for reply in replies}
    assert 400 == replies[0].status
    assert [] == upstream.raw


@pytest.mark.parametrize("path", OTHER_PATHS)
@leaves_nothing
async def test_a_path_is_passed_on_in_its_own_bytes_or_not_at_all(path: str) -> None:
    upstream = Upstream()
    async with scripted(upstream.script) as server, proxy_for(server.origin) as proxy:
        reply = await ask(proxy, post(b'{"model": "m"}', path=path.encode()))

    passed = [seen.target.decode() for reader in upstream.readers for seen in reader.seen]
    assert passed in ([], [path])
    assert (reply.status == 200) == bool(passed)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("%252e%252e", "%252e%252e"), ("..", ".."), ("a;b=c", "a%3Bb=c"), ("%0d%0aX:y", "%0D%0AX:y"), ("a%3fb%23c",
        "a%3Fb%23c"), ("a%20b", "a%20b"),
        ("a//b", "a//b"), ("%e2%80%ae", "%E2%80%AE"), ("%22%7b%7d", "%22%7B%7D"), ("%252f", "%252f"), ("a%25", "a%25"),
    ],
)  # fmt: skip
@leaves_nothing
async def test_a_name_in_a_path_stays_one_name(name: str, sent: str) -> None:
    """It is decoded once and encoded once: what a provider decodes is what the rules were asked about."""
    upstream = Upstream()
    async with scripted(upstream.script) as server:
        endpoints = (Endpoint(protocol="gemini"),)
        anything = Provider(name="local", origin=server.origin, endpoints=endpoints, models=(ModelEntry(id="*"),))
        settings = Settings(listen=(TcpListen(port=0),), providers=(anything,), timeouts=times())
        async with running(settings, env={}) as proxy:
            reply = await ask(proxy, post(b"{}", path=f"/v1beta/models/{name}:generateContent".encode()))

    assert 200 == reply.status
    assert f"/v1beta/models/{sent}:generateContent".encode() == upstream.readers[0].seen[0].target


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
