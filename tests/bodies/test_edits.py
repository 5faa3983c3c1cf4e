"""Edits by splice: made where they say, whatever their order, and a large body is not copied."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ampmap.bodies.edits import cut


@given(st.sampled_from([0, 10, 20_000]), st.lists(st.integers(0, 20), max_size=8), st.booleans())
def test_edits_are_made_where_they_say(size: int, places: list[int], mutable: bool) -> None:
    body = bytes(i % 251 for i in range(size))
    bounds = [min(size, place) for place in sorted(places)]
    edits = [(a, b, b"new") for a, b in zip(bounds[::2], bounds[1::2], strict=False)]
    expected = bytearray(body)
    for start, end, instead in reversed(edits):
        expected[start:end] = instead

    assert expected == b"".join(cut(bytearray(body) if mutable else body, reversed(edits)))


def test_a_large_body_is_not_copied() -> None:
    body = bytes(100_000)

    pieces = cut(body, [(0, 10, b""), (50, 60, b"new")])

    assert [40, 3, 99_940] == [len(piece) for piece in pieces]
    assert [piece.obj for piece in pieces if isinstance(piece, memoryview)] == [body, body]
