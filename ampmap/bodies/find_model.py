"""Find the top-level ``"model"`` of a JSON request body, and put another name in its place.

Pure functions of bytes: no I/O, no clock, no JSON tree. Nothing here decides which name is sent.

How it is found. In valid JSON an unescaped ``"model"`` before a colon is a key, so a plain search finds every key that
could be meant, and only its depth is in question. Right after the opening brace, or last before the closing one, the
depth is plain to see. Elsewhere the brackets outside strings are counted, by whole slices with the C primitives of
``bytes``. The opening and closing brackets of a body cancel out, so one stretch between two keys never has to be
counted: the longest. A key may be spelled with escapes (``"mod\\u0065l"``); each of the five letters would then begin
with ``\\u006``.

A second top-level ``"model"`` is refused: parsers disagree on which one counts (RFC 8259 §4).

What is not valid JSON gets no verdict on its validity: it yields some span, None or BadRequest, in linear time.
"""

from __future__ import annotations

import codecs
import json
import re
from bisect import bisect_left
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice, repeat
from typing import Final, TypeVar

from ..errors import BadRequest
from .json_scan import BLANKS

SLICE_BYTES: Final = 64 * 1024
"""How much is looked at between two yields: the most hostile 64 KiB take about 3 ms, those of a conversation 0.1 ms."""

NAME_BYTES: Final = 256
"""The longest model name that is accepted, in bytes of UTF-8."""

_MANY: Final = 64  # with more keys than this, choosing a stretch to leave out costs more than counting it

_PLAIN: Final = b'"model"'
_PLAIN_TOKEN: Final = re.compile(rb'"model"(?<!\\"model")')
_BACKSLASH: Final = 0x5C
_ESCAPED_LETTER: Final = b"\\u006"
_SEARCHED: Final = 4  # slices in one turn as long as they are only searched
_NEAR_BYTES: Final = 2048  # how far from an end the depth is read off instead of counted
_TOKEN_BYTES: Final = 32  # five letters of six bytes, and two quotes
_TOKEN: Final = re.compile(rb'"(?<!\\")(?:m|\\u006[dD])(?:o|\\u006[fF])(?:d|\\u0064)(?:e|\\u0065)(?:l|\\u006[cC])"')
_KEY: Final = re.compile(_TOKEN.pattern + rb"[ \t\n\r]*+:")
_BLANKS: Final = re.compile(rb"[ \t\n\r]*+")
_STRING: Final = re.compile(rb'"[^"\\\x00-\x1f]*+(?:\\[^\x00-\x1f][^"\\\x00-\x1f]*+)*')
_VALUE: Final = re.compile(_KEY.pattern + rb'[ \t\n\r]*+"')
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LAST: Final = re.compile(_KEY.pattern + rb"[ \t\n\r]*+" + _STRING.pattern + rb'"[ \t\n\r]*+\}')
_BEGINNING: Final = re.compile(
    rb'\{[ \t\n\r]*+"model"[ \t\n\r]*+:[ \t\n\r]*+"([!#-\[\]-~]{1,256}+)"(?=[ \t\n\r]*+[,}])'
)
_MARK_OF_UTF8: Final = codecs.BOM_UTF8  # a parser may ignore it, RFC 8259 §8.1
_STRING_BYTES: Final = 6 * NAME_BYTES + 2  # each byte of the name as \u00xx, and two quotes

_MARK: Final = b"\x01"  # stands for a "model" token while brackets are counted; never part of valid JSON
_FOLD: Final = bytes.maketrans(b"[]", b"{}")
_NO_SIGN: Final = bytes(byte for byte in range(256) if byte not in b'{}[]:,"')

_T = TypeVar("_T")
_Sliced = Generator[None, None, _T]  # yields whenever a slice's worth of work is done


@dataclass(frozen=True, slots=True)
class ModelSpan:
    """The value of the top-level ``model``: ``body[start:end]`` is the JSON string, ``name`` its text."""

    start: int
    end: int
    name: str


def find_model(body: bytes | bytearray, *, slice_bytes: int = SLICE_BYTES) -> ModelSpan | None:
    """Find the model that a body asks for.

    None means that there is no usable one: the body is no JSON object, has no ``model``, or has one that is not a
    string, is blank, or holds a lone surrogate. BadRequest: more than one top-level ``model``, since parsers differ
    in which they believe; or a name of more than NAME_BYTES.
    """
    scan = scan_model(body, slice_bytes=slice_bytes)
    try:
        while True:
            next(scan)
    except StopIteration as done:
        span: ModelSpan | None = done.value
        return span


def scan_model(body: bytes | bytearray, *, slice_bytes: int = SLICE_BYTES) -> _Sliced[ModelSpan | None]:
    """Do what find_model does, with a yield after every ``slice_bytes`` or so; the body must not change meanwhile.

    Where slices are only searched, and nothing is found, the yield comes after four of them.
    """
    if len(body) <= _SEARCHED * slice_bytes and (span := _first_and_only(body)):
        return span
    start = 0
    if body[:1] != b"{":
        mark = len(_MARK_OF_UTF8) if body.startswith(_MARK_OF_UTF8) else 0
        start = yield from _after_blanks(body, mark, slice_bytes)
    end = len(body) if body[-1:] == b"}" else (yield from _before_blanks(body, slice_bytes))
    if body[start : start + 1] != b"{" or body[end - 1 : end] != b"}":
        return None
    tokens = yield from _tokens(body, start, slice_bytes)
    if len(tokens) == 1 and _stands_at_an_end(body, start, tokens[0], end):
        return (yield from _model_at(body, tokens[0], slice_bytes))
    top = yield from _top_level(body, tokens, start, slice_bytes)
    return None if top is None else (yield from _model_at(body, top, slice_bytes))


def _first_and_only(body: bytes | bytearray) -> ModelSpan | None:
    """Return the name of an ordinary body that begins with it, as those of many clients do; None of any other."""
    found = _BEGINNING.match(body)
    if not found or body[-1:] != b"}" or body.rfind(_PLAIN, found.end()) >= 0 or body.rfind(_ESCAPED_LETTER) >= 0:
        return None
    return ModelSpan(found.start(1) - 1, found.end(), found[1].decode("ascii"))


def _after_blanks(body: bytes | bytearray, at: int, slice_bytes: int) -> _Sliced[int]:
    """Give the place of the first byte from ``at`` on that is no blank, or the body's length."""
    while at < len(body):
        found = _BLANKS.match(body, at, at + slice_bytes)
        assert found is not None
        if found.end() < at + slice_bytes:
            return found.end()
        at = found.end()
        yield
    return at


def _before_blanks(body: bytes | bytearray, slice_bytes: int) -> _Sliced[int]:
    """Give the place after the last byte that is no blank, or 0."""
    end = len(body)
    while end > 0:
        low = max(0, end - slice_bytes)
        kept = len(body[low:end].rstrip(BLANKS))
        if kept:
            return low + kept
        end = low
        yield
    return 0


def _tokens(body: bytes | bytearray, start: int, slice_bytes: int) -> _Sliced[list[int]]:
    """Find where ``"model"`` stands as a key or a string of its own; stops at _MANY."""
    places: list[int] = []
    for low in range(start, len(body), _SEARCHED * slice_bytes):
        if low > start:
            yield
        high = min(low + _SEARCHED * slice_bytes, len(body))
        # Neither is in most stretches, and rfind, which leaps where find goes step by step, says so in half the time.
        escaped = body.rfind(_ESCAPED_LETTER, low, high + _TOKEN_BYTES - 1) >= 0
        last = body.rfind(_PLAIN, low, high + len(_PLAIN) - 1)
        if escaped or (last >= 0 and body.find(_PLAIN, low, last + len(_PLAIN) - 1) >= 0):
            places += yield from _tokens_among(body, low, high, slice_bytes)
            if len(places) >= _MANY:
                break
        elif last >= 0 and body[last - 1] != _BACKSLASH:
            places.append(last)
    return places


def _tokens_among(body: bytes | bytearray, start: int, stop: int, slice_bytes: int) -> _Sliced[list[int]]:
    """Find those that begin in a stretch where there are several, or some that are spelled with escapes."""
    places: list[int] = []
    for low in range(start, stop, slice_bytes):
        if low > start:
            yield
        high = min(low + slice_bytes, stop)
        end = high + _TOKEN_BYTES - 1
        escaped = body.rfind(_ESCAPED_LETTER, low, end) >= 0
        found = (_TOKEN if escaped else _PLAIN_TOKEN).finditer(body, low, end)
        places += islice((at for match in found if (at := match.start()) < high), _MANY)
        if len(places) >= _MANY:
            break
    return places


def _stands_at_an_end(body: bytes | bytearray, start: int, at: int, end: int) -> bool:
    """Whether the token is the first thing in the object, or a key whose string value is the last."""
    if at - start < _NEAR_BYTES and not body[start + 1 : at].strip(BLANKS):
        return True
    return end - at < _NEAR_BYTES and _LAST.fullmatch(body, at, end) is not None


def _top_level(body: bytes | bytearray, tokens: list[int], start: int, slice_bytes: int) -> _Sliced[int | None]:
    """Pick the token that is a key of the outermost object. None: there is none. BadRequest: there are several."""
    if not tokens:
        return None
    points = [start, *tokens, len(body)]
    gap = max(range(len(points) - 1), key=lambda i: points[i + 1] - points[i])
    head_end, tail_start = points[gap], points[gap + 1]
    if len(tokens) >= _MANY:
        head_end, tail_start = len(body), len(body)
    elif gap > 0:
        # As far as the colon, without which the token is no key.
        head_end = (yield from _after_blanks(body, _token_end(body, head_end), slice_bytes)) + 1
    head = yield from _census(body, start, head_end, tokens, slice_bytes)
    tail = yield from _census(body, tail_start, len(body), tokens, slice_bytes)
    tail.lowest -= tail.depth  # behind the last bracket the depth is 0, which tells what it was before
    if head.in_string or tail.in_string:
        return None
    top = [census for census in (head, tail) if census.keys and census.lowest == 1]
    if sum(census.keys for census in top) > 1:
        raise BadRequest('the body has more than one top-level "model"; send one, as parsers differ in which they use')
    return top[0].first if top else None


class _Census:
    """How deep the ``model`` keys of a stretch stand, from its start on; ``keys`` counts those at the lowest depth."""

    __slots__ = ("depth", "first", "in_string", "keys", "lowest", "waiting")

    def __init__(self) -> None:
        self.depth = 0
        self.in_string = False
        self.lowest = 0
        self.keys = 0
        self.first = -1
        self.waiting = -1  # the place of a token with nothing but blanks between it and the end of the slice

    def add(self, text: bytes, low: int, quiet: bool) -> None:
        """Count one slice, which begins at ``low`` in the body and cuts neither an escape nor a token in two.

        ``quiet`` says that it holds no token, so that it need not keep its shape while brackets are counted.
        """
        if quiet and self.in_string and b'"' not in text:
            return
        # Two bytes give way to two: places stay true, and nothing grows together into a new token.
        if not quiet or text.rfind(rb'\\"') >= 0:  # else at most one backslash stands before a quote
            text = text.replace(rb"\\", b"__")
        text = text.replace(rb"\"", b"__")
        if quiet:
            text = text.translate(_FOLD, _NO_SIGN)
        marked = text
        if not quiet:
            marked = _TOKEN.sub(_MARK, text) if _ESCAPED_LETTER in text else text.replace(_PLAIN, _MARK)
        pieces = marked.split(b'"')
        outside = b"".join(pieces[self.in_string :: 2])
        if not quiet:
            outside = outside.translate(_FOLD, BLANKS)
        self.in_string ^= len(pieces) % 2 == 0
        if self.waiting >= 0 and outside:
            if outside.startswith(b":"):
                self._note([self.depth], repeat(self.waiting))
            self.waiting = -1
        stretches = outside.split(_MARK + b":")
        steps = {s: s.count(b"{") - s.count(b"}") for s in set(stretches)}  # where they are many, most are alike
        depths = list(accumulate(map(steps.__getitem__, stretches), initial=self.depth))
        self.depth = depths.pop()
        if len(depths) > 1:
            self._note(depths[1:], (low + match.start() for match in _KEY.finditer(text)))
        if outside.endswith(_MARK):
            near = len(text.rstrip(BLANKS)) - _TOKEN_BYTES
            self.waiting = low + max((match.start() for match in _TOKEN.finditer(text, max(0, near))), default=0)

    def _note(self, depths: list[int], places: Iterator[int]) -> None:
        """Take in keys by their depths; of ``places`` only the one that matters is drawn."""
        lowest = min(depths)
        if not self.keys or lowest < self.lowest:
            self.lowest, self.keys = lowest, 0
            self.first = next(islice(places, depths.index(lowest), None), -1)
        if lowest == self.lowest:
            self.keys += depths.count(lowest)


def _census(body: bytes | bytearray, low: int, high: int, tokens: list[int], slice_bytes: int) -> _Sliced[_Census]:
    """Count ``body[low:high]`` in slices; a copy of one slice at a time is all the memory that it takes."""
    census = _Census()
    while low < high:
        cut = _cut(body, low, high, slice_bytes)
        quiet = len(tokens) < _MANY and bisect_left(tokens, low) == bisect_left(tokens, cut)
        census.add(bytes(body[low:cut]), low, quiet)
        low = cut
        if low < high:
            yield
    return census


def _cut(body: bytes | bytearray, low: int, high: int, slice_bytes: int) -> int:
    """Give the end of the slice that begins at ``low``: about ``slice_bytes`` on, but in no escape and no token."""
    cut = low + slice_bytes
    if cut >= high:
        return high
    for match in _TOKEN.finditer(body, max(low, cut - _TOKEN_BYTES), min(high, cut + _TOKEN_BYTES)):
        if match.start() < cut < match.end():
            return match.end()
    if body[cut - 1 : cut] != b"\\":
        return cut
    text = body[low:cut]
    return cut + (len(text) - len(text.rstrip(b"\\"))) % 2


def _model_at(body: bytes | bytearray, at: int, slice_bytes: int) -> _Sliced[ModelSpan | None]:
    """Read the name behind the key at ``at``. None: it is no string, or no usable one. BadRequest: it is too long."""
    near = _VALUE.match(body, at, at + _NEAR_BYTES)
    if near:
        quote = near.end() - 1
    else:
        colon = yield from _after_blanks(body, _token_end(body, at), slice_bytes)
        quote = yield from _after_blanks(body, colon + 1, slice_bytes)
        if body[colon : colon + 1] != b":":
            return None
    found = _STRING.match(body, quote, quote + _STRING_BYTES)
    if found is None:
        return None
    end = found.end() + 1
    if body[end - 1 : end] != b'"' or end > quote + _STRING_BYTES:
        if end < quote + _STRING_BYTES:
            return None
        raise _too_long()
    name = _text(found[0] + b'"')
    return ModelSpan(quote, end, name) if name.strip() else None


def _text(token: bytes | bytearray) -> str:
    """Decode a JSON string; what cannot be written in UTF-8 gives the empty text. BadRequest: it is too long."""
    escaped = _BACKSLASH in token
    try:
        name: str = json.loads(token.decode()) if escaped else token[1:-1].decode()
    except ValueError:
        return ""
    if len(token) > NAME_BYTES + 2 and len(name.encode("utf-8", "surrogatepass")) > NAME_BYTES:
        raise _too_long()
    return "" if escaped and _SURROGATE.search(name) else name


def _token_end(body: bytes | bytearray, at: int) -> int:
    token = _TOKEN.match(body, at)
    return token.end() if token else len(body)


def _too_long() -> BadRequest:
    return BadRequest(f'the "model" of the body is longer than {NAME_BYTES} bytes')
