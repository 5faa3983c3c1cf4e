"""What ampmap and LiteLLM make of the same requests: each difference is known, and tests/README.md explains it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import hub
import pytest
from corpus import beside

from ampmap.config.presets import PRESETS
from ampmap.formats.base import Json
from ampmap.formats.profile import Target
from ampmap.formats.registry import FORMATS

README = Path(__file__).parents[1] / "README.md"


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
    seen: dict[str, str] = {}
    for what, request in pair.requests.items():
        ours = hub.translated(pair.client, pair.provider, request, target)
        theirs = getattr(peer, name)(copy.deepcopy(request), pair.model)
        for path, sides in differences(ours, theirs):
            line = f"{what}: {path}"
            known = next((each for each in pair.known if covers(each, path) or covers(each, line)), line)
            seen.setdefault(known, f"{line}: {sides}")

    new = [seen[path] for path in seen if path not in pair.known]
    assert not new, "ampmap's value, LiteLLM's value:\n" + "\n".join(new)
    assert not pair.known.keys() - seen.keys(), "these differences are gone: delete them here and in tests/README.md"


@pytest.mark.parametrize("name", PAIRS)
def test_each_difference_is_explained(name: str) -> None:
    [section] = re.findall(r"^## Beside LiteLLM\n(.*?)(?=^## |\Z)", README.read_text(), re.M | re.S)
    explained = {camel(word) for code in re.findall(r"`([^`]+)`", section) for word in re.findall(r"\w+", code)}

    assert not {re.findall(r"\w+", path)[-1] for path in PAIRS[name].known} - explained


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


def covers(known: str, path: str) -> bool:
    return path == known or path.startswith((f"{known}.", f"{known}["))


def differences(ours: Any, theirs: Any) -> Iterator[tuple[str, str]]:
    """Yield the paths, without indices, at which two requests differ, and their values."""
    left, right = (dict(leaves(plain(side, {}))) for side in (ours, theirs))
    for path in [*left, *(right.keys() - left.keys())]:
        if left.get(path) != right.get(path):
            yield re.sub(r"\[\d+\]", "[]", path), f"{left.get(path)!r}, {right.get(path)!r}"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for at, each in enumerate(value):
            yield from leaves(each, f"{path}[{at}]")
    else:
        yield path, value


def plain(value: Any, ids: dict[str, str], key: str = "") -> Any:
    """Return a value in the spelling that both sides have in common: what it says stays."""
    if isinstance(value, dict):
        known = {camel(name): plain(each, ids, camel(name)) for name, each in value.items() if each is not None}
        return {name: each for name, each in known.items() if (name, each) not in DEFAULTS}
    if isinstance(value, list):
        return [plain(each, ids) for each in value]
    if key == "content" and isinstance(value, str):
        return [{"type": "text", "text": value}]
    if key == "arguments":
        return json.loads(value)
    if key in ("id", "toolCallId"):
        return ids.setdefault(value, f"id {len(ids)}")
    return value


DEFAULTS = [("stream", False), ("detail", "auto"), ("strict", False), ("type", "custom"), ("index", 0)]
"""Members that say what their absence says, too."""


def camel(name: str) -> str:
    """Google takes both spellings."""
    return re.sub(r"(?<=[a-z])_([a-z])", lambda found: found[1].upper(), name)
