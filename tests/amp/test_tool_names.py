"""Names of tools in a reply: given the casing that the request has for them, at every cut, with nothing else changed.

The oracle changes the parsed reply. Whatever the bytes, what comes out does not depend on how they arrived.
"""

from __future__ import annotations

import json
import random
import re
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import examples

from ampmap.amp.tool_names import HELD_BYTES, ToolNames

CASINGS = {"bash": "Bash", "read": "Read", "grep": "Grep", "été": "Été"}
REPLIES = {
    path.name: path.read_bytes()
    for path in sorted((Path(__file__).parent.parent / "support" / "transcripts").iterdir())
}
CHANGED = {"anthropic-tools.json", "anthropic-tools.sse", "anthropic-tools-crlf.sse"}

# --- the oracle -------------------------------------------------------------------------------------------------------


def with_casings(root: Any) -> Any:
    """The parsed reply, with its blocks' names changed."""
    if not isinstance(root, dict):
        return root
    content = root.get("content")
    for block in [*(content if isinstance(content, list) else []), root.get("content_block")]:
        if isinstance(block, dict) and block.get("type") == "tool_use" and isinstance(block.get("name"), str):
            block["name"] = CASINGS.get(block["name"].casefold(), block["name"])
    return root


def parsed(reply: bytes, suffix: str) -> list[Any]:
    """Each JSON text of a reply, parsed."""
    if suffix == ".json":
        return [json.loads(reply)]
    events = re.split(r"(?:\r\n|\r|\n){2}", reply.decode().lstrip("\ufeff"))
    datas = ["\n".join(re.findall(r"(?m)^data:(.*)", re.sub(r"\r\n?", "\n", event))) for event in events]
    return [json.loads(data) for data in datas if data.strip() and data.strip() != "[DONE]" and is_json(data)]


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def fed(names: ToolNames, pieces: list[bytes]) -> bytes:
    held = fed_bytes = left = 0
    results = []
    for piece in pieces:
        results.append(names.feed(piece))
        fed_bytes += len(piece)
        left += len(results[-1])
        held = max(held, fed_bytes - left)
    assert held <= HELD_BYTES + 100  # what has been changed may be longer or shorter than it was
    return b"".join([*results, names.finish()])


def cut(reply: bytes, places: list[int]) -> list[bytes]:
    return [reply[a:b] for a, b in pairwise([0, *sorted(places), len(reply)])]


def uncased(reply: bytes) -> bytes:
    """The reply without what may have changed."""
    return reply.lower()


# --- transcripts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPLIES)
def test_each_name_of_a_reply_gets_its_casing(name: str) -> None:
    reply, suffix = REPLIES[name], Path(name).suffix
    names = ToolNames(CASINGS)

    result = fed(names, [reply])

    assert [with_casings(root) for root in parsed(reply, suffix)] == parsed(result, suffix)
    assert uncased(reply) == uncased(result)
    assert (result == reply) == (name not in CHANGED)


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("name", REPLIES)
def test_the_same_comes_out_at_every_cut(name: str) -> None:
    """In two pieces, and byte by byte."""
    reply = REPLIES[name]
    whole = fed(ToolNames(CASINGS), [reply])

    assert whole == fed(ToolNames(CASINGS), [reply[at : at + 1] for at in range(len(reply))])
    for at in range(len(reply) + 1):
        assert whole == fed(ToolNames(CASINGS), [reply[:at], reply[at:]]), at


@given(st.sampled_from(sorted(CHANGED)), st.integers(0, 2**32), st.integers(2, 12))
@settings(max_examples=examples(200))
def test_any_pieces_give_the_same(name: str, seed: int, count: int) -> None:
    reply = REPLIES[name] * 2
    places = [random.Random(seed + i).randrange(len(reply) + 1) for i in range(count)]

    assert fed(ToolNames(CASINGS), [reply]) == fed(ToolNames(CASINGS), cut(reply, places))


# --- any JSON, and any bytes ------------------------------------------------------------------------------------------

KEYS = st.sampled_from(["type", "name", "input", "content", "content_block", "[]", "names", "a" * 30, 'na"me', "\\"])
TEXTS = st.sampled_from(
    ["tool_use", "bash", "READ", "ÉTÉ", "Grep", "other", "", '"name":"bash"', "\\", "x" * 300, "\ud800"]
)
VALUES = st.recursive(
    TEXTS | st.sampled_from([1, -1.5e-7, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
BLOCKS = st.one_of(
    VALUES,
    st.dictionaries(KEYS, VALUES, max_size=3),
    st.tuples(st.dictionaries(KEYS, VALUES, max_size=2), TEXTS, st.booleans()).map(
        lambda b: {"type": "tool_use", **b[0], "name": b[1]} if b[2] else {"name": b[1], **b[0], "type": "tool_use"}
    ),
)
ROOTS = st.one_of(
    VALUES,
    st.fixed_dictionaries({"content": st.lists(BLOCKS, max_size=3) | BLOCKS}, optional={"type": TEXTS}),
    st.fixed_dictionaries({"index": st.just(1)}, optional={"content_block": BLOCKS, "content": st.lists(BLOCKS)}),
)
SEEDS = st.integers(0, 2**32)


def spread(root: Any, rng: random.Random) -> str:
    text = json.dumps(root, indent=rng.choice([None, None, 1]), ensure_ascii=True)
    return text.replace(": ", rng.choice([":", ": ", " : "])).replace("\n", rng.choice(["\n", "\r\n"]))


@given(ROOTS, SEEDS)
@settings(max_examples=examples(400))
def test_any_json_reply_is_changed_where_a_parser_finds_the_names(root: Any, seed: int) -> None:
    rng = random.Random(seed)
    reply = spread(root, rng).encode()
    places = [rng.randrange(len(reply) + 1) for _ in range(rng.randrange(6))]

    result = fed(ToolNames(CASINGS), cut(reply, places))

    assert with_casings(root) == json.loads(result)
    if with_casings(json.loads(reply)) == json.loads(reply):
        assert reply == result


@given(st.lists(ROOTS, max_size=4), SEEDS)
@settings(max_examples=examples(250))
def test_any_event_stream_is_changed_where_a_parser_finds_the_names(roots: list[Any], seed: int) -> None:
    """Each line end, JSON spread over lines, other fields between, cut anywhere."""
    rng = random.Random(seed)
    lines: list[str] = []
    for root in roots:
        lines += rng.choice([[], ["event: tool_use"], [": x"], ["data"], ["data: [DONE]", ""]])
        lines += [rng.choice(["data:", "data: "]) + line for line in spread(root, rng).splitlines()]
        lines += [""] * rng.choice([1, 1, 2])
    end = rng.choice(["\n", "\r\n", "\r"])
    reply = (rng.choice(["", "\ufeff"]) + "".join(line + end for line in lines)).encode()
    places = [rng.randrange(len(reply) + 1) for _ in range(rng.randrange(6))]

    result = fed(ToolNames(CASINGS), cut(reply, places))

    assert [with_casings(root) for root in parsed(reply, ".sse")] == parsed(result, ".sse")


SOUP = st.lists(
    st.sampled_from(
        [
            *(
                b'{"content_block":{',
                b'{"content":[',
                b'"type":"tool_use"',
                b'"type":"text"',
                b'"name":"bash"',
                b'"name"',
            ),
            *(b"data: ", b"data:", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"event: x", b"\xef\xbb\xbf", b"\xff"),
            *(b"{", b"}", b"[", b"]", b'"', b"\\", b":", b",", b" ", b"1", b'"tool_use"', b"tool_use", b"x" * 3000),
        ]
    ),
    max_size=40,
).map(b"".join)


@given(SOUP, SEEDS)
@settings(max_examples=examples(600))
def test_broken_replies_never_raise_and_do_not_depend_on_their_cuts(reply: bytes, seed: int) -> None:
    rng = random.Random(seed)
    reply = rng.choice([b"", b'data: {"content_block":{', b'{"content":[{']) + reply
    places = [rng.randrange(len(reply) + 1) for _ in range(rng.randrange(6))]

    result = fed(ToolNames(CASINGS), [reply[i : i + 1] for i in range(len(reply))])

    assert result == fed(ToolNames(CASINGS), [reply])
    assert result == fed(ToolNames(CASINGS), cut(reply, places))
    assert uncased(reply) == uncased(result)


# --- named cases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ('"type":"tool_use","name":"BASH"', '"type":"tool_use","name":"Bash"'),
        ('"name":"BASH","type":"tool_use"', '"name":"Bash","type":"tool_use"'),
        (r'"type":"tool_use","name":"b\u0061sh"', '"type":"tool_use","name":"Bash"'),
        (r'"type":"tool_use","name":"\u00c9t\u00c9"', r'"type":"tool_use","name":"\u00c9t\u00e9"'),
        (r'"type":"tool_use","name":"B\u0061sh"', None),
        (r'"type":"tool_use","name":"b\x"', None),
        (r'"type":"tool\u005fuse","name":"bash"', None),
        (r'"t\u0079pe":"tool_use","n\u0061me":"bash"', r'"t\u0079pe":"tool_use","n\u0061me":"Bash"'),
        ('"type":"tool_use_","name":"bash"', None),
        ('"type":"text","name":"bash"', None),
        ('"type":null,"name":"bash"', None),
        ('"name":"bash"', None),
        ('"type":"tool_use","name":["bash"]', None),
        ('"name":"bash","type":"text","name":"bash"', None),
        ('"name":"bash","name":"grep","type":"tool_use"', '"name":"bash","name":"Grep","type":"tool_use"'),
        ('"type":"tool_use","name":"' + "x" * 5000 + '"', None),
    ],
)
def test_only_the_listed_name_of_a_tool_is_changed(block: str, expected: str | None) -> None:
    reply = '{"content":[{' + block + "}]}"
    wanted = '{"content":[{' + (expected or block) + "}]}"

    for pieces in ([reply.encode()], [bytes([byte]) for byte in reply.encode()]):
        assert wanted == fed(ToolNames(CASINGS), pieces).decode()


@pytest.mark.parametrize("size", range(HELD_BYTES - 3, HELD_BYTES + 4))
@pytest.mark.parametrize("step", [1, 1000, HELD_BYTES, 10**6])
def test_a_type_that_comes_too_late_leaves_the_name_alone(size: int, step: int) -> None:
    """What is held has a bound, which falls on the same byte however the reply arrives."""
    name, type_ = b'"bash"', b',"type":"tool_use"'
    filler = b',"i":"' + b"x" * (size - len(name + type_) - 7) + b'"'
    reply = b'{"content_block":{"name":' + name + filler + type_ + b"}}"
    expected = reply.replace(b"bash", b"Bash") if size <= HELD_BYTES else reply

    pieces = [reply[i : i + step] for i in range(0, len(reply), step)]

    assert expected == fed(ToolNames(CASINGS), pieces)


def test_all_but_a_name_leaves_at_once() -> None:
    """And the name as soon as it is complete."""
    names = ToolNames(CASINGS)

    assert b'data: {"content_block":{"type":"tool_use","name":' == names.feed(
        b'data: {"content_block":{"type":"tool_use","name":"ba'
    )
    assert b'"Bash"' == names.feed(b'sh"')
    assert b',"input":{"a":"' == names.feed(b',"input":{"a":"')
    other = b'"}}}\n\ndata: {"content_block":{"type":"text","name":"ba'
    assert other == names.feed(other)


def test_a_reply_that_breaks_off_loses_nothing() -> None:
    names = ToolNames(CASINGS)
    left = names.feed(b'{"content":[{"name":"bash","ty')

    assert b'{"content":[{"name":"bash","ty' == left + names.finish()
    assert b"" == names.finish()


def test_an_event_that_needs_no_change_is_passed_as_the_same_object() -> None:
    """The common piece of a stream costs no copy."""
    names = ToolNames(CASINGS)
    names.feed(b": hello\n\n")
    piece = b'data: {"delta":"x"}\n\n'

    assert names.feed(piece) is piece


def test_a_name_in_a_broken_event_is_let_go_with_its_line() -> None:
    names = ToolNames(CASINGS)
    broken = b'data: {"content_block":{"type":"tool_use","name":"ba\n\n'
    event = b'data: {"content_block":{"type":"tool_use","name":"bash"}}\n\n'

    assert broken + event.replace(b"bash", b"Bash") == names.feed(broken + event)


def test_a_large_reply_passes_in_constant_memory() -> None:
    inner = {"text": 'say "x\\y"\n' * 100_000, "items": [{"type": "tool_use", "name": "bash"}] * 20_000}
    blocks = [{"type": "tool_use", "name": "bash", "input": inner}, {"name": "read", "type": "tool_use"}]
    reply = json.dumps({"content": blocks, "other": inner}).encode()
    names, left, held = ToolNames(CASINGS), b"", 0

    tracemalloc.start()
    try:
        for at in range(0, len(reply), 65_536):
            piece = reply[at : at + 65_536]
            before = tracemalloc.get_traced_memory()[0]
            result = names.feed(piece)
            held += tracemalloc.get_traced_memory()[0] - before - (0 if result is piece else len(result))
            left += result
            del piece, result
    finally:
        tracemalloc.stop()

    assert with_casings(json.loads(reply)) == json.loads(left)
    assert held < 16_384
