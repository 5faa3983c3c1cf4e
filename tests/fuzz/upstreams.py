"""An upstream's bytes through the parser: informational heads, the final head, and the body by its framing.

The first line steers: a letter for the method that was sent (``g`` GET, ``h`` HEAD, ``p`` POST, ``u`` a GET that asked
for a WebSocket), then the lengths of the pieces in which the rest arrives. Held to it: nothing is raised but an
UpstreamProtocolError; what is read does not depend on the cuts; and the reply as it leaves for the client is one
response, as h11 reads it strictly, with the same status, end-to-end fields and body.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import h11

from ampmap.errors import UpstreamProtocolError
from ampmap.http.connection import chunk, last_chunk
from ampmap.http.headers import (
    NOT_IN_TRAILERS,
    Chunked,
    Empty,
    Framing,
    Length,
    UntilClose,
    end_to_end,
    response_head,
)
from ampmap.http.parser import ChunkedBody, ResponseHead, ResponseParser
from ampmap.settings import Limits

from . import control, cut

LIMITS = Limits(head_bytes=2048, header_count=20)

_METHODS = {b"h": b"HEAD", b"p": b"POST"}


@dataclass(slots=True)
class Reply:
    """What was read of one reply, up to its end or an error; ``complete`` says that it had one."""

    heads: list[ResponseHead] = field(default_factory=list)
    framing: Framing = field(default_factory=Empty)
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    rest: bytes = b""
    complete: bool = False
    error: str = ""

    @property
    def head(self) -> ResponseHead | None:
        """The head that no other follows."""
        return self.heads[-1] if self.heads and (self.heads[-1].status >= 200 or self.heads[-1].status == 101) else None


def check(data: bytes) -> None:
    """Read a reply whole and in pieces, and send it on."""
    steer, raw = control(data)
    method, upgrade = _METHODS.get(steer[:1], b"GET"), steer[:1] == b"u"
    if not raw:
        return
    whole = read([raw], method, upgrade)
    for reply in (read(cut(raw, steer[1:]), method, upgrade), read(cut(raw, b"\x01"), method, upgrade)):
        _same(whole, reply)
    head = whole.head
    if head is None:
        return
    assert upgrade or head.status != 101
    assert not any(name.lower() in NOT_IN_TRAILERS for name, _ in whole.trailers)
    if head.status != 101:
        _sent_on(whole, head, method)


def read(pieces: list[bytes], method: bytes, upgrade: bool) -> Reply:
    """Read a reply as it arrives, as ``wire`` does."""
    parser, reply = ResponseParser(LIMITS, method, upgrade=upgrade), Reply()
    chunks: ChunkedBody | None = None
    try:
        for piece in pieces:
            if chunks is not None:
                if chunks.done:
                    chunks.rest += piece
                else:
                    reply.body += chunks.feed(piece)
                continue
            parser.feed(piece)
            while reply.head is None and (found := parser.head()):
                head, reply.framing = found
                reply.heads.append(head)
                assert 100 <= head.status <= 999
            if reply.head is not None and isinstance(reply.framing, Chunked):
                rest = parser.rest()
                chunks = parser.chunked()
                reply.body += chunks.feed(rest)
    except UpstreamProtocolError as exc:
        reply.error = str(exc)
        assert reply.error and exc.status == 502
        return reply
    if reply.head is None:
        return reply
    if chunks is not None:
        reply.complete, reply.trailers, reply.rest = chunks.done, chunks.trailers, chunks.rest if chunks.done else b""
        return reply
    reply.rest = parser.rest()
    match reply.framing:
        case Length(count):
            reply.body, reply.rest = reply.rest[:count], reply.rest[count:]
            reply.complete = len(reply.body) == count
        case UntilClose():
            reply.body, reply.rest, reply.complete = reply.rest, b"", True
        case Empty():
            reply.complete = True
    if not reply.complete:
        reply.rest = b""
    return reply


def _same(whole: Reply, reply: Reply) -> None:
    """Hold a reply that came in pieces to the whole; of one in error, what came before the error may be more."""
    if whole.error:
        assert reply.error
        assert reply.heads[: len(whole.heads)] == whole.heads
        return
    assert reply == whole


def _sent_on(reply: Reply, head: ResponseHead, method: bytes) -> None:
    lines = end_to_end(head.headers, frozenset({b"content-length"}))
    tail = reply.body
    chunked = False
    match reply.framing:
        case Length(count):
            framing = [(b"Content-Length", b"%d" % count)]
        case Empty():
            framing, tail = [], b""
        case _:
            chunked, framing = True, [(b"Transfer-Encoding", b"chunked")]
            tail = (chunk(reply.body) if reply.body else b"") + (last_chunk(reply.trailers) if reply.complete else b"")
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(response_head(head.status, head.reason, [*lines, *framing]) + tail)
    response = client.next_event()
    assert type(response) is h11.Response, response
    assert response.status_code == head.status
    assert bytes(response.reason) == head.reason
    framed = (b"content-length", b"transfer-encoding")
    assert [pair for pair in response.headers.raw_items() if pair[0].lower() not in framed] == list(lines)
    body = b""
    while type(event := client.next_event()) is h11.Data:
        body += event.data
    assert body == (reply.body if not isinstance(reply.framing, Empty) else b"")
    assert (type(event) is h11.EndOfMessage) == reply.complete, event
    if chunked and type(event) is h11.EndOfMessage:
        assert event.headers.raw_items() == reply.trailers
    assert client.trailing_data[0] == b""
