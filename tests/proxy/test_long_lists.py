"""Long and hostile lists of models hold up nobody: at most 5 ms of the loop's CPU at a time, on both loops."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import anyio
import kit
import pytest
from turnlengths import BestOf, turns

from ampmap.http.dialer import Dialer
from ampmap.http.pool import Pool
from ampmap.proxy.discovery import Discovery
from ampmap.routing.snapshot import Offer
from ampmap.settings import Endpoint, Limits, Origin, Provider, Timeouts

TURN_S = 0.005
LIST_S = 0.05  # the names are sorted in one call, and the client reads on this loop; all at once: seconds
LOOPS = ("asyncio", "uvloop")
on_both_loops = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": loop == "uvloop"}) for loop in LOOPS], ids=LOOPS
)

MIB = 2**20


def whole(body: bytes, *lines: bytes) -> bytes:
    head = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines]
    return b"".join(line + b"\r\n" for line in head) + b"\r\n" + body


def models(count: int, more: str = "") -> bytes:
    return json.dumps({"object": "list", "data": [{"id": f"m{n}{more}"} for n in range(count)]}).encode()


def filled(unit: bytes, size: int = 8 * MIB - 100) -> bytes:
    return b'{"data": [' + b",".join([unit] * (size // (len(unit) + 1))) + b"]}"


# Made only where they are asked for: all of them take half a second.
REPLIES: dict[str, Callable[[], bytes]] = {
    "two hundred thousand models": lambda: whole(models(200_000)),
    "as many as may be, all dated": lambda: whole(models(20_000, "-20250101")),
    "as many as may be, with long names": lambda: whole(models(20_000, "x" * 240)),
    "numbers": lambda: whole(filled(b"1")),
    "empty objects": lambda: whole(filled(b"{}")),
    "nested arrays": lambda: whole(filled(b"[" * 500 + b"]" * 500)),
    "entries with many members": lambda: whole(filled(b'{"a":1,' + b'"b":[[]],' * 9000 + b'"id":"m"}')),
    "one string": lambda: whole(b'{"data": [{"id": "' + b"\\u00e9" * (MIB * 4 // 3) + b'"}]}'),
    "blanks": lambda: whole(b'{"data":' + b" " * (8 * MIB - 100) + b"[]}"),
    "a bomb": lambda: whole(gzip.compress(b" " * (64 * MIB)), b"Content-Encoding: gzip"),
    "early hints without end": lambda: b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 100_000,
    "chunks of one byte": lambda: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;x=y\r\n \r\n" * 40_000 + b"0\r\n\r\n"
    ),
    "many bytes that decode to none": lambda: whole(gzip.compress(b"") * 200_000, b"Content-Encoding: gzip"),
}


@contextmanager
def served(reply: bytes) -> Iterator[Origin]:
    """Answer each request with ``reply`` from a thread of its own, whose CPU is not the loop's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listening.accept()
                except OSError:
                    return
                with accepted:
                    try:
                        while accepted.recv(65536):
                            accepted.sendall(reply)
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        yield Origin("http", "127.0.0.1", listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)  # so that accept ends


@on_both_loops
@pytest.mark.sample(1 / 8)
@pytest.mark.parametrize("name", REPLIES)
async def test_no_list_holds_the_loop_for_more_than_five_milliseconds(name: str) -> None:
    offers: dict[str, Offer] = {}
    pool = Pool(Dialer({}, Limits(), 2.0), Limits(), Timeouts())
    discovery = Discovery(pool, offers.update)
    with served(REPLIES[name]()) as origin, closing(pool):
        endpoints = (Endpoint(protocol="openai-chat"),)
        discovery.configure((Provider(name="p", origin=origin, endpoints=endpoints, discover=True),))
        with anyio.fail_after(kit.GUARD_S):
            for _ in (best := BestOf(TURN_S)):
                async with turns() as took:
                    await discovery.round()
                assert len(took) > 2
                best.add(max(took))

    assert best.holds, best.seconds


@pytest.mark.sample(1 / 2)
@on_both_loops
async def test_the_list_that_a_client_asks_for_is_decided_on_in_turns() -> None:
    with served(whole(models(20_000))) as origin:
        endpoints = (Endpoint(protocol="gemini"),)
        provider = Provider(name="p", origin=origin, endpoints=endpoints, discover=True)
        async with kit.proxying(origin, providers=(provider,)) as proxy:
            await proxy.service.discovery.wait_first(kit.GUARD_S)
            for _ in (best := BestOf(LIST_S)):
                async with turns() as took:
                    reply = await kit.ask(proxy, kit.get(b"/v1beta/models"))
                best.add(max(took))

    assert 20_000 == reply.body.count(b'"displayName"')
    assert best.holds, best.seconds
