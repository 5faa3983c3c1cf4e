"""What ampmap and LiteLLM make of the same requests: each difference is known, and tests/README.md explains it."""

from __future__ import annotations

import copy
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, NamedTuple

import hub
import pytest
from corpus import beside
from differing import compared, differences, explained

from ampmap.config.presets import PRESETS
from ampmap.formats.base import Json
from ampmap.formats.profile import Target
from ampmap.formats.registry import FORMATS


class Pair(NamedTuple):
    """A pair of formats, a model of the provider, and how the two requests are known to differ, with reasons.

    Differences are found by their path, or by the name of the request and the path, and all below it is covered.
    """

    client: str
    provider: str
    preset: str
    model: str
    requests: dict[str, Json]
    known: dict[str, str]


_TO_OPENAI = {
    "messages[].role": "instructions have the role developer, not system",
}
PAIRS = {
    "messages_to_chat": Pair("anthropic", "openai-chat", "openai", "gpt-5", beside.MESSAGES, {
        **_TO_OPENAI,
        "parallel calls: messages[].content[]": "an image in a tool's result follows in the user's message",
        "a failed call: messages[].content[].text": "it says Error",
        "messages[].thinkingBlocks": "Claude's thinking is not sent to OpenAI",
        "messages[].reasoningContent": "the same",
        "thinking: reasoningEffort": "none beside tools",
        "forced tool: reasoningEffort": "the same",
        "parallelToolCalls": "disable_parallel_tool_use is kept",
        "responseFormat.jsonSchema.name": "a name of our own where the client gave none",
        "topK": "OpenAI has none",
        "promptCacheKey": "made of the user's id",
        "user": "the same",
    }),
    "responses_to_chat": Pair("openai-responses", "openai-chat", "openai", "gpt-5", beside.RESPONSES, {
        **_TO_OPENAI,
        "promptCacheKey": "kept",
    }),
    "gemini_to_chat": Pair("gemini", "openai-chat", "openai", "gpt-5", beside.GEMINI, {
        **_TO_OPENAI,
        "parallel calls: messages[].toolCalls[].id": "two calls of one tool have two ids",
        "parallel calls: messages[].toolCallId": "the same",
        "parallel calls: messages[].content[].text": "the output of a result, without its wrapping",
        "thinking: reasoningEffort": "made of the thinking budget",
        "forced tool: toolChoice": "the only allowed function is the forced one",
        "responseFormat.jsonSchema.strict": "asked for where the schema is closed",
    }),
    "chat_to_messages": Pair("openai-chat", "anthropic", "anthropic", "claude-sonnet-4-5", beside.CHAT, {
        "cacheControl": "the prompt is cached",
        "system[].cacheControl": "the same",
        "tools[].cacheControl": "the same",
        "outputConfig": "the member of today; the other one wants a beta header",
        "outputFormat": "the same",
        "stop and limits: topP": "left out beside temperature",
        "metadata.userId": "a hash",
    }),
    "chat_to_gemini": Pair("openai-chat", "gemini", "gemini", "gemini-2.5-pro", beside.CHAT, {
        "generationConfig.thinkingConfig.thinkingBudget": "small where the limit is small",
        "no limit: generationConfig.thinkingConfig": "thoughts are shown",
        "contents[].parts[].functionResponse.response": "Google's own word for the result",
        "tools[].functionDeclarations[].parametersJsonSchema": "the schema as it is",
        "tools[].functionDeclarations[].parameters": "the same",
    }),
}  # fmt: skip


@pytest.fixture(scope="module")
def peer() -> Any:
    if find_spec("litellm") is None:
        pytest.skip("LiteLLM is not installed: make differential")
    import litellm_peer  # takes seconds

    return litellm_peer


@pytest.mark.filterwarnings("ignore")  # LiteLLM's own
@pytest.mark.parametrize("name", PAIRS)
def test_each_difference_is_known(name: str, peer: Any) -> None:
    pair = PAIRS[name]
    profile = replace(FORMATS[pair.provider].profile, **PRESETS[pair.preset].profiles.get(pair.provider, {}))
    target = Target(model=pair.model, profile=profile, maker=hub.MAKER)
    compared(
        pair.known,
        (
            (
                what,
                "whole",
                hub.translated(pair.client, pair.provider, request, target),
                getattr(peer, name)(copy.deepcopy(request), pair.model),
            )
            for what, request in pair.requests.items()
        ),
    )


@pytest.mark.parametrize("name", PAIRS)
def test_each_difference_is_explained(name: str) -> None:
    assert explained(PAIRS[name].known)


def test_only_what_a_request_says_is_compared() -> None:
    ours = {
        "messages": [{"content": "a"}],
        "top_p": 1,
        "tool_calls": [{"id": "a", "arguments": '{"b":1}'}, {"id": "b"}],
    }
    same = {"topP": 1, "messages": [{"content": [{"type": "text", "text": "a"}], "name": None}],
            "tool_calls": [{"id": "c", "arguments": '{"b": 1}', "index": 0}, {"id": "d"}]}  # fmt: skip
    assert [] == [*differences(ours, same)]

    other = {**same, "top_p": 2, "tool_calls": [{"id": "c", "arguments": '{"b": 2}'}, {"id": "c"}], "stop": ["x"]}
    del other["topP"]
    paths = {path for path, _ in differences(ours, other)}
    assert {"topP", "toolCalls[].arguments.b", "toolCalls[].id", "stop[]"} == paths
