"""Request bodies decoded in short steps, within a limit; what cannot be read is refused by its name."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.errors import BadRequest, BodyTooLarge, UnsupportedMediaType
from ampmap.http.decoding import coding_of, refuse_wide, scan_decoded

MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "raw deflate": raw_deflate,
}


def decoded(data: bytes, coding: str, limit: int = 64 * MIB) -> tuple[bytes, int]:
    """Return a decoded body, and how often others had their turn meanwhile."""
    steps = scan_decoded(bytearray(data), coding, limit)
    turns = 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return bytes(done.value), turns
        turns += 1


@pytest.mark.parametrize("packer", PACKERS)
@given(data=st.binary() | st.integers(0, 300_000).map(lambda count: random.Random(count).randbytes(count)))
def test_what_was_packed_is_decoded(packer: str, data: bytes) -> None:
    assert data == decoded(PACKERS[packer](data), "gzip" if packer == "gzip" else "deflate")[0]


@pytest.mark.parametrize("count", [1, 5 * MIB])
def test_gzip_may_have_several_members(count: int) -> None:
    data = bytes(count)

    assert data + b"x" + data == decoded(b"".join(map(gzip.compress, (data, b"", b"x", data))), "gzip")[0]


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("spoil", [lambda body: body[:-1], lambda body: body[:1], lambda body: body + b"{}"])
def test_what_is_damaged_is_refused(packer: str, spoil: Callable[[bytes], bytes]) -> None:
    coding = "gzip" if packer == "gzip" else "deflate"
    with pytest.raises(BadRequest, match=f"not valid {coding}"):
        decoded(spoil(PACKERS[packer](b'{"model": "m"}' * 9)), coding)


@given(st.binary(min_size=1), st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_decoded_or_refused(data: bytes, coding: str) -> None:
    try:
        decoded(data, coding)
    except BadRequest as exc:
        assert coding in str(exc)


def test_the_limit_is_that_of_the_decoded_body() -> None:
    packed = gzip.compress(bytes(100_000))

    assert 100_000 == len(decoded(packed, "gzip", 100_000)[0])
    with pytest.raises(BodyTooLarge, match=r"larger than 99999 bytes \(limits.model-body-bytes\)"):
        decoded(packed, "gzip", 99_999)


def test_a_bomb_takes_no_more_memory_and_work_than_the_limit() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(200)) + packer.flush()
    steps = scan_decoded(bytearray(bomb), "gzip", MIB)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            for turns, _ in enumerate(steps):  # noqa: B007
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert turns <= MIB // 65_536 + 1
    assert peak < 1.5 * MIB


@pytest.mark.parametrize(
    ("packed", "least"),
    [
        (gzip.compress(bytes(5 * MIB)), 79),
        (gzip.compress(random.Random(0).randbytes(5 * MIB)), 79),
        (gzip.compress(b"") * 10_000, 156),  # which decode to nothing at all
    ],
)
def test_others_have_their_turn_while_a_body_is_decoded(packed: bytes, least: int) -> None:
    assert least <= decoded(packed, "gzip")[1]


@pytest.mark.parametrize(
    ("lines", "coding"),
    [
        ([], ""),
        ([b""], ""),
        ([b"identity"], ""),
        ([b"GZIP"], "gzip"),
        ([b" x-gzip "], "gzip"),
        ([b"deflate"], "deflate"),
        ([b"identity, gzip,"], "gzip"),
    ],
)
def test_one_coding_is_accepted(lines: list[bytes], coding: str) -> None:
    headers = [(b"Content-Type", b"application/json; charset=utf-8"), *((b"Content-Encoding", line) for line in lines)]

    assert coding == coding_of(headers)


@pytest.mark.parametrize(
    ("lines", "name"),
    [([b"br"], "'br'"), ([b"zstd"], "'zstd'"), ([b"gzip, gzip"], "'gzip, gzip'"), ([b"deflate", b"gzip"], "gzip'")],
)
def test_other_codings_are_refused_by_name_and_told_what_is_accepted(lines: list[bytes], name: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=name) as caught:
        coding_of([(b"Content-Encoding", line) for line in lines])

    assert "send it with gzip or deflate (one coding only), or without Content-Encoding" in str(caught.value)


@pytest.mark.parametrize("charset", ["utf-16", '"UTF-16LE"', "utf-32be", " Utf-32", "utf16"])
def test_a_wide_charset_is_refused_by_name(charset: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=charset.strip(' "').upper()):
        coding_of([(b"Content-Type", b"application/json; Charset=" + charset.encode())])


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-16", "utf-160", "x-utf-16"])
def test_other_charsets_pass(charset: str) -> None:
    assert "" == coding_of([(b"Content-Type", b"application/json; charset=" + charset.encode())])


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["{}", ' \r\n{"model": "m"}', "\ufeff{}", "[1]", '"x"'])
def test_wide_text_is_recognised_by_its_bytes(codec: str, text: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=codec[:6].upper()):
        refuse_wide(bytearray(text.encode(codec)))


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"\xef\xbb\xbf{}", b' {"a\0": 1}', gzip.compress(b"{}"), b"\0\1\2"])
def test_what_is_not_wide_passes(body: bytes) -> None:
    refuse_wide(body)


@given(st.text(min_size=1))
def test_no_json_in_utf_8_is_taken_for_wide(text: str) -> None:
    if not text.startswith("\0"):
        refuse_wide(b'{"' + text.encode("utf-8", "replace"))
