"""Long texts and raw JSON as slices of a request's body, and how values with them are written as JSON. Pure.

Parts that pass a translation unchanged are never decoded: a long string stays a slice of the body with its escapes, and
some JSON values stay text. Both keep the body alive; the body must not change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from .json_scan import no_json
from .steps import Steps

_STEP_BYTES: Final = 64 * 1024
_STEP_ELEMENTS: Final = 100
_STEP_CHARS: Final = 64 * 1024
_WIDE_CHARS: Final = 4096
_COPIED_BYTES: Final = 16 * 1024  # a smaller slice is copied, which costs less than one more piece
_ESCAPES: Final = re.compile(  # a high surrogate and the escape after it count as one
    rb"(?:[^\\]++|\\u[dD][89abAB]..(?:\\u....|(?=[^\\]|\\[^u]))|\\u(?![dD][89abAB])....|\\[^u])*+", re.DOTALL
)
_WORDS: Final = {None: "null", True: "true", False: "false"}
_ARRAYS: Final = (list, tuple)
_quoted = json.encoder.encode_basestring
_LARGEST: Final = 1.7976931348623157e308  # the largest float (IEEE 754)


def finite(text: str) -> float:
    """Return a number; one too large for a float becomes the largest float, because JSON cannot express infinity."""
    return min(max(float(text), -_LARGEST), _LARGEST)


_DECODER: Final = json.JSONDecoder(parse_float=finite, parse_constant=no_json)
_DIGITS: Final = 4300  # the longest integer that int() reads (sys.int_info.default_max_str_digits)


def _whole(text: str) -> float:
    return int(text) if len(text) <= _DIGITS else finite(text)


_LENIENT: Final = json.JSONDecoder(parse_float=finite, parse_int=_whole, parse_constant=no_json)
_SCAN: Final = _DECODER.scan_once  # type: ignore[attr-defined]  # typeshed does not have it


def loads(data: bytes | str) -> Any:
    """Return the value of JSON in a form that can be written as JSON again. ``NaN`` raises ValueError."""
    text = data if isinstance(data, str) else data.decode("utf-8", "surrogatepass")
    try:
        value, end = _SCAN(text, 0)
    except (ValueError, StopIteration):  # no JSON, or JSON with blanks before it
        end = -1
    return value if end == len(text) else _DECODER.decode(text)


class Long:
    """A text in parts: a ``str`` is decoded text, a ``memoryview`` is a slice of a JSON string with its escapes."""

    __slots__ = ("parts",)

    def __init__(self, *parts: str | memoryview) -> None:
        self.parts = parts

    def __len__(self) -> int:
        """Return the approximate number of bytes."""
        return sum(map(len, self.parts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Long) and plain(self) == plain(other)

    def __hash__(self) -> int:
        return hash(plain(self))

    def __repr__(self) -> str:
        return f"Long({head(self, 40)!r}, {len(self)} bytes)"


Str = str | Long
"""A text of any length."""


class Raw:
    """One JSON value as its text in UTF-8, unchanged."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raw) and bytes(self.data) == bytes(other.data)

    def __hash__(self) -> int:
        return hash(bytes(self.data))

    def __repr__(self) -> str:
        return f"Raw({bytes(self.data[:60])!r})"

    def load(self) -> Any:
        """Return the value; an integer of very many digits is a float."""
        data = bytes(self.data)
        try:
            return loads(data)
        except ValueError:
            return _LENIENT.decode(data.decode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Quoted:
    """A JSON value that is written as a JSON string with the value's text, as the ``arguments`` of a call are."""

    value: Raw


@dataclass(frozen=True, slots=True)
class Unquoted:
    """The text of a JSON value, which is written as that value."""

    text: Long


def plain(text: Str) -> str:
    """Return a text as a decoded ``str``."""
    if isinstance(text, str):
        return text
    return "".join(part if isinstance(part, str) else _unescaped(bytes(part)) for part in text.parts)


def head(text: Str, chars: int) -> str:
    """Return the first ``chars`` characters of a text, without decoding the rest."""
    if isinstance(text, str):
        return text[:chars]
    found = ""
    for part in text.parts:
        if len(found) >= chars:
            break
        if isinstance(part, memoryview):
            part = _unescaped(_complete(bytes(part[: 6 * chars])) if len(part) > 6 * chars else bytes(part))
        found += part[:chars]
    return found[:chars]


def is_blank(text: Str) -> bool:
    """Tell whether a text is empty or white space."""
    return not (head(text, 64).strip() or plain(text).strip())


def joined(separator: str, texts: Iterable[Str]) -> Str:
    """Join texts with a separator, without decoding them."""
    parts: list[str | memoryview] = []
    for text in texts:
        if parts and separator:
            parts.append(separator)
        parts.extend([text] if isinstance(text, str) else text.parts)
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)  # type: ignore[arg-type]  # all() narrows no list
    return Long(*parts)


def after(text: Str, prefix: str) -> Str:
    """Return a text without the ``prefix`` with which it begins; the prefix must be ASCII."""
    if isinstance(text, str):
        return text[len(prefix) :]
    first, *others = text.parts
    # The prefix may be spelled with escapes: PHP escapes slashes.
    if isinstance(first, memoryview) and bytes(first[: len(prefix)]) != prefix.encode():
        return plain(text)[len(prefix) :]
    return Long(first[len(prefix) :], *others)


def dump(value: Any) -> list[bytes | memoryview]:
    """Return the JSON of a value in UTF-8, in pieces; the slices of Long and of large Raw are not copied.

    A lone surrogate, which UTF-8 cannot express, is written as an escape.
    """
    pieces: list[str | bytes | memoryview] = []
    _dump(value, pieces)
    try:
        return [_utf8("".join(pieces))]  # type: ignore[arg-type]  # tried, because a check of each would cost more
    except TypeError:  # not all of it is text
        pass
    found: list[bytes | memoryview] = []
    texts: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            texts.append(piece)
            continue
        if texts:
            found.append(_utf8("".join(texts)))
            texts.clear()
        found.append(piece)
    if texts:
        found.append(_utf8("".join(texts)))
    return found


def dump_in_steps(value: Any) -> Steps[list[bytes | memoryview]]:
    """Return the pieces that :func:`dump` does; writes long texts, lists and objects in steps, at any depth."""
    if not _is_wide(value):
        return dump(value)
    pieces: list[bytes | memoryview] = []
    if isinstance(value, Str):
        pieces.append(b'"')
        for part in (value,) if isinstance(value, str) else value.parts:
            if isinstance(part, memoryview):
                pieces.append(part)
                continue
            for at in range(0, len(part), _STEP_CHARS):
                pieces.append(quoted(part[at : at + _STEP_CHARS])[1:-1])
                yield
        return [*pieces, b'"']
    if isinstance(value, dict):
        for at, (key, member) in enumerate(value.items()):
            pieces += [b"," if at else b"{", *dump(key), b":", *(yield from dump_in_steps(member))]
            if at % _STEP_ELEMENTS == _STEP_ELEMENTS - 1:
                yield
        return [*pieces, b"}"]
    for at in range(0, len(value), _STEP_ELEMENTS):
        elements = value[at : at + _STEP_ELEMENTS]
        if any(map(_is_wide, elements)):
            for place, element in enumerate(elements, at):
                pieces += [b"," if place else b"[", *(yield from dump_in_steps(element))]
        else:
            first, *others = dump(elements)
            *others, last = [first[1:], *others]
            pieces += [b"," if at else b"[", *others, last[:-1]]
        yield
    return [*pieces, b"]"]


def _is_wide(value: Any) -> bool:
    """Tell whether a value has a text, a list or an object that takes more than a step to write."""
    if isinstance(value, str):
        return len(value) > _WIDE_CHARS
    if isinstance(value, dict):
        return len(value) > _STEP_ELEMENTS or any(map(_is_wide, value.values()))
    if isinstance(value, list):
        return len(value) > _STEP_ELEMENTS or any(map(_is_wide, value))
    return isinstance(value, Long) and sum(len(part) for part in value.parts if isinstance(part, str)) > _WIDE_CHARS


def _dump(value: Any, out: list[str | bytes | memoryview]) -> None:
    if isinstance(value, str):
        out.append(_quoted(value))
    elif isinstance(value, dict):
        mark = "{"
        for key, member in value.items():
            if isinstance(member, str):
                out.append(f"{mark}{_quoted(key)}:{_quoted(member)}")
            else:
                out.append(f"{mark}{_quoted(key)}:")
                _dump(member, out)
            mark = ","
        out.append("}" if value else "{}")
    elif value is None or isinstance(value, bool):
        out.append(_WORDS[value])
    elif isinstance(value, int):
        out.append(int.__repr__(value))
    elif isinstance(value, _ARRAYS):
        mark = "["
        for element in value:
            out.append(mark)
            _dump(element, out)
            mark = ","
        out.append("]" if value else "[]")
    elif isinstance(value, Raw):
        out.append(str(value.data, "utf-8") if len(value.data) < _COPIED_BYTES else value.data)
    elif isinstance(value, Long):
        out.append('"')
        out.extend(_quoted(part)[1:-1] if isinstance(part, str) else part for part in value.parts)
        out.append('"')
    elif isinstance(value, Quoted):
        out.append('"')
        out.extend(_escaped(value.value.data))
        out.append('"')
    elif isinstance(value, Unquoted):
        for part in value.text.parts:
            out.extend([part] if isinstance(part, str) else map(_utf8, stretches(part)))
    else:
        out.append(json.dumps(value))


def quoted(text: str) -> bytes:
    """Return a text as a JSON string."""
    return _quoted(text).encode("utf-8", "backslashreplace")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # JSON and Python escape a lone surrogate alike


def _escaped(data: bytes | memoryview) -> Iterator[str]:
    """Yield JSON text as the content of a JSON string, slice by slice; a slice does not end within a character."""
    at = 0
    while at < len(data):
        end = min(at + _STEP_BYTES, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield _quoted(bytes(data[at:end]).decode())[1:-1]
        at = end


def stretches(data: memoryview) -> Iterator[str]:
    """Yield the content of a JSON string decoded, slice by slice."""
    at = 0
    while at < len(data):
        end = min(at + _STEP_BYTES, len(data))
        stretch = bytes(data[at:end]) if end == len(data) else _complete(bytes(data[at:end]))
        yield _unescaped(stretch)
        at += len(stretch)


def _complete(data: bytes) -> bytes:
    """Return a slice of a JSON string without an incomplete escape, surrogate pair or character at its end."""
    found = _ESCAPES.match(data)
    assert found is not None
    end = found.end()
    lead = end - 1
    while lead > max(0, end - 4) and data[lead] & 0xC0 == 0x80:
        lead -= 1
    if end and data[lead] >= 0xC0 and end - lead < (2 if data[lead] < 0xE0 else 3 if data[lead] < 0xF0 else 4):
        end = lead
    return data[:end]


def _unescaped(data: bytes) -> str:
    return str(json.loads(b'"%b"' % data)) if b"\\" in data else data.decode()
