"""A reply of a chat server, read by a Messages client: Anthropic's accumulators put together what was said."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import anthropic_judges
import hub
import pytest
from corpus.chat_chunks import Said, call, chunk, data, ended, usage
from corpus.chat_streams import STREAMS
from translating import data_of, reply_of, streamed

from ampmap.bodies.texts import dump
from ampmap.formats import carrier, translate
from ampmap.formats.conversation import Thinking
from ampmap.formats.events import Begin, Delta, End, Event, Start, Stop

_REASONS = {"stop": "end_turn", "calls": "tool_use", "length": "max_tokens", "sequence": "stop_sequence"}
WHOLE = {name: said for name, said in STREAMS.items() if said.reason and not said.reason.startswith("error")}
CUT = {name: said for name, said in STREAMS.items() if not said.reason}
FAILED = {name: said for name, said in STREAMS.items() if said.reason.startswith("error")}


def stream(said: Said, size: int = 0) -> tuple[bytes, bool]:
    whole = said.stream
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)] if size else [whole]
    return hub.stream("openai-chat", "anthropic", pieces)


def events(out: bytes) -> list[tuple[str, Any]]:
    """Return the events of a stream by their names, each of which its data repeats."""
    found = []
    for each in out.decode().split("\n\n")[:-1]:
        name, content = each.split("\n")
        event = json.loads(content.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append((event["type"], event))
    return found


def check_order(out: bytes) -> None:
    """Hold a whole stream to the order of Anthropic's own."""
    names = [event for event in events(out) if event[0] != "ping"]
    assert names[0][0] == "message_start" and names[0][1]["message"]["usage"]["output_tokens"] == 0
    assert [name for name, _ in names[-2:]] == ["message_delta", "message_stop"]
    index, kind, filled = -1, "", False
    for name, event in names[1:-2]:
        if name == "content_block_start":
            index, kind, filled = index + 1, event["content_block"]["type"], False
        elif name == "content_block_delta":
            deltas = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking",
                      "input_json_delta": "tool_use"}  # fmt: skip
            assert deltas[event["delta"]["type"]] == kind
            assert any(value for key, value in event["delta"].items() if key != "type")
            filled = True
        else:
            assert name == "content_block_stop" and (filled or kind in ("tool_use", "redacted_thinking"))
        assert event["index"] == index
        if name == "content_block_stop":
            kind = ""


def check(message: Any, said: Said, *, numbers: bool = True) -> None:
    """Compare a message with what was said; without ``numbers``, which JavaScript rounds, calls by name alone."""
    found: list[Any] = []
    for block in message["content"]:
        if block["type"] == "text":
            found.append(("text", _paired(block["text"])))
        elif block["type"] == "thinking":
            assert carrier.is_carrier(block["signature"])
            found.append(("thinking", block["thinking"]))
        elif block["type"] == "tool_use":
            found.append(("call", block["name"], *([block["input"]] if numbers else [])))
        else:
            assert carrier.decode(block["data"])
    expected: list[Any] = []
    for kind, *rest in said.blocks:
        if kind == "call" and rest[-1] is not False:
            expected.append((kind, rest[0], *([_value(rest[1])] if numbers else [])))
        elif kind == "text" or (kind == "thinking" and rest[0]):
            expected.append((kind, _paired(rest[0])))
    assert [block for block in found if block[0] != "call" or block in expected] == expected
    assert message["stop_reason"] == _REASONS.get(said.reason, said.reason)
    assert message["model"] == hub.MODEL and message["id"].startswith("msg_")
    if said.usage:
        counts = message["usage"]
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        assert sum(counts[name] or 0 for name in names) == (said.usage[0] or 0)
        assert counts["output_tokens"] == (said.usage[1] or 0)
    ids = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
    assert len({*ids}) == len(ids) and all(id_.replace("-", "").replace("_", "").isalnum() for id_ in ids)


def _paired(text: str) -> str:
    """Join the halves of surrogate pairs, as JavaScript does."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _value(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


@pytest.mark.parametrize("name", WHOLE)
def test_in_python(name: str) -> None:
    out, cut = stream(WHOLE[name])
    assert not cut
    check_order(out)
    check(anthropic_judges.in_python(out), WHOLE[name])


def test_in_javascript() -> None:
    judged = anthropic_judges.in_javascript({name: stream(said)[0] for name, said in WHOLE.items()})
    for name, said in WHOLE.items():
        check(judged[name], said, numbers="1e400" not in str(said.blocks))


@pytest.mark.parametrize("name", STREAMS)
def test_the_same_however_it_is_cut_into_pieces(name: str) -> None:
    expected = stream(STREAMS[name])
    for size in (1, 5, 64):
        assert stream(STREAMS[name], size) == expected


@pytest.mark.parametrize("name", CUT)
def test_a_cut_is_a_cut(name: str) -> None:
    out, cut = stream(CUT[name])
    assert cut and b"message_stop" not in out and b"event: error" not in out


@pytest.mark.parametrize("name", FAILED)
def test_a_stated_error_is_the_last_event(name: str) -> None:
    out, cut = stream(FAILED[name])
    assert not cut and events(out)[-1][0] == "error"
    with pytest.raises(anthropic.APIError):
        anthropic_judges.in_python(out)


def whole_reply(message: Any, **choice: Any) -> Any:
    """Translate a reply that came whole."""
    reply = {"id": "chatcmpl.1", "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}]}
    found = translate.whole_reply(
        hub.dialect("openai-chat").reply_reader(hub.source()),
        hub.dialect("anthropic").reply_writer(hub.sink(("END",))),
        json.dumps({**reply, "usage": {"prompt_tokens": 20, "completion_tokens": 7}}).encode(),
    )
    assert isinstance(found, dict)
    read = json.loads(b"".join(dump(found)))
    anthropic.types.Message.model_validate(read, strict=True)
    return read


def test_a_whole_reply() -> None:
    function = {"name": "f", "arguments": '{"a" : 1}'}
    message = {"role": "assistant", "content": "A", "reasoning_content": "hm",
               "tool_calls": [{"id": "functions.f:0", "type": "function", "function": function}]}  # fmt: skip
    found = whole_reply(message)

    thinking, text, used = found["content"]
    assert thinking["thinking"] == "hm" and carrier.decode(thinking["signature"])
    assert text == {"type": "text", "text": "A"} and used["input"] == {"a": 1} and "." not in used["id"]
    assert (found["id"], found["stop_reason"], found["stop_details"]) == ("msg_chatcmpl_1", "tool_use", None)
    assert found["usage"]["input_tokens"] == 20 and found["usage"]["output_tokens"] == 7


@pytest.mark.parametrize(
    ("arguments", "input_"),
    [
        ("", {}), (None, {}), ({"a": 1}, {"a": 1}), (json.dumps(json.dumps({"a": 1})), {"a": 1}),
        ("[1]", {"_invalid_arguments": "[1]"}),
        ('{"a', {"_invalid_arguments": '{"a'}),
    ],
)  # fmt: skip
def test_arguments_of_a_whole_reply(arguments: Any, input_: Any) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}

    assert whole_reply({"content": None, "tool_calls": [call]})["content"][0]["input"] == input_


@pytest.mark.parametrize(
    ("choice", "reason", "sequence"),
    [
        ({"finish_reason": "length"}, "max_tokens", None),
        ({"finish_reason": "content_filter"}, "refusal", None),
        ({"stop_reason": "END"}, "stop_sequence", "END"),
        ({"stop_reason": "else"}, "end_turn", None),
        ({"stop_reason": 151645}, "end_turn", None),
        ({"finish_reason": "tired"}, "end_turn", None),
        ({"finish_reason": "tool_calls"}, "end_turn", None),
    ],
)
def test_the_reason_of_a_whole_reply(choice: Any, reason: str, sequence: str | None) -> None:
    found = whole_reply({"content": "A"}, **choice)

    assert (found["stop_reason"], found["stop_sequence"]) == (reason, sequence)
    assert (found["stop_details"] is not None) is (reason == "refusal")


def test_an_estimate_stands_until_the_provider_counts() -> None:
    def counted(*chunks: bytes) -> Any:
        writer = hub.dialect("anthropic").reply_writer(hub.sink(estimate=500))
        translated = translate.TranslatedStream(hub.dialect("openai-chat").reply_reader(hub.source()), writer)
        out = translated.feed(b"".join(chunks)) + translated.finish()
        return anthropic_judges.in_python(out)["usage"]

    assert counted(ended(chunk({"content": "A"})))["input_tokens"] == 500
    details = {"cached_tokens": 15}
    known = usage(prompt_tokens=20, completion_tokens=7, total_tokens=27, prompt_tokens_details=details)
    found = counted(chunk({"content": "A"}), chunk(finish="stop"), known, b"data: [DONE]\n\n")
    assert (found["input_tokens"], found["cache_read_input_tokens"], found["output_tokens"]) == (5, 15, 7)


def test_reasoning_goes_round() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "S", "format": "x", "index": 0}]
    chunks = (chunk({"reasoning": "hm", "reasoning_details": details}), call(0, "c", "f", "{}"))
    out, _ = stream(Said(ended(*chunks, finish="tool_calls")))
    for message in (anthropic_judges.in_python(out), anthropic_judges.in_javascript({"x": out})["x"]):
        content = [{key: value for key, value in block.items() if value is not None} for block in message["content"]]
        request = {"max_tokens": 9, "messages": [
            {"role": "user", "content": "x"}, {"role": "assistant", "content": content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
        ]}  # fmt: skip
        said = hub.read("anthropic", request).turns[1].parts[0]
        assert isinstance(said, Thinking) and said.text == "hm"
        assert said.seal and said.seal.maker == hub.MAKER and said.seal.model == hub.SENT


@pytest.mark.parametrize("kind", [None, "thinking", "text"])
def test_a_refusal_without_a_text_says_its_reason_in_one(kind: Any) -> None:
    said: list[Event] = [Start(kind), Delta("Hm."), Stop()] if kind else []
    events = [Begin("r"), *said, End("refusal", explanation="blocked by Google: SAFETY")]
    blocks = reply_of("anthropic", events)["content"]
    texts = [event["delta"]["text"] for event in data_of(streamed("anthropic", events))
             if event.get("delta", {}).get("type") == "text_delta"]  # fmt: skip

    assert ["Hm." if kind == "text" else "blocked by Google: SAFETY"] == texts
    assert texts == [block["text"] for block in blocks if block["type"] == "text"]


def test_an_error_first_is_an_error_of_its_own() -> None:
    out, cut = stream(Said(data({"error": {"message": "slow down", "code": 429}})))

    assert not cut and events(out) == [
        ("error", {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}})
    ]
