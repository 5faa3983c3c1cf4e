"""How a message is cut into writes: nothing is lost, little is copied, and nothing small leaves alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.http.connection import SLICE_BYTES, writes

JOIN_BYTES = 65_536
SIZES = st.sampled_from([0, 1, 9, 1000, JOIN_BYTES - 101, JOIN_BYTES - 100, JOIN_BYTES, SLICE_BYTES, SLICE_BYTES + 1])


@given(st.integers(1, JOIN_BYTES + 1), st.lists(st.tuples(SIZES, st.integers(0, 3)), max_size=6))
def test_nothing_is_lost_and_no_write_is_too_large(head_bytes: int, sizes: list[tuple[int, int]]) -> None:
    head = b"h" * head_bytes
    parts = [bytes([97 + number]) * (size * (1 + times)) for number, (size, times) in enumerate(sizes)]
    found = list(writes(head, parts))

    assert head + b"".join(parts) == b"".join(found)
    assert all(0 < len(data) <= SLICE_BYTES for data in found)
    assert bytes(found[0]).startswith(head)
    for one, other in pairwise(found):
        assert len(one) + len(other) > JOIN_BYTES


@pytest.mark.parametrize("count", [0, 1, JOIN_BYTES - 100])
def test_what_is_small_leaves_in_one_write(count: int) -> None:
    assert [b"h" * 100 + bytes(count)] == list(writes(b"h" * 100, [bytes(count)]))


def test_a_new_name_at_the_beginning_does_not_leave_alone() -> None:
    body = bytes(1_000_000)
    found = list(writes(b"head", [memoryview(body)[:10], b'"name"', memoryview(body)[20:]]))

    assert [JOIN_BYTES, SLICE_BYTES, SLICE_BYTES, SLICE_BYTES] == [len(data) for data in found[:4]]
    assert 5 == len(found)


def test_a_new_name_at_the_end_leaves_with_what_is_around_it() -> None:
    body = bytes(JOIN_BYTES + SLICE_BYTES + 1000)
    found = list(writes(b"head", [memoryview(body)[:-10], b'"name"', memoryview(body)[-1:]]))

    assert [JOIN_BYTES, SLICE_BYTES, 1001] == [len(data) for data in found]


def test_of_what_is_large_only_the_edges_are_copied() -> None:
    body = bytearray(1_000_000)
    found = list(writes(b"head", [body]))

    assert all(isinstance(data, memoryview) and data.obj is body for data in found[1:])
