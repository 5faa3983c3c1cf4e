"""Replies that are gzip without saying so: decoded as they stream, at every cut; what is not whole passes or raises."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import examples

from ampmap.amp.gunzip import (
    HELD_BYTES,
    PIECE_BYTES,
    PROVED_BYTES,
    Gunzip,
    begins_gzip,
    could_be_gzip,
)
from ampmap.errors import UpstreamProtocolError

TEXT = b'{"ok":true,"result":{"id":"user_1","email":"a@example.org","features":[]}}\n' * 40
NOISE = random.Random(1).randbytes(300_000)  # does not compress, so that many pieces come of it
ZIPPED = gzip.compress(TEXT, mtime=0)
ENDS = pytest.mark.parametrize("known_last", [True, False])


def gunzipped(pieces: Iterable[bytes], *, known_last: bool = False) -> tuple[bytes, bool | None]:
    """Feed a body as a relay does: what came of it, and whether it was taken for gzip."""
    gunzip, left = Gunzip(), b""
    pieces = list(pieces)
    for number, piece in enumerate(pieces, 1):
        before = gunzip.is_gzip
        for out in gunzip.feed(piece, last=known_last and number == len(pieces)):
            assert out
            assert gunzip.is_gzip is not None
            assert len(out) <= PIECE_BYTES or not gunzip.is_gzip
            left += out
        assert before is None or before is gunzip.is_gzip
    if not (known_last and pieces):
        left += gunzip.finish()
    return left, gunzip.is_gzip


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted(places), len(body)]
    return [body[a:b] for a, b in pairwise(bounds)]


# --- whether a reply may be looked at ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "may_be"),
    [
        ([], True),
        ([(b"Content-Type", b"application/json"), (b"Content-Length", b"18")], True),
        ([(b"content-length", b"17")], False),
        ([(b"Content-Encoding", b"gzip")], False),
        ([(b"content-encoding", b"")], True),
        ([(b"Content-Encoding", b"identity")], True),
        ([(b"Content-Encoding", b"utf-8")], True),
        ([(b"Content-Type", b"application/gzip")], False),
        ([(b"Content-Type", b"Application/X-GZIP")], False),
        ([(b"Content-Type", b"application/x-gtar")], False),
        ([(b"Content-Type", b"application/x-tgz; charset=binary")], False),
        ([(b"Content-Type", b"application/x-tar+gzip")], False),
        ([(b"Content-Type", b"application/x-compressed-tar")], False),
        ([(b"Content-Type", b"application/zip")], True),
        ([(b"Content-Disposition", b'attachment; filename="logs.tar.gz"')], False),
        ([(b"Content-Disposition", b"attachment; filename=logs.tgz; size=9")], False),
        ([(b"Content-Disposition", b'attachment; filename="thread.json"')], True),
        ([(b"Content-Type", b"Text/Event-Stream; charset=utf-8")], False),
        ([(b"Content-Range", b"bytes 0-9/40")], False),
    ],
)
def test_only_a_whole_reply_without_coding_that_is_no_gzip_file_may_be_gzip(
    headers: list[tuple[bytes, bytes]], may_be: bool
) -> None:
    assert may_be == could_be_gzip(headers)


@pytest.mark.parametrize(
    ("first", "begins"),
    [(b"", None), (b"\x1f", None), (b"\x1f\x8b", True), (b"\x1f\x8b\x08", True), (b"\x1f\x8c", False), (b"{", False)],
)
def test_two_bytes_tell_gzip(first: bytes, begins: bool | None) -> None:
    """RFC 1952 §2.3.1: ID1 and ID2."""
    assert begins is begins_gzip(first)


# --- decoding ---------------------------------------------------------------------------------------------------------


@ENDS
@pytest.mark.parametrize("members", [1, 3])
def test_gzip_is_decoded_at_every_cut(members: int, known_last: bool) -> None:
    body = ZIPPED * members

    for at in range(len(body) + 1):
        assert (TEXT * members, True) == gunzipped(cut(body, [at]), known_last=known_last), at


@ENDS
def test_gzip_is_decoded_byte_by_byte(known_last: bool) -> None:
    body = ZIPPED + gzip.compress(b"") + ZIPPED

    assert (TEXT * 2, True) == gunzipped(cut(body, range(1, len(body))), known_last=known_last)


@ENDS
def test_gzip_of_nothing_is_nothing(known_last: bool) -> None:
    assert (b"", True) == gunzipped([gzip.compress(b"")], known_last=known_last)


@given(st.lists(st.integers(0, 100_000), max_size=6), st.binary(max_size=3), st.booleans())
@settings(max_examples=60)
def test_anything_compressed_comes_out_as_it_went_in(places: list[int], head: bytes, known_last: bool) -> None:
    plain = head + NOISE[:90_000] + TEXT * 30
    body = gzip.compress(plain)

    assert (plain, True) == gunzipped(cut(body, [p % len(body) for p in places]), known_last=known_last)


def test_what_is_decoded_leaves_before_the_end() -> None:
    """A reply that is flushed now and then arrives now and then."""
    encoder = zlib.compressobj(wbits=31)
    gunzip = Gunzip()

    for number in range(5):
        line = b"line %d\n" % number
        piece = encoder.compress(line) + encoder.flush(zlib.Z_SYNC_FLUSH)
        assert [line] == list(gunzip.feed(piece))


# --- no gzip ----------------------------------------------------------------------------------------------------------


@ENDS
@pytest.mark.parametrize("body", [b"", b"\x1f", b"\x1f\x8c rest", b"{}", b"x" * 200_000, b"\x1f" * 3])
def test_what_is_no_gzip_passes_at_once(body: bytes, known_last: bool) -> None:
    for at in {0, 1, 2, len(body)}:
        assert (body, False) == gunzipped(cut(body, [min(at, len(body))]), known_last=known_last)


def test_one_byte_that_could_begin_gzip_waits_for_the_next() -> None:
    gunzip = Gunzip()

    assert [] == list(gunzip.feed(b"\x1f"))
    assert gunzip.is_gzip is None
    assert [b"\x1f{"] == list(gunzip.feed(b"{"))
    assert gunzip.is_gzip is False
    piece = b"more"
    assert next(gunzip.feed(piece)) is piece


# --- damage -----------------------------------------------------------------------------------------------------------

DAMAGED = {
    "header": b"\x1f\x8b\x07" + ZIPPED[3:],
    "check": ZIPPED[:-8] + b"\0\0\0\0" + ZIPPED[-4:],
    "size": ZIPPED[:-4] + b"\0\0\0\0",
    "garbage": ZIPPED + b"garbage",
    "zeros": ZIPPED + bytes(8),
    "half a member": ZIPPED + ZIPPED[:30],
    "cut short": ZIPPED[:-1],
    "nothing behind the header": ZIPPED[:10],
    "two bytes": ZIPPED[:2],
}


@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_reply_in_one_piece_passes_as_it_came(body: bytes) -> None:
    assert (body, False) == gunzipped([body], known_last=True)


@pytest.mark.parametrize("name", ["header", "check", "size", "garbage", "zeros"])
def test_damage_in_the_first_piece_lets_all_pass_as_it_came(name: str) -> None:
    body = DAMAGED[name]

    assert (body + b"more" * 2, False) == gunzipped([body, b"more", b"more"])


@ENDS
@pytest.mark.parametrize("name", ["check", "size", "garbage", "half a member", "cut short"])
def test_damage_after_something_left_raises(name: str, known_last: bool) -> None:
    body = DAMAGED[name]
    first = len(ZIPPED) - 9

    with pytest.raises(UpstreamProtocolError, match="gzip"):
        gunzipped([body[:first], body[first:]], known_last=known_last)


@ENDS
@pytest.mark.parametrize("name", DAMAGED)
def test_damage_never_looks_whole_at_any_cut(name: str, known_last: bool) -> None:
    """Either all passes as it came, or the connection is cut."""
    body = DAMAGED[name]
    for at in range(len(body) + 1):
        try:
            result = gunzipped(cut(body, [at]), known_last=known_last)
        except UpstreamProtocolError:
            continue
        assert (body, False) == result, at


@given(st.integers(0, 10**6), st.integers(1, 255), st.lists(st.integers(0, 10**6), max_size=4), st.booleans())
@settings(max_examples=examples(300))
def test_one_changed_byte_is_noticed_or_harmless(place: int, change: int, places: list[int], known_last: bool) -> None:
    body = bytearray(ZIPPED)
    body[place % len(body)] ^= change
    try:
        left, was_gzip = gunzipped(cut(bytes(body), [p % len(body) for p in places]), known_last=known_last)
    except UpstreamProtocolError:
        return

    assert (left, was_gzip) in ((bytes(body), False), (TEXT, True))


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [PROVED_BYTES // 2, 64 * 1024 * 1024])
def test_a_bomb_is_decoded_piece_by_piece_in_little_memory(size: int) -> None:
    body = gzip.compress(bytes(size))
    gunzip, left = Gunzip(), 0

    tracemalloc.start()
    try:
        for piece in gunzip.feed(body, last=True):
            left += len(piece)
            assert len(piece) <= PIECE_BYTES
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert size == left
    assert peak < PROVED_BYTES + 8 * PIECE_BYTES


def test_damage_behind_much_is_met_later() -> None:
    """What is decoded before anything leaves has a bound."""
    body = gzip.compress(bytes(4 * PROVED_BYTES))[:-8] + bytes(8)
    left = 0

    with pytest.raises(UpstreamProtocolError):
        for piece in Gunzip().feed(body, last=True):
            left += len(piece)
    assert left >= PROVED_BYTES


def test_a_header_without_end_is_held_only_so_far() -> None:
    """RFC 1952 §2.3: FNAME ends with a zero byte, or not at all."""
    header = b"\x1f\x8b\x08\x08" + bytes(6)
    gunzip = Gunzip()

    assert [] == list(gunzip.feed(header + b"x" * (HELD_BYTES - len(header))))
    assert gunzip.is_gzip is None
    assert [HELD_BYTES + 1] == [len(piece) for piece in gunzip.feed(b"x")]
    assert gunzip.is_gzip is False


def test_an_end_known_late_still_tells_whether_all_was_there() -> None:
    gunzip = Gunzip()
    assert TEXT == b"".join(gunzip.feed(ZIPPED))

    assert b"" == gunzip.finish()


def test_all_that_can_be_decoded_leaves_at_once() -> None:
    """Also where a step's limit falls into what the last byte of the input stands for."""
    for size in (PIECE_BYTES + 1, PIECE_BYTES + 100, 2 * PIECE_BYTES + 200):
        body = gzip.compress(bytes(size))
        for at in range(20, len(body)):
            decodable = len(zlib.decompressobj(wbits=31).decompress(body[:at]))
            assert decodable == sum(map(len, Gunzip().feed(body[:at]))), (size, at)
