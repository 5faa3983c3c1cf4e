"""Find the top-level ``"model"`` of a JSON request body. Pure functions of bytes; no JSON tree is made.

How it is found. In valid JSON an unescaped ``"model"`` before a colon is a key, so a plain search finds every candidate
and only its depth has to be determined. For a key right after the opening brace, or whose member is the last before the
closing one, the depth is obvious. For others the brackets outside strings are counted, slice by slice with the C
primitives of ``bytes``. All brackets of a body cancel out, so the longest stretch between two candidates never has to
be counted. A key may be spelled with escapes (``"mod\\u0065l"``); the escape of each of its letters begins with
``\\u006``.

A second top-level ``"model"`` is refused, because parsers disagree on which one counts (RFC 8259 §4).

A body is not checked for being valid JSON: one that is not yields some span, None or BadRequest, in linear time.
"""

from __future__ import annotations

import codecs
import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, islice, repeat
from typing import Final

from ..errors import BadRequest
from .json_scan import BLANKS
from .steps import Steps, finished

SLICE_BYTES: Final = 64 * 1024
"""How much is examined between two yields."""

NAME_BYTES: Final = 256
"""The longest model name that is accepted, in bytes of UTF-8."""

_MANY: Final = 64  # with more candidates, to choose the stretch that need not be counted costs more than to count it

_PLAIN: Final = b'"model"'
_PLAIN_TOKEN: Final = re.compile(rb'"model"(?<!\\"model")')
_BACKSLASH: Final = 0x5C
_ESCAPED_LETTER: Final = b"\\u006"
_SEARCHED: Final = 4  # slices between two yields while they are only searched
_NEAR_BYTES: Final = 2048  # how far from an end of the body the depth may be obvious
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
_STRING_BYTES: Final = 6 * NAME_BYTES + 2  # each byte of the name as \u00xx, and two quotes

_MARK: Final = b"\x01"  # replaces a "model" token while brackets are counted; valid JSON has no such byte
_FOLD: Final = bytes.maketrans(b"[]", b"{}")
_NO_SIGN: Final = bytes(byte for byte in range(256) if byte not in b'{}[]:,"')


@dataclass(frozen=True, slots=True)
class ModelSpan:
    """The value of the top-level ``model``: ``body[start:end]`` is the JSON string, ``name`` is its text."""

    start: int
    end: int
    name: str


def find_model(body: bytes | bytearray, *, slice_bytes: int = SLICE_BYTES) -> ModelSpan | None:
    """Find the model that a body requests.

    Returns None if there is no usable one: the body is no JSON object, or has no ``model``, or one that is not a
    string, is blank, or has a lone surrogate. Raises BadRequest for more than one top-level ``model``, and for a name
    of more than NAME_BYTES.
    """
    return finished(scan_model(body, slice_bytes=slice_bytes))


def scan_model(body: bytes | bytearray, *, slice_bytes: int = SLICE_BYTES) -> Steps[ModelSpan | None]:
    """Do as :func:`find_model`, with a yield after about every ``slice_bytes``; the body must not change meanwhile."""
    if len(body) <= _SEARCHED * slice_bytes and (span := _first_and_only(body)):
        return span
    start = 0
    if body[:1] != b"{":
        mark = len(codecs.BOM_UTF8) if body.startswith(codecs.BOM_UTF8) else 0  # RFC 8259 §8.1: it may be ignored
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
    """Return the name if it is the first member and plain, as in the bodies of many clients; otherwise None."""
    found = _BEGINNING.match(body)
    if not found or body[-1:] != b"}" or body.rfind(_PLAIN, found.end()) >= 0 or body.rfind(_ESCAPED_LETTER) >= 0:
        return None
    return ModelSpan(found.start(1) - 1, found.end(), found[1].decode("ascii"))


def _after_blanks(body: bytes | bytearray, at: int, slice_bytes: int) -> Steps[int]:
    """Return the place of the first byte from ``at`` on that is no blank, or the body's length."""
    while at < len(body):
        found = _BLANKS.match(body, at, at + slice_bytes)
        assert found is not None
        if found.end() < at + slice_bytes:
            return found.end()
        at = found.end()
        yield
    return at


def _before_blanks(body: bytes | bytearray, slice_bytes: int) -> Steps[int]:
    """Return the place after the last byte that is no blank, or 0."""
    end = len(body)
    while end > 0:
        low = max(0, end - slice_bytes)
        kept = len(body[low:end].rstrip(BLANKS))
        if kept:
            return low + kept
        end = low
        yield
    return 0


def _tokens(body: bytes | bytearray, start: int, slice_bytes: int) -> Steps[list[int]]:
    """Find the places of ``"model"`` as a key or a whole string; stops after _MANY."""
    places: list[int] = []
    for low in range(start, len(body), _SEARCHED * slice_bytes):
        if low > start:
            yield
        high = min(low + _SEARCHED * slice_bytes, len(body))
        # Most stretches have neither. CPython's rfind skips bytes where find does not, so it is faster here.
        escaped = body.rfind(_ESCAPED_LETTER, low, high + _TOKEN_BYTES - 1) >= 0
        last = body.rfind(_PLAIN, low, high + len(_PLAIN) - 1)
        if escaped or (last >= 0 and body.find(_PLAIN, low, last + len(_PLAIN) - 1) >= 0):
            places += yield from _tokens_among(body, low, high, slice_bytes)
            if len(places) >= _MANY:
                break
        elif last >= 0 and body[last - 1] != _BACKSLASH:
            places.append(last)
    return places


def _tokens_among(body: bytes | bytearray, start: int, stop: int, slice_bytes: int) -> Steps[list[int]]:
    """Find the tokens that begin in ``body[start:stop]``, which may be several, or spelled with escapes."""
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
    """Tell whether the token is the first key of the object, or a key whose string value is the last."""
    if at - start < _NEAR_BYTES and not body[start + 1 : at].strip(BLANKS):
        return True
    return end - at < _NEAR_BYTES and _LAST.fullmatch(body, at, end) is not None


def _top_level(body: bytes | bytearray, tokens: list[int], start: int, slice_bytes: int) -> Steps[int | None]:
    """Return the token that is a key of the outermost object, None if there is none. BadRequest: there are several."""
    if not tokens:
        return None
    points = [start, *tokens, len(body)]
    gap = max(range(len(points) - 1), key=lambda i: points[i + 1] - points[i])
    head_end, tail_start = points[gap], points[gap + 1]
    if len(tokens) >= _MANY:
        head_end, tail_start = len(body), len(body)
    elif gap > 0:
        # Including the colon, without which the token is no key.
        head_end = (yield from _after_blanks(body, _token_end(body, head_end), slice_bytes)) + 1
    head = yield from _census(body, start, head_end, tokens, slice_bytes)
    tail = yield from _census(body, tail_start, len(body), tokens, slice_bytes)
    tail.lowest -= tail.depth  # the tail was counted from 0, but it must end there
    if head.in_string or tail.in_string:
        return None
    top = [census for census in (head, tail) if census.keys and census.lowest == 1]
    if sum(census.keys for census in top) > 1:
        raise BadRequest('the body has more than one top-level "model"; send one, as parsers differ in which they use')
    return top[0].first if top else None


class _Census:
    """Determines the depths of the ``model`` keys of a stretch, relative to its start."""

    __slots__ = ("depth", "first", "in_string", "keys", "lowest", "waiting")

    def __init__(self) -> None:
        self.depth = 0
        self.in_string = False
        self.lowest = 0  # the lowest depth of a key
        self.keys = 0  # how many keys have that depth
        self.first = -1  # the place of the first of these
        self.waiting = -1  # the place of a token at the slice's end, whose colon may come in the next one

    def add(self, text: bytes, low: int, quiet: bool) -> None:
        """Count one slice, which begins at ``low`` in the body and does not cut an escape or a token.

        ``quiet``: it has no token, so bytes may be deleted before its brackets are counted.
        """
        if quiet and self.in_string and b'"' not in text:
            return
        # Replaced by as many bytes, so that places stay right and no new token is formed.
        if not quiet or text.rfind(rb'\\"') >= 0:  # otherwise no quote has more than one backslash before it
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
        steps = {s: s.count(b"{") - s.count(b"}") for s in set(stretches)}  # many stretches are equal
        depths = list(accumulate(map(steps.__getitem__, stretches), initial=self.depth))
        self.depth = depths.pop()
        if len(depths) > 1:
            self._note(depths[1:], (low + match.start() for match in _KEY.finditer(text)))
        if outside.endswith(_MARK):
            near = len(text.rstrip(BLANKS)) - _TOKEN_BYTES
            self.waiting = low + max((match.start() for match in _TOKEN.finditer(text, max(0, near))), default=0)

    def _note(self, depths: list[int], places: Iterator[int]) -> None:
        """Note keys by their depths; only the first of the lowest ones is taken from ``places``, which are costly."""
        lowest = min(depths)
        if not self.keys or lowest < self.lowest:
            self.lowest, self.keys = lowest, 0
            self.first = next(islice(places, depths.index(lowest), None), -1)
        if lowest == self.lowest:
            self.keys += depths.count(lowest)


def _census(body: bytes | bytearray, low: int, high: int, tokens: list[int], slice_bytes: int) -> Steps[_Census]:
    """Count ``body[low:high]`` slice by slice, in the memory of one slice."""
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
    """Return the end of the slice that begins at ``low``: about ``slice_bytes`` on, but in no escape and no token."""
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


def _model_at(body: bytes | bytearray, at: int, slice_bytes: int) -> Steps[ModelSpan | None]:
    """Return the name behind the key at ``at``, None if it is not a usable string. BadRequest: it is too long."""
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
    """Return the text of a JSON string, empty if UTF-8 cannot express it. BadRequest: it is too long."""
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
