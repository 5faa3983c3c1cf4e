"""The requested name in a reply: given back at once, at every cut of the bytes, with nothing else changed.

The oracle knows where each name stands from a parse of the whole, checked against ``json``; from that follows what must
have left after any prefix. The transcripts are replies of the four protocols, one file each.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from renamed import (
    NAME,
    RENAMED,
    REPLIES,
    VALUE,
    cut,
    fed,
    renamed,
    spans_of,
)
from samples import examples

from ampmap.bodies.rename import Follower, Renamer
from ampmap.formats.registry import REPLY_NAMES

# --- transcripts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPLIES)
def test_each_name_of_a_reply_is_given_back(name: str) -> None:
    """In one piece; the count is for the record."""
    reply, suffix = REPLIES[name], Path(name).suffix
    renamer = Renamer(NAME, REPLY_NAMES)

    result = renamer.feed(reply)

    assert renamed(reply, spans_of(reply, suffix), len(reply)) == result
    assert RENAMED[name] == result.count(VALUE)


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("name", REPLIES)
def test_two_pieces_give_the_same_at_every_cut(name: str) -> None:
    """Neither piece holds anything back."""
    reply, suffix = REPLIES[name], Path(name).suffix
    spans = spans_of(reply, suffix)
    whole = renamed(reply, spans, len(reply))

    for at in range(len(reply) + 1):
        renamer = Renamer(NAME, REPLY_NAMES)
        first = renamer.feed(reply[:at])
        assert renamed(reply, spans, at) == first, at
        assert whole == first + renamer.feed(reply[at:]), at


@pytest.mark.parametrize("name", REPLIES)
def test_each_byte_leaves_when_it_comes(name: str) -> None:
    """A byte at a time: after each, all has left that must."""
    reply, suffix = REPLIES[name], Path(name).suffix
    spans = spans_of(reply, suffix)
    renamer = Renamer(NAME, REPLY_NAMES)
    left = b""

    for at in range(len(reply)):
        left += renamer.feed(reply[at : at + 1])
        assert renamed(reply, spans, at + 1) == left, at


@given(st.sampled_from(sorted(REPLIES)), st.integers(0, 2**32), st.integers(2, 12))
@settings(max_examples=examples(400))
def test_any_pieces_give_the_same(name: str, seed: int, count: int) -> None:
    """Three pieces and more, empty ones too, of a reply that is repeated."""
    suffix = Path(name).suffix
    reply = REPLIES[name] * (3 if suffix == ".json" or name == "openai-chat.sse" else 1)
    places = [random.Random(seed + i).randrange(len(reply) + 1) for i in range(count)]

    result = fed(Renamer(NAME, REPLY_NAMES), cut(reply, places))

    assert renamed(reply, spans_of(reply, suffix), len(reply)) == result


# --- any JSON, and any bytes ------------------------------------------------------------------------------------------

KEYS = st.sampled_from(["model", "modelVersion", "message", "response", "models", "m", "a" * 30, 'mo"del', "\\"])
VALUES = st.recursive(
    st.sampled_from(["model", 'x"model":"y', "\\", "old", "", "{[", 1, -1.5e-7, None, True, "z" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)
SEEDS = st.integers(0, 2**32)


def spelled(string: str) -> str:
    """The same JSON string, with its letters as escapes."""
    return '"' + "".join(f"\\u{ord(letter):04x}" for letter in string[1:-1]) + '"'


def spread(root: Any, rng: random.Random) -> str:
    text = json.dumps(root, indent=rng.choice([None, None, 1]), ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.3:  # keys, and strings that look like some, spelled with escapes
        text = re.sub(r'"(m|re)(odel|odelVersion|essage|sponse)"', lambda m: rng.choice([m[0], spelled(m[0])]), text)
    return text.replace(": ", rng.choice([":", ": ", " : "])).replace("\n", rng.choice(["\n", "\r\n"]))


@given(st.lists(VALUES, max_size=4), SEEDS)
@settings(max_examples=examples(500))
def test_any_json_reply_is_renamed_where_a_parser_finds_the_names(roots: list[Any], seed: int) -> None:
    """One root or several after each other, cut anywhere."""
    rng = random.Random(seed)
    reply = "\n".join(spread(root, rng) for root in roots).encode()
    places = [rng.randrange(len(reply) + 1) for _ in range(rng.randrange(6))]

    result = fed(Renamer(NAME, REPLY_NAMES), cut(reply, places))

    assert renamed(reply, spans_of(reply, ".json"), len(reply)) == result


@given(st.lists(VALUES, max_size=5), SEEDS)
@settings(max_examples=examples(500))
def test_any_event_stream_is_renamed_where_a_parser_finds_the_names(roots: list[Any], seed: int) -> None:
    """Each line end, JSON spread over lines, other fields between, cut anywhere."""
    rng = random.Random(seed)
    lines: list[str] = []
    for root in roots:
        lines += rng.choice([[], ["event: model"], [": x"], ['id: "model"'], ["data"], ["data: [DONE]", ""]])
        lines += [rng.choice(["data:", "data: "]) + line for line in spread(root, rng).splitlines()]
        lines += [""] * rng.choice([1, 1, 2])
    # Never CR with LF alone: an empty line between the two would be none.
    ends = rng.choice([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n"], ["\r", "\r\n"]])
    reply = (rng.choice(["", "\ufeff"]) + "".join(line + rng.choice(ends) for line in lines)).encode()
    places = [rng.randrange(len(reply) + 1) for _ in range(rng.randrange(6))]

    result = fed(Renamer(NAME, REPLY_NAMES), cut(reply, places))

    assert renamed(reply, spans_of(reply, ".sse"), len(reply)) == result


SOUP_JSON = [
    *(b'"model"', b'"message":{', b'"response"', b'"model":"x"'),
    *(b'{"a":"b"}', b'"a":1,', b'"a":"b",', b'"aaaaaaaaaaaaaaaaaaaaaaaaa"'),
    *(b'"mod\\u0065l":"x"', b'"m\\u006fdel', b"\\u00", b'"m\\u0065ssage":{'),
]
SOUP_LINES = [b"data: ", b"data:", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\n\r\n", b"event: x"]
SOUP_BYTES = [b"{", b"}", b"[", b"]", b'"', b"\\", b":", b",", b" ", b"1", b"[1,2]", b"\xef\xbb\xbf", b"model", b"\xff"]
SOUP = st.lists(st.sampled_from(SOUP_JSON + SOUP_LINES + SOUP_BYTES), max_size=40).map(b"".join)


@given(SOUP, SEEDS, st.booleans())
@settings(max_examples=examples(2500))
def test_broken_replies_never_raise_and_do_not_depend_on_their_cuts(reply: bytes, seed: int, closed: bool) -> None:
    """Whatever is made of what is not JSON, it is the same however it arrives."""
    reply = b'data: {"model":"a' * (seed % 2) + reply + b"\n\n" * closed
    rng = random.Random(seed)
    places = [rng.randrange(len(reply) + 1) for _ in range(rng.randrange(6))]

    result = fed(Renamer(NAME, REPLY_NAMES), [reply[i : i + 1] for i in range(len(reply))])

    assert result == Renamer(NAME, REPLY_NAMES).feed(reply)
    assert result == fed(Renamer(NAME, REPLY_NAMES), cut(reply, places))


@given(SOUP, st.booleans())
@settings(max_examples=examples(500))
def test_the_event_after_a_broken_one_is_renamed(broken: bytes, at_once: bool) -> None:
    """Scanning begins afresh with each event."""
    event = b'data: {"model":"old"}\n\n'
    renamer = Renamer(NAME, REPLY_NAMES)

    pieces = [broken + b"\n\n" + event] if at_once else [broken + b"\n\n", event]
    result = fed(renamer, [b":\n", *pieces])

    assert result.endswith(event.replace(b'"old"', VALUE))


OPENING = st.tuples(st.sampled_from([b"data: {", b"data:{", b"event: x\ndata: {", b""]), SOUP).map(b"".join)
ALIKE = st.lists(
    st.tuples(st.integers(0, 3), SOUP, st.sampled_from([b"\n\n", b"\n\n", b"\n\n", b"\r\n\r\n", b""])), max_size=8
)


@given(OPENING, ALIKE, SEEDS)
@settings(max_examples=examples(1500))
def test_events_that_begin_alike_become_what_they_become_byte_by_byte(
    opening: bytes, events: list[tuple[int, bytes, bytes]], seed: int
) -> None:
    """What is remembered of one event holds for the next, whether they come one by one or many at once."""
    openings = (opening + b'"model":"x"', opening + b'"model":"x"', opening + b'"modelVersion" :"y', b": ")
    pieces = [openings[kind] + rest + blank for kind, rest, blank in events]
    reply = b"\n\n" + b"".join(pieces)
    rng = random.Random(seed)
    joined = [b"\n\n"]
    for piece in pieces:
        if rng.random() < 0.7:
            joined.append(piece)
        else:
            joined[-1] += piece
    slow, quick = Renamer(NAME, REPLY_NAMES), Renamer(NAME, REPLY_NAMES)

    assert fed(slow, [reply[i : i + 1] for i in range(len(reply))]) == fed(quick, joined)


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("name", [name for name in REPLIES if name.endswith(".sse") and "-cr." not in name])
def test_events_are_renamed_alike_again_and_again(name: str, blank: bytes) -> None:
    reply = REPLIES[name].removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\n", blank[: len(blank) // 2])
    events = [event + blank for event in reply.split(blank) if event]
    renamer = Renamer(NAME, REPLY_NAMES)
    once = [renamer.feed(event) for event in events]
    for _ in range(3):
        assert once == [renamer.feed(event) for event in events]
        assert b"".join(once) == renamer.feed(b"".join(events))


def test_an_opening_that_came_before_is_not_scanned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    renamer = Renamer(NAME, REPLY_NAMES)
    event = b'data: {"id":1,"model":"m","text":"@"}\n\n'
    wanted = event.replace(b'"m"', VALUE)
    renamer.feed(event)
    assert wanted == renamer.feed(event)
    monkeypatch.setattr(Follower, "feed", None)

    assert wanted == renamer.feed(event)
    assert 3 * wanted == renamer.feed(3 * event)
    with pytest.raises(TypeError):  # a name elsewhere, too
        renamer.feed(event.replace(b"@", b'","model":"n'))


def test_openings_that_no_event_has_in_common_are_not_looked_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    renamer = Renamer(NAME, REPLY_NAMES)
    fed: list[bytes] = []
    feed = Follower.feed

    def feeding(self: Follower, data: bytes) -> bytes:
        fed.append(data)
        return feed(self, data)

    renamer.feed(b"\n\n")
    monkeypatch.setattr(Follower, "feed", feeding)
    for number in range(20):
        assert VALUE in renamer.feed(b'data: {"id":%d,"model":"m"}\n\n' % number)
    assert 20 + 4 == len(fed)  # four times an opening by itself, and the rest
