"""Read the beginning of a reply before its head is sent on, while another provider can still serve the request.

Some event streams have the status 200 but fail: their first event is an error, or they end without any event. A stream
is read up to its first complete event, at most PEEK_BYTES and at most for PEEK_S; the bytes read are returned.
"""

from __future__ import annotations

import json
import re
import time
from typing import Final, NamedTuple

from ..amp.gunzip import DECODED, Inflate
from ..bodies.rename import BOM, form_of
from ..errors import ExchangeError, UpstreamError
from ..formats.registry import FORMATS
from ..http.headers import Headers, content_coding, value
from ..http.parser import ResponseHead
from ..http.upstream_connection import UpstreamConnection

PEEK_BYTES: Final = 4096
PEEK_S: Final = 2.0

_OTHER_FIELDS: Final = (b"", b"id", b"retry")  # b"" begins a comment
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_NO_EVENT: Final = "ended its reply without an event"
_ERROR: Final = "began its reply with an error"


class Peeked(NamedTuple):
    """The beginning of a reply's body: ``held`` as received, ``seen`` decoded.

    ``why`` is empty if the reply is to be delivered; otherwise it follows the provider's name in a sentence that says
    why another provider is tried.
    """

    held: bytes = b""
    seen: bytes = b""
    why: str = ""

    @property
    def form(self) -> str:
        """``json`` or ``events``; empty if ``seen`` is too short to tell."""
        return form_of(self.seen) or ""


NOTHING: Final = Peeked()


class _TimeOver(ExchangeError):
    """PEEK_S have passed."""


async def peek(upstream: UpstreamConnection, head: ResponseHead) -> Peeked:
    """Read the beginning of a reply's body.

    Raises :class:`ClientGone` when the client leaves meanwhile; then, and when cancelled, ``upstream`` is aborted.
    """
    coding = content_coding(head.headers)
    if head.status != 200 or (coding and coding not in DECODED):
        return NOTHING
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
                return Peeked(held, seen, failure or "")
    except _TimeOver:
        return Peeked(held, seen)
    except UpstreamError as exc:
        return Peeked(held, seen, f"broke off its reply before the first event: {exc}")
    except BaseException:
        upstream.abort()
        raise
    finally:
        upstream.await_body()


async def there_now(upstream: UpstreamConnection) -> Peeked:
    """Read the bytes of a reply's body that have already arrived, without waiting for more."""
    try:
        held = await upstream.read_now() or b""
    except UpstreamError:  # the next read raises it again
        return NOTHING
    return Peeked(held, held)


def first_failure(seen: bytes, *, ended: bool) -> str | None:
    """Return in words how a reply fails, judged by its beginning; empty if it does not, None if more is needed.

    Comments, and events without data, are no events (HTML §9.2.6). A body that is no event stream does not fail here.
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
    events = event if isinstance(event, list) else [event]  # Google's errors stand in a list
    return any(known.is_error(each) for each in events if isinstance(each, dict) for known in FORMATS.values())


def retry_after_s(headers: Headers) -> float | None:
    """Return the seconds that a reply's ``Retry-After`` asks to wait, negative for a past date; None without one."""
    wanted = (value(headers, b"retry-after") or b"").decode("latin-1").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", wanted):
        return float(wanted)
    until = _seconds(wanted)  # RFC 9110 §10.2.3
    if until is None:
        return None
    now = _seconds((value(headers, b"date") or b"").decode("latin-1"))  # the server's clock may differ from ours
    return until - (time.time() if now is None else now)


def _seconds(date: str) -> float | None:
    from email.utils import parsedate_to_datetime  # takes 2 % of a start, and few replies need it

    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
