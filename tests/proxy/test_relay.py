"""One request out, its reply back: framing, fields, early replies, and what each side sees when the other dies."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from anyio.streams.tls import TLSStream
from bothloops import shut
from kit import (
    OK,
    Peer,
    Script,
    Scripted,
    answering,
    ask,
    connected,
    get,
    post,
    provider,
    proxying,
    record_of,
    scripted,
    server_tls,
    times,
    until,
)
from quickclock import on_both_quick_clocks

from ampmap.http.upstream_connection import UpstreamWire
from ampmap.server import Server
from ampmap.settings import Hop, Origin

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = 20 * 1024 * 1024


def model_body(size: int) -> bytes:
    """A body of ``size`` bytes for the model ``m``."""
    return b'{"model": "m", "pad": "' + b"x" * (size - 25) + b'"}'


def streamed(*lines: bytes) -> bytes:
    """The head of a request whose body is passed on while it arrives."""
    return get(b"/api/internal", b"Transfer-Encoding: chunked", *lines, method=b"POST")


# Request bodies.


async def test_a_buffered_body_leaves_with_its_length() -> None:
    async with scripted(answering(OK)) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        head = get(b"/v1/chat/completions", b"Transfer-Encoding: chunked", method=b"POST")
        await client.send(head + b'a\r\n{"model": \r\n4\r\n"m"}\r\n0\r\nX-Trailer: lost\r\n\r\n')
        reply = await client.read_message()

        assert 200 == reply.status
        assert b'{"model": "m"}' == upstream.seen[0].body
        assert b"14" == upstream.seen[0].one(b"content-length")
        assert upstream.seen[0].one(b"transfer-encoding") is None
        record = await record_of(proxy)
        assert (14, 2, 1, "ok") == (record.bytes_in, record.bytes_out, record.attempts, record.outcome)


async def test_a_chunked_body_is_passed_on_while_it_arrives() -> None:
    first_came = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_until(b"\r\n\r\n")
        assert b"5\r\nfirst\r\n" == await peer.read_exactly(10)
        first_came.set()
        assert b"6\r\nsecond\r\n0\r\nX-Sum: 1\r\n\r\n" == await peer.read_until(b"0\r\nX-Sum: 1\r\n\r\n")
        await peer.send(OK)
        await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(streamed(), b"5\r\nfirst\r\n")
        await first_came.wait()
        await client.send(b"6\r\nsecond\r\n0\r\nX-Sum: 1\r\nAuthorization: x\r\n\r\n")

        assert 200 == (await client.read_message()).status
        assert 11 == (await record_of(proxy)).bytes_in
        assert 1 == proxy.service.pool.idle_count


async def test_a_large_body_of_known_length_is_passed_on_while_it_arrives() -> None:
    first_came = anyio.Event()

    async def script(peer: Peer) -> None:
        head = await peer.read_head()
        assert b"200000" == head.one(b"content-length")
        await peer.read_exactly(100_000)
        first_came.set()
        await peer.read_exactly(100_000)
        await peer.send(OK)
        await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get(b"/api/internal", b"Content-Length: 200000", method=b"POST"), bytes(100_000))
        await first_came.wait()
        await client.send(bytes(100_000))

        assert 200 == (await client.read_message()).status
        assert 1 == proxy.service.pool.idle_count


async def test_a_small_management_body_leaves_in_one_piece() -> None:
    async with scripted(answering(OK)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(b"{}", path=b"/api/internal"))

    assert 200 == reply.status
    assert (b"{}", b"2") == (upstream.seen[0].body, upstream.seen[0].one(b"content-length"))


async def test_a_request_without_a_body_leaves_without_one() -> None:
    async with scripted(answering(OK)) as upstream, proxying(upstream.origin) as proxy:
        await ask(proxy, get(b"/api/internal", method=b"DELETE"))

    assert upstream.seen[0].one(b"content-length") is None
    assert upstream.seen[0].one(b"transfer-encoding") is None


async def test_an_upstream_that_reads_slowly_gets_all_of_a_large_body() -> None:
    body = model_body(LARGE)

    async def script(peer: Peer) -> None:
        message = await peer.read_message()
        assert body == message.body
        await peer.send(OK)
        await peer.wait_gone()

    async with scripted(script, receive_bytes=65_536) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(body))

        assert 200 == reply.status
        assert LARGE == (await record_of(proxy)).bytes_in
        assert 1 == proxy.service.pool.idle_count


async def test_an_upstream_that_takes_nothing_is_timed_out() -> None:
    async def script(peer: Peer) -> None:
        await anyio.sleep_forever()

    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin, timeouts=times(write_stall_s=0.1)) as proxy,
    ):
        reply = await ask(proxy, post(model_body(LARGE)))

        assert (504, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert "timeout" == (await record_of(proxy)).outcome


# Response bodies.

FRAMED = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"Content-Length", True),
    "chunks": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"Transfer-Encoding", True),
    "close": (b"HTTP/1.1 200 OK\r\n\r\nhello", b"Transfer-Encoding", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"Content-Length", False),
}


@pytest.mark.parametrize(("raw", "field", "kept"), FRAMED.values(), ids=FRAMED.keys())
async def test_a_reply_is_framed_anew_for_http_1_1(raw: bytes, field: bytes, kept: bool) -> None:
    async with scripted(_once(raw)) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get())
        reply = await client.read_message()

        assert (200, b"hello", True) == (reply.status, reply.body, reply.whole)
        assert [field] == [name for name, _ in reply.lines]
        assert kept == bool(proxy.service.pool.idle_count)
        record = await record_of(proxy)
        assert ("ok", 5) == (record.outcome, record.bytes_out)
        await client.send(get(b"/"))
        assert 200 == (await client.read_message()).status


@pytest.mark.parametrize(("raw", "field", "kept"), FRAMED.values(), ids=FRAMED.keys())
async def test_a_reply_is_framed_anew_for_http_1_0(raw: bytes, field: bytes, kept: bool) -> None:
    async with scripted(_once(raw)) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get(version=b"1.0"))
        reply = await client.read_message()

        assert (b"hello", b"close") == (reply.body, reply.one(b"connection"))
        assert reply.one(b"transfer-encoding") is None
        assert b"" == await client.read_rest()


def _once(raw: bytes) -> Script:
    """Answer one request with ``raw``; close when that is what ends it."""

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(raw)
        if b"Content-Length" in raw or b"chunked" in raw:
            await peer.wait_gone()

    return script


BODILESS = {
    "HEAD with a length": (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", [b"5"]),
    "HEAD with chunks": (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", []),
    "204": (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", []),
    "204 with chunks": (b"GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", []),
    "304": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n", [b"5"]),
    "nothing": (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [b"0"]),
}


@pytest.mark.parametrize(("method", "raw", "lengths"), BODILESS.values(), ids=BODILESS.keys())
async def test_a_reply_without_a_body_keeps_both_connections(method: bytes, raw: bytes, lengths: list[bytes]) -> None:
    async with (
        scripted(answering(raw, OK)) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        await client.send(get(method=method) + get())
        reply = await client.read_message(no_body=True)
        second = await client.read_message()

        assert lengths == reply.all(b"content-length")
        assert reply.one(b"transfer-encoding") is None
        assert b"ok" == second.body
        assert 1 == upstream.count


async def test_each_piece_of_a_reply_leaves_at_once() -> None:
    go = [anyio.Event() for _ in range(3)]

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED)
        for number, event in enumerate(go):
            await event.wait()
            await peer.send(b"5\r\ntick%d\r\n" % number)
        await peer.send(b"0\r\n\r\n")
        await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get())
        await client.read_head()
        for number, event in enumerate(go):
            event.set()
            assert b"5\r\ntick%d\r\n" % number == await client.read_exactly(10)

        assert b"0\r\n\r\n" == await client.read_exactly(5)


async def test_a_slow_client_slows_its_upstream() -> None:
    sent = 0

    async def pour(peer: Peer) -> None:
        nonlocal sent
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
        while sent < LARGE:
            await peer.send(bytes(65_536))
            sent += 65_536
        await peer.wait_gone()

    async with (
        scripted(pour) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy, receive_bytes=65_536) as client,
    ):
        await client.send(get())
        await client.read_head()
        before = -1
        while before != sent:
            before = sent
            await anyio.sleep(0.1)  # long enough for anything that is not held back
        (wire,) = proxy._wires
        assert wire.raw._writing_paused
        assert sent < LARGE // 2

        await client.read_exactly(LARGE)
        assert "ok" == (await record_of(proxy)).outcome


# Trailers.


async def test_trailers_follow_a_chunked_reply() -> None:
    raw = CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\nSet-Cookie: no\r\n\r\n"
    async with scripted(_once(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, get())

    assert [b"X-Sum: 1", b"x-sum: 2"] == reply.trailers


async def test_trailers_are_dropped_where_there_is_no_place_for_them() -> None:
    raw = CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with scripted(_once(raw)) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get(version=b"1.0"))

        assert (await client.read_rest()).endswith(b"\r\n\r\nok")


# Fields.


async def test_fields_keep_their_order_case_and_number() -> None:
    raw = b"HTTP/1.1 200 Fine\r\nset-COOKIE: a=1\r\nX-B: 1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\nx-A: 2\r\n\r\nok"
    async with scripted(answering(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, get(b"/api/internal", b"x-One: 1", b"X-TWO: 2", b"x-one: 3"))

    assert b"HTTP/1.1 200 Fine" == reply.start
    assert [(b"set-COOKIE", b"a=1"), (b"X-B", b"1"), (b"Set-Cookie", b"b=2"), (b"x-A", b"2")] == reply.lines[:4]
    ours = [pair for pair in upstream.seen[0].lines if pair[0].lower() in (b"x-one", b"x-two")]
    assert [(b"x-One", b"1"), (b"X-TWO", b"2"), (b"x-one", b"3")] == ours


async def test_a_client_cannot_nominate_our_credential_away() -> None:
    lines = (b"Connection: keep-alive", b"Connection: authorization, X-Gone", b"X-Gone: 1", b"Keep-Alive: 5")
    async with scripted(answering(OK)) as upstream, proxying(upstream.origin) as proxy:
        await ask(proxy, post(b'{"model": "m"}', *lines, b"connection: host, content-length"))

    (seen,) = upstream.seen
    assert b"Bearer provider-key" == seen.one(b"authorization")
    assert b"14" == seen.one(b"content-length")
    assert seen.one(b"host") is not None
    assert [None, None, None] == [seen.one(name) for name in (b"x-gone", b"connection", b"keep-alive")]


async def test_an_upstream_cannot_pass_on_what_is_between_it_and_us() -> None:
    lines = b"Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTrailer: x\r\nContent-Length: 2\r\n"
    raw = b"HTTP/1.1 200 OK\r\n%b\r\nok" % lines
    async with scripted(answering(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, get())

    assert [(b"Content-Length", b"2")] == reply.lines


async def test_a_renamed_reply_loses_what_was_only_true_of_the_old_one() -> None:
    body = b'{"model": "m"}'
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-MD5: x\r\nContent-Length: 14\r\n\r\n" + body
    async with scripted(answering(raw, raw)) as upstream, proxying(upstream.origin) as proxy:
        renamed = await ask(proxy, post(b'{"model": "alias"}'))
        plain = await ask(proxy, post(body))

    assert {"model": "alias"} == json.loads(renamed.body)
    assert (None, b"x") == (renamed.one(b"content-md5"), plain.one(b"content-md5"))


async def test_a_piece_of_which_nothing_is_left_after_renaming_holds_nothing_up() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: application/json\r\n\r\n"))
        for piece in (b'{"model": "m', b"m", b'm", "x": 1}'):
            await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await anyio.sleep(0.01)
        await peer.send(b"0\r\n\r\n")
        await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(b'{"model": "alias"}'))

    assert ({"model": "alias", "x": 1}, True) == (json.loads(reply.body), reply.whole)


# Informational responses.


async def test_informational_responses_are_passed_on() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: 1\r\nContent-Length: 0\r\n\r\n"
    async with scripted(answering(hints + hints + OK)) as upstream, proxying(upstream.origin) as proxy:
        async with connected(proxy) as client:
            await client.send(get())
            messages = [await client.read_message() for _ in range(3)]

    assert [103, 103, 200] == [message.status for message in messages]
    assert [(b"Link", b"</a>")] == messages[0].lines


async def test_informational_responses_are_not_for_http_1_0() -> None:
    async with (
        scripted(answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        await client.send(get(version=b"1.0"))

        assert 200 == (await client.read_message()).status


async def test_a_continue_that_nobody_waits_for_is_dropped() -> None:
    async with (
        scripted(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        await client.send(get())

        assert 200 == (await client.read_message()).status


async def test_an_upstream_that_only_informs_is_given_up() -> None:
    async with scripted(answering(b"HTTP/1.1 102 Processing\r\n\r\n" * 50)) as upstream:
        async with proxying(upstream.origin) as proxy:
            reply = await ask(proxy, get())
            record = await record_of(proxy)

    assert (502, "upstream_error") == (reply.status, record.outcome)


async def test_a_waiting_client_is_asked_by_the_upstream_itself() -> None:
    async def script(peer: Peer) -> None:
        head = await peer.read_head()
        assert b"100-continue" == head.one(b"expect")
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert b"4\r\nbody\r\n0\r\n\r\n" == await peer.read_exactly(14)
        await peer.send(OK)
        await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(streamed(b"Expect: 100-continue"))
        interim = await client.read_message()
        await client.send(b"4\r\nbody\r\n0\r\n\r\n")

        assert (100, 200) == (interim.status, (await client.read_message()).status)
        assert 1 == proxy.service.pool.idle_count


async def test_a_waiting_client_that_the_upstream_refuses_keeps_its_body() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"

    async def script(peer: Peer) -> None:
        await peer.read_head()
        await peer.send(refusal)
        assert b"" == await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(streamed(b"Expect: 100-continue"))
        reply = await client.read_message()
        await client.stream.send_eof()

        assert (403, b"close", b"no") == (reply.status, reply.one(b"connection"), reply.body)
        assert b"" == await client.read_rest()
        assert 0 == proxy.service.pool.idle_count


# Early replies.

TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"


async def refuse_early(peer: Peer) -> None:
    """Answer after the first bytes of the body, and read no more."""
    await peer.read_until(b"\r\n\r\n")
    await peer.send(TOO_LARGE)
    await anyio.sleep_forever()


class Blocked:
    """What becomes of a request that its upstream does not read: waits until no more of it can be sent."""

    def __init__(self, proxy: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self._made: list[UpstreamWire] = []
        dial = proxy.service.pool.dial

        async def dial_and_note(hop: Hop) -> UpstreamWire:
            self._made.append(await dial(hop))
            return self._made[-1]

        monkeypatch.setattr(proxy.service.pool, "dial", dial_and_note)

    async def wait(self) -> None:
        await until(lambda: self._made and self._made[0].raw._writer is not None)


async def refuse_and_close(peer: Peer) -> None:
    """Answer after the first bytes of the body, and close with the rest unread."""
    await peer.read_until(b"\r\n\r\n")
    await peer.send(TOO_LARGE)


@pytest.mark.parametrize("script", [refuse_early, refuse_and_close])
async def test_an_early_reply_to_a_buffered_body_is_delivered(script: Script) -> None:
    async with scripted(script, receive_bytes=65_536) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(model_body(LARGE)))

        assert (413, b"big") == (reply.status, reply.body)
        assert "upstream_error" == (await record_of(proxy)).outcome
        assert 0 == proxy.service.pool.idle_count


@pytest.mark.parametrize("script", [refuse_early, refuse_and_close])
async def test_an_early_reply_to_a_streamed_body_is_delivered(script: Script) -> None:
    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        async with anyio.create_task_group() as group:
            head = get(b"/api/internal", b"Content-Length: %d" % LARGE, method=b"POST")
            group.start_soon(client.send, head, *[bytes(65_536)] * (LARGE // 65_536))
            reply = await client.read_message()
            record = await record_of(proxy)
            group.cancel_scope.cancel()

        assert (413, b"big", b"close") == (reply.status, reply.body, reply.one(b"connection"))
        assert "ok" == record.outcome
        assert 0 == proxy.service.pool.idle_count


async def test_hints_while_a_buffered_body_leaves_do_not_stop_it() -> None:
    async def script(peer: Peer) -> None:
        head = await peer.read_head()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await hint_came.wait()
        await peer.read_exactly(int(head.one(b"content-length") or 0))
        await peer.send(OK)
        await peer.wait_gone()

    hint_came = anyio.Event()
    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, post(model_body(LARGE)))
            assert 103 == (await client.read_message()).status
            hint_came.set()
            assert 200 == (await client.read_message()).status

        assert 1 == proxy.service.pool.idle_count


async def test_an_upstream_that_dies_after_a_hint_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        await blocked.wait()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await hint_came.wait()
        await blocked.wait()
        peer.reset()

    hint_came = anyio.Event()
    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        blocked = Blocked(proxy, monkeypatch)
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, post(model_body(LARGE)))
            assert 103 == (await client.read_message()).status
            hint_came.set()

            assert 502 == (await client.read_message()).status


@pytest.mark.parametrize(
    "request_",
    [
        post(model_body(LARGE)),
        get(b"/api/internal", b"Content-Length: %d" % LARGE, method=b"POST") + bytes(LARGE),
        get(b"/api/internal", b"Transfer-Encoding: chunked", method=b"POST") + b"%x\r\n" % LARGE + bytes(LARGE),
    ],
    ids=["buffered", "length", "chunks"],
)
async def test_a_reply_is_seen_while_nothing_more_can_be_sent(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        await blocked.wait()
        await peer.send(TOO_LARGE)
        await anyio.sleep_forever()

    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        blocked = Blocked(proxy, monkeypatch)
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, request_)
            reply = await client.read_message()
            group.cancel_scope.cancel()

        assert (413, b"big") == (reply.status, reply.body)


async def test_a_reply_that_came_before_the_connection_broke_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def answer_and_reset() -> None:
        sock, _ = server.accept()
        sock.recv(65_536, socket.MSG_PEEK)
        sock.sendall(TOO_LARGE)
        sock.close()  # with the request unread: a reset

    async def meanwhile() -> None:
        """The loop is busy elsewhere while the upstream answers and closes."""
        upstream.join()
        for _ in range(3):
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr("ampmap.proxy.relay.checkpoint", meanwhile)
    upstream = threading.Thread(target=answer_and_reset)
    upstream.start()
    with server:
        async with proxying(Origin("http", "127.0.0.1", server.getsockname()[1])) as proxy:
            reply = await ask(proxy, post(model_body(LARGE)))

    assert (413, b"big") == (reply.status, reply.body)


async def test_a_reply_that_comes_while_the_client_pauses_is_delivered_at_once() -> None:
    async with scripted(refuse_early) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(streamed(), b"3\r\nabc\r\n")
        reply = await client.read_message()

        assert (413, b"big") == (reply.status, reply.body)


async def test_hints_while_the_client_uploads_do_not_stop_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        for number in range(3):
            await peer.send(b"HTTP/1.1 103 Early Hints\r\nX: %d\r\n\r\n" % number)
            assert b"1\r\n%d\r\n" % number == await peer.read_exactly(6)
        await peer.read_until(b"0\r\n\r\n")
        await peer.send(OK)
        await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(streamed())
        for number in range(3):
            hint = await client.read_message()
            assert (103, b"%d" % number) == (hint.status, hint.one(b"x"))
            await client.send(b"1\r\n%d\r\n" % number)
        await client.send(b"0\r\n\r\n")

        assert 200 == (await client.read_message()).status
        assert 1 == proxy.service.pool.idle_count


# Upstreams that die.


def _dying(raw: bytes) -> Script:
    """Answer with ``raw`` and close."""

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(raw)

    return script


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-Le"])
@pytest.mark.parametrize("request_", [get(), post()], ids=["management", "model"])
async def test_an_upstream_that_dies_before_its_reply_is_told(raw: bytes, request_: bytes) -> None:
    async with scripted(_dying(raw)) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(request_)
        reply = await client.read_message()
        record = await record_of(proxy)
        await client.send(get(b"/"))

        assert (502, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert (502, "upstream_truncated", 1) == (record.status, record.outcome, record.attempts)
        assert 200 == (await client.read_message()).status
        assert 1 == upstream.count


@pytest.mark.parametrize(
    "raw",
    [
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n9\r\nhal",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
    ],
)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_reply_that_breaks_off_is_cut_for_the_client_too(raw: bytes, reset: bool) -> None:
    delivered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(raw)
        await delivered.wait()
        if reset:
            peer.reset()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get())
        await client.read_until(b"hello")
        delivered.set()
        rest = await client.read_rest()
        record = await record_of(proxy)

        assert not rest.endswith(b"0\r\n\r\n")
        assert (200, "upstream_truncated") == (record.status, record.outcome)
        assert "within its reply" in record.detail


async def test_a_reply_of_which_nothing_was_delivered_yet_can_still_be_an_error() -> None:
    async with (
        scripted(_dying(CHUNKED + b"xyz\r\n")) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        await client.send(get())
        reply = await client.read_message()
        record = await record_of(proxy)

        assert (502, "upstream_error") == (record.status, record.outcome)
        assert (502, b"false") == (reply.status, reply.one(b"x-should-retry"))


async def test_a_reply_that_ends_by_a_reset_is_no_whole_one() -> None:
    delivered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await delivered.wait()
        peer.reset()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get())
        await client.read_until(b"hello")
        delivered.set()

        assert b"\r\n" == await client.read_rest()
        assert "upstream_truncated" == (await record_of(proxy)).outcome


BROKEN = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "two framings": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "an upgrade that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
async def test_an_upstream_that_does_not_speak_http_is_told(raw: bytes) -> None:
    async with scripted(_dying(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, get())
        record = await record_of(proxy)

    assert 502 == reply.status
    assert (502, "upstream_error") == (record.status, record.outcome)


async def test_chunks_that_are_none_cut_the_reply() -> None:
    delivered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        await delivered.wait()
        await peer.send(b"xyz\r\n")
        await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get())
        await client.read_until(b"hello\r\n")
        delivered.set()

        assert b"" == await client.read_rest()
        assert "upstream_error" == (await record_of(proxy)).outcome


@pytest.mark.parametrize("reset", [False, True])
async def test_an_upstream_that_dies_within_a_buffered_body_is_told(reset: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_until(b"\r\n\r\n")
        if reset:
            peer.reset()

    async with scripted(script, receive_bytes=65_536) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(model_body(LARGE)))
        record = await record_of(proxy)

        assert (502, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert ("upstream_truncated", 1) == (record.outcome, record.attempts)


@pytest.mark.parametrize("size", [3, LARGE])
async def test_an_upstream_that_dies_within_a_streamed_body_is_told(size: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_until(b"\r\n\r\n")

    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy) as client,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, streamed(), b"%x\r\n" % size, *_pieces(size))
            reply = await client.read_message()
            record = await record_of(proxy)
            group.cancel_scope.cancel()

        assert (502, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert "upstream_truncated" == record.outcome


def _pieces(size: int) -> list[bytes]:
    return [bytes(min(size, 65_536))] * (size // 65_536 or 1)


# Upstreams that stay silent.


async def _silent(peer: Peer) -> None:
    await peer.read_message()
    await peer.wait_gone()


async def test_an_upstream_that_does_not_answer_is_timed_out() -> None:
    async with scripted(_silent) as upstream, proxying(upstream.origin, timeouts=times(response_head_s=0.05)) as proxy:
        reply = await ask(proxy, post())
        record = await record_of(proxy)

        assert (504, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert (504, "timeout") == (record.status, record.outcome)


async def test_a_reply_that_stalls_is_cut() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        assert b"" == await peer.wait_gone()

    async with (
        scripted(script) as upstream,
        proxying(upstream.origin, timeouts=times(stream_idle_s=0.05)) as proxy,
        connected(proxy) as client,
    ):
        await client.send(get())
        reply = await client.read_message()
        record = await record_of(proxy)

        assert (b"hello", False) == (reply.body, reply.whole)
        assert (200, "timeout") == (record.status, record.outcome)


@on_both_quick_clocks()
async def test_a_reply_that_drips_is_not_stalled() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED)
        for _ in range(8):
            await anyio.sleep(0.05)
            await peer.send(b"1\r\nx\r\n")
        await peer.send(b"0\r\n\r\n")
        await peer.wait_gone()

    async with scripted(script) as upstream, proxying(upstream.origin, timeouts=times(stream_idle_s=0.25)) as proxy:
        reply = await ask(proxy, get())

        assert (b"x" * 8, True) == (reply.body, reply.whole)


# Clients that leave.


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("request_", [get(), post(), post(model_body(100_000))])
async def test_a_client_that_leaves_takes_its_upstream_request_with_it(request_: bytes, reset: bool) -> None:
    asked, left = anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        asked.set()
        assert b"" == await peer.wait_gone()
        left.set()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(request_)
        await asked.wait()
        await _leave(client, reset)
        await left.wait()
        record = await record_of(proxy)

        assert (499, "client_gone") == (record.status, record.outcome)
        assert 0 == proxy.service.pool.idle_count


async def _leave(client: Peer, reset: bool) -> None:
    if reset:
        client.reset()
    else:
        await client.close()


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_within_a_reply_ends_it(reset: bool) -> None:
    left = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        await peer.wait_gone()
        left.set()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get())
        await client.read_until(b"hello")
        await _leave(client, reset)
        await left.wait()
        record = await record_of(proxy)

        assert (200, "client_gone") == (record.status, record.outcome)


async def test_a_client_that_leaves_within_a_reply_that_it_does_not_take_ends_it() -> None:
    async def pour(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(CHUNKED)
        while True:
            await peer.send(b"10000\r\n" + bytes(65_536) + b"\r\n")

    async with (
        scripted(pour) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy, receive_bytes=65_536) as client,
    ):
        await client.send(get())
        await client.read_head()
        await until(lambda: any(wire.raw._writing_paused for wire in proxy._wires))
        client.reset()

        assert "client_gone" == (await record_of(proxy)).outcome


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_within_its_upload_ends_it(reset: bool) -> None:
    began, left = anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_until(b"3\r\nabc\r\n")
        began.set()
        await peer.wait_gone()
        left.set()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(streamed(), b"3\r\nabc\r\n")
        await began.wait()
        await _leave(client, reset)
        await left.wait()
        record = await record_of(proxy)

        assert record.outcome in ("client_gone", "rejected")
        assert record.status in (499, 400)


async def test_a_client_that_leaves_while_a_connection_is_made_ends_the_dial() -> None:
    async def no_handshake(peer: Peer) -> None:
        hello.set()
        await peer.wait_gone()
        left.set()

    hello, left = anyio.Event(), anyio.Event()
    async with scripted(no_handshake) as upstream:
        origin = Origin("https", "127.0.0.1", upstream.origin.port)
        async with proxying(origin) as proxy, connected(proxy) as client:
            await client.send(get())
            await hello.wait()
            await client.close()
            await left.wait()
            record = await record_of(proxy)

            assert (499, "client_gone", 0) == (record.status, record.outcome, record.attempts)


async def test_a_client_that_leaves_in_the_moment_of_the_connection_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted(_silent) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        dial = proxy.service.pool.dial

        async def dial_and_see_it_leave(hop: Hop) -> UpstreamWire:
            made = await dial(hop)
            (wire,) = proxy._wires
            with anyio.CancelScope(shield=True):
                await client.close()
                await until(lambda: not wire.raw.is_open)
            return made

        monkeypatch.setattr(proxy.service.pool, "dial", dial_and_see_it_leave)
        await client.send(get())

        assert ("client_gone", 1) == ((await record_of(proxy)).outcome, (await record_of(proxy)).attempts)
        assert [] == upstream.seen


async def test_a_client_that_left_before_its_turn_is_asked_for_by_nobody() -> None:
    async with scripted(_silent) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get(b"/") + get())
        await client.stream.send_eof()

        assert "client_gone" == (await record_of(proxy, 2)).outcome
        assert 0 == upstream.count


async def test_a_client_that_left_with_its_request_is_asked_for_by_nobody() -> None:
    async with scripted(_silent) as upstream, proxying(upstream.origin) as proxy, connected(proxy) as client:
        await client.send(get())
        await client.stream.send_eof()
        record = await record_of(proxy)

        assert "client_gone" == record.outcome
        assert b"" == await client.read_rest()


async def test_a_client_that_leaves_when_its_reply_is_complete_harms_nobody_else() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + bytes(60_000)
    async with (
        scripted(answering(reply, OK)) as upstream,
        proxying(upstream.origin) as proxy,
        connected(proxy, receive_bytes=4096) as client,
    ):
        await until(lambda: proxy._wires)
        (wire,) = proxy._wires
        sock = wire.raw.info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await client.send(get())
        await until(lambda: wire.raw._writing_paused)
        await client.stream.send_eof()
        await until(lambda: not wire.raw.is_open)
        assert len(reply) == len(await client.read_rest())

        assert b"ok" == (await ask(proxy, get())).body
        assert ["ok", "ok"] == [record.outcome for record in proxy.service.journal.recent]
        assert 1 == upstream.count


# Connections kept.


async def test_a_connection_is_used_again() -> None:
    async with scripted(answering(OK, OK, OK)) as upstream, proxying(upstream.origin) as proxy:
        for _ in range(3):
            assert 200 == (await ask(proxy, get())).status
        ((*_, idle),) = next(iter(proxy.service.pool._idle.values()))

        assert (1, 3) == (upstream.count, len(upstream.seen))
        assert not idle.raw.wake_on_data


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
    ],
)
async def test_a_connection_that_is_not_clean_is_not_used_again(raw: bytes) -> None:
    async with scripted(answering(raw, OK)) as upstream, proxying(upstream.origin) as proxy:
        first = await ask(proxy, get())
        second = await ask(proxy, get())

        assert (2, b"ok") == (upstream.count, second.body)
        assert first.status in (200, 204)


@pytest.mark.parametrize("request_", [get(), post(), post(model_body(200_000)), streamed() + b"3\r\nabc\r\n0\r\n\r\n"])
async def test_a_request_that_a_kept_connection_took_nothing_of_is_sent_again(request_: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        await anyio.sleep_forever()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        await ask(proxy, get())
        ((*_, idle),) = next(iter(proxy.service.pool._idle.values()))
        shut(idle.raw)  # the next write fails at once, as after a reset that nobody was told of yet
        reply = await ask(proxy, request_)
        record = proxy.service.journal.recent[-1]

        assert (200, b"ok") == (reply.status, reply.body)
        assert (2, "ok") == (record.attempts, record.outcome)
        assert (2, 2) == (upstream.count, len(upstream.seen))


async def test_an_answer_to_nothing_is_not_taken_for_the_answer_to_a_request_of_which_nothing_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        await anyio.sleep_forever()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        await ask(proxy, get())
        take = proxy.service.pool.take

        def take_in_the_wrong_moment(hop: Hop) -> UpstreamWire | None:
            if wire := take(hop):
                shut(wire.raw)
                wire.raw.get_buffer(-1)[: len(late)] = late
                wire.raw.buffer_updated(len(late))
            return wire

        monkeypatch.setattr(proxy.service.pool, "take", take_in_the_wrong_moment)

        assert 200 == (await ask(proxy, get())).status
        assert 2 == upstream.count


async def test_a_request_that_a_new_connection_takes_nothing_of_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted(Peer.wait_gone) as upstream, proxying(upstream.origin) as proxy:
        dial = proxy.service.pool.dial

        async def dial_badly(hop: Hop) -> UpstreamWire:
            wire = await dial(hop)
            shut(wire.raw)
            return wire

        monkeypatch.setattr(proxy.service.pool, "dial", dial_badly)
        reply = await ask(proxy, get())

        assert (502, None) == (reply.status, reply.one(b"x-should-retry"))
        assert 1 == (await record_of(proxy)).attempts


async def test_a_request_that_was_taken_in_part_is_not_sent_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        await peer.read_until(b"\r\n\r\n")
        peer.reset()

    async with scripted(script, receive_bytes=65_536) as upstream, proxying(upstream.origin) as proxy:
        assert 200 == (await ask(proxy, get())).status
        reply = await ask(proxy, post(model_body(60_000)))
        record = proxy.service.journal.recent[-1]

        assert (502, b"false") == (reply.status, reply.one(b"x-should-retry"))
        assert (1, 1) == (record.attempts, upstream.count)


# Over TLS.


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
        assert 1 == proxy.service.pool.idle_count


async def test_a_large_body_goes_through_tls(authority: trustme.CA, tmp_path: Path) -> None:
    body = model_body(3_000_000)
    async with proxying_by_tls(answering(OK), authority, tmp_path) as (proxy, upstream):
        assert 200 == (await ask(proxy, post(body))).status

        assert body == upstream.seen[0].body
        assert 1 == proxy.service.pool.idle_count


async def test_a_reply_that_tls_cannot_prove_whole_is_cut(authority: trustme.CA, tmp_path: Path) -> None:
    delivered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await delivered.wait()
        peer.cut()

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
