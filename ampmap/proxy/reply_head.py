"""Make the head of a reply for the client: the upstream's end-to-end lines, new framing, and the lines ampmap adds.

Pure, except that ``framing_lines`` tells the client's connection if it has to end with the reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

from ..http.client_connection import ClientConnection, End
from ..http.headers import (
    OF_THE_BODY,
    Empty,
    Framing,
    Headers,
    Length,
    crossing,
    end_to_end,
    joined,
    response_head,
)
from ..http.parser import ResponseHead

UNCHANGED = frozenset({b"content-length"})
CHANGED = UNCHANGED | OF_THE_BODY
DECODED = CHANGED | {b"content-encoding"}
"""Fields of the upstream that are dropped if the reply's body passes unchanged, is changed, or is decoded."""

OWN_FIELDS = (b"ampmap-served-by", b"ampmap-translated", b"ampmap-lost")
LOST_BYTES = 512  # the most for ampmap-lost; the record names all members

# If the upstream is an ampmap too, its fields are replaced.
_LESS_OWN = {drop: drop | frozenset(OWN_FIELDS) for drop in (UNCHANGED, CHANGED, DECODED)}
_CORS = re.compile(rb"access-control-", re.IGNORECASE)
_VISIBLE = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")  # RFC 3986 §2.4: a percent sign must be encoded
_IN_PROVIDER = _VISIBLE.replace("/", "").replace(",", "")


def reply_head(
    head: ResponseHead, drop: frozenset[bytes], own: bytes, cors: Headers, framing: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Make the head from the upstream's ``head``, without the fields in ``drop``, which is one of the sets above.

    ``own`` is the result of :func:`own_lines`, ``cors`` that of ``Responses.cors``, ``framing`` of ``framing_lines``.
    """
    if own:
        drop = _LESS_OWN[drop]
    if not cors:
        return response_head(head.status, head.reason, framing, crossing(head.headers, drop) + own)
    # A second Access-Control line would invalidate both, so the upstream's are dropped.
    passed = [pair for pair in end_to_end(head.headers, drop) if not _CORS.match(pair[0])]
    return response_head(head.status, head.reason, [*cors, *framing], joined(passed) + own)


@lru_cache(maxsize=256)
def own_lines(provider: str, model: str, translated: str = "", lost: str = "") -> bytes:
    """Return the lines that name the provider and model that served a request, and its translation.

    ``translated`` is such as ``anthropic -> openai-chat``; ``lost`` lists members with ``, `` between them.
    """
    served_by = f"{quote(provider, safe=_IN_PROVIDER)}/{quote(model, safe=_VISIBLE)}"
    contents = (served_by, translated, _shortened(quote(lost, safe=_VISIBLE + " ")))
    return joined([(name, text.encode("ascii")) for name, text in zip(OWN_FIELDS, contents, strict=True) if text])


def _shortened(lost: str) -> str:
    """Return the members that fit into LOST_BYTES, and ``...`` for the others."""
    if len(lost) <= LOST_BYTES:
        return lost
    return f"{lost[: LOST_BYTES - 3].rpartition(', ')[0]}, ..."


def framing_lines(
    client: ClientConnection, framing: Framing, head: ResponseHead, *, changed: bool
) -> tuple[bool, list[tuple[bytes, bytes]]]:
    """Return whether a reply's body is sent chunked, and its framing lines. Source: RFC 9112 §6.3, RFC 9110 §8.6."""
    lines: list[tuple[bytes, bytes]] = []
    chunked = False
    if isinstance(framing, Length) and not changed:
        lines.append((b"Content-Length", b"%d" % framing.count))
    elif isinstance(framing, Empty):
        # The field of a reply to HEAD, and of a 304, is the length of the body that is not sent.
        if head.status != 204:
            lines += [pair for pair in head.headers if pair[0].lower() == b"content-length"]
    elif client.version == b"1.1":
        chunked = True
        lines.append((b"Transfer-Encoding", b"chunked"))
    else:
        client.end_with(End.CUT)
    if client.will_close:
        client.end_with(End.CLOSE)
        lines.append((b"Connection", b"close"))
    return chunked, lines
