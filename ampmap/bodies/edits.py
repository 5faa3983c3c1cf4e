"""Edits of a body by splice: what is not changed reaches the upstream byte for byte.

Pure. An edit is ``(start, end, instead)``, in bytes. A large body is not copied: the pieces that come out are views of
it, and while they live a bytearray cannot change its size.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .find_model import ModelSpan
from .json_scan import quoted
from .json_walk import Part

Span = tuple[int, int]
Edit = tuple[int, int, bytes]  # from, to, and what takes the place
Piece = bytes | bytearray | memoryview

_JOINED_BYTES: Final = 16 * 1024  # up to here one copy costs less than more writes


def edited(body: bytes | bytearray, edits: list[Edit], span: ModelSpan | None, model: str) -> list[Piece]:
    """Give the body with the edits made and, if there is a span, ``model`` in its place; in pieces, as ``cut`` does."""
    if span is None and not edits:
        return [body]
    return [*cut(body, edits if span is None else [*edits, (span.start, span.end, quoted(model))])]


def cut(body: bytes | bytearray, edits: Iterable[Edit]) -> list[bytes | memoryview]:
    """Give the body with each edit made, in pieces to be sent in order. Edits may come in any order, but not overlap.

    A large body is not copied: the pieces are views of it, and while they live a bytearray cannot change its size.
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
    """Takes parts out of the array or object whose parts it is told of in order, neighbours in one cut."""

    __slots__ = ("_behind", "_cuts", "_end", "_kept", "_start")

    def __init__(self) -> None:
        self._cuts: list[Span] = []
        self._start = -1  # of what is being cut, to _end, behind the comma or bracket before _behind
        self._end = self._behind = 0
        self._kept = False

    def take(self, part: Part, end: int) -> None:
        """Cut a part out, which ends at ``end``."""
        if self._start < 0:
            self._start, self._behind = part.start, part.behind
        self._end = end

    def keep(self, part: Part) -> None:
        """Let a part stay."""
        if self._start >= 0:
            self._cuts.append((self._start, part.behind))  # with the comma behind what is cut
        self._start, self._kept = -1, True

    def finished(self) -> list[Span]:
        """Give the cuts."""
        if self._start >= 0:
            # Nothing comes behind, so the comma before goes, if there is one.
            self._cuts.append((self._behind - 1 if self._kept else self._start, self._end))
        return self._cuts
