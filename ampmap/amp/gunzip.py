"""Decode a reply as its bytes stream by: one that is gzip without saying so, or one that nobody wanted encoded.

Pure: no I/O, no clock. The Amp upstream sends replies of the first kind, with any status; its clients can't read them.
Providers that are asked for ``identity`` may still encode, and names can't be given back in what is encoded.

How a reply is passed on:

1. Where could_be_gzip(headers) and the reply has a body, make one Gunzip; where its coding is one of DECODED, and it is
   to be changed, an Inflate; else there is nothing to do.
2. If the reply has a length, read pieces of its body and ``feed`` them until ``is_gzip`` is no longer None, and only
   then write the head: framed anew if it is True, with its length if it is False. Two bytes tell, or the body's end;
   HELD_BYTES at most are read. Any other reply is framed anew whatever it is, so its head can leave at once.
3. Send each piece that ``feed`` gives before the next is taken from it: so a small reply that decodes to gigabytes
   takes no more memory than one piece, and goes no faster than the client. A piece is empty where a while has been
   spent on members that hold nothing: others may have their turn.
4. Say ``last`` with the last piece if it is known to be the last; else call ``finish`` at the body's end.

What says nothing of its coding and is damaged before any of it has left passes as it came, to its end. Other damage
raises UpstreamProtocolError: what has left can't be taken back, so the connection is to be cut.
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
"""The most that is decoded in one step; takes about 0.2 ms."""

HELD_BYTES: Final = 64 * 1024
"""The most of a reply that is held while nothing can be decoded of it; then it passes as it came."""

PROVED_BYTES: Final = 256 * 1024
"""How much of the first piece is decoded before any of it leaves; behind that, damage is damage met later."""

_MAGIC: Final = b"\x1f\x8b"  # RFC 1952 §2.3.1
_LEAST_BYTES: Final = 18  # a header, a trailer and nothing in between
_STEP_BYTES: Final = 16 * 1024  # zlib copies what it leaves of its input, which many small members would make a lot
_IDLE_STEPS: Final = 250  # members without content that are read in one go; takes about a millisecond
_WBITS: Final = 31  # gzip, with the largest window
_DEFLATE_WBITS: Final = 15
_RAW_WBITS: Final = -15

DECODED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
"""The content codings that an Inflate knows (RFC 9110 §8.4.1)."""

# Files that are gzip, and stay so (RFC 6713, and names from before it).
_GZIP_TYPE: Final = re.compile(rb"gzip|gunzip|[/-]t?gz\b|x-gtar|compressed-tar", re.IGNORECASE)
_GZIP_NAME: Final = re.compile(rb"\.t?gz\b", re.IGNORECASE)


def could_be_gzip(headers: Headers) -> bool:
    """Whether a reply may be looked at: no event stream, no content coding, no part, and no file that is to be gzip."""
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
    """Whether the first bytes of a body are those of gzip; None as long as that can't be told. Source: RFC 1952."""
    if len(first) < len(_MAGIC):
        return None if _MAGIC.startswith(first) else False
    return first.startswith(_MAGIC)


class Gunzip:
    """Decode one reply if it is gzip, of one member or several; else it passes as it came.

    ``is_gzip`` is None until that is decided, and nothing leaves before.
    """

    __slots__ = ("_decoder", "_held", "_is_behind", "_rest", "is_gzip")

    def __init__(self) -> None:
        self.is_gzip: bool | None = None
        self._held = b""  # all that has come, until it is decided
        self._rest = memoryview(b"")  # what is still to be decoded
        self._is_behind = False  # the decoder may have more to give without getting more
        self._decoder = zlib.decompressobj(_WBITS)

    def feed(self, data: bytes, *, last: bool = False) -> Iterator[bytes]:
        """Take the reply's next bytes and give what can leave now, in pieces of at most PIECE_BYTES.

        What passes as it came is one piece, of any size. Decided is here; the rest of the decoding is done as the
        pieces are taken, and raises UpstreamProtocolError then. All are to be taken before more is fed.
        """
        if self.is_gzip is None:
            return self._decide(data, last)
        if not self.is_gzip:
            return iter([data] if data else [])
        self._rest = memoryview(data)
        return self._decoded(last)

    def finish(self) -> bytes:
        """Give what is still held at the body's end. Raises UpstreamProtocolError for gzip that breaks off."""
        if self.is_gzip is None:
            return b"".join(self._decide(b"", last=True))
        if self.is_gzip:
            self._check_complete()
        return b""

    def _decide(self, data: bytes, last: bool) -> Iterator[bytes]:
        begun = len(self._held) >= len(_MAGIC)
        self._held += data
        looks = begins_gzip(self._held)
        if looks is None and not last:
            return iter(())
        if not looks:
            return self._as_it_came()
        self._rest = memoryview(data if begun else self._held)
        proved: list[bytes] = []
        try:
            for piece in self._pieces():
                proved.append(piece)
                if not piece or len(proved) * PIECE_BYTES >= PROVED_BYTES:
                    break
        except zlib.error:
            return self._as_it_came()
        all_read = not (self._rest or self._is_behind)
        if not proved and not last and len(self._held) <= HELD_BYTES:
            return iter(())
        if (last and all_read and not self._decoder.eof) or not (proved or last):
            return self._as_it_came()
        self.is_gzip, self._held = True, b""
        return chain(proved, self._decoded(last))

    def _as_it_came(self) -> Iterator[bytes]:
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
            raise UpstreamProtocolError("the upstream's reply is gzip that breaks off")

    def _pieces(self) -> Iterator[bytes]:
        """Decode what there is. Raises zlib.error for what is damaged, or is no gzip behind the end of a member."""
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
    """Decode one reply that names its coding, one of DECODED; damage raises UpstreamProtocolError wherever it is.

    What says gzip and does not begin as gzip passes as it came: servers forget to take the word off.
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
            # zlib's format by the book, its contents alone by what some servers send (RFC 9110 §8.4.1.2, RFC 1950 §2.2)
            is_zlib = self._held[0] & 15 == 8 and int.from_bytes(self._held[:2], "big") % 31 == 0
            self._decoder = zlib.decompressobj(_DEFLATE_WBITS if is_zlib else _RAW_WBITS)
        elif not begins_gzip(self._held):
            return self._as_it_came()
        self._rest, self._held, self.is_gzip = memoryview(self._held), b"", True
        return self._decoded(last)
