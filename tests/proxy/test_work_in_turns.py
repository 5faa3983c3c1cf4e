"""Others have their turn between the steps of long work; a small piece of work, which costs less than that, ends."""

from __future__ import annotations

import time
from collections.abc import Iterator

import anyio
import anyio.lowlevel
import pytest

from ampmap.bodies.steps import Steps
from ampmap.proxy.relay_fast import filtered
from ampmap.proxy.turns import in_turns

BOTH_LOOPS = True


def steps(busy_s: float) -> Steps[str]:
    for _ in range(3):
        until = time.thread_time() + busy_s
        while time.thread_time() < until:
            pass
        yield
    return "done"


@pytest.mark.parametrize(
    ("busy_s", "is_small", "others_ran"), [(0, False, True), (0, True, False), (0.003, True, True)]
)
async def test_others_have_their_turn_unless_the_work_is_small_and_short(
    busy_s: float, is_small: bool, others_ran: bool
) -> None:
    ran: list[bool] = []

    async def other() -> None:
        ran.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        assert await in_turns(steps(busy_s), is_small=is_small) == "done"
        assert bool(ran) is others_ran


class Silent:
    """A filter whose parts take a while and have no output, as comments of a stream that has not begun."""

    is_loaded = True

    def feed(self, data: bytes) -> bytes:
        return b"".join(self.steps(data))

    def steps(self, data: bytes) -> Iterator[bytes]:
        until = time.thread_time() + 0.001
        while time.thread_time() < until:
            pass
        yield from ()

    def finish(self) -> bytes:
        return b""


async def test_others_have_their_turn_between_parts_without_output() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        await anyio.lowlevel.checkpoint()
        before = turns
        await filtered(Silent(), b":\n" * 16_384)
        group.cancel_scope.cancel()

    assert turns - before > 20
