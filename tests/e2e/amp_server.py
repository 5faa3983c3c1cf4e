"""Stand-ins for ampcode.com and for providers: servers that remember what they were sent, on the standard library."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .asks import Format, read
from .replies import Manner, answer, write

_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_PING = b"\x89\x04ping"


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


class StandIn(ThreadingHTTPServer):
    """A server on a free port of loopback. ``wire`` is what a provider speaks; None is Amp's own server."""

    daemon_threads = True

    def __init__(self, wire: Format | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wire = wire
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.seen: list[Arrival] = []
        self.manner: Manner | None = None
        self.open_websockets = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is no news."""


@contextmanager
def standing_in(wire: Format | None) -> Iterator[StandIn]:
    """Run a stand-in while the context lasts."""
    server = StandIn(wire)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: StandIn

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the memory is the log."""

    def _serve(self) -> None:
        body = self._body()
        if (self.headers.get("upgrade") or "").lower() == "websocket":
            self._websocket()
        elif self.server.wire is not None:
            self._model(self.server.wire, body)
        elif self.path.startswith("/api/provider/"):
            wire = wire_of(self.path)
            if self.command == "POST" and wire is not None:
                self._model(wire, body)
            else:
                self._json(body, 200, {})
        else:
            self._json(body, *_management(self.command, self.path, body, self.headers.get("content-encoding")))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _serve

    def _body(self) -> bytes:
        if (self.headers.get("transfer-encoding") or "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return body
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _remember(self, body: bytes, status: int, reply: bytes) -> None:
        headers = tuple(self.headers.items())
        self.server.seen.append(Arrival(self.command, self.path, headers, body, status, reply))

    def _json(self, body: bytes, status: int, content: object) -> None:
        reply = content if isinstance(content, bytes) else json.dumps(content).encode()
        self._remember(body, status, reply)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def _model(self, wire: Format, body: bytes) -> None:
        try:
            ask = read(wire, self.path, body)
            kind, pieces = write(wire, ask, answer(ask, self.server.manner))
        except (ValueError, KeyError, TypeError) as exc:
            self._json(body, 400, {"error": {"message": f"the stand-in cannot read this: {exc!r}"}})
            return
        if not ask.stream:
            self._json(body, 200, pieces[0])
            return
        self._remember(body, 200, b"".join(pieces))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        cut = self.server.manner == "cut"
        for piece in pieces[: len(pieces) // 2] if cut else pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _websocket(self) -> None:
        """Agree, ping, and remember whatever comes: a pong proves that both directions are open."""
        key = self.headers.get("sec-websocket-key") or ""
        accept = base64.b64encode(hashlib.sha1((key + _WEBSOCKET_GUID).encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        if offered := self.headers.get("sec-websocket-protocol"):
            self.send_header("Sec-WebSocket-Protocol", offered.partition(",")[0].strip())
        self.server.open_websockets += 1
        self.end_headers()
        came = b""
        try:
            self.wfile.write(_PING)
            self.connection.settimeout(3)
            while piece := self.connection.recv(65536):
                came += piece
        except OSError:
            pass
        self._remember(b"", 101, came)
        self.server.open_websockets -= 1
        self.close_connection = True


def wire_of(target: str) -> Format | None:
    """Tell the wire format of a path under ``/api/provider/``."""
    path = target.partition("?")[0]
    if path.endswith("/v1/messages"):
        return "anthropic"
    if path.endswith("/responses"):
        return "openai-responses"
    if path.endswith("/chat/completions"):
        return "openai-chat"
    return "gemini" if ":generateContent" in path or ":streamGenerateContent" in path else None


def _management(method: str, target: str, body: bytes, encoding: str | None) -> tuple[int, object]:
    """Say the least that the CLI goes on with. An empty object in the wrong place ends it without a word."""
    path, _, query = target.partition("?")
    if path == "/api/internal":
        match query.partition("&")[0]:
            case "getUserInfo":
                return 200, _ok({"id": "user_e2e", "email": "e2e@example.invalid", "username": "e2e", "features": []})
            case "loadPlugins" | "loadSkills" | "listThreads":
                return 200, _ok([])
            case "getThread":
                return 200, {"ok": False, "error": {"code": "thread-not-found", "message": "no such thread"}}
            case _:
                return 200, _ok({})
    if path == "/api/threads/sync":
        return 200, {"threadActions": []}
    if path == "/api/thread-actors" and method == "POST":
        return 200, {
            "threadId": "T-0e2e0e2e-0e2e-4e2e-8e2e-0e2e0e2e0e2e", "wsToken": "e2e-ws-token", "ownerUserId": "user_e2e",
            "threadVersion": 1, "usesThreadActors": True, "executorType": "local-client", "agentMode": "medium",
        }  # fmt: skip
    return 404, {"ok": False, "error": {"code": "not-found", "message": "not found"}}


def _ok(result: object) -> dict[str, object]:
    return {"ok": True, "result": result}
