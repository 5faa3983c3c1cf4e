"""One spelled request tried on a proxy of its own, and what is wrong with what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import anyio
import h11
from kit import GUARD_S, Peer, connected, get, scripted, times
from spelledrequests import (
    BODY,
    SENT_BODY,
    Case,
)
from strictreaders import (
    NotStrict,
    Reader,
    Seen,
    as_h11_reads,
    responses,
    strictly,
)

from ampmap.server import Server, running
from ampmap.settings import Amp, Endpoint, ModelEntry, Origin, Provider, Rule, Settings, TcpListen, Timeouts


class Upstream:
    """A server that reads with h11, answers each whole request by naming its target, and keeps every byte it got."""

    def __init__(self) -> None:
        self.raw: list[bytearray] = []  # by connection
        self.readers: list[Reader] = []

    async def script(self, peer: Peer) -> None:
        raw, reader, answered = bytearray(), Reader(), 0
        self.raw.append(raw)
        self.readers.append(reader)
        while True:
            data = await peer.stream.receive()
            raw += data
            reader.feed(data)
            if reader.wants_continue:
                reader.wants_continue = False
                await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            for seen in reader.seen[answered:]:
                said = b"" if seen.method == b"HEAD" else seen.target
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen.target) + said)
            answered = len(reader.seen)


# -- One case tried on a proxy of its own.

ROUTES = {"model": b"/v1/chat/completions", "buffered": b"/api/internal", "streamed": b"/api/threads"}
_AT_ONCE = 24
VICTIM = b"/api/user/victim"
QUICK = times(keepalive_s=0.05, head_s=0.1, body_idle_s=0.1, response_head_s=1.0, stream_idle_s=1.0)


@asynccontextmanager
async def proxy_at(origin: Origin, base_path: str = "", *, timeouts: Timeouts = QUICK) -> AsyncIterator[Server]:
    """Run a proxy before ``origin``: both its Amp upstream and its provider of ``m``, which it maps ``alias`` to."""
    endpoints = (Endpoint(protocol="openai-chat", base_path=base_path),)
    local = Provider(name="local", origin=origin, endpoints=endpoints, models=(ModelEntry(id="m"),), api_key="own-key")
    settings = Settings(
        listen=(TcpListen(port=0),),
        amp=Amp(origin=origin, base_path=base_path, api_key="sgamp_key", rules=(Rule(source="alias", targets=("m",)),)),
        providers=(local,),
        timeouts=timeouts,
    )
    async with running(settings, env={}) as proxy:
        yield proxy


async def said_to(proxy: Server, raw: bytes) -> bytes:
    """Send ``raw`` on a connection of its own; return all that comes until the proxy ends it, as it soon does."""
    async with connected(proxy) as client, anyio.create_task_group() as group:
        group.start_soon(_pour, client, raw)
        said = await client.read_rest()
    return said


async def _pour(client: Peer, raw: bytes) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await client.send(raw)


def complaints(case: Case, path: bytes, said: bytes, passed: list[Seen], *, begun: bool) -> Iterator[str]:
    """Say what is wrong with what a client was told and an upstream got: ``passed`` are the whole requests there.

    ``begun`` tells whether part of another one came too.
    """
    raw = case.at(path)
    read = as_h11_reads(raw)
    try:
        told, behind = responses(said, [seen.method for seen in read] + [b"POST"])
    except (NotStrict, h11.RemoteProtocolError) as exc:
        yield f"the client is told what is no response: {exc!r} in {said!r}"
        return
    served = [answer for answer in told if answer.status < 400]
    if behind or not all(answer.whole for answer in told):
        yield f"the client is told more, or less, than whole responses: {said!r}"
    if len(served) != len(passed):
        yield f"{len(served)} served, but {len(passed)} requests passed: {passed}"
    left = iter(read)
    for seen in passed:
        if not any(_same(seen, asked) for asked in left):
            yield f"nobody asked for {seen}"
    if told and told[-1].status in (400, 408, 413, 431, 501, 505) and (b"connection", b"close") not in told[-1].fields:
        if len(told) > len(read):
            yield f"the connection goes on after {told[-1].status}"
    first = told[0].status if told else 0
    if case.verdict == "refused" and (first < 400 or passed or len(told) != 1):
        yield f"not refused: {[answer.status for answer in told]}, {passed}"
    if case.verdict == "passes":
        served_here = path != ROUTES["model"] or (read and read[0].method == b"POST" and read[0].body == BODY)
        if served_here and (first != 200 or not passed):
            yield f"not served: {said!r}"
    if begun and first < 400:
        yield "a request is left unfinished"


def _same(passed: Seen, asked: Seen) -> bool:
    bodies = (asked.body, SENT_BODY) if asked.body == BODY else (asked.body,)
    return passed.method == asked.method and passed.body in bodies


async def tried(case: Case, path: bytes) -> list[str]:
    """Try one case, then ask for something harmless on the connections that it left; return what is wrong."""
    upstream, found = Upstream(), []
    async with scripted(upstream.script) as server, proxy_at(server.origin) as proxy:
        with anyio.fail_after(GUARD_S):
            said = await said_to(proxy, case.at(path))
            passed, begun = [], False
            try:
                for raw, reader in zip(upstream.raw, upstream.readers, strict=True):
                    seen, rest = strictly(bytes(raw))
                    begun = begun or bool(rest)
                    passed += seen
                    if reader.error is not None or seen != [
                        Seen(x.method, x.target, x.body, x.fields, x.trailers) for x in reader.seen
                    ]:
                        found.append(f"h11 reads {reader.seen}, {reader.error}, and not {seen}")
            except NotStrict as exc:
                return [f"{case.name}: what is passed on is not strict: {exc}"]
            found += complaints(case, path, said, passed, begun=begun)
            if VICTIM not in (answer := await said_to(proxy, get(VICTIM, b"Connection: close"))):
                found.append(f"the next client is told {answer!r}")
    return [f"{case.name}: {what}" for what in found]


_T = TypeVar("_T")


async def in_turn(check: Callable[[_T], Awaitable[list[str]]], cases: Iterable[_T]) -> list[str]:
    """Check all cases, a few at a time; return all that is found wrong."""
    found: list[str] = []
    slots = anyio.Semaphore(_AT_ONCE)

    async def one(case: _T) -> None:
        async with slots:
            found.extend(await check(case))

    async with anyio.create_task_group() as group:
        for case in cases:
            group.start_soon(one, case)
    return found
