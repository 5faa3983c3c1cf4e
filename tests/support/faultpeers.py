"""One cell of the fault matrix acted: the client's part, the whole, and a look at what came of it.

To be run on a ``QuickLoop``: there, a second's sleep means that everything said so far has been taken and passed on.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import anyio
from faultfacts import Facts, Report, expected
from faultmatrix import Cell, Fault, Kind, Point, Side
from faultupstream import FULL_S, GONE, Ear, Stage, do_fault, listening, settle, upstream_of
from faultwords import ASKED, SERVED, THINK_S, TIMES, WORDS, content, parted, request, told
from kit import Peer, ask, connected, get, post, provider, proxying

from ampmap.routing.cooldown import FIRST_S, Cooldowns
from ampmap.server import Server
from ampmap.settings import Origin, Provider

_OTHER_PATH = "/api/user"  # of the exchanges before and after the cell


@dataclass(frozen=True, slots=True)
class Seen:
    """One reply as the client saw it."""

    status: int
    whole: bool
    no_retry: bool = False  # it says that asking again would cost again


async def _hear(ear: Ear, late_s: float) -> None:
    await anyio.sleep(late_s)
    with suppress(*GONE):
        while True:
            await ear.receive()


async def _ask(client: Peer, cell: Cell, ear: Ear) -> None:
    """Say what a client that does not break says."""
    whole = request(cell)
    with suppress(*GONE):
        if cell.point is Point.OTHERS_BODY and cell.kind is Kind.PLAIN and not cell.large:
            said, left = parted(whole, Point.BODY)
            await client.send(said)
            if cell.fault is Fault.DRIP:
                await anyio.sleep(5)
                await client.send(left)
            return  # the others break while this one pauses, which should not delay its answer
        await client.send(whole.raw)
        await anyio.sleep(5)
        if bytes(ear.heard).startswith(b"HTTP/1.1 101"):
            await client.send(*WORDS)


async def _act(client: Peer, cell: Cell) -> None:
    """Break as the cell says."""
    tunnel = cell.kind is Kind.UPGRADE and cell.point in (Point.BODY, Point.OTHERS_BODY)
    if tunnel:
        await client.send(request(cell).head)
        await settle()
        await client.send(WORDS[0])
        if cell.point is Point.OTHERS_BODY:
            await client.send(*WORDS[1:])
            await client.stream.send_eof()
        left = b"".join(WORDS[1:])
    else:
        said, left = parted(request(cell), Point.AFTER_END if cell.point is Point.OTHERS_BODY else cell.point)
        if cell.kind is Kind.UPGRADE and cell.point is Point.AFTER_END:
            left = b"".join(WORDS)
        if said:
            await client.send(said)
    await settle()
    await do_fault(client, cell.fault, left)
    if cell.kind is Kind.UPGRADE and cell.point in (Point.BODY, Point.AFTER_END) and cell.fault is Fault.GARBAGE:
        await client.send(WORDS[-1])


async def _play(client: Peer, cell: Cell, amiss: list[str]) -> list[Seen]:
    """Act the client's part; return the replies it saw."""
    mine = cell.side is Side.CLIENT
    if cell.point is Point.HEAD:
        await client.send(get(_OTHER_PATH.encode()))
        assert 200 == (await client.read_message()).status
    ear = listening(client)
    late_s = FULL_S if mine and cell.large else 0.0

    async with anyio.create_task_group() as group:
        group.start_soon(_hear, ear, late_s)
        with suppress(*GONE):
            await (_act(client, cell) if mine else _ask(client, cell, ear))
    if cell.kind is Kind.UPGRADE:
        with suppress(*GONE):
            await client.stream.send_eof()
    return _seen(bytes(ear.heard), cell, amiss)


def _seen(heard: bytes, cell: Cell, amiss: list[str]) -> list[Seen]:
    """Return the replies in ``heard``; their content is judged here."""
    seen: list[Seen] = []
    while heard:
        head, end, heard = heard.partition(b"\r\n\r\n")
        if not end:
            amiss.append(f"a head that breaks off: {head!r}")
            break
        status = int(head.split(b" ")[1])
        lines = head.lower()
        if status == 101:
            return [*seen, Seen(status, heard.endswith(WORDS[-1]))]
        if b"transfer-encoding: chunked" in lines:
            body, whole, heard = _unchunked(heard)
        else:
            length = int(lines.partition(b"content-length: ")[2].split(b"\r\n")[0])
            body, whole, heard = heard[:length], len(heard) >= length, heard[length:]
        if status == 200 and cell.fault is not Fault.GARBAGE:
            said = b"".join(content(cell, ASKED if cell.kind is not Kind.PLAIN else SERVED))
            if cell.kind is Kind.TRANSLATED:
                said, body = told(said), told(body)
            if said != body if whole else not said.startswith(body):
                amiss.append(f"another reply: {body!r}")
        seen.append(Seen(status, whole, b"x-should-retry: false" in lines))
    return seen


def _unchunked(data: bytes) -> tuple[bytes, bool, bytes]:
    body = b""
    while b"\r\n" in data:
        size, _, rest = data.partition(b"\r\n")
        count = int(size, 16)
        if not count:
            return body, rest.startswith(b"\r\n"), rest[2:]
        body, data = body + rest[:count], rest[count + 2 :]
    return body, False, b""


# The whole.


def _provider(cell: Cell, origin: Origin) -> Provider:
    served = provider(origin)
    return replace(served, endpoints=served.endpoints[:1]) if cell.kind is Kind.TRANSLATED else served


def _left() -> tuple[int, int]:
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))


async def act(cell: Cell, tls: ssl.SSLContext) -> tuple[Facts, list[str]]:
    """Act ``cell``; return what came of it, and in words what else is amiss: there should be nothing."""
    stage = Stage(cell, tls)
    amiss: list[str] = []
    async with (
        upstream_of(stage) as (origin, open_door),
        proxying(origin, providers=(_provider(cell, origin),), timeouts=TIMES) as proxy,
    ):
        proxy.service.cooldowns = Cooldowns(asyncio.get_running_loop().time)
        await settle()
        tasks, files = _left()
        async with connected(proxy, receive_bytes=65_536 if cell.large else 0) as client:
            seen = await _play(client, cell, amiss)
        # A reset after a FIN is told to nobody who has read the FIN, but by the next byte that is sent.
        await anyio.sleep(THINK_S + 5 if cell.kind is Kind.UPGRADE and cell.point is Point.OTHERS_BODY else 1)
        facts = _facts(cell, stage, proxy, seen)
        amiss += _wrong(stage, seen)
        if proxy.listener.count:
            amiss.append("a connection was not noticed to be over")
        with anyio.move_on_after(FULL_S):  # the upstream may not be listening
            while (left := _left())[0] != tasks + facts.pooled or left[1] > files + 2 * facts.pooled:
                await settle()
        if left[0] != tasks + facts.pooled or left[1] > files + 2 * facts.pooled:  # fewer: the collector closed some
            amiss.append(f"left: {left[0] - tasks} tasks, {left[1] - files} files, {asyncio.all_tasks()}")
        amiss += await _goes_on(cell, stage, proxy, open_door)
    return facts, amiss


def _facts(cell: Cell, stage: Stage, proxy: Server, seen: list[Seen]) -> Facts:
    """Gather what came of a cell; what it hides is None, as in what is expected."""
    told = expected(cell)
    records = [record for record in proxy.service.journal.recent if record.path != _OTHER_PATH]
    return Facts(
        tuple((each.status, each.whole) for each in seen),
        stage.connections,
        None if told.requests is None else sum(stage.requests),
        None if told.whole is None else stage.whole,
        None if told.answered is None else stage.answered,
        tuple(Report(each.route_type, each.status, each.outcome, each.attempts) for each in records),
        proxy.service.pool.idle_count,
    )


def _wrong(stage: Stage, seen: list[Seen]) -> list[str]:
    """Tell of what holds in every cell alike and does not in this one."""
    requests = sum(stage.requests)
    amiss = [] if requests <= 1 else [f"asked for {requests} times"]
    for number, each in enumerate(seen):
        may_have_begun = number == 0 and (requests > 0 or expected(stage.cell).requests is None)
        if each.status >= 400 and each.no_retry != may_have_begun:
            amiss.append(f"x-should-retry with {each.status}: {each.no_retry}")
    return amiss


async def _goes_on(cell: Cell, stage: Stage, proxy: Server, open_door: Callable[[], None]) -> list[str]:
    """See whether the next request is served, over the connection that was kept if there is one."""
    stage.over, connections, kept = True, stage.connections, proxy.service.pool.idle_count
    open_door()
    await anyio.sleep(2 * FIRST_S)  # a provider that could not be reached has rested
    again = post(b'{"model": "alias"}') if cell.asks_a_model else get(_OTHER_PATH.encode())
    answer = await ask(proxy, again)
    amiss = [] if (answer.status, answer.body) == (200, b"ok") else [f"then: {answer}"]
    if stage.connections - connections != (0 if kept else 1):
        amiss.append(f"then: {stage.connections - connections} new connections, {kept} kept")
    if sum(stage.requests) > 1:
        amiss.append("asked for again with the next request")
    return amiss
