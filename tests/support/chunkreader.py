"""What reads a body in chunks, behind a head."""

from __future__ import annotations

from ampmap.http.parser import ChunkedBody, RequestParser, ResponseParser
from ampmap.settings import Limits

LIMITS = Limits(head_bytes=64)
ASKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def reader(head: bytes = ANSWERED, limits: Limits = LIMITS) -> ChunkedBody:
    """Return what reads a body behind this head."""
    parser = ResponseParser(limits, b"GET") if head is ANSWERED else RequestParser(limits)
    parser.feed(head)
    assert parser.head() is not None
    return parser.chunked()
