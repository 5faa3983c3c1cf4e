"""What a provider's reply of the Messages API means, streamed and whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from corpus.messages_events import (
    BEGIN,
    STREAMS,
    TOTAL,
    USAGE,
    Stream,
    begin,
    call,
    called,
    cut,
    end,
    said,
    seal,
    start,
)
from translating import events_of, source_of, whole_of

from ampmap.errors import UpstreamBroken, UpstreamError
from ampmap.formats.events import Begin, Citation, Delta, End, Event, Failure, Start, Stop, Usage

each_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)


@each_stream
def test_what_a_stream_means(stream: Stream) -> None:
    assert tuple(events_of("anthropic", stream.data)) == stream.events


@each_stream
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 64])
def test_it_means_the_same_in_any_pieces(stream: Stream, size: int) -> None:
    assert tuple(events_of("anthropic", stream.data, size=size)) == stream.events


@pytest.mark.parametrize("name", ["a text", "everything", "a call that the limit cuts", "a search"])
def test_a_stream_that_breaks_off_has_no_end(name: str) -> None:
    data = STREAMS[name].data
    *shorter, _ = cut(data)  # without message_stop alone it is whole

    for part in shorter:
        with pytest.raises(UpstreamBroken):
            events_of("anthropic", part)


def test_names_come_back_as_the_client_knows_them() -> None:
    data = begin() + call(0, "a", "short", "{}") + end("tool_use")
    found = events_of("anthropic", data, source_of(names={"short": "a long name"}))

    assert found[1] == Start("call", "a", "a long name")


def test_calls_without_bounds_break_the_reply_off() -> None:
    piece = call(0, "a", "T", "x" * (1024 * 1024)).split(b"\n\n")[1] + b"\n\n"

    with pytest.raises(UpstreamError, match="16777216"):
        events_of("anthropic", begin() + start(0, type="tool_use", id="a", name="T") + piece * 17, size=65536)


def whole(*content: Any, **fields: Any) -> list[Event]:
    reply = {"id": "msg_1", "type": "message", "role": "assistant", "content": [*content], "stop_reason": "end_turn"}
    return whole_of("anthropic", {**reply, "usage": {**USAGE, "output_tokens": 9}, **fields})


def test_a_whole_reply() -> None:
    citation = {"type": "web_search_result_location", "url": "https://u", "title": None}
    found = whole(
        {"type": "thinking", "thinking": "t", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "cmVk"},
        {"type": "text", "text": "a", "citations": [citation, {"type": "page_location"}]},
        {"type": "text", "text": "b"},
        {"type": "tool_use", "id": "x", "name": "T", "input": {"é": [1.0]}},
        {"type": "web_search_tool_result", "content": []},
        stop_reason="tool_use",
    )

    assert found == [
        Begin("msg_1", TOTAL),
        Start("thinking"), Delta("t"), Stop(seal("signature", "c2ln")),
        Start("thinking"), Stop(seal("redacted", "cmVk")),
        Start("text"), Delta("a"), Citation("https://u"), Stop(),
        *said("b"),
        *called("x", "T", '{"é":[1.0]}'),
        End("calls", TOTAL),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stop_reason": "stop_sequence", "stop_sequence": "X"}, End("sequence", TOTAL, "X")),
        ({"stop_reason": "max_tokens"}, End("length", TOTAL)),
        ({"stop_reason": "refusal", "stop_details": {"explanation": "No."}}, End("refusal", TOTAL, explanation="No.")),
        ({"stop_reason": None, "usage": None}, End("stop")),
        ({"usage": {"input_tokens": 0, "output_tokens": 0}}, End("stop", Usage(output=0))),
    ],
)
def test_the_end_of_a_whole_reply(fields: Any, expected: End) -> None:
    assert whole({"type": "text", "text": "a"}, **fields)[-1] == expected


@pytest.mark.parametrize("reply", [[], "x", None, {}, {"content": "x"}, {"error": {"message": "Why", "code": 500}}])
def test_a_whole_reply_that_is_none_is_a_failure(reply: Any) -> None:
    (found,) = whole_of("anthropic", reply)

    assert isinstance(found, Failure) and (found.message == "Why") is ("error" in json.dumps(reply))


def test_blocks_that_are_no_blocks_are_passed_over() -> None:
    assert whole(1, None, {"type": "text"}, {"text": "x"}) == [Begin("msg_1", TOTAL), *said(), End("stop", TOTAL)]


def test_a_stream_that_came_as_one_reply() -> None:
    reply = {"id": "msg_1", "content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn", "usage": USAGE}

    assert events_of("anthropic", json.dumps(reply).encode(), size=3)[:-1] == [BEGIN, *said("a")]
