"""Clients: each a plain socket, all in one thread. What they see is what an agent would see."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import bodies

GUARD_S = 60.0  # no answer takes longer
READ_BYTES = 1 << 14  # more would be allocated anew for each read

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STAMP = re.compile(rb"@(\d{%d})@" % bodies.STAMP_DIGITS)
_TAIL = bodies.STAMP_DIGITS + 1  # bytes that may be the beginning of a stamp
_END = b"\r\n0\r\n\r\n"


class LoadError(RuntimeError):
    """A proxy did not answer as it should."""


class Reply:
    """One response as it arrives; fed with bytes until it is whole."""

    __slots__ = ("data", "need")

    def __init__(self) -> None:
        self.data = b""
        self.need = -1  # bytes of the whole response; -1: its head is not whole; 0: its body is chunked

    def feed(self, data: bytes) -> bool:
        """Add what came; tell whether that was all of it."""
        self.data = self.data + data if self.data else data
        if self.need < 0:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return False
            found = _LENGTH.search(self.data, 0, end)
            self.need = end + 4 + int(found[1]) if found else 0
        return len(self.data) >= self.need if self.need else self.data.endswith(_END)

    @property
    def ok(self) -> bool:
        """Tell whether it is a success."""
        return self.data.startswith(b"HTTP/1.1 200")


def connect(port: int, *, blocking: bool = True) -> socket.socket:
    """Connect to a proxy."""
    sock = socket.create_connection(("127.0.0.1", port), GUARD_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(blocking)
    if blocking:
        sock.settimeout(GUARD_S)
    return sock


def ask(sock: socket.socket, request: bytes) -> Reply:
    """Send one request and return its response."""
    sock.sendall(request)
    reply = Reply()
    while True:
        data = sock.recv(READ_BYTES)
        if not data:
            raise LoadError(f"the proxy closed the connection after {reply.data[:300]!r}")
        if reply.feed(data):
            return reply


def prove(port: int, request: bytes, sent: str, answered: str) -> None:
    """Make sure that a proxy does its work: the upstream was asked for ``sent``, the client gets ``answered``."""
    with connect(port) as sock:
        reply = ask(sock, request)
    if not reply.ok or bodies.asked_for(sent).encode() not in reply.data:
        raise LoadError(f"the upstream was not asked for {sent}: {reply.data[:600]!r}")
    if not re.search(rb'"model": ?"%b"' % re.escape(answered.encode()), reply.data):
        raise LoadError(f"the answer does not name {answered}: {reply.data[-900:]!r}")


def one_at_a_time(sock: socket.socket, request: bytes, count: int) -> list[int]:
    """Return the nanoseconds that each of ``count`` requests took, one after the other."""
    took = []
    for _ in range(count):
        began = time.perf_counter_ns()
        reply = ask(sock, request)
        took.append(time.perf_counter_ns() - began)
        if not reply.ok:
            raise LoadError(f"refused: {reply.data[:300]!r}")
    return took


def closed_loop(port: int, request: bytes, connections: int, count: int) -> None:
    """Send ``count`` requests over that many connections, on each the next one when the last was answered."""
    poll = select.epoll()
    clients = {sock.fileno(): sock for sock in (connect(port, blocking=False) for _ in range(connections))}
    replies: dict[int, Reply] = {}
    try:
        left, open_ = count, 0
        for number, sock in clients.items():
            poll.register(number, select.EPOLLIN)
            if left:
                sock.send(request)
                replies[number] = Reply()
                left -= 1
                open_ += 1
        while open_:
            ready = poll.poll(GUARD_S)
            if not ready:
                raise LoadError("no answer")
            for number, _ in ready:
                sock = clients[number]
                data = sock.recv(READ_BYTES)
                if not data:
                    raise LoadError("the proxy closed a connection")
                if not replies[number].feed(data):
                    continue
                if not replies[number].ok:
                    raise LoadError(f"refused: {replies[number].data[:300]!r}")
                open_ -= 1
                if left:
                    sock.send(request)
                    replies[number] = Reply()
                    left -= 1
                    open_ += 1
    finally:
        poll.close()
        for sock in clients.values():
            sock.close()


@dataclass(slots=True)
class Streamed:
    """What came of many streams."""

    delays_ns: list[int] = field(default_factory=list)  # of each event, from the upstream's clock to here
    opened: int = 0  # streams whose response began
    ended: int = 0  # streams that came to their proper end


class Streams:
    """Many streams at once, opened and then followed."""

    def __init__(self, port: int, request: bytes, count: int) -> None:
        self._poll = select.epoll()
        self._clients: dict[int, socket.socket] = {}
        self._tails: dict[int, bytes] = {}
        self.result = Streamed()
        for _ in range(count):
            sock = connect(port)
            self._clients[sock.fileno()] = sock
            self._tails[sock.fileno()] = b""
            sock.sendall(request)
            sock.setblocking(False)
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def follow(self, *, until_open: int = 0) -> Streamed:
        """Read until all streams have ended, or so many have begun, or the time is over."""
        deadline = time.monotonic() + GUARD_S
        delays, tails = self.result.delays_ns, self._tails
        while tails and (not until_open or self.result.opened < until_open):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for number, _ in self._poll.poll(left):
                data = self._clients[number].recv(READ_BYTES)
                now = time.monotonic_ns()
                tail = tails[number]
                self.result.opened += not tail
                data = tail + data if data else data
                end = 0
                for found in _STAMP.finditer(data):
                    delays.append(now - int(found[1]))
                    end = found.end()
                if not data or data.endswith(_END):
                    self.result.ended += bool(data)
                    self._poll.unregister(number)
                    del tails[number]
                else:
                    tails[number] = data[max(end, len(data) - _TAIL) :]
        return self.result

    def close(self) -> None:
        """Leave, whether or not the streams have ended."""
        self._poll.close()
        for sock in self._clients.values():
            sock.close()


def added(through: Sequence[int], direct: Sequence[int]) -> float:
    """Return the middle of what a proxy adds, in milliseconds."""
    return (sorted(through)[len(through) // 2] - sorted(direct)[len(direct) // 2]) / 1e6
