"""OpenAI's accumulators put the chunks that ampmap writes together to what was said."""

from __future__ import annotations

import json
from typing import Any

import hub
import openai
import openai_judges
import pytest
from corpus.chat_chunks import Said, call, chunk, ended, usage
from corpus.chat_streams import STREAMS

from ampmap.formats.openai_chat.replies_out import ReplyOptions

WHOLE = {
    name: said
    for name, said in STREAMS.items()
    if said.reason and not said.reason.startswith("error") and name != "a half surrogate pair"
}
_REASONS = {"calls": "tool_calls", "sequence": "stop", "refusal": "content_filter"}


def _written(said: Said, options: ReplyOptions | None = None) -> bytes:
    out, cut = hub.stream("openai-chat", "openai-chat", [said.stream], options or ReplyOptions(usage=True))
    assert not cut
    return out


def _check(completion: Any, said: Said) -> None:
    choice = completion["choices"][0]
    message = choice["message"]
    texts = [block[1] for block in said.blocks if block[0] == "text"]
    calls = [block for block in said.blocks if block[0] == "call"]
    assert message["role"] == "assistant"
    assert (message["content"] or "") == "".join(texts)
    made = message.get("tool_calls") or []
    assert [each["function"]["name"] for each in made] == [block[1] for block in calls]
    for each, block in zip(made, calls, strict=True):
        assert each["function"]["arguments"] == (block[2] or ("{}" if len(block) == 3 else ""))
        assert each["id"]
    assert len({each["id"] for each in made}) == len(made)
    assert choice["finish_reason"] == _REASONS.get(said.reason, said.reason)
    counts = completion.get("usage")
    assert (counts and (counts["prompt_tokens"], counts["completion_tokens"])) == said.usage


@pytest.mark.parametrize("name", WHOLE)
def test_in_python(name: str) -> None:
    said = WHOLE[name]
    stream = _written(said)
    if said.reason == "length":  # as with OpenAI itself
        with pytest.raises(openai.LengthFinishReasonError) as raised:
            openai_judges.in_python(stream)
        _check(raised.value.completion.model_dump(), said)
    elif said.reason == "refusal":
        with pytest.raises(openai.ContentFilterFinishReasonError):
            openai_judges.in_python(stream)
    else:
        _check(openai_judges.in_python(stream), said)


def test_in_javascript() -> None:
    judged = openai_judges.in_javascript({name: _written(said) for name, said in WHOLE.items()})
    for name, said in WHOLE.items():
        completion = judged[name]
        if said.reason in ("length", "refusal") and "error" in completion:
            continue
        _check(completion, said)


@pytest.mark.parametrize("name", ["an error behind text", "OpenRouter's error"])
def test_a_stated_error_is_raised(name: str) -> None:
    stream = _written(STREAMS[name])
    assert b"[DONE]" not in stream
    with pytest.raises(openai.APIError, match="no"):
        openai_judges.in_python(stream)


def test_reasoning_and_its_details_come_whole() -> None:
    entry = {"type": "reasoning.text", "text": "Hm", "index": 0, "format": "anthropic-claude-v1"}
    stream = _written(
        Said(
            ended(
                chunk({"reasoning": "Hm", "reasoning_details": [entry]}),
                chunk({"reasoning_details": [{**entry, "text": "", "signature": "SIG"}]}),
                chunk({"content": "A"}),
                usage(),
            )
        )
    )
    for completion in (openai_judges.in_python(stream), openai_judges.in_javascript({"x": stream})["x"]):
        message = completion["choices"][0]["message"]
        assert message["reasoning_content"] == "Hm"
        [detail] = message["reasoning_details"]
        assert detail["text"] == "Hm" and detail["signature"].startswith("ampmap1.")
        # … and it comes back.
        back = hub.read("openai-chat", {"messages": [{"role": "user", "content": "x"}, message]})
        thought = back.turns[1].parts[0]
        assert thought.text == "Hm" and thought.seal.maker == hub.MAKER  # type: ignore[union-attr]
        assert thought.seal.data[0]["signature"] == "SIG"  # type: ignore[union-attr]


def test_the_older_form_has_one_function_call() -> None:
    said = Said(ended(call(0, "a", "f", '{"x":1}'), call(1, "b", "g", "{}"), finish="tool_calls"))
    completion = openai_judges.in_python(_written(said, ReplyOptions(legacy=True)))
    choice = completion["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"x":1}'}
    assert not choice["message"].get("tool_calls")


@pytest.mark.parametrize("wanted", [True, False])
def test_usage_comes_last_and_only_if_it_was_asked_for(wanted: bool) -> None:
    stream = _written(STREAMS["usage on every chunk"], ReplyOptions(usage=wanted))
    chunks = [json.loads(line[6:]) for line in stream.split(b"\n\n") if line.startswith(b"data: {")]
    assert bool(chunks[-1].get("usage")) == wanted
    assert all(each.get("usage") is None for each in chunks[:-1])
    assert all(("usage" in each) == wanted for each in chunks)
    assert {(each["id"], each["created"], each["model"]) for each in chunks} == {("chatcmpl-1", hub.CREATED, hub.MODEL)}
