"""A provider of canned replies: one process, one thread, epoll. It does what the last plan told it to.

``POST /plan`` with a plan as JSON sets what every other request is answered with. The handle on the process is
:class:`Upstream`; run as a program, the module is the process.
"""

from __future__ import annotations

import heapq
import http.client
import json
import select
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from . import bodies
from .machine import Process, start

READ_BYTES = 1 << 20
READY_S = 60.0
_GOLDEN = 0.6180339887  # multiples of it, modulo one, are spread evenly: streams don't fall due together


@dataclass(frozen=True, slots=True)
class Plan:
    """How requests are answered from now on."""

    kind: Literal["reply", "proof", "stream"] = "reply"  # a proof is a reply that tells the model that was asked for
    model: str = bodies.SERVED
    events: int = 0
    interval_ms: float = 0
    wire: Literal["openai", "anthropic"] = "openai"


class _Canned:
    """A plan, as bytes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.reply = bodies.anthropic_reply(plan.model) if plan.wire == "anthropic" else bodies.reply(plan.model)
        self.opening = bodies.reply_head(b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked")
        if plan.wire == "anthropic":
            self.opening += bodies.anthropic_opening(plan.model)
            self.before, self.behind = bodies.stamp_gap(bodies.anthropic_event())
            self.ending = bodies.chunked(b'event: message_stop\ndata: {"type":"message_stop"}\n\n') + b"0\r\n\r\n"
        else:
            self.before, self.behind = bodies.stamp_gap(bodies.openai_event(plan.model))
            self.ending = bodies.chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        self.interval_ns = int(plan.interval_ms * 1e6)

    def event(self) -> bytes:
        """Return an event that carries the time."""
        return self.before + b"%019d" % time.monotonic_ns() + self.behind


class _Connection:
    """One client, which is sent what it takes and read until its request is whole."""

    __slots__ = ("alive", "handshaking", "head", "keep", "kept", "left", "out", "sock")

    def __init__(self, sock: socket.socket, handshaking: bool) -> None:
        self.sock = sock
        self.handshaking = handshaking
        self.alive = True
        self.head = b""
        self.left = -1  # bytes of the body still to come; -1: the head is not whole, -2: the body is chunked
        self.keep = False  # the body is wanted
        self.kept = bytearray()
        self.out = b""


class Server:
    """The upstream's loop."""

    def __init__(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self._listening = listening
        self._tls = tls
        self._poll = select.epoll()
        self._poll.register(listening.fileno(), select.EPOLLIN)
        self._connections: dict[int, _Connection] = {}
        self._buffer = bytearray(READ_BYTES)
        self._canned = _Canned(Plan())
        self._due: list[tuple[int, int, int, _Connection, _Canned]] = []
        self._count = 0

    def run(self) -> None:
        """Serve for good."""
        listening = self._listening.fileno()
        while True:
            wait = -1.0 if not self._due else max(0.0, (self._due[0][0] - time.monotonic_ns()) / 1e9)
            for number, mask in self._poll.poll(wait):
                if number == listening:
                    self._accept()
                    continue
                connection = self._connections.get(number)
                if connection is None:
                    continue
                if mask & select.EPOLLOUT:
                    self._flush(connection)
                if mask & ~select.EPOLLOUT:
                    self._readable(connection)
            if self._due:
                self._send_due()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            self._connections[sock.fileno()] = _Connection(sock, self._tls is not None)
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def _drop(self, connection: _Connection) -> None:
        if connection.alive:
            connection.alive = False
            number = connection.sock.fileno()
            self._poll.unregister(number)
            del self._connections[number]
            connection.sock.close()

    def _readable(self, connection: _Connection) -> None:
        try:
            if connection.handshaking:
                assert isinstance(connection.sock, ssl.SSLSocket)
                connection.sock.do_handshake()
                connection.handshaking = False
            while connection.alive:
                size = connection.sock.recv_into(self._buffer)
                if size == 0:
                    self._drop(connection)
                    return
                self._feed(connection, memoryview(self._buffer)[:size])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self._drop(connection)

    def _feed(self, connection: _Connection, data: memoryview) -> None:
        if connection.left == -1:
            connection.head += bytes(data)
            end = connection.head.find(b"\r\n\r\n")
            if end < 0:
                return
            data = memoryview(connection.head)[end + 4 :]
            connection.head = connection.head[: end + 4]
            lines = connection.head.lower()
            if (at := lines.find(b"\r\ncontent-length:")) >= 0:
                connection.left = int(lines[at + 17 : lines.index(b"\r\n", at + 17)])
            else:
                connection.left = -2 if b"\r\ntransfer-encoding:" in lines else 0
            connection.keep = self._canned.plan.kind == "proof" or connection.head.startswith(b"POST /plan ")
        if connection.left == -2:
            connection.kept += data
            if connection.kept.endswith(b"0\r\n\r\n"):
                connection.kept = _unchunked(connection.kept)
                self._answer(connection)
            return
        if connection.keep:
            connection.kept += data
        connection.left -= len(data)
        if connection.left <= 0:
            self._answer(connection)

    def _answer(self, connection: _Connection) -> None:
        head, body = connection.head, bytes(connection.kept)
        connection.head, connection.left, connection.kept = b"", -1, bytearray()
        canned = self._canned
        if head.startswith(b"POST /plan "):
            self._canned = _Canned(Plan(**json.loads(body)))
            self._send(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        elif canned.plan.kind == "reply":
            self._send(connection, canned.reply)
        elif canned.plan.kind == "proof":
            model = (
                json.loads(body)["model"] if body else "nothing"
            )  # some proxies ask for more than they are asked for
            self._send(connection, bodies.reply(model, bodies.asked_for(model)))
        else:
            self._send(connection, canned.opening)
            self._count += 1
            phase = int(canned.interval_ns * (self._count * _GOLDEN % 1.0))
            first = time.monotonic_ns() + phase
            heapq.heappush(self._due, (first, self._count, canned.plan.events, connection, canned))

    def _send_due(self) -> None:
        due = self._due
        now = time.monotonic_ns()
        while due and due[0][0] <= now:
            at, number, left, connection, canned = due[0]
            if not connection.alive:
                heapq.heappop(due)
            elif left:
                self._send(connection, canned.event())
                heapq.heapreplace(due, (at + canned.interval_ns, number, left - 1, connection, canned))
            else:
                self._send(connection, canned.ending)
                heapq.heappop(due)

    def _send(self, connection: _Connection, data: bytes) -> None:
        if connection.out:
            connection.out += data
            return
        try:
            sent = connection.sock.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError):
            sent = 0
        except OSError:
            self._drop(connection)
            return
        if sent < len(data):
            connection.out = data[sent:]
            self._poll.modify(connection.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _flush(self, connection: _Connection) -> None:
        data, connection.out = connection.out, b""
        if data:
            self._poll.modify(connection.sock.fileno(), select.EPOLLIN)
            self._send(connection, data)


def _unchunked(data: bytearray) -> bytearray:
    body, at = bytearray(), 0
    while size := int(data[at : data.index(b"\r\n", at)].split(b";")[0], 16):
        at = data.index(b"\r\n", at) + 2
        body += data[at : at + size]
        at += size + 2
    return body


@dataclass(frozen=True, slots=True)
class Upstream:
    """A running upstream."""

    process: Process
    port: int
    tls: ssl.SSLContext | None = None

    def plan(self, plan: Plan) -> None:
        """Answer in this way from now on."""
        if self.tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_S)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=READY_S, context=self.tls)
        try:
            connection.request("POST", "/plan", json.dumps(asdict(plan)))
            connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def running(which: frozenset[int], directory: Path, *, tls: str = "", trust: str = "") -> Iterator[Upstream]:
    """Run an upstream on these cores; ``tls`` is a file with its certificate and key, ``trust`` who signed it."""
    log = directory / f"upstream{'-tls' if tls else ''}.log"
    process = start([sys.executable, "-m", "benchmarks.upstream", *([tls] if tls else [])], which, log)
    try:
        context = ssl.create_default_context(cafile=trust) if tls else None
        yield Upstream(process, int(said(process, "\n")), context)
    finally:
        process.stop()


def said(process: Process, mark: str) -> str:
    """Wait until a process has written ``mark``; return all that it wrote."""
    deadline = time.monotonic() + READY_S
    while mark not in (text := process.log.read_text()):
        if process.popen.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"process {process.pid} did not start: {text}")
        time.sleep(0.002)
    return text


def main() -> None:
    """Listen, tell the port, serve."""
    context: ssl.SSLContext | None = None
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
        listening.setblocking(False)
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        Server(listening, context).run()


if __name__ == "__main__":
    main()
