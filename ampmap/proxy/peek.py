"""Look into a reply before its head leaves, while another provider could still serve the request.

Providers announce failures in event streams whose status is 200: as the first event, or by ending without any. Here the
stream is read up to its first complete event, PEEK_BYTES at most and for PEEK_S at most; nothing of it is lost.
"""

from __future__ import annotations

import json
import re
import time
from email.utils import parsedate_to_datetime
from typing import Final

from ..amp.gunzip import DECODED, Inflate
from ..bodies.rename import BOM, form_of
from ..errors import ExchangeError, UpstreamError
from ..formats.registry import FORMATS
from ..http.headers import Headers, content_coding, value
from ..http.parser import ResponseHead
from ..http.upstream_connection import UpstreamWire

PEEK_BYTES: Final = 4096
PEEK_S: Final = 2.0

_OTHER_FIELDS: Final = (b"", b"id", b"retry")  # b"" is a comment
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_NO_EVENT: Final = "ended its reply without an event"
_ERROR: Final = "began its reply with an error"


class _TimeOver(ExchangeError):
    """The head has been held long enough."""


async def peek(upstream: UpstreamWire, head: ResponseHead) -> tuple[bytes, str]:
    """Read the beginning of a reply's body; return it, and in words why another provider is to be tried.

    The words are empty for a reply that is to be delivered, and follow the provider's name in a sentence. Raises
    :class:`ClientGone` when the client leaves meanwhile; then, and when cancelled, the connection is gone.
    """
    coding = content_coding(head.headers)
    if head.status != 200 or (coding and coding not in DECODED):
        return b"", ""
    decoder = Inflate(coding) if coding else None
    held = seen = b""
    upstream.raw.read_by(PEEK_S, _TimeOver)
    try:
        while True:
            data = await upstream.read() or b""
            held += data
            ended = upstream.body_read
            for piece in [data] if decoder is None else decoder.feed(data, last=ended):
                seen += piece
                if len(seen) > PEEK_BYTES:
                    break
            failure = first_failure(seen[:PEEK_BYTES], ended=ended and len(seen) <= PEEK_BYTES)
            if failure is not None or ended or max(len(held), len(seen)) >= PEEK_BYTES:
                return held, failure or ""
    except _TimeOver:
        return held, ""
    except UpstreamError as exc:
        return held, f"broke off its reply before the first event: {exc}"
    except BaseException:
        upstream.abort()
        raise
    finally:
        upstream.await_body()


def first_failure(seen: bytes, *, ended: bool) -> str | None:
    """Tell from the beginning of a reply how it fails, in words; empty if it does not, None if that is still open.

    Comments, and events without data, are no events (HTML §9.2.6). What is no event stream does not fail here.
    """
    if form_of(seen) == "json":
        return ""
    name, data = b"", list[bytes]()
    *lines, last = _LINE_END.split(seen.removeprefix(BOM))
    for line in [*lines, last, b""] if ended else lines:
        field, _, content = line.partition(b":")
        if field == b"event":
            name = content.strip()
        elif field == b"data":
            data.append(content)
        elif not line:
            if name == b"error" or _is_error(b"\n".join(data)):
                return _ERROR
            if data and data[0].strip() != b"[DONE]":
                return ""
            name, data = b"", []
        elif field.strip() not in _OTHER_FIELDS:
            return ""
    return _NO_EVENT if ended else None


def _is_error(data: bytes) -> bool:
    """Tell whether an event's data is an error in one of the formats."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and any(known.is_error(event) for known in FORMATS.values())


def retry_after_s(headers: Headers) -> float | None:
    """Return what a reply's ``Retry-After`` asks for, in seconds; None without a usable one."""
    wanted = (value(headers, b"retry-after") or b"").decode("latin-1").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", wanted):
        return float(wanted)
    until = _seconds(wanted)  # RFC 9110 §10.2.3
    if until is None:
        return None
    now = _seconds((value(headers, b"date") or b"").decode("latin-1"))  # by the server's own clock
    return until - (time.time() if now is None else now)


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
