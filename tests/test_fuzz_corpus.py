"""The fuzz targets without their fuzzer: every seed and past finding, and what hypothesis makes up.

Examples are the same in every run; ``make fuzz`` is for what is new.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fuzz import CORPUS, TARGETS, cut, run, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import examples

Check = Callable[[bytes], None]

SAME = settings(max_examples=examples(60, 20), derandomize=True, database=None)
FEW = settings(SAME, max_examples=examples(30, 10))


def check_of(target: str) -> Check:
    check: Check = import_module(f"fuzz.{target}").check
    return check


@cache
def words(target: str) -> list[bytes]:
    """Return the words that the fuzzer of a target is given."""
    lines = (CORPUS.parent / "words" / target).read_text().splitlines()
    return [ast.literal_eval(f"b{line}") for line in lines]


def soup(target: str, count: int = 16) -> st.SearchStrategy[bytes]:
    """Make data of a target's words with stray bytes between them."""
    return st.lists(st.sampled_from(words(target)) | st.binary(max_size=3), max_size=count).map(b"".join)


CASES = [pytest.param(target, path, id=f"{target}-{path.name}") for target in TARGETS for path in seeds(target)]


@pytest.mark.parametrize(("target", "path"), CASES)
def test_every_seed_and_every_past_finding_holds(target: str, path: Path) -> None:
    check_of(target)(path.read_bytes())


def test_every_target_has_seeds_and_words() -> None:
    assert all(seeds(target) and words(target) for target in TARGETS)
    assert set(TARGETS) == {path.name for path in CORPUS.iterdir()}


def test_pieces_are_cut_by_their_lengths_again_and_again() -> None:
    assert [b"a", b"bc", b"d", b"ef", b"g"] == cut(b"abcdefg", b"\x01\x02")
    assert [b"abc"] == cut(b"abc", b"\x00")
    assert [] == cut(b"", b"\x01")


def test_a_finding_is_named_after_its_failure_and_made_smaller() -> None:
    def check(data: bytes) -> None:
        assert b"b" not in data

    failure = run.failure_of(check, b"aabaa")

    assert failure == "AssertionError in test_fuzz_corpus check"
    assert b"b" == run.smaller(check, b"aabaa", failure)
    assert "" == run.failure_of(check, b"aa")


# --- heads ------------------------------------------------------------------------------------------------------------

SEGMENTS = st.sampled_from(
    ["api", "provider", "anthropic", "v1", "v1beta", "models", "messages", "user", "gemini-x:generateContent", "x%2fy",
     "m", "..", "%2e", "chat/completions", "responses", "own:x", "client-key-1", "_ampmap", "health", "threads"]
)  # fmt: skip
PARAMETERS = st.sampled_from(
    ["key=client-key-1", "key=sk-1", "auth_token=sgamp_x", "a=client%2Dkey-1", "client-key-2", "a=b+client-key-2",
     "beta=true", "", "KEY=x", "%6bey=client-key-1"]
)  # fmt: skip
PATHS = st.sampled_from(
    ["/v1/messages", "/api/provider/anthropic/v1/messages", "/v1/chat/completions", "/api/user", "/api/internal",
     "/api/provider/google/v1beta1/publishers/google/models/gemini-x:generateContent"]
) | st.lists(SEGMENTS, max_size=6).map(lambda parts: "/" + "/".join(parts))  # fmt: skip
FIELDS = st.sampled_from(
    ["Authorization: Bearer client-key-1", "Authorization: Bearer sgamp_mine", "x-api-key: client-key-2",
     "x-goog-api-key: AIza1", "api-key: client-key-1", "Cookie: a=client-key-1", "x-amp-mode: smart", "Via: 1.1 x",
     "Connection: close, x-amp-mode", "Connection: Upgrade", "Upgrade: websocket", "X-Forwarded-For: 1",
     "Origin: https://page.example", "Sec-Fetch-Site: cross-site", "anthropic-beta: context-1m-2025-08-07, a",
     "Content-Digest: x", "Expect: 100-continue", "X-Odd: \t\x80", "Accept-Encoding: gzip", "TE: trailers",
     "client-key-2: x"]
)  # fmt: skip
BODIES = st.sampled_from(["m", "claude-x", "alias", "gpt-5(high)", "own", "dear", "nobody", " ", 'a"b: c']).map(
    lambda model: json.dumps({"model": model}).encode()
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from(["POST", "POST", "GET", "OPTIONS", "HEAD", "DELETE"]))
    target = draw(PATHS) + "?" * draw(st.booleans()) + "&".join(draw(st.lists(PARAMETERS, max_size=3)))
    fields = ["Host: localhost", *draw(st.lists(FIELDS, max_size=6))]
    body = draw(BODIES)
    if draw(st.booleans()):
        fields.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        fields.append(f"Content-Length: {len(body)}")
    return "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode("latin-1") + body


@given(requests() | soup("heads"))
@settings(SAME, max_examples=examples(200))
def test_heads(data: bytes) -> None:
    check_of("heads")(data)


# --- upstreams --------------------------------------------------------------------------------------------------------

STEPS = st.binary(max_size=4)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    status = draw(st.sampled_from([200, 200, 204, 304, 429, 101, 599]))
    head = b"HTTP/1.%d %d %b\r\n" % (draw(st.integers(0, 1)), status, draw(st.sampled_from([b"OK", b""])))
    fields = draw(st.lists(st.sampled_from([b"Set-Cookie: a", b"Connection: close", b"X: \x80", b"Trailer: x"])))
    body = draw(st.binary(max_size=12))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    if framing == "length":
        fields.append(b"Content-Length: %d" % draw(st.sampled_from([len(body), len(body), 3])))
    elif framing == "chunked":
        fields.append(b"Transfer-Encoding: chunked")
        body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\nX-Sum: 1\r\n\r\n"
    before = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * draw(st.integers(0, 2))
    return before + head + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


@given(st.sampled_from([b"g", b"h", b"p", b"u"]), STEPS, responses() | soup("upstreams"))
@settings(SAME, max_examples=examples(200))
def test_upstreams(method: bytes, steps: bytes, data: bytes) -> None:
    check_of("upstreams")(method + steps.replace(b"\n", b"") + b"\n" + data)


# --- bodies and replies -----------------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    ["model", "messages", "role", "content", "type", "signature", "thinking", "tools", "name", "tool_choice", "system",
     "input", "instructions", "text", "message", "response", "modelVersion", "content_block", "x"]
)  # fmt: skip
TEXTS = st.sampled_from(
    ["m", "assistant", "system", "thinking", "tool_use", "bash", "BASH", "Read", "é", "", " ", '"', "\\", "model"]
)
LEAVES = TEXTS | st.sampled_from([None, True, 7, 1.5, 10**30])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=14,
)  # fmt: skip
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["thinking", "tool_use", "text"])},
    optional={"name": TEXTS, "signature": LEAVES, "input": VALUES},
)
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "model": LEAVES,
        "system": VALUES,
        "tools": st.lists(st.fixed_dictionaries({"name": TEXTS}), max_size=3),
        "messages": st.lists(
            st.fixed_dictionaries({"role": TEXTS, "content": st.lists(BLOCKS, max_size=3)}) | VALUES, max_size=3
        ),
        "tool_choice": VALUES,
    },
)
SPACED = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n")])


def doubled(parts: tuple[Any, Any, tuple[str, str]]) -> bytes:
    """Write two objects as one, so that keys may come twice."""
    one, two, separators = parts
    texts = [json.dumps(part, separators=separators, ensure_ascii=False)[1:-1] for part in (one, two)]
    return ("{" + ",".join(text for text in texts if text) + "}").encode()


@given(
    st.tuples(ASKED, ASKED, SPACED).map(doubled)
    | st.tuples(ASKED, st.just({}), SPACED).map(doubled)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | soup("bodies").map(lambda text: b"{" + text + b"}")
)
@SAME
def test_bodies(data: bytes) -> None:
    check_of("bodies")(data)


ANSWERED = st.fixed_dictionaries(
    {},
    optional={
        "model": LEAVES,
        "message": VALUES,
        "response": st.fixed_dictionaries({"modelVersion": LEAVES, "model": LEAVES}),
        "content": st.lists(BLOCKS, max_size=3),
        "content_block": BLOCKS,
        "x": VALUES,
    },
)
EVENTS = st.lists(st.tuples(ANSWERED, st.sampled_from(["\n\n", "\r\n\r\n", "\r\r"])), max_size=4).map(
    lambda events: "".join(f"data: {json.dumps(value)}{end}" for value, end in events).encode()
)


@given(st.sampled_from([b"j", b"e", b"x"]), STEPS, ANSWERED.map(lambda value: json.dumps(value).encode()) | EVENTS)
@SAME
def test_replies(kind: bytes, steps: bytes, data: bytes) -> None:
    check_of("replies")(kind + steps.replace(b"\n", b"") + b"\n" + data)


@given(st.sampled_from([b"j", b"e", b"x"]), STEPS, soup("replies", 30))
@SAME
def test_broken_replies(kind: bytes, steps: bytes, data: bytes) -> None:
    check_of("replies")(kind + steps.replace(b"\n", b"") + b"\n" + data)


FORMS = st.sampled_from([b"a", b"c", b"r", b"g"])


@given(
    FORMS, st.sampled_from([b"", b"-", b"s", b"sf"]), soup("asked").map(lambda text: b"{" + text + b"}") | soup("asked")
)
@SAME
def test_asked(client: bytes, steer: bytes, data: bytes) -> None:
    check_of("asked")(client + steer + b"\n" + data)


@given(FORMS, FORMS, STEPS, soup("answers", 30))
@SAME
def test_answers(provider: bytes, client: bytes, steps: bytes, data: bytes) -> None:
    check_of("answers")(provider + client + steps.replace(b"\n", b"") + b"\n" + data)


@given(st.sampled_from([b"z", b"Z", b"l", b"m"]), STEPS, soup("gzips") | st.binary())
@SAME
def test_gzips(kind: bytes, steps: bytes, data: bytes) -> None:
    check_of("gzips")(kind + steps.replace(b"\n", b"") + b"\n" + data)


# --- configurations ---------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "^gpt-5", "(a+)+", "claude-*", "${NAME}", "$${x", "", " ", "x: y", "é", "yes", "null"])
RULES = st.lists(
    st.fixed_dictionaries(
        {"from": NAMES, "to": NAMES | st.lists(NAMES, max_size=2)},
        optional={
            "regex": st.booleans(),
            "credits": st.sampled_from(["allow", "refuse", "x"]),
            "when": st.fixed_dictionaries({}, optional={"provider": NAMES, "header": st.dictionaries(NAMES, NAMES)}),
        },
    ),
    max_size=3,
)
PROVIDERS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES},
        optional={
            "type": st.sampled_from(["anthropic", "ollama", "nobody"]),
            "base-url": st.sampled_from(["http://127.0.0.1:1/v1", "https://u:p@h", "ftp://x", "http://[::1]:99999"]),
            "protocols": st.lists(st.sampled_from(["anthropic", "gemini", "smtp"]), max_size=2),
            "api-key": NAMES | st.just("${KEY}"),
            "models": st.just("discover") | st.lists(NAMES, max_size=2),
            "headers": st.dictionaries(NAMES, NAMES, max_size=2),
        },
    ),
    max_size=2,
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "listen": st.sampled_from(["127.0.0.1:1", "0.0.0.0:1", "[::1]:2", "unix:/x", 8, "x", []]),
        "api-keys": st.lists(NAMES, max_size=2),
        "amp-model-mappings": RULES,
        "ampcode": st.fixed_dictionaries({}, optional={"model-mappings": RULES, "upstream-url": NAMES}),
        "providers": PROVIDERS,
        "timeouts": st.dictionaries(st.sampled_from(["connect-s", "drain-s", "x"]), st.sampled_from([1, 0, 1.5, "a"])),
        "limits": st.dictionaries(st.sampled_from(["head-bytes", "connections"]), st.sampled_from([1, 0, 10**30])),
    },
).map(lambda tree: json.dumps(tree, indent=1, ensure_ascii=False).encode())  # JSON is YAML


@given(CONFIGS | soup("configs"))
@SAME
def test_configs(data: bytes) -> None:
    check_of("configs")(data)


@given(NAMES, NAMES, st.booleans(), CONFIGS | soup("edits"))
@FEW
def test_edits(source: str, target: str, regex: bool, data: bytes) -> None:
    check_of("edits")(f"{'~' * regex}{source}>{target}\n".encode() + data)
