"""HTTP/1.1 on asyncio streams, for both ends of a soak: heads, bodies as they come, and ends of every kind.

Not ``kit.Peer``: that keeps whole messages, and a soak must pass gigabytes in little memory and time.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

PIECE = 65_536


class Broken(Exception):
    """The other side ended the connection, or said what is no HTTP, before its message was whole."""


@dataclass(slots=True)
class Head:
    """A head as it came; names in lower case."""

    start: bytes
    fields: list[tuple[bytes, bytes]]

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.start.split(b" ", 2)[1])

    def value(self, name: bytes) -> bytes | None:
        """Return the first value of a field."""
        return next((content for key, content in self.fields if key == name), None)

    @property
    def closes(self) -> bool:
        """True when the sender says that this is its last message."""
        return (self.value(b"connection") or b"").lower() == b"close"


class Line:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @staticmethod
    async def connect(host: str, port: int, *, small: bool = False) -> Line:
        """Connect; ``small`` makes this side's kernel take little at a time."""
        sock = socket.socket()
        try:
            if small:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
            return Line(*await asyncio.open_connection(sock=sock, limit=PIECE))
        except BaseException:
            sock.close()
            raise

    async def send(self, data: bytes) -> None:
        """Send and wait until most of it is taken; raises :class:`Broken`."""
        try:
            for start in range(0, len(data), PIECE):
                if self.writer.is_closing():  # asyncio says in the log how often one writes on
                    raise Broken("lost while sending")
                self.writer.write(data[start : start + PIECE])
                await self.writer.drain()
        except OSError as exc:
            raise Broken(f"lost while sending: {exc}") from exc

    async def head(self) -> Head | None:
        """Return the next head; None when the other side left politely before one. Raises :class:`Broken`."""
        try:
            raw = await self.reader.readuntil(b"\r\n\r\n")
            start, *lines = raw[:-4].split(b"\r\n")
            pairs = (line.partition(b":") for line in lines)
            return Head(start, [(name.lower(), content.strip()) for name, _, content in pairs])
        except asyncio.IncompleteReadError as exc:
            if not exc.partial:
                return None
            raise Broken("ended within a head") from exc
        except (OSError, asyncio.LimitOverrunError) as exc:
            raise Broken(f"no head: {exc!r}") from exc

    async def body(self, head: Head) -> AsyncIterator[bytes]:
        """Yield a body's pieces as they come; raises :class:`Broken` when it ends before it is whole."""
        try:
            if (head.value(b"transfer-encoding") or b"").lower() == b"chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    async for piece in self._exactly(size):
                        yield piece
                    if await self.reader.readexactly(2) != b"\r\n":
                        raise Broken("a chunk has no end")
                while await self.reader.readuntil(b"\r\n") != b"\r\n":
                    pass
            elif length := head.value(b"content-length"):
                async for piece in self._exactly(int(length)):
                    yield piece
            elif head.start.startswith(b"HTTP/") and head.status not in (204, 304):
                raise Broken("a reply without a length")
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as exc:
            raise Broken(f"ended within a body: {exc!r}") from exc

    async def _exactly(self, count: int) -> AsyncIterator[bytes]:
        while count:
            piece = await self.reader.read(min(count, PIECE))
            if not piece:
                raise EOFError("cut")
            count -= len(piece)
            yield piece

    def reset(self) -> None:
        """Close with a reset."""
        sock = cast(socket.socket, self.writer.get_extra_info("socket"))
        with suppress(OSError):  # it may be gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close, and wait until that is done."""
        self.writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                await self.writer.wait_closed()
