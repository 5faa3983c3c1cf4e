"""Streams of providers of the Messages API, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hub import MAKER

from ampmap.formats.base import Json
from ampmap.formats.conversation import Seal
from ampmap.formats.events import Begin, Citation, Delta, End, Event, Failure, Start, Stop, Usage

USAGE: Json = {"input_tokens": 70, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 10, "output_tokens": 1}


def sent(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def begin(usage: Json | None = USAGE) -> bytes:
    message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": "real", "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, **({} if usage is None else {"usage": usage})}
    return sent({"type": "message_start", "message": message})


def start(index: int, **block: Any) -> bytes:
    return sent({"type": "content_block_start", "index": index, "content_block": block})


def delta(index: int, kind: str, **fields: Any) -> bytes:
    return sent({"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", **fields}})


def stop(index: int) -> bytes:
    return sent({"type": "content_block_stop", "index": index})


def end(reason: str | None, usage: Json | None = None, **fields: Any) -> bytes:
    """Return the last two events."""
    ended = {"stop_reason": reason, "stop_sequence": None, **fields}
    event = {"type": "message_delta", "delta": ended, "usage": usage or {"output_tokens": 9}}
    return sent(event) + sent({"type": "message_stop"})


def text(index: int, *pieces: str) -> bytes:
    deltas = b"".join(delta(index, "text", text=piece) for piece in pieces)
    return start(index, type="text", text="") + deltas + stop(index)


def call(index: int, id_: str, name: str, *pieces: str) -> bytes:
    deltas = b"".join(delta(index, "input_json", partial_json=piece) for piece in pieces)
    return start(index, type="tool_use", id=id_, name=name, input={}) + deltas + stop(index)


def thinking(index: int, *pieces: str, signature: str = "c2ln") -> bytes:
    deltas = b"".join(delta(index, "thinking", thinking=piece) for piece in pieces)
    opened = start(index, type="thinking", thinking="", signature="")
    return opened + deltas + delta(index, "signature", signature=signature) + stop(index)


@dataclass(frozen=True)
class Stream:
    """The bytes of a stream, and the events that it means."""

    data: bytes
    events: tuple[Event, ...]


BEGIN = Begin("msg_1", Usage(input=100, output=1, cached=20, written=10))
TOTAL = Usage(input=100, output=9, cached=20, written=10)


def seal(kind: str, data: str) -> Seal:
    return Seal(kind, data, MAKER, "real")


def said(*pieces: str) -> tuple[Event, ...]:
    return (Start("text"), *map(Delta, pieces), Stop())


def called(id_: str, name: str, *pieces: str, whole: bool = True) -> tuple[Event, ...]:
    return (Start("call", id_, name), *map(Delta, pieces), Stop(whole=whole))


_SEARCH = {"type": "web_search_result_location", "url": "https://u", "title": "T", "cited_text": "x"}

STREAMS: dict[str, Stream] = {
    "a text": Stream(
        begin() + sent({"type": "ping"}) + text(0, "Hel", "", "lo é ") + end("end_turn"),
        (BEGIN, *said("Hel", "lo é "), End("stop", TOTAL)),
    ),
    "everything": Stream(
        begin()
        + thinking(0, "I ", "think.")
        + start(1, type="redacted_thinking", data="cmVk")
        + stop(1)
        + text(2, "Look:")
        + call(3, "toolu_1", "Read", '{"pa', 'th": "a\\u00', 'e9"}')
        + call(4, "toolu_2", "Bash")
        + end("tool_use"),
        (
            BEGIN,
            Start("thinking"), Delta("I "), Delta("think."), Stop(seal("signature", "c2ln")),
            Start("thinking"), Stop(seal("redacted", "cmVk")),
            *said("Look:"),
            *called("toolu_1", "Read", '{"pa', 'th": "a\\u00', 'e9"}'),
            *called("toolu_2", "Bash", "{}"),
            End("calls", TOTAL),
        ),
    ),
    "thinking that is not shown": Stream(
        begin() + thinking(0) + text(1, "a") + end("end_turn"),
        (BEGIN, Start("thinking"), Stop(seal("signature", "c2ln")), *said("a"), End("stop", TOTAL)),
    ),
    "a search": Stream(
        begin()
        + start(0, type="server_tool_use", id="s", name="web_search", input={})
        + delta(0, "input_json", partial_json='{"query": "q"}')
        + stop(0)
        + start(1, type="web_search_tool_result", tool_use_id="s", content=[])
        + stop(1)
        + start(2, type="text", text="", citations=[])
        + delta(2, "citations", citation=_SEARCH)
        + delta(2, "citations", citation={"type": "char_location"})
        + delta(2, "text", text="Found.")
        + stop(2)
        + end("pause_turn"),
        (BEGIN, Start("text"), Citation("https://u", "T"), Delta("Found."), Stop(), End("pause", TOTAL)),
    ),
    "input at the start of the block": Stream(
        begin() + start(0, type="tool_use", id="a", name="T", input={"a": 1}) + stop(0) + end("tool_use"),
        (BEGIN, *called("a", "T", '{"a":1}'), End("calls", TOTAL)),
    ),
    "a call that the limit cuts": Stream(
        begin() + call(0, "a", "T", "{}") + call(1, "b", "T", '{"a": "b') + end("max_tokens"),
        (BEGIN, *called("a", "T", "{}"), *called("b", "T", '{"a": "b', whole=False), End("length", TOTAL)),
    ),
    "a whole call before the limit": Stream(
        begin() + call(0, "a", "T", "{}") + end("max_tokens"),
        (BEGIN, *called("a", "T", "{}"), End("calls", TOTAL)),
    ),
    "a broken call that the provider takes for whole": Stream(
        begin() + call(0, "a", "T", '{"a"') + text(1, "x") + call(2, "b", "T", "{") + end("tool_use"),
        (BEGIN, *called("a", "T", '{"a"'), *said("x"), *called("b", "T", "{"), End("calls", TOTAL)),
    ),
    "tool_use without a call": Stream(
        begin() + text(0, "a") + end("tool_use"), (BEGIN, *said("a"), End("stop", TOTAL))
    ),
    "a call behind end_turn": Stream(
        begin() + call(0, "a", "T", "{}") + end("end_turn"), (BEGIN, *called("a", "T", "{}"), End("calls", TOTAL))
    ),
    "a stop sequence": Stream(
        begin() + text(0, "a") + end("stop_sequence", stop_sequence="END"),
        (BEGIN, *said("a"), End("sequence", TOTAL, "END")),
    ),
    "a refusal": Stream(
        begin() + text(0, "a") + end("refusal", stop_details={"type": "refusal", "explanation": "No."}),
        (BEGIN, *said("a"), End("refusal", TOTAL, explanation="No.")),
    ),
    "a window that is full": Stream(
        begin() + text(0, "a") + end("model_context_window_exceeded"), (BEGIN, *said("a"), End("length", TOTAL))
    ),
    "a reason nobody knows": Stream(
        begin() + text(0, "a") + end("tired"), (BEGIN, *said("a"), End("stop", TOTAL))
    ),
    "no reason": Stream(begin() + text(0, "a") + end(None), (BEGIN, *said("a"), End("stop", TOTAL))),
    "no message_stop": Stream(
        begin() + text(0, "a") + end("end_turn").partition(b"event: message_stop")[0],
        (BEGIN, *said("a"), End("stop", TOTAL)),
    ),
    "no usage": Stream(
        begin(None) + text(0, "a") + end("end_turn", {"x": 0}), (Begin("msg_1"), *said("a"), End("stop"))
    ),
    "a false zero at the end": Stream(
        begin({"input_tokens": 7, "output_tokens": 0}) + end("end_turn", {"input_tokens": 0, "output_tokens": 5}),
        (Begin("msg_1", Usage(input=7, output=0)), End("stop", Usage(input=7, output=5))),
    ),
    "usage at the end alone": Stream(
        begin({"input_tokens": 0, "output_tokens": 0})
        + end("end_turn", {"input_tokens": 7, "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2}}),
        (Begin("msg_1", Usage(output=0)), End("stop", Usage(input=7, output=5, reasoning=2))),
    ),
    "no message_start": Stream(
        text(0, "a") + end("end_turn"), (Begin(), *said("a"), End("stop", Usage(output=9)))
    ),
    "no content_block_start": Stream(
        begin() + delta(0, "text", text="a") + stop(0) + end("end_turn"), (BEGIN, *said("a"), End("stop", TOTAL))
    ),
    "no content_block_stop": Stream(
        begin() + text(0, "a").rpartition(b"event:")[0] + call(1, "a", "T", "{}").rpartition(b"event:")[0]
        + end("tool_use"),
        (BEGIN, *said("a"), *called("a", "T", "{}"), End("calls", TOTAL)),
    ),
    "mixed calls": Stream(
        begin()
        + start(0, type="tool_use", id="a", name="T", input={})
        + start(1, type="tool_use", id="b", name="U", input={})
        + delta(1, "input_json", partial_json='{"b":')
        + delta(0, "input_json", partial_json='{"a":')
        + delta(1, "input_json", partial_json="2}")
        + delta(0, "input_json", partial_json="1}")
        + stop(1) + stop(0) + end("tool_use"),
        (BEGIN, *called("a", "T", '{"a":', "1}"), *called("b", "U", '{"b":', "2}"), End("calls", TOTAL)),
    ),
    "oddities": Stream(
        b": hello\r\n\r\n" + begin().replace(b"\n", b"\r\n") + b"data: [DONE]\n\ndata: 1\n\ndata: {\n\n"
        + sent({"type": "never_heard_of"}) + delta(9, "input_json", partial_json="{}")
        + sent({"type": "content_block_delta"})
        + text(0, "a").replace(b"data: ", b"data:").replace(b"event:", b"id: 1\nevent:") + end("end_turn"),
        (BEGIN, *said("a"), End("stop", TOTAL)),
    ),
    "a stated error": Stream(
        begin() + start(0, type="text", text="")
        + sent({"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}),
        (BEGIN, Start("text"), Failure(529, "Busy.", "overloaded")),
    ),
    "an error without a type": Stream(b'data: {"error": {"message": "Why"}}\n\n', (Failure(502, "Why"),)),
}  # fmt: skip


def cut(data: bytes) -> Iterable[bytes]:
    """Yield a stream cut before each of its events, the whole one aside."""
    for at in range(len(data)):
        if data.startswith(b"event: ", at):
            yield data[:at]
