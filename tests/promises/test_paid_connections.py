"""Cost is judged by what a connection can carry: WebSockets and bodies under ``/api/provider/``, by any method."""

from __future__ import annotations

import json

import pytest
from chain import chained
from kit import OK, answering, ask, connected, get, proxying, record_of, scripted
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from ampmap.settings import Endpoint, Origin, Provider

pytestmark = pytest.mark.usefixtures("nothing_left")

SOCKET = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: YQ==")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
MODEL_PATHS = {
    b"/v1/messages": "anthropic",
    b"/v1/responses": "openai-responses",
    b"/responses": "openai-responses",
    b"/v1/chat/completions": "openai-chat",
    b"/v1beta/models/gemini-3:streamGenerateContent": "gemini",
    b"/v1beta1/publishers/google/models/gemini-3:generateContent": "gemini",
}


def speaking(origin: Origin, *protocols: str, translate: bool | None = None) -> Provider:
    endpoints = tuple(Endpoint(protocol=protocol) for protocol in protocols)
    return Provider(name="p", origin=origin, endpoints=endpoints, translate=translate)


def message_in(body: bytes, protocol: str) -> str:
    """Return an error's message from where the clients of a format read it."""
    told = json.loads(body)
    assert ("error" == told.get("type")) == (protocol == "anthropic")
    assert ("status" in told["error"]) == (protocol == "gemini")
    return str(told["error"]["message"])


@pytest.mark.parametrize("segment", [b"", b"/api/provider/any"])
@pytest.mark.parametrize(("path", "protocol"), MODEL_PATHS.items(), ids=lambda each: str(each))
async def test_a_websocket_on_a_model_path_is_told_to_use_http(path: bytes, protocol: str, segment: bytes) -> None:
    async with scripted(answering(OK)) as amp:
        async with proxying(amp.origin, providers=(speaking(amp.origin, protocol),)) as proxy:
            reply = await ask(proxy, get(segment + path, *SOCKET))
            record = await record_of(proxy)

    assert 426 == reply.status
    assert (b"HTTP/1.1", b"Upgrade") == (reply.one(b"upgrade"), reply.one(b"connection"))
    assert "over HTTP" in message_in(reply.body, protocol)
    assert (protocol, "none") == (record.protocol, record.cost)
    assert 0 == amp.count


async def test_after_a_426_the_same_connection_serves_http() -> None:
    async with chained(answering(OK)) as (_, _, client):
        await client.send(get(b"/v1/chat/completions", *SOCKET))
        first = await client.read_final()
        await client.send(get(b"/v1/models"))

        assert (426, 200) == (first.status, (await client.read_final()).status)


@pytest.mark.parametrize("path", MODEL_PATHS)
async def test_no_websocket_leaves_a_proxy_without_an_amp_upstream(path: bytes) -> None:
    async with proxying(None, providers=()) as proxy:
        assert 426 == (await ask(proxy, get(b"/api/provider/any" + path, *SOCKET))).status


# Requests under /api/provider/ that no local provider can serve, and that could carry one that costs credits.
PAID = {
    "responses over a WebSocket": get(b"/api/provider/openai/v1/responses", *SOCKET),
    "realtime": get(b"/api/provider/openai/v1/realtime?model=gpt-realtime", *SOCKET),
    "Gemini Live": get(
        b"/api/provider/google/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", *SOCKET
    ),
    "GET with a body": get(b"/api/provider/x/v1/answers", b"Content-Length: 2") + b"{}",
    "GET with chunks": get(b"/api/provider/x/v1/answers", b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
    "HEAD with a body": get(b"/api/provider/x/v1/answers", b"Content-Length: 2", method=b"HEAD") + b"{}",
    "GET that says POST": get(b"/api/provider/x/v1/answers", b"X-HTTP-Method-Override: POST"),
    "PUT": get(b"/api/provider/x/v1/answers", b"Content-Length: 2", method=b"PUT") + b"{}",
    "QUERY": get(b"/api/provider/x/v1/answers", b"Content-Length: 2", method=b"QUERY") + b"{}",
}


@pytest.mark.parametrize(("name", "request_"), PAID.items(), ids=PAID.keys())
async def test_whatever_can_carry_a_paid_request_is_refused_before_a_byte_leaves(name: str, request_: bytes) -> None:
    async with scripted(answering(OK)) as amp:
        chat = speaking(amp.origin, "openai-chat", translate=False)
        async with proxying(amp.origin, providers=(chat,), credits="refuse") as proxy:
            reply = await ask(proxy, request_, no_body=name.startswith("HEAD"))
            record = await record_of(proxy)

    assert (403, 0) == (reply.status, amp.count)
    assert ("none", "error") == (record.cost, record.source)


@pytest.mark.parametrize(("name", "request_"), PAID.items(), ids=PAID.keys())
async def test_whatever_can_carry_a_paid_request_is_recorded_as_paid(name: str, request_: bytes) -> None:
    is_socket = b"websocket" in request_
    async with scripted(answering(SWITCHED if is_socket else OK)) as amp:
        chat = speaking(amp.origin, "openai-chat", translate=False)
        async with proxying(amp.origin, providers=(chat,)) as proxy:
            async with connected(proxy) as client:
                await client.send(request_)
                reply = await client.read_head()
            record = await record_of(proxy)

    assert (101 if is_socket else 200) == reply.status
    assert ("AMP_CREDITS", "amp_credits") == (record.route_type, record.cost)


@pytest.mark.parametrize(
    "request_",
    [
        get(b"/api/provider/x/v1/answers"),
        get(b"/api/provider/x/v1/answers", b"Content-Length: 0"),
        get(b"/api/provider/x/v1/answers", method=b"HEAD"),
        get(b"/api/provider/x/v1/answers", b"Upgrade: h2c", b"Connection: Upgrade"),  # which is not passed on
        get(b"/api/provider/x/v1/answers", *SOCKET, version=b"1.0"),  # nor is this
        get(b"/api/internal/socket", *SOCKET),
    ],
)
async def test_what_can_carry_nothing_that_is_paid_stays_management(request_: bytes) -> None:
    async with scripted(answering(OK)) as amp, proxying(amp.origin, credits="refuse") as proxy:
        reply = await ask(proxy, request_, no_body=b"HEAD" in request_)
        record = await record_of(proxy)

    assert (200, "MANAGEMENT", "none") == (reply.status, record.route_type, record.cost)


async def test_a_real_websocket_under_a_provider_passes_and_is_paid() -> None:
    async def echo(websocket: ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with proxying(Origin("http", "127.0.0.1", port), providers=()) as proxy:
            url = proxy.url.replace("http", "ws") + "/api/provider/openai/v1/responses"
            async with connect(url, proxy=None) as client:
                await client.send("hello")
                assert "hello" == await client.recv()
            record = await record_of(proxy)

    assert ("AMP_CREDITS", "amp_credits", 101) == (record.route_type, record.cost, record.status)


@pytest.mark.parametrize(("translate", "wanted"), [(True, 426), (False, 101)])
async def test_a_provider_that_serves_the_format_keeps_a_websocket_from_amp(translate: bool, wanted: int) -> None:
    async with scripted(answering(SWITCHED)) as amp:
        chat = speaking(amp.origin, "openai-chat", translate=translate)
        async with proxying(amp.origin, providers=(chat,)) as proxy:
            spoken = await ask(proxy, get(b"/api/provider/openai/v1/chat/completions", *SOCKET))
            async with connected(proxy) as client:
                await client.send(get(b"/api/provider/openai/v1/responses", *SOCKET))
                other = await client.read_head()

    assert (426, wanted) == (spoken.status, other.status)
