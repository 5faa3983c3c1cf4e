"""Motion: one request out to one upstream, its reply back to the client, as straight-line code in one task.

Who has to be told what: a client that leaves interrupts the upstream's stream, so the exchange ends wherever it waits;
an upstream that answers early, or breaks, while a request body is still on its way interrupts the client's stream. No
second task, no queue: one piece is in flight in each direction, so a slow client slows its own upstream and nobody
else's. As long as a reply is nothing but pieces, ``relay_fast`` passes them on. Nothing here decides anything, and
nothing here knows a model's name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio
from anyio.lowlevel import checkpoint

from ..amp.gunzip import Gunzip
from ..bodies.rename import ByteFilter
from ..errors import ClientGone, ExchangeError, UpstreamBroken
from ..http.client_connection import ClientWire
from ..http.connection import SLICE_BYTES, chunk, last_chunk, writes
from ..http.headers import OF_THE_BODY, Chunked, Empty, Headers, Length, crossing, end_to_end, response_head
from ..http.parser import ResponseHead
from ..http.pool import Pool
from ..http.upstream_connection import UpstreamWire
from ..net.stream import Stream
from ..records.record import Record
from ..routing.decide import Attempt, may_retry
from ..settings import Hop
from .relay_fast import Pump, filtered
from .upstream_request import Outbound, trailers_for_amp

Parts = Sequence[bytes | bytearray | memoryview]

_REMADE = frozenset({b"content-length"})
_REMADE_CHANGED = _REMADE | OF_THE_BODY
_REMADE_DECODED = _REMADE_CHANGED | {b"content-encoding"}
_CORS = re.compile(rb"access-control-", re.IGNORECASE)


class _EarlyReply(ExchangeError):
    """The upstream has said something before the request's body was all sent."""


class Relay:
    """The motion of one exchange."""

    def __init__(self, client: ClientWire, pool: Pool, record: Record) -> None:
        self._client = client
        self._pool = pool
        self._record = record
        self.on_connected: Callable[[], None] | None = None  # called when an upstream could be reached
        self.request_left = False  # bytes of the request have been handed to an upstream
        self.reply_began = False  # bytes of the final response have been handed to the client

    async def ask(
        self, outbound: Outbound, parts: Parts | None, meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> tuple[UpstreamWire, ResponseHead]:
        """Send a request; return the connection and the final response's head.

        ``parts`` are its body; None: that is still arriving, and is sent piece by piece. ``meanwhile`` is awaited once
        all has left, while the upstream thinks.

        A reused connection that took none of it is replaced by a new one, once. Raises :class:`DialFailed`, any other
        :class:`UpstreamError`, or :class:`ClientGone`; then the connection is gone.
        """
        idle = self._pool.take(outbound.hop) if self._client.raw.is_open else None
        upstream = idle or await self._dial(outbound.hop)
        try:
            return upstream, await self._attempt(upstream, outbound, parts, meanwhile)
        except UpstreamBroken:
            attempt = Attempt(
                reused=upstream.reused,
                bytes_sent=upstream.bytes_sent,
                response_started=upstream.bytes_rcvd > 0,
            )
            if not may_retry(attempt):
                raise
        upstream = await self._dial(outbound.hop)
        return upstream, await self._attempt(upstream, outbound, parts, meanwhile)

    async def _attempt(
        self, upstream: UpstreamWire, outbound: Outbound, parts: Parts | None,
        meanwhile: Callable[[], Awaitable[None]] | None,
    ) -> ResponseHead:  # fmt: skip
        self._record.attempts += 1
        try:
            if self.on_connected is not None:
                self.on_connected()
            upstream.begin(outbound.method, upgrade=outbound.upgrade)
            self._interrupt_when_gone(upstream)
            upstream.raw.wake_on_data = True
            if parts is None:
                early = await self._upload(upstream, outbound)
            else:
                early = await self._send_parts(upstream, outbound.head, parts)
            upstream.raw.wake_on_data = False
            upstream.request_sent = early is None
            self._client.raw.may_drop = not outbound.upgrade  # it has nothing more to say to this exchange
            if meanwhile is not None:
                await meanwhile()
            return early or await self._final_head(upstream)
        except BaseException:
            upstream.abort()
            raise
        finally:
            self.request_left = self.request_left or upstream.bytes_sent > 0

    async def _send_parts(self, upstream: UpstreamWire, head: bytes, parts: Parts) -> ResponseHead | None:
        """Send everything, unless the final response comes first: then return its head."""
        early, unseen = None, 0
        for data in writes(upstream.addressed(head), parts):
            unseen += len(data)
            if unseen > SLICE_BYTES:
                await checkpoint()  # a kernel that takes everything would keep the loop from seeing an answer
                unseen = len(data)
            if early := await self._send(upstream, data):
                break
        return early

    async def _upload(self, upstream: UpstreamWire, outbound: Outbound) -> ResponseHead | None:
        """Send a request as its body arrives, unless the final response comes first: then return its head."""
        client = self._client
        chunked = isinstance(client.framing, Chunked)
        early = await self._send(upstream, upstream.addressed(outbound.head))
        while early is None and not client.body_read:
            if data := await self._next_piece(upstream):
                early = await self._send(upstream, chunk(data) if chunked else data)
            elif upstream.raw.has_data:
                early = await self._early_head(upstream)
        if chunked and early is None:
            lines = trailers_for_amp(client.trailers, outbound.keys)
            early = await self._send(upstream, last_chunk(lines))
        return early

    async def _next_piece(self, upstream: UpstreamWire) -> bytes | None:
        """Return the next piece of the client's body; nothing at its end, or when the upstream has something to say."""
        client, raw = self._client, upstream.raw
        raw.on_data = raw.on_gone = partial(client.raw.interrupt, _EarlyReply())
        try:
            return await client.read()
        except _EarlyReply:
            return None
        finally:
            raw.on_data = raw.on_gone = None

    async def _send(self, upstream: UpstreamWire, data: bytes | memoryview) -> ResponseHead | None:
        """Send a piece of a request, unless the final response comes first: then return its head.

        An upstream may answer and read no further, or answer and close: what it said counts, as long as it had been
        asked. Source: RFC 9112 §9.5.
        """
        try:
            await upstream.send(data)
            while upstream.raw.has_data:
                if early := await self._early_head(upstream):
                    return early
                await upstream.drain()
        except UpstreamBroken:
            early = await self._early_head(upstream) if upstream.bytes_sent and upstream.raw.has_data else None
            if early is None:
                raise
            return early
        return None

    async def _early_head(self, upstream: UpstreamWire) -> ResponseHead | None:
        """Return the final head if it has come already; pass on what comes before it."""
        while head := await upstream.head_now():
            if _is_final(head):
                return head
            await self._informational(head)
        return None

    async def _final_head(self, upstream: UpstreamWire) -> ResponseHead:
        upstream.await_head()
        while not _is_final(head := await upstream.next_head()):
            await self._informational(head)
        return head

    async def _informational(self, head: ResponseHead) -> None:
        """Pass a 1xx on to a client that can take it. Source: RFC 9110 §15.2."""
        client = self._client
        if client.version != b"1.1" or (head.status == 100 and not client.expects_continue):
            return
        if head.status == 100:
            client.expects_continue = False
        await client.send(response_head(head.status, head.reason, end_to_end(head.headers, _REMADE)))

    async def _dial(self, hop: Hop) -> UpstreamWire:
        if not self._client.raw.is_open:
            raise ClientGone("the client left before its request was sent on")
        with anyio.CancelScope() as scope:
            self._client.raw.on_gone = scope.cancel
            return await self._pool.dial(hop)
        raise ClientGone("the client left while a connection was made for it")

    def _interrupt_when_gone(self, upstream: UpstreamWire) -> None:
        # A half-close counts as leaving: nothing else tells that nobody waits for the reply (RFC 9112 §9.5).
        gone = self._client.raw.on_gone = partial(_client_left, upstream.raw)
        if not self._client.raw.is_open:  # it left in the moment in which the connection was made
            gone()

    async def deliver(
        self,
        upstream: UpstreamWire,
        hop: Hop,
        head: ResponseHead,
        extra: Headers,
        byte_filter: ByteFilter | None = None,
        decoder: Gunzip | None = None,
        held: bytes = b"",
    ) -> None:
        """Stream a reply to the client, through the filter if there is one; then keep or close the upstream.

        ``decoder`` has it decoded before; ``held`` has been read of its body already. Raises :class:`UpstreamError`
        when the reply breaks off and :class:`ClientGone` when nobody takes it; then both connections can only be cut: a
        reply that broke off must not look whole (RFC 9112 §8).
        """
        try:
            if decoder is not None:
                await self._deliver_decoded(upstream, head, extra, byte_filter, decoder, held)
            else:
                await self._deliver(upstream, head, extra, byte_filter, held)
        except BaseException:
            upstream.abort()
            raise
        self._client.raw.on_gone = None
        self._pool.release(hop, upstream)

    async def _deliver(
        self, upstream: UpstreamWire, head: ResponseHead, extra: Headers, byte_filter: ByteFilter | None, held: bytes
    ) -> None:
        chunked, pending = self._begin(upstream, head, extra, _REMADE if byte_filter is None else _REMADE_CHANGED)
        if held:
            pending += await self._framed(held, byte_filter, chunked)
        pump: Pump | None = None
        while not upstream.body_read:
            if not pending:
                pump = pump or Pump(upstream, self._client, self._record, byte_filter, chunked=chunked)
                await pump.run()
            data = await (upstream.read_now() if pending else upstream.read())
            if data:
                pending += await self._framed(data, byte_filter, chunked)
            if upstream.body_read:
                break
            if pending:
                await self._pass(pending)
                pending = b""
        await self._end(upstream, pending, byte_filter, chunked)

    async def _deliver_decoded(
        self, upstream: UpstreamWire, head: ResponseHead, extra: Headers,
        byte_filter: ByteFilter | None, decoder: Gunzip, held: bytes,
    ) -> None:  # fmt: skip
        pieces = decoder.feed(held, last=upstream.body_read) if held else iter(())
        # Whether it still has its length is to be known before the head.
        while isinstance(upstream.framing, Length) and decoder.is_gzip is None and not upstream.body_read:
            pieces = decoder.feed(await upstream.read() or b"", last=upstream.body_read)
        changed = decoder.is_gzip or byte_filter is not None
        chunked, pending = self._begin(upstream, head, extra, _REMADE_DECODED if changed else _REMADE)
        while True:
            for piece in pieces:
                if pending := pending + await self._framed(piece, byte_filter, chunked):
                    await self._pass(pending)
                    pending = b""
                if upstream.raw.turn_is_over:  # a client that takes it all would hold others up
                    await upstream.raw.give_way()
            if upstream.body_read:
                break
            data = await (upstream.read_now() if pending else upstream.read())
            if data or upstream.body_read:
                pieces = decoder.feed(data or b"", last=upstream.body_read)
            else:
                await self._pass(pending)
                pending = b""
        decoder.finish()
        await self._end(upstream, pending, byte_filter, chunked)

    async def _framed(self, data: bytes, byte_filter: ByteFilter | None, chunked: bool) -> bytes:
        """Return what leaves of a piece of the body, as the client gets it."""
        piece = data if byte_filter is None else await filtered(byte_filter, data)
        self._record.bytes_out += len(piece)
        return chunk(piece) if piece and chunked else piece

    async def _end(self, upstream: UpstreamWire, pending: bytes, byte_filter: ByteFilter | None, chunked: bool) -> None:
        """Send what is pending, what the filter holds, and the end of the body."""
        if byte_filter is not None and (held := byte_filter.finish()):
            self._record.bytes_out += len(held)
            pending += chunk(held) if chunked else held
        if chunked:  # trailers have a place in chunked messages alone (RFC 9110 §6.5)
            pending += last_chunk(upstream.trailers)
        if pending:
            await self._pass(pending)

    def _begin(
        self, upstream: UpstreamWire, head: ResponseHead, extra: Headers, drop: frozenset[bytes]
    ) -> tuple[bool, bytes]:
        """Note the reply's status and make its head; tell whether the body goes out in chunks."""
        chunked, lines = self._framing_lines(upstream, head, drop is not _REMADE)
        self._record.status = head.status
        if not extra:
            return chunked, response_head(head.status, head.reason, lines, crossing(head.headers, drop))
        # CORS answers are for this proxy to give: a second line of one would void both.
        passed = [pair for pair in end_to_end(head.headers, drop) if not _CORS.match(pair[0])]
        return chunked, response_head(head.status, head.reason, [*passed, *extra, *lines])

    async def _pass(self, data: bytes) -> None:
        if self._record.ttfb_ms is None:
            self._record.ttfb_ms = self._record.since_start_ms()
        self.reply_began = True
        await self._client.send(data)

    def _framing_lines(
        self, upstream: UpstreamWire, head: ResponseHead, changed: bool
    ) -> tuple[bool, list[tuple[bytes, bytes]]]:
        """Frame the reply anew for this client. Source: RFC 9112 §6.3; RFC 9110 §8.6."""
        client, framing = self._client, upstream.framing
        lines: list[tuple[bytes, bytes]] = []
        chunked = False
        if isinstance(framing, Length) and not changed:
            lines.append((b"Content-Length", b"%d" % framing.count))
        elif isinstance(framing, Empty):
            # For HEAD and 304 the field tells of a body that is not sent; for 1xx and 204 it has no meaning.
            if head.status != 204:
                lines += [pair for pair in head.headers if pair[0].lower() == b"content-length"]
        elif client.version == b"1.1":
            chunked = True
            lines.append((b"Transfer-Encoding", b"chunked"))
        else:
            client.closing = client.ends_reply = True
        if client.will_close:
            client.closing = True
            lines.append((b"Connection", b"close"))
        return chunked, lines


def _client_left(upstream: Stream) -> None:
    upstream.interrupt(ClientGone("the client left"))


def _is_final(head: ResponseHead) -> bool:
    """Tell whether no other head follows; after a 101 nothing of HTTP does."""
    return head.status >= 200 or head.status == 101
