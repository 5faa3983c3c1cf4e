"""Walk through the JSON of a request's body part by part, each with its place in the bytes.

Pure. The scanner of the ``json`` module reads the values, because it is the fastest one in Python. It reads one window
of the body at a time, decoded as Latin-1 so that a character's place is the byte's. A value that is larger than a
window can be entered; otherwise ``json_skip`` skips it. So a walk takes the memory of a few windows, however large the
body. A body that was walked to its end is valid JSON in UTF-8 (RFC 8259, so without ``NaN``), except within skipped
values.

Everything here raises ValueError for bytes that are no JSON, and RecursionError for values that are nested too deeply
for ``json``: some thousand levels within a value that is not entered, some ten thousand from Python 3.12 on.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Generator
from typing import Any, Final, NamedTuple

from .json_scan import no_json
from .json_skip import blanks, skip

WINDOW_BYTES: Final = 64 * 1024
"""How much is read at once, and about how much is walked between two yields."""

_KEY: Final = re.compile(rb'"([^"\\\x00-\x1f]*+)"[ \t\n\r]*+:[ \t\n\r]*+')
_KEY_BYTES: Final = 256
_SPACE: Final = 0x20  # every blank is at most this
_QUOTE, _COLON, _COMMA, _BRACE, _BRACKET = b'":,{['
_CLOSERS: Final = {_BRACE: b"}"[0], _BRACKET: b"]"[0]}

_TINY_BYTES: Final = 128  # a smaller part costs more to yield than to read
_PATIENCE: Final = 16  # after so many tiny parts a batch is tried
_BATCH_BYTES: Final = 4096
_SINGLE_BYTES: Final = 512  # the work for one part of a batch that is read alone, in bytes of ordinary reading
_TAIL: Final = re.compile(rb'(?:[\]}]++|")?,\Z')  # how parts like the last one end
_TAIL_BYTES: Final = 16

_LARGE: Final = object()
_LEAST_BYTES: Final = 16


# Callers use no numbers. int is faster than float, but refuses more than 4300 digits.
_FAST: Final = json.JSONDecoder(parse_constant=no_json)
_LENIENT: Final = json.JSONDecoder(parse_constant=no_json, parse_int=float)


class Part(NamedTuple):
    """Members of an object, or elements of an array, in ``body[start:end]``: mostly one, or a batch of tiny ones.

    ``value`` is a dictionary of the members, or a list of the elements, with texts decoded as Latin-1 (see Walk.exact).
    It is None for a single value that is large, or that the caller asked to enter: it begins at ``at`` and has the
    ``key``; its ``end`` is not known. ``behind`` is the place right behind the comma or the bracket before the part.
    """

    behind: int
    start: int
    at: int
    end: int
    value: dict[str, Any] | list[Any] | None
    key: str = ""


Parts = Generator[Part | None, None, None]
"""Yields None where other tasks may run."""


class Walk:
    """A walk through one body, which must not change meanwhile. ``at`` is the current place.

    To enter a part, the caller sets ``at`` to the part's ``at`` and walks its ``parts`` before it takes the next one.
    To get the values of a batch one by one, it calls ``singly``. ``window_bytes`` must be at least 16. A key that is
    larger than a window is read as an empty one.
    """

    __slots__ = ("_base", "_body", "_decoder", "_rested", "_singly", "_text", "_window_bytes", "at")

    def __init__(self, body: bytes | bytearray, window_bytes: int = WINDOW_BYTES) -> None:
        self.at = 0
        self._body = body
        self._window_bytes = window_bytes
        self._text = ""  # the window
        self._base = 0  # where the window begins
        self._decoder = _FAST
        self._rested = 0  # the place of the last yield of None, moved back for work that takes long
        self._singly = 0  # no batches are read up to here

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
        """Yield the parts of the object or array that begins here, and end behind it.

        A member whose key is in ``inside`` and whose value is an array comes without its value, to be entered; but
        among many tiny members it may come in a batch.
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
        """Move behind the value that begins here."""
        yield None
        steps = skip(self._body, self.at, self._window_bytes)
        self.at = yield from steps
        self._rested = self.at

    def singly(self, part: Part) -> None:
        """Yield the members or elements of the last part again, one by one."""
        self.at = part.start
        self._singly = part.end

    def may_have(self, part: Part, key: bytes) -> bool:
        """Tell whether an object in a part may have a key, given with its quotes; one search covers a whole batch."""
        find = self._body.find
        return find(key, part.start, part.end) >= 0 or find(b"\\u00", part.start, part.end) >= 0

    def exact(self, part: Part) -> Any:
        """Return the value of a part with its texts decoded as UTF-8."""
        written = self._body[part.start : part.end]
        if part.value is None or written.isascii():
            return part.value
        text = written.decode()
        return self._decoder.decode(f"{{{text}}}" if isinstance(part.value, dict) else f"[{text}]")

    def read(self, start: int, end: int) -> Any:
        """Return the value in ``body[start:end]``, which has been walked or skipped, with texts decoded as UTF-8."""
        return _LENIENT.decode(self._body[start:end].decode())

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
        """Read the value that begins here and move behind it; if no window holds it, return _LARGE and stay here."""
        at = self.at - self._base
        if not (0 <= at <= len(self._text) // 2 or self._is_last()):
            at = self._read_window()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, at)
            except json.JSONDecodeError:
                value, end = _LARGE, len(self._text)
            except ValueError:
                if self._decoder is _LENIENT:
                    raise
                self._decoder = _LENIENT  # a number of more than 4300 digits, or NaN
                continue
            # A number may continue behind the window, and of "1e+" only the 1 would be read.
            if end + 2 < len(self._text) or (value is not _LARGE and self._is_last()):
                self.at = self._base + end
                return value
            if at == 0:
                if self._is_last():
                    raise ValueError(f"expected a value at {self.at}")
                return _LARGE
            at = self._read_window()

    def _batch(self, behind: int, opener: int, closer: int) -> Part | None:
        """Read many members or elements at once, up to the last that ends as the part before did; None if it fails."""
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
        if b"[[[[" in text:  # as in _read_window
            self._rested -= 7 * len(text)
        return Part(behind, start, start, comma, value)

    def _read_window(self) -> int:
        """Move the window to the current place; return the place within the window, which is 0."""
        self._base = self.at
        size = self._window_bytes
        if self._body.rfind(b"[[[[", self.at, self.at + size) >= 0:  # nested arrays take ten times as long
            size = max(_LEAST_BYTES, size // 8)
        self._text = self._body[self.at : self.at + size].decode("latin-1")
        self._rested -= self._window_bytes - size  # this small window takes as long as a large one
        return 0

    def is_array(self, part: Part) -> bool:
        """Tell whether a part without a value is an array."""
        return self._body[part.at] == _BRACKET

    def is_object(self, part: Part) -> bool:
        """Tell whether a part without a value is an object."""
        return self._body[part.at] == _BRACE

    def _is_last(self) -> bool:
        """Tell whether the window reaches to the body's end."""
        return self._base + len(self._text) == len(self._body)

    def _byte(self) -> int:
        """Return the byte at the current place, or -1 at the end."""
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
