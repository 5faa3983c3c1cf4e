"""Replies that want too much of a translation: what it keeps of one reply is bounded, and no event costs more for it.

Each stream would go on without end. It is cut once its reader or its writer would have to keep more than 16 MiB.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from itertools import chain, count, islice
from typing import Any

import pytest
from hub import dialect, read
from samples import sampled
from translating import sink_of, source_of

from ampmap.errors import UpstreamError, UpstreamProtocolError
from ampmap.formats.base import ReplyReader, ReplyWriter
from ampmap.formats.bounds import VALUES
from ampmap.formats.events import Failure
from ampmap.formats.translate import TranslatedStream, dumped_reply, whole_reply

CHAT, CLAUDE, RESPONSES, GEMINI = "openai-chat", "anthropic", "openai-responses", "gemini"
KIB = 1024
MOST_BYTES = 40 * KIB * KIB  # that are sent before the cut: an event that is held counts as it came
FREE = {"type": "custom", "name": "free"}
ASKED: dict[str, Any] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    CLAUDE: {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    RESPONSES: {"model": "m", "input": "hi", "tools": [FREE]},
    GEMINI: {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}


def ends_of(provider: str, client: str) -> tuple[ReplyReader, ReplyWriter]:
    """Return a reader for the provider's reply and a writer for the client's."""
    path = "/v1beta/models/{model}:streamGenerateContent" if client == GEMINI else ""
    options = read(client, ASKED[client], path, "alt=sse" if path else "").reply_options
    sink = sink_of(reply_options=options)
    return dialect(provider).reply_reader(source_of()), dialect(client).reply_writer(sink)


def stream_of(provider: str, client: str) -> TranslatedStream:
    return TranslatedStream(*ends_of(provider, client))


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(**members: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": members}]}


def calls(**members: Any) -> dict[str, Any]:
    return delta(tool_calls=[members])


def item(kind: str, index: int, **members: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": index, **members}


def block(index: int, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": members}


def late(index: int, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": members}


TEXT = "x" * 256 * KIB
MESSAGE = item("output_item.added", 0, item={"type": "message"})
OPEN = block(0, type="tool_use", id="a", name="b")
NAMED = {"name": "f", "arguments": "{"}
ENDLESS: dict[str, tuple[str, str, list[Any], Any]] = {
    "text, of which the end may say more": (
        RESPONSES, CLAUDE, [MESSAGE], lambda _: item("output_text.delta", 0, delta=TEXT)
    ),
    "items": (RESPONSES, CLAUDE, [], lambda at: item("output_item.added", at, item={"type": "message"})),
    "events of items that wait": (
        RESPONSES, CLAUDE, [MESSAGE, item("output_text.delta", 0, delta="x")],
        lambda at: item("output_text.delta", at + 1, delta="x"),
    ),
    "blocks that wait": (CLAUDE, CHAT, [OPEN], lambda at: block(at + 1, type="text")),
    "a block that waits": (
        CLAUDE, CHAT, [OPEN, block(1, type="text")], lambda _: late(1, type="text_delta", text=[TEXT])
    ),
    "calls": (CHAT, CLAUDE, [], lambda at: calls(index=at, id=f"c{at}", function=NAMED)),
    "places of one call": (
        CHAT, CLAUDE, [calls(index=0, id="c", function=NAMED)], lambda at: calls(index=at + 1, id="c")
    ),
    "sources": (
        CHAT, RESPONSES, [delta(content="x")],
        lambda _: delta(annotations=[{"url_citation": {"url": "u"}}]),
    ),
    "text that comes again in the last event": (CHAT, RESPONSES, [], lambda _: delta(content=TEXT)),
    "thoughts that come with a call": (CHAT, GEMINI, [], lambda _: delta(reasoning_content=TEXT)),
}  # fmt: skip


@pytest.mark.parametrize(("provider", "client", "first", "then"), ENDLESS.values(), ids=ENDLESS.keys())
def test_a_reply_that_would_have_to_be_kept_without_end_is_cut(
    provider: str, client: str, first: list[Any], then: Any
) -> None:
    stream, sent = stream_of(provider, client), 0

    with pytest.raises(UpstreamProtocolError, match="16777216 bytes"):
        for value in chain(first, map(then, range(200_000))):
            sent += len(data := event(value))
            stream.feed(data)

    assert sent <= MOST_BYTES


def custom(piece: str) -> Iterator[bytes]:
    yield event(calls(index=0, id="c", function={"name": "free", "arguments": piece[:1]}))
    while True:
        yield event(calls(index=0, function={"arguments": piece[1:]}))


def same_ids() -> Iterator[bytes]:
    for _ in count():
        parts = [{"functionCall": {"id": "same", "name": "f"}}] * 10
        yield event({"candidates": [{"content": {"parts": parts}}]})


def held_items() -> Iterator[bytes]:
    yield event(MESSAGE)
    yield event(item("output_text.delta", 0, delta="x"))
    yield from (event(item("output_item.done", at, item={"type": "message"})) for at in range(1, 1000))
    yield event(item("output_item.done", 0, item={"type": "message"}))


# Each of these took more than ten seconds, since an event cost the more the more had come before it.
SLOW: dict[str, tuple[str, str, Iterator[bytes], int]] = {
    "free text that never begins": (CHAT, RESPONSES, custom("{" + "x" * 1000), 5000),
    "free text behind blanks": (CHAT, RESPONSES, custom("{" + " " * 1000), 5000),
    "free text that is over": (CHAT, RESPONSES, custom('{"input":""' + "x" * 1000), 5000),
    "half of a pair": (CHAT, RESPONSES, custom('{"input":"\\ud83d' + "x" * 1000), 5000),
    "ids that are the same": (GEMINI, CLAUDE, same_ids(), 1000),
    "items that waited": (RESPONSES, CLAUDE, held_items(), 10_000),
}


@pytest.mark.parametrize(("provider", "client", "events", "most"), SLOW.values(), ids=SLOW.keys())
def test_no_event_costs_more_because_of_those_before_it(
    provider: str, client: str, events: Iterator[bytes], most: int
) -> None:
    stream, pieces = stream_of(provider, client), list(islice(events, most))
    began = time.thread_time()
    for data in pieces:
        stream.feed(data)
        assert time.thread_time() - began < 5


@pytest.mark.parametrize("client", [CHAT, RESPONSES, GEMINI])
def test_the_id_of_a_reply_takes_little_room_in_each_event(client: str) -> None:
    stream = stream_of(CLAUDE, client)
    stream.feed(event({"type": "message_start", "message": {"id": "x" * 100_000}}) + event(block(0, type="text")))

    out = stream.feed(event(late(0, type="text_delta", text="x")))

    assert len(out) < KIB


SAID = item("output_text.delta", 0, delta="x")
ODD: dict[str, tuple[str, list[Any]]] = {
    "content that is a number": (
        RESPONSES, [SAID, item("output_item.done", 0, item={"type": "message", "content": 1})]
    ),
    "sources that are a number": (
        RESPONSES,
        [SAID, item("output_item.done", 0, item={"type": "message", "content": [{"text": "x", "annotations": 1}]})],
    ),
    "a kind that is a list": (CHAT, [delta(reasoning_details=[{"type": [], "text": "x"}])]),
    "half a pair in an id": (
        GEMINI,
        [{"responseId": "\ud800", "candidates": [{"content": {"parts": [{"functionCall": {"name": "\udc00"}}]}}]}],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("provider", "values"), ODD.values(), ids=ODD.keys())
def test_a_reply_of_other_types_is_read_as_far_as_it_goes(provider: str, values: list[Any]) -> None:
    stream = stream_of(provider, CLAUDE)

    out = b"".join(map(stream.feed, map(event, values)))

    assert out.decode("utf-8").startswith("event: message_start")


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\r", "\n", "\ud800"])
def test_no_line_ends_within_the_arguments_of_a_call(end: str) -> None:
    """Clients of Gemini read lines as httpx and Node do, for which these three end one."""
    stream = stream_of(CHAT, GEMINI)
    text = json.dumps({"a": f"x{end}data: y"}, ensure_ascii=False)
    stream.feed(event(calls(index=0, id="c", function={"name": "f", "arguments": f"{text[:-1]}\n}}"})))

    lines = (stream.feed(b"data: [DONE]\n\n")).decode("utf-8").splitlines()

    assert all(not line or line.startswith("data: {") for line in lines)
    (part,) = json.loads(lines[0].removeprefix("data: "))["candidates"][0]["content"]["parts"]
    assert part["functionCall"]["args"] == {"a": f"x{end}data: y"}


def test_others_have_their_turn_within_an_event_of_many_parts() -> None:
    parts = [{"text": "a"}, {"text": "b", "thought": True}] * 5000
    stream = stream_of(GEMINI, CLAUDE)

    pieces = list(stream.steps(event({"candidates": [{"content": {"parts": parts}}]})))

    assert len(pieces) > 10_000 and max(map(len, pieces)) < KIB


def test_what_completes_a_long_event_is_known_to_be_much_work() -> None:
    stream = stream_of(GEMINI, CLAUDE)
    whole = event({"candidates": [{"content": {"parts": [{"text": "a" * 10_000}]}}]})
    assert not stream.feed(whole[:6000]) and stream.is_loaded

    stream.feed(whole[6000:])

    assert not stream.is_loaded


@pytest.mark.parametrize("many", ['[{"text":"a"}', "[[]", "[1"])
def test_an_event_of_too_many_values_is_not_read(many: str) -> None:
    values = many + f",{many[1:]}" * 250_000 + "]"
    stream = stream_of(CHAT, CLAUDE)

    with pytest.raises(UpstreamProtocolError, match=f"{VALUES} values"):
        stream.feed(b'data: {"choices":%b}\n\n' % values.encode())


def test_signs_within_strings_are_no_values() -> None:
    stream = stream_of(CHAT, CLAUDE)

    out = stream.feed(event(delta(content='{"a":[1,"x"]},\\"' * 100_000)))

    assert len(out) > 1_000_000


def test_an_event_of_too_many_parts_is_not_read() -> None:
    with pytest.raises(UpstreamProtocolError, match="1024 parts"):
        stream_of(CHAT, CLAUDE).feed(event(delta(content=[{"type": "text", "text": "x"}] * 2000)))


def test_no_count_of_tokens_is_negative() -> None:
    stream = stream_of(CHAT, GEMINI)
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 5}}
    stream.feed(event({**delta(content="x"), "usage": usage}))

    out = stream.feed(b"data: [DONE]\n\n").decode("utf-8")

    assert '"candidatesTokenCount": 0' in out and '"thoughtsTokenCount": 5' in out


@pytest.mark.sample
@pytest.mark.parametrize("client", [CHAT, CLAUDE, RESPONSES, GEMINI])
@pytest.mark.parametrize("provider", [CHAT, CLAUDE, RESPONSES, GEMINI])
def test_a_reply_nested_too_deeply_is_an_error_of_the_provider(provider: str, client: str) -> None:
    """Values that are just not too deep to be read may be too deep to be written."""
    for depth in sampled(range(800, 1000, 3), 1 / 3, lambda depth: (depth, provider, client)):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        stream = stream_of(provider, client)
        try:
            for data in NESTED[provider]:
                stream.feed(b"data: %b\n\n" % data.replace(b"DEEP", deep))
            stream.finish()
        except UpstreamError:
            pass
        try:
            found = whole_reply(*ends_of(provider, client), WHOLE[provider].replace(b"DEEP", deep))
            if not isinstance(found, Failure):
                dumped_reply(found)
        except UpstreamError:
            pass


_CALL = b'{"type":"function_call","call_id":"c","name":"f","arguments":DEEP}'
_PART = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":DEEP}}]},"finishReason":"STOP"}]}'
_CHAT_CALL = b'[{"index":0,"id":"c","function":{"name":"f","arguments":DEEP}}]'
_USE = b'{"type":"tool_use","id":"c","name":"f","input":DEEP}'
NESTED: dict[str, list[bytes]] = {
    CHAT: [b'{"choices":[{"delta":{"tool_calls":%b},"finish_reason":"tool_calls"}]}' % _CHAT_CALL, b"[DONE]"],
    CLAUDE: [
        b'{"type":"content_block_start","index":0,"content_block":%b}' % _USE,
        b'{"type":"content_block_stop","index":0}', b'{"type":"message_stop"}',
    ],
    RESPONSES: [
        b'{"type":"response.output_item.done","output_index":0,"item":%b}' % _CALL,
        b'{"type":"response.completed","response":{}}',
    ],
    GEMINI: [_PART],
}  # fmt: skip
WHOLE = {
    CHAT: b'{"choices":[{"message":{"tool_calls":%b},"finish_reason":"tool_calls"}]}' % _CHAT_CALL,
    CLAUDE: b'{"content":[%b],"stop_reason":"tool_use"}' % _USE,
    RESPONSES: b'{"output":[%b]}' % _CALL,
    GEMINI: _PART,
}


def test_a_number_beyond_floats_stays_json() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": '{"a":1e999}'}}
    reply = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}

    found = whole_reply(*ends_of(CHAT, GEMINI), json.dumps(reply).encode())

    assert isinstance(found, dict)
    assert b"Infinity" not in dumped_reply(found)


@pytest.mark.parametrize("place", [-1, 10**4300 - 1, True, "1"])
def test_a_place_that_is_none_is_left_out(place: Any) -> None:
    """A larger number than this could be read, but not be written."""
    source = {"url": "u", "start_index": place, "end_index": place}
    stream = stream_of(CHAT, CHAT)
    values = [
        delta(content="x"),
        delta(reasoning="t"),
        delta(content="y"),
        delta(annotations=[{"url_citation": source}]),
    ]

    out = b"".join(map(stream.feed, map(event, values))) + stream.feed(b"data: [DONE]\n\n")

    assert b'"start_index":1,"end_index":2' in out


@pytest.mark.parametrize("client", [CHAT, CLAUDE, RESPONSES])
@pytest.mark.parametrize("whole", [False, True])
def test_each_call_has_an_id_of_its_own(client: str, whole: bool) -> None:
    """Otherwise a client could not say which call a result belongs to."""
    ids = ["", "a", "a", "", "a-2", "a"]
    uses = [{"type": "tool_use", "id": id_, "name": "f", "input": {}} for id_ in ids]
    stream = stream_of(CLAUDE, client)
    if whole:
        reply = json.dumps({"content": uses, "stop_reason": "tool_use"}).encode()
        found = whole_reply(stream._reader, stream._writer, reply)
        out = b"" if isinstance(found, Failure) else dumped_reply(found)
    else:
        out = b"".join(stream.feed(event(block(at, **use)) + event({"type": "content_block_stop", "index": at}))
                       for at, use in enumerate(uses)) + stream.feed(event({"type": "message_stop"}))  # fmt: skip
    key = b"call_id" if client == RESPONSES else b"id"
    given = [*dict.fromkeys(re.findall(rb'"%b":"((?:call_|a|toolu_|t_)[^"]*)"' % key, out))]

    assert len(given) == len(ids) and b"a" in given
