"""asyncio and uvloop: what concerns streams, memory and stalls is proven on both.

A module that says ``BOTH_LOOPS = True`` has its tests run on both; ``conftest`` sees to that.
"""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
import uvloop

from ampmap.net.stream import Stream


class CheckedLoop(asyncio.SelectorEventLoop):
    """asyncio's loop in debug mode, without the stack of each future and callback: keeping those takes half the time.

    So a callback from another thread is an error.
    """

    def get_debug(self) -> bool:
        """Return False, which futures and callbacks ask for; the loop goes by its attribute."""
        return False


CHECKED = ("asyncio", {"debug": True, "loop_factory": CheckedLoop})
LOOPS = [CHECKED, ("asyncio", {"loop_factory": uvloop.new_event_loop})]

on_asyncio = pytest.mark.parametrize("anyio_backend", LOOPS[:1], ids=["asyncio"])


def is_uvloop() -> bool:
    """Tell which loop a test runs on."""
    return isinstance(asyncio.get_running_loop(), uvloop.Loop)


def shut(stream: Stream) -> None:
    """Shut the sending half of a stream's socket without the loop knowing: the next write fails at once."""
    with socket.socket(fileno=os.dup(stream.info("socket").fileno())) as sock:  # uvloop's own object does not offer it
        sock.shutdown(socket.SHUT_WR)
