"""A chat server's view of a request, as strict as the strictest: an unknown member or a wrong order is an error."""

from __future__ import annotations

import json
import re
from typing import Any

from ampmap.formats.profile import UNKNOWN, Profile

_TOP = {
    "model", "messages", "tools", "tool_choice", "temperature", "top_p", "seed", "presence_penalty",
    "frequency_penalty", "stop", "stream", "response_format",
}  # fmt: skip
_BY_PROFILE = (
    "max_tokens_key", "thinking_switch",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def check(body: Any, profile: Profile = UNKNOWN) -> None:
    """Fail where a strict server of a profile would refuse a request."""
    allowed = _TOP | {getattr(profile, key) for key in _BY_PROFILE}
    for key, taken in (
        ("parallel_tool_calls", profile.parallel_tool_calls), ("stream_options", profile.stream_usage),
        ("reasoning_effort", bool(profile.effort)), ("top_k", profile.top_k), ("verbosity", profile.verbosity),
        ("prompt_cache_key", profile.prompt_cache_key), ("web_search_options", profile.web_search),
        ("cache_control", profile.cache_control),
        ("continue_final_message", profile.prefill == "continue_final_message"),
        ("add_generation_prompt", profile.prefill == "continue_final_message"),
    ):  # fmt: skip
        if taken:
            allowed.add(key)
    assert not body.keys() - allowed, body.keys() - allowed
    assert "stream_options" not in body or body["stream"] is True
    assert len(body.get("stop", ())) <= profile.stop_max
    if "tools" not in body:
        assert not {"tool_choice", "parallel_tool_calls"} & body.keys()
    for tool in body.get("tools", ()):
        _tool(tool, profile)
    _messages(body["messages"], profile)


def _tool(tool: Any, profile: Profile) -> None:
    marks = {"cache_control"} if profile.cache_control else set()
    kind = tool["type"]
    assert tool.keys() - marks == {"type", kind}
    function = tool[kind]
    assert _NAME.fullmatch(function["name"]) and len(function["name"]) <= profile.tool_name_max
    if kind == "custom":
        assert profile.custom_tools and function.keys() <= {"name", "description", "format"}
        return
    assert kind == "function"
    assert function.keys() <= {"name", "description", "parameters", "strict"}
    assert "strict" not in function or profile.strict_schemas
    assert function["parameters"]["type"] == "object"
    _schema(function["parameters"])


def _schema(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            assert isinstance(schema.get("properties"), dict), schema
        for key, value in schema.items():
            if key in ("properties", "$defs"):
                for each in value.values():
                    _schema(each)
            elif key in ("items", "anyOf", "oneOf", "allOf", "additionalProperties"):
                for each in value if isinstance(value, list) else [value]:
                    _schema(each)


def _messages(messages: list[Any], profile: Profile) -> None:
    assert messages
    system = "developer" if profile.developer_role else "system"
    open_ids: list[str] = []
    last = ""
    for at, message in enumerate(messages):
        role = message["role"]
        assert role in (system, "user", "assistant", "tool")
        if role == system:
            assert at == 0 or profile.mid_system == "keep"
            assert message.keys() == {"role", "content"}
            _content(message["content"], profile, {"text"})
        elif role == "user":
            assert last != "user", "two user messages"
            assert message.keys() == {"role", "content"}
            _content(message["content"], profile, {"text", "image_url", "file", "input_audio"})
        elif role == "tool":
            assert last in ("assistant", "tool"), "a tool message behind something else"
            assert message.keys() == {"role", "tool_call_id", "content"}
            assert message["tool_call_id"] in open_ids, "a result of no call"
            open_ids.remove(message["tool_call_id"])
            if message["content"] != "":
                kinds = {"text", "image_url", "file"} if profile.tool_content_parts else {"text"}
                _content(message["content"], profile, kinds)
        else:
            assert last != "assistant", "two assistant messages"
            open_ids = _assistant(message, profile)
        last = role


def _assistant(message: Any, profile: Profile) -> list[str]:
    allowed = {"role", "content", "tool_calls"}
    if profile.reasoning_field:
        allowed |= {profile.reasoning_field}
        allowed |= {"reasoning"} if profile.reasoning_field == "reasoning_details" else set()
    if profile.prefill == "prefix":
        allowed |= {"prefix"}
    assert message.keys() <= allowed, message.keys() - allowed
    assert isinstance(message["content"], str) or (message["content"] is None and message["tool_calls"])
    ids = []
    for call in message.get("tool_calls", ()):
        assert call.keys() - {"extra_content"} == {"id", "type", call["type"]}
        assert call["type"] == "function" or profile.custom_tools
        assert 0 < len(call["id"]) <= profile.tool_id_max
        if profile.tool_id == "nine":
            assert re.fullmatch("[A-Za-z0-9]{9}", call["id"])
        assert _NAME.fullmatch(call[call["type"]]["name"])
        if call["type"] == "function":
            assert call["function"].keys() == {"name", "arguments"}
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
        ids.append(call["id"])
    assert len(set(ids)) == len(ids)
    return ids


def _content(content: Any, profile: Profile, kinds: set[str]) -> None:
    if isinstance(content, str):
        assert content.strip(), "an empty text"
        return
    marks = {"cache_control"} if profile.cache_control else set()
    assert content
    for part in content:
        assert part["type"] in kinds, part["type"]
        assert part.keys() - marks == {"type", part["type"]}
        if part["type"] == "text":
            assert part["text"].strip(), "an empty text"
        elif part["type"] == "file":
            assert profile.files
        elif part["type"] == "image_url":
            assert profile.images and part["image_url"]["url"]
