"""An event that differs from the one before it in its text alone is read without being parsed, and means the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampmap.errors import UpstreamBroken
from ampmap.formats.base import ReplySource
from ampmap.formats.events import Event
from ampmap.formats.openai_chat.replies_in import ChatReplyReader
from ampmap.formats.profile import Target
from ampmap.formats.repeated import Repeated

NOTHING = b'{"choices": []}'  # it makes the reader forget what came before, and means nothing

TEXTS = [
    "a",
    "b",
    "word",
    " ",
    "\n",
    '{"a": "',
    "b\\",
    '"',
    '"}',
    "}",
    ",",
    ":",
    "é",
    "\u2028",
    "\ud800",
    "x" * 5000,
    "end",
]


def _chunk(delta: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, "delta": delta, **others}]}


def _piece(text: str, **members: Any) -> dict[str, Any]:
    function = {"arguments": text, **({"name": members.pop("name")} if "name" in members else {})}
    return {"index": 0, "function": function, **members}


KINDS = {
    "text": lambda text: _chunk({"content": text}),
    "text of the assistant": lambda text: _chunk({"role": "assistant", "content": text, "tool_calls": None}),
    "reasoning": lambda text: _chunk({"content": "", "reasoning_content": text}),
    "reasoning in another member": lambda text: _chunk({"reasoning": text}),
    "text with blank reasoning": lambda text: _chunk({"content": text, "reasoning": "\n"}),
    "text with details": lambda text: _chunk({"content": text, "reasoning_details": [{"type": "x", "data": "y"}]}),
    "text and its copy": lambda text: {**_chunk({"content": text}), "copy": text},
    "a text elsewhere": lambda text: {**_chunk({"content": "a"}), "copy": text},
    "text with usage": lambda text: {**_chunk({"content": text}), "usage": {"prompt_tokens": 5}},
    "text with a reason": lambda text: _chunk({"content": text}, finish_reason="length", stop_reason="a"),
    "parts": lambda text: _chunk({"content": [{"type": "text", "text": text}]}),
    "refusal": lambda text: _chunk({"refusal": text}),
    "a call": lambda text: _chunk({"tool_calls": [_piece(text, id="c1", name="f")]}),
    "another call": lambda text: _chunk({"tool_calls": [_piece(text, id="c2", name="f") | {"index": 1}]}),
    "arguments": lambda text: _chunk({"tool_calls": [_piece(text)]}),
    "arguments with the id": lambda text: _chunk({"tool_calls": [_piece(text, id="c1")]}),
    "arguments with the name": lambda text: _chunk({"tool_calls": [_piece(text, name="f")]}),
    "arguments and a text": lambda text: _chunk({"content": "a", "tool_calls": [_piece(text)]}),
    "arguments of two": lambda text: _chunk({"tool_calls": [_piece(text), _piece("b") | {"index": 1}]}),
    "arguments of the older form": lambda text: _chunk({"function_call": {"name": "f", "arguments": text}}),
}
BEFORE: list[list[tuple[str, str]]] = [
    [],
    [("text", "a")],
    [("reasoning", "a")],
    [("a call", '{"a": "')],
    [("a call", '{"a": "'), ("another call", '{"b": "')],
    [("arguments", '{"a": "'), ("text", "a")],
]


AFTER = ["words", "text", "text with a reason", "reasoning", "a call", "arguments", "arguments and a text"]


def _encoded(kind: str, text: str, ascii: bool) -> bytes:
    if kind == "words":
        return b"words instead of JSON"
    return json.dumps(KINDS[kind](text), ensure_ascii=ascii).encode("utf-8", "surrogatepass")


def _events(chunks: list[bytes]) -> list[Event | str]:
    reader = ChatReplyReader(ReplySource(target=Target(model="m"), names={}))
    found: list[Event | str] = []
    try:
        for chunk in chunks:
            found += reader.feed(b"", chunk)
        found += reader.finish()
    except UpstreamBroken as exc:
        found.append(str(exc))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ascii", [True, False])
def test_an_event_means_the_same_behind_others_like_it_and_alone(kind: str, ascii: bool) -> None:
    for before in BEFORE:
        for after in AFTER:
            stream = [*before, *((kind, text) for text in TEXTS), (after, "b"), (kind, "c"), (kind, "}"), (kind, "d")]
            chunks = [_encoded(each, text, ascii) for each, text in [*stream, *before[-1:]]]

            assert _events(chunks) == _events([each for chunk in chunks for each in (chunk, NOTHING)])


def _known(*events: tuple[bytes, str]) -> Repeated:
    repeated = Repeated()
    for data, text in events:
        repeated.learn(data, text)
    return repeated


def test_a_third_event_with_the_same_bytes_around_its_text_is_known() -> None:
    repeated = _known((b'{"a": "x", "b": "y"}', "x"), (b'{"a": "z", "b": "y"}', "z"))

    assert repeated.text(b'{"a": "\\u00e9 \\"", "b": "y"}') == 'é "'


@pytest.mark.parametrize("data", [
    b'{"a": "w", "b": "Y"}', b'{"A": "w", "b": "y"}', b'{"a": "", "b": "y"}', b'{"a": "w", "c": 1, "b": "y"}',
    b'{"a": 1, "b": "y"}', b'{"a": "w\n", "b": "y"}', b'{"a": "y"}', b'{"a": , "b": "y"}', b'{"a": ["w"], "b": "y"}',
])  # fmt: skip
def test_any_other_event_is_not_known(data: bytes) -> None:
    repeated = _known((b'{"a": "x", "b": "y"}', "x"), (b'{"a": "z", "b": "y"}', "z"))

    assert not repeated.text(data)


def test_equal_texts_do_not_tell_which_of_two_places_counts() -> None:
    assert not _known((b'{"a": "x", "b": "x"}', "x"), (b'{"a": "x", "b": "x"}', "x")).text(b'{"a": "x", "b": "y"}')


def test_events_that_differ_elsewhere_are_soon_compared_no_more() -> None:
    repeated = _known(*((b'{"a": "%d", "n": %d}' % (n, n), str(n)) for n in range(100)))

    assert not repeated.tries
