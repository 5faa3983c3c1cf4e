"""Decode a reply while it streams: one that is gzip but does not say so, or one that is encoded although not asked to.

Pure: no I/O, no clock. The Amp upstream sends replies of the first kind, with any status; its clients cannot read them.
Providers that are asked for ``identity`` may still encode, and names cannot be restored in encoded replies.

How a caller passes a reply on:

1. If could_be_gzip(headers) and the reply has a body, make a Gunzip. If its coding is one of DECODED and the reply has
   to be changed, make an Inflate.
2. If the reply has a length, ``feed`` pieces of its body until ``is_gzip`` is no longer None, and write the head only
   then: with new framing if it is True, with the length if it is False. Usually two bytes decide; HELD_BYTES are the
   most that are needed. A reply without a length gets new framing in any case, so its head can be sent at once.
3. Send each piece that ``feed`` gives before taking the next one, so that a small reply that decodes to gigabytes takes
   no more memory than one piece, and is decoded no faster than the client reads. An empty piece only means that time
   has passed, on gzip members without content: let other tasks run.
4. Set ``last`` for the last piece if it is known to be the last; otherwise call ``finish`` at the body's end.

A reply that does not say its coding, and is damaged before any of it was sent, passes unchanged. Other damage raises
UpstreamProtocolError: bytes that were sent cannot be taken back, so the caller must cut the connection.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import Final

from ..errors import UpstreamProtocolError
from ..http.headers import Headers, content_coding, value, values

PIECE_BYTES: Final = 64 * 1024
"""The most decoded bytes of one step."""

HELD_BYTES: Final = 64 * 1024
"""The most bytes that are held while nothing could be decoded; a longer reply passes unchanged."""

PROVED_BYTES: Final = 256 * 1024
"""How much of the first piece is decoded before any of it is sent: damage within it is found in time."""

_MAGIC: Final = b"\x1f\x8b"  # RFC 1952 §2.3.1
_LEAST_BYTES: Final = 18  # a gzip header and trailer with nothing between
_STEP_BYTES: Final = 16 * 1024  # zlib copies its unread input after each member, so many small ones would copy a lot
_IDLE_STEPS: Final = 250  # members without content that are read before an empty piece is given
_WBITS: Final = 31  # gzip, with the largest window
_DEFLATE_WBITS: Final = 15
_RAW_WBITS: Final = -15

DECODED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
"""The content codings that an Inflate knows (RFC 9110 §8.4.1)."""

# Files that are meant to be gzip (RFC 6713, and older names).
_GZIP_TYPE: Final = re.compile(rb"gzip|gunzip|[/-]t?gz\b|x-gtar|compressed-tar", re.IGNORECASE)
_GZIP_NAME: Final = re.compile(rb"\.t?gz\b", re.IGNORECASE)


def could_be_gzip(headers: Headers) -> bool:
    """Whether a reply may be undeclared gzip: no event stream, coding or range, nor a file that is meant to be gzip."""
    if content_coding(headers) or values(headers, b"content-range"):
        return False
    if any(map(_GZIP_NAME.search, values(headers, b"content-disposition"))):
        return False
    length = value(headers, b"content-length")
    if length is not None and length.isdigit() and int(length) < _LEAST_BYTES:
        return False
    kinds = values(headers, b"content-type")
    return not any(b"text/event-stream" in kind.lower() or _GZIP_TYPE.search(kind) for kind in kinds)


def begins_gzip(first: bytes) -> bool | None:
    """Whether a body begins as gzip; None if ``first`` is too short to tell."""
    if len(first) < len(_MAGIC):
        return None if _MAGIC.startswith(first) else False
    return first.startswith(_MAGIC)


class Gunzip:
    """Decodes one reply if it is gzip, of one member or several; otherwise it passes unchanged.

    ``is_gzip`` is None until that is decided; no bytes leave before.
    """

    __slots__ = ("_decoder", "_held", "_is_behind", "_rest", "is_gzip")

    def __init__(self) -> None:
        self.is_gzip: bool | None = None
        self._held = b""  # all bytes so far, until it is decided
        self._rest = memoryview(b"")  # bytes that are not decoded yet
        self._is_behind = False  # the decoder may have more output without more input
        self._decoder = zlib.decompressobj(_WBITS)

    def feed(self, data: bytes, *, last: bool = False) -> Iterator[bytes]:
        """Take the reply's next bytes and return the pieces that can leave, each of at most PIECE_BYTES.

        Bytes that pass unchanged are one piece of any size. ``is_gzip`` is decided when this returns; the rest is
        decoded while the caller takes the pieces, which may raise UpstreamProtocolError. All pieces must be taken
        before the next call.
        """
        if self.is_gzip is None:
            return self._decide(data, last)
        if not self.is_gzip:
            return iter([data] if data else [])
        self._rest = memoryview(data)
        return self._decoded(last)

    def finish(self) -> bytes:
        """Return the bytes that are still held at the body's end. Raises UpstreamProtocolError for incomplete gzip."""
        if self.is_gzip is None:
            return b"".join(self._decide(b"", last=True))
        if self.is_gzip:
            self._check_complete()
        return b""

    def _decide(self, data: bytes, last: bool) -> Iterator[bytes]:
        decoding = len(self._held) >= len(_MAGIC)  # the decoder has had all held bytes
        self._held += data
        looks = begins_gzip(self._held)
        if looks is None and not last:
            return iter(())
        if not looks:
            return self._unchanged()
        self._rest = memoryview(data if decoding else self._held)
        proved: list[bytes] = []
        try:
            for piece in self._pieces():
                proved.append(piece)
                if not piece or len(proved) * PIECE_BYTES >= PROVED_BYTES:
                    break
        except zlib.error:
            return self._unchanged()
        all_read = not (self._rest or self._is_behind)
        if not proved and not last and len(self._held) <= HELD_BYTES:
            return iter(())
        if (last and all_read and not self._decoder.eof) or not (proved or last):
            return self._unchanged()
        self.is_gzip, self._held = True, b""
        return chain(proved, self._decoded(last))

    def _unchanged(self) -> Iterator[bytes]:
        self.is_gzip, held, self._held = False, self._held, b""
        return iter([held] if held else [])

    def _decoded(self, last: bool) -> Iterator[bytes]:
        try:
            yield from self._pieces()
        except zlib.error as exc:
            raise UpstreamProtocolError(f"the upstream's reply is damaged gzip: {exc}") from exc
        if last:
            self._check_complete()

    def _check_complete(self) -> None:
        if not self._decoder.eof:
            raise UpstreamProtocolError("the upstream's reply is incomplete gzip")

    def _pieces(self) -> Iterator[bytes]:
        """Decode the bytes in ``_rest``. Raises zlib.error for damage, and for other bytes after a gzip member."""
        idle = 0
        while self._rest or self._is_behind:
            if self._decoder.eof:
                self._decoder = zlib.decompressobj(_WBITS)
            step = self._rest[:_STEP_BYTES]
            piece = self._decoder.decompress(step, PIECE_BYTES)
            unread = len(self._decoder.unconsumed_tail or self._decoder.unused_data)
            self._rest = self._rest[len(step) - unread :]
            self._is_behind = len(piece) == PIECE_BYTES and not self._decoder.eof
            idle = 0 if piece else idle + 1
            if piece or idle % _IDLE_STEPS == 0:
                yield piece


class Inflate(Gunzip):
    """Decodes one reply that names its coding, one of DECODED; any damage raises UpstreamProtocolError.

    A reply that says gzip but does not begin as gzip passes unchanged: some servers decode it and keep the field.
    """

    __slots__ = ("_coding",)

    def __init__(self, coding: bytes) -> None:
        super().__init__()
        self._coding = coding

    def _decide(self, data: bytes, last: bool) -> Iterator[bytes]:
        self._held += data
        if len(self._held) < len(_MAGIC) and not last:
            return iter(())
        if self._coding == b"deflate" and self._held:
            # Zlib data by the standard; some servers send it without header (RFC 9110 §8.4.1.2, RFC 1950 §2.2).
            is_zlib = self._held[0] & 15 == 8 and int.from_bytes(self._held[:2], "big") % 31 == 0
            self._decoder = zlib.decompressobj(_DEFLATE_WBITS if is_zlib else _RAW_WBITS)
        elif not begins_gzip(self._held):
            return self._unchanged()
        self._rest, self._held, self.is_gzip = memoryview(self._held), b"", True
        return self._decoded(last)
