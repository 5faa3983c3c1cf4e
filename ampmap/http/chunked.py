"""Read chunks in the form that nearly every sender uses: a size, CRLF, data, CRLF (RFC 9112 §7.1).

Pure; ``parser`` calls it first. It stops before the last chunk and before any other form (extensions, errors) and
leaves the rest, from the start of that chunk's size on, to h11.
"""

from __future__ import annotations

import re
from typing import Final

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
# With leading zeros, blanks or an extension, as h11 takes them; by quantifiers that give nothing back, as h11's do.
_ODD_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,20}+)(?:[ \t]*+\r|;[^\n]*+(?<=\r))\n")
_PART_OF_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{0,20}+(?:[ \t]*+\r?|;[^\n]*+)\Z")
_CRLF: Final = b"\r\n"
_STEPS: Final = 1500  # three for each chunk; this many take less than a millisecond

LAST: Final = b"0\r\n\r\n"
"""The end of a body without trailers, as nearly every sender writes it."""


def is_size(line: bytes) -> bool:
    """Tell whether a line, its CRLF included, may stand in front of a chunk."""
    return _ODD_SIZE.fullmatch(line) is not None


class PlainChunks:
    """Where one body stands: in front of a chunk, or within one. Fed with the body as it comes, cut anywhere."""

    __slots__ = ("_left", "_odd", "_size_begun", "whole")

    def __init__(self) -> None:
        self.whole = False  # what was taken last began in front of a chunk, ended behind one, and had plain sizes alone
        self._left = 0  # bytes of the chunk under way, its last CRLF included
        self._odd = False  # a size that was read last is not written as most are
        self._size_begun = b""  # the digits of the next size so far; _left is 0 then

    def take(self, data: bytes) -> bytes | None:
        """Return the content of ``data``; None, and nothing is taken, where some of it would be left.

        That is also so where the chunks are many, as not to keep the loop.
        """
        if not (self._left or self._size_begun) and (size := _SIZE.match(data)):
            start, stop = size.end(), len(data) - 2
            count = int(size[1], 16)
            if count and start + count == stop and data.endswith(_CRLF):
                self.whole = True
                return data[start:stop]
        before = self._left, self._size_begun
        content, rest = self.take_until(data, _STEPS)
        if rest is not None:
            self._left, self._size_begun = before
            return None
        self.whole = not (before[0] or before[1] or self._left or self._size_begun or self._odd)
        return content

    def take_until(self, data: bytes, steps: int | None = None) -> tuple[bytes, bytes | None]:
        """Return the content of the chunks in ``data``, and the rest, which is no chunk; None if there is no rest.

        The rest begins where a size should; if :attr:`within` is true then, where the CRLF behind a chunk should. After
        so many ``steps`` it may begin anywhere.
        """
        if self._size_begun:
            data, self._size_begun = self._size_begun + data, b""
        self._odd = False
        pieces: list[bytes] = []
        pos, end, left = 0, len(data), self._left
        for _ in range(steps or end):  # each goes on by a byte at least
            if pos == end:
                break
            if left > 2:
                piece = data[pos : pos + left - 2]
                pieces.append(piece)
                pos += len(piece)
                left -= len(piece)
            elif left:
                crlf = data[pos : pos + left]
                if crlf != _CRLF[2 - left :][: len(crlf)]:
                    break
                pos += len(crlf)
                left -= len(crlf)
            elif (size := _SIZE.match(data, pos)) and (count := int(size[1], 16)):
                pos = size.end()
                left = count + 2
            elif (size := _ODD_SIZE.match(data, pos)) and (count := int(size[1], 16)):
                self._odd = True
                pos = size.end()
                left = count + 2
            elif _PART_OF_SIZE.match(data, pos):
                self._size_begun = data[pos:]
                pos = end
            else:
                break
        self._left = left
        return b"".join(pieces), data[pos:] if pos < end else None

    @property
    def within(self) -> bool:
        """Whether a chunk is under way."""
        return self._left > 0

    @property
    def size_bytes(self) -> int:
        """How much has come of a size that is not complete."""
        return len(self._size_begun)

    def put_back(self, rest: bytes) -> None:
        """Have what :meth:`take_until` left come once more, in front of what comes next."""
        self._size_begun = rest
