"""Chunks as nearly every sender frames them (RFC 9112 §7.1): one to eight hexadecimal digits, CRLF, data, CRLF.

Pure. The last chunk is none of these, nor is one with an extension or white space: what is not plain is left, from the
start of its size on, for ``parser`` to have it judged by h11.
"""

from __future__ import annotations

import re
from typing import Final

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_PART_OF_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{0,8}\r?\Z")
_CRLF: Final = b"\r\n"

LAST: Final = b"0\r\n\r\n"
"""The end of a body without trailers, as nearly every sender writes it."""


class PlainChunks:
    """Where one body stands: in front of a chunk, or within one. Fed with the body as it comes, cut anywhere."""

    __slots__ = ("_left", "_size_begun", "whole")

    def __init__(self) -> None:
        self.whole = False  # what was taken last began in front of a chunk and ended behind one
        self._left = 0  # bytes of the chunk under way, its last CRLF included
        self._size_begun = b""  # what has come of the next size; _left is 0 then

    def take(self, data: bytes) -> bytes | None:
        """Return the content of ``data``; None, and nothing is taken, where some of it is not plain."""
        if not (self._left or self._size_begun) and (size := _SIZE.match(data)):
            start, stop = size.end(), len(data) - 2
            count = int(size[1], 16)
            if count and start + count == stop and data.endswith(_CRLF):
                self.whole = True
                return data[start:stop]
        before = self._left, self._size_begun
        content, rest = self.take_until(data)
        if rest is not None:
            self._left, self._size_begun = before
            return None
        self.whole = not (before[0] or before[1] or self._left or self._size_begun)
        return content

    def take_until(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return the content of ``data`` up to what is not plain, and the rest from there on; None if there is none.

        The rest begins where a size should; if :attr:`within` is true then, where the CRLF behind a chunk should.
        """
        if self._size_begun:
            data, self._size_begun = self._size_begun + data, b""
        pieces: list[bytes] = []
        pos, end, left = 0, len(data), self._left
        while pos < end:
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

    def put_back(self, rest: bytes) -> None:
        """Have what :meth:`take_until` left come once more, in front of what comes next."""
        self._size_begun = rest
