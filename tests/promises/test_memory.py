"""Memory of a proxy in a process of its own, by the kernel's count: what many, slow and greedy peers can make it hold.

A model route holds the bodies that it reads; nothing else holds more than a few buffers for each connection. The
figures are those of the README. ``AMPMAP_MEMORY=full`` (``make memory``) has a hundred clients with 20 MB each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import process as process_module
import pytest
from bigbodies import (
    AMPS,
    CHAT,
    FULL,
    GUARD_S,
    PIECE_BYTES,
    base_of,
    conversation,
    measured,
    peak_of,
    swallow,
)
from kit import Peer, get, scripted
from process import MIB, Process, proxying_process

pytestmark = pytest.mark.sample(1 / 8)  # of each test's bodies, framings and loops

CLIENTS = 100 if FULL else 20
BODY_BYTES = (20 if FULL else 4) * MIB
CONNECTION_BYTES = 768 * 1024  # a connection and its upstream's, both stuck with full buffers; measured: 150 to 310 KiB
BODY_FACTOR = 1.2  # of what a model route holds for each byte of a body; measured: 0.99 to 1.03


@pytest.fixture(autouse=True, params=[process_module.ON_ASYNCIO, process_module.PROGRAM], ids=["asyncio", "uvloop"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "PROGRAM", request.param)


async def at_rest(it: Process, moved: Callable[[], int]) -> None:
    """Wait until nothing moves any more: everybody who could take something has taken it."""
    quiet, before = 0, (-1, -1.0)
    while quiet < 15:
        await anyio.sleep(0.02)
        now = (moved(), it.cpu_s)
        quiet, before = (quiet + 1 if now == before and it.is_asleep else 0), now  # it does not wait for a processor


async def all_at_once(calls: list[Callable[[], Awaitable[object]]]) -> None:
    async with anyio.create_task_group() as group:
        for call in calls:

            async def run(call: Callable[[], Awaitable[object]] = call) -> None:
                await call()

            group.start_soon(run)


BODIES = {
    "a name that stays": (CHAT, conversation(b"m", 20 * MIB), False),
    "a name that is mapped": (CHAT, conversation(b"alias", 20 * MIB), False),
    "characters beyond Latin-1": (CHAT, conversation(b"alias", 20 * MIB, "\N{ROBOT FACE}".encode()), False),
    "one large string": (CHAT, conversation(b"alias", 1000, bytes([65]) * (20 * MIB)), False),
    "chunks": (CHAT, conversation(b"alias", 20 * MIB), True),
}
THOUGHT = b'{"role": "assistant", "content": [{"type": "thinking", "thinking": "%b", "signature": ""}, 1]}, '
LOOKED_THROUGH = {
    "with tools": conversation(b"alias", 20 * MIB),
    "with characters beyond Latin-1": conversation(b"alias", 20 * MIB, "\N{ROBOT FACE}".encode()),
    "of characters beyond Latin-1": conversation(b"alias", 1000, "\N{ROBOT FACE}".encode() * (5 * MIB)),
    "one large string": conversation(b"alias", 1000, bytes([65]) * (20 * MIB)),
    "one large string of escapes": conversation(b"alias", 1000, b"\\n\\u00e9" * (20 * MIB // 8)),
    "dense numbers": b'{"x": [%b1], %b' % (b"1," * (10 * MIB), conversation(b"alias", 1000)[1:]),
    "dense messages": b'{"messages": [%b1], "tools": [], "model": "alias"}' % (b"1," * (10 * MIB)),
    "many tools": b'{"model": "alias", "tools": [%b1]}' % (b'{"name": "Read"},' * (20 * MIB // 17)),
    "thinking to be cut out": conversation(b"alias", 10 * MIB).replace(
        b"[", b"[" + THOUGHT % b"one" + (THOUGHT % (b"two" * 1000)) * 3400, 1
    ),
    "one large block to be cut out": conversation(b"alias", 1000).replace(b"[", b"[" + THOUGHT % (b"x" * 20 * MIB), 1),
}
CONDITIONAL = "[{from: alias, to: m, when: {system-prefix: You are}}, {from: alias, to: m}]"


@pytest.mark.parametrize(("path", "body", "chunked"), BODIES.values(), ids=BODIES.keys())
async def test_a_model_route_holds_a_body_once(path: bytes, body: bytes, chunked: bool, tmp_path: Path) -> None:
    assert await peak_of(path, body, chunked, tmp_path) <= BODY_FACTOR * len(body) + 2 * MIB


@pytest.mark.parametrize("body", LOOKED_THROUGH.values(), ids=LOOKED_THROUGH.keys())
async def test_a_body_of_amps_that_is_looked_through_is_held_once(body: bytes, tmp_path: Path) -> None:
    """For the facts that a rule's ``when`` asks for, for repairs and for tools."""
    assert await peak_of(AMPS, body, False, tmp_path, CONDITIONAL) <= BODY_FACTOR * len(body) + 2 * MIB


async def uploads(it: Process, path: bytes, model: bytes) -> tuple[int, int, list[int]]:
    """Let all clients send slowly, each a piece in its turn; return base and peak memory, and what they were told."""
    body = conversation(model, BODY_BYTES)
    statuses: list[int] = []
    base = await base_of(it)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(it.connected()) for _ in range(CLIENTS)]
        for client in clients:
            await client.send(get(path, b"Content-Length: %d" % len(body), method=b"POST"))
        for start in range(0, len(body), PIECE_BYTES):
            for client in clients:
                await client.send(body[start : start + PIECE_BYTES])

        async def read(client: Peer) -> None:
            statuses.append((await client.read_final()).status)

        await all_at_once([lambda client=client: read(client) for client in clients])  # type: ignore[misc]
    return base, it.peak_bytes, statuses


async def test_many_slow_bodies_on_a_model_route_are_held_once_each(tmp_path: Path) -> None:
    async with scripted(swallow) as upstream, proxying_process(tmp_path, upstream.origin, guard_s=GUARD_S) as it:
        base, peak, statuses = await uploads(it, b"/v1/chat/completions", b"alias")
        await at_rest(it, lambda: 0)
        after = it.resident_bytes

    measured(f"{CLIENTS} bodies of {BODY_BYTES // MIB} MiB", peak - base, CLIENTS * BODY_BYTES, "for each byte")
    measured("memory kept afterwards", after - base, 1, "")
    assert [200] * CLIENTS == statuses
    assert peak - base <= CLIENTS * (BODY_FACTOR * BODY_BYTES + CONNECTION_BYTES)
    assert after - base <= 0.1 * CLIENTS * BODY_BYTES + CLIENTS * CONNECTION_BYTES


async def test_many_slow_bodies_on_a_route_that_passes_them_on_are_not_held(tmp_path: Path) -> None:
    async with scripted(swallow) as upstream, proxying_process(tmp_path, upstream.origin, guard_s=GUARD_S) as it:
        base, peak, statuses = await uploads(it, b"/api/internal", b"m")

    measured(f"{CLIENTS} bodies passed on", peak - base, CLIENTS * 1024, "KiB for each connection")
    assert [200] * CLIENTS == statuses
    assert peak - base <= CLIENTS * CONNECTION_BYTES


@pytest.mark.parametrize("come_bytes", [0, 100_000])
async def test_a_body_that_is_announced_and_does_not_come_is_not_held(come_bytes: int, tmp_path: Path) -> None:
    async with (
        scripted(swallow) as upstream,
        proxying_process(tmp_path, upstream.origin, guard_s=GUARD_S) as it,
        AsyncExitStack() as stack,
    ):
        base = await base_of(it)
        for _ in range(CLIENTS):
            client = await stack.enter_async_context(it.connected())
            await client.send(get(CHAT, b"Content-Length: %d" % (60 * MIB), method=b"POST"), bytes(come_bytes))
        await at_rest(it, lambda: 0)
        used = it.peak_bytes - base

    measured("bodies that are only announced", used, CLIENTS * 1024, "KiB for each connection")
    assert used <= CLIENTS * CONNECTION_BYTES


class Pour:
    """Sends without end, and counts what was taken."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, peer: Peer, piece: bytes = bytes(PIECE_BYTES)) -> None:
        while True:
            await peer.send(piece)
            self.sent += len(piece)


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/api/internal"])
@pytest.mark.parametrize("framing", [b"Content-Length: 999999999999", b"Transfer-Encoding: chunked"])
async def test_a_fast_upstream_behind_clients_that_read_nothing_waits(
    path: bytes, framing: bytes, tmp_path: Path
) -> None:
    pour = Pour()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n\r\n" % framing)
        line = b"data: " + b"x" * (PIECE_BYTES - 8) + b"\n\n"
        await pour(peer, b"%x\r\n%b\r\n" % (len(line), line) if framing.endswith(b"chunked") else line)

    body = b'{"model": "alias"}'
    async with (
        scripted(script) as upstream,
        proxying_process(tmp_path, upstream.origin, guard_s=GUARD_S) as it,
        AsyncExitStack() as stack,
    ):
        base = await base_of(it)
        for _ in range(CLIENTS):
            client = await stack.enter_async_context(it.connected(receive_bytes=65_536))
            await client.send(get(path, b"Content-Length: %d" % len(body), method=b"POST") + body)
        await at_rest(it, lambda: pour.sent)
        used = it.peak_bytes - base

    measured("clients that read nothing", used, CLIENTS * 1024, "KiB for each connection")
    assert CLIENTS == upstream.count
    assert used <= CLIENTS * CONNECTION_BYTES


async def test_a_tunnel_between_two_that_read_nothing_waits(tmp_path: Path) -> None:
    pour = Pour()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await pour(peer)

    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying_process(tmp_path, upstream.origin, guard_s=GUARD_S) as it,
        AsyncExitStack() as stack,
    ):
        base = await base_of(it)
        clients = []
        for _ in range(CLIENTS):
            client = await stack.enter_async_context(it.connected(receive_bytes=65_536))
            await client.send(get(b"/api/internal", b"Connection: Upgrade", b"Upgrade: websocket"))
            assert 101 == (await client.read_head()).status
            clients.append(client)
        async with anyio.create_task_group() as group:
            for client in clients:
                group.start_soon(pour, client)
            await at_rest(it, lambda: pour.sent)
            used = it.peak_bytes - base
            group.cancel_scope.cancel()

    measured("tunnels that nobody reads from", used, CLIENTS * 1024, "KiB for each tunnel")
    assert CLIENTS == upstream.count
    assert used <= CLIENTS * CONNECTION_BYTES
