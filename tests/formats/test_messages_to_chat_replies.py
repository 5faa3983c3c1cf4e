"""A reply of Messages, read by a chat client: OpenAI's accumulators put together what was said."""

from __future__ import annotations

import json
from typing import Any

import hub
import openai
import openai_judges
import pytest
from corpus.chat_chunks import Said
from corpus.messages_events import USAGE, call, start, stop, text, thinking
from corpus.messages_streams import MESSAGES, message

from ampmap.formats import translate
from ampmap.formats.openai_chat.replies_out import ReplyOptions

_REASONS = {"calls": "tool_calls", "sequence": "stop", "refusal": "content_filter"}
WHOLE = {name: said for name, said in MESSAGES.items() if said.reason and not said.reason.startswith("error")}


def stream(said: Said, size: int = 0) -> tuple[bytes, bool]:
    data = said.stream
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    return hub.stream("anthropic", "openai-chat", pieces, ReplyOptions(usage=True))


def check(completion: Any, said: Said) -> None:
    choice = completion["choices"][0]
    found = choice["message"]
    assert (found["content"] or "") == "".join(block[1] for block in said.blocks if block[0] == "text")
    calls = [block for block in said.blocks if block[0] == "call"]
    made = [(each["function"]["name"], each["function"]["arguments"]) for each in found.get("tool_calls") or ()]
    assert made == [(block[1], block[2]) for block in calls]
    assert choice["finish_reason"] == _REASONS.get(said.reason, said.reason)
    assert (completion["usage"]["prompt_tokens"], completion["usage"]["completion_tokens"]) == said.usage
    assert completion["usage"]["total_tokens"] == 109
    assert (
        completion["usage"]["prompt_tokens_details"].items() >= {"cached_tokens": 20, "cache_write_tokens": 10}.items()
    )
    assert completion["id"] == "msg_1" and completion["model"] == hub.MODEL


@pytest.mark.parametrize("name", WHOLE)
def test_in_python(name: str) -> None:
    said = WHOLE[name]
    out, cut = stream(said)
    assert not cut
    if said.reason in ("length", "refusal"):  # as with OpenAI itself
        with pytest.raises((openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError)):
            openai_judges.in_python(out)
    else:
        check(openai_judges.in_python(out), said)


def test_in_javascript() -> None:
    judged = openai_judges.in_javascript({name: stream(said)[0] for name, said in WHOLE.items()})
    for name, said in WHOLE.items():
        if said.reason not in ("length", "refusal") or "error" not in judged[name]:
            check(judged[name], said)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_same_however_it_is_cut_into_pieces(name: str) -> None:
    expected = stream(MESSAGES[name])
    for size in (1, 5, 64):
        assert stream(MESSAGES[name], size) == expected
    assert expected[1] == (not MESSAGES[name].reason)


def test_a_stream_that_ends_early_is_cut_and_nothing_is_made_up() -> None:
    said = MESSAGES["text and two calls with a gap between"]
    end = said.stream.index(b"event: message_delta")
    whole, _ = stream(said)
    for at in range(0, end, 7):
        out, cut = stream(Said(said.stream[:at]))
        assert cut and whole.startswith(out) and b'finish_reason":"' not in out


def test_a_stated_error_is_the_last_chunk() -> None:
    out, cut = stream(MESSAGES["an error behind text"])
    assert not cut and out.endswith(
        b'data: {"error":{"message":"no","type":"overloaded_error","param":null,"code":null}}\n\n'
    )
    with pytest.raises(openai.APIError, match="no"):
        openai_judges.in_python(out)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_reply_says_the_same(name: str) -> None:
    """A reply of the official accumulator's kind, not streamed."""
    said = WHOLE[name]
    content: list[Any] = []
    ids = iter(range(9))
    for block in said.blocks:
        if block[0] == "text":
            content.append({"type": "text", "text": block[1]})
        elif block[0] == "thinking":
            content.append({"type": "thinking", "thinking": block[1], "signature": "SIG"})
        elif block[-1] is not False:
            content.append({"type": "tool_use", "id": f"t{next(ids)}", "name": block[1], "input": json.loads(block[2])})
    reasons = {"calls": "tool_use", "length": "max_tokens", "stop": "end_turn", "sequence": "stop_sequence"}
    usage = {**USAGE, "output_tokens": 9}
    reply = {"id": "msg_1", "type": "message", "role": "assistant", "content": content, "usage": usage,
             "stop_reason": reasons.get(said.reason, said.reason), "stop_sequence": None}  # fmt: skip
    reader = hub.dialect("anthropic").reply_reader(hub.source())
    found = translate.whole_reply(
        reader, hub.dialect("openai-chat").reply_writer(hub.sink()), json.dumps(reply).encode()
    )
    assert isinstance(found, dict)
    completion = openai.types.chat.ChatCompletion.model_validate(found, strict=True).model_dump()
    assert completion["object"] == "chat.completion" and completion["created"] == hub.CREATED
    calls = [block for block in said.blocks if block[0] == "call" and block[-1] is not False]
    made = completion["choices"][0]["message"].get("tool_calls") or []
    assert [json.loads(each["function"]["arguments"]) for each in made] == [json.loads(block[2]) for block in calls]
    assert [each["function"]["name"] for each in made] == [block[1] for block in calls]
    texts = "".join(block[1] for block in said.blocks if block[0] == "text")
    assert completion["choices"][0]["message"]["content"] == (texts or (None if made else ""))
    assert completion["choices"][0]["finish_reason"] == _REASONS.get(said.reason, said.reason)
    assert completion["usage"]["total_tokens"] == 109


def test_thinking_comes_back_as_it_was() -> None:
    out, _ = stream(Said(message(thinking(0, "hm", signature="SIG"), call(1, "t", "f", '{"a": 1}'), reason="tool_use")))
    for completion in (openai_judges.in_python(out), openai_judges.in_javascript({"x": out})["x"]):
        said = completion["choices"][0]["message"]
        request = {"messages": [{"role": "user", "content": "x"}, said,
                                {"role": "tool", "tool_call_id": "t", "content": "r"}],
                   "tools": [{"type": "function", "function": {"name": "f"}}]}  # fmt: skip
        sent = hub.translated("openai-chat", "anthropic", request)
        assert sent["messages"][1]["content"] == [
            {"type": "thinking", "thinking": "hm", "signature": "SIG"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        ]


def test_thinking_in_the_middle_is_shown_and_not_given_back() -> None:
    out, _ = stream(MESSAGES["thinking between calls"])
    found = openai_judges.in_python(out)["choices"][0]["message"]
    assert found["reasoning_content"] == "a\n\nb" and "reasoning_details" not in found


def test_redacted_thinking_adds_no_words() -> None:
    hidden = start(1, type="redacted_thinking", data="XYZ") + stop(1)
    out, _ = stream(Said(message(thinking(0, "a"), hidden, text(2, "A"))))
    found = openai_judges.in_python(out)["choices"][0]["message"]
    assert found["reasoning_content"] == "a"
    assert [each["type"] for each in found["reasoning_details"]] == ["reasoning.text", "reasoning.encrypted"]


def test_sources_of_a_text() -> None:
    out, _ = stream(MESSAGES["citations"])
    found = openai_judges.in_python(out)["choices"][0]["message"]
    assert [each["url_citation"]["url"] for each in found["annotations"]] == ["https://x"]


def test_a_refusals_reason_is_told() -> None:
    out, _ = stream(MESSAGES["refusal"])
    assert b'"refusal":"No."' in out and b'"finish_reason":"content_filter"' in out


def test_custom_tools_get_their_text_back() -> None:
    reply = {"id": "m", "content": [{"type": "tool_use", "id": "t", "name": "p", "input": {"input": "a\nb"}}],
             "stop_reason": "tool_use", "usage": {}}  # fmt: skip
    writer = hub.dialect("openai-chat").reply_writer(hub.sink(ReplyOptions(custom=frozenset({"p"}))))
    reader = hub.dialect("anthropic").reply_reader(hub.source())
    found = translate.whole_reply(reader, writer, json.dumps(reply).encode())
    assert isinstance(found, dict) and "usage" not in found
    assert found["choices"][0]["message"]["tool_calls"] == [
        {"id": "t", "type": "custom", "custom": {"name": "p", "input": "a\nb"}}
    ]


def test_text_of_two_blocks_is_one() -> None:
    out, _ = stream(Said(message(text(0, "A"), text(1, "B"))))
    assert openai_judges.in_python(out)["choices"][0]["message"]["content"] == "AB"
