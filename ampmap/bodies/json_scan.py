"""Follow JSON that streams by, and find the strings at given paths; also helpers that all readers of JSON share.

Pure: no I/O, no clock, no JSON tree, no knowledge of HTTP or of event streams. ``rename`` follows the lines of an event
stream around the JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NoReturn

BLANKS: Final = b" \t\n\r"
"""The white space of JSON (RFC 8259 §2); ``bytes.strip`` without an argument would take more."""

Shape = dict[bytes, "Shape"]
"""A node of a tree of paths: the shapes under each key of an object, or under ELEMENT; empty at the end of a path."""
ELEMENT: Final = b"[]"

KEY_BYTES: Final = 80
"""How much of a key is kept: more than any key of a path has, even spelled with escapes."""

AT_END: Final = 3
"""The value of ``within`` in a string at the end of a path."""
_NO_STRING, _IN_KEY, _IN_VALUE = range(3)
_QUOTE, _COLON, _COMMA, _BACKSLASH, _BRACE = b'":,\\{'

_ESCAPES: Final = re.compile(rb'(?:\\[\x00-\xff][^"\\]*+){0,1000}')
_STRING: Final = rb'"[^"\\]{0,256}+"'  # longer ones are left to bytes.find
_LEAF: Final = rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*'
# Strings, and objects and arrays with no others inside. Bounded, because the engine remembers every repetition.
_SKIPPED: Final = re.compile(rb'[^"{}\[\]]*+(?:(?:' + _STRING + rb"|[{\[]" + _LEAF + rb'[}\]])[^"{}\[\]]*+){0,200}')

_TOKEN: Final = re.compile(rb'["{}\[\],:]')
_BRACKET: Final = re.compile(rb'["{}\[\]]')


def no_json(constant: str) -> NoReturn:
    """Refuse ``NaN`` and the infinities, as the ``parse_constant`` of a decoder."""
    raise ValueError(f"{constant} is no JSON")


def quoted(text: str) -> bytes:
    """Return ``text`` as a JSON string with its quotes, in ASCII, which can express a lone surrogate too."""
    return (_quoted_cached if len(text) <= _CACHED_CHARS else _quoted)(text)


def _quoted(text: str) -> bytes:
    return json.dumps(text).encode("ascii")


_CACHED_CHARS: Final = 256
_quoted_cached = lru_cache(maxsize=256)(_quoted)  # nearly all requests and replies have the same few names


def unescaped(key: bytes) -> bytes:
    """Decode a key, given without its quotes; it is returned unchanged if it is not valid JSON."""
    if b"\\" not in key:
        return key
    try:
        return str(json.loads(f'"{key.decode()}"')).encode()
    except ValueError:
        return key


def string_stop(data: bytes | bytearray, pos: int, end: int) -> int:
    """Return the place of the quote that ends a string, of which ``data[pos:end]`` is a part; ``end`` if none does.

    If the last byte is a backslash whose escape is incomplete, its place is returned.
    """
    stop = data.find(b'"', pos, end) % (end + 1)  # none: -1 becomes the end
    escape = data.find(b"\\", pos, stop)
    while escape >= 0:
        escapes = _ESCAPES.match(data, escape, end)
        assert escapes is not None
        stop = escapes.end()
        escape = stop if stop < end - 1 and data[stop] == _BACKSLASH else -1
    return stop


class Paths:
    """Compiled paths to values in JSON: ``response.model``, ``content[].name``, ``[].model`` in an array of objects.

    Keys have at most 20 ASCII letters. ``root`` is the shape of JSON that is an object, ``array`` of JSON that is an
    array. ``keys`` are the last keys of all paths; ``hint`` is a quote and the longest prefix that these share.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.root: Shape = {}
        keys = set()
        for path in paths:
            shape = self.root
            for key in path.replace("[]", ".[]").strip(".").split("."):
                shape = shape.setdefault(key.encode(), {})
            keys.add(key.encode())
        self.array: Shape = {ELEMENT: elements} if (elements := self.root.pop(ELEMENT, None)) else {}
        self.keys: Final = sorted(keys)
        self.hint: Final = b'"' + next(head for head in _heads(self.keys[0]) if self.keys[-1].startswith(head))
        # Whole members at which no path ends, then a key with its colon. A value must be followed by the end of its
        # member: the value may be cut here, or the JSON broken, and only the scanner can handle those.
        members = (
            rb'(?:[ \t\r\n]*+,?+[ \t\r\n]*+"(?!(?:%b)")[^"\\]*+"[ \t\r\n]*+:[ \t\r\n]*+'
            rb'(?:"[^"\\]*+"|[-+.\w]++)(?=[ \t\r\n]*+[,}])){0,200}'
            rb'(?:[ \t\r\n]*+,?+[ \t\r\n]*+"([^"\\]{0,20})"[ \t\r\n]*+:[ \t\r\n]*+)?'
        ) % b"|".join(self.keys)
        self.members: Final = re.compile(members)
        self.object: Final = re.compile(rb"[ \t\r\n]*+\{" + members)


def _heads(text: bytes) -> Iterator[bytes]:
    """Yield all prefixes of a text, the longest first."""
    return (text[:end] for end in range(len(text), -1, -1))


class PathScanner:
    """Follows JSON, one text after the other, and finds the strings at the ends of paths.

    The caller gives ``scan`` stretches of one ``data`` in order, then ``output`` that ``data``. No input is an error.
    From one ``data`` to the next only a few open objects, a depth and a short key are remembered. A subclass handles
    the strings in ``_begin`` and ``_end``: it puts replacements into ``_pieces`` and moves ``_copied``.
    """

    __slots__ = (
        "_below", "_copied", "_escaped", "_in_object", "_in_value", "_key", "_leads_to", "_open", "_paths", "_pieces",
        "_read", "within",
    )  # fmt: skip

    def __init__(self, paths: Paths) -> None:
        self.within = _NO_STRING
        self._paths = paths
        self._pieces: list[bytes] = []
        self._copied = 0  # up to here, data has been put into the pieces or replaced
        self._open: list[Shape] = []  # the open objects and arrays that are on a path
        self._below = 0  # how many others are open within those; they are skipped
        self._in_object = False  # whether the last of _open is an object, not an array
        self._in_value = False  # between the colon of a member and its comma
        self._leads_to: Shape | None = None  # the shape of the next value,
        self._key = b""  # and its key
        self._read = b""  # the beginning of a key, or of a string at the end of a path
        self._escaped = False  # the last byte was a backslash that escapes the next one

    @property
    def idle(self) -> bool:
        """Whether no string, object or array is open."""
        return not (self.within or self._below or self._open)

    def output(self, data: bytes) -> bytes:
        """Return the bytes of ``data`` that can leave, with their replacements."""
        if not (self._pieces or self._copied):
            return data
        self._pieces.append(data[self._copied :])
        result = b"".join(self._pieces)
        self._pieces.clear()
        self._copied = 0
        return result

    def reset(self, at: int) -> None:
        """Expect new JSON from ``at`` on."""
        self.within = _NO_STRING
        self._open.clear()
        self._below = 0
        self._in_object = self._in_value = self._escaped = False
        self._leads_to = None

    def _begin(self, data: bytes, quote: int) -> None:
        """The string at the end of a path begins at ``quote``."""

    def _end(self, data: bytes, stop: int) -> None:
        """The string at the end of a path ends with the quote at ``stop``; ``_read`` is how it began."""

    def _close(self, shape: Shape) -> None:
        """An object or array on a path is closed."""

    def scan(self, data: bytes, pos: int, end: int) -> None:
        """Follow ``data[pos:end]``."""
        while pos < end:
            if self.within:
                pos = self._string(data, pos, end)
            elif self._below:
                pos = self._skip(data, pos, end)
            else:
                pos = self._members(data, pos, end)

    def _string(self, data: bytes, pos: int, end: int) -> int:
        """Follow a string to behind its closing quote."""
        start = pos
        pos += self._escaped
        self._escaped = False
        stop = string_stop(data, pos, end)
        if stop == end - 1 and data[stop] == _BACKSLASH:
            self._escaped = True
            stop = end
        if self.within != _IN_VALUE and len(self._read) < KEY_BYTES:
            self._read += data[start : min(stop, start + KEY_BYTES)]
        if stop == end:
            return end
        if self.within == _IN_KEY:
            self._key = unescaped(self._read)
            self._leads_to = self._open[-1].get(self._key)
        elif self.within == AT_END:
            self._end(data, stop)
        self.within = _NO_STRING
        return stop + 1

    def _skip(self, data: bytes, pos: int, end: int) -> int:
        """Skip a part that is on no path, up to and including the next bracket or opening quote that matters."""
        skipped = _SKIPPED.match(data, pos, end)
        assert skipped is not None
        pos = skipped.end()
        if pos == end or data[pos] not in b'"{}[]':
            return pos
        if data[pos] == _QUOTE:
            self.within = _IN_VALUE
        else:
            self._below += 1 if data[pos] in b"{[" else -1
        return pos + 1

    def _members(self, data: bytes, pos: int, end: int) -> int:
        """Follow a part that is on a path: whole members if possible, otherwise one token."""
        if not self._open:
            begun = self._paths.object.match(data, pos, end)
            if begun and (key := begun[1]) is not None:
                self._open.append(self._paths.root)
                self._in_object = self._in_value = True
                self._key, self._leads_to = key, self._paths.root.get(key)
                return begun.end()
        elif self._in_object and not self._in_value:
            whole = self._paths.members.match(data, pos, end)
            if whole and whole.end() > pos:
                self._in_value, self._key = True, whole[1]
                self._leads_to = self._open[-1].get(self._key)
                return whole.end()
        token = (_TOKEN if self._in_object else _BRACKET).search(data, pos, end)
        if token is None:
            return end
        pos = token.start()
        byte = data[pos]
        if byte == _QUOTE:
            self._open_string(data, pos)
        elif byte == _COLON:
            self._in_value = True
        elif byte == _COMMA:
            self._in_value, self._leads_to = False, None
        elif byte in b"{[":
            self._descend(byte)
        else:
            self._leads_to = None
            if self._open:
                self._close(self._open.pop())
                self._in_value = True
                self._in_object = bool(self._open) and ELEMENT not in self._open[-1]
        return pos + 1

    def _open_string(self, data: bytes, quote: int) -> None:
        """Enter a string: a key, one at the end of a path, or any other."""
        leads_to, self._leads_to = self._leads_to, None
        self._read = b""
        if self._in_object and not self._in_value:
            self.within = _IN_KEY
        elif leads_to is not None and not leads_to:
            self.within = AT_END
            self._begin(data, quote)
        else:
            self.within = _IN_VALUE

    def _descend(self, bracket: int) -> None:
        if self._open:
            inner = self._open[-1].get(ELEMENT, self._leads_to)
        else:
            inner = self._paths.root if bracket == _BRACE else self._paths.array
        self._leads_to = None
        if inner and (bracket == _BRACE) == (ELEMENT not in inner):
            self._open.append(inner)
            self._in_object, self._in_value = bracket == _BRACE, False
        else:
            self._below = 1
