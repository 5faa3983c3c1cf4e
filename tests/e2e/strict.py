"""What a vendor would refuse in a request, and what it would not notice but should: pure functions of the request.

A complaint is a line. Fields that the vendor's reference does not name, turns in an order that it refuses, calls and
results that do not belong together, and ids that ``replies`` has not given out are complaints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from .asks import Format
from .gemini_spelling import camel
from .replies import NO_SIGNATURE, SIGNATURE

Body = dict[str, Any]

_FIELDS: dict[Format, str] = {
    # platform.claude.com/docs/en/api/messages/create, with the betas of Claude Code
    "anthropic": "model messages system tools tool_choice max_tokens metadata stop_sequences stream temperature top_p"
    " top_k thinking service_tier container context_management mcp_servers output_config cache_control inference_geo",
    # platform.openai.com/docs/api-reference/chat/create
    "openai-chat": "model messages tools tool_choice parallel_tool_calls stream stream_options temperature top_p"
    " max_completion_tokens max_tokens n stop presence_penalty frequency_penalty logit_bias logprobs top_logprobs"
    " response_format seed user metadata store reasoning_effort verbosity service_tier prediction modalities audio"
    " web_search_options prompt_cache_key prompt_cache_retention safety_identifier",
    # platform.openai.com/docs/api-reference/responses/create; the last one is Codex's
    "openai-responses": "model input instructions tools tool_choice parallel_tool_calls stream stream_options store"
    " include reasoning text temperature top_p max_output_tokens max_tool_calls metadata previous_response_id prompt"
    " prompt_cache_key prompt_cache_retention safety_identifier service_tier truncation user background top_logprobs"
    " conversation context_management client_metadata",
    # ai.google.dev/api/generate-content; the last one is LiteLLM's, a member of the same message beside the path
    "gemini": "contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent labels"
    " serviceTier store model",
}
_NAME = re.compile(r"[a-zA-Z0-9_.:-]{1,128}")
# ai.google.dev/api/caching#Schema: ``parameters`` takes these alone; ``parametersJsonSchema`` takes any.
_GEMINI_SCHEMA = frozenset(
    "type format title description nullable enum maxItems minItems properties required minProperties maxProperties"
    " minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum".split()
)
_CALL_IDS: dict[Format, str] = {"anthropic": "toolu_1", "openai-chat": "call_1", "openai-responses": "call_1"}
_ITEM_IDS = {"message": "msg_1", "function_call": "fc_1", "custom_tool_call": "ctc_1"}


def complaints(wire: Format, headers: dict[str, str], body: bytes) -> list[str]:
    """Return what is wrong with a request; ``headers`` have their names in lower case."""
    try:
        asked = camel(json.loads(body)) if wire == "gemini" else json.loads(body)
        found = [f"unknown field {name!r}" for name in asked if name not in _FIELDS[wire].split()]
        return [*found, *_CHECKS[wire](asked, headers)]
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        return [f"it has not the form of {wire}: {exc!r}"]


def _tools(names: list[str], schemas: list[Any], choice: object) -> Iterator[str]:
    yield from (f"the tool's name {name!r} is none" for name in names if not _NAME.fullmatch(name))
    if len(set(names)) < len(names):
        yield f"two tools of one name: {names}"
    yield from (f"the schema of a tool is no object's: {each}" for each in schemas if each.get("type") != "object")
    if choice is not None and not names:
        yield "a tool_choice without tools"


def _is_own(id_: str, own: str) -> bool:
    """Tell whether an id is the stand-in's only one; of two calls with it ampmap gives the second one a number."""
    return re.fullmatch(rf"{own}(-\d+)?", id_) is not None


def _pairs(calls: list[str], results: list[str], wire: Format) -> Iterator[str]:
    """Compare the ids of a turn's calls with those of the results right after it."""
    if sorted(calls) != sorted(results):
        yield f"calls {calls} are followed by results of {results}"
    yield from (f"a foreign id: {each!r}" for each in (*calls, *results) if not _is_own(each, _CALL_IDS[wire]))


def _anthropic(asked: Body, headers: dict[str, str]) -> Iterator[str]:
    if "anthropic-version" not in headers:
        yield "no anthropic-version"
    if not isinstance(asked["max_tokens"], int) or asked["max_tokens"] < 1:
        yield "max_tokens is no positive number"
    tools = asked.get("tools", [])
    own = [tool for tool in tools if "input_schema" in tool]
    yield from _tools(
        [tool["name"] for tool in tools], [tool["input_schema"] for tool in own], asked.get("tool_choice")
    )
    if len(re.findall(r'"cache_control": ', json.dumps(asked))) > 4:
        yield "more than four cache_control"
    turns = [(turn["role"], _blocks(turn["content"])) for turn in asked["messages"]]
    if "mid-conversation-system" not in headers.get("anthropic-beta", "") and any(
        role == "system" for role, _ in turns
    ):
        yield "a message of role system"
    turns = [(role, blocks) for role, blocks in turns if role != "system"]
    if [role for role, _ in turns[:1]] != ["user"]:
        yield "the first turn is not the user's"
    calls: list[str] = []
    for role, blocks in turns:
        kinds = [block["type"] for block in blocks]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if results and kinds[: len(results)] != ["tool_result"] * len(results):
            yield f"results come after other blocks: {kinds}"
        if results and role != "user":
            yield f"results of {role}"
        if calls or results:
            yield from _pairs(calls, results, "anthropic")
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        for block in blocks:
            if block["type"] == "text" and not block["text"].strip():
                yield "an empty text block"
            if block["type"] == "tool_use" and not isinstance(block["input"], dict):
                yield "the input of a call is no object"
            if block["type"] in ("thinking", "redacted_thinking") and block.get("signature") != SIGNATURE:
                yield "thinking that was never thought here"
        if not blocks:
            yield "a turn without content"
    if calls:
        yield "the last calls have no results"
    if turns and turns[-1][1] and turns[-1][1][-1]["type"] in ("thinking", "redacted_thinking"):
        yield "the last turn ends with thinking"


def _blocks(content: str | list[Body]) -> list[Body]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _chat(asked: Body, headers: dict[str, str]) -> Iterator[str]:
    if "max_tokens" in asked and "max_completion_tokens" in asked:
        yield "both max_tokens and max_completion_tokens"
    if "stream_options" in asked and not asked.get("stream"):
        yield "stream_options without stream"
    functions = [tool["function"] for tool in asked.get("tools", [])]
    schemas = [function.get("parameters") or {"type": "object"} for function in functions]
    yield from _tools([function["name"] for function in functions], schemas, asked.get("tool_choice"))
    if "parallel_tool_calls" in asked and not functions:
        yield "parallel_tool_calls without tools"
    waiting: list[str] = []
    answered: list[str] = []
    for turn in asked["messages"]:
        role, content = turn["role"], turn.get("content")
        yield from (
            f"unknown field {name!r} in a message of {role}"
            for name in turn
            if name not in ("role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio")
        )
        if role == "tool":
            answered.append(turn["tool_call_id"])
        else:
            if waiting or answered:
                yield from _pairs(waiting, answered, "openai-chat")
            waiting, answered = [], []
        if role not in ("system", "developer", "user", "assistant", "tool"):
            yield f"the role {role!r}"
        if not content and not turn.get("tool_calls"):
            yield f"a message of {role} without content"
        if isinstance(content, list):
            allowed = ("text", "image_url", "input_audio", "file") if role == "user" else ("text",)
            yield from (f"a {part['type']} part of {role}" for part in content if part["type"] not in allowed)
        for call in turn.get("tool_calls", ()):
            waiting.append(call["id"])
            if set(call) != {"id", "type", "function"} or not isinstance(
                json.loads(call["function"]["arguments"]), dict
            ):
                yield f"a call of another form: {call}"
    if waiting or answered:
        yield from _pairs(waiting, answered, "openai-chat")


def _responses(asked: Body, headers: dict[str, str]) -> Iterator[str]:
    items = asked["input"] if isinstance(asked["input"], list) else []
    offered = [*asked.get("tools", []), *(tool for item in items for tool in item.get("tools", []))]
    offered = [each for tool in offered for each in (tool["tools"] if tool["type"] == "namespace" else [tool])]
    functions = [tool for tool in offered if tool["type"] == "function"]
    yield from _tools([tool["name"] for tool in functions], [tool["parameters"] for tool in functions], None)
    calls: list[str] = []
    for item in items:
        kind = item.get("type", "message")
        given = item.get("id")
        is_reply = kind in ("function_call", "custom_tool_call") or item.get("role") == "assistant"
        if is_reply and given is not None and given != _ITEM_IDS.get(kind):  # other items are the client's own
            yield f"a foreign id of an item: {given!r}"
        if kind == "message":
            said = (
                ("output_text", "refusal")
                if item["role"] == "assistant"
                else ("input_text", "input_image", "input_file")
            )
            parts = [] if isinstance(item["content"], str) else item["content"]
            yield from (f"a {part['type']} part of {item['role']}" for part in parts if part["type"] not in said)
        elif kind in ("function_call", "custom_tool_call"):
            calls.append(item["call_id"])
            if kind == "function_call" and not isinstance(json.loads(item["arguments"]), dict):
                yield "the arguments of a call are no object"
        elif kind in ("function_call_output", "custom_tool_call_output"):
            yield from _pairs(calls[:1], [item["call_id"]], "openai-responses")
            calls = calls[1:]
        elif kind != "additional_tools":
            yield f"an item of the type {kind!r}"
    if calls:
        yield f"calls without results: {calls}"


def _gemini(asked: Body, headers: dict[str, str]) -> Iterator[str]:
    declared = [each for tool in asked.get("tools", []) for each in tool.get("functionDeclarations", [])]
    schemas = [each.get("parametersJsonSchema") or each.get("parameters") or {"type": "object"} for each in declared]
    lower = [{**schema, "type": str(schema.get("type")).lower()} for schema in schemas]
    yield from _tools([each["name"] for each in declared], lower, None)
    for each in declared:
        yield from _gemini_schema(each.get("parameters", {}))
    calls: list[str] = []
    turns: list[Body] = []
    for turn in asked["contents"]:  # Google's SDK brings each chunk back as a turn
        if turns and turn.get("role") == turns[-1]["role"] == "model":
            turns[-1]["parts"] = [*turns[-1]["parts"], *turn["parts"]]
        else:
            turns.append(dict(turn))
    for number, turn in enumerate(turns):
        parts = turn["parts"]
        if turn.get("role") not in ("user", "model") or not parts:
            yield f"a turn of {turn.get('role')!r} with {len(parts)} parts"
        if number == 0 and turn["role"] != "user":
            yield "the first turn is not the user's"
        results = [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]
        if (calls or results) and calls != results:
            yield f"calls of {calls} are followed by results of {results}"
        made = [part for part in parts if "functionCall" in part]
        calls = [part["functionCall"]["name"] for part in made]
        named = [part.get("functionCall") or part.get("functionResponse") or {} for part in parts]
        yield from (
            f"a foreign id: {each['id']!r}" for each in named if not _is_own(each.get("id", "call-1"), "call-1")
        )
        if made and made[0].get("thoughtSignature") not in (SIGNATURE, NO_SIGNATURE):
            yield f"the first call has not its signature: {made[0].get('thoughtSignature')!r}"
        yield from (f"a part of no kind: {part}" for part in parts if not {*part} - {"thought", "thoughtSignature"})
    if calls:
        yield f"calls without results: {calls}"


def _gemini_schema(schema: Any) -> Iterator[str]:
    yield from (f"no field of Gemini's schemas: {name!r}" for name in schema if name not in _GEMINI_SCHEMA)
    for each in [
        *schema.get("properties", {}).values(),
        *schema.get("anyOf", []),
        *filter(None, [schema.get("items")]),
    ]:
        yield from _gemini_schema(each)


_CHECKS: dict[Format, Callable[[Body, dict[str, str]], Iterator[str]]] = {
    "anthropic": _anthropic,
    "openai-chat": _chat,
    "openai-responses": _responses,
    "gemini": _gemini,
}
