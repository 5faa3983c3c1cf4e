"""Others have their turn between the steps of long work; a small piece of work, which costs less than that, ends."""

from __future__ import annotations

import time

import anyio
import pytest

from ampmap.bodies.steps import Steps
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
