"""The walk through a body: it takes what the json module takes, in windows of any size, in few bytes and turns."""

from __future__ import annotations

import gc
import json
import random
import re
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonbodies import OBJECTS, serialised
from samples import examples
from turnlengths import BestOf, steps_of

from ampmap.bodies.json_skip import blanks, skip
from ampmap.bodies.json_walk import WINDOW_BYTES, Part, Walk

WINDOWS = (16, 17, 23, 40, 64, 129, 1000, WINDOW_BYTES)
WRONG = (b"", b"\xff", b"\xc3", b"NaN", *(bytes([byte]) for byte in b',"{}[]:\\0.e\n\x00'))

_NONE = object()


def parsed(body: bytes) -> Any:
    """What the json module makes of a body that is one object; _NONE for what is no JSON."""

    def refuse(text: str) -> None:
        raise ValueError(text)

    try:
        root = json.loads(body.decode(), parse_constant=refuse, parse_int=float)
    except ValueError:
        return _NONE
    return root if isinstance(root, dict) else _NONE


def walked(body: bytes | bytearray, window_bytes: int) -> Any:
    """Rebuild a body from its parts, large values entered as far as there are any."""

    def rebuilt(part: Part) -> Any:
        if walk.is_object(part):
            return object_of(walk.parts())
        if walk.is_array(part):
            items: list[Any] = []
            for inner in walk.parts():
                if inner is not None:
                    items += [rebuilt(inner)] if inner.value is None else _as_float(walk.exact(inner))
            return items
        for _ in walk.skip():
            pass
        return _as_float(walk.read(part.at, walk.at))

    def object_of(parts: Iterator[Part | None]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in parts:
            if part is None:
                continue
            value = rebuilt(part) if part.value is None else _as_float(walk.exact(part))
            if part.at == part.start:
                found |= value  # a batch
            else:
                found[name(part)] = value if part.value is None else next(iter(value.values()))
        return found

    def name(part: Part) -> str:
        key: str = json.loads(bytes(body[part.start : part.at]).rstrip(b" \t\r\n:"))
        assert part.key in (key, "") or not key.isascii()
        return key

    walk = Walk(body, window_bytes)
    try:
        return object_of(walk.members("messages"))
    except ValueError:
        return _NONE


def _as_float(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_float(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_float(item) for item in value]
    return float(str(value)) if isinstance(value, int) and not isinstance(value, bool) else value


def is_walked(body: bytes, window_bytes: int) -> bool:
    """Whether a body is one JSON object by a walk that enters nothing."""
    walk = Walk(body, window_bytes)
    try:
        for _ in walk.members():
            pass
    except ValueError:
        return False
    assert len(body) == walk.at
    return True


def skipped(body: bytes, at: int, window_bytes: int) -> int:
    """Return where a skip from ``at`` on ends."""
    steps = skip(body, at, window_bytes)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return int(end.value)


KEYS = st.text(max_size=2) | st.sampled_from(["messages", 'a"b', "\\"])
TINY: st.SearchStrategy[Any] = st.lists(
    st.integers(-9, 9) | st.sampled_from(["", "]", ",", '"', "a,b", None, {}, [], [[]], {"a": 1}]), max_size=80
)
BODIES = st.dictionaries(
    KEYS,
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=40) | st.floats(allow_nan=False, allow_infinity=False) | TINY,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=8,
    ),
    max_size=5,
)


def damaged(body: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(body))
    return body[:at] + rng.choice(WRONG) + body[at + rng.randrange(3) :]


@given(BODIES, st.sampled_from([None, 0, 3]), st.booleans(), st.sampled_from(WINDOWS), st.integers())
@settings(max_examples=examples(300))
def test_any_body_is_rebuilt_from_its_parts(
    root: dict[str, Any], indent: int | None, ascii_only: bool, window_bytes: int, seed: int
) -> None:
    """And one that is damaged is refused, if the json module refuses it."""
    rng = random.Random(seed)
    body = json.dumps(root, indent=indent, ensure_ascii=ascii_only).encode()

    assert parsed(body) == walked(body, window_bytes)
    for _ in range(3):
        wrong = damaged(body, rng)
        assert parsed(wrong) == walked(bytearray(wrong), window_bytes)


def end_of(body: bytes, at: int) -> int | None:
    """Where the container at ``at`` ends, byte by byte; None if it does not."""
    depth, place = 0, at
    while place < len(body):
        byte = body[place : place + 1]
        if byte == b'"':
            string = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL).match(body, place)
            if string is None:
                return None
            place = string.end() - 1
        elif byte == b"\\" and body[place + 1 : place + 2] in (b'"', b"\\"):  # outside a string it is no JSON
            place += 1
        depth += (byte in b"{[") - (byte in b"}]")
        place += 1
        if not depth:
            return place
    return None


@given(OBJECTS, st.integers(), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from(WINDOWS))
@settings(max_examples=examples(300))
def test_what_is_skipped_ends_with_its_strings_and_brackets(
    value: Any, seed: int, fancy: float, window_bytes: int
) -> None:
    """With any spelling and white space, cut in windows anywhere, and damaged."""
    rng = random.Random(seed)
    body = serialised(value, rng, fancy).strip()

    assert 1 + len(body) == skipped(b"[%b]" % body, 1, window_bytes)
    assert 1 + len(body) == skipped(b"[%b , {" % body, 1, window_bytes)
    for _ in range(3):
        wrong = damaged(b'{"a":1, "x" :%b\n}' % body, rng)
        assert parsed(wrong) is _NONE or is_walked(wrong, window_bytes)
        if wrong[:1] == b"{":
            try:
                end = skipped(wrong, 0, window_bytes)
            except ValueError:
                end = None
            assert end_of(wrong, 0) == end


LARGE = {
    "string": b'"%b"' % (b"x" * 5000),
    "escapes": b'"%b"' % (rb"\"\\\u00e9\n" * 500),
    "backslashes": b'"%b"' % (b"\\" * 5000),
    "other letters": '"{}"'.format("\N{ROBOT FACE}é" * 900).encode(),
    "number": b"-1%b.%be+%b" % (b"0" * 2000, b"9" * 2000, b"1" * 2000),
    "zeros": b"0." + b"0" * 5000,
    "long numbers": b"[%b1,%b2,0]" % (b"9" * 5000, b"9" * 4000),
    "blanks": b"[" + b" " * 5000 + b"1" + b"\n" * 5000 + b"," + b"\t" * 5000 + b"{" + b" " * 2000 + b"}]",
    "members": b"{%b}" % b",".join(b'"k%d":%d' % (i, i) for i in range(900)),
    "wide key": b'{"%b" : [1]}' % (b"k" * 5000),
    "wide keys": b"{%b}" % b",".join([b'"%b":"%b"' % (b"k" * 99, b"v" * 99)] * 40),
    "brackets": b"[" * 400 + b"]" * 400,
    "both brackets": b'[{"a":' * 100 + b"1" + b"}]" * 100,
    "uneven brackets": b"[%b1]" % (b'[[{"a":[{},{"b":[[]]}]}]],' * 200),
    "literals": b"[%bnull]" % (b"true,false , null\n," * 200),
}


@pytest.mark.sample(1 / 4)
@pytest.mark.parametrize("window_bytes", WINDOWS)
@pytest.mark.parametrize("kind", LARGE)
def test_a_large_value_is_skipped_to_its_end(kind: str, window_bytes: int) -> None:
    value = LARGE[kind]
    for body in (b'{"x":%b}' % value, b'{"messages":[0, %b , %b],"y":{"z":%b}}' % (value, value, value)):
        assert parsed(body) == walked(body, window_bytes)
        assert is_walked(body, window_bytes)


@pytest.mark.sample(1 / 8)
@pytest.mark.parametrize("window_bytes", WINDOWS)
@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.parametrize("wrong", [b",", b"\x00", b"}", b"]", b"x", b"\xff", b"\\", b" 1"])
def test_a_large_value_with_a_fault_is_refused_where_it_is_read(kind: str, window_bytes: int, wrong: bytes) -> None:
    """Wherever the fault is, unless it happens to be none; what is skipped is not read."""
    value = LARGE[kind]
    for at in (1, 7, len(value) // 2, len(value) - 1, len(value)):
        body = b'{"x":%b%b%b}' % (value[:at], wrong, value[at:])
        assert (parsed(body) is _NONE) == (walked(body, window_bytes) is _NONE)
        assert parsed(body) is _NONE or is_walked(body, window_bytes)
        assert (parsed(body) is not _NONE) == is_walked(body, WINDOW_BYTES)


@pytest.mark.parametrize(
    "value",
    [b"01", b"-", b"1.", b".1", b"1e", b"+1", b"--1", b"1.1.1", b"1-1", b"tru", b"nul", b"Infinity", b"-Infinity"],
)
@pytest.mark.parametrize("filler", [b"", b"0" * 40])
def test_a_number_that_is_read_is_held_to_the_grammar(value: bytes, filler: bytes) -> None:
    body = b'{"x":[%b%b]}' % (value, filler)

    assert parsed(body) == walked(body, 16)
    assert (parsed(body) is not _NONE) == is_walked(body, WINDOW_BYTES)


def test_what_is_nested_too_deeply_is_refused_as_json_refuses_it() -> None:
    """How deep that is differs from one Python to the next."""
    for deep in (50_000, 200_000):
        for body in (b'{"x":' + b"[" * deep + b"]" * deep + b"}", b'{"x":' + b'{"a":[' * deep + b"0" * 200_000):
            for read in (json.loads, lambda body: list(Walk(body).members())):
                with pytest.raises(RecursionError):
                    read(body)


def test_blanks_are_passed_in_slices() -> None:
    body = b" \t\r\n" * 25 + b"x"

    assert 10 == len(list(blanks(body, 0, 10)))
    assert [] == list(blanks(body, 0, 1000))


# --- memory and time --------------------------------------------------------------------------------------------------

SIZE = 1_000_000


def _hostile() -> dict[str, bytes]:
    shapes = {
        "numbers": b"[%b0]" % (b"1," * (SIZE // 2)),
        "strings": b"[%b0]" % (b'"a,b",' * (SIZE // 6)),
        "empty objects": b"[%b0]" % (b"{}," * (SIZE // 3)),
        "objects": b"[%b0]" % (b'{"model":{"model":"x"}},' * (SIZE // 24)),
        "escapes": b'"%b"' % (rb"\"\\" * (SIZE // 4)),
        "spelled": b"[%b0]" % (rb'{"\u006dodel":"x"},' * (SIZE // 18)),
        "prose": b"[%b0]" % (b'{"text":"%b"},' % (b"he said \\n\\t" * 900) * (SIZE // 10_000)),
        "string": b'"%b"' % (b"x" * SIZE),
        "letters": '"{}"'.format("\N{ROBOT FACE}" * (SIZE // 4)).encode(),
        "number": b"1" * SIZE,
        "blanks": b" " * SIZE + b"1",
        "brackets": b"[%b0]" % ((b"[" * 60 + b"]" * 60 + b",") * (SIZE // 121)),
        "deep": b'{"a":[' * 300 + b"1," * (SIZE // 2) + b"0" + b"]}" * 300,
        "members": b"{%b}" % (b'"a":1,' * (SIZE // 6) + b'"b":1'),
        "tools": b"{%b}" % (b'"tools":[],"tool_choice":1,' * (SIZE // 27) + b'"b":1'),
        "large arrays": b"[%b0]" % ((b"[%b0]," % (b"1," * 70_000)) * (SIZE // 140_000)),
    }
    found = {
        f"{key}: {name}": b'{"%b":%b}' % (key.encode(), shapes[name]) for name in shapes for key in ("x", "messages")
    }
    return found | {"members": shapes["members"], "tools": shapes["tools"]}


HOSTILE = _hostile()


@pytest.mark.sample(1 / 4)
@pytest.mark.parametrize("kind", HOSTILE)
def test_the_walk_through_a_hostile_body_comes_in_short_turns_and_little_memory(kind: str) -> None:
    """A turn takes 3 ms at most on a quiet machine; what the collector adds is that of all other objects."""
    body = bytearray(HOSTILE[kind])

    def entered(walk: Walk) -> Iterator[None]:
        for part in walk.members("messages"):
            if part is not None and part.key == "messages" and part.value is None and walk.is_array(part):
                for inner in walk.parts():
                    if inner is None:
                        yield
            elif part is None:
                yield

    gc.disable()
    try:
        for _ in (best := BestOf(0.020)):
            took, failed = steps_of(entered(Walk(body)))
            best.add(max(took))
    finally:
        gc.enable()
    tracemalloc.start()
    try:
        for _ in entered(Walk(body)):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(took) >= len(body) // (2 * WINDOW_BYTES)
    assert failed is None and best.holds, best.seconds
    assert peak < 100 * WINDOW_BYTES
