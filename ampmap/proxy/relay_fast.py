"""A reply on its way, as long as nothing but its body comes: each piece leaves in the callback that brings it.

What is anything else is left to ``relay``, which reads it as it would without a pump: the body's end, chunks that are
not plain, pieces so large that a filter could hold the loop, an upstream that breaks, a client that has left. Neither
knows how the other works; what counts is that a piece is either sent on here, all of it, or not touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from anyio.lowlevel import checkpoint

from ..bodies.rename import ByteFilter
from ..http.client_connection import ClientWire
from ..http.connection import chunk
from ..http.upstream_connection import UpstreamWire
from ..net.deadlines import TURN_S
from ..records.record import Record

_WHOLE_BYTES = 1024  # a larger piece is fed to a filter part by part
_FED_BYTES = 512  # a part that need not be cut any more, and one with few signs need not either
_FED_SIGNS = (
    600  # of these the oddest take 2 µs each; between them, a filter goes on by thousands of bytes in that time
)
_NO_SIGN = bytes(byte for byte in range(256) if byte not in b'"\\{}[],:\r\n')
_TURN_S = 0.0005  # of CPU, after which others have their turn
_EVENT_END = b"\n\n"


def _parts(data: bytes) -> Iterator[bytes]:
    """Cut a piece into parts that a filter takes about a millisecond for at most, behind events where there are any."""
    if len(data) <= _FED_BYTES or len(data.translate(None, _NO_SIGN)) <= _FED_SIGNS:
        yield data
        return
    half = len(data) // 2
    event = data.rfind(_EVENT_END, 0, half)  # whole events are what filters are quickest with
    cut = half if event < 0 else event + len(_EVENT_END)
    yield from _parts(data[:cut])
    yield from _parts(data[cut:])


async def filtered(byte_filter: ByteFilter, data: bytes) -> bytes:
    """Feed a piece of any size to a filter and return what leaves of it; others have their turn meanwhile."""
    if len(data) <= _WHOLE_BYTES:
        return byte_filter.feed(data)
    pieces, began = [], time.thread_time()
    for part in _parts(data):
        if time.thread_time() - began > _TURN_S:
            await checkpoint()
            began = time.thread_time()
        pieces.append(byte_filter.feed(part))
    return b"".join(pieces)


class Pump:
    """The way of one reply's pieces, through the filter if there is one, in chunks if the client gets such."""

    __slots__ = ("_chunked", "_client", "_feed", "_paused", "_record", "_spent_s", "_upstream")

    def __init__(
        self,
        upstream: UpstreamWire,
        client: ClientWire,
        record: Record,
        byte_filter: ByteFilter | None,
        *,
        chunked: bool,
    ) -> None:
        self._upstream = upstream
        self._client = client
        self._record = record
        self._feed = None if byte_filter is None else byte_filter.feed
        self._chunked = chunked
        self._paused = False  # the client has to take what it got first
        self._spent_s = 0.0  # on large pieces, since the loop has surely gone on

    async def run(self) -> None:
        """Pass on what comes until :meth:`UpstreamWire.read` has to be called.

        Raises :class:`ClientGone`, and :class:`UpstreamTimeout` when nothing comes. A client that takes its time is
        waited for, and meanwhile nothing is read.
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
        """Pass a piece on; False if it is not for a pump."""
        upstream = self._upstream
        if self._feed is not None and len(data) > _WHOLE_BYTES:
            return False
        began = time.perf_counter() if len(data) > _WHOLE_BYTES else 0.0
        content = upstream.take_now(data)
        if content is None:
            return False
        piece = content if self._feed is None else self._feed(content)
        if piece:
            self._record.bytes_out += len(piece)
            if self._chunked:  # chunks that come whole and are not changed need not be made anew
                piece = data if piece is content and upstream.whole_chunks else chunk(piece)
            if not self._client.send_now(piece):
                self._paused = True
                upstream.raw.end_pump()
        if began:  # uvloop reads on, up to 32 times, before anybody else has a turn
            self._spent_s += time.perf_counter() - began
            if self._spent_s > TURN_S:
                upstream.raw.end_pump()
        return True
