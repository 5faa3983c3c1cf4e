"""Skip values of a request's JSON that are too large to be read in one step, by their strings and brackets alone.

Pure. Escapes are followed, so strings end, and brackets count, where a parser says so; whether the bytes between are
valid JSON is not checked. A value is read slice by slice, in the memory of a few slices. Everything here raises
ValueError for a value that does not end.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from itertools import accumulate, islice
from typing import Final

from .json_scan import string_stop

Skipping = Generator[None, None, int]  # yields after each slice; returns the place behind the value

_BLANK: Final = re.compile(rb"[ \t\n\r]*+")
_SCALAR: Final = re.compile(rb"[-+.\w]*+")
_QUOTE: Final = 0x22
_SMALL_BYTES: Final = 512  # in a slice of this size the brackets are searched one by one
_FOLD: Final = bytes.maketrans(b"[]", b"{}")
_NO_SIGN: Final = bytes(byte for byte in range(256) if byte not in b'{}[]"')
_STEP: Final = (0x7C).__sub__  # 1 for "{", -1 for "}"
_OUTSIDE: Final = re.compile(rb'"[^"]*+"|[]{}[]')


def skip(body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    """Skip the value at ``at``; ``slice_bytes`` must be at least 16."""
    first = body[at : at + 1]
    if first == b'"':
        return _string(body, at + 1, slice_bytes)
    return (_container if first in (b"{", b"[") else _scalar)(body, at, slice_bytes)


def blanks(body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    """Skip blanks, if there are any."""
    return _run(_BLANK, body, at, slice_bytes)


def _run(pattern: re.Pattern[bytes], body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    # The patterns match the empty string, so there is always a match.
    while (end := pattern.match(body, at, at + slice_bytes).end()) == at + slice_bytes:  # type: ignore[union-attr]
        at = end
        yield
    return end


def _string(body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    """Skip a string whose first character is at ``at``, behind its opening quote."""
    while (end := at + slice_bytes) < len(body) + slice_bytes:
        stop = string_stop(body, at, min(end, len(body)))
        if body[stop : stop + 1] == b'"':
            return stop + 1
        if end >= len(body):
            break
        at = stop  # the slice's end, or its last byte if that is a backslash that escapes the next one
        yield
    raise ValueError(f"expected a quote before {len(body)}")


def _scalar(body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    """Skip a literal, or a number of any length."""
    end = yield from _run(_SCALAR, body, at, slice_bytes)
    if end == at:
        raise ValueError(f"expected a value at {at}")
    return end


def _container(body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    """Skip an object or an array."""
    depth, in_string, size = 0, False, slice_bytes
    while text := body[at : at + size]:
        stop = len(text) - (len(text) - len(text.rstrip(b"\\"))) % 2  # not within an escape
        if not stop:
            break
        flat = text[:stop]
        if b"\\" in flat:
            flat = flat.replace(rb"\\", b"__").replace(rb"\"", b"__")  # of the same length, so that places stay right
        pieces = flat.translate(_FOLD, _NO_SIGN).split(b'"')
        brackets = b"".join(pieces[in_string::2])
        closing = brackets.count(b"}")
        if closing >= depth:  # only then the container may end in this slice
            depths = [*accumulate(map(_STEP, brackets), initial=depth)]
            if 0 in depths[1:]:
                if size <= _SMALL_BYTES:
                    start = flat.find(b'"') + 1 if in_string else 0
                    outside = (found.end() for found in _OUTSIDE.finditer(flat, start) if flat[found.start()] != _QUOTE)
                    return at + next(islice(outside, depths.index(0, 1) - 1, None))
                size = max(size // 8, _SMALL_BYTES)
                continue
        depth += len(brackets) - 2 * closing
        in_string ^= len(pieces) % 2 == 0
        at += stop
        yield
    raise ValueError(f"expected an end before {len(body)}")
