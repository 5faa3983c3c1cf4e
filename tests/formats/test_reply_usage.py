"""The tokens that a reply states, in each format: read however its bytes are cut, and never from anywhere else."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from rows import Rows
from turnlengths import BestOf, steps_of

from ampmap.bodies.stated import PART_BYTES, StatedObjects
from ampmap.formats.events import Usage
from ampmap.formats.registry import FORMATS
from ampmap.formats.usage import usage_of

MESSAGES: dict[str, Any] = {
    "input_tokens": 7, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 3, "output_tokens": 11,
    "output_tokens_details": {"thinking_tokens": 4}, "cache_creation": {"ephemeral_5m_input_tokens": 3},
}  # fmt: skip
CHAT: dict[str, Any] = {
    "prompt_tokens": 30, "completion_tokens": 11, "total_tokens": 41,
    "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 4},
}  # fmt: skip
RESPONSES: dict[str, Any] = {
    "input_tokens": 30, "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 3}, "output_tokens": 11,
    "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 41,
}  # fmt: skip
GEMINI: dict[str, Any] = {
    "promptTokenCount": 30, "cachedContentTokenCount": 20, "candidatesTokenCount": 7, "thoughtsTokenCount": 4,
    "totalTokenCount": 41, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 30}],
}  # fmt: skip
USAGES: Rows[Any] = Rows("tests/formats/test_reply_usage.py: USAGES", "STATED as a whole reply says it", {
    "anthropic": MESSAGES, "openai-chat": CHAT, "openai-responses": RESPONSES, "gemini": GEMINI,
})  # fmt: skip
STATED = Usage(input=30, output=11, cached=20, written=3, reasoning=4)
WITHOUT_WRITTEN = Usage(input=30, output=11, cached=20, reasoning=4)

# What a model may say, and what its tools may be called with: none of it states tokens.
SAID = '"usage": {"input_tokens": 999, "prompt_tokens": 999}, "usageMetadata": {"promptTokenCount": 999} \\ é \n'
ARGUED: Any = {
    "usage": {"input_tokens": 999, "prompt_tokens": 999, "output_tokens": 999, "completion_tokens": 999},
    "usageMetadata": {"promptTokenCount": 999},
}
SCHEMA: Any = {"type": "object", "properties": ARGUED}


def stream(*events: Any, end: str = "\n\n", named: bool = False) -> bytes:
    """Write events, with their names and a comment among them if ``named``."""
    text = ": hello\n\n" if named else ""
    for event in events:
        text += f"event: {event['type']}{end[: len(end) // 2]}" if named else ""
        text += f"data: {event if isinstance(event, str) else json.dumps(event)}{end}"
    return text.encode()


def messages_stream() -> bytes:
    start = {key: 1 if key == "output_tokens" else number for key, number in MESSAGES.items()}
    call = {"type": "tool_use", "id": "t", "name": "x", "input": ARGUED}
    return stream(
        {"type": "message_start", "message": {"id": "1", "model": "m", "content": [], "usage": start}},
        {"type": "content_block_start", "index": 0, "content_block": call},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": SAID}},
        {"type": "content_block_delta", "index": 0, "delta": {"partial_json": json.dumps(ARGUED)}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 11}},
        {"type": "message_stop"},
        named=True,
    )


def chat_stream(usage: Any = CHAT) -> bytes:
    calls = [{"index": 0, "function": {"name": "x", "arguments": json.dumps(ARGUED)}}]
    return stream(
        {"id": "1", "choices": [{"index": 0, "delta": {"content": SAID}}], "usage": None},
        {"id": "1", "choices": [{"index": 0, "delta": {"tool_calls": calls}}], "usage": None},
        {"id": "1", "choices": [], "usage": usage},
        "[DONE]",
    )


def responses_stream(kind: str = "response.completed") -> bytes:
    echoed = {"id": "1", "tools": [{"type": "function", "name": "x", "parameters": SCHEMA}], "instructions": SAID}
    item = {"type": "mcp_list_tools", "tools": [{"name": "x", "input_schema": SCHEMA}]}
    return stream(
        {"type": "response.created", "response": {**echoed, "usage": None}},
        {"type": "response.output_text.delta", "delta": SAID},
        {"type": "response.output_item.done", "item": item},
        {"type": kind, "response": {**echoed, "output": [item], "usage": RESPONSES, "metadata": {}}},
        named=True,
    )


def gemini_stream(end: str = "\r\n\r\n") -> bytes:
    def chunk(usage: Any, *parts: Any) -> Any:
        content = {"parts": list(parts), "role": "model"}
        return {"candidates": [{"content": content}], "usageMetadata": usage, "modelVersion": "m"}

    earlier = {**GEMINI, "candidatesTokenCount": 1, "totalTokenCount": 35}
    call = {"functionCall": {"name": "x", "args": ARGUED}}
    return stream(
        chunk({"promptTokenCount": 30, "totalTokenCount": 30}, {"text": SAID}),
        *(chunk(earlier, {"text": "w"}) for _ in range(9)), chunk(GEMINI, call), end=end,
    )  # fmt: skip


STREAMS = {
    "anthropic": ("anthropic", messages_stream(), STATED),
    "anthropic, CR LF": ("anthropic", messages_stream().replace(b"\n", b"\r\n"), STATED),
    "anthropic, CR": ("anthropic", messages_stream().replace(b"\n", b"\r"), STATED),
    "anthropic, with a byte order mark": ("anthropic", b"\xef\xbb\xbf" + messages_stream(), STATED),
    "openai-chat": ("openai-chat", chat_stream(), STATED),
    "openai-chat, in the choice": (
        "openai-chat",
        stream({"choices": [{"delta": {}, "finish_reason": "stop", "usage": CHAT}]}, "[DONE]"),
        STATED,
    ),
    "openai-chat, in a member of its own": (
        "openai-chat", stream({"choices": [], "x_groq": {"id": "1", "usage": CHAT}}), STATED,
    ),
    "openai-chat, in every chunk": (
        "openai-chat",
        stream(*({"choices": [], "usage": {**CHAT, "completion_tokens": count}} for count in range(12))),
        STATED,
    ),
    "openai-chat, no blank line at the end": ("openai-chat", stream({"usage": CHAT}).rstrip(), STATED),
    "openai-chat, over several lines": (
        "openai-chat", b"data: " + json.dumps({"usage": CHAT}, indent=1).replace("\n", "\ndata: ").encode() + b"\n\n",
        STATED,
    ),
    "openai-responses": ("openai-responses", responses_stream(), STATED),
    "openai-responses, incomplete": ("openai-responses", responses_stream("response.incomplete"), STATED),
    "openai-responses, failed": ("openai-responses", responses_stream("response.failed"), STATED),
    "gemini": ("gemini", gemini_stream(), WITHOUT_WRITTEN),
    "gemini, LF": ("gemini", gemini_stream("\n\n"), WITHOUT_WRITTEN),
    "gemini, an array": (
        "gemini", json.dumps([{"usageMetadata": {"promptTokenCount": 1}}, {"usageMetadata": GEMINI}]).encode(),
        WITHOUT_WRITTEN,
    ),
    "openai-chat, whole with a byte order mark": (
        "openai-chat", b"\xef\xbb\xbf" + json.dumps({"usage": CHAT}).encode(), STATED,
    ),
    "gemini, in snake case": (
        "gemini", stream({"usage_metadata": {"prompt_token_count": 3, "candidates_token_count": 2}}), Usage(3, 2),
    ),
}  # fmt: skip


def whole(protocol: str, filler: str = "", *, before: bool = False, pretty: bool = False) -> bytes:
    """Write a whole reply with some text of the model's in it; ``before``: the usage comes before that."""
    usage = USAGES[protocol]
    key = "usageMetadata" if protocol == "gemini" else "usage"
    content = [{"text": SAID + filler, "input": ARGUED, "usage": ARGUED["usage"]}, {"usageMetadata": {"x": 1}}]
    members = [("id", "1"), (key, usage), ("content", content), ("model", "m"), ("metadata", {"usage": ARGUED})]
    if not before:
        members.insert(3, members.pop(1))
    return json.dumps(dict(members), indent=2 if pretty else None).encode()


def read(protocol: str, pieces: Iterable[bytes]) -> Usage | None:
    stated = FORMATS[protocol].usage
    assert stated is not None, f"the WireFormat of {protocol!r} has no usage: where do its replies state tokens?"
    objects = StatedObjects(stated.paths)
    for piece in pieces:
        objects.feed(piece)
    return usage_of(stated, objects.found())


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Yield the data whole, byte by byte, and in two pieces for every place between them."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    yield from ([data[:at], data[at:]] for at in range(1, len(data)))


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_states_the_same_wherever_it_is_cut(name: str) -> None:
    protocol, data, expected = STREAMS[name]

    for pieces in cuts(data):
        assert expected == read(protocol, pieces), pieces[0][-20:]


@pytest.mark.parametrize("protocol", FORMATS)
@pytest.mark.parametrize("pretty", [False, True])
def test_a_whole_reply_states_the_same_wherever_it_is_cut(protocol: str, pretty: bool) -> None:
    expected = WITHOUT_WRITTEN if protocol == "gemini" else STATED

    for pieces in cuts(whole(protocol, pretty=pretty)):
        assert expected == read(protocol, pieces)


@pytest.mark.parametrize("protocol", FORMATS)
@pytest.mark.parametrize("before", [False, True], ids=["behind the text", "before the text"])
@pytest.mark.parametrize("size", [700, 5_000, 65_536, 1 << 20])
def test_a_long_reply_is_read_at_its_beginning_and_its_end(protocol: str, before: bool, size: int) -> None:
    data = whole(protocol, SAID * (6 * PART_BYTES // len(SAID)), before=before)
    expected = WITHOUT_WRITTEN if protocol == "gemini" else STATED

    assert expected == read(protocol, (data[at : at + size] for at in range(0, len(data), size)))


@pytest.mark.parametrize("size", [700, 5_000, 65_536, 1 << 20])
def test_a_long_event_is_read_at_its_beginning_and_its_end(size: int) -> None:
    response = {"id": "1", "output": [{"text": SAID * (6 * PART_BYTES // len(SAID))}], "usage": RESPONSES, "user": None}
    data = stream({"type": "response.created", "response": {"usage": None}},
                  {"type": "response.completed", "response": response})  # fmt: skip

    assert STATED == read("openai-responses", (data[at : at + size] for at in range(0, len(data), size)))


@pytest.mark.parametrize("name", ["anthropic", "openai-chat", "openai-responses", "gemini"])
def test_a_stream_that_is_cut_states_what_has_come(name: str) -> None:
    protocol, data, expected = STREAMS[name]
    seen = []
    for end in range(len(data) + 1):
        if (usage := read(protocol, [data[:end]])) not in seen:
            seen.append(usage)

    assert (None, expected) == (seen[0], seen[-1])
    first = {"anthropic": [Usage(30, 1, 20, 3, 4)], "gemini": [Usage(30), Usage(30, 5, 20, None, 4)]}
    assert first.get(name, []) == seen[1:-1]


@pytest.mark.parametrize("count", [-1, 1e400, 1.5, "7", True, None, [7], {"a": 7}, 10**30, 2**53])
@pytest.mark.parametrize(("protocol", "usage"), [
    ("anthropic", {key: number for key, number in MESSAGES.items() if not key.startswith("cache")}),
    ("openai-chat", CHAT), ("openai-responses", RESPONSES), ("gemini", GEMINI),
])  # fmt: skip
def test_what_is_no_count_is_not_known(protocol: str, usage: Any, count: Any) -> None:
    def spoilt(value: Any) -> Any:
        return {key: spoilt(inner) for key, inner in value.items()} if isinstance(value, dict) else count

    key = "usageMetadata" if protocol == "gemini" else "usage"

    assert read(protocol, [json.dumps({key: spoilt(usage)}).encode()]) is None
    assert read(protocol, [json.dumps({key: count}).encode()]) is None
    for name in usage:
        found = read(protocol, [json.dumps({key: {**usage, name: count}}).encode()])
        assert found is None or {found.input, found.output, found.cached, found.reasoning} <= {
            30, 26, 11, 7, 4, 20, 0, None,
        }  # fmt: skip


@pytest.mark.parametrize("protocol", FORMATS)
@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'{"usage": {}}', b'{"usage": {"input_tokens": 0, "output_tokens": 0}}',
    b'{"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}', b'data: {"usage": {"a"\n\n',
    b'{"usageMetadata": {"promptTokenCount": 0}}', b'{"usage": {"input_tokens": ' + b"9" * 5_000 + b"}}",
    b'"usage": {"input_tokens": 1}', b"[" * 60_000 + b'"usage": {"input_tokens": 1', b"\n" * 70_000,
    b'{"a": {"usage": {"input_tokens": 1, "prompt_tokens": 1}, "usageMetadata": {"promptTokenCount": 1}}}',
])  # fmt: skip
def test_nothing_is_read_from_what_states_nothing(protocol: str, body: bytes) -> None:
    assert read(protocol, [body]) is None


def test_cached_tokens_are_among_the_input_also_where_a_server_counts_them_apart() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 40}}

    assert Usage(45, 1, 40) == read("openai-chat", [json.dumps({"usage": usage}).encode()])
    assert Usage(0 or None, 3) == read("anthropic", [b'{"usage": {"output_tokens": 3}}'])


def test_zeros_at_the_end_do_not_replace_what_the_beginning_stated() -> None:
    start = {"type": "message_start", "message": {"usage": MESSAGES}}
    end = {"type": "message_delta", "usage": {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 12}}

    assert Usage(30, 12, 20, 3, 4) == read("anthropic", [stream(start, end)])


@pytest.mark.parametrize("form", ["text", "brackets", "usage", "events", "one line"])
def test_sixteen_megabytes_take_little_memory_and_no_piece_holds_the_loop(form: str) -> None:
    filler = {
        "text": b'{"content": "' + b'The quick \\"brown\\" fox.\\n' * 80_000,
        "brackets": b"[" * 2_000_000,
        "usage": b'{"a": {' + b'"usage": {"input_tokens": 1}, ' * 70_000,
        "events": b'data: {"usage": {"a": 1}}\n\n' * 80_000,
        "one line": b"data: " + b'{"usage": {"a": 1}} ' * 100_000,
    }[form]
    pieces = [filler[at : at + 65_536] for at in range(0, len(filler), 65_536)] * 8

    def each(objects: StatedObjects) -> Iterator[None]:
        for piece in pieces:
            objects.feed(piece)
            yield
        list(objects.found())

    for _ in (best := BestOf(0.015)):
        took, failed = steps_of(each(StatedObjects(("usage", "message.usage"))))
        assert failed is None
        best.add(max(took))
    objects = StatedObjects(("usage", "message.usage"))
    tracemalloc.start()
    try:
        for piece in pieces:
            objects.feed(piece)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 16 * PART_BYTES
    assert best.holds, best.seconds


def test_a_run_of_line_ends_is_searched_once() -> None:
    """It stands in the kept end of a long reply; with a search from each of them that took a quarter of a second."""
    reply = b'{"x":"%b",%b"usage":{"prompt_tokens":1}}' % (b"y" * 3 * PART_BYTES, b"\n" * (PART_BYTES - 100))

    def steps() -> Iterator[None]:
        objects = StatedObjects(("usage",))
        objects.feed(reply)
        assert [{"prompt_tokens": 1}] == list(objects.found())
        yield

    for _ in (best := BestOf(0.015)):
        took, failed = steps_of(steps())
        assert failed is None
        best.add(max(took))
    assert best.holds, best.seconds
