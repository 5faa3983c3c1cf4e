"""JSON read as trees with long texts and raw values left as slices, and written again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.bodies.json_tree import LONG_BYTES, SMALL_BYTES, Member, members
from ampmap.bodies.texts import Long, Quoted, Unquoted, after, dump, head, is_blank, joined, plain

TEXTS = st.one_of(
    st.text(max_size=30),
    st.text(max_size=8).map(lambda text: (text or "x") * 700),
    st.sampled_from(["\ud83d", "😀" * 900, "😀" * 20_000, '\\"' * 70_000, "\\u00e9" * 5_000, "NaN"]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=12,
)


def read(body: bytes, lists: tuple[str, ...] = (), raw: tuple[str, ...] = ()) -> list[Member]:
    return [member for member in members(bytearray(body), lists, raw) if member is not None]


def written(value: Any) -> Any:
    return json.loads(b"".join(dump(value)))


@given(st.dictionaries(st.text('abcxyz_"', max_size=8), VALUES, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_what_is_read_is_written_as_it_was(found: dict[str, Any], ascii: bool, indent: int | None) -> None:
    body = json.dumps(found, ensure_ascii=ascii, indent=indent).encode("utf-8", "surrogatepass")
    try:
        body.decode()
    except UnicodeDecodeError:  # a lone surrogate is no UTF-8
        body = json.dumps(found).encode()
    tree = {member.key: member.value for member in read(body)}
    assert json.loads(body) == written(tree)


@given(st.lists(VALUES, max_size=40), st.lists(st.integers(0, 9), max_size=400))
def test_the_elements_of_a_list_come_one_by_one(elements: list[Any], tiny: list[int]) -> None:
    body = json.dumps({"a": 1, "messages": elements, "tiny": tiny, "b": {"": ""}}).encode()
    found = read(body, ("messages", "tiny"))
    for key, wanted in (("messages", elements), ("tiny", tiny)):
        of_key = [member for member in found if member.key == key]
        if not wanted:
            assert [Member(key, [])] == of_key
        else:
            assert list(range(len(wanted))) == [member.place for member in of_key]
            assert wanted == written([member.value for member in of_key])
    assert [Member("a", 1), Member("b", {"": ""})] == [
        each for each in found if each.place is None and each.value != []
    ]


@given(VALUES, st.booleans())
def test_raw_values_keep_their_bytes(value: Any, ascii: bool) -> None:
    text = json.dumps({"x": value}, ensure_ascii=True, indent=3)
    body = f'{{"list": [{{"input" : {text} , "z":1}}], "input":{text}}}'.encode()
    tree = {member.key: member.value for member in read(body, raw=("input",))}
    assert text.encode() == bytes(tree["input"].data) == bytes(tree["list"][0]["input"].data)
    assert text == written(Quoted(tree["input"]))


@pytest.mark.parametrize(
    "text", [rb"\n\"\\\u001b\\u00e9", rb"\u00e9", rb"\/", rb"\u000A", rb"\\\ud83d", "é😀".encode()]
)
@pytest.mark.parametrize("bytes_", [LONG_BYTES, 200])
def test_a_text_is_written_in_the_same_bytes_however_large_the_body_is(text: bytes, bytes_: int) -> None:
    small = b'{"m": "%b", "a": {"input": {"b": 1e400}}}' % (text * (bytes_ // len(text) + 1))
    once, parts = (read(small + b" " * blanks, raw=("input",)) for blanks in (0, SMALL_BYTES))
    assert b"".join(dump(dict(each[:2] for each in once))) == b"".join(dump(dict(each[:2] for each in parts)))


def test_what_is_read_at_once_has_few_values() -> None:
    tree = members(b'{"m": [%b0]}' % (b"[],0," * 50_000), ("m",))
    assert sum(member is None for member in tree) > 10


@given(VALUES)
def test_json_within_a_long_string_is_written_as_json(value: Any) -> None:
    text = json.dumps({"x": value, "pad": "p" * LONG_BYTES})
    body = json.dumps({"arguments": text}).encode() + b" " * SMALL_BYTES
    [member] = read(body)
    assert isinstance(member.value, Long)
    assert text == plain(member.value)
    assert json.loads(text) == written(Unquoted(member.value))


@pytest.mark.parametrize("blanks", [0, SMALL_BYTES])
def test_of_a_key_that_stands_twice_the_last_comes_last_and_begins_anew(blanks: int) -> None:
    found = read(b'{"m": [1], %b "m": [2, 3]}' % (b" " * blanks), ("m",))
    assert [Member("m", 2, 0), Member("m", 3, 1)] == found[-2:]


@pytest.mark.parametrize("body", [b'{"a":NaN}', b'{"a":{"input":{"b":-Infinity}}}', b'{"input":{"b":NaN}}'])
@pytest.mark.parametrize("blanks", [0, SMALL_BYTES])
def test_what_only_python_takes_for_json_is_refused(body: bytes, blanks: int) -> None:
    with pytest.raises(ValueError):
        read(body + b" " * blanks, (), ("input",))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b'{"a":}', b'{"a":[1,]}', b'{"a":"' + b"x" * 90_000, b'{"a":"\xff"}', b'{"a":1}{}']
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        read(body, ("a",))


@pytest.mark.parametrize(
    "wrong", [b"{,}", b"{1:2}", b"[1 2]", b"[,]", b'{"a" "b"}', b'{"a":1]', b"[@]", b"[nul]", b'{"a":}', b'["a" "b"]']
)
def test_what_is_no_json_within_a_large_value_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError):
        read(b'{"m": [{"long": "%b", "x": %b}]}' % (b"y" * 80_000, wrong), ("m",))


def test_deep_values_are_left_as_they_are() -> None:
    deep = b"[" * 300 + b"]" * 300
    [member] = read(b'{"a": %b}' % deep)
    assert deep.decode().replace(" ", "") == json.dumps(written(member.value)).replace(" ", "")


def test_texts_are_joined_cut_and_looked_at() -> None:
    long = Long(memoryview(b"data:image/png;base64," + b"A" * 5000))
    assert "data:image/png" == head(long, 14)
    assert Long(memoryview(b"A" * 5000)) == after(long, "data:image/png;base64,")
    assert "a\n\nb" == joined("\n\n", ["a", "b"])
    assert "a\n\n" + plain(long) == written(joined("\n\n", ["a", long]))
    assert is_blank(" \n")
    assert is_blank(Long(memoryview(rb"\n" * 3000)))
    assert not is_blank(long)


@pytest.mark.parametrize("text", ['say \\"hi\\" ' * 60_000, "\\\\" * 300_000, "\\u0022" * 100_000])
def test_the_end_of_a_long_text_with_escapes_is_looked_for_in_windows(text: str) -> None:
    body = b'{"a":"%b"}' % text.encode()
    found = list(members(body))

    assert [plain(each.value) for each in found if each is not None] == [json.loads(f'"{text}"')]
    assert found.count(None) >= 3 * (len(body) // (64 * 1024))  # two of them before its end is known


def test_many_long_texts_in_one_value_are_read_in_steps() -> None:
    texts = ["x" * 20_000] * 100
    found = list(members(json.dumps({"a": {"b": texts}}).encode()))

    assert [[plain(text) for text in each.value["b"]] for each in found if each is not None] == [texts]
    assert found.count(None) >= 2 * 30 + 30  # to find its end, to read it
