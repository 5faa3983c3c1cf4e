"""Repairs on the way, seen at both ends on real sockets: requests, tool names, gzip that nobody named."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from kit import record_of

from ampmap.config.file import parse
from ampmap.server import Server, running


@asynccontextmanager
async def answering(
    head: bytes, body: bytes, *, cut_at: int | None = None
) -> AsyncIterator[tuple[Server, httpx.AsyncClient, list[bytes]]]:
    """A proxy before an upstream that answers everything alike, as a provider and as Amp; it notes what it was sent."""
    seen: list[bytes] = []

    async def answer(stream: SocketStream) -> None:
        async with stream:
            request = b""
            while b"\r\n\r\n" not in request:
                request += await stream.receive()
            length = [line for line in request.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            while length and len(request.partition(b"\r\n\r\n")[2]) < int(length[0].partition(b":")[2]):
                request += await stream.receive()
            seen.append(request)
            await stream.send(head + body[:cut_at])

    listener = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners[0]
    async with listener:
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, answer)
            url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
            text = f"""
listen: 127.0.0.1:0
amp-upstream-url: {url}
amp-model-mappings: [{{from: asked, to: m}}]
providers: [{{name: p, base-url: '{url}', protocols: [anthropic], models: [m]}}]
"""
            async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
                async with httpx.AsyncClient(base_url=proxy.url) as client:
                    yield proxy, client, seen
            group.cancel_scope.cancel()


def replied(body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))


BODY = (
    b'{"model":"asked","big":12345678901234567890,"messages":[{"role":"user","content":"hi"},'
    b'{"role":"assistant","content":[{"type":"thinking","thinking":"?"},'
    b'{"type":"tool_use","name":"Bash","input":{"n":1.0},"signature":"x"}]}],"tools":[{"name":"Bash"}]}'
)
REPAIRED = (
    b'{"model":"m","big":12345678901234567890,"messages":[{"role":"user","content":"hi"},'
    b'{"role":"assistant","content":['
    b'{"type":"tool_use","name":"Bash","input":{"n":1.0}}]}],"tools":[{"name":"Bash"}]}'
)
ANSWER = b'{"model":"m","content":[{"type":"tool_use","id":"t","name":"bash","input":{"name":"bash"}}]}'


async def test_requests_of_amps_clients_are_mended_and_tools_get_the_casing_that_they_advertise() -> None:
    async with answering(replied(ANSWER), ANSWER) as (_, client, seen):
        headers = {"anthropic-beta": "a, context-1m-2025-08-07", "content-digest": "sha-256=:x:"}
        reply = await client.post("/api/provider/anthropic/v1/messages", content=BODY, headers=headers)

    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert REPAIRED == body
    assert b"anthropic-beta: a" in head.split(b"\r\n")
    assert b"content-digest" not in head.lower()
    assert b"Accept-Encoding: identity" in head
    assert (
        ANSWER.replace(b'"m"', b'"asked"').replace(b'"name":"bash","input"', b'"name":"Bash","input"') == reply.content
    )


async def test_other_clients_get_nothing_mended_but_the_model() -> None:
    async with answering(replied(ANSWER), ANSWER) as (_, client, seen):
        reply = await client.post("/v1/messages", content=BODY, headers={"anthropic-beta": "context-1m-2025-08-07"})

    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert BODY.replace(b"asked", b"m") == body
    assert b"context-1m-2025-08-07" in head
    assert ANSWER.replace(b'"m"', b'"asked"') == reply.content


async def test_a_local_model_is_repaired_without_being_renamed() -> None:
    async with answering(replied(ANSWER), ANSWER) as (_, client, seen):
        body = BODY.replace(b"asked", b"m")
        reply = await client.post("/api/provider/anthropic/v1/messages", content=body)

    assert REPAIRED == seen[0].partition(b"\r\n\r\n")[2]
    assert b'"name":"Bash","input":{"name":"bash"}' in reply.content


async def test_what_goes_to_amp_and_comes_from_it_keeps_its_bytes() -> None:
    async with answering(replied(ANSWER), ANSWER) as (_, client, seen):
        body = BODY.replace(b"asked", b"unknown")
        headers = {"anthropic-beta": "context-1m-2025-08-07"}
        reply = await client.post("/api/provider/anthropic/v1/messages", content=body, headers=headers)

    assert body == seen[0].partition(b"\r\n\r\n")[2]
    assert b"context-1m-2025-08-07" in seen[0]
    assert ANSWER == reply.content


PLAIN = json.dumps({"ok": False, "error": "no", "pad": "x" * 200_000}).encode()


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("status", [200, 402])
async def test_gzip_that_nobody_named_is_decoded_with_any_status_and_framing(framing: str, status: int) -> None:
    packed = gzip.compress(PLAIN[:1000]) + gzip.compress(PLAIN[1000:])
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nConnection: close\r\n" % status
    if framing == "length":
        head, sent = head + b"Content-Length: %d\r\n\r\n" % len(packed), packed
    elif framing == "chunked":
        head, sent = head + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    else:
        head, sent = head + b"\r\n", packed
    async with answering(head, sent) as (proxy, client, _):
        reply = await client.get("/api/user")

        assert (status, PLAIN) == (reply.status_code, reply.content)
        assert "ok" == proxy.service.journal.recent[-1].outcome


@pytest.mark.parametrize(
    "body", [PLAIN, b"x", b"\x1f", b"\x1f\x8b not gzip at all, though it begins so", gzip.compress(PLAIN)[:-9]]
)
async def test_what_is_no_gzip_or_damaged_from_the_start_passes_as_it_came(body: bytes) -> None:
    async with answering(replied(body), body) as (_, client, _):
        reply = await client.get("/api/user")

        assert body == reply.content
        assert str(len(body)) == reply.headers["content-length"]


async def test_gzip_in_an_event_stream_or_under_its_name_is_left_alone() -> None:
    packed = gzip.compress(PLAIN)
    async with answering(replied(packed, b"text/event-stream"), packed) as (_, client, _):
        assert packed == (await client.get("/api/user")).content
    named = replied(packed).replace(b"Connection", b"Content-Encoding: gzip\r\nConnection")
    async with answering(named, packed) as (_, client, _):
        reply = await client.get("/api/user")
        assert ("gzip", PLAIN) == (reply.headers["content-encoding"], reply.content)


async def test_a_decoded_reply_that_breaks_off_is_visibly_cut() -> None:
    packed = gzip.compress(bytes(range(256)) * 40_000 + json.dumps([*range(300_000)]).encode())
    async with answering(replied(packed), packed, cut_at=len(packed) - 50) as (proxy, client, _):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/api/user")

        assert "upstream_truncated" == (await record_of(proxy)).outcome
