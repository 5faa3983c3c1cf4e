"""Ports that nobody listens at: as soon as one is free, another test's server may get it, and be asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port(port: int = 0) -> Iterator[int]:
    """Hold a port of 127.0.0.1, any by default: only a server that asks for its number gets it, as on Linux it may."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        yield sock.getsockname()[1]
