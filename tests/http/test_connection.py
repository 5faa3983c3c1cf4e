"""A client's connection: what is read as a request, what keeps it open, each limit and each deadline."""

from __future__ import annotations

import anyio
import pytest
from chain import chained, without_upstream
from kit import OK, answering, ask, closed_origin, connected, get, post, proxying, record_of, times, until

from ampmap.settings import Limits

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True


# Heads.


async def test_one_connection_serves_one_request_after_the_other() -> None:
    async with chained(answering(OK, OK)) as (upstream, proxy, client):
        await client.send(get(b"/api/internal?1"))
        first = await client.read_message()
        await client.send(get(b"/api/internal?2"))
        second = await client.read_message()

        assert (200, b"ok") == (first.status, first.body)
        assert (200, b"ok") == (second.status, second.body)
        assert first.one(b"connection") is None
        assert [b"GET /api/internal?1 HTTP/1.1", b"GET /api/internal?2 HTTP/1.1"] == [m.start for m in upstream.seen]
        assert ["ok", "ok"] == [record.outcome for record in proxy.service.journal.recent]


async def test_pipelined_requests_are_answered_in_order() -> None:
    replies = [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number for number in range(3)]
    async with chained(answering(*replies)) as (upstream, _, client):
        await client.send(get() + post(b'{"model": "m"}') + get() + b"\r\n")

        assert [b"0", b"1", b"2"] == [(await client.read_message()).body for _ in range(3)]
        assert [b"GET", b"POST", b"GET"] == [message.start.split(b" ")[0] for message in upstream.seen]
        assert b'{"model": "m"}' == upstream.seen[1].body


@pytest.mark.sample(1 / 2)
async def test_a_pipelining_client_does_not_hold_up_others() -> None:
    async with proxying(await closed_origin()) as proxy, connected(proxy) as greedy, connected(proxy) as modest:
        await greedy.send(get(b"/") * 500)
        await modest.send(get(b"/"))
        await modest.read_message()

        assert len(proxy.service.journal.recent) < 100
        for _ in range(500):
            assert 200 == (await greedy.read_message()).status


async def test_http_1_0_is_answered_once() -> None:
    async with chained(answering(OK)) as (upstream, _, client):
        await client.send(b"GET /api/internal HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = await client.read_message()

        assert b"HTTP/1.1 200 OK" == reply.start
        assert b"close" == reply.one(b"connection")
        assert b"" == await client.read_rest()
        assert b"GET /api/internal HTTP/1.1" == upstream.seen[0].start


async def test_a_client_that_says_close_is_told_so_and_closed() -> None:
    async with chained(answering(OK)) as (upstream, _, client):
        await client.send(get(b"/api/internal", b"Connection: close") + get() * 10_000)

        assert b"close" == (await client.read_message()).one(b"connection")
        await client.wait_ended()  # no reset, though there was more than could be read ahead
        assert 1 == len(upstream.seen)


async def test_empty_lines_before_a_request_are_passed_over() -> None:
    async with chained(answering(OK, OK)) as (_, _, client):
        await client.send(b"\r\n\r\n", get(), b"\r\n")
        await client.read_message()
        await client.send(b"\r\n", get())

        assert 200 == (await client.read_message()).status


REFUSED = {
    "no request line": (b"hello there\r\n\r\n", 400),
    "a TLS hello": (bytes.fromhex("1603010200010001fc0303") + bytes(64), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a target outside ASCII": ("GET /api/ä HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 400),
    "two framings": (get(b"/api/internal", b"Content-Length: 1", b"Transfer-Encoding: chunked", method=b"POST"), 400),
    "chunks in HTTP/1.0": (get(b"/api/internal", b"Transfer-Encoding: chunked", version=b"1.0"), 400),
    "two lengths": (get(b"/api/internal", b"Content-Length: 1", b"Content-Length: 2"), 400),
    "another coding": (get(b"/api/internal", b"Transfer-Encoding: gzip, chunked"), 501),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get(b"/", b"Host: localhost"), 400),
    "too many lines": (get(b"/", *[b"x: y"] * 20), 431),
    "too many bytes": (get(b"/", b"x: " + b"y" * 5000), 431),
    "a long target": (get(b"/" + b"y" * 5000), 431),
}


@pytest.mark.parametrize(("raw", "status"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("piece_bytes", [100_000, 300])
async def test_what_cannot_be_read_as_a_request_is_refused_and_ends_the_connection(
    raw: bytes, status: int, piece_bytes: int
) -> None:
    limits = Limits(head_bytes=4096, header_count=16)
    async with without_upstream(limits=limits) as (proxy, client):
        for start in range(0, len(raw), piece_bytes):
            await client.send(raw[start : start + piece_bytes])
            await anyio.lowlevel.checkpoint()
        reply = await client.read_message()

        assert status == reply.status
        assert b"close" == reply.one(b"connection")
        assert reply.whole
        assert b"" == await client.read_rest()
        record = await record_of(proxy)
        assert (status, "rejected", "REJECTED") == (record.status, record.outcome, record.route_type)


async def test_a_client_still_sending_gets_its_refusal_whole() -> None:
    limits = Limits(head_bytes=4096)
    async with without_upstream(limits=limits) as (proxy, client):
        await client.send(b"GET / HTTP/1.1\r\nX: " + bytes(5000))
        await record_of(proxy)
        await client.send(bytes(200_000))
        reply = await client.read_message()

        assert reply.whole
        assert 400 <= reply.status


async def test_a_head_that_breaks_off_is_told() -> None:
    async with without_upstream() as (_, client):
        await client.send(b"GET / HT")
        await client.stream.send_eof()

        assert 400 == (await client.read_message()).status


async def test_a_client_that_resets_an_idle_connection_is_no_request() -> None:
    async with without_upstream() as (proxy, client):
        await until(lambda: proxy.listener.count)
        client.reset()
        await until(lambda: not proxy.listener.count)

        assert [] == list(proxy.service.journal.recent)


# Bodies.


async def test_a_body_that_breaks_off_is_told_and_asked_of_nobody() -> None:
    async with chained(answering()) as (upstream, proxy, client):
        await client.send(post(bytes(100))[:-50])
        await client.stream.send_eof()
        reply = await client.read_message()

        assert 400 == reply.status
        assert (400, "rejected") == ((await record_of(proxy)).status, (await record_of(proxy)).outcome)
        assert 0 == upstream.count


@pytest.mark.parametrize("piece_bytes", [7_001, 100_000, 1_000_000])
async def test_a_large_body_in_pieces_is_whole_and_the_next_request_is_behind_it(piece_bytes: int) -> None:
    bodies = [b'{"model": "m", "pad": "%b"}' % (letter * 700_000) for letter in (b"a", b"b")]
    raw = b"".join(map(post, bodies)) + get(b"/api/internal")
    async with chained(answering(OK, OK, OK)) as (upstream, proxy, client):
        for start in range(0, len(raw), piece_bytes):
            await client.send(raw[start : start + piece_bytes])
            await anyio.lowlevel.checkpoint()

        assert [200] * 3 == [(await client.read_message()).status for _ in range(3)]
        assert [*bodies, b""] == [message.body for message in upstream.seen]
        assert [*map(len, bodies), 0] == [(await record_of(proxy, number)).bytes_in for number in (1, 2, 3)]


async def test_of_a_large_body_that_breaks_off_the_record_tells_how_much_came() -> None:
    async with without_upstream() as (proxy, client):
        await client.send(post(bytes(500_000))[:-50])
        await client.stream.send_eof()
        reply = await client.read_message()

        assert (400, b"close") == (reply.status, reply.one(b"connection"))
        assert 499_950 == (await record_of(proxy)).bytes_in
        assert b"" == await client.read_rest()


async def test_of_a_large_body_that_stops_the_record_tells_how_much_came() -> None:
    async with without_upstream(timeouts=times(body_idle_s=0.1)) as (proxy, client):
        await client.send(post(bytes(500_000))[:-50])
        reply = await client.read_message()
        await client.send(bytes(50), get(b"/"))

        assert (408, b"close") == (reply.status, reply.one(b"connection"))
        record = await record_of(proxy)
        assert (408, "timeout", 499_950) == (record.status, record.outcome, record.bytes_in)
        assert b"" == await client.read_rest()  # what came too late is taken for no request
        assert 1 == len(proxy.service.journal.recent)


async def test_a_client_that_resets_within_its_body_is_gone() -> None:
    async with chained(answering()) as (_, proxy, client):
        await client.send(post(bytes(100))[:-50])
        await until(lambda: proxy.listener.count)
        client.reset()
        record = await record_of(proxy)

        assert (499, "client_gone") == (record.status, record.outcome)


async def test_chunks_that_are_none_are_told() -> None:
    async with without_upstream() as (_, client):
        chunked = get(b"/v1/chat/completions", b"Transfer-Encoding: chunked", method=b"POST")
        await client.send(chunked + b"xyz\r\n")
        reply = await client.read_message()

        assert (400, b"close") == (reply.status, reply.one(b"connection"))


async def test_a_chunk_whose_size_does_not_end_is_told() -> None:
    async with without_upstream(limits=Limits(head_bytes=500)) as (_, client):
        await client.send(get(b"/v1/chat/completions", b"Transfer-Encoding: chunked", method=b"POST"))
        await client.send(b"0" * 600)
        reply = await client.read_message()

        assert (431, b"close") == (reply.status, reply.one(b"connection"))


async def test_an_unwanted_small_body_is_read_so_that_the_connection_is_kept() -> None:
    async with without_upstream() as (_, client):
        await client.send(get(b"/nowhere", b"Content-Length: 50000", method=b"POST"))
        first = await client.read_message()
        await client.send(bytes(50_000), get(b"/"))

        assert (404, None) == (first.status, first.one(b"connection"))
        assert 200 == (await client.read_message()).status


async def test_an_unwanted_large_body_ends_the_connection_but_not_the_answer() -> None:
    async with without_upstream() as (proxy, client):
        await client.send(get(b"/nowhere", b"Content-Length: 3000000", method=b"POST"))
        await record_of(proxy)
        await client.send(bytes(3_000_000))
        reply = await client.read_message()

        assert (404, b"close", True) == (reply.status, reply.one(b"connection"), reply.whole)
        assert b"" == await client.read_rest()


async def test_unwanted_chunks_without_end_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampmap.http.client_connection._LINGER_S", 0.05)
    chunks = (b"8000\r\n" + bytes(0x8000) + b"\r\n") * 3
    async with without_upstream() as (_, client):
        await client.send(get(b"/nowhere", b"Transfer-Encoding: chunked", method=b"POST") + chunks)
        reply = await client.read_message()

        assert (404, b"close", True) == (reply.status, reply.one(b"connection"), reply.whole)
        assert b"" == await client.read_rest()


async def test_an_unwanted_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampmap.http.client_connection._LINGER_S", 0.05)
    async with without_upstream() as (_, client):
        await client.send(get(b"/nowhere", b"Content-Length: 50", method=b"POST"))

        assert 404 == (await client.read_message()).status
        assert b"" == await client.read_rest()


async def test_a_client_that_never_stops_sending_is_read_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampmap.http.client_connection._LINGER_BYTES", 100_000)
    async with without_upstream() as (_, client):
        await client.send(get(b"/nowhere", b"Content-Length: 99999999", method=b"POST"))
        with pytest.raises(anyio.BrokenResourceError):
            while True:
                await client.send(bytes(65_536))


async def test_a_model_list_is_answered_to_head_without_a_body() -> None:
    async with proxying(await closed_origin()) as proxy:
        reply = await ask(proxy, get(b"/v1/models", method=b"HEAD"), no_body=True)

    assert 200 == reply.status
    assert int(reply.one(b"content-length") or 0) > 0


async def test_a_page_of_any_size_is_sent_whole() -> None:
    page = bytes(range(256)) * 4096
    async with without_upstream() as (proxy, client):
        await until(lambda: proxy.open_connections)
        (wire,) = proxy.open_connections
        async with anyio.create_task_group() as group:
            group.start_soon(wire.send, page)

            assert page == await client.read_exactly(len(page))
