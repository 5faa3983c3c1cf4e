"""Get past values of a request's JSON that are too large to be read at once, holding each part to the grammar.

Pure. A value is taken in stretches: each is completed, before and behind, to JSON of its own, which ``json``'s scanner
then reads. What opens a stretch is the outline of the one before, its open brackets and where in the grammar it broke
off: behind ``{"a":[1,{"b":"x`` comes ``{"":[{"":"``. A number is cut short as it is read. So memory is bounded by a few
stretches, whatever the size of a value. Everything here raises ValueError for what is no JSON, and RecursionError as
``json`` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Final, NoReturn

from .json_scan import BLANKS

Skipping = Generator[None, None, int]  # yields after each stretch; returns the place behind the value

_QUOTE, _OPEN_BRACE, _OPEN_BRACKET = b'"{['
_LEAST_BYTES: Final = 16
_ESCAPE_BYTES: Final = 6
_BLANK: Final = re.compile(rb"[ \t\n\r]*+")
_LITERAL: Final = re.compile(rb"true|false|null")
_NUMERIC: Final = re.compile(rb"[-+.eE0-9]*+")
_DIGITS: Final = re.compile(rb"(\d\d)\d+")
_NUMBER_BYTES: Final = 32  # of one whose runs of digits are cut to two, far more than the grammar allows

_SCALAR: Final = b" \t\n\r0123456789+-.eEtrufalsn"  # what numbers, literals and blanks are made of
_NO_BRACKET: Final = bytes(byte for byte in range(256) if byte not in b"{}[]")
_RUNS: Final = re.compile(rb"\{+|\[+|\}+|\]+")
_CLOSERS: Final = bytes.maketrans(b"{[", b"}]")


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


# No number is looked at; int is the faster one, but refuses those of more than 4300 digits.
FAST: Final = json.JSONDecoder(parse_constant=_no_json)
LENIENT: Final = json.JSONDecoder(parse_constant=_no_json, parse_int=float)


def skip(body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    """Get past the value at ``at``; ``slice_bytes`` are 16 or more."""
    first = body[at : at + 1]
    if first == b'"':
        return _string(body, at + 1, slice_bytes)
    return (_container if first in (b"{", b"[") else _scalar)(body, at, slice_bytes)


def blanks(body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    """Get past blanks, if there are any."""
    # There is always a match: no blank at all is one.
    while (end := _BLANK.match(body, at, at + slice_bytes).end()) == at + slice_bytes:  # type: ignore[union-attr]
        at = end
        yield
    return end


def bounded(body: bytes | bytearray, at: int, slice_bytes: int) -> int:
    """Say how much to read from ``at`` on: less of deeply nested arrays, which take ten times as long as all else."""
    nested = body.rfind(b"[[[[", at, at + slice_bytes) >= 0
    return max(_LEAST_BYTES, slice_bytes // 8) if nested else slice_bytes


def _string(body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    """Get past a string whose characters begin at ``at``."""
    while True:
        stretch = body[at : at + slice_bytes]
        stop = len(stretch)
        escape = stretch.rfind(b"\\", max(0, stop - _ESCAPE_BYTES))
        if escape >= 0 and at + stop < len(body) and (escape - len(stretch[:escape].rstrip(b"\\"))) % 2 == 0:
            stop = escape  # as it may be cut in two
        end = _decoded(b'"' + stretch[:stop] + b'"')[1]
        if end < stop + 2:
            return at + end - 1
        if stop == 0:
            raise ValueError(f"expected a quote at {at}")
        at += stop
        yield


def _scalar(body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    """Get past a literal, or a number of any length."""
    if literal := _LITERAL.match(body, at):
        return literal.end()
    short = b""
    while True:
        found = _NUMERIC.match(body, at, at + slice_bytes)
        assert found is not None
        short = _DIGITS.sub(rb"\1", short + found[0])  # which takes nothing from the grammar
        at, whole = found.end(), found.end() < at + slice_bytes
        if len(short) > _NUMBER_BYTES:
            break
        if whole and FAST.raw_decode(short.decode())[1] == len(short):
            return at
        if whole:
            break
        yield
    raise ValueError(f"expected a value before {at}")


def _container(body: bytes | bytearray, at: int, slice_bytes: int) -> Skipping:
    """Get past an object or an array."""
    prefix = b""
    while True:
        size = bounded(body, at, slice_bytes)
        stretch = prefix + body[at : at + size]
        flat = stretch.replace(rb"\\", b"__").replace(rb"\"", b"__")  # places stay true
        pieces = flat.split(b'"')
        left_open = _left_open(b"".join(pieces[::2]).translate(None, _NO_BRACKET))
        if not left_open:
            return at + _decoded(stretch)[1] - len(prefix)
        if at + size >= len(body):
            raise ValueError("expected an end")
        closers = left_open[::-1].translate(_CLOSERS)
        in_object = left_open[-1] == _OPEN_BRACE
        outline = left_open[:-1].replace(b"{", b'{"":') + left_open[-1:]
        stop, suffix, state = _broken_off(flat, len(pieces) % 2 == 0, in_object)
        if stop > len(prefix):
            _expect_whole(stretch[:stop] + suffix + closers)
            at += stop - len(prefix)
            prefix = outline + state
        elif (end := (yield from blanks(body, at, slice_bytes))) > at:
            at = end
        else:
            at = yield from _scalar(body, at, slice_bytes)
            _expect_whole(prefix + b"0" + closers)
            prefix = outline + (b'"":0' if in_object else b"0")
        yield


def _left_open(brackets: bytes) -> bytes:
    """Give the brackets that are left open, outermost first; none if the first one has been closed."""
    rest = brackets[1:]
    for _ in range(4):  # the most of them, at little cost
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
    stack = bytearray(brackets[:1])
    for run in _RUNS.findall(rest):
        if run[0] in b"{[":
            stack += run
            continue
        inner = stack[-len(run) :]
        if inner.translate(_CLOSERS) != run[: len(inner)]:
            raise ValueError("brackets do not match")
        del stack[-len(run) :]
        if not stack:
            break
    return bytes(stack)


def _broken_off(flat: bytes, in_string: bool, in_object: bool) -> tuple[int, bytes, bytes]:
    """Find where a stretch can break off, what completes it there, and what the next one is to begin with.

    ``flat`` is the stretch without escaped backslashes and quotes; ``in_object`` says what its innermost bracket is.
    """
    if in_string:
        quote = flat.rindex(b'"')
        escape = flat.rfind(b"\\", max(quote, len(flat) - _ESCAPE_BYTES))
        stop = len(flat) if escape < 0 else escape
        if in_object and not _is_value(flat, quote):
            return stop, b'":0', b'"'
        return stop, b'"', b'"":"' if in_object else b'"'
    stop = len(flat.rstrip(_SCALAR))
    mark = flat[stop - 1 : stop]
    if mark == b",":
        return (stop, b'"":0', b'"":0,') if in_object else (stop, b"0", b"0,")
    if mark == b":":
        return stop, b"0", b'"":'
    if mark in (b"{", b"["):
        return stop, b"", b""
    if mark == b'"' and in_object and not _is_value(flat, flat.rindex(b'"', 0, stop - 1)):
        return stop, b":0", b'""'
    return stop, b"", b'"":0' if in_object else b"0"


def _is_value(flat: bytes, quote: int) -> bool:
    """Whether the string that begins at ``quote``, in an object, is no key."""
    return flat[:quote].rstrip(BLANKS).endswith(b":")


def _decoded(text: bytes) -> tuple[object, int]:
    try:
        found: tuple[object, int] = FAST.raw_decode(text.decode("latin-1"))
    except json.JSONDecodeError:
        raise
    except ValueError:
        return LENIENT.raw_decode(text.decode("latin-1"))
    return found


def _expect_whole(text: bytes) -> None:
    end = _decoded(text)[1]
    if end != len(text):
        raise ValueError(f"expected nothing more at {end}")
