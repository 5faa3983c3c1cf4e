"""Requests in all four formats that other translators know, too: one feature each."""

from __future__ import annotations

import json
from typing import Any

from ampmap.formats.base import Json

from .messages_requests import MARK, PARALLEL, PNG, TITLE, assistant, call, image, result, text, tool, user

_SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_DATA_URL = f"data:image/png;base64,{PNG}"
_WEB_URL = "https://example.com/a.png"
_BRIEF = {"role": "user", "content": "Where is it?"}


def _messages(*said: Json, **members: Any) -> Json:
    return {"model": "claude-opus-4-8", "max_tokens": 1000, "messages": [*said] or [user("Where is it?")], **members}


def _chat(*said: Json, **members: Any) -> Json:
    return {"model": "gpt-5", "messages": [*said] or [_BRIEF], **members}


def _responses(*said: Json, **members: Any) -> Json:
    return {"model": "gpt-5", "input": [*said] or "Where is it?", **members}


def _gemini(*said: Json, **members: Any) -> Json:
    return {"contents": [*said] or [{"role": "user", "parts": [{"text": "Where is it?"}]}], **members}


def _function(name: str) -> Json:
    return {"name": name, "description": f"The tool {name}.", "parameters": _SCHEMA}


def _called(id_: str, city: str) -> Json:
    function = {"name": "weather", "arguments": json.dumps({"city": city})}
    return {"id": id_, "type": "function", "function": function}


_TOOL = {**tool("weather"), "input_schema": _SCHEMA}
_CHAT_TOOL = {"type": "function", "function": _function("weather")}
_RESPONSES_TOOL = {"type": "function", **_function("weather"), "strict": False}
_GEMINI_TOOL = {"functionDeclarations": [{**_function("weather"), "parameters": {**_SCHEMA}}]}
del _GEMINI_TOOL["functionDeclarations"][0]["parameters"]["additionalProperties"]  # Gemini's own dialect has none

MESSAGES: dict[str, Json] = {
    "text and system": _messages(system=[text("Be brief.", **MARK)]),
    "conversation": _messages(user("Hello"), assistant("Hello."), user(text("Where"), text("is it?"))),
    "images": _messages(
        user(text("What is it?"), image(), {"type": "image", "source": {"type": "url", "url": _WEB_URL}})
    ),
    "parallel calls": {**PARALLEL, "model": "claude-opus-4-8"},
    "a failed call": _messages(
        user("Go"), assistant(call("toolu_a", "weather")), user(result("toolu_a", "no city", is_error=True)),
        tools=[_TOOL],
    ),
    "thinking": _messages(
        user("Go"),
        assistant({"type": "thinking", "thinking": "I look.", "signature": "c2ln"}, call("toolu_a", "weather")),
        user(result("toolu_a", "rain")),
        tools=[_TOOL], thinking={"type": "enabled", "budget_tokens": 4000}, max_tokens=8000,
    ),
    "forced tool": TITLE,
    "any tool": _messages(tools=[_TOOL], tool_choice={"type": "any"}),
    "no tool": _messages(tools=[_TOOL], tool_choice={"type": "none"}),
    "structured output": _messages(output_config={"format": {"type": "json_schema", "schema": _SCHEMA}}),
    "stop and limits": _messages(stop_sequences=["END"], temperature=0.5, top_p=0.9, top_k=20),
    "stream": _messages(stream=True, metadata={"user_id": "a-user"}),
}  # fmt: skip

CHAT: dict[str, Json] = {
    "text and system": _chat({"role": "system", "content": "Be brief."}, _BRIEF, max_tokens=1000),
    "conversation": _chat(
        {"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello."}, {"role": "user", "content": [{"type": "text", "text": "Where?"}]},
        max_tokens=1000,
    ),
    "images": _chat(
        {"role": "user", "content": [
            {"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": _DATA_URL}}]},
        max_tokens=1000,
    ),
    "parallel calls": _chat(
        _BRIEF,
        {"role": "assistant", "content": "Looking.",
         "tool_calls": [_called("call_a", "Oslo"), _called("call_b", "Rome")]},
        {"role": "tool", "tool_call_id": "call_a", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_b", "content": "sun"},
        {"role": "user", "content": "And?"},
        tools=[_CHAT_TOOL], max_tokens=1000,
    ),
    "thinking": _chat(reasoning_effort="low", max_tokens=8000),
    "forced tool": _chat(
        tools=[_CHAT_TOOL], tool_choice={"type": "function", "function": {"name": "weather"}},
        parallel_tool_calls=False, max_tokens=1000,
    ),
    "any tool": _chat(tools=[_CHAT_TOOL], tool_choice="required", max_tokens=1000),
    "no tool": _chat(tools=[_CHAT_TOOL], tool_choice="none", max_tokens=1000),
    "structured output": _chat(
        response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": _SCHEMA, "strict": True}},
        max_tokens=1000,
    ),
    "stop and limits": _chat(stop=["END"], temperature=0.5, top_p=0.9, max_completion_tokens=500),
    "stop as a string": _chat(stop="END", max_tokens=1000),
    "no limit": _chat(user="a-user"),
}  # fmt: skip

RESPONSES: dict[str, Json] = {
    "text and system": _responses(instructions="Be brief."),
    "conversation": _responses(
        {"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "Where?"}]},
    ),
    "images": _responses(
        {"role": "user", "content": [
            {"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": _DATA_URL}]},
    ),
    "parallel calls": _responses(
        {"role": "user", "content": "Where?"},
        {"type": "function_call", "call_id": "call_a", "name": "weather", "arguments": '{"city":"Oslo"}'},
        {"type": "function_call", "call_id": "call_b", "name": "weather", "arguments": '{"city":"Rome"}'},
        {"type": "function_call_output", "call_id": "call_a", "output": "rain"},
        {"type": "function_call_output", "call_id": "call_b", "output": "sun"},
        tools=[_RESPONSES_TOOL],
    ),
    "thinking": _responses(reasoning={"effort": "low"}),
    "forced tool": _responses(
        tools=[_RESPONSES_TOOL], tool_choice={"type": "function", "name": "weather"}, parallel_tool_calls=False
    ),
    "any tool": _responses(tools=[_RESPONSES_TOOL], tool_choice="required"),
    "structured output": _responses(
        text={"format": {"type": "json_schema", "name": "place", "schema": _SCHEMA, "strict": True}}
    ),
    "stop and limits": _responses(temperature=0.5, top_p=0.9, max_output_tokens=500),
    "stream": _responses(stream=True, store=False, prompt_cache_key="a-key"),
}  # fmt: skip

GEMINI: dict[str, Json] = {
    "text and system": _gemini(systemInstruction={"parts": [{"text": "Be brief."}]}),
    "conversation": _gemini(
        {"role": "user", "parts": [{"text": "Hello"}]}, {"role": "model", "parts": [{"text": "Hello."}]},
        {"role": "user", "parts": [{"text": "Where?"}]},
    ),
    "images": _gemini(
        {"role": "user", "parts": [
            {"text": "What is it?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
    ),
    "parallel calls": _gemini(
        {"role": "user", "parts": [{"text": "Where?"}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
            {"functionCall": {"name": "weather", "args": {"city": "Rome"}}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "weather", "response": {"output": "rain"}}},
            {"functionResponse": {"name": "weather", "response": {"output": "sun"}}}]},
        tools=[_GEMINI_TOOL],
    ),
    "thinking": _gemini(generationConfig={"thinkingConfig": {"thinkingBudget": 4000}}),
    "forced tool": _gemini(
        tools=[_GEMINI_TOOL],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
    ),
    "any tool": _gemini(tools=[_GEMINI_TOOL], toolConfig={"functionCallingConfig": {"mode": "ANY"}}),
    "no tool": _gemini(tools=[_GEMINI_TOOL], toolConfig={"functionCallingConfig": {"mode": "NONE"}}),
    "structured output": _gemini(
        generationConfig={"responseMimeType": "application/json", "responseJsonSchema": _SCHEMA}
    ),
    "stop and limits": _gemini(
        generationConfig={"stopSequences": ["END"], "temperature": 0.5, "topP": 0.9, "maxOutputTokens": 500}
    ),
}  # fmt: skip
