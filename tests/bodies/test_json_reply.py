"""The JSON of a large reply in steps: the values that json reads, or an error that says the limit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampmap.bodies.json_reply import REPLY_VALUES, TEXT_BYTES, read_reply
from ampmap.bodies.json_tree import Unreadable
from ampmap.bodies.steps import finished
from ampmap.bodies.texts import Long
from ampmap.errors import UpstreamProtocolError

WORDS = ("text",)


@pytest.mark.parametrize(
    "value",
    [
        {}, [], "a", 1, None, {"text": 'é "quoted" \\ 😀\n' * 5000},
        {"a": ["x" * 5000, {"b": [1.5, True, None] * 900}]},
        {"text": "x" * (TEXT_BYTES - 10)}, [[[["deep"] * 2] * 3] * 4] * 50, {"a\n": {"é": "\x7f"}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_ascii", [True, False])
def test_a_value_is_what_json_reads(value: Any, is_ascii: bool) -> None:
    body = b" " + json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass") + b"\n"

    assert value == finished(read_reply(body, WORDS))


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":}', b"[1,]", b"{} {}", b'["a', b"nul"])
def test_what_is_no_json_is_an_error(body: bytes) -> None:
    with pytest.raises(Unreadable):
        finished(read_reply(body, WORDS))


def test_a_text_that_is_too_long_is_refused_and_an_image_is_not_decoded() -> None:
    long = "A" * (TEXT_BYTES + 1)
    with pytest.raises(UpstreamProtocolError, match=f"more than {TEXT_BYTES} bytes in one piece"):
        finished(read_reply(json.dumps([{"text": long}]).encode(), WORDS))

    found = finished(read_reply(json.dumps([{"data": long}]).encode(), WORDS))

    assert isinstance(found[0]["data"], Long)


def test_too_many_values_are_refused() -> None:
    with pytest.raises(UpstreamProtocolError, match=f"more than {REPLY_VALUES} values"):
        finished(read_reply(b"[" + b"1," * (REPLY_VALUES + 1000) + b"1]", WORDS))


def test_values_that_are_nested_too_deeply_are_refused() -> None:
    with pytest.raises(RecursionError):
        finished(read_reply(b'{"a":' * 300 + b"1" + b"}" * 300, WORDS))


def test_five_megabytes_take_many_steps() -> None:
    body = json.dumps({"a": [{"text": 'line\n"x" é' * 5000}] * 100}).encode()

    assert sum(1 for _ in read_reply(body, WORDS)) >= 2 * (len(body) // (64 * 1024))
