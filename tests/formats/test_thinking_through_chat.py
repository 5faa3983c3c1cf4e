"""Reasoning of a chat server goes through Messages and comes back as it was, over several turns, to its maker alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import hub
import pytest
import strict_chat

from ampmap.bodies.texts import dump
from ampmap.formats import translate
from ampmap.formats.profile import Profile
from ampmap.formats.registry import FORMATS

_TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
_CALLS = [
    {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    {"index": 1, "id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
]
_DEEPSEEK = Profile(reasoning_field="reasoning_content")
_OPENROUTER = Profile(reasoning_field="reasoning_details")
_DETAILS = [
    {"type": "reasoning.text", "text": "hm", "signature": "SIG", "format": "anthropic-claude-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "XYZ", "format": "anthropic-claude-v1", "index": 1},
]


def reply(message: Any) -> bytes:
    return json.dumps({"id": "r", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": _CALLS, **message},
         "finish_reason": "tool_calls"}]}).encode()  # fmt: skip


def turn(messages: list[Any], profile: Profile, answer: bytes, maker: str = hub.MAKER) -> Any:
    """Let a client of Messages ask a chat server; return what the server got, and add the reply and its results."""
    conversation = hub.read("anthropic", {"max_tokens": 9, "messages": messages, "tools": [_TOOL]})
    target = replace(hub.target(profile), maker=maker)
    body = hub.body(hub.write("openai-chat", conversation, target))
    strict_chat.check(body, profile)
    source = replace(hub.source(), target=target)
    found = translate.whole_reply(
        hub.dialect("openai-chat").reply_reader(source), hub.dialect("anthropic").reply_writer(hub.sink(())), answer
    )
    assert isinstance(found, dict)
    said = json.loads(b"".join(dump(found)))
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "r"}
        for block in said["content"]
        if block["type"] == "tool_use"
    ]
    messages += [{"role": "assistant", "content": said["content"]}, {"role": "user", "content": results}]
    return body["messages"]


def three_turns(profile: Profile, answer: bytes) -> list[Any]:
    """Return the assistant's messages that the server gets with its third turn; each request begins as the last."""
    messages: list[Any] = [{"role": "user", "content": "x"}]
    last: list[Any] = []
    for _ in range(3):
        got = turn(messages, profile, answer)
        assert got[: len(last)] == last
        last = got
    return [message for message in last if message["role"] == "assistant"]


def test_deepseek_gets_its_words_back() -> None:
    assistants = three_turns(_DEEPSEEK, reply({"reasoning_content": "hm"}))
    assert [message["reasoning_content"] for message in assistants] == ["hm", "hm"]


def test_openrouter_gets_its_details_back() -> None:
    assistants = three_turns(_OPENROUTER, reply({"reasoning": "hm", "reasoning_details": _DETAILS}))
    for message in assistants:
        assert sorted(message["reasoning_details"], key=lambda entry: entry["index"]) == _DETAILS


def test_google_gets_its_signature_back_on_the_call_that_had_it() -> None:
    google = {"google": {"thought_signature": "c2ln"}}
    answer = reply({"tool_calls": [{**_CALLS[0], "extra_content": google}, _CALLS[1]]})
    for message in three_turns(Profile(), answer):
        assert [call.get("extra_content") for call in message["tool_calls"]] == [google, None]


@pytest.mark.parametrize("message", [
    {"reasoning_details": _DETAILS},
    {"tool_calls": [{**_CALLS[0], "extra_content": {"google": {"thought_signature": "c2ln"}}}]},
])  # fmt: skip
def test_nobody_else_gets_it(message: Any) -> None:
    messages: list[Any] = [{"role": "user", "content": "x"}]
    turn(messages, _OPENROUTER, reply(message))
    got = turn(messages, _OPENROUTER, reply({}), maker="another")
    assert "reasoning_details" not in got[1]
    assert not any("extra_content" in call for call in got[1]["tool_calls"])
    claude = hub.write("anthropic", hub.read("anthropic", {"max_tokens": 9, "messages": messages}),
                       replace(hub.target(FORMATS["anthropic"].profile), maker="claude"))  # fmt: skip
    sent = b"".join(claude.pieces)
    assert b"ampmap1" not in sent and b"thinking" not in sent


def test_words_that_the_client_has_lost_are_empty_for_deepseek() -> None:
    messages: list[Any] = [{"role": "user", "content": "x"}]
    turn(messages, _DEEPSEEK, reply({"reasoning_content": "hm"}))
    messages[1]["content"] = [block for block in messages[1]["content"] if block["type"] != "thinking"]
    assert turn(messages, _DEEPSEEK, reply({}))[1]["reasoning_content"] == ""
