"""Give the requested model's name back in a reply, as its bytes stream by.

Byte filters, and nothing else: no I/O, no clock, no decision whether a reply is to be renamed. A filter is fed the
reply in whatever pieces it arrives, and what it gives back does not depend on where they were cut. Nothing is held
back: when the opening quote of a name is seen, the whole new name is given at once and the old one swallowed as it
comes. So there is nothing to flush, and the memory used is a key's worth of bytes, whatever the size of a line.

Here the lines of an event stream are followed (HTML §9.2.6); the JSON in their ``data``, or of a whole reply, is left
to ``jsonbytes.NameScanner``. What is not JSON is no error: scanning begins afresh with the next event, or with the next
line if that is sooner.
"""

from __future__ import annotations

import re
from typing import Final, Literal, Protocol

from .jsonbytes import BLANKS, NameScanner, quoted

_HINT: Final = b'"model'  # no name without it: keys spelled with escapes are left alone

_BOM: Final = b"\xef\xbb\xbf"
_DATA: Final = b"data:"
_OTHER: Final = -1  # a line of another field, or a comment
_Format = Literal["json", "events"]

_LF: Final = 0x0A

_NAMED: Final = re.compile(rb'"model(?:Version)?"[ \t\r\n]*+:[ \t\r\n]*+"[^"\\]*+"')


class ByteFilter(Protocol):
    """One link in the chain that a reply's bytes pass through."""

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and give those that can leave now; never raises."""
        ...


class Renamer:
    """Put one name in the place of every model name of a reply; ``NameScanner`` says which strings those are.

    Every other byte passes as it came. Made by renamer_for; serves one reply.
    """

    __slots__ = ("_bom", "_field", "_format", "_idle", "_returned", "_scanner")

    def __init__(self, name: str, form: _Format | None) -> None:
        self._scanner = NameScanner(quoted(name))
        self._format = form  # None until the first byte that is no blank
        self._bom = _BOM  # what of it is still to be expected
        self._field = 0  # how many bytes of ``data:`` this line began with, or _OTHER
        self._returned = False  # the last byte was a CR: an LF now belongs to the same line end
        self._idle = False  # at the start of a line of an event stream, and in no JSON

    @property
    def renamed(self) -> int:
        """How many names have been replaced so far."""
        return self._scanner.renamed

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and give those that can leave now; never raises."""
        if self._idle and data.endswith((b"\n\n", b"\n\r\n")) and _HINT not in data:
            return data
        if self._format is None:
            self._format = _guessed(data)
        if self._format == "json":
            self._scanner.scan(data, 0, len(data))
        else:
            self._follow(data)
        return self._scanner.output(data)

    def _follow(self, data: bytes) -> None:
        """Take complete events by themselves, and follow the lines of those that began before or end later."""
        pos, end = 0, len(data)
        # A second kind of blank line among the first makes events look longer than they are, and no more than that.
        blank = b"\n\n" if b"\n\n" in data else b"\n\r\n"
        if not self._idle:
            first = data.find(blank)
            pos = end if first < 0 else first + len(blank)
            self._lines(data, 0, pos)
        last = data.rfind(blank, pos)
        if last >= 0:
            self._events(data, pos, last + len(blank), blank)
            pos = last + len(blank)
        self._lines(data, pos, end)
        at_line_start = not (self._field or self._returned or self._bom)
        self._idle = at_line_start and self._format is not None and self._scanner.idle

    def _events(self, data: bytes, pos: int, end: int, blank: bytes) -> None:
        """Scan those of the complete events that can hold a name, and each only as far as the last that it can hold."""
        at = data.find(_HINT, pos, end)
        while at >= 0:
            before = data.rfind(blank, pos, at)
            start = pos if before < 0 else before + len(blank)
            stop = data.find(blank, at, end) + len(blank)
            named = _NAMED.match(data, data.rfind(_HINT, at, stop), stop)
            enough = named.end() if named else stop
            self._lines(data, start, enough)
            self._scanner.reset(stop)
            self._field, self._returned = 0, False
            pos = stop
            at = data.find(_HINT, pos, end)

    def _lines(self, data: bytes, pos: int, end: int) -> None:
        """Follow lines, the first and the last of which may be parts, and scan the text of ``data`` fields."""
        if self._bom:
            pos = self._pass_bom(data, pos, end)
        line_feed = carriage_return = -1  # the next of each; looked for again only when passed
        while pos < end:
            if self._returned:
                self._returned = False
                if data[pos] == _LF:
                    pos += 1
                    continue
            if 0 <= self._field < len(_DATA):
                pos = self._match_field(data, pos, end)
            if line_feed < pos:
                line_feed = data.find(b"\n", pos, end) % (end + 1)  # none: -1 becomes the end
            if carriage_return < pos:
                carriage_return = data.find(b"\r", pos, end) % (end + 1)
            stop = min(line_feed, carriage_return)
            if self._field == len(_DATA):
                self._scanner.scan(data, pos, stop)
            if stop == end:
                return
            if self._field == 0 or self._scanner.within:
                self._scanner.reset(stop)  # the event is over, or what it holds cannot be JSON
            self._field = 0
            self._returned = stop == carriage_return
            pos = stop + 1

    def _match_field(self, data: bytes, pos: int, end: int) -> int:
        """Compare the start of a line with ``data:``; gives the place behind what is alike."""
        wanted = _DATA[self._field :]
        seen = data[pos : min(end, pos + len(wanted))]
        if wanted.startswith(seen):
            self._field += len(seen)
            return pos + len(seen)
        if seen[0] not in b"\r\n":  # with a line end it would be a blank line
            self._field = _OTHER
        return pos

    def _pass_bom(self, data: bytes, pos: int, end: int) -> int:
        """Get past a byte order mark at the start of the stream, which is no part of the first line."""
        while self._bom and pos < end:
            if data[pos] == self._bom[0]:
                self._bom = self._bom[1:]
                pos += 1
            else:
                self._field = 0 if self._bom == _BOM else _OTHER
                self._bom = b""
        return pos


def renamer_for(content_type: bytes, name: str) -> Renamer:
    """Make the filter that gives ``name`` back in a reply of this content type.

    Unless the type says which, the first byte that is no blank tells JSON from lines of events.
    """
    kind = content_type.lower()
    if b"event-stream" in kind:
        return Renamer(name, "events")
    return Renamer(name, "json" if b"json" in kind else None)


def _guessed(data: bytes) -> _Format | None:
    text = data.lstrip(BLANKS + _BOM)
    if not text:
        return None
    return "json" if text[0] in b"{[" else "events"
