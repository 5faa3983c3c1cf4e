"""A client that leaves while much of what it sent is unread: seen at once, and nothing is lost of what is pipelined."""

from __future__ import annotations

import anyio
import pytest
from chain import chained
from kit import BODY, GUARD_S, OK, Peer, connected, get, post, proxying, record_of, scripted

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True

MUCH = [100_000, 4_000_000]  # more than is read ahead; more than the kernel takes as well, so that no FIN gets through


async def pour(client: Peer, data: bytes) -> None:
    """Send as much as is taken, while somebody takes it."""
    with anyio.move_on_after(0.5):
        await client.send(data)


@pytest.mark.sample(1 / 4)
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/api/internal"])
@pytest.mark.parametrize("count", MUCH)
async def test_a_client_that_leaves_with_much_unread_takes_its_request_along(
    count: int, path: bytes, reset: bool
) -> None:
    asked = anyio.Event()

    async def silent(peer: Peer) -> None:
        await peer.read_message()
        asked.set()
        await peer.wait_gone()

    async with chained(silent) as (upstream, proxy, client):
        await client.send(post(path=path))
        await asked.wait()
        await pour(client, bytes(count))
        if reset:
            client.reset()
        else:
            await client.stream.aclose()
        with anyio.fail_after(GUARD_S):
            record = await record_of(proxy)

        assert ("client_gone", 1) == (record.outcome, upstream.count)


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_a_client_that_leaves_within_a_body_that_nobody_takes_is_seen(reset: bool) -> None:
    async def deaf(peer: Peer) -> None:
        await peer.read_head()
        await anyio.sleep_forever()

    async with (
        scripted(deaf, receive_bytes=4096) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        await client.send(get(b"/api/internal", b"Content-Length: 9000000", method=b"POST"))
        with anyio.move_on_after(1):
            while True:
                await client.send(bytes(4096))
        if reset:
            client.reset()
            with anyio.fail_after(GUARD_S):
                assert "client_gone" == (await record_of(proxy)).outcome


@pytest.mark.parametrize("size", [60, 90_000])
async def test_pipelined_requests_of_any_size_are_served_in_their_order(size: int) -> None:
    async def echo(peer: Peer) -> None:
        while True:
            message = await peer.read_message()
            await anyio.sleep(0.01)
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, message.body[:size]))

    bodies = [(b'{"model": "m", "n": "%d"}' % number).ljust(size) for number in range(20)]
    async with chained(echo) as (_, _, client):
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, b"".join(map(post, bodies)))
            for body in bodies:
                assert body[:30] == (await client.read_final()).body[:30]


async def test_a_client_that_sends_without_end_beyond_its_request_gets_its_reply_and_no_other() -> None:
    answer = anyio.Event()

    async def late(peer: Peer) -> None:
        await peer.read_message()
        await answer.wait()
        await peer.send(OK)
        await peer.wait_gone()

    async with chained(late) as (upstream, proxy, client):
        await client.send(post())
        async with anyio.create_task_group() as group:

            async def send() -> None:
                for _ in range(200):
                    await client.send(post(BODY.ljust(30_000)))
                answer.set()

            group.start_soon(send)
            reply = await client.read_final()

            assert (b"ok", b"close") == (reply.body, reply.one(b"connection"))
            assert b"" == await client.read_rest()
        assert 1 == upstream.count == len(proxy.service.journal.recent)
