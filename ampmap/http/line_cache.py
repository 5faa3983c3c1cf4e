"""Field lines that h11 has parsed before: most lines of a head were in the head before it.

``parser`` asks it for each line and gives only the others to h11. That is possible because the meaning of a line, and
what becomes of it, does not depend on its neighbours. h11 still judges what does: how often a field may come, how a
body is framed, what ``Connection`` nominates. Pure, except for what it remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Pair = tuple[bytes, bytes]
Line = tuple[bytes, Pair]  # the name in lower case; name and value unchanged

_FEW = 4  # new lines up to which reading them alone costs less than reading the head
_KEPT = 512  # lines in each of two generations
_KEPT_BYTES = 2048  # a longer line is not kept
_LENGTH = b"content-length"


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
    """Lines by their bytes, the ones used last in ``kept``; ``read`` reads lines that are new, or gives None."""

    def __init__(self, read: Callable[[Sequence[bytes]], Sequence[Pair] | None]) -> None:
        self._read = read
        self.kept = Generations[bytes, Line](_KEPT)

    def of(self, lines: Sequence[bytes]) -> list[Line] | None:
        """Return what ``lines`` mean, in order; None where the parser should read the whole head."""
        found = [*map(self.kept.new.get, lines)]
        missing = [at for at, line in enumerate(found) if line is None] if None in found else ()
        unread = []
        for at in missing:
            found[at] = known = self.kept.recalled(lines[at]) or _length(lines[at])
            if known is None:
                unread.append(at)
        if unread:
            new = [lines[at] for at in unread]
            if len(new) > _FEW or max(map(len, new)) > _KEPT_BYTES or not self.learn(new, self._read(new)):
                return None
            for at in unread:
                found[at] = self.kept.new.get(lines[at])
        return None if None in found else found  # type: ignore[return-value]  # no None is among them

    def learn(self, lines: Sequence[bytes], pairs: Sequence[Pair] | None) -> bool:
        """Keep what the parser has made of ``lines``; False when that is not one field for each line (obs-fold)."""
        if pairs is None or len(pairs) != len(lines) or any(b"\n" in line or line[:1] in b" \t" for line in lines):
            return False
        for line, pair in zip(lines, pairs, strict=True):
            if len(line) <= _KEPT_BYTES:
                self.kept.keep(line, (pair[0].lower(), pair))
        return True


def _length(line: bytes) -> Line | None:
    """Read a ``Content-Length`` of the usual look, which is another one each time (RFC 9110 §8.6)."""
    name, digits = line[:14], line[16:]
    if line[14:16] == b": " and digits.isdigit() and len(digits) < 19 and name.lower() == _LENGTH:
        return _LENGTH, (name, digits)
    return None


class Remade(dict[Pair, bytes]):
    """What each line becomes on its way through, as bytes of a head, empty where it ends here; ``make`` decides."""

    def __init__(self, make: Callable[[Pair], bytes]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, pair: Pair) -> bytes:
        made = self.make(pair)
        if len(pair[0]) + len(pair[1]) <= _KEPT_BYTES:
            if len(self) >= _KEPT:
                self.clear()
            self[pair] = made
        return made
