"""Send the responses that ampmap makes itself: errors in the client's format, its own pages, CORS answers."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from anyio.lowlevel import checkpoint

from ..errors import Outcome, RequestError, UnsupportedMediaType, UpgradeRequired
from ..http.client_connection import ClientConnection, End
from ..http.connection import SLICE_BYTES, chunk, last_chunk, writes
from ..http.decoding import ACCEPTED
from ..http.headers import Headers, response_head, value
from ..records.journal import Journal
from ..records.record import Record
from ..routing.errorbody import error_body, plain_body, reason_of
from ..settings import Protocol
from .reply_head import OWN_FIELDS
from .state import Feed

_EXPOSED = b", ".join((b"retry-after", b"request-id", b"x-request-id", *OWN_FIELDS))
_END_S = 0.5  # how long a reader of events may take to read their end when the proxy drains
_CLOSE = (b"Connection", b"close")
_NO_RETRY = (b"x-should-retry", b"false")  # the vendors' SDKs obey it


class Responses:
    """Sends one response to a request that no upstream answers.

    ``protocol`` is the format of errors; ``plain`` means Amp's one-line form instead. ``origin`` is the web origin
    whose page may read the response. ``retry_costs`` asks SDKs not to retry: an upstream may already have worked on the
    request. ``began`` says that a response, or the 101 of a tunnel, has begun.
    """

    def __init__(self, client: ClientConnection, record: Record, method: bytes) -> None:
        self.protocol: Protocol | None = None
        self.plain = False
        self.origin: bytes | None = None
        self.retry_costs = False
        self.began = False
        self._client = client
        self._record = record
        self._method = method

    def cors(self) -> list[tuple[bytes, bytes]]:
        """Return the header lines that let the allowed origin's page read the response (Fetch §3.2)."""
        if self.origin is None:
            return []
        return [
            (b"Access-Control-Allow-Origin", self.origin),
            (b"Access-Control-Expose-Headers", _EXPOSED),
            (b"Vary", b"Origin"),
        ]

    async def error(
        self, status: int, message: str, *, outcome: Outcome = "rejected", retry_after_s: int | None = None,
        code: str | None = None, param: str = "",
    ) -> None:  # fmt: skip
        """Answer with an error; ``retry_after_s`` becomes ``Retry-After``.

        ``code`` and ``param`` are as for :func:`~ampmap.routing.errorbody.error_body`.
        """
        body = plain_body(message) if self.plain else error_body(self.protocol, status, message, code, param)
        self._record.detail = self._record.detail or message
        extra = None if retry_after_s is None else [(b"Retry-After", b"%d" % retry_after_s)]
        await self.whole(status, body, outcome=outcome, extra=extra)

    async def preflight(self, headers: Headers) -> None:
        """Allow what the preflight of an allowed origin asks for (Fetch §3.2.2, Private Network Access)."""
        self._record.route_type, self._record.source = "ADMIN", "ampmap"
        asked = value(headers, b"access-control-request-headers")
        lines = [
            (b"Access-Control-Allow-Methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
            (b"Access-Control-Allow-Headers", asked or b"authorization, content-type"),
            (b"Access-Control-Max-Age", b"600"),
        ]
        if value(headers, b"access-control-request-private-network") == b"true":
            lines.append((b"Access-Control-Allow-Private-Network", b"true"))
        await self.whole(204, b"", outcome="ok", extra=lines)

    async def whole(
        self,
        status: int,
        body: bytes | Sequence[bytes | memoryview],
        content_type: bytes = b"application/json",
        *,
        outcome: Outcome,
        extra: list[tuple[bytes, bytes]] | None = None,
        own: bytes = b"",
    ) -> None:
        """Send a whole response, whose body may be in pieces; ``own`` are encoded header lines.

        Raises :class:`ClientGone` when the client left.
        """
        parts = (body,) if isinstance(body, bytes) else body
        size = sum(map(len, parts))
        client, record = self._client, self._record
        record.status, record.outcome = status, outcome
        lines = [*self.cors(), *(extra or [])]
        if status != 204:
            lines += [(b"Content-Type", content_type), (b"Content-Length", b"%d" % size)]
        if status == UnsupportedMediaType.status:
            lines.append((b"Accept-Encoding", ACCEPTED))  # RFC 9110 §15.5.16
        if status == UpgradeRequired.status:
            lines += [(b"Upgrade", b"HTTP/1.1"), (b"Connection", b"Upgrade")]  # RFC 9110 §15.5.22, §7.8
        if self.retry_costs:
            lines.append(_NO_RETRY)
        if client.will_close:  # RFC 9112 §9.6
            client.end_with(End.CLOSE)
            lines.append(_CLOSE)
        if self._method == b"HEAD":
            parts, size = (b"",), 0
        record.bytes_out, record.ttfb_ms = size, record.since_start_ms()
        self.began = True
        head = response_head(status, reason_of(status), lines, own)
        if size <= SLICE_BYTES:
            await client.send(b"".join((head, *parts)))
            return
        for data in writes(head, parts):
            await client.send(data)
            await checkpoint()  # the kernel may take every write at once

    async def stream(self, content_type: bytes, feed: Feed) -> None:
        """Send the pieces of ``feed`` as they come, until it ends or the client leaves, which is no error.

        The connection ends with the response. When the proxy drains, a client that does not read the end is cut. Raises
        :class:`ClientGone` when the client reads nothing for ``write-stall-s``.
        """
        client, record = self._client, self._record
        record.status, record.outcome = 200, "ok"
        client.end_with(End.CLOSE)
        lines = [*self.cors(), (b"Content-Type", content_type), (b"Cache-Control", b"no-store"), _CLOSE]
        chunked = client.version == b"1.1"
        if chunked:
            lines.append((b"Transfer-Encoding", b"chunked"))
        else:
            client.end_with(End.CUT)
        self.began = True
        with anyio.CancelScope() as scope:
            client.raw.on_gone, client.raw.may_drop = scope.cancel, True
            feed.on_end = lambda: setattr(scope, "deadline", anyio.current_time() + _END_S)
            if not client.raw.is_open:
                return
            record.ttfb_ms = record.since_start_ms()
            await client.send(response_head(200, reason_of(200), lines))
            if self._method == b"HEAD":
                return
            async for piece in feed:
                record.bytes_out += len(piece)
                await client.send(chunk(piece) if chunked else piece)
            if chunked:
                await client.send(last_chunk(()))
            return
        client.abort()


async def refuse(client: ClientConnection, journal: Journal, generation: int, exc: RequestError) -> None:
    """Answer a request whose head could not be read, and write its record. Raises :class:`ClientGone`."""
    record = Record(detail=str(exc), generation=generation)
    client.end_with(End.CLOSE)
    try:
        await Responses(client, record, b"").error(exc.status, str(exc), outcome=exc.outcome)
    finally:
        journal.write(record)
