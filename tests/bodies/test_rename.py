"""The requested name in a reply: given back at once, at every cut of the bytes, with nothing else changed.

The oracle knows where each name stands from a parse of the whole, checked against ``json``; from that follows what must
have left after any prefix. The transcripts are replies of the four protocols, one file each.
"""

from __future__ import annotations

import base64
import json
import random
import re
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import examples

from ampmap.bodies.rename import Follower, Renamer

NAME = 'Asked "for"-é(high)'
VALUE = json.dumps(NAME).encode()
PATHS = [("model",), ("modelVersion",), ("message", "model"), ("response", "model"), ("response", "modelVersion")]
TRANSCRIPTS = sorted((Path(__file__).parent.parent / "support" / "transcripts").iterdir())
REPLIES = {path.name: path.read_bytes() for path in TRANSCRIPTS}
RENAMED = {
    "anthropic.json": 1,
    "anthropic.sse": 1,
    "anthropic-error.sse": 0,
    "anthropic-tools.json": 1,
    "anthropic-tools.sse": 1,
    "anthropic-tools-crlf.sse": 1,
    "codeassist.sse": 3,
    "gemini.json": 1,
    "gemini.sse": 3,
    "gemini-array.json": 3,
    "multiline.sse": 5,
    "openai-chat.json": 1,
    "openai-chat.sse": 5,
    "openai-chat-crlf.sse": 2,
    "openai-chat-cr.sse": 2,
    "openai-responses.json": 1,
    "openai-responses.sse": 4,
    "untouched.sse": 0,
}

Span = tuple[int, int]
DECODER = json.JSONDecoder()

# --- the oracle -------------------------------------------------------------------------------------------------------


def strings(text: str, at: int, path: tuple[str | int, ...]) -> Iterator[tuple[Any, int, int]]:
    """Walk one JSON value: (path, start, end) of each string, then (None, 0, end) at its end."""
    at = blank(text, at)
    if text[at] == '"':
        end = DECODER.raw_decode(text, at)[1]
        yield path, at, end
        yield None, 0, end
    elif text[at] in "{[":
        index = 0
        while text[at] not in "}]":
            at = blank(text, at + 1)
            key: str | int = index
            if text[at] in "}]":
                break
            if path is not None and text[at] == '"' and (colon := colon_after(text, at)):
                key, at = colon
            for inner, start, end in strings(text, at, (*path, key)):
                if inner is None:
                    at = blank(text, end)
                else:
                    yield inner, start, end
            index += 1
        yield None, 0, at + 1
    else:
        scalar = re.compile(r"[-+.\w]+").match(text, at)
        if scalar is None:
            raise ValueError(text[at:])
        yield None, 0, scalar.end()


def blank(text: str, at: int) -> int:
    match = re.compile(r"[ \t\r\n]*").match(text, at)
    assert match
    return match.end()


def colon_after(text: str, at: int) -> tuple[str, int] | None:
    key, end = DECODER.raw_decode(text, at)
    end = blank(text, end)
    return (key, end + 1) if text[end] == ":" else None


def names(text: str) -> list[Span]:
    """Where the names stand in one JSON text, or in several that follow each other; none from what is not JSON."""
    spans: list[Span] = []
    at = blank(text, 0)
    while at < len(text):
        try:
            root, end = DECODER.raw_decode(text, at)
        except ValueError:
            return spans
        depth = 1 if isinstance(root, list) else 0
        found = [(s, e) for path, s, e in strings(text, at, ()) if path is not None and path[depth:] in PATHS]
        result = text[at:end]
        for start, stop in reversed(found):
            result = result[: start - at] + VALUE.decode() + result[stop - at :]
        assert with_names(root) == json.loads(result)
        spans += found
        at = blank(text, end)
    return spans


def with_names(root: Any) -> Any:
    """The parsed root, with the paths set."""
    for item in root if isinstance(root, list) else [root]:
        for *parents, last in PATHS:
            holder = item
            for key in parents:
                holder = holder.get(key) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and isinstance(holder.get(last), str):
                holder[last] = NAME
    return root


def spans_of(reply: bytes, suffix: str) -> list[Span]:
    """Where the names stand in a reply; bytes are taken for Latin-1, so that each is one character."""
    text = reply.decode("latin-1")
    if suffix == ".json":
        return names(text)
    spans: list[Span] = []
    event: list[tuple[int, str]] = []  # the characters of the event's data, with their places
    at = 3 if reply.startswith(b"\xef\xbb\xbf") else 0
    for line, _ in re.findall(r"([^\r\n]*)(\r\n|\r|\n|$)", text[at:]):
        if line.startswith("data:"):
            event += [(at + i, char) for i, char in enumerate(line) if i >= 5] + [(-1, "\n")]
        at += len(line) + len(_)
        if not line:
            spans += [(event[s][0], event[e - 1][0] + 1) for s, e in names("".join(char for _, char in event))]
            event = []
    return spans


def renamed(reply: bytes, spans: list[Span], upto: int) -> bytes:
    """What must have left when ``upto`` bytes have come: a name is there as soon as the old one begins."""
    result, copied = b"", 0
    for start, end in spans:
        if start < upto:
            result += reply[copied:start] + VALUE
            copied = end
    return result + reply[copied:upto]


def fed(renamer: Renamer, pieces: list[bytes]) -> bytes:
    return b"".join([renamer.feed(piece) for piece in pieces])


def cut(reply: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(places), len(reply)]
    return [reply[a:b] for a, b in pairwise(bounds)]


# --- transcripts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPLIES)
def test_each_name_of_a_reply_is_given_back(name: str) -> None:
    """In one piece; the count is for the record."""
    reply, suffix = REPLIES[name], Path(name).suffix
    renamer = Renamer(NAME)

    result = renamer.feed(reply)

    assert renamed(reply, spans_of(reply, suffix), len(reply)) == result
    assert RENAMED[name] == renamer.renamed


@pytest.mark.parametrize("name", REPLIES)
def test_two_pieces_give_the_same_at_every_cut(name: str) -> None:
    """Neither piece holds anything back."""
    reply, suffix = REPLIES[name], Path(name).suffix
    spans = spans_of(reply, suffix)
    whole = renamed(reply, spans, len(reply))

    for at in range(len(reply) + 1):
        renamer = Renamer(NAME)
        first = renamer.feed(reply[:at])
        assert renamed(reply, spans, at) == first, at
        assert whole == first + renamer.feed(reply[at:]), at


@pytest.mark.parametrize("name", REPLIES)
def test_each_byte_leaves_when_it_comes(name: str) -> None:
    """A byte at a time: after each, all has left that must."""
    reply, suffix = REPLIES[name], Path(name).suffix
    spans = spans_of(reply, suffix)
    renamer = Renamer(NAME)
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

    result = fed(Renamer(NAME), cut(reply, places))

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

    result = fed(Renamer(NAME), cut(reply, places))

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

    result = fed(Renamer(NAME), cut(reply, places))

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

    result = fed(Renamer(NAME), [reply[i : i + 1] for i in range(len(reply))])

    assert result == Renamer(NAME).feed(reply)
    assert result == fed(Renamer(NAME), cut(reply, places))


@given(SOUP, st.booleans())
@settings(max_examples=examples(500))
def test_the_event_after_a_broken_one_is_renamed(broken: bytes, at_once: bool) -> None:
    """Scanning begins afresh with each event."""
    event = b'data: {"model":"old"}\n\n'
    renamer = Renamer(NAME)

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
    slow, quick = Renamer(NAME), Renamer(NAME)

    assert fed(slow, [reply[i : i + 1] for i in range(len(reply))]) == fed(quick, joined)
    assert slow.renamed == quick.renamed


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("name", [name for name in REPLIES if name.endswith(".sse") and "-cr." not in name])
def test_events_are_renamed_alike_again_and_again(name: str, blank: bytes) -> None:
    reply = REPLIES[name].removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\n", blank[: len(blank) // 2])
    events = [event + blank for event in reply.split(blank) if event]
    renamer = Renamer(NAME)
    once = [renamer.feed(event) for event in events]
    for _ in range(3):
        assert once == [renamer.feed(event) for event in events]
        assert b"".join(once) == renamer.feed(b"".join(events))
    assert 7 * b"".join(once).count(VALUE) == renamer.renamed


def test_an_opening_that_came_before_is_not_scanned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    renamer = Renamer(NAME)
    event = b'data: {"id":1,"model":"m","text":"@"}\n\n'
    wanted = event.replace(b'"m"', VALUE)
    renamer.feed(event)
    assert wanted == renamer.feed(event)
    monkeypatch.setattr(Follower, "feed", None)

    assert wanted == renamer.feed(event)
    assert 3 * wanted == renamer.feed(3 * event)
    assert 6 == renamer.renamed
    with pytest.raises(TypeError):  # a name elsewhere, too
        renamer.feed(event.replace(b"@", b'","model":"n'))


def test_openings_that_no_event_has_in_common_are_not_looked_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    renamer = Renamer(NAME)
    learned: list[bytes] = []
    learn = Renamer._learn

    def learning(self: Renamer, data: bytes) -> bytes:
        learned.append(data)
        return learn(self, data)

    monkeypatch.setattr(Renamer, "_learn", learning)
    renamer.feed(b"\n\n")
    for number in range(20):
        assert VALUE in renamer.feed(b'data: {"id":%d,"model":"m"}\n\n' % number)
    assert 4 == len(learned)


# --- named cases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b'data: {"model":"never closed\ndata: {"model":"a"}\n', b'data: {"model":@\ndata: {"model":@}\n'),
        (b'data: "never closed\ndata: {"model":"a"}\n', b'data: "never closed\ndata: {"model":@}\n'),
        (b'data: {"a":"}\n\ndata: {"model":"a"}\n\n', b'data: {"a":"}\n\ndata: {"model":@}\n\n'),
        (b':\n{"model":"a"}\n', b':\n{"model":"a"}\n'),
        (b'Data: {"model":"a"}\n', b'Data: {"model":"a"}\n'),
        (b'\xef\xbbdata: {"model":"a"}\n', b'\xef\xbbdata: {"model":"a"}\n'),
        (b'data: {"model":"a\\"b\\\\"}\n', b'data: {"model":@}\n'),
        (b'data: {"model":"a" "b"}\n\n', b'data: {"model":@ "b"}\n\n'),
        (b'data: {"a":1"model":"b"}\n\n', b'data: {"a":1"model":"b"}\n\n'),
        (b'data: {"model":null,"b":"model"}\n\n', b'data: {"model":null,"b":"model"}\n\n'),
        (b'data: {"models":["x"],"modelVersion" : "y"}\n\n', b'data: {"models":["x"],"modelVersion" : @}\n\n'),
    ],
)
def test_an_event_stream_is_renamed_line_by_line(reply: bytes, expected: bytes) -> None:
    """Only ``data`` fields are read, and what is broken ends with its line or event."""
    for pieces in ([reply], [reply[i : i + 1] for i in range(len(reply))]):
        assert expected.replace(b"@", VALUE) == fed(Renamer(NAME), pieces)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b'{"model":"a"}', b'{"model":@}'),
        (b'{"model":"a"}\n{"model":"b"}', b'{"model":@}\n{"model":@}'),
        (b' \n\t{"model":"a"}', b' \n\t{"model":@}'),
        (b'1\n{"model":"a"}', b'1\n{"model":@}'),
        (b'\xef\xbb\xbf[{"model":"a"}]', b'\xef\xbb\xbf[{"model":@}]'),
        (b'\n\ndata: {"model":"a"}', b'\n\ndata: {"model":@}'),
        (b': {\ndata: {"model":"a"}', b': {\ndata: {"model":@}'),
        (b'  data: {"model":"a"}', b'  data: {"model":"a"}'),
        (b'<p>"model":"a"</p>', b'<p>"model":"a"</p>'),
        (b"", b""),
    ],
)
def test_the_format_is_told_by_the_first_byte(reply: bytes, expected: bytes) -> None:
    """Blanks and a byte order mark tell nothing."""
    for pieces in ([reply], [reply[i : i + 1] for i in range(len(reply))]):
        assert expected.replace(b"@", VALUE) == fed(Renamer(NAME), pieces)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (rb'{"mod\u0065l":"a","x":"y"}', rb'{"mod\u0065l":@,"x":"y"}'),
        (rb'{"model":"a","\u006dodel":"b"}', rb'{"model":@,"\u006dodel":@}'),
        (rb'{"\u006d\u0065ssage":{"model":"a"}}', rb'{"\u006d\u0065ssage":{"model":@}}'),
        (rb'{"mod\u0065l\u0073":"a","mod\x":"b","\ud800model":"c"}', None),
        (b'{"' + b"\\u006d" * 20 + b'":"a","model":"b"}', b'{"' + b"\\u006d" * 20 + b'":"a","model":@}'),
    ],
)
@pytest.mark.parametrize("opening", [b"", b"data: "])
def test_a_key_that_is_spelled_with_escapes_is_the_same_key(
    opening: bytes, reply: bytes, expected: bytes | None
) -> None:
    """In whole replies and events, also where others of their kind came before."""
    whole = opening + reply + b"\n\n"
    wanted = opening + (expected or reply).replace(b"@", VALUE) + b"\n\n"

    for pieces in ([whole], [whole[i : i + 1] for i in range(len(whole))]):
        assert wanted == fed(Renamer(NAME), pieces)
    plain = opening + b'{"model":"a","x":"y"}\n\n'
    assert fed(Renamer(NAME), [plain, plain, whole]).endswith(wanted)


def test_an_event_that_needs_no_change_is_passed_as_the_same_object() -> None:
    """The common piece of a stream costs no copy."""
    renamer = Renamer(NAME)
    renamer.feed(b": hello\n\n")
    piece = b'data: {"delta":"x"}\n\n'

    assert renamer.feed(piece) is piece


@pytest.mark.parametrize("prefix", [b"", b"data: "])
@pytest.mark.parametrize("chunk", [997, 65536, 1 << 24])
def test_a_large_reply_passes_in_constant_memory(prefix: bytes, chunk: int) -> None:
    """Megabytes in one string, one array, one depth and one line; what is kept between the pieces is small."""
    inner: dict[str, Any] = {
        "b64": base64.b64encode(bytes(900_000)).decode(),
        "text": 'say "x\\y"\n' * 30_000,
        "numbers": [0.25] * 60_000,
        "items": [{"a": ["b", {}], "model": "kept"}] * 10_000,
    }
    body = json.dumps({**{f"k{i}": i for i in range(1_000)}, **inner, "data": inner, "model": "old"}).encode()
    reply = prefix + body.replace(b'"data"', b'"deep": ' + b"[" * 9_000 + b"]" * 9_000 + b', "data"') + b"\n\n"
    pieces = [reply[i : i + chunk] for i in range(0, len(reply), chunk)]
    renamer = Renamer(NAME)

    tracemalloc.start()
    try:
        held = 0
        results = []
        for piece in pieces:
            before = tracemalloc.get_traced_memory()[0]
            result = renamer.feed(piece)
            held += tracemalloc.get_traced_memory()[0] - before - (0 if result is piece else len(result))
            results.append(result)
    finally:
        tracemalloc.stop()

    assert reply.replace(b'"old"', VALUE) == b"".join(results)
    assert renamer.renamed == 1
    assert held < 16_384
