"""Replies of Gemini: read from a provider, and written so that Google's SDK reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import gemini_judges
import httpx
import hub
import pytest
from google import genai
from google.genai import errors, types
from replyevents import call, text, thinking

from ampmap.errors import UpstreamBroken
from ampmap.formats import carrier
from ampmap.formats.base import ReplySink, ReplySource
from ampmap.formats.conversation import Seal
from ampmap.formats.events import Begin, Citation, Delta, End, Event, Failure, Ping, Start, Stop, Usage
from ampmap.formats.gemini.replies_in import ReplyReader, is_error
from ampmap.formats.gemini.replies_out import Replies, failure
from ampmap.formats.gemini.requests_in import ReplyOptions
from ampmap.formats.profile import Target
from ampmap.formats.translate import TranslatedStream

USAGE = Usage(10, 5, 3, None, 2)


STREAMS: dict[str, list[Event]] = {
    "text": [*text("Hel", "lo ", "😀\n"), End("stop", USAGE)],
    "thinking and text": [*thinking("hm", "m", seal=Seal("signature", "sig")), *text("Ok", "!"), End("stop", USAGE)],
    "thinking and calls": [
        *thinking("x", seal=Seal("signature", "s1")), *thinking(seal=Seal("redacted", "r")),
        *call("f", '{"a":\n', "1}"), *call("g", id_="c2"), End("calls", USAGE),
    ],
    "interleaved": [
        *thinking("a", seal=Seal("signature", "1")), *call("f", "{}"), *thinking("b", seal=Seal("signature", "2")),
        *call("g", "{}", id_="c2"), End("calls", USAGE),
    ],
    "text and a call": [*text("t"), *call("f", '{"b":2}'), End("calls")],
    "a limit": [*text("half"), End("length", USAGE)],
    "a cut call": [*text("t"), *call("f", '{"a":', whole=False), End("length", USAGE)],
    "arguments that are none": [*call("f", '{"a":', whole=False), End("calls", USAGE)],
    "a refusal": [End("refusal", USAGE, explanation="No.")],
}  # fmt: skip


def sink(*, thoughts: bool = True) -> ReplySink:
    return ReplySink(
        model="asked", reply_options=ReplyOptions(thoughts), maker="maker", sent="claude", created=1_700_000_000
    )


def written(events: Iterable[Event], **options: Any) -> bytes:
    writer = Replies(sink(**options))
    return b"".join(map(writer.write, [Begin("msg_1"), *events]))


def client(content: bytes, kind: str = "text/event-stream") -> genai.Client:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": kind}, content=content)

    options = types.HttpOptions(
        base_url="http://test", httpx_client=httpx.Client(transport=httpx.MockTransport(answer))
    )
    return genai.Client(api_key="k", http_options=options)


def streamed(content: bytes) -> list[types.GenerateContentResponse]:
    return [*client(content).models.generate_content_stream(model="asked", contents="x")]


def parts(responses: Iterable[types.GenerateContentResponse]) -> list[types.Part]:
    found: list[types.Part] = []
    for response in responses:
        for candidate in response.candidates or ():
            found += (candidate.content and candidate.content.parts) or []
    return found


@pytest.mark.parametrize("name", STREAMS)
def test_the_sdk_reads_every_stream(name: str) -> None:
    chunks = streamed(written(STREAMS[name]))
    found = parts(chunks)

    said = "No." if name == "a refusal" else "".join(part for kind, part in _deltas(name) if kind == "text")
    assert said == "".join(part.text or "" for part in found if not part.thought)
    thoughts = "".join(part for kind, part in _deltas(name) if kind == "thinking")
    assert thoughts == "".join(part.text or "" for part in found if part.thought)
    reasons = [candidate.finish_reason for chunk in chunks for candidate in chunk.candidates or ()]
    limited = name in ("a limit", "a cut call")
    assert types.FinishReason.MAX_TOKENS if limited else types.FinishReason.STOP == reasons[-1]
    assert {None} == {*reasons[:-1]} | {None}
    assert {"asked"} == {chunk.model_version for chunk in chunks}


@pytest.mark.parametrize("name", STREAMS)
def test_a_chat_of_the_sdk_remembers_the_turn(name: str) -> None:
    stream = written(STREAMS[name])
    chat = client(stream).chats.create(model="asked")

    said = parts(chat.send_message_stream("x"))

    remembered = [part for content in chat.get_history(curated=True)[1:] for part in content.parts or ()]
    assert said == remembered


def test_the_sdk_in_javascript_reads_every_stream() -> None:
    streams = {name: written(events) for name, events in STREAMS.items()}
    error = written([*text("t"), Failure(503, "busy")])
    judged = gemini_judges.in_javascript({**streams, "an error": error})

    assert "busy" in judged.pop("an error")["error"]
    for name, found in judged.items():
        assert "error" not in found
        sent = [json.loads(line[6:]) for line in streams[name].decode().split("\r\n\r\n") if line]
        assert [each["candidates"] for each in sent] == [each["candidates"] for each in found["chunks"]]
        assert [each.get("usageMetadata") for each in sent] == [each.get("usageMetadata") for each in found["chunks"]]
        assert {"asked"} == {each["modelVersion"] for each in found["chunks"]}


def _deltas(name: str) -> list[tuple[str, str]]:
    found, kind = [], ""
    for event in STREAMS[name]:
        if isinstance(event, Start):
            kind = event.kind
        elif isinstance(event, Delta):
            found.append((kind, event.text))
    return found


@pytest.mark.parametrize("name", STREAMS)
def test_the_sdk_reads_every_whole_reply(name: str) -> None:
    whole = hub.written(Replies(sink()), [Begin("msg_1"), *STREAMS[name]])
    response = client(json.dumps(whole).encode(), "application/json").models.generate_content(model="m", contents="x")

    def told(parts: Iterable[types.Part]) -> tuple[str, list[Any]]:
        parts = [*parts]
        return "".join(part.text or "" for part in parts), [part.function_call for part in parts if part.function_call]

    assert told(parts([response])) == told(parts(streamed(written(STREAMS[name]))))
    used = response.usage_metadata
    if name != "text and a call":
        assert used is not None
        assert (10, 3, 2, 3, 15) == (
            used.prompt_token_count, used.candidates_token_count, used.thoughts_token_count,
            used.cached_content_token_count, used.total_token_count,
        )  # fmt: skip


def test_calls_are_whole_and_carry_the_reasoning_before_them() -> None:
    first, second = (part for part in parts(streamed(written(STREAMS["thinking and calls"]))) if part.function_call)
    assert first.function_call is not None
    assert second.function_call is not None
    assert ("c1", "f", {"a": 1}) == (first.function_call.id, first.function_call.name, first.function_call.args)
    assert ("c2", "g", {}) == (second.function_call.id, second.function_call.name, second.function_call.args)
    blocks = [{"k": "signature", "d": "s1", "x": "x"}, {"k": "redacted", "d": "r", "x": ""}]
    raw = [line for line in written(STREAMS["thinking and calls"]).decode().splitlines() if "thoughtSignature" in line]
    [signed] = json.loads(raw[0][6:])["candidates"][0]["content"]["parts"]
    assert Seal("blocks", blocks, "maker", "claude") == carrier.decode(signed["thoughtSignature"])
    assert 2 == sum("thoughtSignature" in line for line in written(STREAMS["interleaved"]).decode().splitlines())


def test_arguments_that_are_none_come_as_text_and_a_cut_call_not_at_all() -> None:
    part, *_ = parts(streamed(written(STREAMS["arguments that are none"])))
    assert part.function_call is not None
    assert {"_invalid_arguments": '{"a":'} == part.function_call.args
    assert not any(part.function_call for part in parts(streamed(written(STREAMS["a cut call"]))))


def test_thoughts_are_sent_only_if_they_were_asked_for() -> None:
    events = STREAMS["thinking and text"]

    assert not any(part.thought for part in parts(streamed(written(events, thoughts=False))))
    assert b"thoughtSignature" in written(events, thoughts=False)


def test_a_text_says_what_it_rests_on() -> None:
    """Gemini CLI puts marks behind the bytes that each support names."""
    one, two = "https://one.example", "https://two.example"
    said: list[Event] = [
        Begin("r"),
        Start("text"),
        Delta("Blåbær. "),
        Citation(one, "One"),
        Stop(),
        Start("text"),
        Delta("Rain, sun."),
        Citation(two, "", 0, 4),
        Citation(one, "One"),
        Stop(),
        End("stop"),
    ]
    [candidate] = hub.written(Replies(sink()), said)["candidates"]

    assert ["Blåbær. Rain, sun."] == [part["text"] for part in candidate["content"]["parts"]]
    found = candidate["groundingMetadata"]
    assert [one, two] == [chunk["web"]["uri"] for chunk in found["groundingChunks"]]
    text = "Blåbær. Rain, sun.".encode()
    marked = [
        (
            text[each["segment"].get("startIndex", 0) : each["segment"]["endIndex"]].decode(),
            each["groundingChunkIndices"],
        )
        for each in found["groundingSupports"]
    ]
    assert [("Blåbær. ", [0]), ("Rain", [1]), ("Rain, sun.", [0])] == marked


@pytest.mark.parametrize(("start", "end"), [(0, 2**53 - 1), (9, 4), (5, 5 + 9), (20, None)])
def test_a_place_outside_of_the_text_is_that_of_the_whole_text(start: int, end: int | None) -> None:
    said: list[Event] = [Begin("r"), Start("text"), Delta("Rain, sun."), Citation("u", "", start, end), Stop()]

    [candidate] = hub.written(Replies(sink()), [*said, End("stop")])["candidates"]

    [support] = candidate["groundingMetadata"]["groundingSupports"]
    assert support["segment"] == {"endIndex": len("Rain, sun.")}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_has_nothing_but_lines_of_data(name: str) -> None:
    lines = written(STREAMS[name]).split(b"\r\n")

    assert {b""} == {*lines[1::2]}
    assert all(line.startswith(b"data: {") for line in lines[:-1:2])
    assert b"" == b"".join(Replies(sink()).write(event) for event in (Ping(),))


def test_errors_have_googles_form() -> None:
    line = written([Failure(429, "slow", "rate_limit_exceeded")]).strip()

    error = {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}
    assert {"error": error} == json.loads(line.removeprefix(b"data: "))
    assert failure(Failure(400, "x", "context_length_exceeded"))["error"]["message"].startswith("The input token count")
    with pytest.raises(errors.APIError):
        streamed(written([*text("t"), Failure(500, "oh")]))


def reader() -> ReplyReader:
    return ReplyReader(ReplySource(target=Target(model="gemini-3", maker="maker"), names={"_1f": "1f"}))


def read(*chunks: Any) -> list[Event]:
    reading = reader()
    found: list[Event] = []
    for chunk in chunks:
        found += reading.feed(b"", json.dumps(chunk).encode())
    return [*found, *reading.finish()]


def chunk(*parts: dict[str, Any], finish: str | None = None, **members: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [*parts]}, "index": 0}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})], "responseId": "r", **members}


FUNCTION = {"functionCall": {"name": "default_api:_1f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}


def test_a_call_comes_whole_behind_its_seal() -> None:
    found = read(
        chunk({"text": "hm", "thought": True}), chunk(FUNCTION, {"functionCall": {"name": "g"}}, finish="STOP")
    )

    assert [Begin("r"), Start("thinking"), Delta("hm"), Stop(Seal("thought", "c2ln", "maker", "gemini-3"))] == found[:4]
    start, delta, stop = found[4:7]
    assert isinstance(start, Start)
    assert ("call", "1f", Delta('{"a":1}'), Stop()) == (start.kind, start.name, delta, stop)
    assert len({event.id for event in found if isinstance(event, Start) and event.kind == "call"}) == 2
    assert End("calls") == found[-1]


@pytest.mark.parametrize(
    ("chunks", "last"),
    [
        ([chunk({"text": "a"}, finish="STOP"), chunk({"text": "b"}, finish="STOP")], End("stop")),
        ([chunk({"text": "a"}, finish="MAX_TOKENS")], End("length")), ([chunk(finish="SAFETY")], End("refusal")),
        ([{"promptFeedback": {"blockReason": "SAFETY"}}], End("refusal", explanation="blocked by Google: SAFETY")),
        ([chunk(finish="MALFORMED_FUNCTION_CALL")],
         Failure(502, "the provider ended its reply with MALFORMED_FUNCTION_CALL")),
        ([chunk(finish="OTHER")], Failure(502, "the provider ended its reply with OTHER")),
        ([chunk({"text": "a"}, finish="OTHER")], End("stop")), ([chunk(FUNCTION)], End("calls")),
        ([chunk({"text": "a"}), chunk(finish="STOP", usageMetadata={"promptTokenCount": 9, "candidatesTokenCount": 4,
          "thoughtsTokenCount": 3, "cachedContentTokenCount": 2, "totalTokenCount": 16})],
         End("stop", Usage(9, 7, 2, None, 3))),
        ([chunk({"text": "a"}, finish="STOP", usageMetadata={"promptTokenCount": 9, "candidatesTokenCount": 4,
          "thoughtsTokenCount": 3, "totalTokenCount": 13})], End("stop", Usage(9, 4, None, None, 3))),
    ],
)  # fmt: skip
def test_ends_are_what_the_provider_means(chunks: list[dict[str, Any]], last: Event) -> None:
    assert last == read(*chunks)[-1]


def test_a_fault_is_told_at_once_and_a_reply_without_candidates_is_one() -> None:
    fault = chunk(finish="MALFORMED_FUNCTION_CALL")
    *_, last = reader().feed(b"", json.dumps(fault).encode())
    assert isinstance(last, Failure) and is_error(fault) and not is_error(chunk({"text": "x"}, finish="STOP"))

    replies: list[dict[str, Any]] = [{}, {"candidates": []}, {"usageMetadata": {"promptTokenCount": 3}}]
    for reply in replies:
        [failure] = [event for event in reader().whole(reply) if not isinstance(event, Begin)]
        assert Failure(502, "the provider's reply has no candidates") == failure


def test_an_error_in_a_stream_is_a_failure() -> None:
    error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    for form in (error, [error]):
        reading = reader()
        assert [Failure(503, "busy")] == [*reading.feed(b"", json.dumps(form).encode())]


def test_a_stream_without_a_reason_is_cut() -> None:
    with pytest.raises(UpstreamBroken):
        read(chunk({"text": "a"}))


def test_an_array_of_chunks_is_read_whole() -> None:
    stream = TranslatedStream(reader(), Replies(sink()))
    body = json.dumps([chunk({"text": "a"}), chunk({"text": "b"}, finish="STOP")], indent=2).encode()
    out = stream.feed(body[:50]) + stream.feed(body[50:]) + stream.finish()

    assert "ab" == "".join(part.text or "" for part in parts(streamed(out)))


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_every_cut_of_the_bytes_gives_the_same(end: bytes) -> None:
    chunks = [chunk({"text": "hé😀"}), chunk(FUNCTION), chunk(finish="STOP")]
    texts = [json.dumps(each, ensure_ascii=False).encode() for each in chunks]
    body = b": hi" + end + b"".join(b"data:%b%b" % (each, end) for each in texts)

    def through(pieces: Iterable[bytes]) -> bytes:
        stream = TranslatedStream(reader(), Replies(sink()))
        return b"".join(map(stream.feed, pieces)) + stream.finish()

    whole = through([body])
    for size in (1, 2, 3, 7, 64):
        assert whole == through(body[at : at + size] for at in range(0, len(body), size))
    for cut in range(len(body)):
        assert whole == through([body[:cut], body[cut:]])
