"""A provider that speaks one wire format, reads strictly and misbehaves when told to: a server on the standard library.

Any agent can be put before it, whatever format the agent speaks: what ampmap makes of its requests has to be what the
vendor of this format accepts.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from .asks import Ask, Format, read
from .origins import Handler, Server, serving
from .replies import COMMAND, THOUGHT, Call, answer, write
from .strict import complaints

_PATHS: dict[Format, str] = {
    "anthropic": "/v1/messages", "openai-chat": "/v1/chat/completions", "openai-responses": "/v1/responses",
}  # fmt: skip
_GEMINI = "/v1beta/models/"
_COUNTERS: dict[str, dict[str, int]] = {
    "/v1/messages/count_tokens": {"input_tokens": 42}, ":countTokens": {"totalTokens": 42},
    "/v1/responses/input_tokens": {"input_tokens": 42},
}  # fmt: skip
_KEYS = {"authorization", "x-api-key", "x-goog-api-key", "cookie"}
_ENDLESS_S = 60.0  # a stream that never ends is given up then
LIMIT_SAYS = "the stand-in wants to be asked more slowly"


@dataclass(frozen=True)
class Faults:
    """What happens to requests for the job; an agent's side requests are answered well."""

    limited: int = 0  # so many are answered 429 first, with Retry-After: 1
    cut: int = 0  # so many replies are reset after half of their events
    failed: int = 0  # so many replies state an error after half of their events, and end
    endless: bool = False  # streams stop after half of their events, and stay open
    stalled: int = 0  # so does the stream of this number alone
    thinks: bool = False  # it thinks before it calls, and signs its thought; only in Anthropic's format
    slow: bool = False  # the command that is called for makes RUNNING and then takes its time


NO_FAULTS = Faults()
RUNNING = "running"
_SLOW_COMMAND = f"touch {RUNNING}; sleep 30"

FAILURE_SAYS = "the model is overloaded just now"
FAILURES: dict[Format, bytes] = {
    "anthropic": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"%b"}}\n\n',
    "openai-chat": b'data: {"error":{"message":"%b","type":"server_error","code":"server_error"}}\n\n',
    "openai-responses": b'event: response.failed\ndata: {"type":"response.failed","sequence_number":99,"response":{'
    b'"id":"resp_failed","object":"response","status":"failed","output":[],"error":{"code":"server_is_overloaded",'
    b'"message":"%b"}}}\n\n',
    "gemini": b'data: {"error":{"code":503,"message":"%b","status":"UNAVAILABLE"}}\r\n\r\n',
}
"""How each vendor states an error within a stream."""
FAILURES = {wire: event % FAILURE_SAYS.encode() for wire, event in FAILURES.items()}


class Provider(Server):
    """A server on a free port of loopback; ``complaints`` is empty as long as all requests were good."""

    def __init__(self, wire: Format, key: str, model: str, faults: Faults) -> None:
        super().__init__(_Handler)
        self.wire = wire
        self.key = key
        self.key_in = "authorization"  # the header
        self.model = model
        self.limited, self.cut, self.endless = faults.limited, faults.cut, faults.endless
        self.failed, self.stalled = faults.failed, faults.stalled
        self.slow, self.thinks = faults.slow, faults.thinks
        self.complaints: list[str] = []
        self.streaming = threading.Event()  # half of an endless stream has left
        self.gone_at: float | None = None  # its client left; seconds of the monotonic clock


def providing(wire: Format, key: str, model: str, faults: Faults) -> AbstractContextManager[Provider]:
    """Run a provider while the context lasts."""
    return serving(Provider(wire, key, model, faults))


class _Handler(Handler):
    server: Provider

    def serve(self) -> None:
        server, path = self.server, self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        wrong = [] if self.command == "POST" else [f"the method {self.command}"]
        credential = f"Bearer {server.key}" if server.key_in == "authorization" else server.key
        if self.headers.get(server.key_in) != credential or any(map(self.headers.get, _KEYS - {server.key_in})):
            wrong.append("another credential than its own")
        for ending, count in _COUNTERS.items():
            if path.endswith(ending) and not wrong:
                self.answer_json(body, 200, count)
                return
        if path != _PATHS.get(server.wire) and not (server.wire == "gemini" and path.startswith(_GEMINI)):
            wrong.append(f"the path {path}")
        headers = {name.lower(): content for name, content in self.headers.items()}
        wrong += complaints(server.wire, headers, body)
        try:
            ask = read(server.wire, self.path, body)
            if ask.model != server.model:
                wrong.append(f"the model {ask.model}")
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            wrong.append(f"unreadable: {exc!r}")
        if wrong:
            server.complaints += wrong
            self._error(body, 400, "; ".join(wrong))
        elif ask.is_job and server.limited:
            server.limited -= 1
            self._error(body, 429, LIMIT_SAYS)
        else:
            self._answer(body, ask)

    def _answer(self, body: bytes, ask: Ask) -> None:
        server = self.server
        reply = answer(ask)
        if server.thinks and isinstance(reply, Call):
            reply = replace(reply, thought=THOUGHT, signed=True)
        if server.slow and isinstance(reply, Call):
            slow = json.loads(json.dumps(reply.arguments).replace(COMMAND, _SLOW_COMMAND))
            reply = replace(reply, arguments=slow)
        kind, pieces = write(server.wire, ask, reply)
        if ask.is_job and ask.stream and server.failed:
            server.failed -= 1
            pieces = [*pieces[: (len(pieces) + 1) // 2], FAILURES[server.wire]]
        broken, endless = bool(ask.is_job and server.cut), False
        if ask.is_job and ask.stream:
            server.stalled -= 1
            endless = server.endless or server.stalled == 0
        self.remember(body, 200, b"".join(pieces))
        if broken and len(pieces) == 1:
            pieces = [pieces[0][: len(pieces[0]) // 2]]
        elif broken or endless:
            pieces = pieces[: (len(pieces) + 1) // 2]
        self.begin_chunks(kind, pieces)
        if broken:
            server.cut -= 1
            time.sleep(0.2)  # what was written before is read before the reset throws it away
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif endless:
            server.streaming.set()
            if select.select([self.connection], [], [], _ENDLESS_S)[0]:
                server.gone_at = time.monotonic()
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _error(self, body: bytes, status: int, message: str) -> None:
        kind = "rate_limit_error" if status == 429 else "invalid_request_error"
        error = {"type": kind, "message": message, "code": status}
        again = {"Retry_After": "1"} if status == 429 else {}
        self.answer_json(body, status, {"type": "error", "error": error}, **again)
