"""Give tools the casing that the request has for them, in the ``tool_use`` blocks of an Anthropic reply.

Pure: no I/O, no clock, no decision whether a reply is to be changed. Clients take tool names literally, and some models
write ``bash`` for ``Bash``. ``listed_tools`` finds what a request lists; the reply is changed as its bytes stream by,
in ``content[]`` of a JSON reply and in the ``content_block`` of an event. A name that the request does not list is left
alone, and so is one that it lists in two casings.

A name has to be read before it can be changed, so it is held back until it is complete; where ``name`` stands before
``type``, until the type is known. What is held longer than HELD_BYTES is left alone, wherever the bytes were cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from ..bodies.json_scan import KEY_BYTES, SKIPPED, quoted, string_stop, unescaped
from ..bodies.rename import Follower

HELD_BYTES: Final = 4096
"""The most that is held back of a reply."""

_HINT: Final = b'"tool_use"'  # no block without it: a type spelled with escapes is none

_Shape = dict[bytes, "_Shape"]  # what each key leads to; _ELEMENT in the place of a key stands for an array's elements
_TYPE: Final[_Shape] = {}
_NAME: Final[_Shape] = {}
_BLOCK: Final[_Shape] = {b"type": _TYPE, b"name": _NAME}
_ELEMENT: Final = b"[]"
_ROOT: Final[_Shape] = {b"content": {_ELEMENT: _BLOCK}, b"content_block": _BLOCK}

_NO_STRING, _IN_KEY, _IN_VALUE, _IN_TYPE, _IN_NAME = range(5)
_QUOTE, _COLON, _COMMA, _BACKSLASH, _BRACE = b'":,\\{'
_TOKEN: Final = re.compile(rb'["{}\[\],:]')


class ToolNames:
    """Give tools their advertised casing in one reply; every other byte passes as it came."""

    __slots__ = ("_follower", "_scanner")

    def __init__(self, casings: Mapping[str, str]) -> None:
        self._scanner = _BlockScanner(casings)
        self._follower = Follower(self._scanner, _HINT)

    @property
    def changed(self) -> int:
        """How many names have been changed so far."""
        return self._scanner.changed

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and give those that can leave now; never raises."""
        return self._follower.feed(data)

    def finish(self) -> bytes:
        """Give what is still held at the reply's end, which only a reply that breaks off has."""
        self._scanner.reset(0)
        return self._scanner.output(b"")


class _BlockScanner:
    """Follow JSON, one text after the other, and change the names of tools in it.

    As ``jsonbytes.NameScanner``, but that it holds back: a name from its opening quote on, and what follows it as long
    as the block's type is not known.
    """

    __slots__ = (
        "_below", "_casings", "_copied", "_escaped", "_held", "_holding", "_in_value", "_is_tool", "_leads_to",
        "_open", "_pieces", "_read", "_token", "changed", "within",
    )  # fmt: skip

    def __init__(self, casings: Mapping[str, str]) -> None:
        self.changed = 0
        self.within = _NO_STRING
        self._casings = casings
        self._pieces: list[bytes] = []
        self._copied = 0  # how far into data the pieces, or what is held, reach
        self._holding = False  # from _copied on, with _held before it
        self._held = b""
        self._token = b""  # the name that is held, once it is complete
        self._is_tool: bool | None = None  # None while the block's type is not known
        self._open: list[_Shape] = []  # what is open here that leads to a name
        self._below = 0  # the depth below those
        self._in_value = False  # behind the colon of a member, up to its comma
        self._leads_to: _Shape | None = None  # what the value to come leads to
        self._read = b""  # the beginning of a key or a type
        self._escaped = False  # the last byte was a backslash

    @property
    def idle(self) -> bool:
        """Whether nothing has been opened that is not closed."""
        return not (self.within or self._below or self._open)

    def output(self, data: bytes) -> bytes:
        """Give what can leave of ``data``, and of what was held."""
        if self._holding:
            if self._length_held(len(data)) > HELD_BYTES:
                self._release()
            else:
                self._held += data[self._copied :]
                self._copied = len(data)
        if not (self._pieces or self._copied):
            return data
        self._pieces.append(data[self._copied :])
        result = b"".join(self._pieces)
        self._pieces.clear()
        self._copied = 0
        return result

    def reset(self, at: int) -> None:
        """Expect new JSON from ``at`` on; what is held is let go as it is."""
        self._release()
        self.within = _NO_STRING
        self._open.clear()
        self._below = 0
        self._in_value = self._escaped = False
        self._leads_to = self._is_tool = None

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
        if self.within in (_IN_KEY, _IN_TYPE) and len(self._read) < KEY_BYTES:
            self._read += data[start : min(stop, start + KEY_BYTES)]
        if stop == end:
            return end
        if self.within == _IN_KEY:
            self._leads_to = self._open[-1].get(unescaped(self._read))
        elif self.within == _IN_TYPE:
            self._is_tool = self._read == b"tool_use"
            self._decide(stop + 1)
        elif self.within == _IN_NAME and self._holding:
            self._token = self._held + data[self._copied : stop + 1]
            self._decide(stop + 1)
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
        """Get on by a token where something leads to a name."""
        token = _TOKEN.search(data, pos, end)
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
        """Enter a string: a key, one that matters, or any other."""
        leads_to, self._leads_to = self._leads_to, None
        self._read = b""
        if self._open and not self._in_value and _ELEMENT not in self._open[-1]:
            self.within = _IN_KEY
        elif leads_to is _TYPE:
            self.within = _IN_TYPE
        elif leads_to is _NAME and self._is_tool is not False:
            self.within = _IN_NAME
            self._release()
            self._pieces.append(data[self._copied : quote])
            self._copied, self._holding, self._token = quote, True, b""
        else:
            self.within = _IN_VALUE

    def _descend(self, bracket: int) -> None:
        if not self._open:
            inner: _Shape | None = _ROOT
        else:
            inner = self._open[-1].get(_ELEMENT, self._leads_to)
        self._leads_to = None
        if inner and (bracket == _BRACE) == (_ELEMENT not in inner):
            self._open.append(inner)
            self._in_value = False
        else:
            self._below = 1

    def _ascend(self) -> None:
        self._leads_to = None
        if self._open:
            if self._open.pop() is _BLOCK:
                self._release()
                self._is_tool = None
            self._in_value = True

    def _length_held(self, at: int) -> int:
        return len(self._held) + at - self._copied

    def _decide(self, at: int) -> None:
        """Let go of a name, changed or not, if it is complete and the type known; ``at`` is how far both reach."""
        if not self._token or self._is_tool is None:
            return
        casing = self._casing() if self._is_tool and self._length_held(at) <= HELD_BYTES else None
        if casing is None:
            self._release()
            return
        self.changed += 1
        self._pieces += (casing, self._held[len(self._token) :])
        self._copied += max(0, len(self._token) - len(self._held))
        self._holding, self._held, self._token = False, b"", b""

    def _casing(self) -> bytes | None:
        """Give what is to take the name's place; None if it is to stay."""
        try:
            name = json.loads(self._token)
        except ValueError:
            return None
        casing = self._casings.get(name.casefold())
        return None if casing in (None, name) else quoted(casing)

    def _release(self) -> None:
        """Let go of what is held as it is."""
        if self._holding:
            self._pieces.append(self._held)
            self._holding, self._held, self._token = False, b"", b""
