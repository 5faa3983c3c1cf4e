"""Replies of providers that come otherwise than they were asked for, or than they say: encoded, or mislabelled.

The model's name is given back all the same, where anybody can read it; what was true of the old bytes alone goes.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import anyio
import pytest
from chain import chained
from kit import Message, Peer, answering, ask, connected, post, proxying, record_of, scripted
from turnlengths import TRIES, BestOf, turns

BOTH_LOOPS = True

ASKED = post(b'{"model": "alias"}')
JSON = b'{"id": 1, "model": "m", "text": "\xc3\xa9"}'
EVENTS = b': hello\n\ndata: {"model": "m"}\n\ndata: [DONE]\n\n'


def raw_deflate(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


def in_members(data: bytes) -> bytes:
    return gzip.compress(data[:9]) + gzip.compress(data[9:])


def renamed(data: bytes) -> bytes:
    return data.replace(b'"m"', b'"alias"')


def with_length(body: bytes, *lines: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (joined(lines), len(body), body)


def in_chunks(body: bytes, *lines: bytes) -> bytes:
    pieces = (body[:1], body[1:7], body[7:])
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    return b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (joined(lines), chunks)


def joined(lines: tuple[bytes, ...]) -> bytes:
    return b"".join(line + b"\r\n" for line in lines)


async def answered(reply: bytes, request: bytes = ASKED) -> tuple[Message, str]:
    """What a client gets of a provider's reply, and the record's words about it."""
    async with scripted(answering(reply)) as upstream, proxying(upstream.origin) as proxy:
        message = await ask(proxy, request)
        return message, (await record_of(proxy)).detail


@pytest.mark.parametrize("framed", [with_length, in_chunks])
@pytest.mark.parametrize("body", [JSON, EVENTS])
@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        (b"gzip", gzip.compress),
        (b"GZip", in_members),
        (b"x-gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", raw_deflate),
        (b"gzip", bytes),  # the word was left on by somebody who had decoded it
        (b"none", bytes),
        (b"identity", bytes),
        (b"", bytes),
        (b"utf-8", bytes),
        (b"none, gzip", gzip.compress),
    ],
)
async def test_a_name_is_given_back_whatever_the_coding(
    coding: bytes, encode: Callable[[bytes], bytes], body: bytes, framed: Callable[..., bytes]
) -> None:
    """Identity was asked for; digests and tags of the bytes that came are of no others."""
    lines = (b"Content-Encoding: " + coding, b'ETag: "x"', b"Content-MD5: x", b"X-Kept: 1")

    reply, detail = await answered(framed(encode(body), *lines))

    assert renamed(body) == reply.body
    assert ([], [], [b"1"]) == (reply.all(b"etag"), reply.all(b"content-md5"), reply.all(b"x-kept"))
    assert not {b"gzip", b"deflate"} & {reply.one(b"content-encoding")}
    assert (True, "") == (reply.whole, detail)


@pytest.mark.parametrize("kind", [b"text/event-stream", b"application/json", b"application/x-ndjson", b"text/plain"])
@pytest.mark.parametrize("body", [JSON, EVENTS, b" \n" + JSON + b"\n" + JSON, b"[" + JSON + b",\n" + JSON + b"]"])
async def test_a_name_is_given_back_whatever_the_content_type(kind: bytes, body: bytes) -> None:
    reply, _ = await answered(in_chunks(body, b"Content-Type: " + kind))

    assert renamed(body) == reply.body


async def test_another_coding_passes_and_the_record_says_so() -> None:
    reply, detail = await answered(with_length(b"?", b"Content-Encoding: br", b'ETag: "x"'))

    assert (b"?", b"br", b'"x"') == (reply.body, reply.one(b"content-encoding"), reply.one(b"etag"))
    assert "the reply is encoded (br), so its model name was not restored" == detail


async def test_what_the_client_asked_for_itself_passes_as_it_came() -> None:
    """Nothing in it is to be changed."""
    body = gzip.compress(JSON)

    reply, _ = await answered(with_length(body, b"Content-Encoding: gzip"), post(b'{"model": "m"}'))

    assert (body, b"gzip") == (reply.body, reply.one(b"content-encoding"))


async def test_each_event_of_an_encoded_stream_leaves_when_it_comes() -> None:
    squeezer = zlib.compressobj(wbits=31)
    seen = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        await peer.send(squeezer.compress(b'data: {"model": "m"}\n\n') + squeezer.flush(zlib.Z_SYNC_FLUSH))
        await seen.wait()
        await peer.send(squeezer.compress(b"data: 2\n\n") + squeezer.flush())

    async with chained(script) as (_, _, client):
        await client.send(ASKED)
        await client.read_until(b'data: {"model": "alias"}\n\n\r\n')
        seen.set()
        await client.read_until(b"data: 2\n\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("end", ["damage", "cut"])
async def test_damage_that_is_met_later_cuts_the_connection(end: str) -> None:
    whole = gzip.compress(JSON * 9)
    body = whole[:-8] + bytes(8) if end == "damage" else whole[:-9]

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + whole[:-12])
        await left.wait()
        await peer.send(body[-len(body) + len(whole) - 12 :])

    left = anyio.Event()
    async with chained(script) as (_, proxy, client):
        await client.send(ASKED)
        await client.read_until(b"alias")
        left.set()
        assert not (await client.read_rest()).endswith(b"0\r\n\r\n")
        record = await record_of(proxy)

    assert (200, "upstream_error") == (record.status, record.outcome)
    assert "gzip" in record.detail


async def test_damage_that_is_met_at_once_is_an_error() -> None:
    reply, detail = await answered(with_length(b"\x1f\x8b no gzip", b"Content-Encoding: gzip"))

    assert (502, None) == (reply.status, reply.one(b"content-encoding"))
    assert "damaged gzip" in detail


# --- nobody is held up ------------------------------------------------------------------------------------------------


@pytest.mark.sample(1 / 8)
@pytest.mark.parametrize("coding", ["plain", "gzip"])
@pytest.mark.parametrize("unit", [b",", b'""', b"[]", b'"model":"",', b',"\\'], ids=repr)
async def test_no_reply_holds_the_loop_while_it_is_renamed(unit: bytes, coding: str) -> None:
    """The oddest JSON, as much of it at once as a read brings or a step decodes."""
    body = b"{" + unit * (150_000 // len(unit))
    reply = with_length(body)
    if coding == "gzip":
        reply = with_length(gzip.compress(body), b"Content-Encoding: gzip")

    best = BestOf(0.005)
    async with scripted(answering(*[reply] * TRIES)) as upstream, proxying(upstream.origin) as proxy:
        for _ in best:
            async with turns() as took, connected(proxy) as client:
                await client.send(ASKED)
                came, last = 0, b""
                while not last.endswith(b"0\r\n\r\n"):  # what a client of the kit does with it takes its time, too
                    last = await client.stream.receive()
                    came += len(last)
            assert came > 100_000
            best.add(max(took))

    assert best.holds, best.seconds


@pytest.mark.sample(1 / 2)
async def test_a_bomb_is_decoded_no_faster_than_its_client_reads() -> None:
    reply = with_length(gzip.compress(b'{"model": "m", "x": "' + bytes(100_000_000)), b"Content-Encoding: gzip")

    async with scripted(answering(reply)) as upstream, proxying(upstream.origin) as proxy:
        async with connected(proxy, receive_bytes=4096) as client:
            await client.send(ASKED)
            await client.read_until(b"alias")
            await client.read_exactly(1_000_000)
        record = await record_of(proxy)

    assert "client_gone" == record.outcome
    assert record.bytes_out < 20_000_000  # what the kernel's buffers take is more than what was read
