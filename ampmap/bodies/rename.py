"""Change the JSON of a reply as its bytes stream by: find it, and give the requested model's name back in it.

Byte filters, and nothing else: no I/O, no clock, no decision whether a reply is to be renamed. A filter is fed the
reply in whatever pieces it arrives, and what it gives back does not depend on where they were cut. The renamer holds
nothing back: when the opening quote of a name is seen, the whole new name is given at once and the old one swallowed as
it comes. So there is nothing to flush, and the memory used is a few keys' worth of bytes, whatever the size of a line.

Here the lines of an event stream are followed (HTML §9.2.6); the JSON in their ``data``, or of a whole reply, is left
to a scanner such as ``jsonbytes.NameScanner``. What is not JSON is no error: scanning begins afresh with the next
event, or with the next line if that is sooner. Servers label one as the other, so the content type plays no part.
"""

from __future__ import annotations

import re
from typing import Final, Literal, Protocol

from .json_scan import BLANKS, NameScanner, quoted

_HINT: Final = b'"model'  # no name without it, unless its key is spelled with escapes
_ESCAPE: Final = b"\\u00"  # all escapes of ASCII letters begin so

BOM: Final = b"\xef\xbb\xbf"
_DATA: Final = b"data:"
_OTHER: Final = -1  # a line of another field, or a comment
Format = Literal["json", "events"]
_BEGIN_JSON: Final = b'{["-0123456789tfn'  # RFC 8259 §3; no field of an event stream begins with one of them

_LF: Final = 0x0A
_NEXT: Final = b"\n\n"  # behind it an event begins
_BLANK_LINES: Final = (_NEXT, b"\n\r\n")
_OPENING_BYTES: Final = 1024  # the longest opening of an event that is remembered
_TRIES: Final = 4  # openings in a row that no event had in common

_NAMED: Final = re.compile(rb'"model(?:Version)?"[ \t\r\n]*+:[ \t\r\n]*+"[^"\\]*+"')


class ByteFilter(Protocol):
    """One link in the chain that a reply's bytes pass through."""

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and give those that can leave now; never raises."""
        ...

    def finish(self) -> bytes:
        """Give what is still held at the reply's end."""
        ...


class Chain:
    """Two links as one: what leaves ``first`` goes through ``then``."""

    def __init__(self, first: ByteFilter, then: ByteFilter) -> None:
        self._first = first
        self._then = then

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and give those that can leave now; never raises."""
        return self._then.feed(self._first.feed(data))

    def finish(self) -> bytes:
        """Give what is still held at the reply's end."""
        return self._then.feed(self._first.finish()) + self._then.finish()


class JsonScanner(Protocol):
    """What changes JSON as its bytes go by: ``scan`` is given stretches of one ``data`` in order, then ``output``."""

    within: int  # not 0 while in a string

    @property
    def idle(self) -> bool:
        """Whether nothing has been opened that is not closed."""
        ...

    def scan(self, data: bytes, pos: int, end: int) -> None:
        """Follow ``data[pos:end]``."""
        ...

    def reset(self, at: int) -> None:
        """Expect new JSON from ``at`` on."""
        ...

    def output(self, data: bytes) -> bytes:
        """Give what can leave of ``data``, with what has been changed in it."""
        ...


class Renamer:
    """Put one name in the place of every model name of a reply; ``NameScanner`` says which strings those are.

    Every other byte passes as it came. Serves one reply.

    In many streams each event begins as the one before it, up to the model's name and behind. What such an opening has
    become once is remembered: the same bytes, in the same place, become the same again, and nothing need be scanned.
    """

    __slots__ = ("_follower", "_given", "_hints", "_names", "_opening", "_scanner", "_tries")

    def __init__(self, name: str) -> None:
        self._scanner = NameScanner(quoted(name))
        self._follower = Follower(self._scanner, _HINT, enough=_NAMED)
        self._opening = self._given = b""  # from an event's start to where no name is under way any more
        self._hints = self._names = 0  # in the opening
        self._tries = _TRIES

    @property
    def renamed(self) -> int:
        """How many names have been replaced so far."""
        return self._scanner.renamed

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and give those that can leave now; never raises."""
        if not (self._follower.idle and data.endswith(_BLANK_LINES)) or _ESCAPE in data:
            return self._follower.feed(data)
        if not (hints := data.count(_HINT)):
            return data
        if self._hints and data.startswith(self._opening):
            behind = data[len(self._opening) :]
            times = 1 if hints == self._hints else 1 + behind.count(_NEXT + self._opening)
            if hints == times * self._hints:  # else there may be names elsewhere
                self._scanner.renamed += times * self._names
                self._tries = _TRIES
                if times > 1:
                    behind = behind.replace(_NEXT + self._opening, _NEXT + self._given)
                return self._given + behind
        return self._learn(data) if self._tries else self._follower.feed(data)

    def _learn(self, data: bytes) -> bytes:
        """Take the first event's opening by itself, and remember what becomes of it."""
        self._tries -= 1
        end = data.find(_NEXT if _NEXT in data else _BLANK_LINES[1])
        hint = data.rfind(_HINT, 0, end)
        named = _NAMED.match(data, hint, min(end, _OPENING_BYTES)) if hint >= 0 else None
        if named is None:
            return self._follower.feed(data)
        opening = data[: named.end()]
        names = self._scanner.renamed
        given = self._follower.feed(opening)
        if not self._scanner.within:
            self._opening, self._given = opening, given
            self._hints, self._names = opening.count(_HINT), self._scanner.renamed - names
        return given + self._follower.feed(data[len(opening) :])

    def finish(self) -> bytes:
        """Give nothing: nothing is held."""
        return b""


class Follower:
    """Lead a scanner to the JSON of one reply: all of it, or what stands in the ``data`` lines of an event stream.

    The first byte that is no blank tells which. Events without ``hint`` and without an escaped letter need no scanning;
    those without the latter are scanned no further than a match of ``enough`` at their last hint reaches.
    """

    __slots__ = ("_bom", "_enough", "_field", "_form", "_hint", "_returned", "_scanner", "_unscanned", "idle")

    def __init__(self, scanner: JsonScanner, hint: bytes, enough: re.Pattern[bytes] | None = None) -> None:
        self._scanner = scanner
        self._hint = hint
        self._enough = enough
        self._form: Format | None = None
        self._bom = BOM  # what of it is still to be expected
        self._field = 0  # how many bytes of ``data:`` this line began with, or _OTHER
        self._returned = False  # the last byte was a CR: an LF now belongs to the same line end
        self._unscanned = b""  # of JSON: the end of the last piece, in which no name is
        self.idle = False  # at the start of a line of an event stream, and in no JSON

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and give those that can leave now; never raises."""
        if self.idle and data.endswith(_BLANK_LINES) and self._hint not in data and _ESCAPE not in data:
            return data
        if self._form is None:
            self._form = form_of(data)
        if self._form == "json":
            self._json(data)
        else:
            self._follow(data)
        return self._scanner.output(data)

    def _json(self, data: bytes) -> None:
        """Scan JSON as far as the last hint reaches; what is behind that is scanned when more comes, if it does."""
        if self._unscanned:
            self._scanner.scan(self._unscanned, 0, len(self._unscanned))
            self._unscanned = b""
        end = len(data)
        hint = data.rfind(self._hint) if self._enough else -1
        if hint >= 0 and (enough := self._enough_at(data, hint, end)) and data.find(_ESCAPE, enough) < 0:
            self._unscanned = data[enough:]
            end = enough
        self._scanner.scan(data, 0, end)

    def _enough_at(self, data: bytes, hint: int, end: int) -> int:
        found = self._enough.match(data, hint, end) if self._enough else None
        return found.end() if found else 0

    def _follow(self, data: bytes) -> None:
        """Take complete events by themselves, and follow the lines of those that began before or end later."""
        pos, end = 0, len(data)
        # A second kind of blank line among the first makes events look longer than they are, and no more than that.
        blank = b"\n\n" if b"\n\n" in data else b"\n\r\n"
        if not self.idle:
            first = data.find(blank)
            pos = end if first < 0 else first + len(blank)
            self._lines(data, 0, pos)
        last = data.rfind(blank, pos)
        if last >= 0 and data.find(_ESCAPE, pos, last) < 0:
            self._events(data, pos, last + len(blank), blank)
            pos = last + len(blank)
        self._lines(data, pos, end)
        at_line_start = not (self._field or self._returned or self._bom)
        self.idle = at_line_start and self._form is not None and self._scanner.idle

    def _events(self, data: bytes, pos: int, end: int, blank: bytes) -> None:
        """Scan those of the complete events that hold the hint, and each only as far as needed."""
        at = data.find(self._hint, pos, end)
        while at >= 0:
            before = data.rfind(blank, pos, at)
            start = pos if before < 0 else before + len(blank)
            stop = data.find(blank, at, end) + len(blank)
            self._lines(data, start, self._enough_at(data, data.rfind(self._hint, at, stop), stop) or stop)
            self._scanner.reset(stop)
            self._field, self._returned = 0, False
            pos = stop
            at = data.find(self._hint, pos, end)

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
                self._field = 0 if self._bom == BOM else _OTHER
                self._bom = b""
        return pos


def form_of(data: bytes) -> Format | None:
    """Tell by a reply's first bytes whether it is JSON or an event stream; None as long as there are only blanks."""
    text = data.lstrip(BLANKS + BOM)
    if not text:
        return None
    return "json" if text[0] in _BEGIN_JSON else "events"
