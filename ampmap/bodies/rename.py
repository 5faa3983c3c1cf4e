"""Replace model names in a reply while it streams, so that it has the requested model's name.

Pure; the caller decides which replies are renamed. A filter takes the reply in the pieces in which it arrives, and its
output does not depend on where they were cut. The renamer holds no bytes back: at the opening quote of a name it puts
out the whole new name, and then drops the old one as it arrives. It remembers the size of a few keys, whatever the size
of a line.

``Follower`` follows the lines of an event stream (HTML §9.2.6) and gives the JSON in their ``data``, or a whole JSON
reply, to a ``PathScanner``. Bytes that are not JSON are no error: scanning starts again with the next event, or the
next line if that comes first. The content type is ignored, because some servers send one form labelled as the other.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from .json_scan import AT_END, BLANKS, Paths, PathScanner, quoted

_ESCAPE: Final = b"\\u00"  # the beginning of all escapes of ASCII letters

BOM: Final = b"\xef\xbb\xbf"
_BEFORE_TEXT: Final = BLANKS + BOM
_DATA: Final = b"data:"
_OTHER: Final = -1  # a line of another field, or a comment
Format = Literal["json", "events"]
_BEGIN_JSON: Final = b'{["-0123456789tfn'  # RFC 8259 §3; no field of an event stream begins with one of them

_LF: Final = 0x0A
_NEXT: Final = b"\n\n"  # the usual end of an event
_BLANK_LINES: Final = (_NEXT, b"\n\r\n")
_OPENING_BYTES: Final = 1024  # the longest opening of an event that is remembered
_TRIES: Final = 4  # how many openings are remembered without success before the renamer gives up


class Renamer:
    """Replaces every model name in one reply, which is a string at the end of ``paths``, by one name.

    Every other byte passes unchanged.

    In many streams all events begin alike, up to and including the model's name. So the last opening is remembered with
    its replacement: when an event begins with the same bytes, they are replaced without being scanned.
    """

    __slots__ = ("_follower", "_given", "_hint", "_hints", "_named", "_opening", "_scanner", "_tries")

    def __init__(self, name: str, paths: Paths) -> None:
        self._hint, self._named = paths.hint, _named(paths)
        self._scanner = _NameScanner(quoted(name), paths)
        self._follower = Follower(self._scanner, self._hint, enough=self._named)
        self._opening = b""  # the beginning of an event, up to the end of its last name
        self._given = b""  # its replacement
        self._hints = 0  # how many hints are in the opening
        self._tries = _TRIES

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and return those that can leave now; never raises."""
        # To find() costs half of what ``in`` does for bytes.
        if not (self._follower.idle and data.endswith(_BLANK_LINES)) or data.find(_ESCAPE) >= 0:
            return self._follower.feed(data)
        if not (hints := data.count(self._hint)):
            return data
        if self._hints and data.startswith(self._opening):
            behind = data[len(self._opening) :]
            times = 1 if hints == self._hints else 1 + behind.count(_NEXT + self._opening)
            if hints == times * self._hints:  # otherwise there may be names elsewhere
                self._tries = _TRIES
                if times > 1:
                    behind = behind.replace(_NEXT + self._opening, _NEXT + self._given)
                return self._given + behind
        return self._learn(data) if self._tries else self._follower.feed(data)

    def _learn(self, data: bytes) -> bytes:
        """Rename the opening of the first event separately, and remember the result."""
        self._tries -= 1
        end = data.find(_NEXT if _NEXT in data else _BLANK_LINES[1])
        hint = data.rfind(self._hint, 0, end)
        named = self._named.match(data, hint, min(end, _OPENING_BYTES)) if hint >= 0 else None
        if named is None:
            return self._follower.feed(data)
        opening = data[: named.end()]
        given = self._follower.feed(opening)
        if not self._scanner.within:
            self._opening, self._given, self._hints = opening, given, opening.count(self._hint)
        return given + self._follower.feed(data[len(opening) :])

    def finish(self) -> bytes:
        """Return nothing, because nothing is held."""
        return b""


@lru_cache(maxsize=4)
def _named(paths: Paths) -> re.Pattern[bytes]:
    """Return a pattern that matches a last key of ``paths`` with its name, in one line."""
    return re.compile(rb'"(?:%b)"[ \t]*+:[ \t]*+"[^"\\\r\n]*+"' % b"|".join(paths.keys))


class _NameScanner(PathScanner):
    """Replaces names: the whole new name leaves at the old one's opening quote, and the old one is dropped."""

    __slots__ = ("_name",)

    def __init__(self, name: bytes, paths: Paths) -> None:
        super().__init__(paths)
        self._name = name

    def _begin(self, data: bytes, quote: int) -> None:
        self._pieces += (data[self._copied : quote], self._name)

    def _end(self, data: bytes, stop: int) -> None:
        self._copied = stop + 1

    def output(self, data: bytes) -> bytes:
        """Return ``data`` with the new names instead of those that begin in it."""
        if self.within == AT_END:
            self._copied = len(data)
        return super().output(data) if self._pieces or self._copied else data

    def reset(self, at: int) -> None:
        """Expect new JSON from ``at`` on: an unfinished name ends there."""
        if self.within == AT_END:
            self._copied = at
        super().reset(at)


class Follower:
    """Gives a scanner the JSON of one reply: the whole reply, or the ``data`` lines of an event stream.

    The first byte that is no blank decides which. Events without ``hint`` and without an escaped letter are not
    scanned. Other events without an escaped letter are scanned up to the end of the match of ``enough`` at their last
    hint.
    """

    __slots__ = ("_bom", "_enough", "_field", "_form", "_hint", "_returned", "_scanner", "_unscanned", "idle")

    def __init__(self, scanner: PathScanner, hint: bytes, enough: re.Pattern[bytes] | None = None) -> None:
        self._scanner = scanner
        self._hint = hint
        self._enough = enough
        self._form: Format | None = None
        self._bom = BOM  # the bytes of it that may still come
        self._field = 0  # with how many bytes of ``data:`` this line began, or _OTHER
        self._returned = False  # the last byte was a CR: an LF that follows belongs to the same line end
        self._unscanned = b""  # the end of the last piece of JSON, which has no name
        self.idle = False  # at the start of a line of an event stream, and not within JSON

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and return those that can leave now; never raises."""
        if self.idle and data.endswith(_BLANK_LINES) and data.find(self._hint) < 0 and data.find(_ESCAPE) < 0:
            return data
        if self._form is None:
            self._form = form_of(data)
        if self._form == "json":
            self._json(data)
        else:
            self._follow(data)
        return self._scanner.output(data)

    def _json(self, data: bytes) -> None:
        """Scan JSON up to the name at the last hint; the rest is scanned only if more bytes come."""
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
        """Search complete events for hints, and follow the lines of events that began before or end later."""
        pos, end = 0, len(data)
        # If both kinds of blank lines occur, several events are treated as one, which does no harm.
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
        """Scan those of the complete events that have a hint, each only as far as needed."""
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
        """Follow lines, of which the first and the last may be incomplete, and scan the content of ``data`` fields."""
        if self._bom:
            pos = self._pass_bom(data, pos, end)
        line_feed = carriage_return = -1  # the places of the next ones, searched again only when passed
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
        """Compare the start of a line with ``data:``; return the place behind the bytes that are equal."""
        wanted = _DATA[self._field :]
        seen = data[pos : min(end, pos + len(wanted))]
        if wanted.startswith(seen):
            self._field += len(seen)
            return pos + len(seen)
        if seen[0] not in b"\r\n":  # with a line end it would be a blank line
            self._field = _OTHER
        return pos

    def _pass_bom(self, data: bytes, pos: int, end: int) -> int:
        """Skip a byte order mark at the start of the stream; it does not belong to the first line."""
        while self._bom and pos < end:
            if data[pos] == self._bom[0]:
                self._bom = self._bom[1:]
                pos += 1
            else:
                self._field = 0 if self._bom == BOM else _OTHER
                self._bom = b""
        return pos


def form_of(data: bytes) -> Format | None:
    """Tell by a reply's first bytes whether it is JSON or an event stream; None if they are only blanks."""
    text = data.lstrip(_BEFORE_TEXT)
    if not text:
        return None
    return "json" if text[0] in _BEGIN_JSON else "events"
