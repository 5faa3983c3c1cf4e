"""Tables with a row for each of a kind, such as a wire format: whoever adds one is told where a row is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

_T = TypeVar("_T")


class Rows(dict[str, _T]):
    """A table that says how it is to be completed; ``place`` is its file and name, ``what`` one row's contents."""

    def __init__(self, place: str, what: str, rows: Mapping[str, _T]) -> None:
        super().__init__(rows)
        self._wanted = f"{place} has no row for {{!r}}: add {what}"

    def __missing__(self, name: str) -> _T:
        raise AssertionError(self._wanted.format(name))
