"""Nobody holds the loop: whatever a peer sends, one callback takes five milliseconds of CPU time at most."""

from __future__ import annotations

import gzip

import pytest
from kit import BODY, get, post
from loopheld import BOUND_S, CLOSE, both_loops, least, told

CHUNKED = b"Transfer-Encoding: chunked"
CHAT, AMP, AMPS = b"/v1/chat/completions", b"/api/internal", b"/api/provider/anthropic/v1/messages"


def many(part: bytes, count: int = 200_000) -> bytes:
    return part * (count // len(part))


def asked(path: bytes, body: bytes = b'{"model": "alias"}') -> bytes:
    return post(body, CLOSE, path=path)


def chunked(path: bytes, body: bytes) -> bytes:
    return get(path, CLOSE, CHUNKED, method=b"POST") + body


TOOLS = asked(AMPS, b'{"model": "alias", "tools": [{"name": "Bash"}], "messages": []}')
TRANSLATED = post(
    b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}', CLOSE,
    path=b"/v1beta/models/m:streamGenerateContent?alt=sse",
)  # fmt: skip
EVENTS, JSON, BYTES = b"text/event-stream", b"application/json", b"application/octet-stream"
FINE = told(JSON, b"{}")

REQUESTS = {
    "chunks with extensions": chunked(CHAT, many(b"1;a\r\n \r\n") + b"0\r\n\r\n"),
    "chunks with extensions, passed on": chunked(AMP, many(b"1;a\r\n \r\n") + b"0\r\n\r\n"),
    "chunks of one byte": chunked(AMP, many(b"1\r\n \r\n") + b"0\r\n\r\n"),
    "an extension that never ends": chunked(AMP, b"1;" + many(b"a")),
    "a size of blanks that is none": chunked(AMP, b"1;" + many(b" ", 60_000) + b"\n\r\n"),
    "many trailers": chunked(AMP, b"0\r\n" + many(b"a:b\r\n", 60_000) + b"\r\n"),
    "a trailer of blanks that is none": chunked(AMP, b"0\r\na:" + many(b" ", 60_000) + b"\0\r\n\r\n"),
    "many fields": get(AMP, *[b"a:b"] * 10_000),
    "many folded lines": get(AMP, b"a: b", *[b" b"] * 10_000),
    "a field of blanks that is none": get(AMP, b"a:" + b" " * 60_000 + b"\0"),
    "a short field of blanks that is none": get(AMP, *[b"a:" + b" " * 1990 + b"\v"] * 4),
    "many parameters": get(b"/v1/models?" + many(b"&a", 60_000), CLOSE),
    "many parameters, passed on": get(AMP + b"?" + many(b"a=%41&", 60_000), CLOSE),
    "many segments": get(b"/api/internal" + many(b"/%2e%2e%2e", 60_000), CLOSE),
    "many escapes of escapes": get(b"/api/internal/" + many(b"%2525", 60_000), CLOSE),
    "many segments, unknown": get(many(b"/a", 60_000), CLOSE),
    "many options": get(AMP, CLOSE, b"Connection: " + many(b"a,", 60_000)),
    "many codings": get(AMP, CLOSE, b"Accept-Encoding: " + many(b"a,", 60_000)),
    "many cookies": get(AMP, CLOSE, b"Cookie: " + many(b"a=b;", 60_000)),
    "many brackets": asked(AMPS, b'{"a": ' + many(b"[") + b'"model", "model": "alias"}'),
    "many objects": asked(AMPS, b'{"a": [' + many(b"{},") + b'1], "model": "alias"}'),
    "many names": asked(AMPS, b'{"a": [' + many(b'{"model":1},') + b'1], "model": "alias"}'),
    "many escapes": asked(AMPS, b'{"a": "' + many(b"\\u006d") + b'", "model": "alias"}'),
    "many tools": asked(AMPS, b'{"tools": [' + many(b'{"name":"Bash"},') + b'{}], "model": "alias"}'),
    "many messages": asked(AMPS, b'{"messages": [' + many(b'{"content":[1]},') + b'{}], "model": "alias"}'),
}
REPLIES = {
    "chunks with extensions": (asked(CHAT), told(EVENTS, many(b"1;a\r\n\n\r\n") + b"0\r\n\r\n", CHUNKED)),
    "chunks with extensions, unchanged": (
        asked(CHAT, BODY), told(EVENTS, many(b"1;a\r\n\n\r\n") + b"0\r\n\r\n", CHUNKED)
    ),
    "chunks of one byte": (asked(CHAT), told(EVENTS, many(b"1\r\n\n\r\n") + b"0\r\n\r\n", CHUNKED)),
    "many trailers": (asked(CHAT), told(EVENTS, b"0\r\n" + many(b"a:b\r\n", 60_000) + b"\r\n", CHUNKED)),
    "many fields": (asked(CHAT), told(JSON, b"", *[b"a:b"] * 10_000)),
    "a field of blanks that is none": (asked(CHAT), told(JSON, b"", b"a:" + b" " * 60_000 + b"\0")),
    "early hints without end": (asked(CHAT), many(b"HTTP/1.1 103 \r\n\r\n")),
    "events of one byte": (asked(CHAT), told(EVENTS, many(b"\r"))),
    "events with names": (asked(CHAT), told(EVENTS, many(b'data:{"model":"a"}\n\n'))),
    "events of brackets": (asked(CHAT), told(EVENTS, b'data:"model"' + many(b"{}"))),
    "brackets": (asked(CHAT), told(JSON, many(b"["))),
    "objects": (asked(CHAT), told(JSON, many(b"{}"))),
    "strings": (asked(CHAT), told(JSON, b"[" + many(b'"",'))),
    "events with tools": (TOOLS, told(EVENTS, many(b'data:{"content":[{"name":"bash","type":"tool_use"}]}\n\n'))),
    "tools": (TOOLS, told(JSON, b'{"content":[' + many(b'{"name":"bash","type":"tool_use"},'))),
    "translated pings": (TRANSLATED, told(EVENTS, b'data:{"id":"a"}\n\n' + many(b":\n"))),
    "translated events": (TRANSLATED, told(EVENTS, many(b'data:{"choices":[{"delta":{"content":"a"}}]}\n\n'))),
    "gzip of nothing": (get(AMP, CLOSE), told(BYTES, many(gzip.compress(b"")))),
    "gzip of very much": (get(AMP, CLOSE), told(BYTES, gzip.compress(bytes(20_000_000)))),
}  # fmt: skip

LARGE_BYTES = 5_000_000


def translated(content: bytes) -> bytes:
    """Ask in Responses, which the provider does not speak."""
    return asked(b"/v1/responses", b'{"model": "alias", "input": [{"role": "user", "content": %b}]}' % content)


TEXT = b"line\\n " * 150
TURNS = b'{"role": "user", "content": "%b"}, {"role": "assistant", "content": "%b"}' % (TEXT, TEXT)

TRANSLATED_REQUESTS = {
    "what is read at once": translated(b"[%b]" % b",".join([TURNS] * 110)),
    "one long text": translated(b'"%b"' % many(b"line\\n \xf0\x9f\x98\x80", LARGE_BYTES)),
    "an image": translated(
        b'[{"type": "input_image", "image_url": "data:image/png;base64,%b"}]' % many(b"A", LARGE_BYTES)
    ),
}  # fmt: skip


@both_loops
@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS.keys())
async def test_no_client_holds_the_loop(request_bytes: bytes) -> None:
    worst, where = await least(request_bytes, FINE)

    assert worst <= BOUND_S, where


@both_loops
@pytest.mark.parametrize("request_bytes", TRANSLATED_REQUESTS.values(), ids=TRANSLATED_REQUESTS.keys())
async def test_no_translated_request_holds_the_loop(request_bytes: bytes) -> None:
    worst, where = await least(request_bytes, FINE)

    assert worst <= BOUND_S, where


@pytest.mark.sample(1 / 3)
@both_loops
@pytest.mark.parametrize(("request_bytes", "reply"), REPLIES.values(), ids=REPLIES.keys())
async def test_no_upstream_holds_the_loop(request_bytes: bytes, reply: bytes) -> None:
    worst, where = await least(request_bytes, reply)

    assert worst <= BOUND_S, where
