"""The upstream that acts its part of a cell of the fault matrix, and what both parts are made of.

To be run on a ``QuickLoop``: there, a second's sleep means that everything said so far has been taken and passed on.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream
from anyio.abc import ByteStream, TaskGroup
from anyio.streams.tls import TLSStream
from faultmatrix import Cell, Fault, Kind, Leg, Point, Side
from faultwords import DRIP_S, GARBAGE, THINK_S, TIMES, WORDS, parted, reply
from kit import Peer, scripted, wrapped

from ampmap.settings import Origin

GONE = (EndOfStream, BrokenResourceError, ClosedResourceError)
_REPLY = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=60\r\nContent-Length: 2\r\n\r\nok"
FULL_S = TIMES.write_stall_s + 10


async def settle() -> None:
    """Wait until nothing moves any more."""
    await anyio.sleep(1)


class Ear(ByteStream):
    """A stream that remembers what it heard."""

    def __init__(self, inner: ByteStream) -> None:
        self._inner = inner
        self.heard = bytearray()

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        data = await self._inner.receive(max_bytes)
        self.heard += data
        return data

    async def send(self, item: bytes) -> None:
        await self._inner.send(item)

    async def send_eof(self) -> None:
        with suppress(RuntimeError):  # uvloop's word for a connection that has ended
            await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()


def listening(peer: Peer) -> Ear:
    ear = Ear(peer.stream)
    peer.stream = ear
    return ear


async def do_fault(peer: Peer, fault: Fault, left: bytes) -> None:
    """Do what the cell is about; ``left`` is what the peer had yet to say."""
    match fault:
        case Fault.FIN:
            await peer.raw.send_eof()  # below TLS, which is not told
        case Fault.RST:
            peer.reset()
        case Fault.SILENCE:
            pass
        case Fault.DRIP:
            for at in range(len(left)):
                await peer.send(left[at : at + 1])
                await anyio.sleep(DRIP_S)
        case Fault.GARBAGE:
            await peer.send(GARBAGE)


async def _skip(peer: Peer, count: int) -> None:
    """Read ``count`` bytes, of which there may be many."""
    while count > len(peer.buffer):
        count -= len(peer.buffer)
        peer.buffer = await peer.stream.receive()
    peer.buffer = peer.buffer[count:]


@dataclass(slots=True)
class Stage:
    """What the upstream saw of one cell."""

    cell: Cell
    tls: ssl.SSLContext
    ears: list[Ear] = field(default_factory=list)
    connections: int = 0
    whole: bool | None = None
    answered: bool = False
    ended: bool = False  # the client's half of a tunnel is
    secure: TLSStream | None = None
    speaking: bool = False  # the upstream has something to say yet
    over: bool = False  # the cell is: from now on all is well

    @property
    def requests(self) -> list[int]:
        """How often the cell's request was begun, on each connection."""
        return [ear.heard.count(b"X-Cell: cell\r\n") for ear in self.ears]

    async def serve(self, peer: Peer) -> None:
        """Serve one connection."""
        cell = self.cell
        self.connections += 1
        mine = cell.side is Side.UPSTREAM and not self.over
        if mine and cell.point is Point.HANDSHAKE:
            await self._handshake(peer)
            return
        if cell.leg is Leg.TLS:
            with suppress(ssl.SSLError):
                peer.stream = self.secure = await TLSStream.wrap(peer.raw, server_side=True, ssl_context=self.tls)
            if peer.stream is peer.raw:
                return
        self.ears.append(listening(peer))
        async with anyio.create_task_group() as group:
            with suppress(*GONE):
                if mine and cell.point is Point.CONNECT:
                    group.start_soon(self._act, peer, 0.0)
                while True:
                    await self._exchange(peer, group)
            group.cancel_scope.cancel()

    async def _exchange(self, peer: Peer, group: TaskGroup) -> None:
        cell = self.cell
        message = await peer.read_head()
        if message.one(b"x-cell") is None:
            await peer.read_exactly(int(message.one(b"content-length") or 0))
            await peer.send(_REPLY)
            return
        self.whole = False
        if cell.side is Side.UPSTREAM and cell.point is Point.OTHERS_BODY and cell.kind is not Kind.UPGRADE:
            await settle()
            if cell.fault is Fault.DRIP:
                group.start_soon(self._act, peer, 0.0)
            else:
                await self._act(peer, 0.0)
                await anyio.sleep(FULL_S if cell.fault is Fault.SILENCE else 1)
        length = int(message.one(b"content-length") or 0)
        if message.one(b"transfer-encoding"):
            await peer.read_chunks(message)
        elif length:
            await _skip(peer, length)
        self.whole = True
        if cell.side is Side.CLIENT:
            group.start_soon(self._answer, peer)
        elif cell.point is not Point.CONNECT and (cell.point is not Point.OTHERS_BODY or cell.kind is Kind.UPGRADE):
            group.start_soon(self._act, peer, 1.0)
        if cell.kind is Kind.UPGRADE:
            try:
                while True:
                    await peer.more()
            except EndOfStream:
                self.ended = True
                while self.speaking:  # its own half goes on
                    await settle()
                raise

    async def _act(self, peer: Peer, pause_s: float) -> None:
        """Break as the cell says."""
        cell = self.cell
        self.speaking = True
        with suppress(*GONE):
            if cell.kind is Kind.UPGRADE and cell.point in (Point.BODY, Point.OTHERS_BODY):
                await peer.send(reply(cell).head, WORDS[0])
                await anyio.sleep(pause_s)
                if cell.point is Point.OTHERS_BODY:
                    await peer.send(*WORDS[1:])
                    await peer.stream.send_eof()
                    await settle()
                await do_fault(peer, cell.fault, b"".join(WORDS[1:]))
                if cell.fault in (Fault.DRIP, Fault.GARBAGE):
                    await self._end(peer)
            else:
                said, left = parted(reply(cell), cell.point)
                if said:
                    await peer.send(said)
                    await anyio.sleep(pause_s)
                await do_fault(peer, cell.fault, left)
        self.speaking = False

    async def _end(self, peer: Peer) -> None:
        """End a tunnel as its leg allows: TLS has no half-close."""
        if self.cell.leg is Leg.TCP:
            await peer.stream.send_eof()
            return
        assert self.secure is not None
        with suppress(ssl.SSLWantReadError):
            self.secure._ssl_object.unwrap()
        await peer.raw.send(self.secure._write_bio.read())

    async def _answer(self, peer: Peer) -> None:
        """Answer a client that breaks."""
        cell, ear = self.cell, self.ears[-1]
        self.speaking = True
        with suppress(*GONE):
            if cell.point is Point.AFTER_END:
                await anyio.sleep(THINK_S)
            whole = reply(cell)
            if cell.kind is Kind.UPGRADE:
                await peer.send(whole.head, WORDS[0])
                while not (self.ended or ear.heard.endswith(WORDS[-1])):  # until the client has said its last word
                    await anyio.sleep(0.5)
                await anyio.sleep(THINK_S)
                for word in (WORDS[1][:9], WORDS[1][9:], WORDS[2]):  # what is lost is told one later
                    await peer.send(word)
                    await settle()
                await self._end(peer)
            elif cell.point is Point.OTHERS_BODY:
                said, left = parted(whole, Point.BODY)
                await peer.send(said)
                await anyio.sleep(5)
                await peer.send(left)
            else:
                await peer.send(whole.raw)
            self.answered = not peer.transport.is_closing()  # a send that fails only says so to the next one
        self.speaking = False

    async def _handshake(self, peer: Peer) -> None:
        """Break where TLS should begin; a drip is the true first flight of a server."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(await peer.raw.receive())
        with suppress(ssl.SSLWantReadError):
            self.tls.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
        with suppress(*GONE):
            await do_fault(peer, self.cell.fault, outgoing.read())
            await peer.wait_gone()


@asynccontextmanager
async def upstream_of(stage: Stage) -> AsyncIterator[tuple[Origin, Callable[[], None]]]:
    """Run the upstream; yield where it is and what opens its door, if that is closed at first."""
    cell = stage.cell
    if cell.point is not Point.BEFORE_CONNECT:
        async with scripted(stage.serve, receive_bytes=65_536 if cell.large else 0) as server:
            yield server.origin._replace(scheme="https" if cell.leg is Leg.TLS else "http"), lambda: None
        return
    with ExitStack() as stack:
        door = stack.enter_context(socket.socket())
        door.bind(("127.0.0.1", 0))
        door.setblocking(False)
        fillers = []
        if cell.fault is Fault.SILENCE:
            door.listen(0)
            for _ in range(2):  # a backlog that is full answers no more connections
                fillers.append(stack.enter_context(socket.socket()))
                fillers[-1].setblocking(False)
                fillers[-1].connect_ex(door.getsockname())

        strangers = [filler.getsockname() for filler in fillers]

        async def serve() -> None:
            while True:
                await anyio.wait_readable(door)
                sock, address = door.accept()
                if address in strangers:
                    sock.close()
                    continue
                peer = Peer(await wrapped(sock))
                try:
                    await stage.serve(peer)
                finally:
                    await peer.close()

        def opened() -> None:
            door.listen(5)
            group.start_soon(serve)

        async with anyio.create_task_group() as group:
            yield Origin("http", *door.getsockname()), opened
            group.cancel_scope.cancel()
