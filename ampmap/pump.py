"""A reply on its way, as long as nothing but its body comes: each piece leaves in the callback that brings it.

What is anything else is left to ``relay``, which reads it as it would without a pump: the body's end, chunks that are
not plain, an upstream that breaks, a client that has left. Neither knows how the other works; what counts is that a
piece is either sent on here, all of it, or not touched.
"""

from __future__ import annotations

from .clientwire import ClientWire
from .journal import Record
from .reply import ByteFilter
from .upstreamwire import UpstreamWire
from .wire import chunk


class Pump:
    """The way of one reply's pieces, through the filter if there is one, in chunks if the client gets such."""

    __slots__ = ("_chunked", "_client", "_feed", "_paused", "_record", "_upstream")

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

    async def run(self) -> None:
        """Pass on what comes until :meth:`UpstreamWire.read` has to be called.

        Raises :class:`ClientGone`, and :class:`UpstreamTimeout` when nothing comes. A client that takes its time is
        waited for, and meanwhile nothing is read.
        """
        while True:
            await self._upstream.pump(self._pass)
            if not self._paused:
                return
            self._paused = False
            await self._client.flush()

    def _pass(self, data: bytes) -> bool:
        """Pass a piece on; False if it is not for a pump."""
        upstream = self._upstream
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
        return True
