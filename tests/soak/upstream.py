"""A stand-in upstream as a process of its own: ``python -m soak.upstream NAME HOST PORT LOG MODELS [CERTIFICATE]``.

Each request says in ``x-soak`` what to do with it. What arrived is noted in LOG, one line for a head and one for a
whole body, each written at once: this process may be killed at any time. NAME decides which wire format it replies in.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import ssl
import sys
from contextlib import suppress

from .traffic import SECRET, Order, error_reply, reply_pieces
from .wire import Broken, Head, Line

# The others: openai-chat.
PROTOCOLS = {"claude": "anthropic", "gem": "gemini", "amp": "anthropic", "amp-tls": "anthropic"}


class Upstream:
    """What it is called, what it lists, where it notes things."""

    def __init__(self, name: str, log: str, models: list[str]) -> None:
        self._name = name
        self._protocol = PROTOCOLS.get(name, "openai-chat")
        self._models = models
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        line = Line(reader, writer)
        try:
            with suppress(Broken, OSError, ssl.SSLError):
                while (head := await line.head()) is not None and await self._request(line, head):
                    pass
        finally:
            await line.close()

    def _note(self, *words: object) -> None:
        os.write(self._log, (" ".join(map(str, words)) + "\n").encode())

    async def _request(self, line: Line, head: Head) -> bool:
        ordered = head.value(b"x-soak")
        if ordered is None:
            return await self._list(line, head)
        order = Order.decoded(ordered)
        self._note("head", order.tag)
        if any(SECRET.encode() in content for _, content in head.fields):
            self._note("secret", order.tag)
        if order.only and order.only != self._name:
            order = Order(order.tag, order.form, order.size, order.count)
        if order.form == "socket":
            return await self._socket(line, order)
        digest, size, text = hashlib.sha1(usedforsecurity=False), 0, bytearray()
        async for piece in line.body(head):
            digest.update(piece)
            size += len(piece)
            text += piece
            if order.fault == "early" and size > 65_536:
                return await self._early(line, order)
        self._note("body", order.tag, digest.hexdigest(), size)
        await asyncio.sleep(order.delay_ms / 1e3)
        if order.hint:
            await line.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        return await self._reply(line, order, self._model(head, text))

    def _model(self, head: Head, body: bytearray) -> str:
        if self._protocol == "gemini":
            return head.start.split(b"/models/")[1].split(b":")[0].decode()
        return str(json.loads(body)["model"]) if body.startswith(b"{") else ""

    async def _reply(self, line: Line, order: Order, model: str) -> bool:
        if order.fault in ("status", "early"):
            body = error_reply(order)
            fields = b"Content-Type: application/json\r\nRetry-After: 1\r\nContent-Length: %d" % len(body)
            if order.fault == "early":  # what is left of the request will be thrown away, and the next one with it
                fields += b"\r\nConnection: close"
            await line.send(b"HTTP/1.1 %d Ordered\r\n%b\r\n\r\n%b" % (order.status, fields, body))
            return True
        if order.fault in ("close", "reset", "stall", "garbage"):
            if order.fault == "garbage":
                await line.send(b"SSH-2.0-Soak_1.0\r\nnothing that HTTP knows\r\n\r\n")
            await self._fail(line, order.fault)
            return False
        pieces = list(reply_pieces(order, self._protocol, model))
        total = sum(map(len, pieces))
        chunked = order.chunked or order.form == "events"
        kind = {"events": b"text/event-stream", "json": b"application/json"}.get(order.form, b"text/plain")
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % total
        last = b"Connection: close\r\n" if order.close else b""
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%b\r\n%b\r\n" % (kind, framing, last))
        left = max(1, int(total * order.at)) if order.fault else total + 1  # bytes until something goes wrong
        for piece in pieces:
            part = piece[:left]
            left -= len(part)
            await line.send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            if left <= 0:
                if order.fault == "bad-chunk":
                    await line.send(b"zz\r\n\r\n")
                await self._fail(line, order.fault)
                return False
            if order.pause_ms:
                await asyncio.sleep(order.pause_ms / 1e3)
        if chunked:
            await line.send(b"0\r\n\r\n")
        return not order.close

    async def _fail(self, line: Line, fault: str) -> None:
        if fault.startswith("stall"):
            await line.reader.read(1)  # says nothing until the proxy has had enough
        elif fault.startswith("reset"):
            line.reset()

    async def _early(self, line: Line, order: Order) -> bool:
        """Answer in the middle of an upload, and read on for a while so that no reset destroys the answer."""
        await self._reply(line, order, "")
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while await line.reader.read(65_536):
                    pass
        return False

    async def _socket(self, line: Line, order: Order) -> bool:
        """Say everything back, until the other side ends or a reset is due."""
        await line.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        left = int(order.size * order.count * order.at) + 1 if order.fault else sys.maxsize
        while data := await line.reader.read(65_536):
            await line.send(data)
            left -= len(data)
            if left <= 0:
                line.reset()
                break
        return False

    async def _list(self, line: Line, head: Head) -> bool:
        self._note("list", head.start.decode("latin-1"))
        listed = {"models": [{"name": f"models/{name}"} for name in self._models]}
        body = json.dumps(
            listed if self._protocol == "gemini" else {"data": [{"id": x} for x in self._models]}
        ).encode()
        await line.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        return True


async def main(name: str, host: str, port: str, log: str, models: str, certificate: str = "") -> None:
    """Serve until killed."""
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    upstream = Upstream(name, log, models.split(","))
    server = await asyncio.start_server(upstream.serve, host, int(port), ssl=tls, limit=65_536, backlog=512)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
