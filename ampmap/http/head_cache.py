"""Parsed heads whose lines have all been parsed before, without h11.

``parser`` asks it first. A hit equals what h11 would return; anything doubtful goes to h11. Pure, except for what it
remembers.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from ..settings import Limits
from .headers import Fields, values
from .line_cache import Generations, KnownLines

_STARTS = 256  # first lines that are kept; paths and status lines in use are few
_START_BYTES = 512
_HEADS = 64  # whole heads in each of two generations: an agent's differ in nothing but the length
_HEAD_BYTES = 4096
_LENGTH = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_Start = TypeVar("_Start")
_Shape = bytes | tuple[bytes, bytes]


class KnownHeads(Generic[_Start]):
    """Heads of which h11 has read the first line, and each other line, before: what it would say is known.

    ``once`` are the fields of which a second line changes what the head means; heads that repeat one are left to h11.
    """

    def __init__(self, lines: KnownLines, once: tuple[bytes, ...]) -> None:
        self._starts: dict[bytes, _Start] = {}
        self._heads = Generations[_Shape, tuple[_Start, Fields]](_HEADS)
        self._lines = lines
        self._once = once

    def forget(self) -> None:
        """Forget all first lines, so that every head is h11's to read once more."""
        self._starts.clear()

    def read(self, data: bytes, limits: Limits) -> tuple[_Start, Fields, int] | None:
        """Return the meaning of the first line, the fields, and where the head ends; None where h11 is to read it."""
        end = data.find(b"\r\n\r\n")
        if not 0 < end <= limits.head_bytes:
            return None
        head = data[:end]
        shape, digits = _apart(head)
        found = self._heads.new.get(shape) or self._heads.recalled(shape)
        if found is None:
            if (found := self._of_lines(head, limits.header_count)) is None:
                return None
            if len(head) <= _HEAD_BYTES:
                self._heads.keep(shape, found)
        start, fields = found
        if len(fields) > limits.header_count:
            return None
        return start, fields.with_length(digits) if digits else fields, end + 4

    def _of_lines(self, head: bytes, count: int) -> tuple[_Start, Fields] | None:
        raw, *lines = head.split(b"\r\n")
        start = self._starts.get(raw)
        if start is None or len(lines) > count or (known := self._lines.of(lines)) is None:
            return None
        fields = Fields.of(known)
        if len(fields.first) != len(fields) and any(len(values(fields, name)) > 1 for name in self._once):
            return None
        return start, fields

    def learn(self, data: bytes, start: _Start, fields: Fields) -> None:
        """Keep what h11 has made of a head, which ``data`` begins with."""
        raw, *lines = data[: max(0, data.find(b"\r\n\r\n"))].split(b"\r\n")
        if not raw or b"\n" in raw:  # h11 ends lines and heads at a bare LF, too
            return
        if self._lines.learn(lines, fields) and len(raw) <= _START_BYTES:
            if len(self._starts) >= _STARTS:
                self._starts.clear()
            self._starts[raw] = start


def _apart(head: bytes) -> tuple[_Shape, bytes]:
    """Return what stands around the digits of a head's length, and these; or all of it, where no usual line has them.

    The two are of different types, so that no head without digits is taken for one that had some.
    """
    at = head.find(_LENGTH[0])
    if at < 0 and (at := head.find(_LENGTH[1])) < 0:
        return head, b""
    at += len(_LENGTH[0])
    end = head.find(b"\r\n", at)
    digits = head[at:] if end < 0 else head[at:end]
    if not digits.isdigit() or len(digits) >= 19:
        return head, b""
    return (head[:at], head[at + len(digits) :]), digits
