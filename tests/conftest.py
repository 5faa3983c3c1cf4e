"""Fixtures that every test may use."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import anyio
import pytest
import trustme


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"debug": True}


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task or an open file behind; what closes does so in a few turns of the loop."""
    tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    yield
    for _ in range(200):
        left = len(asyncio.all_tasks()) - tasks, len(os.listdir("/proc/self/fd")) - files
        if left == (0, 0):
            return
        await anyio.sleep(0.005)
    assert (0, 0) == left, [task.get_name() for task in asyncio.all_tasks()]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()
