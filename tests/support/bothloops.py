"""asyncio and uvloop: what concerns streams, memory and stalls is proven on both."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

on_both_loops = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"debug": True}), ("asyncio", {"debug": True, "loop_factory": uvloop.new_event_loop})],
    ids=["asyncio", "uvloop"],
)


def is_uvloop() -> bool:
    """Tell which loop a test runs on."""
    return isinstance(asyncio.get_running_loop(), uvloop.Loop)
