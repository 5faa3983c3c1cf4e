"""What the stand-ins for servers are made of: a server on the standard library that remembers what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar


@dataclass(frozen=True)
class Arrival:
    """One request as it arrived, and the body of the answer it was given; of a WebSocket, what its client sent."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    reply: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header field."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def everything(self) -> bytes:
        """Return all that arrived, to look for what should not have."""
        lines = "".join(f"{name}: {value}\n" for name, value in self.headers)
        return f"{self.method} {self.target}\n{lines}\n".encode("latin-1", "replace") + self.body


class Server(ThreadingHTTPServer):
    """A server on a free port of loopback."""

    daemon_threads = True

    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.seen: list[Arrival] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is no news."""


_Server = TypeVar("_Server", bound=Server)


@contextmanager
def serving(server: _Server) -> Iterator[_Server]:
    """Run a server while the context lasts."""
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests; a subclass says how, in ``serve``."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the memory is the log."""

    def serve(self) -> None:
        """Read one request and answer it."""
        raise NotImplementedError

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = lambda self: self.serve()

    def remember(self, body: bytes, status: int, reply: bytes) -> None:
        headers = tuple(self.headers.items())
        self.server.seen.append(Arrival(self.command, self.path, headers, body, status, reply))

    def answer_json(self, body: bytes, status: int, content: object, **fields: str) -> None:
        """Remember a request with the body ``body``, and answer it with JSON, or with bytes that are JSON."""
        reply = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.remember(body, status, reply)
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply)

    def begin_chunks(self, kind: str, pieces: Iterable[bytes]) -> None:
        """Send a head and these pieces of its body as chunks; the last chunk is left out."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
