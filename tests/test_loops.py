"""The loops that tests run on: asyncio's own minds the thread that calls it, as in debug mode."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from bothloops import CHECKED
from quickclock import QuickLoop


@pytest.mark.parametrize("anyio_backend", [CHECKED, ("asyncio", {**CHECKED[1], "loop_factory": QuickLoop})])
async def test_a_callback_from_another_thread_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="Non-thread-safe operation"):
        await anyio.to_thread.run_sync(asyncio.get_running_loop().call_soon, print)
