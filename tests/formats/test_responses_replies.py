"""Replies in the Responses format: read from a provider, and written so that OpenAI's SDK reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2 as httpx
import hub
import openai_judges
import pytest
from openai import APIError, OpenAI
from replyevents import call, text, thinking

from ampmap.errors import UpstreamBroken
from ampmap.formats import carrier
from ampmap.formats.base import ReplySink, ReplySource
from ampmap.formats.conversation import Seal
from ampmap.formats.events import Begin, Citation, Delta, End, Event, Failure, Ping, Start, Stop, Usage
from ampmap.formats.openai_responses.replies_in import ReplyReader
from ampmap.formats.openai_responses.replies_out import Replies
from ampmap.formats.openai_responses.requests_in import ReplyOptions
from ampmap.formats.openai_responses.tool_table import Declared
from ampmap.formats.profile import Target
from ampmap.formats.translate import TranslatedStream

ECHO = b'"parallel_tool_calls":true,"tool_choice":"auto","tools":[]'
DECLARED = {
    "exec": Declared("exec", "", "custom"), "team__spawn": Declared("spawn", "team"), "f": Declared("f"),
    "tool_search": Declared("tool_search", "", "tool_search"),
    "local_shell": Declared("local_shell", "", "local_shell"),
}  # fmt: skip
USAGE = Usage(10, 5, 3, 1, 2)


def sink(*, sealed: bool = True) -> ReplySink:
    return ReplySink(
        model="asked",
        reply_options=ReplyOptions(ECHO, DECLARED, sealed),
        maker="maker",
        sent="claude",
        created=1_700_000_000,
    )


STREAMS: dict[str, list[Event]] = {
    "text": [*text("Hel", "lo ", "😀"), End("stop", USAGE)],
    "thinking and text": [*thinking("hm", "m", seal=Seal("signature", "sig")), *text("Ok"), End("stop", USAGE)],
    "a seal alone and a call": [*thinking(seal=Seal("redacted", "x")), *call("f", '{"a":', "1}"), End("calls", USAGE)],
    "two calls": [*text("t"), *call("f", "{}"), *call("team__spawn", '{"b":2}', id_="c2"), End("calls", USAGE)],
    "no arguments": [*call("f"), End("calls")],
    "free text": [*call("exec", '{"inp', 'ut":"a\\', "n\\ud83d", '\\ude00 \\"q\\""}'), End("calls", USAGE)],
    "a search": [*call("tool_search", '{"query":"x"}'), End("calls", USAGE)],
    "a shell": [*call("local_shell", '{"command":["ls"]}'), End("calls", USAGE)],
    "interleaved": [*thinking("a"), *call("f", "{}"), *thinking("b"), *call("f", "{}", id_="c2"), End("calls", USAGE)],
    "neighbouring texts": [*text("a"), Citation("https://x", "X", 0, 1), *text("b"), End("stop", USAGE)],
    "a refusal": [End("refusal", USAGE, explanation="No.")],
    "nothing": [End("stop", USAGE)],
}


def written(events: Iterable[Event], **options: Any) -> bytes:
    writer = Replies(sink(**options))
    return b"".join(map(writer.write, [Begin("msg_1"), *events]))


def items(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in stream.decode().splitlines() if line.startswith("data: ")]


def judged(stream: bytes) -> Any:
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    )
    client = OpenAI(
        api_key="k", base_url="http://test/v1", http_client=httpx.Client(transport=transport), max_retries=0
    )
    with client.responses.stream(model="asked", input="x") as events:
        for _ in events:
            pass
        return events.get_final_response()


FAILED = written([*text("t"), Failure(500, "oh")])


@pytest.mark.parametrize("name", STREAMS)
def test_the_sdk_reads_every_stream_as_its_own(name: str) -> None:
    found = judged(written(STREAMS[name]))

    texts = "".join(each.text for each in STREAMS[name] if isinstance(each, Delta) and _of(STREAMS[name], each, "text"))
    assert ("No." if name == "a refusal" else texts) == found.output_text
    assert ("asked", "completed") == (found.model, found.status)
    expected = None if name == "no arguments" else (10, 5, 15)
    usage = found.usage and (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens)
    assert expected == usage


def test_the_sdk_in_javascript_reads_every_stream_as_its_own() -> None:
    streams = {name: written(events) for name, events in STREAMS.items()}
    cut = streams["text"][: streams["text"].index(b"event: response.completed")]
    judged_there = openai_judges.responses_in_javascript({**streams, "failed": FAILED, "cut": cut})

    failed, cut_off = judged_there.pop("failed"), judged_there.pop("cut")
    assert ("failed", "oh") == (failed["status"], failed["error"]["message"])
    assert "completed" != cut_off.get("status")
    for name, found in judged_there.items():
        here = judged(streams[name])
        told = {key: found.get(key) for key in ("status", "model", "output_text")}
        assert {"status": here.status, "model": here.model, "output_text": here.output_text} == told
        assert items(streams[name])[-1]["response"]["output"] == [_said(item) for item in found["output"]]


def _said(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item without what the SDK adds to it."""
    content = [{key: value for key, value in part.items() if key != "parsed"} for part in item.get("content") or ()]
    found = {key: value for key, value in item.items() if key != "parsed_arguments"}
    return {**found, "content": content} if content else found


def _of(events: list[Event], delta: Delta, kind: str) -> bool:
    opened = ""
    for event in events:
        if isinstance(event, Start):
            opened = event.kind
        if event is delta:
            return opened == kind
    return False


@pytest.mark.parametrize("name", STREAMS)
def test_the_done_items_are_those_of_the_last_event(name: str) -> None:
    events = items(written(STREAMS[name]))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]

    assert events[-1]["type"] == "response.completed"
    assert done == events[-1]["response"]["output"]
    assert [*range(len(done))] == added
    assert [*range(len(events))] == [event["sequence_number"] for event in events]


@pytest.mark.parametrize("name", STREAMS)
def test_a_whole_reply_has_the_same_items(name: str) -> None:
    whole = hub.written(Replies(sink()), [Begin("msg_1"), *STREAMS[name]])

    assert items(written(STREAMS[name]))[-1]["response"] == whole


def test_calls_come_back_as_they_were_declared() -> None:
    def done(name: str) -> list[dict[str, Any]]:
        return [item for item in items(written(STREAMS[name]))[-1]["response"]["output"] if "call" in item["type"]]

    [free] = done("free text")
    assert ("custom_tool_call", "exec", 'a\n😀 "q"') == (free["type"], free["name"], free["input"])
    first, second = done("two calls")
    assert ("f", "{}", False) == (first["name"], first["arguments"], "namespace" in first)
    assert ("spawn", "team", '{"b":2}', "c2") == tuple(
        second[key] for key in ("name", "namespace", "arguments", "call_id")
    )
    [search] = done("a search")
    assert ("tool_search_call", "client", {"query": "x"}) == (search["type"], search["execution"], search["arguments"])
    [shell] = done("a shell")
    assert {"type": "exec", "env": {}, "command": ["ls"]} == shell["action"]
    [empty] = done("no arguments")
    assert "{}" == empty["arguments"]


def test_free_text_leaves_as_it_comes() -> None:
    events = items(written(STREAMS["free text"]))
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]

    assert ["a", "\n", '😀 "q"'] == deltas


def test_a_cut_call_is_not_done_and_the_reply_is_incomplete() -> None:
    events = items(written([*text("t"), *call("f", '{"a":', whole=False), End("length", USAGE)]))

    assert ["message"] == [item["type"] for item in events[-1]["response"]["output"]]
    assert "response.incomplete" == events[-1]["type"]
    assert {"reason": "max_output_tokens"} == events[-1]["response"]["incomplete_details"]
    assert 1 == sum(event["type"] == "response.output_item.done" for event in events)


def test_a_call_that_is_no_json_reaches_the_client_at_a_normal_end() -> None:
    [item] = items(written([*call("f", '{"a":', whole=False), End("calls", USAGE)]))[-1]["response"]["output"]

    assert '{"a":' == item["arguments"]


def test_reasoning_carries_its_seal_only_if_the_client_asked() -> None:
    events = STREAMS["thinking and text"]
    sealed = items(written(events))[-1]["response"]["output"][0]["encrypted_content"]

    assert Seal("signature", {"d": "sig", "x": "hmm"}, "maker", "claude") == carrier.decode(sealed)
    assert "encrypted_content" not in items(written(events, sealed=False))[-1]["response"]["output"][0]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure(529, "busy", "overloaded"), "server_is_overloaded"),
        (Failure(429, "slow", "rate_limit_exceeded"), "rate_limit_exceeded"),
        (Failure(400, "long", "context_length_exceeded"), "context_length_exceeded"),
        (Failure(400, "bad"), "invalid_prompt"),
        (Failure(500, "oh"), "server_error"),
    ],
)  # fmt: skip
def test_a_stated_error_becomes_a_failed_response(failure: Failure, code: str) -> None:
    last = items(written([*text("t"), failure]))[-1]

    assert ("response.failed", code, failure.message) == (
        last["type"], last["response"]["error"]["code"], last["response"]["error"]["message"],
    )  # fmt: skip


def reader() -> ReplyReader:
    return ReplyReader(ReplySource(target=Target(model="gpt", maker="maker"), names={"short": "long name"}))


def read(events: Iterable[dict[str, Any]]) -> list[Event]:
    found: list[Event] = []
    reading = reader()
    for event in events:
        found += reading.feed(str(event.get("type")).encode(), json.dumps(event).encode())
    return found


UNLIKE = ("a refusal", "neighbouring texts", "a search", "a shell")  # written as what no other format's reply has


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in UNLIKE])
def test_what_is_written_is_read_back(name: str) -> None:
    def shape(events: Iterable[Event]) -> Iterator[Any]:
        texts = ""
        for event in events:
            if isinstance(event, Delta):
                texts += event.text
            elif isinstance(event, Stop):
                yield texts, event.seal is not None
                texts = ""
            elif isinstance(event, Start | End):
                yield event if isinstance(event, End) else (event.kind, event.id)

    found = [*shape(read(items(written(STREAMS[name]))))]
    wanted = [*shape(STREAMS[name])]
    if name == "free text":
        found[1] = wanted[1] = "the same text, written as JSON anew"
    if name == "no arguments":
        wanted[1] = ("{}", False)
    assert wanted == found


def _event(kind: str, index: int = 0, **members: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": index, **members}


FUNCTION = {"type": "function_call", "call_id": "c", "name": "short", "arguments": '{"a":1}'}
OPENED = {**FUNCTION, "arguments": ""}
MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
DONE: dict[str, Any] = {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}}


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([_event("output_item.done", item=FUNCTION), DONE], ["call", '{"a":1}', "calls"]),
        ([{"type": "response.completed", "response": {"output": [MESSAGE, FUNCTION]}}],
         ["text", "Hello", "call", '{"a":1}', "calls"]),
        ([_event("output_item.added", item={**FUNCTION, "call_id": "", "arguments": ""}),
          _event("function_call_arguments.delta", delta='{"a"'), _event("output_item.done", item=FUNCTION), DONE],
         ["call", '{"a":1}', "calls"]),
        ([_event("output_item.added", item=OPENED), _event("function_call_arguments.delta", delta='{"a"'),
          _event("output_item.done", item=FUNCTION), DONE], ["call", '{"a":1}', "calls"]),
        ([_event("output_text.delta", 0, delta="He"), _event("output_item.added", 1, item=OPENED),
          _event("function_call_arguments.delta", 1, delta='{"a":1}'), _event("output_text.delta", 0, delta="llo"),
          _event("output_item.done", 0, item=MESSAGE), _event("output_item.done", 1, item=FUNCTION), DONE],
         ["text", "Hello", "call", '{"a":1}', "calls"]),
        ([_event("output_text.delta", delta="Hello"), {"type": "response.incomplete", "response": {
            "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []}}],
         ["text", "Hello", "length"]),
        ([_event("output_item.added", item=OPENED), _event("function_call_arguments.delta", delta='{"a"'),
          {"type": "response.incomplete", "response": {"status": "incomplete",
           "incomplete_details": {"reason": "max_output_tokens"}, "output": []}}], ["call", '{"a"', "length"]),
    ],
)  # fmt: skip
def test_what_servers_leave_out_is_taken_from_elsewhere(events: list[dict[str, Any]], wanted: list[str]) -> None:
    found: list[str] = []
    texts = ""
    for event in read(events):
        if isinstance(event, Start):
            found.append(event.kind)
            assert event.kind != "call" or ("c", "long name") == (event.id, event.name)
        elif isinstance(event, Delta):
            texts += event.text
        elif isinstance(event, Stop):
            found.append(texts)
            texts = ""
        elif isinstance(event, End):
            found.append(event.reason)
    assert wanted == found


@pytest.mark.parametrize("cut", range(0, 1200, 7))
def test_a_stream_that_is_cut_ends_in_an_error_and_never_in_an_end(cut: int) -> None:
    whole = written(STREAMS["two calls"])
    stream = TranslatedStream(reader(), Replies(sink()))
    out = stream.feed(whole[:cut])
    with pytest.raises(UpstreamBroken):
        stream.finish()

    assert b"response.completed" not in out


def test_a_comment_is_a_sign_of_life_and_nonsense_is_nothing() -> None:
    assert [Ping()] == [*reader().feed(b":", b"")]
    assert [] == [*reader().feed(b"", b"[DONE]"), *reader().feed(b"", b"[1]")]


SLOW = {"code": "rate_limit_exceeded", "message": "slow"}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.failed", "response": {"status": "failed", "error": SLOW}},
        {"type": "error", **SLOW}, {"error": SLOW},
    ],
)  # fmt: skip
def test_errors_of_every_form_are_failures(event: dict[str, Any]) -> None:
    assert [Failure(429, "slow", "rate_limit_exceeded")] == read([event])


def test_the_sdk_sees_a_failed_response() -> None:
    with pytest.raises((APIError, RuntimeError)):
        judged(FAILED)
