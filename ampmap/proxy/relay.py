"""Send one request to one upstream and stream its reply to the client, as straight-line code in one task.

There is no second task and no queue: one piece is in flight in each direction, so a slow client slows only its own
upstream. Instead, each stream can interrupt the wait on the other one. A client that leaves interrupts the upstream's
stream, so the exchange ends wherever it waits; an upstream that answers early or breaks, while the request's body still
arrives, interrupts the client's stream. ``relay_fast`` passes on the plain parts of a reply's body. This module decides
nothing and knows no model names.

The owner of a stream's ``on_gone`` changes; closing or aborting the stream clears it:

======== ================================== =========================== =======================================
stream   while                              owner                       effect when the peer leaves
======== ================================== =========================== =======================================
client   a connection is made               ``Relay._dial``             dialing is cancelled
client   a request is sent, a reply arrives ``Relay._attempt``          ClientGone on the upstream's stream
client   ampmap sends events                ``Responses.stream``        sending is cancelled
client   a tunnel is open, or no exchange   nobody                      none: the next read notices
upstream a request's body arrives           ``Relay._next_piece``       _EarlyReply on the client's stream
upstream the connection is idle             ``Pool.release``            the pool drops the connection
======== ================================== =========================== =======================================
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio
from anyio.lowlevel import checkpoint

from ..amp.gunzip import Gunzip
from ..bodies.filters import ByteFilter
from ..errors import ClientGone, ExchangeError, UpstreamBroken, UpstreamError
from ..formats.base import StatedUsage
from ..http.client_connection import ClientConnection, Phase
from ..http.connection import SLICE_BYTES, chunk, last_chunk, writes
from ..http.headers import Chunked, Headers, Length, end_to_end, response_head
from ..http.parser import ResponseHead
from ..http.pool import Pool
from ..http.upstream_connection import UpstreamConnection
from ..records.record import Record
from ..routing.decide import Attempt, may_retry
from ..settings import Hop
from .given import Given
from .relay_fast import Pump, filtered
from .reply_head import CHANGED, DECODED, UNCHANGED, framing_lines, reply_head
from .upstream_request import UpstreamRequest, trailers_for_amp
from .usage import ReplyUsage, reader_of

Parts = Sequence[bytes | bytearray | memoryview]


class _EarlyReply(ExchangeError):
    """The upstream has sent something, or has closed, before the whole request body was sent."""


class _LeftWhileWaiting(ClientGone):
    """The client left while the upstream was waited for."""


class Relay:
    """Sends the request of one exchange, to one upstream or several in turn, and delivers one reply."""

    def __init__(self, client: ClientConnection, pool: Pool, record: Record) -> None:
        self._client = client
        self._pool = pool
        self._record = record
        self.on_connected: Callable[[], None] | None = None  # called when a connection to an upstream is there
        self.on_reply: Callable[[Record], None] | None = None  # called as the reply's first bytes leave
        self.request_left = False  # bytes of the request have been handed to an upstream
        self.reply_began = False  # bytes of the final response have been handed to the client
        self.usage: StatedUsage | None = None  # where a successful reply states its token counts
        self.client_has_all = False  # it left after the last event of a stream, while nothing was being sent to it
        self._tokens: ReplyUsage | None = None  # reads the counts as the decoded body passes
        self.own_lines = b""  # header lines for the reply: the result of reply_head.own_lines

    async def ask(
        self, outbound: UpstreamRequest, parts: Parts | None, meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> tuple[UpstreamConnection, ResponseHead]:
        """Send a request; return the connection and the final response's head.

        ``parts`` is the body; None: it still arrives from the client, and is sent as it does. ``meanwhile`` is awaited
        after the request was sent, before its reply is awaited.

        A reused connection that turns out to be dead is replaced by a new one, once. Raises :class:`DialFailed`,
        another :class:`UpstreamError`, or :class:`ClientGone`; then, and when cancelled, the connection is aborted.
        """
        idle = self._pool.take(outbound.hop) if self._client.raw.is_open else None
        upstream = idle or await self._dial(outbound.hop)
        try:
            return upstream, await self._attempt(upstream, outbound, parts, meanwhile)
        except UpstreamBroken:
            attempt = Attempt(
                reused=upstream.reused, bytes_sent=upstream.bytes_sent, response_started=upstream.bytes_rcvd > 0
            )
            if not may_retry(attempt):
                raise
        upstream = await self._dial(outbound.hop)
        return upstream, await self._attempt(upstream, outbound, parts, meanwhile)

    async def _attempt(
        self, upstream: UpstreamConnection, outbound: UpstreamRequest, parts: Parts | None,
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
            if early is None:
                upstream.asked()
            self._client.raw.may_drop = not outbound.upgrade  # this exchange reads nothing more from the client
            if meanwhile is not None:
                await meanwhile()
            return early or await self._final_head(upstream)
        except BaseException:
            upstream.abort()
            raise
        finally:
            self.request_left = self.request_left or upstream.bytes_sent > 0

    async def _send_parts(self, upstream: UpstreamConnection, head: bytes, parts: Parts) -> ResponseHead | None:
        """Send the whole request; if the final response comes first, stop and return its head."""
        early, unseen = None, 0
        for data in writes(upstream.addressed(head), parts):
            unseen += len(data)
            if unseen > SLICE_BYTES:
                await checkpoint()  # the kernel may take every write at once, and the loop must see an early reply
                unseen = len(data)
            if early := await self._send(upstream, data):
                break
        return early

    async def _upload(self, upstream: UpstreamConnection, outbound: UpstreamRequest) -> ResponseHead | None:
        """Send the request while its body arrives; if the final response comes first, stop and return its head."""
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

    async def _next_piece(self, upstream: UpstreamConnection) -> bytes | None:
        """Return the next bytes of the client's body; None at its end, or when the upstream has sent something."""
        client, raw = self._client, upstream.raw
        raw.on_data = raw.on_gone = partial(client.raw.interrupt, _EarlyReply())
        try:
            return await client.read()
        except _EarlyReply:
            return None
        finally:
            raw.on_data = raw.on_gone = None

    async def _send(self, upstream: UpstreamConnection, data: bytes | memoryview) -> ResponseHead | None:
        """Send bytes of a request; if the final response comes first, return its head.

        An upstream may answer and stop reading, or answer and close: its reply counts if bytes of the request had been
        sent. Source: RFC 9112 §9.5.
        """
        try:
            await upstream.send(data)
            while upstream.raw.has_data:
                if early := await self._early_head(upstream):
                    return early
                await upstream.flush()
        except UpstreamBroken:
            early = await self._early_head(upstream) if upstream.bytes_sent and upstream.raw.has_data else None
            if early is None:
                raise
            return early
        return None

    async def _early_head(self, upstream: UpstreamConnection) -> ResponseHead | None:
        """Return the final head if it has arrived; pass on 1xx responses before it."""
        while head := await upstream.head_now():
            if _is_final(head):
                return head
            await self._informational(head)
        return None

    async def _final_head(self, upstream: UpstreamConnection) -> ResponseHead:
        upstream.await_head()
        while not _is_final(head := await upstream.next_head()):
            await self._informational(head)
        return head

    async def _informational(self, head: ResponseHead) -> None:
        """Pass a 1xx on to the client, unless it is HTTP/1.0 or expects no 100. Source: RFC 9110 §15.2."""
        client = self._client
        if client.version != b"1.1" or (head.status == 100 and client.phase is not Phase.UNASKED):
            return
        if head.status == 100:
            client.phase = Phase.SERVED
        await client.send(response_head(head.status, head.reason, end_to_end(head.headers, UNCHANGED)))

    async def _dial(self, hop: Hop) -> UpstreamConnection:
        if not self._client.raw.is_open:
            raise ClientGone("the client left before its request was sent on")
        with anyio.CancelScope() as scope:
            self._client.raw.on_gone = scope.cancel
            return await self._pool.dial(hop)
        raise ClientGone("the client left while a connection was made for it")

    def _interrupt_when_gone(self, upstream: UpstreamConnection) -> None:
        # A half-close counts as leaving: nothing else would show that nobody waits for the reply (RFC 9112 §9.5).
        interrupt = self._client.raw.on_gone = partial(upstream.raw.interrupt, _LeftWhileWaiting("the client left"))
        if not self._client.raw.is_open:  # it left while the connection was made
            interrupt()

    async def deliver(
        self,
        upstream: UpstreamConnection,
        hop: Hop,
        head: ResponseHead,
        extra: Headers,
        byte_filter: ByteFilter | None = None,
        decoder: Gunzip | None = None,
        held: bytes = b"",
    ) -> None:
        """Stream a reply to the client, then give the upstream's connection back to the pool.

        The body passes ``decoder``, then ``byte_filter``, if given. ``held`` is the beginning of the body, if it has
        been read. ``extra`` are lines for the head. The record gets the token counts.

        Raises :class:`UpstreamError` when the reply breaks off and :class:`ClientGone` when the client leaves; then the
        upstream is aborted, and the client must be cut, because its reply must not look whole (RFC 9112 §8).
        """
        self._tokens = reader_of(self.usage, head, decoded=decoder is not None)
        self._given = Given(self._record)
        try:
            if decoder is not None:
                await self._deliver_decoded(upstream, head, extra, byte_filter, decoder, held)
            else:
                await self._deliver(upstream, head, extra, byte_filter, held)
        except BaseException as exc:
            self.client_has_all = isinstance(exc, _LeftWhileWaiting) and self._given.is_over
            upstream.abort()
            raise
        finally:
            if self._tokens:
                self._tokens.note(self._record)
        self._client.raw.on_gone = None
        self._pool.release(hop, upstream)

    async def _deliver(
        self, upstream: UpstreamConnection, head: ResponseHead, extra: Headers, byte_filter: ByteFilter | None,
        held: bytes,
    ) -> None:  # fmt: skip
        chunked, pending = self._begin(upstream, head, extra, UNCHANGED if byte_filter is None else CHANGED)
        if held:
            pending += await self._framed(held, byte_filter, chunked)
        pump: Pump | None = None
        while not upstream.body_read:
            if not pending:
                pump = pump or Pump(upstream, self._client, self._given, byte_filter, self._tokens, chunked=chunked)
                await pump.run()
            data = await (upstream.read_now() if pending else upstream.read())
            if data:
                pending += await self._framed(data, byte_filter, chunked)
            if upstream.body_read:
                break
            if pending:
                await self._pass(pending)
                pending = b""
        await self._end(upstream.trailers, pending, byte_filter, chunked)

    async def _deliver_decoded(
        self, upstream: UpstreamConnection, head: ResponseHead, extra: Headers,
        byte_filter: ByteFilter | None, decoder: Gunzip, held: bytes,
    ) -> None:  # fmt: skip
        pieces = decoder.feed(held, last=upstream.body_read) if held else iter(())
        # The head says the length if the body is not decoded, so it has to wait for that.
        while isinstance(upstream.framing, Length) and decoder.is_gzip is None and not upstream.body_read:
            pieces = decoder.feed(await upstream.read() or b"", last=upstream.body_read)
        changed = decoder.is_gzip or byte_filter is not None
        chunked, pending = self._begin(upstream, head, extra, DECODED if changed else UNCHANGED)
        while True:
            for piece in pieces:
                if pending := pending + await self._framed(piece, byte_filter, chunked):
                    await self._pass(pending)
                    pending = b""
                if upstream.raw.turn_is_over:  # the client takes every write at once: let other tasks run
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
        await self._end(upstream.trailers, pending, byte_filter, chunked)

    async def _framed(self, data: bytes, byte_filter: ByteFilter | None, chunked: bool) -> bytes:
        """Return bytes of the body as the client gets them: filtered, and as a chunk if ``chunked``."""
        if self._tokens is not None:
            self._tokens.feed(data)
        piece = data if byte_filter is None else await filtered(byte_filter, data)
        self._given.note(piece)
        return chunk(piece) if piece and chunked else piece

    async def _end(self, trailers: Headers, pending: bytes, byte_filter: ByteFilter | None, chunked: bool) -> None:
        """Send the pending bytes, those that the filter holds, and the end of the body."""
        try:
            held = byte_filter.finish() if byte_filter is not None else b""
        except UpstreamError:
            if self.reply_began:  # it is cut behind what came, as it is where the connection breaks
                await self._pass(pending)
            raise
        if held:
            self._given.note(held)
            pending += chunk(held) if chunked else held
        if chunked:  # only chunked messages can have trailers (RFC 9110 §6.5)
            pending += last_chunk(trailers)
        if pending:
            await self._pass(pending)

    def _begin(
        self, upstream: UpstreamConnection, head: ResponseHead, extra: Headers, drop: frozenset[bytes]
    ) -> tuple[bool, bytes]:
        """Note the reply's status; return whether the body is sent in chunks, and the head for the client."""
        chunked, lines = framing_lines(self._client, upstream.framing, head, changed=drop is not UNCHANGED)
        self._record.status = head.status
        return chunked, reply_head(head, drop, self.own_lines, extra, lines)

    async def _pass(self, data: bytes) -> None:
        if self._record.ttfb_ms is None:
            self.reply_began, self._record.ttfb_ms = True, self._record.since_start_ms()
            if self.on_reply is not None:
                self.on_reply(self._record)
        await self._client.send(data)


def _is_final(head: ResponseHead) -> bool:
    """Tell whether a head is that of the final response; 101 is, because no HTTP follows it."""
    return head.status >= 200 or head.status == 101
