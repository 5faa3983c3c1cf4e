"""What most tests of one connection begin with: a client, a proxy, and an upstream that follows a script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kit import Peer, Script, Scripted, closed_origin, connected, proxying, scripted

from ampmap.server import Server


@asynccontextmanager
async def chained(script: Script, **options: Any) -> AsyncIterator[tuple[Scripted, Server, Peer]]:
    """Run an upstream, a proxy before it, and a client of that; ``options`` are those of ``proxying``."""
    async with (
        scripted(script) as upstream,
        proxying(upstream.origin, **options) as proxy,
        connected(proxy) as client,
    ):
        yield upstream, proxy, client


@asynccontextmanager
async def without_upstream(**options: Any) -> AsyncIterator[tuple[Server, Peer]]:
    """Run a proxy whose upstream nobody listens at, and a client."""
    async with proxying(await closed_origin(), **options) as proxy, connected(proxy) as client:
        yield proxy, client
