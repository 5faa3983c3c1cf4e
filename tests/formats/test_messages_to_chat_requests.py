"""Requests of Messages clients as chat servers get them: golden bodies, and the same bytes from turn to turn."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import hub
import pytest
import strict_chat
from corpus.messages_requests import (
    PARALLEL,
    PDF,
    TITLE,
    assistant,
    call,
    claude_code,
    image,
    result,
    text,
    tool,
    user,
)  # fmt: skip

from ampmap.errors import Untranslatable
from ampmap.formats import carrier
from ampmap.formats.base import Json, Written
from ampmap.formats.conversation import Seal
from ampmap.formats.profile import UNKNOWN, Profile

KEEPS = Profile(
    mid_system="keep", max_tokens_key="max_completion_tokens", effort=("low", "medium", "high"), prompt_cache_key=True,
    tool_content_parts=True, files=True,
)  # fmt: skip


def write(request: Any, profile: Profile = UNKNOWN) -> Written:
    written = hub.write("openai-chat", hub.read("anthropic", {"max_tokens": 9, **request}), hub.target(profile))
    strict_chat.check(hub.body(written), profile)
    return written


def body(request: Any, profile: Profile = UNKNOWN) -> Any:
    return hub.body(write(request, profile))


def messages(*said: Any, profile: Profile = UNKNOWN, **members: Any) -> Any:
    return body({"messages": list(said), **members}, profile)["messages"]


def function(name: str, **properties: Any) -> Json:
    schema = tool(name, **properties)["input_schema"]
    return {"type": "function", "function": {"name": name, "description": f"The tool {name}.", "parameters": schema}}


def called(id_: str, name: str, arguments: str) -> Json:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


TOOLS = [function("Read", path={"type": "string"}), function("Bash", command={"type": "string"})]
CONTEXT = "<system-reminder>\nContext.\n</system-reminder>"


def test_claude_code_on_a_server_of_which_nothing_is_known() -> None:
    written = write(claude_code(1))
    reminder = "<system-reminder>\n# Environment\nLinux\n</system-reminder>"

    assert hub.body(written) == {
        "model": "sent-model",
        "messages": [
            {"role": "system", "content": "You are Claude Code.\n\nBe brief."},
            {"role": "user", "content": [text(CONTEXT), text("Fix the bug."), text(reminder)]},
            {
                "role": "assistant",
                "content": "Reading 0.",
                "tool_calls": [called("toolu_00", "Read", '{"path": "/src/0.py", "limit": 1.0}')],
            },
            {"role": "tool", "tool_call_id": "toolu_00", "content": "0: content\n"},
        ],
        "tools": TOOLS,
        "max_tokens": 32000,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert {"context_management", "tools[].defer_loading"} <= set(written.lost) | set(
        hub.read("anthropic", claude_code(1)).lost
    )


def test_claude_code_on_a_server_that_takes_more() -> None:
    found = body(claude_code(0), KEEPS)

    assert found["messages"][1:] == [
        {"role": "user", "content": [text(CONTEXT), text("Fix the bug.")]},
        {"role": "system", "content": "# Environment\nLinux"},
    ]
    assert found["max_completion_tokens"] == 32000 and found["reasoning_effort"] == "high"
    assert len(found["prompt_cache_key"]) == 32 and "max_tokens" not in found and "user" not in found


@pytest.mark.parametrize("profile", [UNKNOWN, KEEPS, replace(UNKNOWN, reasoning_field="reasoning_content")])
def test_fifty_turns_of_claude_code_each_extend_the_one_before(profile: Profile) -> None:
    before, tools = b"", None
    for turns in range(50):
        data = b"".join(write(claude_code(turns), profile).pieces)
        found = hub.body(write(claude_code(turns), profile))
        begun = data.index(b'"messages":') + len(b'"messages":')
        _, length = json.JSONDecoder().raw_decode(data[begun:].decode())
        sent = data[begun : begun + len(data[begun:].decode()[:length].encode())]
        assert sent.startswith(before) and (tools is None or tools == found["tools"])
        before, tools = sent.removesuffix(b"]"), found["tools"]


@pytest.mark.parametrize("parts", [False, True])
def test_parallel_calls_with_results_in_every_shape(parts: bool) -> None:
    found = body(PARALLEL, replace(UNKNOWN, tool_content_parts=parts))["messages"]
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image()['source']['data']}"}}

    assert found[1] == {
        "role": "assistant",
        "content": "Looking.",
        "tool_calls": [
            called("toolu_a", "Read", '{"path": "a"}'),
            called("toolu_b", "Read", "{}"), called("toolu_c", "Bash", "{}"),
        ],
    }  # fmt: skip
    assert [each["tool_call_id"] for each in found[2:5]] == ["toolu_a", "toolu_b", "toolu_c"]
    assert [each["content"] for each in found[2:4]] == ["one", "two\nmore"]
    shown = json.dumps(found[4]["content"])
    assert "Error:" in shown and "three" in shown and ("base64" in shown) is parts
    images = json.dumps(found[5:]).count("base64")
    assert len(found) == 6 and images == (1 if parts else 2) and found[5]["content"][-1] == url


def test_a_forced_title_beside_thinking_where_both_are_refused() -> None:
    profile = replace(UNKNOWN, thinking_switch="thinking", forced_with_thinking=False, effort=("low", "high"))
    found = body(TITLE, profile)

    assert found["tool_choice"] == {"type": "function", "function": {"name": "set_title"}}
    assert found["parallel_tool_calls"] is False and "reasoning_effort" not in found
    assert found.get("thinking", {"type": "disabled"}) == {"type": "disabled"}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "A"}, {"type": "function", "function": {"name": "A"}}),
    ],
)
def test_choices(choice: Any, sent: Any) -> None:
    assert body({"messages": [user("x")], "tools": [tool("A")], "tool_choice": choice})["tool_choice"] == sent


@pytest.mark.parametrize(
    ("tools", "choice", "sent"),
    [
        ([tool("A"), {"type": "web_search_20260318", "name": "web_search"}], None, ["A"]),
        ([{"type": "web_search_20260318", "name": "web_search"}], None, None),
        ([tool("A"), {"type": "web_fetch_20260318", "name": "web_fetch"}], "web_fetch", None),
        ([{"type": "bash_20250124", "name": "bash"}], None, ["bash"]),
    ],
)
def test_a_servers_tools_are_left_out_or_refused(tools: Any, choice: str | None, sent: Any) -> None:
    request = {"messages": [user("x")], "tools": tools}
    if choice:
        request["tool_choice"] = {"type": "tool", "name": choice}
    if sent is None:
        with pytest.raises(Untranslatable, match="server tool"):
            body(request)
    else:
        assert [each["function"]["name"] for each in body(request)["tools"]] == sent


def test_two_long_names_stay_two_and_come_back() -> None:
    names = [f"mcp__{'server' * 12}__{end}" for end in ("read", "write")]
    written = write({"messages": [user("x"), assistant(call("a", names[1])), user(result("a", "r"))],
                     "tools": [tool(name) for name in names]})  # fmt: skip
    found = hub.body(written)
    sent = [each["function"]["name"] for each in found["tools"]]

    assert [written.names[name] for name in sent] == names
    assert found["messages"][1]["tool_calls"][0]["function"]["name"] == sent[1]


def test_what_only_anthropic_can_read_is_told_as_text() -> None:
    found = {"type": "web_search_result", "title": "T", "url": "https://u", "encrypted_content": "secret"}
    history = assistant(
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [found]},
        text("Found."),
    )
    said = messages(user("x"), history, user("y"))[1]["content"]

    assert '[web_search: {"query": "q"}]' in said and "T https://u" in said and "secret" not in said


def test_documents_by_what_the_server_takes() -> None:
    pdf = {**image("application/pdf", PDF), "type": "document", "title": "a.pdf"}
    (found,) = messages(user(pdf), profile=replace(UNKNOWN, files=True))

    assert found["content"] == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}
    ]
    for document in (pdf, {"type": "document", "source": {"type": "url", "url": "https://x"}}):
        with pytest.raises(Untranslatable, match="document"):
            messages(user(document))


def test_an_answer_by_a_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted = {"messages": [user("x")], "output_config": {"format": {"type": "json_schema", "schema": schema}}}

    found = body(wanted)["response_format"]["json_schema"]
    assert found["schema"] == schema and found["name"] and not found.get("strict")
    assert "JSON" in body(wanted, replace(UNKNOWN, json_schema=False))["messages"][0]["content"]


def test_more_stops_than_the_server_takes_are_named() -> None:
    written = write({"messages": [user("x")], "stop_sequences": list("abcdef")})

    assert len(hub.body(written)["stop"]) == 4 and "stop" in written.lost


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_deepseeks_reasoning_goes_back_to_it(field: Any) -> None:
    profile = replace(UNKNOWN, reasoning_field=field)
    sealed = carrier.encode(Seal("", None, hub.MAKER, hub.SENT))
    said = []
    for at, signature in enumerate((sealed, "", "c2lnbmF0dXJl")):
        thinking = {"type": "thinking", "thinking": f"hm {at}", "signature": signature}
        said += [user(f"u{at}"), assistant(thinking, call(f"c{at}", "T")), user(result(f"c{at}", "r"))]
    found = [each for each in messages(*said, profile=profile) if each["role"] == "assistant"]

    assert [each[field] for each in found] == ["hm 0", "hm 1", "hm 2"]


def test_a_prefill_is_refused_where_the_answer_would_begin_anew() -> None:
    with pytest.raises(Untranslatable):
        messages(user("x"), assistant("{"))


def test_device_and_session_stay_here() -> None:
    data = b"".join(write(claude_code(1), KEEPS).pieces)

    assert b"device_id" not in data and b"0-1-2-3" not in data and b"ddddd" not in data
