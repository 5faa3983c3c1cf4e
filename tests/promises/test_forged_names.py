"""What a client writes forges nothing where others read it: errors, records, logs and pages."""

from __future__ import annotations

import json
import logging
import re

import pytest
from kit import answering, ask, get, record_of, scripted
from smuggling import Upstream
from threeformats import PROTOCOLS, asked, one_plain_line, proxy_for, told

from ampmap.records.log_format import JsonFormatter, TextFormatter
from ampmap.settings import Protocol

leaves_nothing = pytest.mark.usefixtures("nothing_left")


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
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .*|\w+(\{(\w+="[\w.+-]*",?)+\})? [0-9.]+', line), line


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
