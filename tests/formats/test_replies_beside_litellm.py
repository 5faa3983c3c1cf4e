"""What ampmap and LiteLLM make of the same replies: each difference is known, and tests/README.md explains it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import hub
import pytest
from corpus import beside_replies as replies
from differing import compared, differences, explained
from gathered import gathered, said
from translating import data_of

from ampmap.bodies.texts import dump
from ampmap.formats.base import Json
from ampmap.formats.translate import whole_reply

ASKED = {
    "openai-chat": {"messages": [{"role": "user", "content": "x"}], "stream_options": {"include_usage": True}},
    "anthropic": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9},
    "gemini": {
        "contents": [{"parts": [{"text": "x"}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    },
    "openai-responses": {"input": "x"},
}


class Pair(NamedTuple):
    """The format of a provider, the client's, and how the two replies are known to differ, with reasons.

    The kind of a reply is ``whole`` or ``streamed``: :func:`differing.compared` says how differences are named.
    """

    provider: str
    client: str
    replies: dict[str, Json]
    known: dict[str, str]


_COUNTS = {
    "usage.completionTokensDetails.textTokens": "a count that OpenAI's replies do not have",
    "usage.cacheReadInputTokens": "the same",
    "streamed: usage.cost": "the same",
}
_CALLS = {
    "whole: choices[].message.toolCalls[].index": "OpenAI has it in streams alone",
    "choices[].message.reasoningDetails": "OpenRouter's form, which clients send back",
    "choices[].message.thinkingBlocks": "LiteLLM's form of the same",
}
PAIRS = {
    "messages to chat": Pair("anthropic", "openai-chat", replies.MESSAGES, {
        **_COUNTS,
        **_CALLS,
        "usage.promptTokensDetails.textTokens": "a count that OpenAI's replies do not have",
        "usage.promptTokensDetails.cacheCreationTokens": "the same",
        "usage.cacheCreationInputTokens": "the same",
        "thinking: usage.completionTokensDetails.reasoningTokens": "no guess where the provider has not counted",
        "two calls, streamed: choices[].message.toolCalls[].function.arguments": "clients read JSON in it",
    }),
    "gemini to chat": Pair("gemini", "openai-chat", replies.GEMINI, {
        **_COUNTS,
        **_CALLS,
        "two calls: choices[].message.toolCalls[].extraContent": "Google's own place for a signature",
        "safety, whole: choices[].message.content": "the text that there is",
    }),
    "chat to messages": Pair("openai-chat", "anthropic", replies.CHAT, {
        "reasoning: content[].signature": "SDKs want one, and clients send it back",
        "reasoning: usage.outputTokensDetails.thinkingTokens": "kept",
        "invalid arguments, whole: answered": "LiteLLM raises",
        "invalid arguments, streamed: content[].input": "an object, as Messages want it",
        "refusal, whole: stopReason": "as the provider's finish_reason says",
        "refusal, whole: stopDetails": "the same",
        "refusal, streamed: content[].text": "LiteLLM loses it",
        "filter, streamed: stopDetails": "as in a whole reply",
    }),
    "chat to gemini": Pair("openai-chat", "gemini", replies.CHAT, {
        "candidates[].content.parts[].functionCall.id": "results find their calls by it",
        "two calls, streamed: candidates[].content.parts[].functionCall.name": "LiteLLM loses the call",
        "reasoning: candidates[].content.parts": "thoughts, which the client asked for",
        "reasoning: usageMetadata.candidatesTokenCount": "Google counts thoughts apart",
        "reasoning: usageMetadata.thoughtsTokenCount": "the same",
        "invalid arguments: candidates[].content.parts[].functionCall.args": "an object, as Gemini wants it",
        "refusal: candidates[].content.parts": "LiteLLM loses it",
        "filter: candidates[].finishReason": "there is a text: Gemini CLI would ask again",
        "cache: usageMetadata.cachedContentTokenCount": "kept",
    }),
    "chat to responses": Pair("openai-chat", "openai-responses", replies.CHAT, {
        "two calls, whole: output[].arguments": "clients read JSON in it",
        "reasoning: output[].summary": "a reasoning item has a summary",
        "reasoning: output[].content": "and no text of the assistant",
        "reasoning: output[].role": "the same",
        "invalid arguments: output[].arguments": "the object of all formats",
        "refusal: output[].content": "Codex shows texts alone",
        "filter: status": "there is a text: Codex would ask again",
        "filter: incompleteDetails": "the same",
        "streamed: usage.cost": "a count that OpenAI's replies do not have",
        "streamed: usage.outputTokensDetails.textTokens": "the same",
    }),
}  # fmt: skip


@pytest.fixture(scope="module")
def peer() -> Any:
    if find_spec("litellm") is None:
        pytest.skip("LiteLLM is not installed: make differential")
    import litellm_replies  # takes seconds

    return litellm_replies


@pytest.mark.filterwarnings("ignore")  # LiteLLM's own
@pytest.mark.parametrize("name", PAIRS)
def test_each_difference_is_known(name: str, peer: Any) -> None:
    pair = PAIRS[name]
    compared(pair.known, both(pair, peer))


@pytest.mark.parametrize("name", PAIRS)
def test_each_difference_is_explained(name: str) -> None:
    assert explained(PAIRS[name].known)


@pytest.mark.parametrize("name", PAIRS)
def test_a_stream_says_what_the_whole_reply_says(name: str) -> None:
    pair = PAIRS[name]
    for reply in pair.replies.values():
        streamed = said(pair.client, our_stream(pair, reply))
        assert [] == [*differences(said(pair.client, our_whole(pair, reply)), streamed)]


def both(pair: Pair, peer: Any) -> Iterator[tuple[str, str, Any, Any]]:
    for what, reply in pair.replies.items():
        try:
            theirs = peer.whole(pair.provider, pair.client, json.dumps(reply).encode())
        except ValueError:
            yield what, "whole", {"answered": True}, {"answered": False}
        else:
            yield what, "whole", said(pair.client, our_whole(pair, reply)), said(pair.client, theirs)
        events = peer.events(pair.provider, pair.client, replies.body(replies.streamed(reply)))
        yield (
            what,
            "streamed",
            said(pair.client, our_stream(pair, reply)),
            said(pair.client, gathered(pair.client, events)),
        )


def our_whole(pair: Pair, reply: Json) -> Json:
    sink = hub.sink(hub.read(pair.client, ASKED[pair.client]).reply_options)
    reader, writer = hub.dialect(pair.provider).reply_reader(hub.source()), hub.dialect(pair.client).reply_writer(sink)
    found = whole_reply(reader, writer, json.dumps(reply).encode())
    assert isinstance(found, dict)
    whole: Json = json.loads(b"".join(dump(found)))
    return whole


def our_stream(pair: Pair, reply: Json) -> Json:
    options = hub.read(pair.client, ASKED[pair.client]).reply_options
    out, cut = hub.stream(pair.provider, pair.client, [replies.body(replies.streamed(reply))], options)
    assert not cut
    return gathered(pair.client, data_of(out))
