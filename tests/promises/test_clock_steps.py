"""The wall clock shows the time and decides nothing: it may jump."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import anyio
from kit import GUARD_S, OK, Peer, get, post, scripted
from process import proxying_process, served

import ampmap

HOME = Path(ampmap.__file__).parent

JUMPING = """
import itertools, sys, time
real, steps = time.time, itertools.cycle([0.0, 4e8, -4e8, 3600.0, -86400.0])
time.time = lambda: real() + next(steps)
from ampmap.commands.main import main
sys.exit(main())
"""


async def test_steps_of_the_wall_clock_move_no_deadline_and_no_rest(tmp_path: Path) -> None:
    go = anyio.Event()

    async def slowly(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        await go.wait()
        await peer.send(b"k")
        await peer.wait_gone()

    more = "timeouts: {keepalive-s: 0.5, stream-idle-s: 30, response-head-s: 30, drain-s: 5}\n"
    async with (
        scripted(slowly) as upstream,
        proxying_process(tmp_path, upstream.origin, more, program=("-c", JUMPING)) as it,
        it.connected() as client,
    ):
        await client.send(post())
        assert 200 == (await client.read_final()).status
        await client.send(post())
        await client.read_until(b"\r\n\r\no")
        for _ in range(20):  # each of these makes a record, and so a step
            await served(it, 1)
        go.set()
        assert b"k" == await client.read_exactly(1)
        with anyio.fail_after(GUARD_S):
            assert b"" == await client.read_rest()  # the keep-alive time is over, no sooner and no later
        records = json.loads((await it.ask(get(b"/_ampmap/requests", b"Connection: close"))).body)
        found = records if isinstance(records, list) else records["requests"]

        assert 22 <= len(found)  # idle connections may be given up: a step forwards looks like a suspend
        assert all(0 <= record["duration_ms"] < 30_000 for record in found)
        assert len({record["time"][:4] for record in found}) > 2  # the steps were there
        it.signal()
        assert 0 == await it.ended()


WALL_CLOCK = {
    "records.record": 1,  # when a request came
    "proxy.state": 4,  # when the configuration was last read, until when a cooldown lasts, what a day's credits were
    "proxy.reload": 1,  # when that failed
    "proxy.discovery": 2,  # when a provider last gave its list
    "http.pool": 1,  # whether the machine was suspended
    "proxy.translated_reply": 1,  # when a reply was made, which some formats state
    "proxy.peek": 1,  # how long a Retry-After in the form of a date is
}


def test_the_wall_clock_is_read_for_showing_the_time_alone() -> None:
    found: dict[str, int] = {}
    for path in HOME.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "time.time",
                "datetime.now",
                "datetime.utcnow",
            ):
                name = ".".join(path.relative_to(HOME).with_suffix("").parts)
                found[name] = found.get(name, 0) + 1

    assert WALL_CLOCK == found
