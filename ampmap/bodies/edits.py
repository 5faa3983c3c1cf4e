"""Apply edits to a body: bytes outside the edits reach the upstream unchanged. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .find_model import ModelSpan
from .json_scan import quoted
from .json_walk import Part

Span = tuple[int, int]
"""The start and the end of a part of a body, in bytes."""
Edit = tuple[int, int, bytes]
"""A span and the bytes that replace it."""
Piece = bytes | bytearray | memoryview

_JOINED_BYTES: Final = 16 * 1024  # a smaller body is copied once, which costs less than several writes


def edited(body: bytes | bytearray, edits: list[Edit], span: ModelSpan | None, model: str) -> list[Piece]:
    """Return a body after the edits, with ``model`` at ``span`` if there is one, in pieces as ``cut`` does."""
    if span is None and not edits:
        return [body]
    return [*cut(body, edits if span is None else [*edits, (span.start, span.end, quoted(model))])]


def cut(body: bytes | bytearray, edits: Iterable[Edit]) -> list[bytes | memoryview]:
    """Return a body after the edits, in pieces to be sent in order. The edits may be in any order, but not overlap.

    The pieces of a large body are views of it: while they live, a bytearray cannot change its size.
    """
    view = memoryview(body)
    pieces: list[bytes | memoryview] = []
    at = 0
    for start, end, instead in sorted(edits):
        assert at <= start <= end <= len(body)
        pieces += (view[at:start], instead)
        at = end
    pieces.append(view[at:])
    if len(body) < _JOINED_BYTES:
        return [b"".join(pieces)]
    return [piece for piece in pieces if piece]


class Cuts:
    """Collects the cuts that remove parts of one array or object, with a comma each; neighbours become one cut.

    The caller reports every part, in order, by ``take`` or ``keep``.
    """

    __slots__ = ("_behind", "_cuts", "_end", "_kept", "_start")

    def __init__(self) -> None:
        self._cuts: list[Span] = []
        self._start = -1  # the cut under way goes from here to _end; -1 if there is none
        self._end = 0
        self._behind = 0  # the place right behind the comma or bracket before _start
        self._kept = False  # some part was kept, so there is a comma before the cut

    def take(self, part: Part, end: int) -> None:
        """Cut out a part that ends at ``end``."""
        if self._start < 0:
            self._start, self._behind = part.start, part.behind
        self._end = end

    def keep(self, part: Part) -> None:
        """Keep a part."""
        if self._start >= 0:
            self._cuts.append((self._start, part.behind))  # including the comma after the cut
        self._start, self._kept = -1, True

    def finished(self) -> list[Span]:
        """Return the cuts."""
        if self._start >= 0:
            # The last parts were cut: there is no comma after them, so the one before is cut, if there is one.
            self._cuts.append((self._behind - 1 if self._kept else self._start, self._end))
        return self._cuts
