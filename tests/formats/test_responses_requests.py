"""Requests in the Responses format, read into conversations and written from them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ampmap.bodies.steps import finished
from ampmap.bodies.texts import Long, Raw, Unquoted, dump
from ampmap.errors import BadRequest, Untranslatable
from ampmap.formats import carrier
from ampmap.formats.base import Asked
from ampmap.formats.conversation import (
    Call,
    Choice,
    Conversation,
    Media,
    Reasoning,
    Result,
    Seal,
    Text,
    Thinking,
    Tool,
    Turn,
)
from ampmap.formats.openai_responses.requests_in import ReplyOptions, read_request
from ampmap.formats.openai_responses.requests_out import write_request
from ampmap.formats.profile import Profile, Target

OPENAI = Profile(effort=("minimal", "low", "medium", "high"), custom_tools=True, mid_system="keep")
SEAL = Seal("reasoning", "enc", "maker")
SIMPLE = [{"role": "user", "content": "Hello"}]


def read(**members: Any) -> Conversation:
    steps = read_request(Asked(body=json.dumps(members).encode(), model="m", path="/v1/responses"))
    found = finished(steps)
    assert isinstance(found, Conversation)
    return found


def write(conversation: Conversation, profile: Profile = OPENAI) -> dict[str, Any]:
    written = finished(write_request(conversation, Target(model="gpt", profile=profile, maker="maker")))
    found: dict[str, Any] = json.loads(b"".join(written.pieces))
    return found


def roles(conversation: Conversation) -> list[str]:
    return [turn.role for turn in conversation.turns]


def test_a_codex_turn_becomes_turns() -> None:
    found = read(
        instructions="Be brief.",
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "content": None},
            {"type": "message", "role": "assistant", "id": "msg_1", "content": [{"type": "output_text", "text": "Ok"}]},
            {"type": "function_call", "call_id": "c1", "name": "exec", "arguments": '{"cmd": "ls"}', "id": "fc_1"},
            {"type": "function_call", "call_id": "c2", "name": "exec", "arguments": ""},
            {"type": "message", "role": "developer", "content": "note"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "b"}]},
            {"type": "function_call_output", "call_id": "c1", "output": "a"},
        ],
    )

    assert (Text("Be brief."), Text("Rules")) == found.system
    assert ["user", "assistant", "user", "system"] == roles(found)
    calls = (Call("c1", "exec", Raw(b'{"cmd": "ls"}')), Call("c2", "exec", Raw(b"{}")))
    assert (Thinking("hm"), Text("Ok"), *calls) == found.turns[1].parts
    assert (Result("c1", (Text("a"),), name="exec"), Result("c2", (Text("b"),), name="exec")) == found.turns[2].parts


def test_tools_come_from_everywhere_under_flat_names() -> None:
    function = {"type": "function", "name": "wait", "parameters": {"type": "object", "properties": {}}}
    custom = {"type": "custom", "name": "exec", "format": {"type": "grammar", "syntax": "lark", "definition": "start:"}}
    found = read(
        input=[
            {"type": "additional_tools", "role": "developer", "tools": [
                {"type": "namespace", "name": "functions", "tools": [custom, function]},
                {"type": "namespace", "name": "collaboration", "description": "Agents.",
                 "tools": [{**function, "name": "spawn"}]},
            ]},
            *SIMPLE,
            {"type": "function_call", "call_id": "c", "namespace": "collaboration", "name": "spawn", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": ""},
        ],
        tools=[{"type": "local_shell"}, {"type": "web_search"}, {"type": "image_generation"}],
    )  # fmt: skip

    names = ["local_shell", "web_search", "image_generation", "exec", "wait", "collaboration__spawn"]
    assert names == [tool.name for tool in found.tools]
    assert ["function", "web_search", "server", "custom", "function", "function"] == [each.kind for each in found.tools]
    assert "Agents." == found.tools[-1].description
    assert "collaboration__spawn" == found.turns[1].parts[0].name  # type: ignore[union-attr]
    declared = found.reply_options.declared["collaboration__spawn"]
    assert ("spawn", "collaboration", "function") == (declared.name, declared.namespace, declared.kind)


def test_deferred_tools_appear_when_they_were_found() -> None:
    tools = [
        {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}},
        {"type": "function", "name": "later", "defer_loading": True, "parameters": {}},
    ]
    assert ["tool_search"] == [tool.name for tool in read(input=SIMPLE, tools=tools).tools]
    found = read(
        input=[
            *SIMPLE,
            {"type": "tool_search_call", "execution": "client", "call_id": "s", "arguments": {"query": "x"}},
            {"type": "tool_search_output", "execution": "client", "call_id": "s", "tools": [tools[1]]},
        ],
        tools=tools,
    )

    assert ["tool_search", "later"] == [tool.name for tool in found.tools]
    assert (Result("s", (Text("Tools found: later"),), name="tool_search"),) == found.turns[2].parts


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("previous_response_id", "resp_1"), ("conversation", "conv_1"), ("background", True), ("prompt", {"id": "p"}),
        ("input", [*SIMPLE, {"type": "item_reference", "id": "rs_1"}]), ("input", [{"id": "rs_1"}]),
        ("input", [{"type": "compaction", "encrypted_content": "x"}]), ("input", [{"type": "compaction_trigger"}]),
        ("input", [*SIMPLE, {"type": "computer_call_output", "call_id": "c"}]), ("input", [{"type": "novelty"}]),
        ("input", [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]),
        ("input", [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]),
    ],
)  # fmt: skip
def test_what_only_openai_can_serve_is_refused_by_name(member: str, value: Any) -> None:
    with pytest.raises(Untranslatable) as refused:
        read(**{"input": SIMPLE, member: value})

    assert member in refused.value.param
    assert str(refused.value)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"input": 1}, "input"), ({"input": []}, "input"), ({"input": [1]}, "input[0]"), ({"tools": {}}, "tools"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"), ({"temperature": "hot"}, "temperature"),
        ({"input": [{"type": "function_call_output", "call_id": "c9", "output": ""}]},
         "No tool call found for function call output with call_id c9."),
        ({"reasoning": {"effort": "huge"}}, "huge"), ({"input": [{"role": "robot", "content": ""}]}, "role"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(members: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said.replace("[", r"\[")):
        read(**{"input": SIMPLE, **members})


def test_what_other_formats_lack_is_named() -> None:
    found = read(input=SIMPLE, truncation="auto", service_tier="flex", client_metadata={"a": 1}, novelty=1, store=True,
                 include=["web_search_call.action.sources"], reasoning={"mode": "pro"})  # fmt: skip

    assert {"truncation", "service_tier", "novelty", "include[web_search_call.action.sources]", "reasoning.mode"} == {
        *found.lost
    }


def test_options_are_read() -> None:
    found = read(
        input="Hi", max_output_tokens=128000, temperature=0.5, top_p=1, parallel_tool_calls=False, stream=True,
        reasoning={"effort": "high", "summary": "auto"}, prompt_cache_key="k", safety_identifier="u",
        include=["reasoning.encrypted_content"], tools=[{"type": "function", "name": "f"}],
        tool_choice={"type": "function", "name": "f"},
        text={"verbosity": "low",
              "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
    )  # fmt: skip

    assert Reasoning(effort="high", show=True) == found.reasoning
    assert (128000, 0.5, False, True) == (found.max_output, found.temperature, found.parallel_calls, found.stream)
    assert ("k", "u", "low", Choice("tool", ("f",))) == (found.cache_key, found.user, found.verbosity, found.choice)
    assert found.format is not None
    assert ("n", True, {"type": "object"}) == (found.format.name, found.format.strict, found.format.schema.load())  # type: ignore[union-attr]
    assert isinstance(found.reply_options, ReplyOptions)
    assert found.reply_options.sealed


def test_media_are_read() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "original"}
    pdf = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}
    [turn] = read(input=[{"role": "user", "content": [image, pdf]}]).turns

    assert Media("image", "image/png", "iVBO", detail="high") == turn.parts[0]
    assert Media("document", "application/pdf", "JVBE", name="a.pdf") == turn.parts[1]


def test_a_carrier_comes_back_with_its_text() -> None:
    seal = Seal("signature", {"d": "sig", "x": "whole thought"}, "maker", "claude")
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "short"}],
            "encrypted_content": carrier.encode(seal)}  # fmt: skip
    found = read(input=[*SIMPLE, item, {"role": "assistant", "content": "done"}])

    thought = Thinking("whole thought", Seal("signature", "sig", "maker", "claude"))
    assert (thought, Text("done")) == found.turns[1].parts


def conversation(**members: Any) -> Conversation:
    turns = (
        Turn("user", (Text("Hello"), Media("image", "image/png", "iVBO"))),
        Turn("assistant", (Thinking("t", SEAL), Text("Ok"), Call("c", "f", Raw(b'{"a":1.0}')))),
        Turn("user", (Result("c", (Text("out"),), is_error=True, name="f"), Text("go on"))),
        Turn("system", (Text("later"),)),
    )  # fmt: skip
    return Conversation(**{"system": (Text("sys"),), "turns": turns, **members})


def test_a_conversation_is_written_in_items() -> None:
    found = write(conversation(max_output=1, user="u" * 80, reasoning=Reasoning(effort="max")))

    assert "sys" == found["instructions"]
    assert (16, False, ["reasoning.encrypted_content"]) == (
        found["max_output_tokens"],
        found["store"],
        found["include"],
    )
    assert {"effort": "high", "summary": "auto"} == found["reasoning"]
    assert 64 == len(found["safety_identifier"])
    kinds = [item.get("type", item.get("role")) for item in found["input"]]
    assert ["user", "reasoning", "message", "function_call", "function_call_output", "user", "developer"] == kinds
    assert {"type": "reasoning", "summary": [], "encrypted_content": "enc"} == found["input"][1]
    assert '{"a":1.0}' == found["input"][3]["arguments"]
    assert "Error: out" == found["input"][4]["output"]
    assert all("id" not in item for item in found["input"])


@pytest.mark.parametrize("said", [(), (Text("no such page"),)])
def test_a_failed_call_with_an_image_says_that_it_failed(said: tuple[Text, ...]) -> None:
    result = Result("c", (*said, Media("image", "image/png", "iVBO")), is_error=True, name="f")
    turns = (Turn("user", (Text("x"),)), Turn("assistant", (Call("c", "f", Raw(b"{}")),)), Turn("user", (result,)))
    output = write(Conversation(turns=turns))["input"][-1]["output"]

    assert {"type": "input_text", "text": "Error:"} == output[0] and "input_image" == output[-1]["type"]


def test_reasoning_of_others_and_without_what_follows_is_left_out() -> None:
    turns = (
        Turn("user", (Text("x"),)),
        Turn("assistant", (Thinking("t", Seal("reasoning", "enc", "other")), Text("a"), Thinking("", SEAL))),
        Turn("user", (Text("y"),)),
    )  # fmt: skip

    assert "reasoning" not in [item.get("type") for item in write(Conversation(turns=turns))["input"]]


def test_requests_come_back_as_they_went() -> None:
    for wanted in (conversation(), conversation(system=(Text("a"), Text("b")))):
        body = write(wanted)
        found = read(**{**body, "store": None, "include": ["reasoning.encrypted_content"]})
        assert roles(wanted) == roles(found)
        assert wanted.system == found.system
        assert [*dump([part.text for turn in wanted.turns for part in turn.parts if isinstance(part, Text)])] == [
            *dump([part.text for turn in found.turns for part in turn.parts if isinstance(part, Text)])
        ]


def test_a_further_turn_leaves_what_came_before() -> None:
    first = conversation().turns
    more = (*first, Turn("assistant", (Text("answer"),)), Turn("user", (Text("next"),)))
    one, two = (json.dumps(write(conversation(turns=turns))["input"])[:-1] for turns in (first, more))

    assert two.startswith(one)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (Raw(b'{"input": "a\\nb"}'), "a\nb"),
        (Unquoted(Long('{"input": "a"}')), "a"),
        (Raw(b'{"patch": "a"}'), "a"),
        (Raw(b'{"patch": "a", "to": "b"}'), '{"patch": "a", "to": "b"}'),
    ],
)
def test_a_custom_tool_gets_its_free_text_however_the_client_wrote_the_call(arguments: Any, text: str) -> None:
    turns = (Turn("assistant", (Call("c", "patch", arguments),)), Turn("user", (Result("c", (Text("r"),)),)))
    tools = (Tool(name="patch", kind="custom"),)

    assert write(conversation(turns=turns, tools=tools))["input"][0]["input"] == text


@pytest.mark.parametrize(("asked", "sent"), [("minimal", "low"), ("none", "none"), ("medium", "low"), ("max", "high")])
def test_a_weak_effort_does_not_turn_reasoning_off(asked: str, sent: str) -> None:
    profile = replace(OPENAI, effort=("none", "low", "high"))

    assert write(conversation(reasoning=Reasoning(effort=asked)), profile)["reasoning"]["effort"] == sent
