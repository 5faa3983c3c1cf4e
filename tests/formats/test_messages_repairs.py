"""Repairs of a request: a beta leaves its header, blocks and members leave the body, and no other byte changes.

The oracle repairs the parsed body. Bodies are written with random white space and escapes.
"""

from __future__ import annotations

import json
import random
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import examples

from ampmap.bodies.edits import cut
from ampmap.bodies.json_walk import WINDOW_BYTES
from ampmap.bodies.steps import finished
from ampmap.formats.anthropic.repairs import REPAIRS, scan_repairs, without_long_context

# --- the header -------------------------------------------------------------------------------------------------------

LONG = b"context-1m-2025-08-07"


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ([b"context-1m-2025-08-07"], []),
        ([b"a,context-1m-2025-08-07"], [b"a"]),
        ([b" context-1m-2025-08-07 ,\ta , b"], [b"a,b"]),
        ([b"context-1m-2025-08-07, , context-1m-2025-08-07"], []),
        ([b"a", LONG, b"b, " + LONG], [b"a", b"b"]),
        ([b"a , b"], [b"a , b"]),
        ([b""], [b""]),
        ([b"x-context-1m-2025-08-07 , b"], [b"x-context-1m-2025-08-07 , b"]),
    ],
)
def test_the_long_context_leaves_every_beta_line(lines: list[bytes], kept: list[bytes]) -> None:
    """A line that does not list it stays byte for byte, however like it its members are."""
    for name in (b"anthropic-beta", b"Anthropic-Beta"):
        assert [(name, line) for line in kept] == without_long_context([(name, line) for line in lines])


def test_other_lines_may_name_the_long_context() -> None:
    lines = [(b"x-beta", LONG), (b"Accept", b"a , b")]

    assert lines == without_long_context(lines)


# --- the oracle -------------------------------------------------------------------------------------------------------


def repaired(root: Any) -> Any:
    """The parsed body as it is to be."""
    for message in root.get("messages") or [] if isinstance(root, dict) else []:
        if (
            isinstance(message, dict)
            and message.get("role") == "assistant"
            and isinstance(message.get("content"), list)
        ):
            message["content"] = [block for block in message["content"] if not unusable(block)]
            for block in message["content"]:
                if isinstance(block, dict) and block.get("type") == "tool_use":
                    block.pop("signature", None)
    return root


def unusable(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") != "thinking":
        return False
    return not (isinstance(block.get("signature"), str) and block["signature"].strip())


def repair(body: bytes, window_bytes: int = WINDOW_BYTES) -> bytes:
    spans = finished(scan_repairs(body, window_bytes=window_bytes))
    assert spans == sorted(spans)
    assert all(0 <= start < end <= len(body) for start, end in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert spans == finished(scan_repairs(bytearray(body), window_bytes=window_bytes))
    return b"".join(cut(body, [(start, end, b"") for start, end in spans]))


# --- bodies of every spelling -----------------------------------------------------------------------------------------

SIGNATURES = st.sampled_from(["", " ", "\t\n", "\u00a0\u2003", "EqQB", "é", "日", 7, None, ["x"], "\ud800"])
BLOCKS = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("thinking")}, optional={"thinking": st.text(max_size=3), "signature": SIGNATURES}
    ),
    st.fixed_dictionaries(
        {"signature": SIGNATURES, "type": st.sampled_from(["thinking", "text", "redacted_thinking"])}
    ),
    st.fixed_dictionaries(
        {"type": st.just("tool_use")},
        optional={
            "signature": SIGNATURES,
            "input": st.sampled_from(
                [{}, {"signature": "x"}, [{"type": "thinking"}], {"thinking": {"type": "thinking"}}]
            ),
            "id": st.just("toolu_1"),
        },
    ),
    st.fixed_dictionaries({"signature": SIGNATURES}, optional={"type": st.just("tool_use"), "name": st.just("é語")}),
    st.sampled_from(
        [{}, "thinking", 1, None, [{"type": "thinking"}], {"type": ["thinking"]}, {"text": '{"type":"thinking"}'}]
    ),
)
CONTENTS = st.one_of(st.lists(BLOCKS, max_size=5), st.sampled_from(["thinking", None, {"type": "thinking"}]))
MESSAGES = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["assistant", "assistant", "assistant", "user"]), "content": CONTENTS}
    ),
    st.fixed_dictionaries({"content": CONTENTS, "role": st.just("assistant"), "x": st.text(max_size=4)}),
    st.sampled_from(
        [{}, [], "assistant", {"role": "assistant"}, [{"role": "assistant", "content": [{"type": "thinking"}]}]]
    ),
)
BODIES = st.fixed_dictionaries(
    {"messages": st.one_of(st.lists(MESSAGES, max_size=4), st.sampled_from([None, {}, "x"]))},
    optional={
        "model": st.sampled_from(["m", "é日😀"]),
        "thinking": st.just({"type": "enabled", "budget_tokens": 10**30}),
        "system": st.lists(BLOCKS, max_size=2),
        "temperature": st.just(1.0),
    },
)


def written(value: Any, rng: random.Random) -> str:
    """Write JSON with blanks and escapes wherever they may be."""

    def gap() -> str:
        return rng.choice(["", "", "", " ", "\r\n\t"])

    if isinstance(value, dict):
        members = [f"{gap()}{written(k, rng)}{gap()}:{gap()}{written(v, rng)}{gap()}" for k, v in value.items()]
        return "{" + (",".join(members) or gap()) + "}"
    if isinstance(value, list):
        return "[" + (",".join(gap() + written(v, rng) + gap() for v in value) or gap()) + "]"
    if isinstance(value, str) and rng.random() < 0.05:
        return '"' + "".join(f"\\u{ord(c):04X}" if c < "\ud800" else json.dumps(c)[1:-1] for c in value) + '"'
    return json.dumps(value, ensure_ascii=rng.random() < 0.5 or not encodable(value))


def encodable(value: Any) -> bool:
    return not (isinstance(value, str) and "\ud800" in value)


@given(BODIES, st.integers(0, 2**32), st.sampled_from([128, 300, WINDOW_BYTES]))
@settings(max_examples=examples(600))
def test_a_parser_finds_the_repaired_body(root: Any, seed: int, window_bytes: int) -> None:
    """And what is left is what was there, less whole stretches."""
    body = (written(root, random.Random(seed)) + "\n").encode()
    expected = repaired(json.loads(body))

    result = repair(body, window_bytes)

    if re.search(rb'"signature"|"thinking"(?!\s*:)', body):
        assert expected == json.loads(result)
    else:  # spelled with escapes alone
        assert json.loads(result) in (json.loads(body), expected)
    if expected == json.loads(body):
        assert body == result


MANY = st.lists(MESSAGES, max_size=20).map(lambda messages: {"messages": messages * 3})


@given(MANY, st.integers(0, 80))
@settings(max_examples=examples(300))
def test_it_does_not_matter_how_much_is_read_at_once(root: Any, size: int) -> None:
    """The least windows do not hold a word more than those that count; many small messages are read in batches."""
    body = json.dumps(root, ensure_ascii=not encodable(json.dumps(root, ensure_ascii=False)), indent=size % 2).encode()

    result = repair(body)

    assert repaired(root) == json.loads(result) or b'"thinking"' not in body
    for window_bytes in (24 + size, 25, 40):
        assert result == repair(body, window_bytes)


@given(BODIES, st.integers(0, 2**32))
@settings(max_examples=examples(400))
def test_what_is_no_json_is_left_as_it_is(root: Any, seed: int) -> None:
    rng = random.Random(seed)
    body = bytearray(written(root, rng).encode())
    at = rng.randrange(len(body))
    body[at : at + rng.randrange(3)] = rng.choice([b"", b",", b"}", b'"', b"\xff", b"NaN", b"x", b"\\", b"\n"])
    try:
        json.loads(body.decode(), parse_constant=int)
    except ValueError:
        assert bytes(body) == repair(bytes(body))
    else:
        json.loads(repair(bytes(body)))


# --- named cases ------------------------------------------------------------------------------------------------------


def said(content: str) -> str:
    return '{"messages":[{"role":"assistant","content":' + content + "}]}"


GOOD = '{"type":"thinking","thinking":"t","signature":"EqQB"}'
BAD = '{"type":"thinking","thinking":"t"}'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"[{BAD}]", "[]"),
        (f"[ {BAD} , {BAD} ]", "[  ]"),
        (f"[{BAD},1]", "[1]"),
        (f"[1,{BAD}]", "[1]"),
        (f"[1 , {BAD} , 2]", "[1 ,  2]"),
        (f"[1,{BAD},{BAD}]", "[1]"),
        (f"[{BAD},{BAD},1,{BAD},{BAD}]", "[1]"),
        (f"[{GOOD},{BAD}]", f"[{GOOD}]"),
        ('[{"type":"redacted_thinking","data":"x"}]', '[{"type":"redacted_thinking","data":"x"}]'),
        ('[{"type":"tool_use","signature":"s"}]', '[{"type":"tool_use"}]'),
        ('[{"signature":{"a":[1,"}"]},"type":"tool_use"}]', '[{"type":"tool_use"}]'),
        ('[{"a":1.0,"signature":"s","type":"tool_use","b":1e5}]', '[{"a":1.0,"type":"tool_use","b":1e5}]'),
        (r'[{"type":"tool_use","signatur\u0065":"s","signature":"s"}]', '[{"type":"tool_use"}]'),
        (f'[{{"type":"tool_use","signature":"s","input":{BAD}}},{BAD}]', f'[{{"type":"tool_use","input":{BAD}}}]'),
        ('[{"type":"tool_use","input":{"signature":"s"}}]', '[{"type":"tool_use","input":{"signature":"s"}}]'),
    ],
)  # fmt: skip
def test_one_comma_goes_with_what_is_cut(content: str, expected: str) -> None:
    assert said(expected) == repair(said(content).encode()).decode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (said(f'[{BAD}],"content":[{BAD},1]'), said(f'[{BAD}],"content":[1]')),
        (said(f'[{BAD}],"content":"x"'), said(f'[{BAD}],"content":"x"')),
        (said(f'[{BAD}],"role":"user"'), said(f'[{BAD}],"role":"user"')),
        (said(f'[{BAD}]')[:-1] + ',"messages":[]}', said(f'[{BAD}]')[:-1] + ',"messages":[]}'),
        (said(f'[{BAD}]')[:-1] + ',"messages":"thinking"}', said(f'[{BAD}]')[:-1] + ',"messages":"thinking"}'),
        (said('[{"type":"thinking","signature":"","signature":"s"}]'),) * 2,
        (said('[{"type":"thinking","type":"text"}]'),) * 2,
        (said('[{"type":"text","type":"thinking"}]'), said("[]")),
    ],
)  # fmt: skip
def test_of_members_with_the_same_key_the_last_counts(body: str, expected: str) -> None:
    assert expected == repair(body.encode()).decode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"thinking"',
        b'{"a":"thinking"',
        b'{1:"thinking"}',
        b'{} "thinking"',
        b'{"messages":[{"role":"assistant","content":[{"type":"thinking"}]}],"x":NaN}',
        b"[" * 5000 + b'"thinking"',
        said(f"[{BAD}]").encode() + b"x",
    ],
)
def test_what_is_no_json_object_has_nothing_to_repair(body: bytes) -> None:
    assert [] == finished(scan_repairs(body))


def test_too_deep_a_body_has_nothing_to_repair() -> None:
    body = b'{"signature":' + b"[" * 200_000 + b"]" * 200_000 + b"}"

    assert [] == finished(scan_repairs(body))


def test_a_body_without_a_hint_is_not_walked() -> None:
    """The member that asks for thinking is none; three searched stretches are two yields."""
    body = b'{"thinking":{"type":"enabled"},"x":"' + b"t" * 3_000_000 + b'"}'

    assert 2 == len(list(scan_repairs(body)))


@pytest.mark.parametrize("at", range(1024 * 1024 - 30, 1024 * 1024 + 3))
def test_a_hint_is_found_on_the_edge_of_what_is_searched_at_once(at: int) -> None:
    body = said(f"[{BAD}]").encode()
    filled = b'{"x":"' + b"x" * (at - body.index(b'"thinking"') - 7) + b'",' + body[1:]

    assert 1 == len(finished(scan_repairs(filled)))


LONG_TEXT = "x" * 2000
MIX = f'{BAD},{{"type":"tool_use","signature":"\u2003"}},1,{{}},{{"type":"thinking","signature":"\u2003"}},{GOOD}'


@pytest.mark.parametrize("window_bytes", [16, 64, 1000, WINDOW_BYTES])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"[{','.join([BAD] * 99)}]", "[]"),
        (f"[{','.join([BAD] * 99)},1]", "[1]"),
        (f"[{','.join(['1'] * 99)},{BAD}]", f"[{','.join(['1'] * 99)}]"),
        (f"[{','.join([MIX] * 60)}]", "[" + ",".join([f'{{"type":"tool_use"}},1,{{}},{GOOD}'] * 60) + "]"),
        ('[{"type":"thinking","a":"%s"},1]' % ("x" * 2000), "[1]"),
        (f'[{{"a":"{LONG_TEXT}","type":"thinking","signature":"{LONG_TEXT}"}},1]',) * 2,
        ('[{"signature":["%s"],"type":"thinking"},1]' % ("x" * 2000), "[1]"),
        ('[{"signature":["%s"],"type":"tool_use"},1]' % ("x" * 2000), '[{"type":"tool_use"},1]'),
        ('[{%s"signature":1,"type":"tool_use"},1]' % ('"a":1,' * 99), '[{%s"type":"tool_use"},1]' % ('"a":1,' * 99)),
        (f'[["{LONG_TEXT}",{BAD}],{BAD}]', f'[["{LONG_TEXT}",{BAD}]]'),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_large_or_many_is_cut_as_what_is_not(content: str, expected: str, window_bytes: int) -> None:
    body = said(content)
    doubled = body[:-1] + ',"messages":"' + "x" * 2000 + '"}'
    for text in (body, body.replace('"role"', '"x":1,"role":"user","role"'), body.replace("[{", '[1,"x",[],{', 1)):
        assert text.replace(content, expected) == repair(text.encode(), window_bytes).decode()
    for text in (doubled, body.replace("assistant", "user"), body[:-3] + ',"content":"%s"}]}' % ("x" * 2000)):
        assert text == repair(text.encode(), window_bytes).decode()


def test_a_body_that_takes_too_many_repairs_is_left_as_it_is() -> None:
    """Enough for any conversation."""
    for count, is_repaired in ((REPAIRS // 4, True), (REPAIRS, False)):
        body = said("[" + ",".join([BAD, GOOD] * count) + "]").encode()
        assert is_repaired == (count == len(finished(scan_repairs(body))))


@pytest.mark.parametrize("letter", ["x", "é", "日"])
def test_others_have_their_turn_while_a_large_body_is_walked(letter: str) -> None:
    messages = [{"role": "assistant", "content": [{"type": "thinking"}, letter * 5_000]} for _ in range(200)]
    messages[100]["content"] = [letter * 2 * WINDOW_BYTES]
    body = json.dumps({"messages": messages}, ensure_ascii=False).encode()

    assert len(list(scan_repairs(body))) >= 200 * 5_000 // WINDOW_BYTES
    assert repaired({"messages": messages}) == json.loads(repair(body))
