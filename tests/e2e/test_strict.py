"""The provider of the agents' runs finds what its vendor would refuse, and nothing in a request that is good."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from .asks import Format, read
from .replies import SIGNATURE, Call, answer, write
from .strict import complaints

Body = dict[str, Any]

_SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
_ARGUMENTS = {"command": "ls"}
_HEADERS = {"anthropic-version": "2023-06-01"}
GOOD: dict[Format, Body] = {
    "anthropic": {
        "model": "m", "max_tokens": 9, "tools": [{"name": "Bash", "input_schema": _SCHEMA}],
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": _ARGUMENTS}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a"}]},
        ],
    },
    "openai-chat": {
        "model": "m", "tools": [{"type": "function", "function": {"name": "Bash", "parameters": _SCHEMA}}],
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function",
                 "function": {"name": "Bash", "arguments": json.dumps(_ARGUMENTS)}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a"},
        ],
    },
    "openai-responses": {
        "model": "m", "tools": [{"type": "function", "name": "Bash", "parameters": _SCHEMA}],
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "Bash",
             "arguments": json.dumps(_ARGUMENTS)},
            {"type": "function_call_output", "call_id": "call_1", "output": "a"},
        ],
    },
    "gemini": {
        "tools": [{"functionDeclarations": [{"name": "Bash", "parametersJsonSchema": _SCHEMA}]}],
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [
                {"functionCall": {"name": "Bash", "args": _ARGUMENTS}, "thoughtSignature": SIGNATURE}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "Bash", "response": {"output": "a"}}}]},
        ],
    },
}  # fmt: skip
_TURNS: dict[Format, str] = {
    "anthropic": "messages", "openai-chat": "messages", "openai-responses": "input", "gemini": "contents",
}  # fmt: skip


@pytest.mark.parametrize("wire", GOOD)
def test_a_good_request_is_none_to_complain_of(wire: Format) -> None:
    assert [] == complaints(wire, _HEADERS, json.dumps(GOOD[wire]).encode())


def _unknown(body: Body, turns: list[Body]) -> None:
    body["betas"] = []


def _no_result(body: Body, turns: list[Body]) -> None:
    del turns[2]


def _result_first(body: Body, turns: list[Body]) -> None:
    turns[1], turns[2] = turns[2], turns[1]


def _result_later(body: Body, turns: list[Body]) -> None:
    turns.insert(2, turns[0])


def _two_tools(body: Body, turns: list[Body]) -> None:
    body["tools"] = body["tools"] * 2


def _no_schema(body: Body, turns: list[Body]) -> None:
    text = json.dumps(body["tools"]).replace('"type": "object"', '"type": "string"')
    body["tools"] = json.loads(text)


@pytest.mark.parametrize("wire", GOOD)
@pytest.mark.parametrize("spoil", [_unknown, _no_result, _result_first, _result_later, _two_tools, _no_schema])
def test_what_every_vendor_refuses_is_found(wire: Format, spoil: Callable[[Body, list[Body]], None]) -> None:
    body = copy.deepcopy(GOOD[wire])
    spoil(body, body[_TURNS[wire]])

    if wire == "openai-responses" and spoil is _result_later:
        return  # other items may stand between a call and its output
    assert [] != complaints(wire, _HEADERS, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("wire", "own", "foreign"),
    [
        ("anthropic", "toolu_1", "call_1"),
        ("openai-chat", "call_1", "toolu_1"),
        ("openai-responses", '"id": "fc_1"', '"id": "toolu_1"'),
        ("openai-responses", "call_1", "toolu_1"),
        ("gemini", SIGNATURE, "another"),
        ("gemini", '"args"', '"id": "toolu_1", "args"'),
    ],
)
def test_an_id_that_was_never_given_out_is_found(wire: Format, own: str, foreign: str) -> None:
    text = json.dumps(GOOD[wire])
    assert own in text

    assert [] != complaints(wire, _HEADERS, text.replace(own, foreign).encode())


def test_a_thought_is_signed_and_no_last_word() -> None:
    def found(signature: str, at: int) -> list[str]:
        body = copy.deepcopy(GOOD["anthropic"])
        thought = {"type": "thinking", "thinking": "t", "signature": signature}
        body["messages"].insert(at, {"role": "assistant", "content": [thought]})
        return complaints("anthropic", _HEADERS, json.dumps(body).encode())

    assert found(SIGNATURE, 1) == []
    assert found("another", 1) == ["thinking that was never thought here"]
    assert found(SIGNATURE, 3) == ["the last turn ends with thinking"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", GOOD)
def test_a_provider_calls_the_shell_first_and_then_says_its_last_word(wire: Format, stream: bool) -> None:
    body = copy.deepcopy(GOOD[wire]) | ({"stream": True} if stream and wire != "gemini" else {})
    target = f"/v1beta/models/m:{'streamG' if stream else 'g'}enerateContent"
    last = answer(read(wire, target, json.dumps(body).encode()))
    del body[_TURNS[wire]][1:]
    first = read(wire, target, json.dumps(body).encode())

    called = answer(first)
    kind, pieces = write(wire, first, called)

    assert isinstance(called, Call) and not isinstance(last, Call)
    assert kind == ("text/event-stream" if stream else "application/json")
    assert b"Bash" in b"".join(pieces)
