"""The responses that ampmap makes by itself: errors in the asker's format, its own pages, CORS answers."""

from __future__ import annotations

from ..errors import Outcome, RequestError, UnsupportedMediaType, UpgradeRequired
from ..http.client_connection import ClientWire
from ..http.decoding import ACCEPTED
from ..http.headers import Headers, response_head, value
from ..records.record import Journal, Record
from ..routing.errorbody import error_body, plain_body, reason_of
from ..settings import Protocol

_NO_RETRY = (b"x-should-retry", b"false")  # the vendors' SDKs obey it: a retry would be paid again


class Answers:
    """How one request is answered when no upstream answers it.

    ``protocol`` is the format of errors, ``plain`` asks for Amp's one-line form instead, ``origin`` is a web origin
    that gets CORS answers, ``retry_costs`` says that an upstream may have begun the request.
    """

    def __init__(self, client: ClientWire, record: Record, method: bytes) -> None:
        self.protocol: Protocol | None = None
        self.plain = False
        self.origin: bytes | None = None
        self.retry_costs = False
        self.began = False
        self._client = client
        self._record = record
        self._method = method

    def cors(self) -> list[tuple[bytes, bytes]]:
        """Return the lines that let an allowed origin's page read the response (Fetch §3.2)."""
        if self.origin is None:
            return []
        return [
            (b"Access-Control-Allow-Origin", self.origin),
            (b"Access-Control-Expose-Headers", b"retry-after, request-id, x-request-id"),
            (b"Vary", b"Origin"),
        ]

    async def error(
        self, status: int, message: str, *, outcome: Outcome = "rejected", retry_after_s: int | None = None,
        code: str | None = None,
    ) -> None:  # fmt: skip
        """Answer with an error that says ``message``; ``retry_after_s`` says when a client may try again.

        ``code`` is as for :func:`~ampmap.routing.errorbody.error_body`.
        """
        body = plain_body(message) if self.plain else error_body(self.protocol, status, message, code)
        self._record.detail = self._record.detail or message
        extra = None if retry_after_s is None else [(b"Retry-After", b"%d" % retry_after_s)]
        await self.whole(status, body, outcome=outcome, extra=extra)

    async def preflight(self, headers: Headers) -> None:
        """Answer an allowed origin's CORS preflight with what it asks for (Fetch §3.2.2, Private Network Access)."""
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
        body: bytes,
        content_type: bytes = b"application/json",
        *,
        outcome: Outcome,
        extra: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        """Send a whole response. Raises :class:`ClientGone` when nobody takes it."""
        client, record = self._client, self._record
        record.status, record.outcome = status, outcome
        lines = [*self.cors(), *(extra or [])]
        if status != 204:
            lines += [(b"Content-Type", content_type), (b"Content-Length", b"%d" % len(body))]
        if status == UnsupportedMediaType.status:
            lines.append((b"Accept-Encoding", ACCEPTED))  # RFC 9110 §15.5.16
        if status == UpgradeRequired.status:
            lines += [(b"Upgrade", b"HTTP/1.1"), (b"Connection", b"Upgrade")]  # RFC 9110 §15.5.22, §7.8
        if self.retry_costs:
            lines.append(_NO_RETRY)
        if client.will_close:  # RFC 9112 §9.6
            client.closing = True
            lines.append((b"Connection", b"close"))
        sent = b"" if self._method == b"HEAD" else body
        record.bytes_out, record.ttfb_ms = len(sent), record.since_start_ms()
        self.began = True
        await client.send(response_head(status, reason_of(status), lines) + sent)


async def refuse(client: ClientWire, journal: Journal, generation: int, exc: RequestError) -> None:
    """Answer what could not be read as a request, and record it. Raises :class:`ClientGone`."""
    record = Record(detail=str(exc), generation=generation)
    client.closing = True
    try:
        await Answers(client, record, b"").error(exc.status, str(exc), outcome=exc.outcome)
    finally:
        journal.write(record)
