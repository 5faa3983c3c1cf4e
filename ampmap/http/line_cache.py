"""Field lines that the parser has read before: most lines of a head are those of the head before it.

Pure, but for what it remembers. What a line means, and what becomes of it, does not depend on the lines around it, so
both are kept and looked up; only lines that have not come yet are given to the parser, by themselves if they are few.
How a body is framed and what ``Connection`` nominates depends on other lines, and is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ..settings import Limits
from .headers import Fields, Line, Pair, values

_FEW = 4  # new lines up to which reading them alone costs less than reading the head
_KEPT = 512  # lines in each of two generations
_KEPT_BYTES = 2048  # a longer line is not kept
_LENGTH = b"content-length"
_STARTS = 256  # first lines that are kept; paths and status lines in use are few
_START_BYTES = 512

_Start = TypeVar("_Start")
_Key = TypeVar("_Key")
_Content = TypeVar("_Content")


class Generations(Generic[_Key, _Content]):
    """What was kept last: up to ``size`` things in ``new``, which is looked into first, and as many before them."""

    def __init__(self, size: int) -> None:
        self.new: dict[_Key, _Content] = {}
        self.old: dict[_Key, _Content] = {}
        self._size = size

    def recalled(self, key: _Key) -> _Content | None:
        """Return what is no more in ``new``, and keep it there; None where it is forgotten."""
        content = self.old.get(key)
        if content is not None:
            self.keep(key, content)
        return content

    def keep(self, key: _Key, content: _Content) -> None:
        """Keep ``content``, and forget the older generation when the newer one is full."""
        if len(self.new) >= self._size:
            self.old, self.new = self.new, {}
        self.new[key] = content


class KnownLines:
    """Lines by their bytes, the ones used last of them; ``read`` reads lines that are new, or gives None."""

    def __init__(self, read: Callable[[Sequence[bytes]], Sequence[Pair] | None]) -> None:
        self._read = read
        self._known = Generations[bytes, Line](_KEPT)

    def of(self, lines: Sequence[bytes]) -> list[Line] | None:
        """Return what ``lines`` mean, in order; None where the parser should read the whole head."""
        found = [*map(self._known.new.get, lines)]
        missing = [at for at, line in enumerate(found) if line is None] if None in found else ()
        unread = []
        for at in missing:
            found[at] = known = self._known.recalled(lines[at]) or _length(lines[at])
            if known is None:
                unread.append(at)
        if unread:
            new = [lines[at] for at in unread]
            if len(new) > _FEW or max(map(len, new)) > _KEPT_BYTES or not self.learn(new, self._read(new)):
                return None
            for at in unread:
                found[at] = self._known.new.get(lines[at])
        return None if None in found else found  # type: ignore[return-value]  # no None is among them

    def learn(self, lines: Sequence[bytes], pairs: Sequence[Pair] | None) -> bool:
        """Keep what the parser has made of ``lines``; False when that is not one field for each line (obs-fold)."""
        if pairs is None or len(pairs) != len(lines) or any(b"\n" in line or line[:1] in b" \t" for line in lines):
            return False
        for line, pair in zip(lines, pairs, strict=True):
            if len(line) <= _KEPT_BYTES:
                self._known.keep(line, (pair[0].lower(), pair))
        return True


class KnownHeads(Generic[_Start]):
    """Heads of which h11 has read the first line, and each other line, before: what it would say is known.

    ``once`` are the fields of which a second line changes what the head means; heads that repeat one are left to h11.
    """

    def __init__(self, lines: KnownLines, once: tuple[bytes, ...]) -> None:
        self._starts: dict[bytes, _Start] = {}
        self._lines = lines
        self._once = once

    def read(self, data: bytes, limits: Limits) -> tuple[_Start, Fields, int] | None:
        """Return the meaning of the first line, the fields, and where the head ends; None where h11 is to read it."""
        end = data.find(b"\r\n\r\n")
        if not 0 < end <= limits.head_bytes:
            return None
        raw, *lines = data[:end].split(b"\r\n")
        start = self._starts.get(raw)
        if start is None or len(lines) > limits.header_count or (known := self._lines.of(lines)) is None:
            return None
        fields = Fields.of(known)
        if len(fields.first) != len(fields) and any(len(values(fields, name)) > 1 for name in self._once):
            return None
        return start, fields, end + 4

    def learn(self, data: bytes, start: _Start, pairs: Sequence[Pair]) -> None:
        """Keep what h11 has made of a head, which ``data`` begins with."""
        raw, *lines = data[: max(0, data.find(b"\r\n\r\n"))].split(b"\r\n")
        if not raw or b"\n" in raw:  # h11 ends lines and heads at a bare LF, too
            return
        if self._lines.learn(lines, pairs) and len(raw) <= _START_BYTES:
            if len(self._starts) >= _STARTS:
                self._starts.clear()
            self._starts[raw] = start


def _length(line: bytes) -> Line | None:
    """Read a ``Content-Length`` of the usual look, which is another one each time (RFC 9110 §8.6)."""
    name, digits = line[:14], line[16:]
    if line[14:16] == b": " and digits.isdigit() and len(digits) < 19 and name.lower() == _LENGTH:
        return _LENGTH, (name, digits)
    return None
