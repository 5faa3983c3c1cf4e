"""HTTP/1.1 on a byte stream: heads, bodies by their framing, and a deadline for each phase.

:class:`ClientWire` serves a client, one request after the other; :class:`UpstreamWire` asks an upstream, again and
again while both sides keep the connection clean. Bodies whose length is known never pass through the parser. Foreign
exceptions end here: what leaves is of ``errors``.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

from .errors import (
    BadRequest,
    ClientGone,
    ExchangeError,
    RequestError,
    RequestTimeout,
    ShuttingDown,
    UpstreamBroken,
    UpstreamTimeout,
)
from .headers import Chunked, Empty, Framing, Headers, Length, UntilClose, tokens
from .parser import RequestHead, RequestParser, ResponseHead, ResponseParser
from .settings import Limits, Timeouts
from .stream import Stream

_SLICE_BYTES = 262_144  # what is handed to a transport at once; it copies what the kernel doesn't take
_DISCARD_BYTES = 65_536  # what is read of an unwanted body so that the connection can be kept
_LINGER_BYTES = 8 * 1024 * 1024  # what is read after the last response, so that a reset does not destroy it
_LINGER_S = 2.0

_LOST = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)  # OSError: what TLS finds amiss midway


class _Wire:
    """What both sides share: a stream, the bytes that no message has claimed yet, and the body being read."""

    def __init__(self, stream: ByteStream, raw: Stream, limits: Limits, timeouts: Timeouts) -> None:
        self.raw = raw
        self.bytes_rcvd = 0
        self.body_bytes = 0  # of the body being read, so far
        self.framing: Framing = Empty()
        self.body_read = True  # nothing of a body is left to be read
        self.trailers: list[tuple[bytes, bytes]] = []
        self._stream = stream
        self._limits = limits
        self._timeouts = timeouts
        self._rest = b""
        self._left = 0
        self._parser: RequestParser | ResponseParser | None = None

    async def _receive(self) -> bytes:
        data = await self._stream.receive()
        self.bytes_rcvd += len(data)
        return data

    def _begin_body(self, framing: Framing) -> None:
        self.framing, self.trailers, self.body_bytes = framing, [], 0
        self._left = framing.count if isinstance(framing, Length) else 0
        self.body_read = isinstance(framing, Empty) or framing == Length(0)
        if not isinstance(framing, Chunked) and self._parser is not None:
            self._rest, self._parser = self._parser.rest(), None

    async def _read(self) -> bytes | None:
        """Return the next piece of the body; None at its end. Source: RFC 9112 §6.3."""
        data = None if self.body_read else await self._piece()
        if data is not None:
            self.body_bytes += len(data)
        return data

    async def _piece(self) -> bytes | None:
        if self._parser is not None:
            return await self._read_chunks(self._parser)
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

    async def _read_chunks(self, parser: RequestParser | ResponseParser) -> bytes | None:
        while True:
            found = parser.chunks()
            if parser.done:
                self.trailers, self._rest, self._parser, self.body_read = parser.trailers, parser.rest(), None, True
            if found or parser.done:
                return bytes(found) or None
            parser.feed(await self._receive())

    async def _send(self, data: bytes | memoryview) -> None:
        """Send ``data``, in slices so that no transport has to copy much of it."""
        if len(data) <= _SLICE_BYTES:
            await self._stream.send(data)  # type: ignore[arg-type]  # asyncio's transports and ssl take any buffer
            return
        view = memoryview(data)
        for start in range(0, len(data), _SLICE_BYTES):
            await self._send(view[start : start + _SLICE_BYTES])

    async def take(self) -> bytes:
        """Return bytes that are of no message, after a 101. Raises as the stream does: ``EndOfStream`` at its end."""
        data, self._rest = self._rest, b""
        return data or await self._receive()

    def abort(self) -> None:
        """Cut the connection: the peer can tell that a message is incomplete."""
        self.raw.abort()


class ClientWire(_Wire):
    """A client's connection."""

    def __init__(self, raw: Stream, limits: Limits, timeouts: Timeouts) -> None:
        super().__init__(raw, raw, limits, timeouts)
        self.closing = False  # the next response is the last one
        self.idle = True  # no byte of a request has come since the last response
        self.expects_continue = False  # the client waits to be asked for its body
        self.version = b"1.1"
        raw.write_within(timeouts.write_stall_s, lambda: ClientGone("the client takes nothing"))

    async def next_head(self) -> RequestHead | None:
        """Return the next request's head; None when the client is done, stays silent, or is told to go.

        Raises :class:`RequestError` for what is no request or too large a one, :class:`RequestTimeout` for one that
        began and did not arrive in time. Source: RFC 9112 §2.2, §3, §9.
        """
        self.expects_continue = False
        if self._rest:
            await checkpoint()  # a client that sends many requests at once gets one turn for each, as others do
        self.idle = True
        self.raw.read_by(self._timeouts.keepalive_s, lambda: ShuttingDown("keep-alive time is over"))
        try:
            return self._begin(*await self._read_head(RequestParser(self._limits)))
        except anyio.EndOfStream:
            if self.idle:
                return None
            self._distrust()
            raise BadRequest("the connection ended within the request's head") from None
        except RequestError:
            self._distrust()
            raise
        except (ShuttingDown, *_LOST):
            return None

    async def _read_head(self, parser: RequestParser) -> tuple[RequestHead, Framing]:
        self._parser = parser
        data, self._rest = self._rest, b""
        while True:
            if self.idle:
                data = data.lstrip(b"\r\n")  # empty lines before a request, RFC 9112 §2.2
                if data:
                    self.idle = False
                    self.raw.read_by(self._timeouts.head_s, lambda: RequestTimeout("the request's head is late"))
                elif self.closing and not self.raw.has_data:  # told to go while empty lines were on their way
                    raise ShuttingDown("the proxy is shutting down")
            if data:
                parser.feed(data)
                if found := parser.head():
                    return found
            data = await self._receive()

    def _distrust(self) -> None:
        """Take whatever else comes for part of what could not be read: no request can begin there."""
        self.closing, self.body_read, self.framing, self._parser = True, False, UntilClose(), None

    def _begin(self, head: RequestHead, framing: Framing) -> RequestHead:
        self.version = head.version
        if head.version == b"1.0" or b"close" in tokens(head.headers, b"connection"):
            self.closing = True
        self._begin_body(framing)
        if not self.body_read:
            if head.version == b"1.1" and b"100-continue" in tokens(head.headers, b"expect"):
                self.expects_continue = True
            self.raw.read_within(self._timeouts.body_idle_s, lambda: RequestTimeout("the request's body is late"))
        return head

    async def read(self) -> bytes | None:
        """Return the next piece of the request's body; None at its end, after which ``trailers`` holds its trailers.

        Raises :class:`BadRequest` for a body that breaks off or is framed wrongly, :class:`RequestTimeout` for one that
        stays silent. Asks for nothing: see :meth:`send_continue`.
        """
        try:
            return await self._read()
        except RequestError:
            self.closing = True
            raise
        except anyio.EndOfStream:
            self.closing = True
            raise BadRequest("the connection ended within the request's body") from None
        except _LOST:
            raise ClientGone("the client left while it sent its body") from None

    async def send_continue(self) -> None:
        """Ask for the body, if the client waits to be asked. Source: RFC 9110 §10.1.1."""
        if self.expects_continue:
            self.expects_continue = False
            if not self._rest and not self.raw.has_data:
                await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def send(self, data: bytes | memoryview) -> None:
        """Send bytes of a response; raises :class:`ClientGone` when nobody is there to take them."""
        try:
            await self._send(data)
        except _LOST as exc:
            raise ClientGone("the client left") from exc

    async def finish(self) -> bool:
        """End the exchange after its response; True when another request may follow on this connection.

        What is left of an unwanted body is read if it is small. A larger one, or one that a waiting client was never
        asked for, ends the connection after a linger, in which it is read and thrown away: else the kernel would reset
        the connection and might take the response with it. Source: RFC 9112 §9.3, §9.6.
        """
        if not (self.body_read or self.expects_continue or self.closing) and self._left <= _DISCARD_BYTES:
            await self._discard()
        if self.body_read and not self.closing and self.raw.is_open:
            return True
        if self.raw.is_open and not (self.body_read and not self._rest and not self.raw.has_data):
            await self._linger()
        self.raw.close()
        return False

    async def _discard(self) -> None:
        until = self.bytes_rcvd + _DISCARD_BYTES
        self.raw.read_by(_LINGER_S, lambda: RequestTimeout("the rest of an unwanted body is late"))
        try:
            while self.bytes_rcvd <= until and await self.read() is not None:
                pass
        except ExchangeError:
            self.closing = True

    async def _linger(self) -> None:
        await self.raw.send_eof()
        self.raw.read_by(_LINGER_S, lambda: RequestTimeout("lingered long enough"))
        until = self.bytes_rcvd + _LINGER_BYTES
        try:
            while self.bytes_rcvd < until:
                await self._receive()
        except (ExchangeError, anyio.EndOfStream, *_LOST):
            return

    @property
    def will_close(self) -> bool:
        """True when the response about to begin is the last one on this connection."""
        unwanted = not self.body_read and (self.expects_continue or self._left > _DISCARD_BYTES)
        return self.closing or unwanted

    def drain(self) -> None:
        """Make the response in progress the last one; a connection that waits for a request ends now.

        A request whose first bytes have come is still served.
        """
        self.closing = True
        if self.idle and not self.raw.has_data:
            self.raw.interrupt(ShuttingDown("the proxy is shutting down"))


class UpstreamWire(_Wire):
    """A connection to an upstream.

    ``addressed`` remakes heads for a connection that leads to a proxy, which has to be told where each is to go.
    """

    def __init__(
        self,
        stream: ByteStream,
        raw: Stream,
        limits: Limits,
        timeouts: Timeouts,
        addressed: Callable[[bytes], bytes] | None = None,
    ) -> None:
        super().__init__(stream, raw, limits, timeouts)
        self.reused = False  # it has served another request before
        self.epoch = 0  # of the pool that made it
        self.request_sent = False  # all of the request has been handed over
        self._addressed = addressed
        self._handed_before = 0
        self._keep = False
        raw.write_within(timeouts.write_stall_s, lambda: UpstreamTimeout("the upstream takes nothing"))

    def begin(self, method: bytes, *, upgrade: bool = False) -> None:
        """Make ready for a request and its response; ``method`` decides whether that may have a body.

        After ``upgrade`` the response may be a 101, and what follows it belongs to no message: see :meth:`take`.
        """
        self._handed_before, self.bytes_rcvd = self.raw.bytes_handed, 0
        self.request_sent = self._keep = False
        self._parser = ResponseParser(self._limits, method, upgrade=upgrade)

    @property
    def bytes_sent(self) -> int:
        """How much of the request has been handed over, in bytes on the wire: not zero if any of it may have left."""
        return self.raw.bytes_handed - self._handed_before

    async def send_head(self, data: bytes) -> None:
        """Send a request's head, with or without what follows it; raises as :meth:`send` does."""
        await self.send(data if self._addressed is None else self._addressed(data))

    async def send(self, data: bytes | memoryview) -> None:
        """Send bytes of a request; raises :class:`UpstreamBroken` when the connection is lost."""
        try:
            await self._send(data)
        except _LOST as exc:
            raise UpstreamBroken("the upstream closed the connection while it was being asked") from exc

    async def drain(self) -> None:
        """Wait until the kernel has all that was sent; raises as :meth:`send` does."""
        try:
            await self.raw.drain()
        except _LOST as exc:
            raise UpstreamBroken("the upstream closed the connection while it was being asked") from exc

    async def send_eof(self) -> None:
        """Say that nothing more will be sent. TLS has no half-close here: such a connection is closed."""
        if self._stream is self.raw:
            await self.raw.send_eof()
        else:
            self.close()

    def await_head(self) -> None:
        """Start the clock for the response's head."""
        self.raw.read_by(self._timeouts.response_head_s, lambda: UpstreamTimeout("the upstream does not answer"))

    async def next_head(self) -> ResponseHead:
        """Return the next head: informational ones first, then the final one.

        Raises :class:`UpstreamProtocolError` for what is no response, :class:`UpstreamBroken` when the connection ends
        first, :class:`UpstreamTimeout` when the head is late. Source: RFC 9112 §4, §6.3; RFC 9110 §15.2.
        """
        parser = self._parser
        assert isinstance(parser, ResponseParser)
        try:
            while (found := parser.head()) is None:
                parser.feed(await self._receive())
        except (anyio.EndOfStream, *_LOST) as exc:
            raise UpstreamBroken("the upstream closed the connection without an answer") from exc
        head, framing = found
        if head.status == 101:
            self._begin_body(framing)
        if head.status >= 200:
            self._keep = (
                head.version == b"1.1"
                and not isinstance(framing, UntilClose)
                and b"close" not in tokens(head.headers, b"connection")
            )
            self._begin_body(framing)
            self.raw.read_within(self._timeouts.stream_idle_s, lambda: UpstreamTimeout("the upstream's reply stalls"))
            if self.body_read and self._keep and self._stream is not self.raw:
                await self._settle()
        return head

    async def read(self) -> bytes | None:
        """Return the next piece of the response's body as soon as it is there; None at its end.

        Raises :class:`UpstreamBroken` for a body that breaks off, :class:`UpstreamProtocolError` for one framed
        wrongly, :class:`UpstreamTimeout` for one that stays silent too long.
        """
        try:
            data = await self._read()
        except (anyio.EndOfStream, *_LOST) as exc:
            raise UpstreamBroken("the upstream closed the connection within its reply") from exc
        if self.body_read and self._keep and self._stream is not self.raw:
            await self._settle()
        return data

    async def _settle(self) -> None:
        """At the end of a reply, see whether TLS holds more: it would be read as the answer to the next request.

        Session tickets are taken up by the way: they are no reason to give the connection up.
        """
        before, self.raw.nonblocking = self.raw.nonblocking, True
        try:
            self._rest += await self._stream.receive()
        except anyio.WouldBlock:
            pass
        except (anyio.EndOfStream, *_LOST):
            self._keep = False
        finally:
            self.raw.nonblocking = before

    async def read_now(self) -> bytes | None:
        """Return what :meth:`read` would, but ``b""`` instead of waiting."""
        self.raw.nonblocking = True
        try:
            return await self.read()
        except anyio.WouldBlock:
            return b""
        finally:
            self.raw.nonblocking = False

    async def head_now(self) -> ResponseHead | None:
        """Return what :meth:`next_head` would, but None instead of waiting."""
        self.raw.nonblocking = True
        try:
            return await self.next_head()
        except anyio.WouldBlock:
            return None
        finally:
            self.raw.nonblocking = False

    @property
    def reusable(self) -> bool:
        """True when another request may be sent on this connection. Source: RFC 9112 §9.3."""
        clean = self._keep and self.request_sent and self.body_read and not self._rest
        return clean and self.raw.is_open and not self.raw.has_data

    def close(self) -> None:
        """Close the connection once what was sent has left."""
        self.raw.close()


def chunk(data: bytes) -> bytes:
    """Frame one piece of a body as a chunk (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(lines: Headers) -> bytes:
    """Return the end of a chunked body, with its trailers."""
    return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % pair for pair in lines]) if lines else b"0\r\n\r\n"
