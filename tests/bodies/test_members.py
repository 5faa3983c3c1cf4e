"""Top-level members of a body changed by splice: what it then means, and that every other byte is as it came."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from turnlengths import BestOf, steps_of

from ampmap.bodies.edits import edited
from ampmap.bodies.find_model import find_model
from ampmap.bodies.members import (
    scan_members,
)
from ampmap.errors import BadRequest

MIB = 1024 * 1024


def changed(body: bytes, change: dict[str, str], drop: tuple[str, ...] = (), window_bytes: int = 65_536) -> bytes:
    steps = scan_members(body, tuple(change.items()), drop, window_bytes=window_bytes)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return b"".join(edited(body, done.value, None, ""))


@pytest.mark.parametrize(
    ("body", "change", "drop", "result"),
    [
        ('{"a": 1, "b" : 2.50 }', {"b": "3"}, (), '{"a": 1, "b" : 3 }'),
        ('{"a": 1}', {"b": "[1]"}, (), '{"a": 1,"b":[1]}'),
        ("{ }\n", {"b": "1", "c": '"x"'}, (), '{ "b":1,"c":"x"}\n'),
        ('{"a": 1, "b": 2, "c": 3}', {}, ("a",), '{ "b": 2, "c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', {}, ("b",), '{"a": 1,  "c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', {}, ("c",), '{"a": 1, "b": 2}'),
        ('{"a": 1, "b": 2, "c": 3}', {}, ("b", "c"), '{"a": 1}'),
        ('{"a": 1, "b": 2}', {"z": "0"}, ("a", "b"), '{"z":0}'),
        ('{"a":1,"b":2}', {"z": "0"}, ("b",), '{"a":1,"z":0}'),
        ('{"a": 1, "\\u0061": 2, "a": {"a": 3}}', {"a": "9"}, (), '{"a": 9, "\\u0061": 9, "a": 9}'),
        ('{"a": 1, "\\u0061": 2, "x": {"a": 3}}', {}, ("a",), '{ "x": {"a": 3}}'),
        ('{"日": 1, "\\u65e5": 2, "x": 1}', {"日": "3"}, (), '{"日": 3, "\\u65e5": 3, "x": 1}'),
        ('{"é\\u00e9": 1, "Ã©Ã©": 2}', {}, ("éé",), '{ "Ã©Ã©": 2}'),
        ('\ufeff{"a": 1}', {"a": "2"}, (), '\ufeff{"a": 2}'),
        ('{"A": 1, "ab": 2}', {"a": "3"}, (), '{"A": 1, "ab": 2,"a":3}'),
        ('{"a":1}', {}, ("b",), '{"a":1}'),
    ],
)
@pytest.mark.parametrize("window_bytes", [64, 65_536])
def test_members_are_changed_and_nothing_else(
    body: str, change: dict[str, str], drop: tuple[str, ...], result: str, window_bytes: int
) -> None:
    assert result == changed(body.encode(), change, drop, window_bytes).decode()


NAMES = st.sampled_from(["a", "b", "top_p", "é", "日", "Ã©", "\U0001f600", 'q"', "x" * 40])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.text(min_size=90, max_size=120),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def spelled(name: str, rng: random.Random) -> str:
    """Write a key, some of its characters with escapes."""
    return "".join(json.dumps(c)[1:-1] if rng.random() < 0.5 else json.dumps(c, ensure_ascii=False)[1:-1] for c in name)


def blank(rng: random.Random) -> str:
    return rng.choice(["", "", " ", "\r\n\t"])


def written(members: list[tuple[str, Any]], rng: random.Random) -> list[str]:
    """Write each member."""
    return [
        f'"{spelled(name, rng)}"{blank(rng)}:{blank(rng)}{json.dumps(value, ensure_ascii=rng.random() < 0.5)}'
        for name, value in members
    ]


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=8) | st.lists(st.tuples(NAMES, st.just(1)), min_size=90, max_size=99),
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.sets(NAMES, max_size=3),
    st.integers(0, 99),
    st.sampled_from([600, 65_536]),
)
@example([("a", 1)] * 60 + [("b", 1)] * 60, {"a": 2}, {"b"}, 0, 65_536)
def test_the_changed_body_means_what_was_asked_and_keeps_the_bytes_of_the_rest(
    members: list[tuple[str, Any]], change: dict[str, Any], drop: set[str], seed: int, window_bytes: int
) -> None:
    drop -= change.keys()
    rng = random.Random(seed)
    texts = written(members, rng)
    body = f"{blank(rng)}{{{blank(rng)}{','.join(blank(rng) + text + blank(rng) for text in texts)}}}{blank(rng)}"
    values = {name: json.dumps(value) for name, value in change.items()}

    result = changed(body.encode(), values, tuple(drop), window_bytes).decode()

    kept = [(name, change.get(name, value)) for name, value in members if name not in drop]
    added = [(name, value) for name, value in change.items() if name not in dict(members)]
    seen: list[list[str]] = []
    json.loads(result, object_pairs_hook=lambda pairs: seen.append([name for name, _ in pairs]))
    assert [name for name, _ in kept + added] == seen[-1]
    assert dict(kept + added) == json.loads(result)
    at = 0
    for (name, _), text in zip(members, texts, strict=True):
        if name not in drop:
            stays = text if name not in change else text[: text.index(":") + 1]
            at = result.index(stays, at) + len(stays)
    if not (change or drop):
        assert body == result


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"a": 1', b'{"a": NaN}', b'{"a": 1} x', b"\xff", b'{"a" 1}', b"[" * 9999]
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="not valid JSON, so a rule's 'set' and 'drop' cannot change it"):
        changed(body, {"a": "1"})


def test_a_body_with_one_member_thousands_of_times_is_refused() -> None:
    body = b"{%b}" % b",".join([b'"a":1,"b":1'] * 5001)

    with pytest.raises(BadRequest, match="more than 10000 members"):
        changed(body, {"a": "1"}, ("b",))


def test_the_model_and_the_members_are_changed_together() -> None:
    body = b'{"temperature": 1, "model": "alias", "top_p": 1}'
    steps = scan_members(body, (("temperature", "0.2"),), ("top_p",))
    with pytest.raises(StopIteration) as done:
        while True:
            next(steps)

    parts = edited(body, done.value.value, find_model(body), "m")

    assert b'{"temperature": 0.2, "model": "m"}' == b"".join(parts)


LARGE = {
    "messages": json.dumps({"messages": [{"role": "user", "content": "x" * 3000}] * 1700, "a": 1}).encode(),
    "one string": json.dumps({"a": "x" * 5 * MIB, "b": 1}).encode(),
    "many members": b"{%b}" % b",".join(b'"m%d":%d' % (n, n) for n in range(350_000)),
    "blanks": b'{"a"' + b" " * 5 * MIB + b": 1}",
}


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_a_large_body_is_changed_in_short_turns_and_little_memory(body: bytes) -> None:
    tracemalloc.start()
    try:
        for _ in (best := BestOf(0.1)):
            took, changes = steps_of(scan_members(body, (("a", "2"),), ("b",)))
            best.add(max(took))
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2 * MIB + 200 * len(changes)
    assert best.holds, best.seconds  # with every allocation traced; without, some milliseconds
