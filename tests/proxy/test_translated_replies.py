"""Replies of providers that speak another format, streamed and whole, over real sockets."""

from __future__ import annotations

import gzip
import json
from typing import Any

import anyio
import pytest
from kit import GUARD_S, Peer, answering, ask, connected, proxying, record_of, scripted, times, until
from translated import (
    CHAT,
    CLAUDE,
    HELLO,
    RESPONSES,
    asking,
    chunked,
    completion,
    data_of,
    events,
    message,
    piece,
    replied,
    speaking,
    streamed,
    text_of,
)

BOTH_LOOPS = True

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_whole_reply_comes_in_the_askers_form() -> None:
    async with (
        scripted(answering(replied(completion(), lines=b"x-request-id: r-1\r\nX-RateLimit-Left: 3\r\n"))) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking())
        record = await record_of(proxy)

    body = json.loads(reply.body)
    assert (200, b"application/json") == (reply.status, reply.one(b"content-type"))
    assert ("message", "m", [{"type": "text", "text": "Hello"}], "end_turn") == (
        body["type"], body["model"], body["content"], body["stop_reason"],
    )  # fmt: skip
    assert (7, 3) == (body["usage"]["input_tokens"], body["usage"]["output_tokens"])
    assert (b"r-1", b"3", None) == (
        reply.one(b"request-id"), reply.one(b"x-ratelimit-left"), reply.one(b"x-request-id")
    )  # fmt: skip
    assert (b"p/m", b"anthropic -> openai-chat") == (
        reply.one(b"ampmap-served-by"), reply.one(b"ampmap-translated")
    )  # fmt: skip
    assert ("anthropic -> openai-chat", "ok", 200, "own", "LOCAL_PROVIDER") == (
        record.translated, record.outcome, record.status, record.cost, record.route_type,
    )  # fmt: skip
    assert len(reply.body) == record.bytes_out
    assert (7, 3) == (record.input_tokens, record.output_tokens)


async def test_the_tokens_that_a_stream_states_are_recorded() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}
    usage = piece(usage={"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, **details})
    for stated, wanted in (((usage,), (9, 5, 4, 2)), ((), (None, None, None, None))):
        async with (
            scripted(answering(streamed(events((*HELLO, *stated))))) as upstream,
            proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
        ):
            await ask(proxy, asking(stream=True))
            record = await record_of(proxy)

        assert wanted == (
            record.input_tokens, record.output_tokens, record.cached_tokens, record.reasoning_tokens,
        )  # fmt: skip


async def test_each_piece_of_a_stream_leaves_before_the_next_comes() -> None:
    going = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        first, *others = events()
        await peer.send(HEAD, chunked(first))
        await going.wait()
        await peer.send(chunked(*others), b"0\r\n\r\n")
        await peer.wait_gone()

    async with (
        scripted(script) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
        connected(proxy) as client,
    ):
        await client.send(asking(stream=True))
        head = await client.read_head()
        seen = await client.read_until(b'"text":"Hel"')
        going.set()
        rest = await client.read_until(b"0\r\n\r\n")
        record = await record_of(proxy)

    assert b"text/event-stream; charset=utf-8" == head.one(b"content-type")
    assert b"message_start" in seen and b"message_stop" in rest
    assert ("ok", "anthropic -> openai-chat") == (record.outcome, record.translated)


@pytest.mark.parametrize(
    ("asked", "spoken", "path", "reply"),
    [
        (CLAUDE, CHAT, b"/v1/messages", completion()),
        (CHAT, CLAUDE, b"/v1/chat/completions", message()),
        (RESPONSES, CLAUDE, b"/v1/responses", message()),
        (RESPONSES, CHAT, b"/v1/responses", completion()),
    ],
)
async def test_a_provider_that_answers_a_stream_with_one_value_is_read(
    asked: str, spoken: str, path: bytes, reply: dict[str, Any]
) -> None:
    async with (
        scripted(answering(replied(reply))) as upstream,
        proxying(None, providers=(speaking(spoken, upstream.origin),)) as proxy,
    ):
        got = await ask(proxy, asking(path=path, input="hi", stream=True))
        record = await record_of(proxy)

    assert (200, b"text/event-stream; charset=utf-8") == (got.status, got.one(b"content-type"))
    assert b"Hello" in got.body and got.body.startswith((b"event: ", b"data: "))
    assert (f"{asked} -> {spoken}", "ok") == (record.translated, record.outcome)


async def test_a_provider_that_streams_unasked_is_read() -> None:
    async with (
        scripted(answering(streamed(events()))) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking())

    assert (200, b"application/json") == (reply.status, reply.one(b"content-type"))
    assert [{"type": "text", "text": "Hello"}] == json.loads(reply.body)["content"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_in_gzip_is_read(stream: bool) -> None:
    content = b"".join(events()) if stream else json.dumps(completion()).encode()
    async with (
        scripted(answering(replied(gzip.compress(content), lines=b"Content-Encoding: gzip\r\n"))) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking(stream=stream))

    assert 200 == reply.status and None is reply.one(b"content-encoding")
    assert "Hello" == (text_of(reply.body) if stream else json.loads(reply.body)["content"][0]["text"])


async def test_a_coding_that_nobody_asked_for_is_an_error() -> None:
    async with (
        scripted(answering(replied(b"\x1b", lines=b"Content-Encoding: br\r\n"))) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking())

    assert 502 == reply.status and b"encoded (br) and cannot be translated" in reply.body


LAST_WORD = chunked(*events([piece("!")], done=False))


@pytest.mark.parametrize(
    "end", [b"", b"0\r\n\r\n", b"5\r\ndata:", chunked(b"data: {}\n\n"), LAST_WORD, LAST_WORD + b"0\r\n\r\n"]
)
async def test_a_stream_that_breaks_off_is_cut_behind_its_last_word(end: bytes) -> None:
    going = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(streamed(events()[:2], ends=False))
        await going.wait()
        await peer.send(end)

    async with (
        scripted(script) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
        connected(proxy) as client,
    ):
        await client.send(asking(stream=True))
        seen = await client.read_until(b'"lo"')
        going.set()
        seen += await client.read_rest()
        record = await record_of(proxy)

    assert not seen.endswith(b"0\r\n\r\n") and (b'"!"' in seen) is (b"!" in end)
    assert b"message_stop" not in seen and b"event: error" not in seen
    assert ("upstream_truncated", 200) == (record.outcome, record.status)


@pytest.mark.parametrize("start", [b"", b"data: {"])
async def test_a_stream_that_breaks_off_before_its_first_event_is_an_error(start: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(HEAD, chunked(start) if start else b"")

    async with (
        scripted(script) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking(stream=True))
        record = await record_of(proxy)

    assert (502, b"false", "upstream_truncated") == (reply.status, reply.one(b"x-should-retry"), record.outcome)
    assert "api_error" == json.loads(reply.body)["error"]["type"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_that_comes_first_is_an_http_error(stream: bool) -> None:
    error = {"error": {"message": "slow down", "code": 429}}
    sent = streamed(events([error])) if stream else replied(error)
    async with (
        scripted(answering(sent)) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking(stream=stream))
        record = await record_of(proxy)

    assert (429, b"application/json") == (reply.status, reply.one(b"content-type"))
    assert ("rate_limit_error", "slow down") == (
        json.loads(reply.body)["error"]["type"], json.loads(reply.body)["error"]["message"],
    )  # fmt: skip
    assert ("upstream_error", 429, "slow down") == (record.outcome, record.status, record.detail)


async def test_an_error_in_mid_stream_is_the_clients_error_event() -> None:
    chunks = [piece("Hel"), {"error": {"message": "it broke", "code": 503}}]
    async with (
        scripted(answering(streamed(events(chunks)))) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking(stream=True))
        record = await record_of(proxy)

    assert reply.whole and "Hel" == text_of(reply.body)
    assert ("error", "it broke") == (data_of(reply.body)[-1]["type"], data_of(reply.body)[-1]["error"]["message"])
    assert ("upstream_error", 200, "it broke") == (record.outcome, record.status, record.detail)


@pytest.mark.parametrize(
    ("status", "content", "kind", "said"),
    [
        (400, {"error": {"message": "bad", "type": "invalid_request_error"}}, "invalid_request_error", "bad"),
        (401, {"error": {"message": "no key"}}, "authentication_error", "no key"),
        (402, {"error": "pay"}, "billing_error", "pay"),
        (413, {"detail": "large"}, "request_too_large", "large"),
        (429, {"error": {"message": "slow"}}, "rate_limit_error", "slow"),
        (503, b"<html><b>down</b></html>", "api_error", "down"),
        (529, {"error": {"message": "busy"}}, "overloaded_error", "busy"),
        (302, b"", "api_error", "the provider answered 502"),
        (500, b"x" * 200_000, "api_error", "x" * 2048),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_keep_status_words_and_when_to_try_again(
    status: int, content: Any, kind: str, said: str, stream: bool
) -> None:
    lines = b"Retry-After: 7\r\nX-RateLimit-Reset: 9\r\nx-request-id: r-1\r\nServer: s\r\n"
    async with (
        scripted(answering(replied(content, status, lines))) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking(stream=stream))
        record = await record_of(proxy)

    error = json.loads(reply.body)["error"]
    assert (502 if status == 302 else status) == reply.status == record.status
    assert (kind, said, "upstream_error") == (error["type"], error["message"], record.outcome)
    assert (b"7", b"9", b"r-1", None) == tuple(
        reply.one(name) for name in (b"retry-after", b"x-ratelimit-reset", b"request-id", b"server")
    )
    assert (b"false" if status == 402 else None) == reply.one(b"x-should-retry")


async def test_an_empty_account_is_not_tried_again() -> None:
    error = {"error": {"message": "quota", "code": "insufficient_quota", "type": "insufficient_quota"}}
    async with (
        scripted(answering(replied(error, 429))) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking())

    assert (429, b"false") == (reply.status, reply.one(b"x-should-retry"))


async def test_a_reply_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampmap.proxy.translated_reply.REPLY_BYTES", 500)
    async with (
        scripted(answering(replied(completion("x" * 500)))) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking())

    assert 502 == reply.status and b"its reply has more than 500 bytes" in reply.body


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_takes_its_request_along(stream: bool) -> None:
    left = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(HEAD if stream else b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
        if stream:
            await peer.send(chunked(events()[0]))
        await peer.wait_gone()
        left.set()

    async with (
        scripted(script) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),), timeouts=times()) as proxy,
    ):
        async with connected(proxy) as client:
            await client.send(asking(stream=stream))
            await (client.read_until(b"Hel") if stream else until(lambda: upstream.count))
        with anyio.fail_after(GUARD_S):
            await left.wait()
        record = await record_of(proxy)

    assert "client_gone" == record.outcome


async def test_connections_are_kept_after_replies_of_every_kind() -> None:
    sent = (replied(completion()), streamed(events()), replied({"error": "x"}, 400), replied(completion()))
    async with (
        scripted(answering(*sent)) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
        connected(proxy) as client,
    ):
        statuses = []
        for stream in (False, True, False, False):
            await client.send(asking(stream=stream))
            statuses.append((await client.read_final()).status)

    assert [200, 200, 400, 200] == statuses and 1 == upstream.count
