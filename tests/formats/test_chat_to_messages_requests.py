"""A chat client's request at a provider of Messages: golden bodies, and the order that Anthropic demands."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import hub
import pytest

from ampmap.formats.profile import Target
from ampmap.formats.registry import FORMATS

_CLAUDE = replace(FORMATS["anthropic"].profile, files=True, web_search=True)
_PNG = "iVBORw0KGgo="
_USER = {"role": "user", "content": "x"}
_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def call(id: str, name: str = "f", arguments: str = "{}") -> Any:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def translated(messages: Any = None, *, model: str = "claude-sonnet-4-5", **more: Any) -> Any:
    """Return the body for Claude, which keeps the order that the API demands."""
    conversation = hub.read("openai-chat", {"model": "m", "messages": messages or [_USER], **more})
    target = Target(model=model, profile=_CLAUDE, maker=hub.MAKER)
    body = hub.body(hub.write("anthropic", conversation, target))
    check(body)
    return body


def check(body: Any) -> None:
    """Fail where Anthropic would refuse a request."""
    assert isinstance(body["max_tokens"], int)
    last, open_ids, seen = "", set[str](), set[str]()
    for message in body["messages"]:
        assert message["role"] != last
        last = message["role"]
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        assert blocks
        kinds = [block["type"] for block in blocks]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert kinds[: len(results)] == ["tool_result"] * len(results), "results come first"
        assert set(results) == open_ids and len(set(results)) == len(results)
        ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert not seen & set(ids) and len(set(ids)) == len(ids)
        seen |= set(ids)
        open_ids = set(ids)
        for block in blocks:
            if block["type"] == "text":
                assert block["text"].strip(), "an empty text"
            elif block["type"] == "tool_use":
                assert isinstance(block["input"], dict)
            elif block["type"] == "thinking":
                assert block["signature"]
    assert last == "user"
    assert json.dumps(body).count('"cache_control"') <= 4
    assert "ampmap1" not in json.dumps(body)


def test_a_whole_conversation() -> None:
    body = translated(
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{_PNG}"}},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "JVBERi0xLjQ="}},
            ]},
            {"role": "assistant", "content": "", "tool_calls": [call("a.1", "f", '{"x": 1.0}'), call("b", "g", "")]},
            {"role": "tool", "tool_call_id": "b", "content": "rb"},
            {"role": "tool", "tool_call_id": "a.1", "content": [{"type": "text", "text": "ra"}]},
            {"role": "user", "content": "go on"},
        ],
        tools=[_TOOL, {"type": "function", "function": {"name": "g"}}], tool_choice="auto",
        parallel_tool_calls=False, max_completion_tokens=100, stop="END", stream=True,
    )  # fmt: skip
    id = body["messages"][1]["content"][0]["id"]
    assert body == {
        "model": "claude-sonnet-4-5", "max_tokens": 100, "stream": True, "stop_sequences": ["END"],
        "cache_control": {"type": "ephemeral"},
        "system": [
            {"type": "text", "text": "Be brief."},
            {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}},
        ],
        "tools": [
            {"name": "f", "input_schema": {"type": "object", "properties": {}}},
            {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Look"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PNG}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "document", "title": "a.pdf",
                 "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="}},
            ]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": id, "name": "f", "input": {"x": 1.0}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": id, "content": "ra"},
                {"type": "tool_result", "tool_use_id": "b", "content": "rb"},
                {"type": "text", "text": "go on"},
            ]},
        ],
    }  # fmt: skip


def test_later_system_texts_stay_where_they_are() -> None:
    messages = [_USER, {"role": "system", "content": "hint"}]
    body = translated(messages)
    assert "system" not in body
    assert [block["text"] for block in body["messages"][0]["content"]] == [
        "x", "<system-reminder>\nhint\n</system-reminder>",
    ]  # fmt: skip


def test_a_trailing_assistant_is_no_prefill() -> None:
    body = translated([_USER, {"role": "assistant", "content": "A"}], model="claude-opus-5")
    assert body["messages"][-1] == {"role": "user", "content": [{"type": "text", "text": "Continue."}]}


def test_system_messages_alone_are_asked_by_the_user() -> None:
    body = translated([{"role": "system", "content": "x"}])

    assert "system" not in body
    assert [{"type": "text", "text": "x"}] == body["messages"][0]["content"]


@pytest.mark.parametrize("reply", ["", "   ", None, []])
def test_an_empty_assistant_vanishes(reply: Any) -> None:
    body = translated([_USER, {"role": "assistant", "content": reply}, {"role": "user", "content": "y"}])
    assert [block["text"] for block in body["messages"][0]["content"]] == ["x", "y"]


def test_the_older_functions() -> None:
    body = translated(
        [
            _USER, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
            {"role": "function", "name": "f", "content": "r"},
        ],
        functions=[_TOOL["function"]], function_call={"name": "f"},
    )  # fmt: skip
    use = body["messages"][1]["content"][0]
    assert use["input"] == {"a": 1} and body["messages"][2]["content"][0]["tool_use_id"] == use["id"]
    assert body["tool_choice"] == {"type": "tool", "name": "f", "disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("required", {"type": "any"}), ("none", {"type": "none"}), ("auto", {"type": "auto"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)  # fmt: skip
def test_a_choice(choice: Any, sent: Any) -> None:
    body = translated(tools=[_TOOL], tool_choice=choice)
    assert body["tool_choice"] == sent and len(body["tools"]) == 1


def test_invalid_arguments_stay_visible() -> None:
    body = translated([
        _USER, {"role": "assistant", "content": None, "tool_calls": [call("a", "f", "oops"), call("b", "f", '"{}"')]},
        {"role": "tool", "tool_call_id": "a", "content": "r"}, {"role": "tool", "tool_call_id": "b", "content": "r"},
    ])  # fmt: skip
    assert [block["input"] for block in body["messages"][1]["content"]] == [{"_invalid_arguments": "oops"}, {}]


def test_one_id_used_twice() -> None:
    asked = [
        {"role": "assistant", "content": None, "tool_calls": [call("a")]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
    ]
    body = translated([_USER, *asked, *asked])
    assert [block["tool_use_id"] for message in body["messages"] for block in message["content"]
            if block["type"] == "tool_result"] == ["a", "a-2"]  # fmt: skip


@pytest.mark.parametrize(
    "reasoning",
    [
        {"reasoning_content": "hm"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": ""}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm", "format": "openai-responses-v1"}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "ampmap1.broken"}]},
    ],
)
def test_reasoning_that_is_not_claudes_own_vanishes(reasoning: Any) -> None:
    body = translated([_USER, {"role": "assistant", "content": "A", **reasoning}, {"role": "user", "content": "y"}])
    assert [block["type"] for block in body["messages"][1]["content"]] == ["text"]


def test_a_clients_own_cache_marks_are_the_only_ones() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    content = [{"type": "text", "text": "a", **mark}, {"type": "text", "text": "b"}]
    body = translated([{"role": "system", "content": "s"}, {"role": "user", "content": content}])
    assert json.dumps(body).count("cache_control") == 1
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}


def test_the_prompt_of_one_turn_begins_that_of_the_next() -> None:
    messages: list[Any] = [{"role": "system", "content": "s"}, _USER]
    last = ""
    for turn in range(6):
        calls = [call(f"{turn}-{at}", "f", '{"n": 1}') for at in range(turn % 3)]
        said: dict[str, Any] = {"role": "assistant", "content": f"A{turn}", "reasoning_content": "hm"}
        messages += [{**said, "tool_calls": calls} if calls else said]
        messages += [{"role": "tool", "tool_call_id": each["id"], "content": "r"} for each in calls]
        messages += [{"role": "system", "content": "hint"}] if turn == 3 else []
        messages += [] if calls else [{"role": "user", "content": "y"}]
        found = json.dumps(translated(messages)["messages"])[:-1]
        assert found.startswith(last)
        last = found
