"""Read a request's JSON into values that translation can change. Pure.

A small request is read at once, a large one member by member and message by message, so that only one message at a time
becomes a tree. Parts that translation passes on unchanged are not decoded: a string of LONG_BYTES or more is a
:class:`Long`, a slice of the body with its escapes, and the JSON under certain keys (arguments, schemas) is
:class:`Raw`. ``dump`` writes a string in the same bytes in either case. Both keep the body alive; it must not change.

Reading raises :class:`Unreadable` for bytes that are no JSON object, what ``json_bounds`` does, and RecursionError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Generator, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from .json_bounds import LIST_ELEMENTS, MEMBER_VALUES, bound, refuse_more, refuse_values
from .json_scan import no_json
from .json_walk import Walk
from .texts import Long, Raw, Str, finite, loads

LONG_BYTES: Final = 2048
"""A string with so many bytes between its quotes stays a slice of the body."""

SMALL_BYTES: Final = 256 * 1024
"""A body of at most so many bytes is read at once, if it is plain."""

DEPTH: Final = 24
"""Values that are nested more deeply within a message are read as Raw: no wire format uses such a depth."""

_STEP_BYTES: Final = 64 * 1024
_STRING: Final = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_INSIDE: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_KEY: Final = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_SCALAR: Final = re.compile(rb"[-+.0-9A-Za-z]++")
_BETWEEN: Final = re.compile(rb"[ \t\r\n]*+[,\]}]?[ \t\r\n]*+")
_BLANK: Final = re.compile(rb"[ \t\r\n]*+")
_OPENER: Final = {b"{"[0]: b"}"[0], b"["[0]: b"]"[0]}
_QUOTE, _BACKSLASH = b'"\\'
_SHORT_BYTES: Final = 512
_TURN_NODES: Final = 500  # values between two yields
_TURN_BYTES: Final = 16 * 1024  # bytes of a list between two yields
_TURN_ELEMENTS: Final = 8  # elements of a small body's list between two yields
_AT_ONCE: Final = 24 * 1024  # the most values that are read in one step
_NO_VALUE: Final = bytes(byte for byte in range(256) if byte not in b"{[,")  # bytes that are before no further value
# Escapes that ``dump`` would not write, so that a decoded string would be written differently than a Long.
_ODD_ESCAPE: Final = re.compile(rb"\\(?:/|u(?!00(?:0[0-7bef]|1[0-9a-f])))")
_EXTENT: Final = json.JSONDecoder(parse_constant=no_json, parse_int=float)  # only for places; float takes any number

_Kept = tuple[int, int, Raw | Long | None]  # the start and end of a part of a value that stays a slice, and the slice


class Unreadable(ValueError):
    """A body is no JSON object, or has a number of more digits than Python reads."""


class Member(NamedTuple):
    """A member of a request; if ``place`` is not None, only one element of the member's list."""

    key: str
    value: Any
    place: int | None = None


def members(
    body: bytes | bytearray, lists: Collection[str] = (), raw: Collection[str] = ()
) -> Generator[Member | None, None, None]:
    """Yield the members of a body that is one JSON object, those in ``lists`` element by element if they are arrays.

    An empty list comes as one member without a place. If a key occurs twice, both members may come; a place 0 begins
    the list again. ``raw`` are keys, at any depth, whose values are read as Raw if they are objects or arrays. Yields
    None where other tasks may run.
    """
    try:
        yield from _members(body, lists, raw)
    except ValueError as exc:
        raise Unreadable(str(exc)) from exc


def _members(
    body: bytes | bytearray, lists: Collection[str], raw: Collection[str]
) -> Generator[Member | None, None, None]:
    tree = Tree(body, tuple(raw))
    if len(body) <= SMALL_BYTES and (whole := (yield from tree.whole())) is not None:
        if body.count(b",") >= LIST_ELEMENTS:
            yield None
            refuse_more(len(whole), "the body")
            for key, value in whole.items():
                for element in value if key in lists and isinstance(value, list) else (value,):
                    bound(element, key)
            yield None
        for key, value in whole.items():
            if key in lists and isinstance(value, list) and value:
                for place, element in enumerate(value):
                    yield Member(key, element, place)
                    if not (place + 1) % _TURN_ELEMENTS:
                        yield None
            else:
                yield Member(key, value)
        return
    walk = Walk(body)
    count = 0
    for part in walk.members(*lists):
        if part is None:
            yield None
            continue
        if part.value is not None and part.at == part.start:
            walk.singly(part)  # several tiny ones
            continue
        count += 1
        refuse_more(count, "the body")
        if part.key in lists and walk.is_array(part):
            walk.at = part.at
            place = rested = 0
            for element in walk.parts():
                if element is None:
                    yield None
                elif element.value is not None and len(element.value) != 1:
                    walk.singly(element)
                else:
                    if element.value is None:
                        yield from skipped(walk, element.at)
                        value = yield from tree.read(element.at, part.key)
                    else:
                        value = tree.small(element.at, element.end, part.key)
                    yield Member(part.key, value, place)
                    place += 1
                    if walk.at - rested > _TURN_BYTES:
                        rested = walk.at
                        yield None
            if not place:
                yield Member(part.key, [])
            continue
        if part.value is None:
            yield from skipped(walk, part.at)
            key = part.key.encode("latin-1", "replace").decode("utf-8", "replace")
            yield Member(key, (yield from tree.read(part.at, key, key in raw)))
        else:
            key = part.key if part.key.isascii() else next(iter(walk.exact(part)))
            yield Member(key, tree.small(part.at, part.end, key, key in raw))


def skipped(walk: Walk, at: int) -> Generator[None, None, None]:
    """Move the walk behind a large value, so that its end is known before it is read."""
    walk.at = at
    yield from walk.skip()  # type: ignore[misc]


class Tree:
    """Reads values of one body. Except ``whole``, its methods rely on a walk that has checked the value."""

    def __init__(self, body: bytes | bytearray, raw: tuple[str, ...]) -> None:
        self._body = body
        self._view = memoryview(body)
        self._raw = raw
        self._key = ""
        self._nodes = self._rest_at = 0
        self._depth, self._longest, self._most = DEPTH, LIST_ELEMENTS, MEMBER_VALUES

    def small(self, at: int, end: int, key: str, raw: bool = False) -> Any:
        """Return the value in ``body[at:end]``, which the walk has read within a window."""
        if raw and self._body[at] in _OPENER:
            return Raw(self._view[at:end])
        data = bytes(self._body[at:end])
        kept = [*self._raw_values(data, at)]
        found = _loaded(data, [*self._long_strings(data, at, kept)] if _may_have_long(data) else kept)
        return bound(found, key) if data.count(b",") >= LIST_ELEMENTS else found

    def whole(self) -> Generator[None, None, dict[str, Any] | None]:
        """Return a whole body, read at once; None if it has to be walked: it has odd escapes, or may be no JSON."""
        data = bytes(self._body)
        if not data.startswith(b"{"):
            return None
        if len(data) > _STEP_BYTES and len(data.translate(None, _NO_VALUE)) > _AT_ONCE:
            return None
        if _ODD_ESCAPE.search(data) and _ODD_ESCAPE.search(data.replace(rb"\\", b"")) and _may_have_long(data):
            return None
        if len(data) > _STEP_BYTES:
            yield
        try:
            data.decode()
            kept = list[_Kept]()
            for each in self._raw_values(data, 0):
                kept.append(each)
                if not len(kept) % _TURN_NODES:
                    yield
            if len(data) > _STEP_BYTES:
                yield
            found = _loaded(data, kept)
        except (ValueError, RecursionError, IndexError):
            return None
        return found if isinstance(found, dict) else None

    def _raw_values(self, data: bytes, base: int) -> Iterator[_Kept]:
        """Yield the Raw parts of a small value that begins at ``base``, in order."""
        if not self._raw:
            return
        pattern, at, text = _raw_pattern(self._raw), 0, ""
        while found := pattern.search(data, at):
            at = found.end()
            # The opening quote of a key never follows a backslash; a quote within a string always does.
            if data[found.start() - 1] != _BACKSLASH:
                text = text or data.decode("latin-1")
                place, at = at, _EXTENT.raw_decode(text, at)[1]
                yield place, at, Raw(self._view[base + place : base + at])

    def _long_strings(self, data: bytes, base: int, kept: list[_Kept]) -> Iterator[_Kept]:
        """Yield the ``kept`` parts of a small value, and the Long ones before, between and behind them, in order."""
        behind = 0
        for each in [*kept, (len(data), 0, None)]:
            for found in _STRING.finditer(data, behind, each[0]):
                low, high = found.span(1)
                if high - low >= LONG_BYTES:
                    yield low - 1, high + 1, Long(self._view[base + low : base + high])
            if each[2] is not None:
                yield each
            behind = each[1]

    def read(self, at: int, key: str, raw: bool = False) -> Generator[None, None, Any]:
        """Return the value that begins at ``at``, in the member ``key``."""
        self._key, self._nodes = key, 0
        try:
            value, _ = yield from self._value(at, self._depth, raw)
        except IndexError as exc:
            raise ValueError(f"expected more behind {at}") from exc
        return value

    def _value(self, at: int, depth: int, raw: bool) -> Generator[None, None, tuple[Any, int]]:
        first = self._body[at]
        if first in _OPENER:
            if raw or not depth:
                end = yield from self._end(at)
                return Raw(self._view[at:end]), end
            return (yield from self._container(at, first, depth))
        if first == _QUOTE:
            return self._string(at) or (yield from self._long(at))
        found = _SCALAR.match(self._body, at)
        if found is None:
            raise ValueError(f"expected a value at {at}")
        return loads(found[0]), found.end()

    def _container(self, at: int, first: int, depth: int) -> Generator[None, None, tuple[Any, int]]:
        body, closer = self._body, _OPENER[first]
        is_object = first == b"{"[0]
        items: list[Any] = []
        found: dict[str, Any] = {}
        key, raw = "", False
        at = _BLANK.match(body, at + 1).end()  # type: ignore[union-attr]  # maybe of no length
        if body[at] == closer:
            return (found if is_object else items), at + 1
        while True:
            if is_object:
                match = _KEY.match(body, at)
                if match is None:
                    raise ValueError(f"expected a key at {at}")
                key = match[1].decode() if b"\\" not in match[1] else json.loads(b'"%b"' % match[1])
                at, raw = match.end(), key in self._raw
            self._nodes += 1
            if not self._nodes % _TURN_NODES or at > self._rest_at:
                self._rest_at = at + _STEP_BYTES
                refuse_values(self._nodes, self._key, self._most)
                yield
            first = body[at]
            if first == _QUOTE and (short := self._string(at)):
                value, at = short
            else:
                value, at = yield from self._value(at, depth - 1, raw)
            if is_object:
                found[key] = value
            else:
                items.append(value)
            between = _BETWEEN.match(body, at)
            mark = between[0].strip() if between else b""
            if between is None or mark not in (b",", b"%c" % closer):
                raise ValueError(f"expected a comma at {at}")
            at = between.end()
            if mark != b",":
                refuse_more(len(items) or len(found), self._key, self._longest)
                return (found if is_object else items), between.start() + between[0].index(closer) + 1

    def _string(self, at: int) -> tuple[Str, int] | None:
        """Return the string at ``at`` and the place behind it; None if it does not end within a step."""
        found = _STRING.match(self._body, at, at + _STEP_BYTES)
        if found is None:
            return None
        start, end = found.span(1)
        if end - start >= LONG_BYTES:
            return Long(self._view[start:end]), end + 1
        text = found[1]
        return (json.loads(found[0]) if b"\\" in text else text.decode()), end + 1

    def _long(self, at: int) -> Generator[None, None, tuple[Long, int]]:
        """Return a string that is too long to be found in one step."""
        body, end = self._body, at + 1
        while True:
            end = _INSIDE.match(body, end, end + _STEP_BYTES).end()  # type: ignore[union-attr]  # maybe of no length
            if body[end] == _QUOTE:
                return Long(self._view[at + 1 : end]), end + 1
            yield

    def _end(self, at: int) -> Generator[None, None, int]:
        """Return the place behind the object or array at ``at``."""
        for size in (_SHORT_BYTES, _STEP_BYTES):
            try:
                return at + _EXTENT.raw_decode(self._body[at : at + size].decode("latin-1"))[1]
            except ValueError:
                pass
        walk = Walk(self._body)
        yield from skipped(walk, at)
        return walk.at


@lru_cache(maxsize=16)
def _raw_pattern(keys: tuple[str, ...]) -> re.Pattern[bytes]:
    """Return a pattern that matches one of ``keys`` and its colon before an object or array."""
    names = b"|".join(re.escape(key.encode()) for key in keys)
    return re.compile(rb'"(?:%b)"[ \t\r\n]*+:[ \t\r\n]*+(?=[\[{])' % names)


def _loaded(data: bytes, kept: list[_Kept]) -> Any:
    """Return a value with the ``kept`` slices in their places: the decoder reads a NaN instead of each."""
    if not kept:
        return loads(data)
    pieces, behind = list[bytes](), 0
    for low, high, _ in kept:
        pieces += [data[behind:low], b"NaN"]
        behind = high
    left = [value for _, _, value in reversed(kept)]
    # For a NaN of the client's own there is no slice left: IndexError.
    decoder = json.JSONDecoder(parse_float=finite, parse_constant=lambda _: left.pop())
    return decoder.decode((b"".join(pieces) + data[behind:]).decode())


def _may_have_long(data: bytes) -> bool:
    """Tell whether JSON may have a string of LONG_BYTES: unless quotes are escaped, a block without quotes shows it."""
    if len(data) < LONG_BYTES or b'\\"' in data:
        return len(data) >= LONG_BYTES
    half = LONG_BYTES // 2
    return any(data.find(b'"', low, low + half) < 0 for low in range(0, len(data) - half, half))
