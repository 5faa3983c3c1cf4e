"""Walk the JSON of a request's body part by part, each with its place in the text.

Pure. The values are read by ``json``'s own scanner, so what is walked to its end is valid JSON (RFC 8259; ``NaN`` is
none), and no faster way is known to Python. One step reads one part, so others can have their turn between two: a part
that is one large string takes 1 to 3 ms for each megabyte. Everything here raises ValueError for what is no JSON, and
RecursionError for what is nested more deeply than the interpreter allows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Any, Final, NamedTuple, NoReturn

_BLANKS: Final = re.compile(r"[ \t\n\r]*+")


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


# No number is looked at, and int refuses those of more than 4300 digits.
_decoder: Final = json.JSONDecoder(parse_constant=_no_json, parse_int=float)


class Part(NamedTuple):
    """A member of an object, or an element of an array: ``text[start:end]``, its value beginning at ``at``.

    ``nth`` counts the elements of an array. A member has -1, and is followed by its elements if it was to be walked:
    then it has the value None and ends where it begins.
    """

    key: str
    start: int
    at: int
    end: int
    value: Any
    nth: int = -1


Walk = Generator[Part, None, int]  # returns the place behind what was walked


def walk(text: str, *inside: str) -> Generator[Part, None, None]:
    """Yield the members of a text that is one JSON object; of an array called as in ``inside`` the elements as well."""
    end = yield from members(text, blank(text, 0), *inside)
    if blank(text, end) != len(text):
        raise ValueError(f"expected nothing more at {end}")


def members(text: str, at: int, *inside: str) -> Walk:
    """Yield the members of the object at ``at``; of an array called as in ``inside`` the elements as well."""
    at = _expect(text, at, "{")
    if text[at : at + 1] == "}":
        return at + 1
    while True:
        start = at
        if text[at : at + 1] != '"':
            raise ValueError(f"expected a key at {at}")
        key, at = _decoder.raw_decode(text, at)
        at = _expect(text, at, ":")
        if key in inside and text[at : at + 1] == "[":
            yield Part(key, start, at, at, None)
            end = yield from elements(text, at, key)
        else:
            value, end = _decoder.raw_decode(text, at)
            yield Part(key, start, at, end, value)
        at = blank(text, end)
        if text[at : at + 1] == "}":
            return at + 1
        at = _expect(text, at, ",")


def elements(text: str, at: int, key: str = "") -> Walk:
    """Yield the elements of the array at ``at``, each with the ``key`` that the array has."""
    at = _expect(text, at, "[")
    if text[at : at + 1] == "]":
        return at + 1
    nth = 0
    while True:
        value, end = _decoder.raw_decode(text, at)
        yield Part(key, at, at, end, value, nth)
        at = blank(text, end)
        if text[at : at + 1] == "]":
            return at + 1
        at = _expect(text, at, ",")
        nth += 1


def blank(text: str, at: int) -> int:
    """Give the place of the first character from ``at`` on that is no blank, or the text's length."""
    if text[at : at + 1] > " ":  # the common case; every blank of JSON is a control character or the space
        return at
    found = _BLANKS.match(text, at)
    assert found is not None
    return found.end()


def _expect(text: str, at: int, mark: str) -> int:
    at = blank(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"expected {mark} at {at}")
    return blank(text, at + 1)
