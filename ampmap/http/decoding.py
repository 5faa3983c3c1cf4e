"""Decode request bodies: one coding, gzip or deflate, within a limit, in short steps. Refuse others, and UTF-16 and 32.

Pure: no I/O, no clock. ``proxy`` is the caller: a model route has to read the model's name. An error names
the coding that is refused.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator
from typing import Final

from ..errors import BadRequest, BodyTooLarge, UnsupportedMediaType
from ..escaping import counted
from .headers import Headers, tokens, value

ACCEPTED: Final = b"gzip, deflate"
"""The content codings that are decoded, as an ``Accept-Encoding`` field lists them."""

_CODINGS: Final = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}  # RFC 9110 §8.4.1
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15  # zlib's names for them
_STEP_BYTES: Final = 16 * 1024  # zlib copies the rest of its input, which many small members would make a lot
_PIECE_BYTES: Final = 64 * 1024  # takes about 0.2 ms
_MEMBER_BYTES: Final = 1024  # the work of a step that decodes nothing, in bytes decoded

_WIDE_CHARSET: Final = re.compile(rb'(?i:charset)[ \t]*=[ \t"]*((?i:utf)-?(?:16|32)(?:-?(?i:[bl]e))?)(?![\w-])')
# A byte order mark, or the ASCII character that JSON begins with, in two or four bytes (RFC 4627 §3).
_WIDE: Final = re.compile(rb'\xff\xfe|\xfe\xff|\x00\x00\xfe\xff|\x00{1,3}[ \t\r\n{["]|[ \t\r\n{["]\x00')


def coding_of(headers: Headers) -> str:
    """Return how the body of a request is to be decoded: ``gzip``, ``deflate``, or empty for not at all.

    Raises UnsupportedMediaType for any other coding, for several, and for a charset of UTF-16 or UTF-32.
    """
    kind = value(headers, b"content-type")
    if kind is not None and kind.find(b"=") >= 0 and (charset := _WIDE_CHARSET.search(kind)):
        raise _wide(charset[1].decode().upper())
    if value(headers, b"content-encoding") is None:
        return ""
    codings = [coding for coding in tokens(headers, b"content-encoding") if coding != b"identity"]
    if not codings:
        return ""
    name = b", ".join(codings).decode("latin-1")
    if name not in _CODINGS:
        remedy = "send it with gzip or deflate (one coding only), or without Content-Encoding"
        raise UnsupportedMediaType(f"the body's content coding {name[:80]!r} cannot be decoded here; {remedy}")
    return _CODINGS[name]


def refuse_wide(body: bytes | bytearray) -> None:
    """Raise UnsupportedMediaType for JSON in UTF-16 or UTF-32, as its first bytes show."""
    if _WIDE.match(body):
        raise _wide("UTF-32" if b"\0\0" in body[:4] else "UTF-16")


def _wide(charset: str) -> UnsupportedMediaType:
    return UnsupportedMediaType(f"the body is in {charset}, which is not read here; send JSON in UTF-8 (RFC 8259 §8.1)")


def scan_decoded(data: bytes | bytearray, coding: str, limit: int) -> Generator[None, None, bytearray]:
    """Decode a whole body, of one gzip member or several; yields after every 64 KiB or so of work.

    Raises BodyTooLarge as soon as more than ``limit`` bytes are decoded, so that a small body cannot become a large
    one; BadRequest for a damaged body, one that breaks off, and one with more behind its end.
    """
    wbits = _GZIP if coding == "gzip" else _ZLIB if _has_zlib_header(data) else _RAW_DEFLATE
    body = bytearray()
    decoder = zlib.decompressobj(wbits)
    at = work = 0
    with memoryview(data) as view:
        while True:
            with view[at : at + _STEP_BYTES] as step:
                try:
                    piece = decoder.decompress(step, _PIECE_BYTES)
                except zlib.error as exc:
                    raise _damaged(coding, str(exc)) from exc
                at += len(step) - len(decoder.unconsumed_tail or decoder.unused_data)
            body += piece
            if len(body) > limit:
                raise BodyTooLarge(
                    f"the decoded body is larger than {counted(limit, 'byte')} (limits.model-body-bytes)"
                )
            if decoder.eof:
                if at == len(data):
                    return body
                if coding != "gzip":
                    raise _damaged(coding, "more follows behind its end")
                decoder = zlib.decompressobj(wbits)  # the next member, RFC 1952 §2.2
            elif at == len(data) and len(piece) < _PIECE_BYTES:
                raise _damaged(coding, "it breaks off")
            work += len(piece) + _MEMBER_BYTES
            if work >= _PIECE_BYTES:
                work = 0
                yield


def _has_zlib_header(data: bytes | bytearray) -> bool:
    """Whether ``deflate`` is zlib's format (RFC 1950 §2.2), not raw as some clients send it (RFC 9110 §8.4.1.2)."""
    return len(data) >= 2 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0


def _damaged(coding: str, why: str) -> BadRequest:
    return BadRequest(f"the body is not valid {coding}, as its Content-Encoding says it is: {why}")
