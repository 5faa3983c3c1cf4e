"""Replies and bodies that pass through TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from anyio.streams.tls import TLSStream
from kit import (
    OK,
    Peer,
    Script,
    Scripted,
    answering,
    ask,
    connected,
    post,
    provider,
    proxying,
    record_of,
    scripted,
    until,
)
from relayed import CHUNKED, LARGE, model_body, refuse_early
from servertls import server_tls

from ampmap.server import Server
from ampmap.settings import Origin

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


@asynccontextmanager
async def proxying_by_tls(
    script: Script, authority: trustme.CA, tmp_path: Path, **more: Any
) -> AsyncIterator[tuple[Server, Scripted]]:
    """Run a proxy whose one provider follows ``script`` over TLS."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = server_tls(authority.issue_cert("localhost"))
    async with scripted(script, tls=context, **more) as upstream:
        secure = provider(Origin("https", "localhost", upstream.origin.port), ca_file=str(ca_file))
        async with proxying(upstream.origin, providers=(secure,)) as proxy:
            yield proxy, upstream


async def test_replies_stream_through_tls(authority: trustme.CA, tmp_path: Path) -> None:
    go = anyio.Event()

    async def script(peer: Peer) -> None:
        for _ in range(2):
            assert b'{"model": "m"}' == (await peer.read_message()).body
            await peer.send(CHUNKED + b"5\r\nhello\r\n")
            await go.wait()
            await peer.send(b"0\r\n\r\n")
        await peer.wait_gone()

    async with proxying_by_tls(script, authority, tmp_path) as (proxy, upstream), connected(proxy) as client:
        await client.send(post())
        await client.read_until(b"hello\r\n")
        go.set()
        assert b"0\r\n\r\n" == await client.read_exactly(5)
        assert b"hello" == (await ask(proxy, post())).body

        assert 1 == upstream.count
        await until(lambda: 1 == proxy.service.pool.idle_count)


async def test_a_large_body_goes_through_tls(authority: trustme.CA, tmp_path: Path) -> None:
    body = model_body(3_000_000)
    async with proxying_by_tls(answering(OK), authority, tmp_path) as (proxy, upstream):
        assert 200 == (await ask(proxy, post(body))).status

        assert body == upstream.seen[0].body
        await until(lambda: 1 == proxy.service.pool.idle_count)


async def test_a_reply_that_tls_cannot_prove_whole_is_cut(authority: trustme.CA, tmp_path: Path) -> None:
    delivered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await delivered.wait()
        peer.transport.abort()  # the socket below TLS: no close_notify is sent

    async with proxying_by_tls(script, authority, tmp_path) as (proxy, _), connected(proxy) as client:
        await client.send(post())
        await client.read_until(b"hello")
        delivered.set()

        assert b"\r\n" == await client.read_rest()
        assert "upstream_truncated" == (await record_of(proxy)).outcome


async def test_a_reply_that_tls_proves_whole_is_ended(authority: trustme.CA, tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await peer.stream.aclose()  # says so: close_notify

    async with proxying_by_tls(script, authority, tmp_path) as (proxy, _):
        reply = await ask(proxy, post())

        assert (b"hello", True) == (reply.body, reply.whole)
        assert "ok" == (await record_of(proxy)).outcome


async def test_a_reply_that_is_tampered_with_is_cut(authority: trustme.CA, tmp_path: Path) -> None:
    delivered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        await delivered.wait()
        await peer.raw.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        await peer.wait_gone()

    async with proxying_by_tls(script, authority, tmp_path) as (proxy, _), connected(proxy) as client:
        await client.send(post())
        await client.read_until(b"hello\r\n")
        delivered.set()

        assert b"" == await client.read_rest()
        assert "upstream_truncated" == (await record_of(proxy)).outcome


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b"x"])
async def test_what_tls_holds_beyond_a_reply_answers_no_other_request(
    more: bytes, authority: trustme.CA, tmp_path: Path
) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        assert isinstance(peer.stream, TLSStream)
        peer.stream._ssl_object.write(OK)
        peer.stream._ssl_object.write(more)
        await peer.raw.send(peer.stream._write_bio.read())  # two records in one piece
        await peer.wait_gone()

    async with proxying_by_tls(script, authority, tmp_path) as (proxy, upstream):
        for _ in range(3):
            assert b"ok" == (await ask(proxy, post())).body

        assert 3 == upstream.count


async def test_a_goodbye_within_the_reply_s_last_piece_ends_a_tls_connection(
    authority: trustme.CA, tmp_path: Path
) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        assert isinstance(peer.stream, TLSStream)
        peer.stream._ssl_object.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        with suppress(ssl.SSLError):
            peer.stream._ssl_object.unwrap()
        await peer.raw.send(peer.stream._write_bio.read())
        await peer.raw.receive()

    async with proxying_by_tls(script, authority, tmp_path) as (proxy, upstream):
        assert 204 == (await ask(proxy, post())).status
        assert 204 == (await ask(proxy, post())).status

        assert 2 == upstream.count


async def test_an_early_reply_comes_through_tls(authority: trustme.CA, tmp_path: Path) -> None:
    async with proxying_by_tls(refuse_early, authority, tmp_path, receive_bytes=65_536) as (proxy, _):
        reply = await ask(proxy, post(model_body(LARGE)))

        assert (413, b"big") == (reply.status, reply.body)


async def test_a_client_that_leaves_ends_a_tls_connection(authority: trustme.CA, tmp_path: Path) -> None:
    asked, left = anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        asked.set()
        await peer.wait_gone()
        left.set()

    async with proxying_by_tls(script, authority, tmp_path) as (proxy, _), connected(proxy) as client:
        await client.send(post())
        await asked.wait()
        await client.close()
        await left.wait()

        assert "client_gone" == (await record_of(proxy)).outcome
