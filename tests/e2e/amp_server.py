"""Stand-ins for ampcode.com and for providers: servers that remember what they were sent, on the standard library."""

from __future__ import annotations

import base64
import hashlib
from contextlib import AbstractContextManager

from .asks import Format, read
from .origins import Handler, Server, serving
from .replies import Manner, answer, write

_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_PING = b"\x89\x04ping"


class StandIn(Server):
    """A server on a free port of loopback. ``wire`` is what a provider speaks; None is Amp's own server."""

    def __init__(self, wire: Format | None) -> None:
        super().__init__(_Handler)
        self.wire = wire
        self.manner: Manner | None = None
        self.open_websockets = 0


def standing_in(wire: Format | None) -> AbstractContextManager[StandIn]:
    """Run a stand-in while the context lasts."""
    return serving(StandIn(wire))


class _Handler(Handler):
    server: StandIn

    def serve(self) -> None:
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
                self.answer_json(body, 200, {})
        else:
            self.answer_json(body, *_management(self.command, self.path, body, self.headers.get("content-encoding")))

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

    def _model(self, wire: Format, body: bytes) -> None:
        try:
            ask = read(wire, self.path, body)
            kind, pieces = write(wire, ask, answer(ask, self.server.manner))
        except (ValueError, KeyError, TypeError) as exc:
            self.answer_json(body, 400, {"error": {"message": f"the stand-in cannot read this: {exc!r}"}})
            return
        if not ask.stream:
            self.answer_json(body, 200, pieces[0])
            return
        self.remember(body, 200, b"".join(pieces))
        cut = self.server.manner == "cut"
        self.begin_chunks(kind, pieces[: len(pieces) // 2] if cut else pieces)
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
        self.remember(b"", 101, came)
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
