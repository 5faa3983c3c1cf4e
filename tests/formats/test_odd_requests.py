"""Requests whose members are of other types than any client sends: a documented error, or read as far as they go.

Each of those here was a bug once, for which the connection was cut.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import hub
import pytest
from translating import sink_of, source_of

from ampmap.bodies.steps import finished
from ampmap.errors import BadRequest
from ampmap.formats import translate
from ampmap.formats.profile import Profile
from ampmap.formats.registry import FORMATS

CHAT, CLAUDE, RESPONSES, GEMINI = "openai-chat", "anthropic", "openai-responses", "gemini"
USER = {"role": "user", "content": "x"}
ASKED = {"role": "user", "parts": [{"text": "x"}]}
OTHERS = {"type": "object", "properties": {"a": {"type": [[]]}}, "required": [{}, "a"]}
DIGITS = b"7" * 5000


def schema(found: Any) -> dict[str, Any]:
    return {"max_tokens": 9, "messages": [USER], "tools": [{"name": "f", "input_schema": found}]}


def gemini_call(name: str = "f", **response: Any) -> dict[str, Any]:
    called = {"role": "model", "parts": [{"functionCall": {"name": name, "args": {}}}]}
    answered = {"functionResponse": {"name": name, "response": {"a": 1}, **response}}
    return {"contents": [ASKED, called, {"role": "user", "parts": [answered]}]}


ODD: dict[str, tuple[str, Any]] = {
    "an item of a type that is an object": (RESPONSES, {"input": [USER, {"type": {}}]}),
    "include that is a number": (RESPONSES, {"input": "x", "include": 1}),
    "allowed tools that are a number": (
        RESPONSES, {"input": "x", "tool_choice": {"type": "allowed_tools", "tools": 1}}
    ),
    "a namespace of a number": (RESPONSES, {"input": "x", "tools": [{"type": "namespace", "name": "n", "tools": 1}]}),
    "an agent's message that is a number": (RESPONSES, {"input": [{"type": "agent_message", "content": 1}, USER]}),
    "declarations that are a number": (GEMINI, {"contents": [ASKED], "tools": [{"functionDeclarations": 1}]}),
    "modalities that are a number": (GEMINI, {"contents": [ASKED], "generationConfig": {"responseModalities": 1}}),
    "parts of a response that are a number": (GEMINI, gemini_call(parts=1)),
    "half a pair in a call's name": (GEMINI, gemini_call("\ud800")),
    "digits of another script": (GEMINI, {"contents": [ASKED], "generationConfig": {"seed": "\u00b2"}}),
    "changes of tools that are a number": (
        CLAUDE, {"max_tokens": 9, "messages": [{**USER, "content": [{"type": "compaction", "tool_changes": 1}]}]}
    ),
    "a schema of other types": (CLAUDE, schema(OTHERS)),
    "alternatives beside no properties": (
        CLAUDE, schema({"type": "object", "properties": [], "allOf": [{"properties": {"a": {}}}]})
    ),
    "a required member that is a number": (CLAUDE, schema({"anyOf": [{"type": "object"}], "required": 1})),
}  # fmt: skip
DEEP = b"[" * 900 + b"]" * 900
DEEP_OR_LONG: dict[str, tuple[str, bytes]] = {
    "a number of very many digits": (GEMINI, b'{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"seed":%b}}'),
    "one in a response": (
        GEMINI,
        b'{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f"}}]},'
        b'{"parts":[{"functionResponse":{"name":"f","response":{"a":%b}}}]}]}',
    ),
    "one in a schema": (
        CLAUDE,
        b'{"max_tokens":9,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","input_schema":{"a":%b}}]}',
    ),
    "metadata": (RESPONSES, b'{"input":"x","metadata":{"a":%b}}'),
    "free text": (
        CHAT,
        b'{"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"c","type":"function",'
        b'"function":{"name":"f","arguments":{"a":%b}}}]}],"tools":[{"type":"custom","custom":{"name":"f"}}]}',
    ),
}  # fmt: skip


def go_through(format: str, body: Any) -> None:
    """Read and write a request; fails for any error that is not documented."""
    path = "/v1beta/models/{model}:generateContent" if format == GEMINI else ""
    with suppress(BadRequest):
        conversation = hub.read(format, body, path)
        for provider in FORMATS:
            for profile in (FORMATS[provider].profile, Profile(json_schema=False, custom_tools=True)):
                with suppress(BadRequest):
                    finished(translate.write_request(hub.dialect(provider), conversation, hub.target(profile)))


@pytest.mark.parametrize(("format", "body"), ODD.values(), ids=ODD.keys())
def test_members_of_other_types_are_no_bug(format: str, body: Any) -> None:
    go_through(format, body)


@pytest.mark.parametrize("value", [DIGITS, DEEP], ids=["digits", "deep"])
@pytest.mark.parametrize(("format", "body"), DEEP_OR_LONG.values(), ids=DEEP_OR_LONG.keys())
def test_values_that_python_does_not_read_are_no_bug(format: str, body: bytes, value: bytes) -> None:
    go_through(format, body % value)


def test_a_schema_whose_references_multiply_stays_small() -> None:
    every = {f"p{number}": {"$ref": "#/$defs/a"} for number in range(50)}
    found = {"type": "object", "properties": every, "$defs": {"a": {"type": "object", "properties": every}}}
    conversation = hub.read(CLAUDE, schema(found))

    written = hub.write(GEMINI, conversation, hub.target(Profile(json_schema=False)))

    assert sum(map(len, written.pieces)) < 1_000_000


def test_a_schema_of_alternatives_in_alternatives_stays_small() -> None:
    found: dict[str, Any] = {"type": "string"}
    for _ in range(12):
        found = {"type": ["object", "string", "array", "number"], "properties": {"a": found}, "items": {"$ref": "#"}}
    conversation = hub.read(CLAUDE, schema({"type": "object", "properties": {"a": found}}))

    written = hub.write(GEMINI, conversation, hub.target(Profile(json_schema=False)))

    assert sum(map(len, written.pieces)) < 1_000_000


def test_a_schema_that_is_too_large_is_refused_by_name() -> None:
    large = schema({"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(9000)}})

    with pytest.raises(BadRequest, match=r"tools: a schema of \d+ bytes is too large"):
        hub.write(CHAT, hub.read(CLAUDE, large))


CALL = b'{"id":"c","function":{"name":"f","arguments":"{}"}}'
CALLED = b'{"choices":[{"message":{"tool_calls":[%b]},"finish_reason":"tool_calls"}]}' % CALL
BOTH = {"functions": [{"name": "g"}], "tools": [{"type": "custom", "custom": {"name": "f"}}], "messages": [USER]}
LONG_SCHEMA = (
    b'{"input":"x","tools":[{"type":"function","name":"f","parameters":{"type":"object","maximum":%b}}]}' % DIGITS
)


@pytest.mark.parametrize(("client", "body"), [(CHAT, BOTH), (RESPONSES, LONG_SCHEMA)], ids=["both forms", "digits"])
def test_a_whole_reply_to_an_odd_request_is_written(client: str, body: Any) -> None:
    sink = sink_of(reply_options=hub.read(client, body).reply_options)
    reader, writer = hub.dialect(CHAT).reply_reader(source_of()), hub.dialect(client).reply_writer(sink)

    found = translate.whole_reply(reader, writer, CALLED)

    assert isinstance(found, dict)
    assert b'"name":"f"' in translate.dumped_reply(found)
