"""Whatever a provider answers to a translated request: one record, an answer that can be read, and no bug of ours."""

from __future__ import annotations

import gzip
import json
import logging
from contextlib import AsyncExitStack, suppress
from itertools import cycle
from typing import Any

import anyio
import pytest
from kit import Peer, connected, post, proxying, record_of, scripted
from translated import CHAT, CLAUDE, RESPONSES, USER, speaking

from ampmap.formats.registry import FORMATS

GEMINI = "gemini"
SSE = b"Content-Type: text/event-stream"
GZIP = b"Content-Encoding: gzip"
HALF = r"\ud800"


def reply(body: bytes = b"", *lines: bytes, status: int = 200, length: bool = True) -> bytes:
    head = [b"HTTP/1.1 %d X" % status, *lines, *([b"Content-Length: %d" % len(body)] if length else [])]
    return b"".join(line + b"\r\n" for line in head) + b"\r\n" + body


def stream(*events: bytes) -> bytes:
    return reply(b"".join(b"data: %b\n\n" % each for each in events), SSE)


ERROR = rb'{"error":{"message":"m\u001b[31m\r\n\ud800","code":1e999,"type":["x"]}}'
HALVES = """{"id":"H","choices":[{"message":{"content":"H","tool_calls":[{"id":"H","function":{"name":"H","arguments":
"H"}}]},"finish_reason":"H"}],"content":[{"type":"text","text":"H"},{"type":"tool_use","id":"H","name":"H"}],
"output":[{"type":"message","content":[{"text":"H"}]}],
"candidates":[{"content":{"parts":[{"text":"H"}]},"finishReason":"STOP"}]}""".replace("H", HALF)
TWICE = b'{"choices":[{"message":{"content":"a","content":null}}],"choices":{},"content":[],"content":{},"output":1}'
ODD_CALLS = (
    b'{"choices":[{"index":-1,"delta":{"content":"x"}},{"index":9007199254740993}]}',
    b'{"choices":[{"delta":{"tool_calls":[{"index":-1,"id":"","function":{"name":"","arguments":"{"}},'
    b'{"index":9007199254740993,"id":"","function":{"name":"f","arguments":1}}]}}]}',
    b'{"type":"content_block_stop","index":-1}',
    b'{"type":"content_block_start","index":9007199254740993,"content_block":{"type":"tool_use","id":"","name":""}}',
    b'{"type":"response.output_item.done","output_index":-1,"item":{"type":"function_call","name":""}}',
    b'{"type":"response.completed","response":{"output":[null,1,{"type":"function_call","name":"f"}]}}',
    b'{"candidates":[{"content":{"parts":[{"functionCall":{}},{"functionCall":null}]},"finishReason":"STOP"}]}',
    b"[DONE]", b'{"type":"message_stop"}', b'{"type":"message_start","message":{}}',
)  # fmt: skip
NULLS = (
    b"null", b"{}", b"[null]", b'{"choices":null}', b'{"choices":[{"delta":null}]}', b'{"type":null}',
    b'{"candidates":[null]}', b'{"type":"content_block_delta"}', b'{"type":"response.output_text.delta"}',
)  # fmt: skip
REPLIES = {
    "a flood of 100": b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + reply(b"{}"),
    "a flood of 103": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 500 + reply(ERROR, status=500),
    "a switch that nobody asked for": reply(b"", b"Upgrade: x", b"Connection: upgrade", status=101, length=False),
    **{f"status {code}": reply(status=code, length=False) for code in (204, 304)},
    **{f"status {code}": reply(ERROR, status=code) for code in (205, 206, 400, 401, 402, 429, 500, 599, 999)},
    "a redirect": reply(b"", b"Location: http://169.254.169.254/", status=302),
    "a wait without end": reply(ERROR, b"Retry-After: " + b"9" * 4000, status=429),
    "a wait that is none": reply(b"\xff\xfe\x00", b"Retry-After: \xff", b"x-ratelimit-!: a", status=429),
    **{f"the body {body!r}": reply(body) for body in (b"", b"null", b"NaN", b"[]", b'"x"', b"{}", b"1" * 100_000)},
    "an error with the status 200": reply(ERROR),
    "a page": reply(b"<" * 70_000, b"Content-Type: text/html", status=502),
    "UTF-16": reply('{"error":"x"}'.encode("utf-16"), status=500),
    "no gzip": reply(b"{}", GZIP),
    "a bomb": reply(gzip.compress(b" " * 20_000_000), GZIP),
    "a bomb as an error": reply(gzip.compress(b"x" * 20_000_000), GZIP, status=500),
    "nothing, often": reply(gzip.compress(b"") * 20_000, GZIP),
    "another coding": reply(b"xx", b"Content-Encoding: br"),
    "an empty stream": stream(),
    "comments": reply(b":\n\n" * 5000, SSE),
    "a stream of junk": reply(b'data: {"a\n\nevent: \xff\ndata: \x00\n\nid: 1\n\n', SSE),
    "a stream of nulls": stream(*NULLS),
    "events in no order": stream(*ODD_CALLS),
    "events in another order": stream(*reversed(ODD_CALLS)),
    "deep": reply(b'{"choices":' * 950 + b"1" + b"}" * 950),
    "members that come twice": reply(TWICE),
    "halves of pairs": reply(HALVES.encode()),
    "no field": b"HTTP/1.1 200 OK\r\nBad Field\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nX: ",
    "two lengths": reply(b"{}", b"Content-Length: 5"),
    "a length and chunks": reply(b"0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "a length beyond all": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    "a chunk of no length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
}
ASKED: dict[str, tuple[bytes, dict[str, Any]]] = {
    CHAT: (b"/v1/chat/completions", {"model": "m", "messages": [USER]}),
    CLAUDE: (b"/v1/messages", {"model": "m", "max_tokens": 9, "messages": [USER]}),
    RESPONSES: (b"/v1/responses", {"model": "m", "input": "hi"}),
    GEMINI: (b"/v1beta/models/m:generateContent", {"contents": [{"parts": [{"text": "x"}]}]}),
}


def request(client: str, *, streams: bool) -> bytes:
    path, body = ASKED[client]
    if client == GEMINI and streams:
        path = b"/v1beta/models/m:streamGenerateContent?alt=sse"
    elif streams:
        body = {**body, "stream": True}
    return post(json.dumps(body).encode(), b"Connection: close", path=path)


@pytest.mark.parametrize("provider", FORMATS)
async def test_every_answer_has_one_record_and_can_be_read(provider: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    answers: list[bytes] = []

    async def answer(peer: Peer) -> None:
        await peer.read_message()
        with suppress(OSError, anyio.BrokenResourceError):
            await peer.send(answers[-1])

    clients = cycle(client for client in FORMATS if client != provider)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(scripted(answer))
        proxy = await stack.enter_async_context(proxying(None, providers=(speaking(provider, upstream.origin),)))
        asked = [
            (name, client, streams) for name, client in zip(REPLIES, clients, strict=False) for streams in (False, True)
        ]
        for number, (name, client, streams) in enumerate(asked, 1):
            answers.append(REPLIES[name])
            async with connected(proxy) as peer:
                await peer.send(request(client, streams=streams))
                head, _, body = (await peer.read_rest()).partition(b"\r\n\r\n")
            record = await record_of(proxy, number)
            case = f"{name}, for {client}, {'streamed' if streams else 'whole'}: {record}"

            assert proxy.service.journal.written == number, case
            assert "bug" not in record.detail, case
            if b"Content-Type: application/json" in head:
                assert isinstance(json.loads(body), dict), case
    assert not caplog.records
