"""A chat server's reply, with all the oddities of real servers, becomes events in order."""

from __future__ import annotations

import json
from typing import Any

import hub
import pytest
from corpus.chat_chunks import DONE, Said, call, chunk, ended
from corpus.chat_streams import STREAMS

from ampmap.errors import UpstreamBroken, UpstreamProtocolError
from ampmap.formats import translate
from ampmap.formats.base import ReplyWriter
from ampmap.formats.events import Begin, Event, Failure, Ping, Usage


class _Recorder:
    """A writer that keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> bytes:
        self.events.append(event)
        return b"."

    def whole(self, events: Any) -> Any:
        raise NotImplementedError


def said(stream: bytes, size: int = 0, names: dict[str, str] | None = None) -> tuple[list[Event], bool]:
    """Return the events of a stream that comes in pieces of a size, and whether it was cut."""
    writer = _Recorder()
    typed: ReplyWriter = writer
    filter = translate.TranslatedStream(hub.dialect("openai-chat").reply_reader(hub.source(names)), typed)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)] if size else [stream]
    try:
        for piece in pieces:
            filter.feed(piece)
        if not filter.ended:
            filter.finish()
    except UpstreamBroken:
        return writer.events, True
    return writer.events, False


def summary(events: list[Event]) -> list[tuple[Any, ...]]:
    return [
        (each.kind, each.text) if each.kind != "call" else
        (each.kind, each.name, each.text, *([] if each.whole else [False]))
        for each in hub.blocks(events)
    ]  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says(name: str) -> None:
    expected: Said = STREAMS[name]
    events, cut = said(expected.stream)
    assert summary(events) == list(expected.blocks)
    assert cut == (not expected.reason)
    last = events[-1]
    if expected.reason.startswith("error"):
        assert isinstance(last, Failure)
        assert f"error {last.status}" == expected.reason
        assert last.message in ("no", "upstream connect error")
    elif expected.reason:
        end = hub.end(events)
        assert end.reason == expected.reason
        assert end.usage == (expected.usage and Usage(*expected.usage))


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_stream_says_the_same_however_it_is_cut_into_pieces(name: str, size: int) -> None:
    stream = STREAMS[name].stream
    assert said(stream, size) == said(stream)


@pytest.mark.parametrize("name", ["calls after one another", "reasoning_content", "interleaved calls"])
def test_a_stream_that_ends_early_is_cut(name: str) -> None:
    chunks = STREAMS[name].stream.split(b"\n\n")
    for end in range(len(chunks) - 3):  # before the one with finish_reason
        events, cut = said(b"".join(each + b"\n\n" for each in chunks[:end]))
        assert cut
        hub.blocks(events)


def test_ids_of_calls_are_told_apart_and_stay_the_same() -> None:
    events, _ = said(STREAMS["one id for two calls"].stream)
    first, second = (each.id for each in hub.blocks(events))
    assert first == "call_1"
    assert second.startswith("call_") and second != first
    assert said(STREAMS["one id for two calls"].stream)[0] == events


def test_calls_without_ids_get_ones_of_their_own() -> None:
    same = call(None, None, "now", '{"a":1}')
    ids = [each.id for each in hub.blocks(said(ended(same, same, finish="tool_calls"))[0])]
    assert len(set(ids)) == 2 and all(id.startswith("call_") for id in ids)


@pytest.mark.parametrize("arguments", ["{}", "", "[1]"])
def test_a_whole_reply_has_as_many_calls_as_items(arguments: str) -> None:
    item = {"id": "same", "index": 0, "type": "function", "function": {"name": "f", "arguments": arguments}}
    reply = {"choices": [{"message": {"tool_calls": [item, item]}, "finish_reason": "tool_calls"}]}
    found = hub.blocks(
        [*translate.whole_events(hub.dialect("openai-chat").reply_reader(hub.source()), json.dumps(reply).encode())]
    )

    assert 2 == len({each.id for each in found}) == len(found)
    assert found[0].text == found[1].text


def test_a_call_is_closed_with_the_finish_reason_if_it_is_complete() -> None:
    reader = hub.dialect("openai-chat").reply_reader(hub.source())
    found: list[Event] = []
    stream = [call(0, "c", "f", '{"a":1}'), chunk({}, "tool_calls")]
    for each in stream:
        found += reader.feed(b"", each.removeprefix(b"data: ").strip())
    assert [each.whole for each in hub.blocks(found)] == [True]
    assert type(found[-1]).__name__ == "Stop"


def test_calls_get_the_names_back_that_the_client_declared() -> None:
    events, _ = said(ended(call(0, "c", "short", "{}"), finish="tool_calls"), names={"short": "the.long/name"})
    assert [each.name for each in hub.blocks(events)] == ["the.long/name"]


def test_comments_are_signs_of_life() -> None:
    events, _ = said(b": ping\n\n" + chunk({"content": "A"}) + b": ping\n\n" + ended())
    assert [isinstance(each, Ping) for each in events[:4]] == [False, False, False, True]
    events, _ = said(b": ping\n\n" + STREAMS["an error first"].stream)
    assert len(events) == 1


def test_the_id_is_that_of_the_first_chunk_that_has_one() -> None:
    events, _ = said(STREAMS["Azure's first chunk"].stream)
    assert events[0] == Begin("chatcmpl-1")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4}, Usage(9, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}, Usage(9, 4, 5)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 5}, Usage(9, 4, 5)),
        (
            {"prompt_tokens": 9, "completion_tokens": 4,
             "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
             "completion_tokens_details": {"reasoning_tokens": 3}},
            Usage(9, 4, 5, 2, 3),
        ),
        # It counts the cached ones apart.
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 50}},
            Usage(59, 4, 50),
        ),
        ({"prompt_tokens": 0, "completion_tokens": 4}, Usage(None, 4)),
        ({"prompt_tokens": 9, "completion_tokens": None}, Usage(9)),
        ({"prompt_tokens": "9"}, None),
    ],
)  # fmt: skip
def test_usage(usage: Any, expected: Usage | None) -> None:
    events, _ = said(chunk({"content": "A"}) + chunk({}, "stop", usage=usage) + DONE)
    assert hub.end(events).usage == expected


def test_details_become_a_seal_without_the_words() -> None:
    entry = {"type": "reasoning.text", "text": "Hm", "index": 0, "format": "anthropic-claude-v1"}
    events, _ = said(
        ended(
            chunk({"reasoning": "Hm", "reasoning_details": [entry]}),
            chunk({"reasoning_details": [{**entry, "text": "", "signature": "SIG"}]}),
            chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "XYZ", "index": 1}]}),
            chunk({"content": "A"}),
        )
    )
    thinking, _ = hub.blocks(events)
    assert thinking.seal == (
        "details",
        [
            {"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1", "signature": "SIG"},
            {"type": "reasoning.encrypted", "data": "XYZ", "index": 1},
        ],
    )


def test_googles_signature_stands_before_its_call() -> None:
    google = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    events, _ = said(ended(call(0, "a", "f", "{}", **google), call(1, "b", "g", "{}"), finish="tool_calls"))
    assert [(each.kind, each.seal) for each in hub.blocks(events)] == [
        ("thinking", ("thought", "c2ln")), ("call", None), ("call", None),
    ]  # fmt: skip


def test_citations_go_with_their_text() -> None:
    annotation = {"type": "url_citation", "url_citation": {"url": "https://x", "title": "X", "start_index": 0}}
    events, _ = said(ended(chunk({"content": "A"}), chunk({"annotations": [annotation]})))
    assert [each.urls for each in hub.blocks(events)] == [("https://x",)]


def test_a_reply_that_would_have_to_be_held_whole_is_cut() -> None:
    part = chunk({"content": "x" * 1_000_000})
    with pytest.raises(UpstreamProtocolError):
        said(call(0, "a", "f", "{") + part * 20)


def test_what_is_held_takes_linear_time() -> None:
    """One blank a chunk, one letter a chunk within a call, and calls that never get a name."""
    for piece in (chunk({"content": " "}), chunk({"content": "x"}), call(None, "", None, "")):
        events, cut = said(call(0, "a", "f", "{") + piece * 15_000)
        assert cut and len(events) < 10


def test_calls_without_names_are_bounded() -> None:
    many = b"".join(call(at, f"id{at}") for at in range(20_000))
    with pytest.raises(UpstreamProtocolError):
        said(many)


@pytest.mark.parametrize("member", ["content", "reasoning", "tool_calls", "reasoning_details"])
def test_a_nested_chunk_is_passed_over(member: str) -> None:
    deep = '{"text":' * 900 + '"x"' + "}" * 900
    nested = b'data: {"choices":[{"index":0,"delta":{"' + member.encode() + b'":' + deep.encode() + b"}}]}\n\n"
    events, cut = said(nested + ended(chunk({"content": "A"})))
    assert not cut and summary(events)[-1] == ("text", "A")


def test_a_long_line() -> None:
    events, _ = said(ended(chunk({"content": "x" * 2 * 1024 * 1024})), 64 * 1024)
    assert len(hub.blocks(events)[0].text) == 2 * 1024 * 1024


def test_a_custom_tools_text_becomes_an_object() -> None:
    item = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "patch", "input": '*** "Begin"'}}
    events, _ = said(ended(chunk({"tool_calls": [item]}), finish="tool_calls"))
    assert [json.loads(each.text) for each in hub.blocks(events)] == [{"input": '*** "Begin"'}]


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"choices":[]}', b'{"detail":"no"}', b'{"error":"no"}', b'"x"', b'{"choices":[1]}']
)
def test_a_body_without_a_choice_is_a_failure(body: bytes) -> None:
    reader = hub.dialect("openai-chat").reply_reader(hub.source())
    [found] = translate.whole_events(reader, body)
    assert isinstance(found, Failure)
    assert found.message == ("no" if b"no" in body else "x" if b"x" in body else "the provider's reply has no choices")


def test_whole_and_streamed_replies_say_the_same() -> None:
    made = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    message = {"role": "assistant", "reasoning_content": "hm", "content": "A", "tool_calls": [made]}
    whole = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}).encode()
    stream = ended(
        chunk({"reasoning_content": "hm"}), chunk({"content": "A"}), call(0, "c", "f", '{"a":1}'), finish="tool_calls"
    )
    assert summary(said(whole)[0]) == summary(said(stream)[0])
