"""The tokens of replies in records: of providers and of Amp, whole, streamed and cut, in every format."""

from __future__ import annotations

import gzip
import json
from typing import Any

import anyio
import pytest
from kit import Message, Peer, Script, answering, ask, connected, post, proxying, record_of, scripted
from rows import Rows

from ampmap.formats.registry import FORMATS
from ampmap.records.record import Record
from ampmap.settings import Endpoint, ModelEntry, Origin, Protocol, Provider

BOTH_LOOPS = True

PATHS = Rows("tests/proxy/test_tokens.py: PATHS", "the path of a request", {
    "anthropic": b"/v1/messages",
    "openai-chat": b"/v1/chat/completions",
    "openai-responses": b"/v1/responses",
    "gemini": b"/v1beta/models/%b:streamGenerateContent",
})  # fmt: skip
CHAT: Any = {"prompt_tokens": 30, "completion_tokens": 11, "prompt_tokens_details": {"cached_tokens": 20}}
USAGE: Rows[Any] = Rows("tests/proxy/test_tokens.py: USAGE", "STATED as a reply says it", {
    "anthropic": {"input_tokens": 10, "cache_read_input_tokens": 20, "output_tokens": 11},
    "openai-chat": CHAT,
    "openai-responses": {"input_tokens": 30, "output_tokens": 11, "input_tokens_details": {"cached_tokens": 20}},
    "gemini": {"promptTokenCount": 30, "candidatesTokenCount": 11, "cachedContentTokenCount": 20},
})  # fmt: skip
STATED = (30, 11, 20, None)
NOTHING = (None, None, None, None)


def whole(protocol: str) -> bytes:
    """Return a whole reply, which is larger than what a pump feeds to a filter."""
    key = "usageMetadata" if protocol == "gemini" else "usage"
    return json.dumps({"model": "m", "content": [{"text": "w" * 3_000}], key: USAGE[protocol]}).encode()


def events(protocol: str) -> bytes:
    texts: list[Any] = [{"model": "m", "text": "w" * size} for size in (1, 2, 3_000)]
    if protocol == "anthropic":
        start = {**USAGE[protocol], "output_tokens": 1}
        texts[:0] = [{"type": "message_start", "message": {"model": "m", "usage": start}}]
        texts += [{"type": "message_delta", "usage": {"output_tokens": 11}}]
    elif protocol == "openai-responses":
        texts += [{"type": "response.completed", "response": {"model": "m", "usage": USAGE[protocol]}}]
    else:
        texts += [{"model": "m", "usageMetadata" if protocol == "gemini" else "usage": USAGE[protocol]}]
    return b"".join(b"data: %b\n\n" % json.dumps(text).encode() for text in texts)


def with_length(body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"".join(line + b"\r\n" for line in lines)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, head, len(body), body)


def in_chunks(body: bytes, size: int, *, end: bytes = b"0\r\n\r\n") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + end


def asked(protocol: str, model: bytes, *lines: bytes, prefix: bytes = b"") -> bytes:
    path = PATHS[protocol]
    return post(b'{"model": "%b"}' % model, *lines, path=prefix + (path % model if b"%b" in path else path))


def tokens(record: Record) -> tuple[int | None, ...]:
    return record.input_tokens, record.output_tokens, record.cached_tokens, record.reasoning_tokens


def speaking(origin: Origin, *protocols: Protocol) -> tuple[Provider, ...]:
    endpoints = tuple(Endpoint(protocol=protocol) for protocol in protocols)
    return (Provider(name="local", origin=origin, endpoints=endpoints, models=(ModelEntry(id="m"),), api_key="k"),)


async def exchanged(request: bytes, reply: bytes, *protocols: Protocol) -> tuple[Message, Record]:
    """Return what the client gets, and the record."""
    async with (
        scripted(sending(reply)) as upstream,
        proxying(upstream.origin, providers=speaking(upstream.origin, *protocols)) as proxy,
    ):
        message = await ask(proxy, request)
        assert [b"identity"] == upstream.seen[0].all(b"accept-encoding")
        return message, await record_of(proxy)


def sending(reply: bytes) -> Script:
    """Answer one request, then close."""

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(reply)

    return script


@pytest.mark.parametrize("model", [b"m", b"alias"])
@pytest.mark.parametrize("protocol", FORMATS)
async def test_the_tokens_of_a_whole_reply_are_in_the_record(protocol: Protocol, model: bytes) -> None:
    body = whole(protocol)

    reply, record = await exchanged(asked(protocol, model, b"Accept-Encoding: gzip"), with_length(body), protocol)

    assert STATED == tokens(record)
    assert reply.body == body.replace(b'"m"', b'"%b"' % model)


@pytest.mark.parametrize("size", [1, 50, 1_000, 100_000])
@pytest.mark.parametrize("model", [b"m", b"alias"])
@pytest.mark.parametrize("protocol", FORMATS)
async def test_the_tokens_of_a_stream_are_in_the_record(protocol: Protocol, model: bytes, size: int) -> None:
    body = events(protocol)

    reply, record = await exchanged(asked(protocol, model), in_chunks(body, size), protocol)

    assert STATED == tokens(record)
    assert reply.body == body.replace(b'"m"', b'"%b"' % model)


@pytest.mark.parametrize("protocol", FORMATS)
async def test_a_stream_that_is_cut_keeps_what_it_had_stated(protocol: Protocol) -> None:
    more = b'data: {"text": "more"}\n\ndata: {"te'

    _, record = await exchanged(asked(protocol, b"m"), in_chunks(events(protocol) + more, 90, end=b""), protocol)

    assert "upstream_truncated" == record.outcome
    assert STATED == tokens(record)


async def test_a_translated_stream_that_is_cut_keeps_what_it_had_stated() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "w"}}], "usage": CHAT}
    body = b"data: %b\n\n" % json.dumps(chunk).encode()
    request = post(b'{"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "Hi"}]}',
                   path=PATHS["anthropic"])  # fmt: skip

    arrived = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(in_chunks(body, 90, end=b""))
        await arrived.wait()

    async with (
        scripted(script) as upstream,
        proxying(upstream.origin, providers=speaking(upstream.origin, "openai-chat")) as proxy,
        connected(proxy) as client,
    ):
        await client.send(request)
        await client.read_until(b"text_delta")
        arrived.set()
        await client.read_rest()
        record = await record_of(proxy)

    assert ("anthropic -> openai-chat", "upstream_truncated") == (record.translated, record.outcome)
    assert STATED == tokens(record)


async def test_a_reply_that_comes_encoded_is_read_where_it_is_decoded_anyway() -> None:
    body = gzip.compress(whole("openai-chat"))
    encoded = with_length(body, b"Content-Encoding: gzip")

    renamed, of_renamed = await exchanged(asked("openai-chat", b"alias"), encoded, "openai-chat")
    untouched, of_untouched = await exchanged(asked("openai-chat", b"m"), encoded, "openai-chat")

    assert (STATED, NOTHING) == (tokens(of_renamed), tokens(of_untouched))
    assert (whole("openai-chat").replace(b'"m"', b'"alias"'), body) == (renamed.body, untouched.body)


@pytest.mark.parametrize("status", [b"400 Bad Request", b"429 Too Many Requests", b"500 Internal Server Error"])
async def test_an_error_states_no_tokens(status: bytes) -> None:
    _, record = await exchanged(asked("openai-chat", b"m"), with_length(whole("openai-chat"), status=status),
                                "openai-chat")  # fmt: skip

    assert NOTHING == tokens(record)


@pytest.mark.parametrize("protocol", ["anthropic", "gemini"])
async def test_the_tokens_of_amp_are_in_the_record_unless_the_reply_is_encoded(protocol: Protocol) -> None:
    prefix = b"/api/provider/anthropic" if protocol == "anthropic" else b"/api/provider/google"
    request = asked(protocol, b"paid", prefix=prefix)
    encoded = with_length(gzip.compress(whole(protocol)), b"Content-Encoding: gzip")
    replies = (with_length(whole(protocol)), in_chunks(events(protocol), 90), encoded)
    async with scripted(answering(*replies)) as upstream, proxying(upstream.origin, providers=()) as proxy:
        records = []
        for number in range(1, len(replies) + 1):
            await ask(proxy, request)
            records.append(await record_of(proxy, number))

    assert ["AMP_CREDITS"] * 3 == [record.route_type for record in records]
    assert [STATED, STATED, NOTHING] == [tokens(record) for record in records]
