"""Walk the JSON of a request's body part by part, each with its place in the bytes.

Pure. The values are read by ``json``'s own scanner, so what is walked to its end is valid JSON in UTF-8 (RFC 8259;
``NaN`` is none), and no faster way is known to Python. It reads a window of the body at a time, as Latin-1, in which
places are those of the bytes. What is larger than a window can be entered, and is otherwise skipped by ``json_skip``;
so a walk takes the memory of a few windows, however large a body or a value in it.

Everything here raises ValueError for what is no JSON, and RecursionError for what is nested more deeply than ``json``
can follow: counted from a value that is not entered, some thousand levels, and some ten thousand from Python 3.12 on.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Generator
from typing import Any, Final, NamedTuple

from .json_skip import FAST, LENIENT, blanks, bounded, skip

WINDOW_BYTES: Final = 64 * 1024
"""How much is read at once, and walked between two yields: the most hostile takes 2 ms, a conversation 0.3 ms."""

_KEY: Final = re.compile(rb'"([^"\\\x00-\x1f]*+)"[ \t\n\r]*+:[ \t\n\r]*+')
_KEY_BYTES: Final = 256
_SPACE: Final = 0x20  # every blank is at most this
_QUOTE, _COLON, _COMMA, _BRACE, _BRACKET = b'":,{['
_CLOSERS: Final = {_BRACE: b"}"[0], _BRACKET: b"]"[0]}

_TINY_BYTES: Final = 128  # a part below this costs less to read than to be yielded
_PATIENCE: Final = 16  # so many of those make it worth while to try a batch
_BATCH_BYTES: Final = 4096
_SINGLE_BYTES: Final = 512  # as much work as one of a batch that is looked at by itself
_TAIL: Final = re.compile(rb'(?:[\]}]++|")?,\Z')  # how parts like the last one end
_TAIL_BYTES: Final = 16

_LARGE: Final = object()


class Part(NamedTuple):
    """Members of an object, or elements of an array: those in ``body[start:end]``, mostly one.

    ``value`` is a dictionary of the members, or a list of the elements, with texts read as Latin-1 (see Walk.exact). It
    is None for a single value that is large or was to be entered: it begins at ``at``, and has the ``key``; ``end`` is
    then not known. ``behind`` is the place right behind the comma or the bracket before the part.
    """

    behind: int
    start: int
    at: int
    end: int
    value: dict[str, Any] | list[Any] | None
    key: str = ""


Parts = Generator[Part | None, None, None]
"""Yields None where others may have their turn."""


class Walk:
    """A walk through one body, which must not change meanwhile. ``at`` is how far it has come.

    Whoever is given a part may set ``at`` to the part's ``at`` and walk its ``parts`` before asking for the next; or
    call ``singly``. ``window_bytes`` are 16 or more. A key that is larger than a window is taken for an empty one.
    """

    __slots__ = ("_base", "_body", "_decoder", "_rested", "_singly", "_text", "_window_bytes", "at")

    def __init__(self, body: bytes | bytearray, window_bytes: int = WINDOW_BYTES) -> None:
        self.at = 0
        self._body = body
        self._window_bytes = window_bytes
        self._text = ""  # the window
        self._base = 0  # where it begins
        self._decoder = FAST
        self._rested = 0
        self._singly = 0  # up to here no batches

    def members(self, *inside: str) -> Parts:
        """Yield the members of a body that is one JSON object as ``parts`` does; call it first, and once."""
        return self._whole(_BRACE, "an object", inside)

    def elements(self) -> Parts:
        """Yield the elements of a body that is one JSON array as ``parts`` does; call it first, and once."""
        return self._whole(_BRACKET, "an array", ())

    def _whole(self, opener: int, kind: str, inside: tuple[str, ...]) -> Parts:
        yield from self._utf8()
        if self._body.startswith(codecs.BOM_UTF8):  # a parser may ignore it, RFC 8259 §8.1
            self.at = len(codecs.BOM_UTF8)
        yield from self._blanks()
        if self._byte() != opener:
            raise ValueError(f"expected {kind} at {self.at}")
        yield from self.parts(*inside)
        yield from self._blanks()
        if self.at != len(self._body):
            raise ValueError(f"expected nothing more at {self.at}")

    def parts(self, *inside: str) -> Parts:
        """Yield the parts of the object or array that begins here, and go behind it.

        A member called as in ``inside`` whose value is an array comes without it, to be entered; but where members are
        tiny and many it may come in a batch.
        """
        opener = self._byte()
        closer = _CLOSERS[opener]
        self.at += 1
        behind = self.at
        yield from self._blanks()
        if self._byte() == closer:
            self.at += 1
            return
        tiny, patience = 0, _PATIENCE
        while True:
            start = self.at
            part = self._batch(behind, opener, closer) if tiny >= patience and start >= self._singly else None
            batched = part is not None
            if part is not None:
                patience = _PATIENCE
            else:
                if tiny >= patience:
                    tiny, patience = 0, 2 * patience
                part = yield from self._single(behind, opener, inside)
            yield part
            if part.value is None and self.at == part.at:
                yield from self.skip()
            elif self.at == start:
                continue  # once more, singly
            if not batched:
                tiny = tiny + 1 if self.at - start < _TINY_BYTES else 0
            yield from self._blanks()
            mark = self._byte()
            self.at += 1
            if mark == closer:
                return
            if mark != _COMMA:
                raise ValueError(f"expected a comma before {self.at}")
            behind = self.at
            yield from self._blanks()
            if start < self._singly:
                self._rested -= _SINGLE_BYTES
            if self.at - self._rested >= self._window_bytes:
                self._rested = self.at
                yield None

    def skip(self) -> Parts:
        """Go behind the value that begins here."""
        yield None
        steps = skip(self._body, self.at, self._window_bytes)
        self.at = yield from steps
        self._rested = self.at

    def singly(self, part: Part) -> None:
        """Have the members or elements of a part, which is the last that was yielded, once more, each by itself."""
        self.at = part.start
        self._singly = part.end

    def may_have(self, part: Part, key: bytes) -> bool:
        """Whether something in a part may have a key, given with its quotes; one search tells it of many at once."""
        find = self._body.find
        return find(key, part.start, part.end) >= 0 or find(b"\\u00", part.start, part.end) >= 0

    def exact(self, part: Part) -> Any:
        """Return the value of a part, with texts as they are."""
        written = self._body[part.start : part.end]
        if part.value is None or written.isascii():
            return part.value
        text = written.decode()
        return self._decoder.decode(f"{{{text}}}" if isinstance(part.value, dict) else f"[{text}]")

    def read(self, start: int, end: int) -> Any:
        """Return the value in ``body[start:end]``, which has been walked or skipped, with texts as they are."""
        return LENIENT.decode(self._body[start:end].decode())

    def _single(self, behind: int, opener: int, inside: tuple[str, ...]) -> Generator[None, None, Part]:
        """Read one member or element."""
        start = self.at
        if opener == _BRACKET:
            value = self._value()
            return Part(behind, start, start, self.at, None if value is _LARGE else [value])
        key = yield from self._key()
        at = self.at
        value = _LARGE if key in inside and self._byte() == _BRACKET else self._value()
        return Part(behind, start, at, self.at, None if value is _LARGE else {key: value}, key)

    def _key(self) -> Generator[None, None, str]:
        """Read a key and its colon."""
        end = self.at + _KEY_BYTES
        found = _KEY.match(self._body, self.at, end)
        if found and found.end() < end:
            self.at = found.end()
            return found[1].decode("latin-1")
        if self._byte() != _QUOTE:
            raise ValueError(f"expected a key at {self.at}")
        key = self._value()
        if key is _LARGE:
            self.at = yield from skip(self._body, self.at, self._window_bytes)
        yield from self._blanks()
        if self._byte() != _COLON:
            raise ValueError(f"expected a colon at {self.at}")
        self.at += 1
        yield from self._blanks()
        return key if isinstance(key, str) else ""

    def _value(self) -> Any:
        """Read the value that begins here and go behind it; _LARGE, and stay here, if a window does not hold it."""
        at = self.at - self._base
        if not (0 <= at <= len(self._text) // 2 or self._is_last()):
            at = self._read_window()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, at)
            except json.JSONDecodeError:
                value, end = _LARGE, len(self._text)
            except ValueError:
                if self._decoder is LENIENT:
                    raise
                self._decoder = LENIENT  # a number of more than 4300 digits, or NaN
                continue
            # A number may go on behind the window, and "1e+" is read as far as 1.
            if end + 2 < len(self._text) or (value is not _LARGE and self._is_last()):
                self.at = self._base + end
                return value
            if at == 0:
                return _LARGE
            at = self._read_window()

    def _batch(self, behind: int, opener: int, closer: int) -> Part | None:
        """Read as many members or elements as are tiny and end as the last one did; None if that fails."""
        body, start = self._body, self.at
        tail = _TAIL.search(body, max(0, behind - _TAIL_BYTES), behind)
        comma = body.rfind(tail[0], start, start + _BATCH_BYTES) if tail else -1
        if tail is None or comma < 0:
            return None
        comma += len(tail[0]) - 1
        text = b"%c%b%c" % (opener, bytes(body[start:comma]), closer)
        try:
            value, end = self._decoder.raw_decode(text.decode("latin-1"))
        except ValueError:
            return None
        if end != len(text):
            return None
        self.at = comma
        if b"[[[[" in text:  # see jsonskip.bounded
            self._rested -= 7 * len(text)
        return Part(behind, start, start, comma, value)

    def _read_window(self) -> int:
        """Move the window here; returns where in it that is."""
        self._base = self.at
        size = bounded(self._body, self.at, self._window_bytes)
        self._text = self._body[self.at : self.at + size].decode("latin-1")
        self._rested -= self._window_bytes - size  # what is read in small windows takes as long as a large one
        return 0

    def is_array(self, part: Part) -> bool:
        """Whether a part without a value is an array."""
        return self._body[part.at] == _BRACKET

    def is_object(self, part: Part) -> bool:
        """Whether a part without a value is an object."""
        return self._body[part.at] == _BRACE

    def _is_last(self) -> bool:
        """Whether the window reaches to the body's end."""
        return self._base + len(self._text) == len(self._body)

    def _byte(self) -> int:
        """Give the byte that is here, or -1 at the end."""
        return self._body[self.at] if self.at < len(self._body) else -1

    def _blanks(self) -> Generator[None, None, None]:
        if self._byte() <= _SPACE:
            self.at = yield from blanks(self._body, self.at, self._window_bytes)

    def _utf8(self) -> Generator[None, None, None]:
        """Raise UnicodeDecodeError, which is a ValueError, for a body that is not UTF-8."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        for low in range(0, len(self._body), self._window_bytes):
            if low:
                yield
            decoder.decode(self._body[low : low + self._window_bytes])
        decoder.decode(b"", final=True)
