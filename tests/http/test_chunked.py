"""Plain chunks, read without h11: the same content, end, rest and errors as h11 gives, wherever the bytes are cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import h11
import pytest
from chunkreader import ANSWERED, ASKED, LIMITS, reader
from hypothesis import given
from hypothesis import strategies as st

from ampmap.errors import BadRequest, ExchangeError, HeadTooLarge, UpstreamProtocolError
from ampmap.http.chunked import PlainChunks
from ampmap.http.headers import trailers
from ampmap.settings import Limits

FOOTER = "malformed chunk footer"


@dataclass
class Read:
    """What came of a body, piece by piece: its content as far as it was read, its end, an error."""

    contents: list[bytes] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    done: bool = False
    rest: bytes = b""
    error: str = ""


def by_h11(pieces: Iterable[bytes], head: bytes = ANSWERED) -> Read:
    """Read a body with h11 alone."""
    role = h11.CLIENT if head is ANSWERED else h11.SERVER
    conn = h11.Connection(role, max_incomplete_event_size=LIMITS.head_bytes)
    conn.receive_data(head)
    conn.next_event()
    read = Read()
    for piece in pieces:
        if read.done:
            read.rest += piece
            continue
        conn.receive_data(piece)
        found = bytearray()
        try:
            while type(event := conn.next_event()) is h11.Data:
                found += event.data
        except h11.RemoteProtocolError as exc:
            read.error = str(exc).split(":")[0].split(" bytearray")[0]
            return read
        read.contents.append(bytes(found))
        if type(event) is h11.EndOfMessage:
            read.done, read.rest = True, conn.trailing_data[0]
            read.trailers = trailers(event.headers.raw_items())
    return read


def by_us(pieces: Iterable[bytes], head: bytes = ANSWERED) -> Read:
    """Read a body as ``wire`` does."""
    body, read = reader(head), Read()
    for piece in pieces:
        if body.done:
            read.rest += piece
            continue
        try:
            read.contents.append(body.feed(piece))
        except ExchangeError as exc:
            assert type(exc) in (UpstreamProtocolError, BadRequest, HeadTooLarge)
            read.error = str(exc).partition("HTTP/1.1: ")[2] or "Receive buffer too long"
            return read
        read.done, read.rest, read.trailers = body.done, body.rest, body.trailers
    return read


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut a body at these places."""
    return [data[a:b] for a, b in pairwise([0, *sorted(set(places) - {0, len(data)}), len(data)]) if a < b]


BODIES = (
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
    b"A\r\n0123456789\r\n1\r\n\r\r\n2\r\n\r\n\r\n0\r\n\r\n",
    b"00000003\r\nabc\r\n000000003\r\nabc\r\n0\r\n\r\n",
    b"3;x=y\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n",
    b"3;\r\r\nabc\r\n3;x\r\ry\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\nrest",
    b"3\r\nabc\r\n00\r\n\r\nrest",
    b"3\r\nabc\r\n0;x\r\nA: b\r\nTrailer: x\r\n\r\nrest",
    b"3\r\nabc\r\n0\r\n\nrest",
    b"3\r\nabc\r\n0\n\nrest",
    b"3\nabc\n0\n\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"3\r\nabc\n0\r\n\r\n",
    b"3\r\nabc\rx\n0\r\n\r\n",
    b"3\r\nab\r\n0\r\n\r\n",
    b"3\r\nabc\r\n\r\n0\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX : y\r\n\r\n",
    b"3\r\nabc\r\n0\r\n folded\r\n\r\n",
    b"+3\r\nabc\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b"3_0\r\nabc\r\n",
    b"\r\n3\r\nabc\r\n",
    b" 3\r\nabc\r\n",
    b"-1\r\nabc\r\n",
    b"\xd9\xa3\r\nabc\r\n",
    b"100000000\r\nabc",
    b"123456789012345678901\r\nabc",
    b"3\rx\r\nabc\r\n",
    b"f" * 70,
    b"3\r\nabc\r\n;" + b"x" * 70,
    b"0\r\nX: " + b"x" * 70,
)


@pytest.mark.parametrize("head", [ASKED, ANSWERED], ids=["request", "reply"])
@pytest.mark.parametrize("body", BODIES)
def test_chunks_are_read_as_h11_reads_them_wherever_they_are_cut(body: bytes, head: bytes) -> None:
    places = range(1, len(body))
    cuts = [(), *((place,) for place in places), *combinations(places[:18], 2), tuple(places)]
    for chosen in cuts:
        pieces = cut(body, chosen)
        assert by_h11(pieces, head) == by_us(pieces, head), pieces


def plain(data: bytes) -> bytes:
    """Frame a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


STRANGE = (
    b"3;x\r\nabc\r\n", b"3\t\r\nabc\r\n", b"0\r\n\r\n", b"0\r\n\n", b"0\r\nA: b\r\n\r\n", b"5\r\nab\r\n", b"\r\n", b"\r"
)  # fmt: skip
CHUNKS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=40).map(plain),
        st.sampled_from(STRANGE),
        st.text("0123456789abcdefABCDEF\r\n;x", max_size=6).map(str.encode),
    ),
    max_size=6,
).map(b"".join)


@given(CHUNKS, st.lists(st.integers(0, 200), max_size=8), st.sampled_from([ASKED, ANSWERED]))
def test_whatever_comes_is_read_as_h11_reads_it(body: bytes, places: list[int], head: bytes) -> None:
    pieces = cut(body, [place for place in places if place < len(body)])

    assert by_h11(pieces, head) == by_us(pieces, head)


@given(CHUNKS, st.lists(st.integers(0, 200), max_size=8))
def test_a_piece_taken_or_refused_as_plain_changes_nothing(body: bytes, places: list[int]) -> None:
    """A piece that ``plain`` takes is one that ``feed`` would have taken; one that it refuses can be fed."""
    pieces = cut(body, [place for place in places if place < len(body)])
    fed, mixed = reader(), reader()
    for piece in pieces:
        if fed.done:
            return
        try:
            wanted = fed.feed(piece)
        except UpstreamProtocolError as exc:
            assert mixed.plain(piece) is None
            with pytest.raises(UpstreamProtocolError, match=str(exc)):
                mixed.feed(piece)
            return
        taken = mixed.plain(piece)
        assert wanted == (mixed.feed(piece) if taken is None else taken)
        assert (fed.done, fed.rest, fed.trailers) == (mixed.done, mixed.rest, mixed.trailers)
        if taken is not None and mixed.whole:
            alone = reader()
            assert (taken, False) == (alone.feed(piece + b"0\r\n"), alone.done)
            assert b"" == alone.feed(b"\r\n")
            assert (True, b"") == (alone.done, alone.rest)


@pytest.mark.parametrize(
    ("before", "data", "content", "whole"),
    [
        (b"", b"3\r\nabc\r\n", b"abc", True),
        (b"", b"3\r\nabc\r\n2\r\nde\r\n", b"abcde", True),
        (b"", b"3\r\nabc\r\n2", b"abc", False),
        (b"", b"3\r\nab", b"ab", False),
        (b"", b"3\r\nabc\r", b"abc", False),
        (b"5\r\nab", b"cde\r\n", b"cde", False),
        (b"5\r\nabcde", b"\r\n", b"", False),
        (b"5\r\nabcde\r", b"\n3\r\nfgh\r\n", b"fgh", False),
        (b"3", b"\r\nabc\r\n", b"abc", False),
        (b"", b"3\r\nabc\r\n0\r\n\r\n", None, True),
        (b"", b"0\r\n", None, True),
        (b"", b"3\r\nabcd\r\n", None, True),
        (b"5\r\nabcde\r", b"x", None, False),
    ],
)
def test_a_piece_says_whether_it_was_made_of_whole_chunks(
    before: bytes, data: bytes, content: bytes | None, whole: bool
) -> None:
    chunks = PlainChunks()
    chunks.take(b"1\r\nx\r\n")
    assert chunks.whole
    if before:
        chunks.take(before)

    assert content == chunks.take(data)
    assert whole == chunks.whole


def test_behind_a_chunk_that_few_would_write_so_the_quick_reader_goes_on() -> None:
    body = reader()

    assert b"abc" == body.feed(b"000000003\r\nabc\r\n")
    assert b"de" == body.feed(b"2\r\nde\r\n")
    assert b"fg" == body.plain(b"2\r\nfg\r\n")
    assert b"hi" == body.plain(b"2;x=y\r\nhi\r\n")
    assert not body.whole  # a client is not sent extensions
    assert b"jk" == body.plain(b"2\r\njk\r\n")
    assert body.whole


def test_trailers_beyond_the_limits_are_refused() -> None:
    lines = b"".join([b"A%d: b\r\n" % number for number in range(12)])

    with pytest.raises(HeadTooLarge):
        reader(ASKED, Limits(head_bytes=60)).feed(b"1\r\nx\r\n0\r\n" + lines + b"\r\n")
    with pytest.raises(HeadTooLarge):
        reader(ASKED, Limits(header_count=8)).feed(b"1\r\nx\r\n0\r\n" + lines + b"\r\n")
    with pytest.raises(UpstreamProtocolError, match=r"trailers have more than 8 lines \(limits.header-count\)"):
        reader(ANSWERED, Limits(header_count=8)).feed(b"1\r\nx\r\n0\r\n" + lines + b"\r\n")
