"""The fast path of a reply's body: each piece is sent to the client in the callback in which it arrives.

Everything else is left to ``relay``, which reads it as if there were no pump: replies through TLS, the body's end,
chunks that are cut or have extensions, pieces so large that a filter could block the loop, a broken upstream, a client
that has left. The only contract between the two: a piece is either sent on here completely, or not touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from anyio.lowlevel import checkpoint

from ..bodies.filters import ByteFilter, slow
from ..http.client_connection import ClientConnection
from ..http.connection import chunk
from ..http.upstream_connection import UpstreamConnection
from ..net.deadlines import TURN_S
from .given import Given
from .usage import ReplyUsage

_WHOLE_BYTES = 1024  # a larger piece is fed to a filter in parts
_PART_BYTES = 512  # a part of this size is not cut further
_PART_SIGNS = 600  # nor is one with so few signs of JSON: a filter's time depends on them, not on the bytes between
_NO_SIGN = bytes(byte for byte in range(256) if byte not in b'"\\{}[],:\r\n')
_TURN_S = 0.0005  # of CPU, after which other tasks run
_EVENT_END = b"\n\n"


def _parts(data: bytes) -> Iterator[bytes]:
    """Cut a piece into parts that take a filter about a millisecond at most, between events if possible."""
    if len(data) <= _PART_BYTES or len(data.translate(None, _NO_SIGN)) <= _PART_SIGNS:
        yield data
        return
    half = len(data) // 2
    event = data.rfind(_EVENT_END, 0, half)  # filters are fastest with whole events
    cut = half if event < 0 else event + len(_EVENT_END)
    yield from _parts(data[:cut])
    yield from _parts(data[cut:])


async def filtered(byte_filter: ByteFilter, data: bytes) -> bytes:
    """Feed a piece of any size to a filter and return the filter's output; other tasks may run meanwhile."""
    stepped = slow(byte_filter)
    if len(data) <= _WHOLE_BYTES and not (stepped and stepped.is_loaded):
        return byte_filter.feed(data)
    pieces, began = [], time.thread_time()
    for part in _parts(data):
        for piece in stepped.steps(part) if stepped else (byte_filter.feed(part),):
            pieces.append(piece)
            if time.thread_time() - began > _TURN_S:
                await checkpoint()
                began = time.thread_time()
        if stepped and time.thread_time() - began > _TURN_S:  # a part may have no output
            await checkpoint()
            began = time.thread_time()
    return b"".join(pieces)


class Pump:
    """Sends the pieces of one reply's body, filtered if there is a filter, as chunks if ``chunked``.

    ``tokens`` reads each piece before the filter does, ``given`` gets what the client is given.
    """

    __slots__ = ("_chunked", "_client", "_feed", "_note", "_paused", "_slow", "_spent_s", "_upstream", "_watch")

    def __init__(
        self,
        upstream: UpstreamConnection,
        client: ClientConnection,
        given: Given,
        byte_filter: ByteFilter | None,
        tokens: ReplyUsage | None = None,
        *,
        chunked: bool,
    ) -> None:
        self._upstream = upstream
        self._client = client
        self._note = given.note
        self._feed = None if byte_filter is None else byte_filter.feed
        self._slow = slow(byte_filter)
        self._chunked = chunked
        self._watch = tokens.feed if tokens else None
        self._paused = False  # the client's buffer is full
        self._spent_s = 0.0  # on large pieces, since other tasks could last run

    async def run(self) -> None:
        """Send on the body until something comes that :meth:`UpstreamConnection.read` has to read.

        While the client's buffer is full nothing is read from the upstream. Raises :class:`ClientGone`, and
        :class:`UpstreamTimeout` when nothing comes.
        """
        while True:
            self._spent_s = 0.0
            await self._upstream.pump(self._pass)
            if self._paused:
                self._paused = False
                await self._client.flush()
            elif self._spent_s <= TURN_S:
                return

    def _pass(self, data: bytes) -> bool:
        """Send a piece on; False if ``relay`` has to read it."""
        upstream = self._upstream
        if self._feed is not None and (len(data) > _WHOLE_BYTES or (self._slow and self._slow.is_loaded)):
            return False
        began = time.perf_counter() if len(data) > _WHOLE_BYTES else 0.0
        content = upstream.take_now(data)
        if content is None:
            return False
        if self._watch is not None:
            self._watch(content)
        piece = content if self._feed is None else self._feed(content)
        if piece:
            self._note(piece)
            if self._chunked:  # whole chunks that the filter did not change are sent as they are
                piece = data if piece is content and upstream.whole_chunks else chunk(piece)
            if not self._client.send_now(piece):
                self._paused = True
                upstream.raw.end_pump()
        if began:  # uvloop reads up to 32 times before other tasks run
            self._spent_s += time.perf_counter() - began
            if self._spent_s > TURN_S:
                upstream.raw.end_pump()
        return True
