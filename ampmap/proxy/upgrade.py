"""The tunnel after ``101 Switching Protocols``: bytes are copied both ways, unread, until both sides have ended.

Bytes that a side sent before the switch was complete are copied first. When one side ends, the other is told and may
go on sending. Source: RFC 9110 §7.8, RFC 6455 §1.3.
"""

from __future__ import annotations

import asyncio

import anyio

from ..errors import ClientGone, ExchangeError, UpstreamBroken, UpstreamTimeout
from ..http.client_connection import ClientConnection
from ..http.headers import Headers, tokens
from ..http.upstream_connection import UpstreamConnection
from ..records.record import Record

_LOST = (anyio.BrokenResourceError, OSError)


def asks_for_websocket(method: bytes, headers: Headers) -> bool:
    """Tell whether a request asks for an upgrade to WebSocket; other upgrades are not supported."""
    return (
        method == b"GET"
        and b"upgrade" in tokens(headers, b"connection")
        and tokens(headers, b"upgrade") == [b"websocket"]
    )


class _Quiet(ExchangeError):
    """One of the streams was silent for the idle time."""


class Tunnel:
    """The joined streams of a client and an upstream; ``idle_s`` bounds how long both may be silent together."""

    def __init__(self, client: ClientConnection, upstream: UpstreamConnection, record: Record, idle_s: float) -> None:
        self._client = client
        self._upstream = upstream
        self._record = record
        self._idle_s = idle_s
        self._last = 0.0

    async def run(self, head: bytes) -> None:
        """Send the client ``head``, then copy both ways until both sides have ended.

        Raises :class:`ClientGone` or :class:`UpstreamBroken` when a side breaks, :class:`UpstreamTimeout` when both
        stay silent. Both streams are closed in any case; cancelling cuts them.
        """
        loop = asyncio.get_running_loop()
        client, upstream = self._client, self._upstream
        self._last = loop.time()
        client.raw.on_gone = None
        for raw in (client.raw, upstream.raw):
            raw.read_within(self._idle_s, _Quiet)
        failures: list[ExchangeError] = []

        async def copy(towards_client: bool) -> None:
            try:
                await (self._down() if towards_client else self._up())
            except ExchangeError as exc:
                failures.append(exc)
                group.cancel_scope.cancel()

        try:
            await client.send(head)
            async with anyio.create_task_group() as group:
                group.start_soon(copy, True)
                group.start_soon(copy, False)
            if failures:
                raise failures[0]
        except BaseException:
            client.abort()
            upstream.abort()
            raise
        client.raw.close()
        upstream.close()

    async def _up(self) -> None:
        while data := await self._receive(self._client, ClientGone("the client broke off")):
            self._record.bytes_in += len(data)
            await self._upstream.send(data)
        await self._upstream.send_eof()

    async def _down(self) -> None:
        while data := await self._receive(self._upstream, UpstreamBroken("the upstream broke off")):
            self._record.bytes_out += len(data)
            await self._client.send(data)
        await self._client.raw.send_eof()

    async def _receive(self, side: ClientConnection | UpstreamConnection, broken: ExchangeError) -> bytes:
        """Return the next bytes of one side, nothing at its end; it may be silent while the other side sends."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await side.take()
            except (anyio.EndOfStream, anyio.ClosedResourceError):  # closed: send_eof of TLS ends both directions
                return b""
            except _LOST as exc:
                raise broken from exc
            except _Quiet:
                if loop.time() - self._last < self._idle_s:
                    continue
                during = f"{self._idle_s:g} s (timeouts.stream-idle-s)"
                raise UpstreamTimeout(f"timed out: the tunnel was silent for {during}") from None
            self._last = loop.time()
            return data
