"""Idle connections to upstreams, kept for the next request.

``proxy`` takes and returns them. A connection leaves the pool at the first byte, or the end, that its peer sends
while it is idle: an upstream has nothing to say before a request, and a client would read it as the answer to the next
one (RFC 9112 §9.3; a late 408 does this). So :meth:`Pool.take` needs no check of the socket.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from functools import partial
from typing import NamedTuple

from ..net.address import is_loopback
from ..settings import Hop, Limits, Timeouts
from .dialer import Dialer
from .upstream_connection import UpstreamConnection

IDLE_S = 60.0  # servers in front of providers keep idle connections for 60 s and more; sooner or later they say so
LOCAL_IDLE_S = 4.0  # servers on this machine are often Node or uvicorn, which close after 5 s
_SWEEP_S = 10.0
_SUSPENDED_S = 1.0
# Not in RFC 9112: what servers send is in https://datatracker.ietf.org/doc/draft-thomson-hybi-http-timeout §2.
_KEEP_ALIVE = re.compile(rb"(?:\A|[\s,;])timeout\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)


class _Idle(NamedTuple):
    until: float  # by the clock of the loop
    awake: float  # see _awake
    wire: UpstreamConnection


class Pool:
    """Idle connections by hop, the newest used first. Bookkeeping only: no method but :meth:`dial` awaits."""

    def __init__(self, dialer: Dialer, limits: Limits, timeouts: Timeouts) -> None:
        self._dialer = dialer
        self._limits = limits
        self._timeouts = timeouts
        self._idle: dict[Hop, deque[_Idle]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._epoch = 0  # counts what was forgotten
        self.dialled = self.reused = 0  # connections that were handed out, new and kept ones

    def configure(self, limits: Limits, timeouts: Timeouts) -> None:
        """Use these from now on; connections that are open keep what they began with."""
        self._limits, self._timeouts = limits, timeouts
        self._dialer.connect_s = timeouts.connect_s

    def forget(self) -> None:
        """Let no connection that was made under an earlier configuration serve another request."""
        self._dialer.forget()
        self._epoch += 1
        self.close()

    @property
    def idle_count(self) -> int:
        """How many connections wait for a request."""
        return sum(map(len, self._idle.values()))

    def take(self, hop: Hop) -> UpstreamConnection | None:
        """Return the live connection to ``hop`` that was used last; None when none waits."""
        idle = self._idle.get(hop)
        while idle:
            until, awake, wire = idle.pop()
            wire.raw.on_data = wire.raw.on_gone = None
            # After a suspend the peer may have ended it long ago, and its word of that is lost.
            if wire.raw.is_quiet and wire.raw.now() < until and _awake() - awake < _SUSPENDED_S:
                wire.reused = True
                self.reused += 1
                return wire
            wire.abort()
        return None

    async def dial(self, hop: Hop) -> UpstreamConnection:
        """Return a new connection to ``hop``. Raises :class:`DialFailed`. Cancelling leaves nothing open."""
        epoch = self._epoch
        stream, raw = await self._dialer.dial(hop)
        wire = UpstreamConnection(stream, raw, self._limits, self._timeouts, self._dialer.addressed(hop.origin))
        wire.epoch = epoch
        self.dialled += 1
        peer = raw.info("peername")
        wire.is_local = bool(peer) and is_loopback(str(peer[0]))
        return wire

    def release(self, hop: Hop, wire: UpstreamConnection) -> None:
        """Keep ``wire`` for the next request if it is clean and the limits allow it; otherwise close it."""
        idle = self._idle.setdefault(hop, deque())
        seconds = LOCAL_IDLE_S if wire.is_local else IDLE_S
        if wire.keep_alive and (told := _KEEP_ALIVE.search(wire.keep_alive)):
            seconds = min(int(told[1]) - 1.0, IDLE_S)
        if seconds <= 0 or not wire.reusable or wire.epoch != self._epoch or len(idle) >= self._limits.idle_per_origin:
            wire.abort()
            return
        wire.raw.clear_interrupt()  # a client may have left when its reply was here, and is nobody else's concern
        entry = _Idle(wire.raw.now() + seconds, _awake(), wire)
        wire.raw.on_data = wire.raw.on_gone = partial(self._drop, hop, entry)
        idle.append(entry)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def close(self) -> None:
        """Close every idle connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for idle in self._idle.values():
            while idle:
                idle.pop().wire.abort()

    def _drop(self, hop: Hop, entry: _Idle) -> None:
        self._idle[hop].remove(entry)
        entry.wire.abort()

    def _sweep(self) -> None:
        self._sweeper = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for idle in self._idle.values():
            for entry in [entry for entry in idle if entry.until <= now]:
                idle.remove(entry)
                entry.wire.abort()
        if self.idle_count:
            self._sweeper = loop.call_later(_SWEEP_S, self._sweep)


def _awake() -> float:
    """Return a number of seconds that grows by the time for which the machine was suspended, and hardly else.

    The wall clock goes on meanwhile, and CLOCK_MONOTONIC, by which loops measure, stands still.
    """
    return time.time() - time.monotonic()
