"""Find small objects that a reply states, such as its token counts, while its bytes pass by. No bytes are held back.

Of a stream, the first and the last few events are kept that may have such an object; of JSON, its beginning and its
end. They are parsed only when :meth:`StatedObjects.found` is called, and small pieces are searched several at a time,
so an event costs little more than a call. Keys are found only without escapes. JSON within a text is not found, because
its quotes are escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from .json_scan import BLANKS, Paths
from .rename import BOM, Format, form_of

PART_BYTES: Final = 16 * 1024
"""How much of the beginning, and of the end, of a long event or of long JSON is kept."""

_LONG: Final = 2 * PART_BYTES
_SMALL_BYTES: Final = 1024  # up to this size a piece waits for others,
_PIECES: Final = 8  # until there are so many
_LAST: Final = 4  # more than one: arguments of a tool with the same key may follow the last object
_EVENT_ENDS: Final = (b"\n\n", b"\n\r\n", b"\r\r")  # the last bytes of all ends in HTML §9.2.6
_USUAL_ENDS: Final = _EVENT_ENDS[:2]
_DATA: Final = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\r\n])data:")
_NEXT_DATA: Final = re.compile(rb"(?<![\r\n])[\r\n]++data:")  # a search begins once in a run of line ends
_DECODER: Final = json.JSONDecoder()


class _Kept(NamedTuple):
    """Complete events, or JSON, in ``head``; of a long event, or long JSON, the beginning and the end."""

    head: bytes
    tail: bytes = b""


class StatedObjects:
    """Reads one reply, of any size and cut anywhere, and finds the objects at the ends of ``paths``.

    Paths are written as in ``json_scan``: ``response.usage``, ``choices[].usage``. JSON may be an array of replies.
    """

    __slots__ = ("_first", "_form", "_head", "_held", "_hint", "_last", "_opens", "_paths", "_pieces")

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths, self._hint, self._opens = _compiled(paths)
        self._form: Format | None = None
        self._pieces: list[bytes] = []  # not searched yet
        self._held = bytearray()  # the incomplete event, or the JSON
        self._head = b""  # its beginning, once _held is only its end
        self._first: bytes | _Kept | None = None  # bytes are complete events
        self._last: list[bytes | _Kept] = []  # to make a deque costs thirty times as much

    def feed(self, data: bytes) -> None:
        """Take the reply's next bytes; never raises."""
        pieces = self._pieces
        pieces.append(data)
        if len(pieces) == _PIECES or len(data) > _SMALL_BYTES:
            self._search()

    def _search(self) -> None:
        data = b"".join(self._pieces)
        self._pieces.clear()
        if self._held or self._form != "events" or not data.endswith(_USUAL_ENDS):
            self._gather(data)
        elif (place := data.find(self._hint)) >= 0 and self._opens.search(data, place):
            if len(data) <= _LONG:
                self._note(data)
            else:
                self._note_many(data)

    def found(self) -> Iterator[dict[str, Any]]:
        """Return the objects that were stated so far, in their order."""
        self._search()
        if self._first is None and not self._head and self._held.find(self._hint) < 0:
            return iter(())
        return self._found(bytes(self._held))

    def _found(self, held: bytes) -> Iterator[dict[str, Any]]:
        rest = _Kept(self._head, held[-PART_BYTES:]) if self._head else held
        noted = [each for each in (self._first, *self._last, rest) if each]
        kept = [event for each in noted for event in self._split(_Kept(each) if isinstance(each, bytes) else each)]
        for event in kept[:1] + kept[1:][-_LAST:]:
            yield from self._objects(event)

    def _gather(self, data: bytes) -> None:
        held = self._held
        before = len(held)
        if self._form is None and (form := form_of(data)) is None:  # nothing but blanks
            return
        self._form = self._form or form
        held += data
        if self._form == "events" and (end := _last_end(held, max(0, before - 2))):
            self._note_held(bytes(held[:end]))
            del held[:end]
        if len(held) > _LONG:
            self._head = self._head or bytes(held[:PART_BYTES])
            del held[:-PART_BYTES]

    def _note_held(self, events: bytes) -> None:
        """Note complete events; of the first one only the head and the end may be held."""
        if self._head:
            end = _first_end(events, 0)
            kept = _Kept(self._head, events[max(0, end - PART_BYTES) : end])
            if any(map(self._opens.search, kept)):
                self._note(kept)
            self._head, events = b"", events[end:]
        if len(events) > _LONG:
            self._note_many(events)
        elif self._opens.search(events):
            self._note(events)

    def _note_many(self, events: bytes) -> None:
        """Note those of large events that may have an object."""
        for kept in self._split(_Kept(events)):
            self._note(kept)

    def _note(self, kept: bytes | _Kept) -> None:
        if self._first is None:
            self._first = kept
        else:
            if len(self._last) == _LAST:
                del self._last[0]
            self._last.append(kept)

    def _split(self, kept: _Kept) -> list[_Kept]:
        """Return the first and the last few events that may have an object; JSON and a long event are not split."""
        if kept.tail or self._form == "json":
            return [kept] if any(map(self._opens.search, kept)) else []
        events = kept.head
        places = [match.start() for match in self._opens.finditer(events)]
        if not places:
            return []
        start, end = _event_at(events, places[0])
        first = _kept(events[start:end])
        places = [place for place in places if place >= end]
        last: list[_Kept] = []
        while places and len(last) < _LAST:
            start, end = _event_at(events, places[-1])
            last.append(_kept(events[start:end]))
            while places and places[-1] >= start:
                places.pop()
        return [each for each in (first, *reversed(last)) if any(map(self._opens.search, each))]

    def _objects(self, kept: _Kept) -> Iterator[dict[str, Any]]:
        head = kept.head if self._form == "json" else _payload(kept.head)
        if not kept.tail and (value := _parsed(head)) is not None:
            yield from self._at_paths(value)
            return
        places = list(self._opens.finditer(head))
        for match in dict.fromkeys(places[:1] + places[-1:]):
            yield from self._in_head(head, match.end() - 1)
        tail = _NEXT_DATA.sub(b"\n", kept.tail)
        for match in reversed(list(self._opens.finditer(tail))[-_LAST:]):
            if found := list(self._in_tail(head, tail[match.start() :])):
                yield from found
                return

    def _in_head(self, head: bytes, brace: int) -> Iterator[dict[str, Any]]:
        """Yield an object of a text that breaks off: closed right behind the object, the text is JSON of a path."""
        end = brace + _length(head[brace:])
        array = b"]" if head.lstrip(BLANKS).startswith(b"[") else b""
        for path in self._paths if end > brace else ():
            closing = b"".join(b"]" if key == "[]" else b"}" for key in reversed(path[:-1]))
            if (value := _parsed(head[:end] + b"}" + closing + array)) is not None:
                yield from self._at_paths(value)
                return

    def _in_tail(self, head: bytes, tail: bytes) -> Iterator[dict[str, Any]]:
        """Yield an object of a text whose middle is missing: with opening brackets before it, the rest is JSON.

        That proves the object's depth. That it is at a path is assumed if the head has the keys of the path.
        """
        array = b"[" if head.lstrip(BLANKS).startswith(b"[") else b""
        for *parents, _ in self._paths:
            opening = b"".join(b'{"%b":' % key.encode() for key in parents) + b"{"
            known = all(b'"%b"' % key.encode() in head for key in parents)
            if known and (value := _parsed(array + opening + tail)) is not None:
                yield from self._at_paths(value)
                return

    def _at_paths(self, value: Any) -> Iterator[dict[str, Any]]:
        for each in value if isinstance(value, list) else [value]:
            for path in self._paths:
                yield from _at(each, path)


@lru_cache(maxsize=16)
def _compiled(paths: tuple[str, ...]) -> tuple[list[tuple[str, ...]], bytes, re.Pattern[bytes]]:
    """Return the keys of each path, the hint of :class:`Paths`, and a pattern of a last key with a filled object."""
    named = Paths(paths)
    keys = [tuple(path.replace("[]", ".[]").split(".")) for path in paths]
    opens = rb'"(?:%b)"[ \t\r\n]*+:[ \t\r\n]*+\{(?![ \t\r\n]*+\})' % b"|".join(reversed(named.keys))
    return keys, named.hint, re.compile(opens)


def _at(value: Any, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the objects at the end of a path."""
    for place, key in enumerate(path):
        if key == "[]":
            for each in value if isinstance(value, list) else ():
                yield from _at(each, path[place + 1 :])
            return
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, dict):
        yield value


def _parsed(text: bytes) -> Any:
    """Return the JSON with which a text begins; None if it is incomplete. Other lines of an event may follow."""
    shown = text.lstrip(BLANKS + BOM).decode("latin-1")  # which decodes any bytes, also if a character was cut
    try:
        value, end = _DECODER.raw_decode(shown)
    except (ValueError, RecursionError):
        return None
    return None if shown[end:].lstrip()[:1] in (",", "]", "}") else value


def _length(text: bytes) -> int:
    """Return the length of the object with which a text begins; 0 if it is incomplete."""
    try:
        return _DECODER.raw_decode(text.decode("latin-1"))[1]
    except (ValueError, RecursionError):
        return 0


def _payload(event: bytes) -> bytes:
    """Return the data of an event without its field names."""
    data = _DATA.search(event)
    return _NEXT_DATA.sub(b"\n", event[data.end() :] if data else event)


def _kept(event: bytes) -> _Kept:
    return _Kept(event) if len(event) <= _LONG else _Kept(event[:PART_BYTES], event[-PART_BYTES:])


def _event_at(events: bytes, place: int) -> tuple[int, int]:
    """Return the beginning and the end of the event at ``place``."""
    return _last_end(events[:place], 0), _first_end(events, place)


def _last_end(events: bytes | bytearray, begin: int) -> int:
    """Return the place behind the last event that ends at ``begin`` or later; 0 if none does."""
    return max(at + len(end) if (at := events.rfind(end, begin)) >= 0 else 0 for end in _EVENT_ENDS)


def _first_end(events: bytes, begin: int) -> int:
    """Return the place behind the event at ``begin``; the end of ``events`` if it is incomplete."""
    ends = [at + len(end) for end in _EVENT_ENDS if (at := events.find(end, begin)) >= 0]
    return min(ends, default=len(events))
