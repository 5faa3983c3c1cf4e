"""A limit on the values in JSON that a provider sent: in an event, in a whole reply, in a call's arguments. Pure.

A provider can pack millions of values into the bytes that a reply may have. To read them would block the event loop and
take twenty times their bytes.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..bodies.texts import loads
from ..errors import UpstreamProtocolError

VALUES: Final = 50_000
"""The most values that are read at once; to read them takes a few milliseconds."""

LARGE_BYTES: Final = 2 * VALUES
"""JSON of no more bytes cannot have so many values."""

# One that lacks its end takes all that follows: otherwise each quote in it would begin another search for the end.
_STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_STRINGS: Final = re.compile(_STRING.encode(), re.DOTALL)
_STRINGS_OF_TEXT: Final = re.compile(_STRING, re.DOTALL)
_DIGITS: Final = 500  # in a row: to read a number takes longer than in proportion to them


def refuse_many(data: bytes | str) -> None:
    """Raise :class:`UpstreamProtocolError` for large JSON of more than VALUES values, or with very long numbers.

    It need not be valid.
    """
    if len(data) <= LARGE_BYTES or not (_signs(data) > VALUES or _has_long_number(data)):
        return
    if isinstance(data, bytes):
        data, strings = _STRINGS.subn(b"", data, count=VALUES + 1)
    else:
        data, strings = _STRINGS_OF_TEXT.subn("", data, count=VALUES + 1)
    if strings > VALUES or _signs(data) > VALUES:
        raise UpstreamProtocolError(f"its reply has more than {VALUES} values in one piece")
    if _has_long_number(data):
        raise UpstreamProtocolError("its reply has a number of hundreds of digits")


def _has_long_number(data: bytes | str) -> bool:
    """Tell whether there are twice _DIGITS in a row; some shorter rows count as well."""
    return any(data[at : at + _DIGITS].isdigit() for at in range(0, len(data), _DIGITS))


def bounded_loads(data: bytes | str) -> Any:
    """Return what :func:`~ampmap.bodies.texts.loads` does; raises as it does, and as :func:`refuse_many` does."""
    refuse_many(data)
    return loads(data)


def _signs(data: bytes | str) -> int:
    if isinstance(data, bytes):
        return data.count(b",") + data.count(b"[") + data.count(b"{")
    return data.count(",") + data.count("[") + data.count("{")
