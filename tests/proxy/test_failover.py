"""The next candidate is tried as long as no byte has reached the client, and nothing is held up where there is none."""

from __future__ import annotations

import gzip
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from email.utils import formatdate

import anyio
import pytest
from kit import (
    OK,
    Peer,
    Script,
    Scripted,
    answering,
    ask,
    closed_origin,
    connected,
    post,
    provider,
    proxying,
    record_of,
    scripted,
)

from ampmap.proxy import peek
from ampmap.proxy.peek import first_failure, retry_after_s
from ampmap.routing import cooldown
from ampmap.server import Server
from ampmap.settings import Endpoint, Rule

BOTH_LOOPS = True


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold a head as long as it takes, on a busy machine as well."""
    monkeypatch.setattr(peek, "PEEK_S", 3600.0)


ERRORS = {
    "anthropic": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n',
    "anthropic, unnamed": b'data: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
    "chat": b'data: {"error":{"message":"x","code":502}}\n\ndata: [DONE]\n\n',
    "chat, with choices": b'data: {"id":"1","error":{"code":502},"choices":[{"finish_reason":"error"}]}\n\n',
    "chat, vLLM's": b'data: {"object":"error","message":"x","type":"BadRequestError","code":400}\n\n',
    "chat, Google's": b'data: [{"error":{"code":503,"message":"x"}}]\n\n',
    "responses": b'event: response.failed\ndata: {"type":"response.failed","response":{"status":"failed"}}\n\n',
    "responses, error": b'data: {"type":"error","code":"x","message":"y"}\r\n\r\n',
    "gemini": b'data: {"error":{"code":503,"status":"UNAVAILABLE"}}\r\n\r\n',
    "gemini, a malformed call": b'data: {"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}\r\n\r\n',
    "a name alone": b"event: error\n\n",
    "behind comments": b'\xef\xbb\xbf: PROCESSING\n\n: PROCESSING\n\nretry: 3\n\ndata: {"error":\ndata: "x"}\n\n',
    "without its blank line": b'data: {"error":{"message":"x"}}\n',
    "CR alone": b'event: error\rdata: {"message":"x"}\r\r',
}
EMPTY = {
    "nothing": b"",
    "blanks": b"\n \n",
    "comments": b": a\n\n: b\n\n",
    "the end alone": b"data: [DONE]\n\n",
    "no data": b"id: 1\nevent: ping\n\n",
}
GOOD = {
    "an event": b'data: {"type":"message_start","error":null}\n\n',
    "a ping": b'event: ping\ndata: {"type":"ping"}\n\nevent: error\ndata: {"type":"error"}\n\n',
    "an error later": b'data: {"id":1}\n\ndata: {"error":{"message":"x"}}\n\n',
    "a large event": b'data: {"error":"' + b"x" * 5000 + b'"}\n\n',
    "a late event": b": " + b"x" * 5000 + b'\n\ndata: {"error":"x"}\n\n',
    "text": b"data: error\n\n",
    "JSON": b'{"error":{"message":"x"}}',
    "no JSON": b"data: {\n\n",
    "no event stream": b"ok",
    "a page": b"<html>\n\n</html>\n",
    "deep": b"data: " + b"[" * 4000 + b"\n\n",
}


def stream(body: bytes, *, coding: bytes = b"identity") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: %b\r\n" % coding
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return head + b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunk


@asynccontextmanager
async def two(
    first: Script, second: Script, *, mapped: bool = False
) -> AsyncIterator[tuple[Server, Scripted, Scripted]]:
    """A proxy with two providers of one model."""
    rules = (Rule(source="alias", targets=("m",)),) if mapped else ()
    async with scripted(first) as one, scripted(second) as other:
        providers = provider(one.origin, name="one"), provider(other.origin, name="other")
        async with proxying(one.origin, providers=providers, rules=rules) as proxy:
            yield proxy, one, other


async def failed_over(reply: bytes) -> str:
    """Have the first provider give ``reply``; return the record's words about the move to the second."""
    async with two(answering(reply), answering(OK)) as (proxy, _, other):
        message = await ask(proxy, post())
        record = await record_of(proxy)

    assert (b"ok", 1) == (message.body, other.count)
    assert ("other", 2, "ok") == (record.provider, record.attempts, record.outcome)
    return record.detail


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_as_the_first_event_lets_the_next_be_tried(name: str) -> None:
    assert "one began its reply with an error" == await failed_over(stream(ERRORS[name]))


@pytest.mark.parametrize("name", EMPTY)
async def test_an_event_stream_without_an_event_lets_the_next_be_tried(name: str) -> None:
    assert "one ended its reply without an event" == await failed_over(stream(EMPTY[name]))


async def test_an_empty_reply_of_a_known_length_lets_the_next_be_tried() -> None:
    assert "without an event" in await failed_over(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def test_an_error_in_an_encoded_stream_lets_the_next_be_tried() -> None:
    event = ERRORS["chat"]
    body = gzip.compress(event[:5]) + gzip.compress(event[5:])

    assert "one began its reply with an error" == await failed_over(stream(body, coding=b"gzip"))


@pytest.mark.parametrize("status", [401, 402, 403, 429, 500, 503, 529])
async def test_a_status_that_is_the_providers_matter_lets_the_next_be_tried(status: int) -> None:
    assert f"one answered {status}" in await failed_over(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_a_status_that_is_the_requests_matter_passes(status: int) -> None:
    reply = b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status
    async with two(answering(reply), answering(OK)) as (proxy, _, other):
        message = await ask(proxy, post())

    assert (status, b"no", 0) == (message.status, message.body, other.count)


@pytest.mark.parametrize("sent", [b"", b": hello\n\n", b'data: {"id":'])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_stream_that_breaks_before_its_first_event_lets_the_next_be_tried(sent: bytes, reset: bool) -> None:
    async def breaking(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(stream(sent).removesuffix(b"0\r\n\r\n"))
        await anyio.sleep(0.01)
        (peer.reset if reset else peer.transport.abort)()

    async with two(breaking, answering(OK)) as (proxy, _, _):
        message = await ask(proxy, post())
        record = await record_of(proxy)

    assert (b"ok", "other") == (message.body, record.provider)
    assert "one broke off its reply before the first event" in record.detail


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("name", GOOD)
async def test_a_reply_that_begins_well_passes_unchanged(name: str, mapped: bool) -> None:
    """Whether a name is to be given back in it or not; the connection is kept."""
    async with two(answering(stream(GOOD[name]), stream(GOOD[name])), answering(), mapped=mapped) as (
        proxy,
        one,
        other,
    ):
        for _ in range(2):
            message = await ask(proxy, post(b'{"model": "alias"}' if mapped else b'{"model": "m"}'))
            assert (True, GOOD[name]) == (message.whole, message.body)

    assert (1, 0) == (one.count, other.count)


@pytest.mark.parametrize("name", [*ERRORS, *EMPTY, *GOOD])
def test_a_verdict_on_a_beginning_stands_whatever_follows(name: str) -> None:
    body = {**ERRORS, **EMPTY, **GOOD}[name]
    verdicts = {first_failure(body[:at], ended=False) for at in range(len(body) + 1)} - {None}

    assert len(verdicts) <= 1
    assert verdicts <= {first_failure(body, ended=True)}


# --- how long a head is held ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beginning", [b"", b": waiting\n\n", b'data: {"id":'])
async def test_a_head_is_held_so_long_and_no_longer(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then failover is over: an error that comes later reaches the client."""
    monkeypatch.setattr(peek, "PEEK_S", 0.2)
    seen = anyio.Event()
    whole = stream(beginning + b"data: 1\n\n" + ERRORS["chat"])

    async def late(peer: Peer) -> None:
        await peer.read_message()
        at = whole.index(b"data: 1") if beginning == b": waiting\n\n" else whole.index(b"\r\n\r\n") + 4
        await peer.send(whole[:at])
        await seen.wait()
        await peer.send(whole[at:])
        await peer.wait_gone()

    async with two(late, answering(OK)) as (proxy, _, other), connected(proxy) as client:
        began = time.monotonic()
        await client.send(post())
        await client.read_until(b"HTTP/1.1 200 OK\r\n")
        held_s = time.monotonic() - began
        seen.set()
        await client.read_until(ERRORS["chat"])

    assert held_s >= 0.19
    assert 0 == other.count


async def test_a_stream_is_not_timed_out_by_what_held_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peek, "PEEK_S", 0.1)

    async def slow(peer: Peer) -> None:
        await peer.read_message()
        whole = stream(b"data: 1\n\n")
        await peer.send(whole[:-20])
        await anyio.sleep(0.4)
        await peer.send(whole[-20:])

    async with two(slow, answering(OK)) as (proxy, _, _):
        message = await ask(proxy, post())

    assert (True, b"data: 1\n\n") == (message.whole, message.body)


async def test_with_one_candidate_a_head_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the other candidate is out of the question, as its door is closed."""
    monkeypatch.setattr(cooldown, "FIRST_S", 60.0)

    async def silent(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(stream(b"")[:-5])
        await peer.wait_gone()

    async with scripted(silent) as upstream:
        gone = provider(await closed_origin(), name="gone", models=("a", "b"))
        providers = gone, provider(upstream.origin, models=("m",))
        rules = (Rule(source="all", targets=("a", "m", "b")),)
        async with proxying(upstream.origin, providers=providers, rules=rules) as proxy:
            for model in (b"m", b"all"):
                async with connected(proxy) as client:
                    await client.send(post(b'{"model": "%b"}' % model))
                    await client.read_until(b"\r\n\r\n")


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_meanwhile_ends_it_for_all(reset: bool) -> None:
    gone = anyio.Event()

    async def silent(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(stream(b": waiting\n\n")[:-5])
        asked.set()
        await peer.wait_gone()
        gone.set()

    asked = anyio.Event()
    async with two(silent, answering(OK)) as (proxy, _, other):
        async with connected(proxy) as client:
            await client.send(post())
            await asked.wait()
            if reset:
                client.reset()
        await gone.wait()
        record = await record_of(proxy)

    assert ("client_gone", 0) == (record.outcome, other.count)


async def test_a_drain_ends_it() -> None:
    """Cancelled in the middle, it leaves neither connection behind."""
    gone = anyio.Event()
    asked = anyio.Event()

    async def silent(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(stream(b"")[:-5])
        asked.set()
        await peer.wait_gone()
        gone.set()

    async with scripted(silent) as one, scripted(answering(OK)) as other, AsyncExitStack() as stack:
        providers = provider(one.origin, name="one"), provider(other.origin, name="other")
        async with proxying(one.origin, providers=providers) as proxy:
            client = await stack.enter_async_context(connected(proxy))
            await client.send(post())
            await asked.wait()
        await gone.wait()
        record = await record_of(proxy)

    assert ("shutdown", 0) == (record.outcome, other.count)


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (b"7", 7.0),
        (b" 1.5 ", 1.5),
        (b"Thu, 01 Jan 1970 00:17:10 GMT", 30.0),
        (b"Thursday, 01-Jan-70 00:17:10 GMT", 30.0),
        (b"Thu, 01 Jan 1970 00:00:10 GMT", -990.0),
        (b"", None),
        (b"soon", None),
        (b"-1", None),
        (b"Thu, 99 Foo 1970", None),
    ],
)
def test_both_forms_of_retry_after_are_read(content: bytes, seconds: float | None) -> None:
    date = b"Date", b"Thu, 01 Jan 1970 00:16:40 GMT"
    assert seconds == retry_after_s([(b"Retry-After", content), date])


def test_without_the_servers_date_ours_counts() -> None:
    until = formatdate(time.time() + 20, usegmt=True).encode()
    assert 15 < (retry_after_s([(b"retry-after", until)]) or 0) <= 20
    assert retry_after_s([]) is None


async def test_a_429_moves_the_pair_behind_the_others_for_its_time() -> None:
    """The next request goes to the other at once, one for another model does not; alone it is asked all the same."""
    limited = b"HTTP/1.1 429 No\r\nRetry-After: %d\r\nContent-Length: 2\r\n\r\nno"
    async with scripted(answering(limited % 9, OK, limited % 9, OK)) as one, scripted(answering(*[OK] * 3)) as other:
        providers = (
            provider(one.origin, name="one", models=("m", "n", "o")),
            provider(other.origin, name="other", models=("m",)),
        )
        async with proxying(one.origin, providers=providers, rules=()) as proxy:
            for model, count in ((b"m", 1), (b"m", 1), (b"n", 2), (b"o", 3), (b"o", 4)):
                reply = await ask(proxy, post(b'{"model": "%b"}' % model))
                assert count == len(one.seen)
                assert (200 if count != 3 else 429) == reply.status
            assert {("one", "m"), ("one", "o")} == proxy.service.cooldowns.limited()


async def test_a_429_to_a_clients_own_login_moves_nothing() -> None:
    limited = b"HTTP/1.1 429 No\r\nRetry-After: 9\r\nContent-Length: 2\r\n\r\nno"
    async with scripted(answering(limited)) as upstream:
        own = replace(provider(upstream.origin), endpoints=(Endpoint(protocol="openai-chat", auth="client"),))
        async with proxying(upstream.origin, providers=(own,)) as proxy:
            assert 429 == (await ask(proxy, post())).status
            assert not proxy.service.cooldowns.limited()
