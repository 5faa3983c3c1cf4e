"""Find heads and trailers that would take long to read, before they are read: the peer decides what they hold.

Pure; ``parser`` is the caller and refuses them.
"""

from __future__ import annotations

import re
from typing import Final

from ..escaping import counted
from ..settings import Limits
from .headers import Headers, values

_SECTION_END: Final = re.compile(rb"\n\r?\n")  # as h11 finds it
_LINES: Final = 500  # above the usual limit, and few enough for h11 to read them in two milliseconds
_LISTS: Final = (b"connection", b"expect", b"upgrade")
_LIST_BYTES: Final = 4096  # far more than any of these has
_LONG: Final = f"a list of more than {_LIST_BYTES} bytes"
_LIST: Final = re.compile(rb"(?i)\n(?:%b):(?:[^\n]|\n[ \t])*+" % b"|".join((*_LISTS, b"transfer-encoding")))


def has_many_lines(data: bytes, limits: Limits) -> bool:
    """Tell whether ``data`` begins with a complete section of far too many lines; h11 would first read all of them."""
    end = _end_of(data)
    return data.count(b"\n", 0, end) > max(limits.header_count, _LINES)


def fault_of(data: bytes, fields_at: int) -> str | None:
    """Return the fault of the complete section that ``data`` begins with, if h11 would take long to find it.

    For a line with a byte that no field may hold, and many blanks, its pattern takes time by the square of the blanks;
    and it takes lists apart before anybody can measure them. ``fields_at`` is the line at which the fields begin.
    """
    fields = data[data.find(b"\n") if fields_at else 0 : _end_of(data)]
    odd = b"\0" in fields or b"\v" in fields or b"\f" in fields
    if odd or fields.count(b"\r") > fields.count(b"\r\n") + fields.endswith(b"\r"):
        return "illegal header line"
    if len(fields) > _LIST_BYTES and sum(len(found[0]) for found in _LIST.finditer(fields)) > _LIST_BYTES:
        return _LONG
    return None


def _end_of(data: bytes) -> int:
    """Return where the last line of the section ends; 0 while it is not complete, or where it has no lines."""
    if data.startswith((b"\r\n", b"\n")) or not (end := _SECTION_END.search(data)):
        return 0
    return end.start()


def long_list(fields: Headers, fed: int) -> str | None:
    """Return the fault of a list that would take long to split; ``fed`` is about the length of the head."""
    if fed > _LIST_BYTES and any(sum(map(len, values(fields, name))) > _LIST_BYTES for name in _LISTS):
        return _LONG
    return None


def over(limits: Limits, lines: int, size: int) -> str:
    """Return the limit that a head or trailers are over, with its setting; empty where they keep to both."""
    if lines > limits.header_count:
        return f"{counted(limits.header_count, 'line')} (limits.header-count)"
    return f"{counted(limits.head_bytes, 'byte')} (limits.head-bytes)" if size > limits.head_bytes else ""


def size_of(lines: Headers) -> int:
    """Return how many bytes field lines take at least."""
    return sum([len(name) + len(content) + 3 for name, content in lines])  # a colon and CRLF; no blank is needed
