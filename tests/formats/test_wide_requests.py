"""Requests of more parts, calls or tools than any client sends: short steps, or an error that says the limit."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import hub
import pytest
from turnlengths import BestOf, steps_of

from ampmap.bodies.json_bounds import LIST_ELEMENTS, MEMBER_VALUES
from ampmap.bodies.steps import finished
from ampmap.bodies.texts import Long, dump, dump_in_steps
from ampmap.errors import BadRequest
from ampmap.formats import translate
from ampmap.formats.base import MOST_ELEMENTS, RESULT_PARTS, Asked, Steps, bounded
from ampmap.formats.registry import FORMATS
from ampmap.formats.turns import TURN_PARTS

CHAT, CLAUDE, RESPONSES, GEMINI = "openai-chat", "anthropic", "openai-responses", "gemini"
BOUND_S = 0.005
MANY = 2500
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
LONG = "x" * 300_000  # a small body is read at once
USER = {"role": "user", "content": LONG}
ASKED = {"role": "user", "parts": [{"text": LONG}]}


def claude(messages: list[Any], **more: Any) -> dict[str, Any]:
    return {"max_tokens": 9, "messages": messages, **more}


def assistant(content: list[Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def text(number: int) -> dict[str, Any]:
    return {"type": "text", "text": f"t{number}"}


def use(number: int) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"c{number}", "name": "f", "input": {"a": number}}


def result(number: int) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"c{number}", "content": "r"}


def call(number: int) -> dict[str, Any]:
    return {"id": f"c{number}", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def each(made: Callable[[int], Any], count: int) -> list[Any]:
    return [made(number) for number in range(count)]


WITHIN: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "tools of Messages": (
        CLAUDE, lambda n: claude([USER], tools=each(lambda at: {"name": f"t{at}", "input_schema": SCHEMA}, n))
    ),
    "blocks": (CLAUDE, lambda n: claude([{"role": "user", "content": each(text, n)}])),
    "blocks of the assistant": (CLAUDE, lambda n: claude([USER, assistant(each(text, n)), USER])),
    "calls and results": (
        CLAUDE,
        lambda n: claude([USER, assistant(each(use, n)), {"role": "user", "content": each(result, n)}]),
    ),
    "calls of Chat Completions": (
        CHAT, lambda n: {"messages": [USER, {"role": "assistant", "tool_calls": each(call, n)}]}
    ),
    "functions of Gemini": (
        GEMINI,
        lambda n: {"contents": [ASKED], "tools": [{"functionDeclarations": each(lambda at: {"name": f"f{at}"}, n)}]},
    ),
    "calls of Gemini": (
        GEMINI,
        lambda n: {"contents": [ASKED, {"role": "model", "parts": [{"functionCall": {"name": "f"}}] * n}]},
    ),
    "tools of Responses": (
        RESPONSES,
        lambda n: {"input": LONG, "tools": each(lambda at: {"name": f"t{at}", "parameters": SCHEMA}, n)},
    ),
}  # fmt: skip
BEYOND: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "messages of the user": (CLAUDE, lambda n: claude([USER, *[{"role": "user", "content": "x"}] * n])),
    "calls in items": (
        RESPONSES,
        lambda n: {"input": [
            USER, *each(lambda at: {"type": "function_call", "call_id": f"c{at}", "name": "f", "arguments": "{}"}, n)
        ]},
    ),
}  # fmt: skip


SHORT = {"role": "user", "content": "hi"}
ASKED_SHORT = {"role": "user", "parts": [{"text": "hi"}]}
NAMED = {"type": "function", "function": {"name": "f"}}
FOUND = {"type": "web_search_result", "url": "https://a"}
USED = claude([SHORT, assistant([use(1)])])["messages"]
ANSWERED = {"name": "f", "response": {}, "parts": [{"text": "r"}] * (RESULT_PARTS + 1)}
CALLED = [SHORT, {"role": "assistant", "tool_calls": [call(1)]}]
REASONED = {
    "role": "assistant",
    "content": "a",
    "reasoning_details": [{"type": "reasoning.text"}] * (MOST_ELEMENTS + 1),
}
REFUSED: dict[str, tuple[str, dict[str, Any], str, int]] = {  # a format, a request, the member at fault and the limit
    "parts of a result of Messages": (
        CLAUDE,
        claude([*USED, {"role": "user", "content": [{**result(1), "content": each(text, RESULT_PARTS + 1)}]}]),
        "messages.2.content.0.content", RESULT_PARTS,
    ),
    "parts of a result of Chat Completions": (
        CHAT, {"messages": [*CALLED, {"role": "tool", "tool_call_id": "c1", "content": each(text, RESULT_PARTS + 1)}]},
        "messages[2].content", RESULT_PARTS,
    ),
    "parts of a result of Responses": (
        RESPONSES,
        {"input": [
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text"}] * (RESULT_PARTS + 1)},
        ]},
        "input[1].output", RESULT_PARTS,
    ),
    "parts of a result of Gemini": (
        GEMINI, {"contents": [ASKED_SHORT, {"parts": [{"functionResponse": ANSWERED}]}]},
        "contents[1].parts[0].functionResponse.parts", RESULT_PARTS,
    ),
    "what a server found": (
        CLAUDE, claude([SHORT, assistant([{"type": "web_search_tool_result", "content": [FOUND] * 1025}])]),
        "messages.1.content.0", 1024,
    ),
    "details of reasoning": (CHAT, {"messages": [REASONED]}, "messages[0].reasoning_details", MOST_ELEMENTS),
    "stop sequences of Chat Completions": (
        CHAT, {"messages": [SHORT], "stop": ["a"] * (MOST_ELEMENTS + 1)}, "stop", MOST_ELEMENTS
    ),
    "stop sequences of Gemini": (
        GEMINI, {"contents": [ASKED_SHORT], "generationConfig": {"stopSequences": ["a"] * (MOST_ELEMENTS + 1)}},
        "generationConfig.stopSequences", MOST_ELEMENTS,
    ),
    "include": (RESPONSES, {"input": "a", "include": ["a"] * (MOST_ELEMENTS + 1)}, "include", MOST_ELEMENTS),
    "tools allowed": (
        CHAT,
        {
            "messages": [SHORT], "tools": [NAMED],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [NAMED] * (MOST_ELEMENTS + 1)}},
        },
        "tool_choice.allowed_tools.tools", MOST_ELEMENTS,
    ),
    "keys of the output's form": (
        CLAUDE, {**claude([SHORT]), "output_config": {str(at): 1 for at in range(LIST_ELEMENTS + 1)}},
        "output_config", LIST_ELEMENTS,
    ),
    "an unknown member": (CHAT, {"messages": [SHORT], "x": [[1] * (LIST_ELEMENTS + 1)]}, "x", LIST_ELEMENTS),
    "a message of lists": (
        CLAUDE, claude([SHORT, {"role": "user", "content": "a", "x": [["abc"] * 100] * 300}]), "messages", MEMBER_VALUES
    ),
    "members": (CHAT, {"messages": [SHORT], **{f"x{at}": 1 for at in range(LIST_ELEMENTS)}}, "the body", LIST_ELEMENTS),
    "one role": (
        CLAUDE, claude([{"role": "user", "content": "x"}] * (TURN_PARTS + 1)),
        "messages of the role user in a row", TURN_PARTS,
    ),
    "tools in a namespace": (
        RESPONSES, {"input": "a", "tools": [{"type": "namespace", "name": "n", "tools": [{"name": "f"}] * 513}]},
        "tools[].tools", 512,
    ),
}  # fmt: skip


def longest(work: Steps[Any]) -> float:
    """Return how long the longest step took; a refusal ends the work."""
    took, result = steps_of(work)
    assert not isinstance(result, Exception) or isinstance(result, BadRequest), result
    return max(took)


def works(format: str, body: bytes) -> Iterator[Steps[Any]]:
    """Yield the work of reading a request, and of writing it for each format."""
    path = "/v1beta/models/{model}:generateContent" if format == GEMINI else min(hub.dialect(format).paths)
    yield translate.read_request(hub.dialect(format), Asked(body=body, model="m", path=path))
    conversation = hub.read(format, body, path)
    yield from (hub.dialect(provider).write_request(conversation, hub.target()) for provider in FORMATS)


def _best(made: Callable[[], float]) -> BestOf:
    for _ in (best := BestOf(BOUND_S)):
        best.add(made())
    return best


@pytest.fixture
def no_collector() -> Iterator[None]:
    """A large request is translated without it; here it would look through all of pytest."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize("shape", [*WITHIN, *BEYOND])
def test_no_step_is_long(shape: str) -> None:
    format, made = {**WITHIN, **BEYOND}[shape]
    body = json.dumps(made(MOST_ELEMENTS if shape in WITHIN else MANY)).encode()

    best = _best(lambda: max(longest(work) for work in works(format, body)))

    assert best.holds, best.seconds


@pytest.mark.parametrize("shape", WITHIN)
def test_more_are_refused_by_name(shape: str) -> None:
    format, made = WITHIN[shape]
    path = "/v1beta/models/{model}:generateContent" if format == GEMINI else ""

    with pytest.raises(BadRequest, match=f"(tools|content|tool_calls|parts).*: {MOST_ELEMENTS + 1} elements"):
        hub.read(format, made(MOST_ELEMENTS + 1), path)


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_much_is_refused_by_name(name: str, long: bool) -> None:
    format, body, member, most = REFUSED[name]
    path = "/v1beta/models/{model}:generateContent" if format == GEMINI else ""
    data = json.dumps({**body, **({"y": LONG} if long else {})}).encode()  # a small body is read at once

    with pytest.raises(BadRequest, match=f"^{re.escape(member)}: .*{most}") as caught:
        hub.read(format, data, path)

    assert caught.value.status == 400


def test_the_limit_is_said_with_the_remedy() -> None:
    with pytest.raises(BadRequest, match=f"^x: {MOST_ELEMENTS + 1} elements are too many .* at most {MOST_ELEMENTS}$"):
        bounded([0] * (MOST_ELEMENTS + 1), "x")


@pytest.mark.parametrize(
    "value",
    [
        {}, [], [[]], {"a": []}, list(range(1000)), {str(at): at for at in range(1000)}, [{"a": [*range(300)]}, 1, "x"],
        [[*range(101)]] * 102, {"a": 'é\n"😀' * 50_000},
        ["x" * 9000, Long("y" * 9000, memoryview(b"z"), "é")], {"a": {"b": [{"c": ["é"] * 150}]}, "d": None},
    ],
)  # fmt: skip
def test_steps_write_the_same_bytes(value: Any) -> None:
    assert b"".join(dump(value)) == b"".join(finished(dump_in_steps(value)))


def test_a_wide_list_at_any_depth_is_written_in_steps() -> None:
    steps = dump_in_steps({"a": [{"b": {"c": [*range(1000)]}}]})

    assert sum(1 for _ in steps) >= 10
