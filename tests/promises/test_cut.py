"""A reply that breaks off has to look broken even to a client that can't count its bytes."""

from __future__ import annotations

import anyio
import pytest
from chain import chained
from kit import Peer, get, record_of

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_a_reply_without_a_length_that_breaks_off_ends_in_a_reset(reset: bool) -> None:
    """HTTP/1.0 has no chunks: a polite end of the connection would be the end of the reply (RFC 9112 §8)."""
    delivered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await delivered.wait()
        if reset:
            peer.reset()

    async with chained(script) as (_, proxy, client):
        await client.send(get(version=b"1.0"))
        await client.read_until(b"hello")
        delivered.set()
        with pytest.raises(anyio.BrokenResourceError):
            await client.wait_ended()

        assert (200, "upstream_truncated") == ((record := await record_of(proxy)).status, record.outcome)


async def test_a_reply_without_a_length_that_is_whole_ends_politely() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

    async with chained(script) as (_, proxy, client):
        await client.send(get(version=b"1.0"))
        await client.read_until(b"hello")
        await client.wait_ended()

        assert "ok" == (await record_of(proxy)).outcome
