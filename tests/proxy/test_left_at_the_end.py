"""A client that leaves after a stream's last event has the whole reply, although the upstream has not ended it."""

from __future__ import annotations

import json

import pytest
from chain import chained
from kit import Peer, connected, post, proxying, record_of, scripted
from rows import Rows
from translated import CHAT, USER, asking, chunked, speaking

from ampmap.formats.registry import FORMATS

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
REQUESTS = Rows("tests/proxy/test_left_at_the_end.py: REQUESTS", "a request for a stream", {
    "anthropic": asking(stream=True),
    "openai-chat": asking(path=b"/v1/chat/completions", stream=True),
    "openai-responses": asking(path=b"/v1/responses", stream=True),
    "gemini": post(b"{}", path=b"/v1beta/models/m:streamGenerateContent?alt=sse"),
})  # fmt: skip
STREAMS = {name: list(FORMATS[name].sample_events("m", ["Hello", "you"])) for name in FORMATS}
CUTS = {"whole": 0, "cut in its name": 9, "cut before its last byte": -1}


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize("name", FORMATS)
async def test_a_client_that_leaves_after_the_last_event_has_the_whole_reply(name: str, cut: int, reset: bool) -> None:
    """Gemini's streams have no last event: their clients read to the end, and one that leaves before has left."""
    *events, last = STREAMS[name]

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(HEAD + chunked(*events))
        for part in filter(None, (last[:cut], last[cut:])):
            await peer.send(chunked(part))
        await peer.wait_gone()

    async with (
        scripted(script) as upstream,
        proxying(None, providers=(speaking(name, upstream.origin),)) as proxy,
        connected(proxy) as client,
    ):
        await client.send(REQUESTS[name])
        await client.read_until(last[cut:] + b"\r\n")
        (client.reset if reset else client.transport.close)()
        record = await record_of(proxy)

    has_all = bool(FORMATS[name].last_events)
    assert (200, "ok" if has_all else "client_gone") == (record.status, record.outcome)
    assert ("" if has_all else "the client left") == record.detail
    assert len(b"".join(STREAMS[name])) == record.bytes_out


@pytest.mark.parametrize("name", FORMATS)
async def test_a_client_that_leaves_before_the_last_event_has_left(name: str) -> None:
    *events, _ = STREAMS[name]

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(HEAD + chunked(*events))
        await peer.wait_gone()

    async with (
        scripted(script) as upstream,
        proxying(None, providers=(speaking(name, upstream.origin),)) as proxy,
        connected(proxy) as client,
    ):
        await client.send(REQUESTS[name])
        await client.read_until(events[-1] + b"\r\n")
        client.transport.close()

        assert (200, "client_gone") == ((record := await record_of(proxy)).status, record.outcome)


@pytest.mark.parametrize("renamed", [False, True])
async def test_it_has_the_whole_of_a_filtered_and_of_a_translated_reply(renamed: bool) -> None:
    model = "alias" if renamed else "m"
    stream = STREAMS["anthropic" if renamed else CHAT]

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(HEAD + chunked(*stream))
        await peer.wait_gone()

    async with scripted(script) as upstream:
        providers = None if renamed else (speaking(CHAT, upstream.origin),)
        async with (
            proxying(upstream.origin if renamed else None, providers=providers) as proxy,
            connected(proxy) as client,
        ):
            await client.send(asking(model=model, stream=True))
            await client.read_until(b'"message_stop"}\n\n\r\n')
            client.transport.close()
            record = await record_of(proxy)

    assert (model, "ok") == (record.requested_model, record.outcome)
    assert ("" if renamed else "anthropic -> openai-chat") == record.translated


async def test_a_client_that_leaves_after_a_stated_failure_has_read_the_failure() -> None:
    *events, _, _ = STREAMS[CHAT]
    failure = b'data: {"error": {"message": "too much to do", "code": 529}}\n\n'

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(HEAD + chunked(*events, failure))
        await peer.wait_gone()

    async with (
        scripted(script) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
        connected(proxy) as client,
    ):
        await client.send(asking(messages=[USER], stream=True))
        await client.read_until(b"too much to do")
        client.transport.close()
        record = await record_of(proxy)

    assert (200, "upstream_error") == (record.status, record.outcome)
    assert "too much to do" in record.detail


async def test_words_of_a_last_event_within_a_text_are_none() -> None:
    said = json.dumps({"choices": [{"index": 0, "delta": {"content": '\ndata: [DONE]\n\n{"type":"message_stop"}'}}]})

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(HEAD + chunked(f"data: {said}\n\n".encode()))
        await peer.wait_gone()

    async with chained(script) as (_, proxy, client):
        await client.send(REQUESTS[CHAT])
        await client.read_until(b"]}\n\n\r\n")
        client.transport.close()

        assert "client_gone" == (await record_of(proxy)).outcome
