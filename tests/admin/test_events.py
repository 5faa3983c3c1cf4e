"""What happens is told as it happens, to several readers; none of them holds anything up or is left behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from chain import chained
from kit import GUARD_S, Peer, ask, closed_origin, connected, get, post, provider, proxying, scripted, until

from ampmap.admin.events import MAX_READERS, Events
from ampmap.proxy.state import Service
from ampmap.records.journal import RECENT
from ampmap.records.record import Record
from ampmap.routing.snapshot import compile_snapshot
from ampmap.server import Server, running
from ampmap.settings import Amp, Settings, TcpListen

BOTH_LOOPS = True
pytestmark = pytest.mark.usefixtures("nothing_left")

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


class Listener:
    """A client that reads events."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.last_id = ""
        self._events: list[tuple[str, str, Any]] = []
        self._text = b""

    async def next(self, *names: str) -> Any:
        """Return the data of the next event of these names; others before it are passed over."""
        while True:
            while self._events:
                self.last_id, name, data = self._events.pop(0)
                if name in names:
                    return data
            size = int(await self.peer.read_until(b"\r\n"), 16)
            assert size, "the events have ended"
            self._text += (await self.peer.read_exactly(size + 2))[:-2]
            *whole, self._text = self._text.split(b"\n\n")
            for event in whole:
                fields = dict(line.split(": ", 1) for line in event.decode().split("\n") if not line.startswith(":"))
                if "event" in fields:
                    self._events.append((fields.get("id", self.last_id), fields["event"], json.loads(fields["data"])))


@asynccontextmanager
async def listening(proxy: Server, *lines: bytes) -> AsyncIterator[Listener]:
    async with connected(proxy) as peer:
        await peer.send(get(b"/_ampmap/events", *lines))
        head = await peer.read_head()
        assert (200, b"text/event-stream") == (head.status, head.one(b"content-type"))
        yield Listener(peer)


async def record_and_status(events: Listener) -> list[dict[str, Any]]:
    """Return the next record and the next status: after a second without one, the status comes first."""
    found = [await events.next("stream", "record", "status") for _ in range(2)]
    return sorted(found, key=lambda each: "streams" in each)


async def test_a_stream_is_told_as_it_begins_and_its_record_when_it_ends() -> None:
    go = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(STREAM)
        await go.wait()
        await peer.send(b"0\r\n\r\n")

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        async with listening(proxy) as events, connected(proxy) as client:
            assert 0 == (await events.next("status"))["streams"]
            await client.send(post())
            began, status = await record_and_status(events)
            assert 1 == status["streams"]
            go.set()
            ended, status = await record_and_status(events)
            await client.read_final()
            told = json.loads((await ask(proxy, get(b"/_ampmap/requests"))).body)["requests"]

    assert ("m", "local", 200) == (began["requested_model"], began["provider"], began["status"])
    assert "ttfb_ms" in began and began["request_id"] == ended["request_id"]
    assert [ended] == [each for each in told if each["route_type"] == "LOCAL_PROVIDER"]
    assert (0, 1) == (status["streams"], status["requests"]["own"])


async def test_a_reader_that_comes_late_is_told_of_streams_under_way() -> None:
    go = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(STREAM)
        await go.wait()

    async with chained(script) as (_, proxy, client):
        await client.send(post())
        await client.read_until(b"1\r\na\r\n")
        async with listening(proxy) as events:
            assert "m" == (await events.next("stream"))["requested_model"]
        go.set()


async def test_a_reader_that_comes_back_gets_the_events_it_missed() -> None:
    async with proxying(None) as proxy:
        async with listening(proxy) as events:
            await ask(proxy, get(b"/first"))
            assert "/first" == (await events.next("record"))["path"]
        await ask(proxy, get(b"/second"))
        await until(lambda: proxy.service.journal.written == 3)
        async with listening(proxy, b"Last-Event-ID: " + events.last_id.encode()) as again:
            paths = [(await again.next("record"))["path"] for _ in range(2)]
        await until(lambda: proxy.service.journal.written == 4)
        async with listening(proxy, b"Last-Event-ID: 0") as other:
            all_of_them = [(await other.next("record"))["path"] for _ in range(4)]

    assert {"/_ampmap/events", "/second"} == set(paths)
    assert "/first" == all_of_them[0]


@pytest.mark.parametrize("last", [b"x", b"-", b"99999999999999999999-1", b"\xff", b"0-0", b""])
async def test_an_id_of_another_process_has_everything_told(last: bytes) -> None:
    async with proxying(None) as proxy:
        await ask(proxy, get(b"/first"))
        async with listening(proxy, b"Last-Event-ID: " + last) as events:
            assert "/first" == (await events.next("record"))["path"]


async def test_the_state_is_told_within_a_moment_of_a_change() -> None:
    settings = Settings(listen=(TcpListen(port=0),), amp=Amp(origin=None), providers=(provider(await closed_origin()),))
    clock = 0.0
    async with running(settings, env={}) as proxy, listening(proxy) as events:
        proxy.service.cooldowns.now = lambda: clock  # the cooldown is no longer than the least time between two events
        assert ["up"] == [each["state"] for each in (await events.next("status"))["providers"]]
        await ask(proxy, post())
        assert ["cooldown"] == [each["state"] for each in (await events.next("status"))["providers"]]
        clock = 1.0
        with anyio.fail_after(GUARD_S):
            while [each["state"] for each in (await events.next("status"))["providers"]] != ["up"]:
                pass
        proxy.service.apply(compile_snapshot(settings)[0])
        assert 2 == (await events.next("status"))["generation"]


async def test_a_drain_ends_readers_at_once() -> None:
    async with proxying(None) as proxy:
        async with listening(proxy) as events:
            await events.next("status")
            with anyio.fail_after(GUARD_S):
                await proxy.drain(30)
            assert b"0\r\n\r\n" == (await events.peer.read_rest())[-5:]


async def test_a_drain_does_not_wait_for_a_reader_that_takes_nothing() -> None:
    async with proxying(None) as proxy, listening(proxy):
        for number in range(10_000):
            proxy.service.journal.write(Record(path=f"/{number}/".ljust(1000, "x")))
            if number % 100 == 0:
                await checkpoint()
        with anyio.fail_after(GUARD_S):
            await proxy.drain(30)


async def test_a_reader_that_leaves_is_forgotten_and_it_is_no_failure() -> None:
    async with proxying(None) as proxy:
        async with listening(proxy) as events:
            await events.next("status")
        await until(lambda: proxy.service.journal.recent)
        record = proxy.service.journal.recent[0]
        await until(lambda: proxy.listener.count == 0)

    assert ("ok", 200, "ADMIN") == (record.outcome, record.status, record.route_type)


async def test_more_readers_than_a_few_are_told_to_wait() -> None:
    async with proxying(None) as proxy:
        clients = [connected(proxy) for _ in range(MAX_READERS)]
        peers = [await client.__aenter__() for client in clients]
        for peer in peers:
            await peer.send(get(b"/_ampmap/events"))
            await peer.read_until(b"event: status")
        refused = await ask(proxy, get(b"/_ampmap/events"))
        for client in clients:
            await client.__aexit__(None, None, None)
        await until(lambda: proxy.listener.count == 0)
        async with listening(proxy) as events:
            await events.next("status")

    assert (503, b"5") == (refused.status, refused.one(b"retry-after"))
    assert b"/_ampmap/events has too many readers" in refused.body


async def test_a_reader_that_takes_nothing_holds_nobody_up_and_is_told_what_it_missed() -> None:
    count = 12_000  # more bytes of events than kernels take for one connection
    async with proxying(None) as proxy, listening(proxy) as slow:
        journal = proxy.service.journal
        for number in range(count):
            journal.write(Record(path=f"/{number}/".ljust(1000, "x")))
            if number % 100 == 0:
                await checkpoint()
        assert 404 == (await ask(proxy, get(b"/last"))).status
        dropped = await slow.next("dropped")
        first = await slow.next("record")
        number_of_first = int(slow.last_id.partition("-")[2])
        while (await slow.next("record"))["path"] != "/last":
            pass

    assert 0 < dropped["records"] < count
    assert f"/{number_of_first - 1}/".ljust(1000, "x") == first["path"]


async def test_an_older_client_gets_events_until_the_end_of_its_connection() -> None:
    async with proxying(None) as proxy, connected(proxy) as client:
        await client.send(get(b"/_ampmap/events", version=b"1.0"))
        head = await client.read_head()
        await client.read_until(b"event: status\ndata: {")

    assert (None, b"close") == (head.one(b"transfer-encoding"), head.one(b"connection"))


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"POST", 404)])
async def test_a_head_is_answered_without_events_and_a_post_is_not(method: bytes, status: int) -> None:
    async with proxying(None) as proxy:
        answer = await ask(proxy, get(b"/_ampmap/events", b"Content-Length: 0", method=method), no_body=True)
        await until(lambda: proxy.listener.count == 0)

    assert status == answer.status


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"x-api-key: key",), 200),
        ((), 401),
        ((b"x-api-key: wrong",), 401),
        ((b"x-api-key: key", b"Origin: http://evil.example", b"Sec-Fetch-Site: cross-site"), 403),
        ((b"x-api-key: key", b"Sec-Fetch-Site: same-origin"), 403),  # a page of Amp's
    ],
)
async def test_the_gate_is_that_of_other_pages(lines: tuple[bytes, ...], status: int) -> None:
    settings = Settings(listen=(TcpListen(port=0),), amp=Amp(origin=None), api_keys=("key",))
    async with running(settings, env={}) as proxy, connected(proxy) as peer:
        await peer.send(get(b"/_ampmap/events", *lines))
        assert status == (await peer.read_head()).status


async def test_what_waits_for_a_reader_is_bounded() -> None:
    service = Service(compile_snapshot(Settings(amp=Amp(origin=None)))[0], {})
    events = Events(service)
    reader = events.listen(None)
    assert reader is not None
    most = 0
    for number in range(5000):
        service.journal.write(Record(path=f"/{number}"))
        most = max(most, len(reader.waiting))
    told = b""
    async for piece in reader:
        told += piece
        if b'"/4999"' in piece:
            break

    assert 512 == most
    assert b'event: dropped\ndata: {"records":%d}' % (5000 - RECENT) in told
    assert RECENT == told.count(b"event: record")


async def test_nothing_comes_but_a_comment_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ampmap.admin.events._SILENCE_S", 0.3)
    monkeypatch.setattr("ampmap.admin.events._STATUS_S", 0.1)
    service = Service(compile_snapshot(Settings(amp=Amp(origin=None)))[0], {})
    reader = Events(service).listen(None)
    assert reader is not None

    pieces = [await anext(reader) for _ in range(3)]

    assert b"\nevent: status\ndata: {" in pieces[0]
    assert [b":\n\n"] * 2 == pieces[1:]
