"""What the readers of JSON bytes share: white space, a text written as a string, a scanner for JSON that streams by.

Pure: no I/O, no clock, no JSON tree, and no knowledge of HTTP or of event streams. Requests, which are there as a
whole, are searched in ``find_model``; the lines around the JSON of a reply are followed in ``rename``.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final

BLANKS: Final = b" \t\n\r"
"""The white space of JSON (RFC 8259 §2); ``bytes.strip`` without an argument would take more."""

_Names = dict[bytes, "_Names"]  # what each key of an object leads to; nothing further means a name
_NAME: Final[_Names] = {}
_NAMES: Final[_Names] = {
    b"model": _NAME,
    b"modelVersion": _NAME,
    b"message": {b"model": _NAME},
    b"response": {b"model": _NAME, b"modelVersion": _NAME},
}
KEY_BYTES: Final = 80
"""More than any key has that matters, spelled with escapes; of a longer one so much need be kept to know that."""

_NO_STRING, _IN_KEY, _IN_VALUE, _IN_NAME = range(4)  # an old name is swallowed while the scanner is in it
_QUOTE, _COLON, _COMMA, _BACKSLASH, _BRACE = b'":,\\{'

_ESCAPES: Final = re.compile(rb'(?:\\[\x00-\xff][^"\\]*+){0,1000}')
# Whole members that hold no name, then a key with its colon. A value must be followed by the end of its member, as what
# else may follow (in broken JSON, or when it is cut here) is not for a pattern to tell.
_MEMBERS: Final = re.compile(
    rb'(?:[ \t\r\n]*+,?+[ \t\r\n]*+"(?!model"|modelVersion")[^"\\]*+"[ \t\r\n]*+:[ \t\r\n]*+'
    rb'(?:"[^"\\]*+"|[-+.\w]++)(?=[ \t\r\n]*+[,}])){0,200}'
    rb'(?:[ \t\r\n]*+,?+[ \t\r\n]*+"([^"\\]{0,20})"[ \t\r\n]*+:[ \t\r\n]*+)?'
)
_OBJECT: Final = re.compile(rb"[ \t\r\n]*+\{" + _MEMBERS.pattern)
_STRING: Final = rb'"[^"\\]{0,256}+"'  # longer ones are left to bytes.find
_LEAF: Final = rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*'
SKIPPED: Final = re.compile(rb'[^"{}\[\]]*+(?:(?:' + _STRING + rb"|[{\[]" + _LEAF + rb'[}\]])[^"{}\[\]]*+){0,200}')
"""Strings, and objects and arrays with no others inside. Bounded, since the engine remembers every turn."""

_TOKEN: Final = re.compile(rb'["{}\[\],:]')
_OUTERMOST: Final = re.compile(rb'["{}\[\]]')


def quoted(text: str) -> bytes:
    """Write ``text`` as a JSON string, quotes included. Pure ASCII, so that a lone surrogate can be written too."""
    return (_recalled if len(text) <= _RECALLED_CHARS else _quoted)(text)


def _quoted(text: str) -> bytes:
    return json.dumps(text).encode("ascii")


_RECALLED_CHARS: Final = 256
_recalled = lru_cache(maxsize=256)(_quoted)  # the same few names stand in nearly every request and reply


def unescaped(key: bytes) -> bytes:
    """Return what a key's text, given without its quotes, means; the text itself if that is no JSON."""
    if b"\\" not in key:
        return key
    try:
        return str(json.loads(f'"{key.decode()}"')).encode()
    except ValueError:
        return key


def string_stop(data: bytes, pos: int, end: int) -> int:
    """Give the place of the quote that ends the string which ``data[pos:end]`` is in; ``end`` if there is none.

    A backslash as the very last byte stops too, as what it escapes is not there yet.
    """
    stop = data.find(b'"', pos, end) % (end + 1)  # none: -1 becomes the end
    escape = data.find(b"\\", pos, stop)
    while escape >= 0:
        escapes = _ESCAPES.match(data, escape, end)
        assert escapes is not None
        stop = escapes.end()
        escape = stop if stop < end - 1 and data[stop] == _BACKSLASH else -1
    return stop


class NameScanner:
    """Follow JSON, one text after the other, and note where a name is to be put in the place of another.

    Names are the strings at ``model``, ``modelVersion``, ``message.model``, ``response.model`` and
    ``response.modelVersion`` of a text, or of each element if the text is an array. ``scan`` is given stretches of one
    ``data`` in order, then ``output`` that ``data``. All that is remembered from one ``data`` to the next is small: at
    most two open objects, a depth, and a short key. No input is an error. ``renamed`` counts the replacements.
    """

    __slots__ = (
        "_array", "_below", "_copied", "_escaped", "_in_value", "_key", "_leads_to", "_name", "_open", "_pieces",
        "renamed", "within",
    )  # fmt: skip

    def __init__(self, name: bytes) -> None:
        self.renamed = 0
        self.within = _NO_STRING
        self._name = name
        self._pieces: list[bytes] = []
        self._copied = 0  # how far into data the pieces reach
        self._open: list[_Names] = []  # the objects open here that can hold a name
        self._array = False  # in an outermost array
        self._below = 0  # the depth below those; no name is looked for in there
        self._in_value = False  # behind the colon of a member, up to its comma
        self._leads_to: _Names | None = None  # what the value to come can hold
        self._key = b""
        self._escaped = False  # the last byte was a backslash

    @property
    def idle(self) -> bool:
        """Whether nothing has been opened that is not closed."""
        return not (self.within or self._below or self._open or self._array)

    def output(self, data: bytes) -> bytes:
        """Give ``data`` with the replacements noted since the last call."""
        swallowing = self.within == _IN_NAME
        if not (self._pieces or self._copied or swallowing):
            return data
        if not swallowing:
            self._pieces.append(data[self._copied :])
        result = b"".join(self._pieces)
        self._pieces.clear()
        self._copied = 0
        return result

    def reset(self, at: int) -> None:
        """Expect new JSON; what was swallowed until now was no name from ``at`` on."""
        if self.within == _IN_NAME:
            self._copied = at
        self.within = _NO_STRING
        self._open.clear()
        self._array = self._in_value = self._escaped = False
        self._below = 0
        self._leads_to = None

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
        if self.within == _IN_KEY and len(self._key) < KEY_BYTES:
            self._key += data[start : min(stop, start + KEY_BYTES)]
        if stop == end:
            return end
        if self.within == _IN_KEY:
            self._leads_to = self._open[-1].get(unescaped(self._key))
        elif self.within == _IN_NAME:
            self._copied = stop + 1
        self.within = _NO_STRING
        return stop + 1

    def _skip(self, data: bytes, pos: int, end: int) -> int:
        """Get on, where no name can be, to behind a bracket or to a string of some length."""
        skipped = SKIPPED.match(data, pos, end)
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
        """Get on where a name can be, or the object that holds it: by members as long as they are whole, or a token."""
        if not self._open:
            begun = _OBJECT.match(data, pos, end)
            if begun and begun[1] is not None:
                self._open.append(_NAMES)
                self._in_value = True
                self._leads_to = _NAMES.get(begun[1])
                return begun.end()
        elif not self._in_value:
            whole = _MEMBERS.match(data, pos, end)
            if whole and whole.end() > pos:
                self._in_value = True
                self._leads_to = self._open[-1].get(whole[1])
                return whole.end()
        token = (_TOKEN if self._open else _OUTERMOST).search(data, pos, end)
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
            self._ascend()
        return pos + 1

    def _open_string(self, data: bytes, quote: int) -> None:
        """Enter a string, and give the new name for an old one at once."""
        if self._open and not self._in_value:
            self.within, self._key = _IN_KEY, b""
        elif self._leads_to is _NAME:
            self.within, self._leads_to = _IN_NAME, None
            self._pieces += (data[self._copied : quote], self._name)
            self.renamed += 1
        else:
            self.within = _IN_VALUE

    def _descend(self, bracket: int) -> None:
        inner = self._leads_to if self._open else _NAMES
        self._leads_to = None
        if inner and bracket == _BRACE:
            self._open.append(inner)
            self._in_value = False
        elif self._open or self._array:
            self._below = 1
        else:
            self._array = True

    def _ascend(self) -> None:
        self._leads_to = None
        if self._open:
            self._open.pop()
            self._in_value = True
        else:
            self._array = False
