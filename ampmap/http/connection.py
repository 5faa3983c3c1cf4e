"""HTTP/1.1 on a byte stream: what a client's side and an upstream's side share.

``client_connection`` and ``upstream_connection`` build on it. Bodies are read by their framing: a body of known length
never passes through the parser.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence

import anyio
from anyio.abc import ByteStream

from ..errors import ExchangeError
from ..net.stream import Stream
from ..settings import Limits, Timeouts
from .headers import Chunked, Empty, Framing, Headers, Length, UntilClose
from .parser import ChunkedBody, RequestParser, ResponseParser

SLICE_BYTES = 262_144  # what is handed to a transport at once; it copies what the kernel doesn't take
_JOIN_BYTES = 65_536  # what is copied so that less than this need not leave in a write of its own
_CHUNKS_BYTES = 4_096  # what is read of many chunks at once: in chunks of one byte it takes a millisecond

_OF_KNOWN_LENGTH = (Length, Empty)  # a union would be made anew for each body

LOST = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)  # OSError: what TLS finds amiss midway


class Connection:
    """What both sides share: a stream, the bytes that no message has claimed yet, and the body being read."""

    def __init__(self, stream: ByteStream, raw: Stream, limits: Limits, timeouts: Timeouts) -> None:
        self.raw = raw
        self.bytes_rcvd = 0
        self.body_bytes = 0  # of the body being read, so far
        self.framing: Framing = Empty()
        self.body_read = True  # nothing of a body is left to be read
        self.whole_chunks = False
        self.trailers: list[tuple[bytes, bytes]] = []
        self._stream = stream
        self._limits = limits
        self._timeouts = timeouts
        self._rest = b""
        self._left = 0
        self._parser: RequestParser | ResponseParser | None = None
        self._chunks: ChunkedBody | None = None

    async def _receive(self) -> bytes:
        data = await self._stream.receive()
        self.bytes_rcvd += len(data)
        return data

    def _begin_body(self, framing: Framing) -> None:
        self.framing, self.trailers, self.body_bytes, self.whole_chunks = framing, [], 0, False
        self._left = framing.count if isinstance(framing, Length) else 0
        self.body_read = not self._left and isinstance(framing, _OF_KNOWN_LENGTH)
        if self._parser is not None:
            self._rest = self._parser.rest()
            self._chunks = self._parser.chunked() if isinstance(framing, Chunked) else None
            self._parser = None

    async def _read(self) -> bytes | None:
        """Return the next piece of the body; None at its end. Source: RFC 9112 §6.3."""
        if self.body_read:
            return None
        if self.raw.turn_is_over:
            await self._give_way()
        data = await self._piece()
        if data is not None:
            self.body_bytes += len(data)
        return data

    async def _give_way(self) -> None:
        await self.raw.give_way()
        self.raw.check()  # bytes that have come already are read without asking the stream

    async def _piece(self) -> bytes | None:
        if self._chunks is not None:
            return await self._read_chunks(self._chunks)
        if isinstance(self.framing, UntilClose) and not self._rest:
            try:
                return await self._receive()
            except anyio.EndOfStream:
                self.body_read = True
                return None
        data, self._rest = self._rest or await self._receive(), b""
        if isinstance(self.framing, Length):
            if len(data) > self._left:
                data, self._rest = data[: self._left], data[self._left :]
            self._left -= len(data)
            self.body_read = self._left == 0
        return data

    async def _read_chunks(self, chunks: ChunkedBody) -> bytes | None:
        while True:
            data, self._rest = self._rest or await self._receive(), b""
            found = chunks.plain(data) if len(data) > _CHUNKS_BYTES else None
            if found is None:
                data, self._rest = data[:_CHUNKS_BYTES], data[_CHUNKS_BYTES:]
                found = chunks.feed(data)
            if chunks.done:
                self.trailers, self._chunks, self.body_read = chunks.trailers, None, True
                self._rest = chunks.rest + self._rest
            if found or chunks.done:
                return found or None
            if self.raw.turn_is_over:
                await self._give_way()

    def take_now(self, data: bytes) -> bytes | None:
        """Return what of the body there is in a piece that has just come, in its place in :meth:`read`.

        None, and nothing is taken, for what has to be received and read there: the end of the body, what lies behind
        it, chunks that are not plain. ``whole_chunks`` tells of what was taken whether it was whole chunks.
        """
        if self._chunks is not None:
            found = self._chunks.plain(data)
            self.whole_chunks = self._chunks.whole
        elif isinstance(self.framing, UntilClose):
            found = data
        elif len(data) < self._left:
            found = data
            self._left -= len(data)
        else:
            found = None
        if found is not None:
            self.bytes_rcvd += len(data)
            self.body_bytes += len(found)
        return found

    async def send(self, data: bytes | memoryview) -> None:
        """Send bytes; returns when the kernel has all of them.

        Raises :class:`ClientGone` or :class:`UpstreamBroken` when the connection is lost, and what was set for a peer
        that takes nothing.
        """
        try:
            if rest := self._hand_over(data):
                await rest
        except LOST as exc:
            raise self._lost() from exc

    async def flush(self) -> None:
        """Wait until the kernel has all that was sent; raises as :meth:`send` does."""
        try:
            await self.raw.drain()
        except LOST as exc:
            raise self._lost() from exc

    def _lost(self) -> ExchangeError:
        """Return the error of a side whose connection is lost while it sends."""
        raise NotImplementedError

    def _hand_over(self, data: bytes | memoryview) -> Awaitable[None] | None:
        """Send ``data`` as far as that can be done at once; return what is to be awaited for the rest, if any is."""
        if len(data) > SLICE_BYTES:
            return self._send_slices(memoryview(data))
        if self._stream is not self.raw:
            return self._stream.send(data)  # type: ignore[arg-type]  # ssl takes any buffer
        return None if self.raw.send_now(data) else self.raw.drain()

    async def _send_slices(self, view: memoryview) -> None:
        """Send ``view`` in slices, so that no transport has to copy much of it."""
        for start in range(0, len(view), SLICE_BYTES):
            if rest := self._hand_over(view[start : start + SLICE_BYTES]):
                await rest

    async def take(self) -> bytes:
        """Return bytes that are of no message, after a 101. Raises as the stream does: ``EndOfStream`` at its end."""
        data, self._rest = self._rest, b""
        return data or await self._receive()

    def abort(self) -> None:
        """Cut the connection: the peer can tell that a message is incomplete."""
        self.raw.abort()


def writes(head: bytes, parts: Sequence[bytes | bytearray | memoryview]) -> Iterator[bytes | memoryview]:
    """Cut a message into writes: what is small is joined with what follows it, what is large leaves as it lies."""
    if len(parts) == 1 and len(head) + len(parts[0]) <= _JOIN_BYTES:
        yield b"".join((head, parts[0]))
        return
    small: list[bytes | memoryview] = [head]
    room = max(_JOIN_BYTES - len(head), 0)
    for part in parts:
        view = memoryview(part)
        if len(view) > room:
            if small:
                yield b"".join((*small, view[:room]))
                view = view[room:]
            while len(view) > _JOIN_BYTES:
                yield view[:SLICE_BYTES]
                view = view[SLICE_BYTES:]
            small, room = [], _JOIN_BYTES
        if view:
            small.append(view)
            room -= len(view)
    if small:
        yield b"".join(small)


def chunk(data: bytes) -> bytes:
    """Frame one piece of a body as a chunk (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(lines: Headers) -> bytes:
    """Return the end of a chunked body, with its trailers."""
    return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % pair for pair in lines]) if lines else b"0\r\n\r\n"
