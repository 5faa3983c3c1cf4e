"""What the two sides of a cell of the fault matrix say, as bytes, and within which deadlines.

Pure: see ``faultmatrix``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from faultmatrix import Cell, Kind, Point, Side

from ampmap.settings import Timeouts

TIMES = Timeouts(
    connect_s=8, head_s=20, keepalive_s=10, body_idle_s=12, response_head_s=25, stream_idle_s=15, write_stall_s=18,
    drain_s=0.1,
)  # fmt: skip
DRIP_S = 1.0
THINK_S = 5.0  # how long an upstream takes for its reply to a client that breaks
GARBAGE = b"\x16\x03\x01\x00\xff" * 60 + b"\r\n\r\n"  # longer than what is left of any body
LARGE_BYTES = 16 * 1024 * 1024
ASKED, SERVED = b"alias", b"m"
WORDS = (b"First words, ", b"and more, for many seconds. ", b"Bye.")
_PAD_BYTES = 64 * 1024
_PAD = b"X-Pad: " + b"p" * 100


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a reply as bytes: the head, the pieces of its body, and its end."""

    head: bytes
    pieces: tuple[bytes, ...] = ()
    end: bytes = b""

    @property
    def raw(self) -> bytes:
        return self.head + b"".join(self.pieces) + self.end


def request(cell: Cell) -> Message:
    """Return what the client asks."""
    line = b"POST " + {
        Kind.MAPPED: b"/v1/chat/completions", Kind.SSE: b"/v1/chat/completions", Kind.TRANSLATED: b"/v1/messages",
    }.get(cell.kind, b"/api/internal")  # fmt: skip
    lines = [b"Host: localhost", b"X-Cell: cell", _PAD]
    if cell.kind is Kind.UPGRADE:
        return Message(_head(b"GET /api/internal HTTP/1.1", *lines, b"Connection: Upgrade", b"Upgrade: websocket"))
    pad = b"x" * (LARGE_BYTES if cell.large and cell.side is Side.UPSTREAM else 10)
    if cell.kind is Kind.TRANSLATED:
        begun = b'{"max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "'
        return _framed(
            line + b" HTTP/1.1", lines, (begun, pad + b'"}], "model": "%b", "x": "' % ASKED, b"y" * 10 + b'"', b"}"),
            cell.chunked_request,
        )  # fmt: skip
    pieces = (b'{"pad": "', pad + b'", "model": "%b", "more": "' % ASKED, b"y" * 10 + b'"', b"}")
    return _framed(line + b" HTTP/1.1", lines, pieces, cell.chunked_request)


def reply(cell: Cell) -> Message:
    """Return what the upstream answers."""
    if cell.kind is Kind.UPGRADE:
        lines = [b"Connection: Upgrade", b"Upgrade: websocket", _PAD]
        return Message(_head(b"HTTP/1.1 101 Switching Protocols", *lines))
    lines = [b"Content-Type: " + _content_type(cell), _PAD, b"Keep-Alive: timeout=60"]  # a cell takes seconds
    return _framed(b"HTTP/1.1 200 OK", lines, content(cell), cell.chunked_reply)


def _content_type(cell: Cell) -> bytes:
    return b"text/event-stream" if cell.kind in (Kind.SSE, Kind.TRANSLATED) else b"application/json"


def content(cell: Cell, model: bytes = SERVED) -> tuple[bytes, ...]:
    """Return the reply's body with a model's name in it, in pieces."""
    pad = b"x" * (LARGE_BYTES if cell.large and cell.side is Side.CLIENT else 10)
    if cell.kind is Kind.SSE:
        event = b'data: {"model": "%b", "text": "%b"}\n\n'
        return (event % (model, b"one"), event % (model, pad), event % (model, b"three"))
    if cell.kind is Kind.TRANSLATED:
        return _chat(pad)
    return (b'{"model": "%b", "text": "' % model, pad, b"z" * 10 + b'"', b"}")


def _chat(pad: bytes) -> tuple[bytes, ...]:
    """Return events of Chat Completions, none of them large."""
    delta = b'data: {"id": "c", "choices": [{"index": 0, "delta": {"content": "%b"}}]}\n\n'
    pads = b"".join(delta % pad[at : at + _PAD_BYTES] for at in range(0, len(pad), _PAD_BYTES))
    ended = b'data: {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    return (delta % b"one", pads, delta % b"three" + ended)


def told(stream: bytes) -> bytes:
    """Return the text that events of Chat Completions, or of Messages, tell."""
    return b"".join(re.findall(rb'"(?:content|text)": ?"([a-z]*)"\}', stream))


def _head(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _framed(line: bytes, lines: list[bytes], pieces: tuple[bytes, ...], chunked: bool) -> Message:
    if chunked:
        chunks = tuple(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return Message(_head(line, *lines, b"Transfer-Encoding: chunked"), chunks, b"0\r\n\r\n")
    return Message(_head(line, *lines, b"Content-Length: %d" % sum(map(len, pieces))), pieces[:-1], pieces[-1])


def parted(message: Message, point: Point) -> tuple[bytes, bytes]:
    """Return what has been said of a message at a point, and what is left to be said."""
    raw = message.raw
    match point:
        case Point.MID_HEAD:
            at = message.head.index(b"X-Pad") + 20
        case Point.BODY:
            at = len(message.head) + len(message.pieces[0])
        case Point.MID_CHUNK:
            at = len(message.head) + len(message.pieces[0]) + len(message.pieces[1]) // 2
        case Point.BEFORE_END:
            at = len(raw) - len(message.end)
        case Point.AFTER_END:
            return raw, raw  # it would begin again
        case _:
            at = 0
    return raw[:at], raw[at:]
