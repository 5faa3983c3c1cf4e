"""Bodies and replies of the relay's tests."""

from __future__ import annotations

import anyio
from kit import (
    Peer,
    Script,
    get,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = 20 * 1024 * 1024


def model_body(size: int) -> bytes:
    """A body of ``size`` bytes for the model ``m``."""
    return b'{"model": "m", "pad": "' + b"x" * (size - 25) + b'"}'


def streamed(*lines: bytes) -> bytes:
    """The head of a request whose body is passed on while it arrives."""
    return get(b"/api/internal", b"Transfer-Encoding: chunked", *lines, method=b"POST")


def once(raw: bytes) -> Script:
    """Answer one request with ``raw``; close when that is what ends it."""

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(raw)
        if b"Content-Length" in raw or b"chunked" in raw:
            await peer.wait_gone()

    return script


TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"


async def refuse_early(peer: Peer) -> None:
    """Answer after the first bytes of the body, and read no more."""
    await peer.read_until(b"\r\n\r\n")
    await peer.send(TOO_LARGE)
    await anyio.sleep_forever()


# Upstreams that stay silent.


async def silent(peer: Peer) -> None:
    await peer.read_message()
    await peer.wait_gone()
