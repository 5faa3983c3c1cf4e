"""Rows of text as the aligned lines of a table. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

NAME_CHARS = 40
"""The most characters of a model's name in a table."""


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = (0,)) -> Iterator[str]:
    """Yield one line for each row, of which there is at least one; the columns in ``right`` are aligned there."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = enumerate(zip(row, widths, strict=True))
        yield "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width) for place, (cell, width) in cells
        ).rstrip()
