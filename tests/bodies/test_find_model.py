"""The top-level model of a request body: found as a strict JSON parser sees it, replaced without touching another byte.

The oracle is ``json`` with every pair kept. Slices of a few bytes let a slice's end fall on every byte of a body.
"""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonbodies import OBJECTS, Pairs, serialised
from samples import examples
from turnlengths import BestOf, steps_of

from ampmap.bodies.edits import Piece, edited
from ampmap.bodies.find_model import (
    NAME_BYTES,
    ModelSpan,
    find_model,
    scan_model,
)
from ampmap.errors import BadRequest

SLICES = (1, 2, 7, 33, 100, 64 * 1024)
REFUSED = "refused"


def expected(body: bytes) -> str | None:
    """What a strict parser makes of a valid body: a name, None, or REFUSED. ValueError: the body is not valid JSON."""

    def no_constant(text: str) -> None:
        raise ValueError(text)

    root = json.loads(body.decode(), object_pairs_hook=Pairs, parse_constant=no_constant)
    if not isinstance(root, Pairs):
        return None
    models = [value for key, value in root if key == "model"]
    if len(models) != 1:
        return REFUSED if models else None
    if isinstance(models[0], Pairs) or not isinstance(models[0], str):
        return None
    if len(models[0].encode("utf-8", "surrogatepass")) > NAME_BYTES:
        return REFUSED
    if any("\ud800" <= char <= "\udfff" for char in models[0]):
        return None
    return models[0] if models[0].strip() else None


def found(body: bytes | bytearray, slice_bytes: int) -> str | None:
    try:
        span = find_model(body, slice_bytes=slice_bytes)
    except BadRequest:
        return REFUSED
    if span is None:
        return None
    assert span.name == json.loads(bytes(body[span.start : span.end]))
    return span.name


def joined(pieces: list[Piece]) -> bytes:
    return b"".join(pieces)


@given(OBJECTS, st.integers(), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from(SLICES))
@settings(max_examples=examples(600))
def test_every_valid_body_is_read_as_a_strict_parser_reads_it(
    value: Any, seed: int, fancy: float, slice_bytes: int
) -> None:
    """Any order, depth, spelling and white space, cut into slices anywhere."""
    body = serialised(value, random.Random(seed), fancy)

    assert expected(body) == found(body, slice_bytes)
    assert expected(body) == found(bytearray(body), slice_bytes)


@given(OBJECTS, st.integers(), st.text(max_size=10), st.sampled_from(SLICES))
@settings(max_examples=examples(300))
def test_only_the_name_changes(value: Any, seed: int, name: str, slice_bytes: int) -> None:
    """Every byte outside the span stays, and the body parses to the same values except the model."""
    pairs = Pairs((key, item) for key, item in value if key != "model")
    at = seed % (len(pairs) + 1)
    pairs.insert(at, ("model", "gpt-5"))
    body = serialised(pairs, random.Random(seed), 0.5)

    span = find_model(body, slice_bytes=slice_bytes)
    assert span is not None
    result = joined(edited(body, [], span, name))

    before, after = json.loads(body, object_pairs_hook=Pairs), json.loads(result, object_pairs_hook=Pairs)
    before[at] = ("model", name)
    assert before == after
    assert body[: span.start] == result[: span.start]
    assert body[span.end :] == result[len(result) - (len(body) - span.end) :]


TOKENS = [b'"model"', b'"model":', b'"mod\\u0065l"', b'"x"', b'"', b"\\", b"{", b"}", b"[", b"]", b":", b","]
STRAY = [b" ", b"1", b"\x01", b"\xff"]
JSONISH = st.lists(st.sampled_from(TOKENS + STRAY) | st.binary(max_size=3), max_size=24).map(b"".join)


@given(JSONISH | st.binary(max_size=40), st.booleans(), st.sampled_from(SLICES))
@settings(max_examples=examples(1200))
def test_any_bytes_give_a_span_none_or_bad_request(body: bytes, braced: bool, slice_bytes: int) -> None:
    """Broken JSON may be answered either way, but with no other error; JSON that proves valid is answered rightly."""
    body = b"{" + body + b"}" if braced else body
    result: str | None
    try:
        span = find_model(body, slice_bytes=slice_bytes)
        result = span.name if span else None
    except BadRequest:
        result = REFUSED

    try:
        right = expected(body)
    except (ValueError, RecursionError):
        return
    assert right == result


# --- named cases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slice_bytes", SLICES)
@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"model":"a"}', "a"),
        (b' \r\n{ "model" : "a" } \t', "a"),
        (b'{"m":1,"model":"a","stream":true}', "a"),
        (b'{"x":{"model":"no"},"model":"a","y":[{"model":"no"}]}', "a"),
        (b'{"x":{"model":"no"},"y":[{"model":"no"}]}', None),
        (b'{"x":{"model":"' + b"n" * 300 + b'"}}', None),
        (b'{"x":"\\"model\\":\\"no\\"","model":"a","z":1}', "a"),
        (b'{"x \\"model":"no","z":1}', None),
        (b'{"x":"model","model":"a","z":1}', "a"),
        (b'{"x":["model"],"z":"model"}', None),
        (b'{"mod\\u0065l":"a"}', "a"),
        (b'{"z":1,"\\u006d\\u006F\\u0064\\u0065\\u006C":"a","y":2}', "a"),
        (b'{"x":"\\\\","model":"\\u0061\\"","y":"\\\\\\""}', 'a"'),
        (b'{"model":"\\ud83d\\ude00","z":1}', "\U0001f600"),
        (b'{"model":"' + b"n" * 256 + b'"}', "n" * 256),
        (b'{"model":"' + b"\\u006e" * 256 + b'"}', "n" * 256),
        (b'{"z":1,"model"' + b" " * 300 + b":" + b"\n" * 300 + b'"a"' + b" " * 300 + b',"y":[]}', "a"),
        (b'{"z":1,"x":"model"' + b" " * 300 + b',"y":[]}', None),
        (b'{"model":null}', None),
        (b'{"model":7,"z":1}', None),
        (b'{"model":{"model":"a"}}', None),
        (b'{"model":""}', None),
        (b'{"model":" \\t "}', None),
        (b'{"model":"\\ud800"}', None),
        (b'{"model":"\xff"}', None),
        (b'{"model":"a\nb"}', None),
        (b'{"model":"\\x"}', None),
        (b'{"model":"a}', None),
        (b'{"model" "a"}', None),
        (b'{"a":"}', None),
        (b'{"a":"x,"model":"x","and more that is longer":1}', None),
        (b'{"a":"longer than all that follows it","model":"x"},"b":"}', None),
        (b'{"longer than all that follows the word":"model","z":1,"model":"a","y":2}', "a"),
        (b'["model"]', None),
        (b'"model"', None),
        (b"{}", None),
        (b"{", None),
        (b"", None),
        (b" \n ", None),
        (b"\xef\xbb\xbf{}", None),
        (b'{"model":"a"} x', None),
    ],
)
def test_the_name_is_what_a_strict_parser_would_see(body: bytes, name: str | None, slice_bytes: int) -> None:
    """None stands for: no usable model."""
    assert name == found(body, slice_bytes)


@pytest.mark.parametrize("slice_bytes", SLICES)
@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","model":null}',
        b'{"model":"a","z":[1,2],"mod\\u0065l":"b","y":0}',
        b'{"z":{"model":1},"model":"a","y":{"model":1},"model":"b","x":1}',
        b'{"model":"a",' + b'"z":[{"model":1},{"model":2}],' * 99 + b'"model":"b","x":1}',
    ],
)
def test_two_top_level_models_are_refused(body: bytes, slice_bytes: int) -> None:
    """Parsers differ in which of them counts, so one that looks and one that acts could be told different names."""
    with pytest.raises(BadRequest, match="more than one top-level"):
        find_model(body, slice_bytes=slice_bytes)


@pytest.mark.parametrize(
    "value", [b"n" * 257, b"n" * 5000, b"\xc3\xa9" * 129, b"\\u006e" * 257, b"\\u00e9" * 129, b"n" * 1537 + b"\\u006e"]
)
def test_a_name_over_the_limit_is_refused(value: bytes) -> None:
    """The limit counts bytes of UTF-8, however they are spelled."""
    with pytest.raises(BadRequest, match="longer than 256 bytes"):
        find_model(b'{"model":"' + value + b'"}')


@example(64).via("as many as are told apart")
@given(st.integers(0, 200))
@settings(max_examples=60)
def test_any_number_of_nested_keys_hides_nothing(count: int) -> None:
    """Both ways of counting, with few keys and with many, agree."""
    nested = b",".join([b'{"model":"no"}'] * count)

    assert "a" == found(b'{"x":[' + nested + b'],"model":"a","y":1}', 50)
    assert "a" == found(b'{"z":1,"model":"a","x":[' + nested + b"]}", 50)
    assert found(b'{"x":[' + nested + b'],"y":1}', 50) is None


def test_a_large_body_is_spliced_without_a_copy() -> None:
    """The pieces around the name are views of the body itself."""
    body = b'{"messages":"' + b"x" * 100_000 + b'","model":"a","stream":true}'
    span = find_model(body)
    assert span is not None

    pieces = edited(body, [], span, 'b"')

    assert [memoryview, bytes, memoryview] == [type(piece) for piece in pieces]
    assert body.replace(b'"a"', b'"b\\""') == joined(pieces)


@pytest.mark.parametrize(
    "body", [b'{"model":"model":"x"}', b'{"model":"first"model":"x"}', b'{"model":"f"model":"e"st"}', b'{"model":"a"']
)
def test_a_name_that_nothing_orderly_follows_is_none_wherever_slices_end(body: bytes) -> None:
    """No name is read off the beginning of what is no JSON but where it would be found there by counting."""
    assert found(body, 1) == found(body, 7) == found(body, SLICES[-1])


def test_a_small_body_is_spliced_into_one_piece() -> None:
    """One write is cheaper than three."""
    assert [b'{"model":"b"}'] == edited(bytearray(b'{"model":"a"}'), [], ModelSpan(9, 12, "a"), "b")


def _hostile() -> dict[str, bytes]:
    size = 400_000
    return {
        "models": b'{"a":[' + b'{"model":1},' * (size // 12) + b'0],"model":"a","b":0}',
        "values": b'{"a":[' + b'"model",' * (size // 8) + b'0],"model":"a","b":0}',
        "members": b'{"a":{' + b'"model":1,' * (size // 10) + b'"z":0},"model":"a","b":0}',
        "spelled": b'{"a":[' + b'{"mod\\u0065l":1},' * (size // 17) + b'0],"model":"a","b":0}',
        "backslashes": b'{"a":"' + b"\\" * size + b'","model":"a","b":"' + b"\\" * size + b'"}',
        "quotes": b'{"a":"' + b'\\"' * size + b'","model":"a","b":"' + b'\\"' * size + b'"}',
        "strings": b'{"a":[' + b'"",' * size + b'0],"model":"a","b":[' + b'"",' * size + b"0]}",
        "brackets": b'{"a":' + b"[" * size + b"]" * size + b',"model":"a","b":' + b"[" * size + b"]" * size + b"}",
        "blanks": b" " * size + b'{"a":1,"model"' + b" " * size + b":" + b" " * size + b'"a","b":1}' + b" " * size,
        "unclosed": b'{"a":1,' + b'"' * (size + 1) + b'"model":"a","b":"' + b'"' * size * 2 + b"}",
    }


@pytest.mark.parametrize("kind", _hostile())
def test_the_work_on_a_hostile_body_comes_in_short_slices(kind: str) -> None:
    """Each step between two yields takes a few milliseconds at most, and the whole is linear in the body's size."""
    body = _hostile()[kind]

    for _ in (best := BestOf(0.020)):
        took, found = steps_of(scan_model(body))
        best.add(max(took))

    assert (None if kind == "unclosed" else "a") == (found and found.name)
    assert len(body) // (256 * 1024) <= len(took)
    assert best.holds, best.seconds


def test_memory_stays_at_a_few_slices() -> None:
    """No copy of the body is made, wherever its model stands."""
    half = b'"' + b'text \\n \\"quoted\\" ' * 100_000 + b'"'
    body = b'{"a":' + half + b',"model":"a","b":' + half + b"}"

    tracemalloc.start()
    try:
        assert found(body, 64 * 1024) == "a"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000
