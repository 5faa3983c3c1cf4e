"""Large bodies, and the memory of a proxy that serves them."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
from kit import OK, Peer, get, scripted
from process import MIB, Process, configuration, process

FULL = os.environ.get("AMPMAP_MEMORY") == "full"
GUARD_S = 300.0 if FULL else 30.0

BASE_BYTES = 60 * MIB  # a proxy that has served a request; measured: 33 MiB

PIECE_BYTES = 65_536


async def swallow(peer: Peer) -> None:
    """Take each request's body without keeping it, then answer."""
    while True:
        head = await peer.read_head()
        if head.one(b"transfer-encoding"):
            while not peer.buffer.endswith(b"0\r\n\r\n"):
                peer.buffer = peer.buffer[-5:] + await peer.stream.receive()
        else:
            left = int(head.one(b"content-length") or 0) - len(peer.buffer)
            while left > 0:
                left -= len(await peer.stream.receive())
        peer.buffer = b""
        await peer.send(OK)


def conversation(model: bytes, count: int, first: bytes = b"") -> bytes:
    """Return a body of ``count`` bytes, more or less, as a coding agent's are; its model's name stands at the end."""
    line = b'if (a < b) { return \\"x\\"; }\\n\\t'
    message = b'{"role": "user", "content": [{"type": "text", "text": "%b"}]}'
    messages = [message % first, *[message % (line * (32_768 // len(line)))] * (count // 32_768)]
    tail = b'], "tools": [{"name": "Read", "input_schema": {}}], "model": "%b"}' % model
    return b'{"messages": [' + b", ".join(messages) + tail


def measured(what: str, used: int, per: int, unit: str) -> None:
    """Print a figure, which pytest shows with ``-s``; the tests' bounds are wider."""
    print(f"\n{what}: {used / MIB:.1f} MiB, {used / per:.3f} {unit}")  # noqa: T201


async def base_of(it: Process) -> int:
    """Return what a proxy has that has served a request, and measure the peak from now on."""
    assert 200 == (await it.ask(get(b"/"))).status
    base = it.resident_bytes
    it.forget_peak()
    assert base < BASE_BYTES
    return base


CHAT, AMPS = b"/v1/chat/completions", b"/api/provider/anthropic/v1/messages"
PLAIN = "[{from: alias, to: m}]"


async def peak_of(path: bytes, body: bytes, chunked: bool, directory: Path, rules: str = PLAIN) -> int:
    """Return how much more memory a proxy has had while it served one request."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    file = directory / "ampmap.yaml"
    async with scripted(swallow) as upstream:
        text = configuration(upstream.origin)
        assert PLAIN in text
        file.write_text(text.replace(PLAIN, rules))
        with process("--config", str(file)) as it, anyio.fail_after(GUARD_S):
            async with it.connected() as client:
                used = await peak_of_one(it, client, get(path, framing, method=b"POST"), body, chunked)
    measured("one body of 20 MiB", used, len(body), "bytes for each of its bytes")
    return used


async def peak_of_one(it: Process, client: Peer, head: bytes, body: bytes, chunked: bool) -> int:
    """Send one request; return how much more memory the proxy has had meanwhile than before."""
    base = await base_of(it)
    await client.send(head)
    for start in range(0, len(body), PIECE_BYTES):
        piece = body[start : start + PIECE_BYTES]
        await client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    await client.send(b"0\r\n\r\n" if chunked else b"")
    assert 200 == (await client.read_final()).status
    return it.peak_bytes - base
