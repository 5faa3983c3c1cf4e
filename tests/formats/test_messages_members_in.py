"""What a request of the Messages API becomes, row by row: tools and other members."""

from __future__ import annotations

import json
from typing import Any

import pytest
from corpus.messages_requests import (
    TITLE,
    assistant,
    call,
    result,
    text,
    tool,
    user,
)  # fmt: skip
from hub import read as read_body

from ampmap.bodies.texts import Raw
from ampmap.errors import BadRequest, Untranslatable
from ampmap.formats.conversation import (
    Choice,
    Conversation,
    Format,
    Mark,
    Reasoning,
    Text,
    Turn,
)  # fmt: skip


def read(*messages: Any, **members: Any) -> Conversation:
    body = {"model": "m", "max_tokens": 9, "messages": messages or [user("hi")], **members}
    return read_body("anthropic", {key: value for key, value in body.items() if value is not ...})


def refused(*messages: Any, **members: Any) -> str:
    with pytest.raises((Untranslatable, BadRequest)) as caught:
        read(*messages, **members)
    return str(caught.value)


def test_a_deferred_tool_is_there_once_it_is_loaded() -> None:
    tools = [tool("A"), {**tool("B"), "defer_loading": True}, {**tool("C"), "defer_loading": True}]
    loaded = result("a", [{"type": "tool_reference", "tool_name": "C"}])

    assert [each.name for each in read(tools=tools).tools] == ["A"]
    said = read(user("x"), assistant(call("a", "A")), user(loaded), tools=tools)
    assert [each.name for each in said.tools] == ["A", "C"]


def test_tools_come_and_go_in_the_conversation() -> None:
    def change(kind: str, **tool: Any) -> Any:
        return {"type": f"tool_{kind}", "tool": tool}

    blocks = [
        change("addition", type="tool_reference", name="B"),
        change("addition", type="tool_definition", definition=tool("D")),
        change("removal", type="tool_reference", name="A"),
    ]
    said = read(
        user("x"), {"role": "system", "content": blocks}, tools=[tool("A"), {**tool("B"), "defer_loading": True}]
    )

    assert [each.name for each in said.tools] == ["B", "D"]


@pytest.mark.parametrize(
    ("kind", "name", "properties"),
    [
        ("bash_20250124", "bash", {"command", "restart"}),
        ("text_editor_20250728", "str_replace_based_edit_tool", {"command", "path", "old_str", "insert_text"}),
        ("memory_20250818", "memory", {"command", "old_path", "new_path"}),
    ],
)
def test_tools_that_the_client_runs_get_their_schemas(kind: str, name: str, properties: set[str]) -> None:
    (found,) = read(tools=[{"type": kind, "name": name}]).tools

    assert (found.name, found.kind) == (name, "function")
    assert found.schema and found.description and properties <= set(found.schema.load()["properties"])


def test_tools_that_a_server_runs_are_told_apart() -> None:
    search = {"type": "web_search_20260318", "name": "web_search", "max_uses": 3, "allowed_domains": ["a"]}
    found = read(tools=[tool("A"), search, {"type": "web_fetch_20260318", "name": "web_fetch"}]).tools

    assert [(each.name, each.kind) for each in found] == [
        ("A", "function"), ("web_search", "web_search"), ("web_fetch", "server"),
    ]  # fmt: skip
    assert found[1].options == {"max_uses": 3, "allowed_domains": ["a"]}


def test_schemas_stay_as_the_client_wrote_them() -> None:
    (found,) = read(tools=[{**tool("A"), "strict": True, "input_examples": [{}]}]).tools

    assert found.schema == Raw(json.dumps(tool("A")["input_schema"]).encode()) and found.strict is True


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, (Choice("auto"), None)),
        ({"type": "any", "disable_parallel_tool_use": True}, (Choice("required"), False)),
        ({"type": "tool", "name": "A"}, (Choice("tool", ("A",)), None)),
        ({"type": "none"}, (Choice("none"), None)),
        (None, (None, None)),
    ],
)
def test_choices(choice: Any, expected: Any) -> None:
    said = read(tools=[tool("A")], tool_choice=choice)

    assert (said.choice, said.parallel_calls) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"thinking": {"type": "disabled"}}, Reasoning(mode="off")),
        ({"thinking": {"type": "between_tools"}}, Reasoning(mode="off")),
        ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, Reasoning(mode="on", budget=4000)),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, Reasoning(mode="adaptive", show=True)),
        ({"output_config": {"effort": "xhigh"}}, Reasoning(effort="xhigh")),
        ({"output_config": {"effort": "boundless"}}, Reasoning()),
        ({}, Reasoning()),
    ],
)
def test_reasoning(members: Any, expected: Reasoning) -> None:
    assert read(**members).reasoning == expected


def test_the_rest_of_the_members() -> None:
    said = read(
        temperature=0.5, top_p=0.9, top_k=5, stop_sequences=["a", " ", ""], cache_control={"type": "ephemeral"},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}, "task_budget": {}},
        service_tier="auto", unheard="of", container=None, metadata={"user_id": "user_1_session_2"},
    )  # fmt: skip

    assert (said.temperature, said.top_p, said.top_k, said.stop, said.reply_options) == (0.5, 0.9, 5, ("a",), ("a",))
    assert said.mark == Mark() and said.format == Format(schema=Raw(b'{"type": "object"}'))
    assert set(said.lost) == {"service_tier", "unheard", "output_config.task_budget"}
    assert said.user and said.cache_key
    assert read(output_format={"type": "json_schema", "schema": {}}).format == Format(schema=Raw(b"{}"))


def test_a_forced_title_beside_thinking_is_both() -> None:
    said = read_body("anthropic", TITLE)

    assert said.choice == Choice("tool", ("set_title",)) and said.reasoning.budget == 4000
    assert said.parallel_calls is False


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": ...}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_k": 1.5}, "top_k"),
        ({"messages": []}, "messages"),
        ({"messages": ["x"]}, "messages.0"),
        ({"messages": [user(text(" "))]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"system": [{"type": "image"}]}, "system.0"),
        ({"compaction": {"type": "x"}}, "compaction"),
        ({"thread": {"type": "continue", "id": "t"}}, "thread"),
        ({"mcp_servers": [{"name": "x"}]}, "mcp_servers"),
        ({"tools": [tool("A"), tool("A")]}, "'A'"),
        ({"tools": [{"name": "A"}]}, "input_schema"),
        ({"tools": [{"type": "computer_20251124", "name": "computer"}]}, "computer_20251124"),
        ({"tools": [{"type": "browser_toolset_20260801"}]}, "browser_toolset"),
        ({"tool_choice": {"type": "some"}}, "tool_choice"),
        ({"stop_sequences": "x"}, "stop_sequences"),
    ],
)
def test_what_is_refused_is_named(members: Any, word: str) -> None:
    assert word in refused(**members)


def test_a_count_needs_no_limit() -> None:
    body = {"model": "m", "messages": [user("x")]}

    assert read_body("anthropic", body, "/v1/messages/count_tokens").max_output is None


def test_members_in_any_order_and_twice() -> None:
    body = b'{"messages":[{"role":"user","content":"a"}],"tools":[],"system":"s","max_tokens":1,"messages":' + (
        b'[{"role":"user","content":"b"}],"model":"m"}'
    )

    assert read_body("anthropic", body).turns == (Turn("user", (Text("b"),)),)


@pytest.mark.parametrize("key", ["temperature", "top_p", "top_k", "max_tokens"])
def test_numbers_without_end_are_refused(key: str) -> None:
    members = json.dumps({"max_tokens": 9, key: 7, "messages": [user("x")]}).replace("7", "1e400")

    with pytest.raises(BadRequest, match=key):
        read_body("anthropic", members.encode())
