"""An event stream is split into its events, however its bytes arrive."""

from __future__ import annotations

import time

import pytest

from ampmap.bodies.event_stream import EventReader

STREAM = b"event: a\ndata: 1\ndata: 2\n\r\n: c\r\rdata:3\r\n\r\nevent: b\rdata: 4\r\r{}\n\n"
EVENTS = [(b"a", b"1\n2"), (b":", b""), (b"", b"3"), (b"b", b"4"), (b"", b"{}")]


@pytest.mark.parametrize("size", range(1, len(STREAM) + 1))
def test_the_events_are_the_same_in_any_pieces(size: int) -> None:
    reader = EventReader()
    found = [each for at in range(0, len(STREAM), size) for each in reader.feed(STREAM[at : at + size])]

    assert [*found, *reader.finish()] == EVENTS


def test_a_long_line_behind_an_end_of_line_takes_linear_time() -> None:
    reader = EventReader()
    began = time.process_time()
    events = reader.feed(b"data: 1\n\ndata: " + b"x" * 1_000_000)

    assert events == [(b"", b"1")] and time.process_time() - began < 1
