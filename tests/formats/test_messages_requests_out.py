"""What a conversation becomes as a request of the Messages API: members, tools, marks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hub import dialect
from translating import body_of, request, target_of

from ampmap.bodies.texts import Raw
from ampmap.errors import Untranslatable
from ampmap.formats.base import Written
from ampmap.formats.conversation import (
    Choice,
    Conversation,
    Format,
    Mark,
    Media,
    Reasoning,
    Text,
    Thinking,
    Tool,
    Turn,
)  # fmt: skip
from ampmap.formats.usage import count

HI = (Turn("user", (Text("hi"),)),)
TOOL = Tool(name="A", schema=Raw(b'{"type":"object","properties":{}}'))
OPUS, SONNET, HAIKU = "claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5-20251001"
EPHEMERAL = {"type": "ephemeral"}


def write(model: str = OPUS, listed: Any = None, profile: Any = None, **fields: Any) -> Written:
    said = Conversation(**{"turns": HI, **fields})
    return request("anthropic", said, target_of("anthropic", model, listed, **(profile or {})))


def body(*args: Any, **fields: Any) -> Any:
    return body_of(write(*args, **fields))


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        (OPUS, None, 128000),
        (SONNET, None, 128000),
        (HAIKU, None, 64000),
        ("claude-3-5-haiku-latest", None, 8192),
        ("anthropic/claude-opus-4.1", None, 32000),
        ("claude-opus-9", None, 32000),
        ("qwen3", None, 32000),
        (HAIKU, 128000, 64000),
        ("claude-opus-9", 128000, 128000),
        (HAIKU, 5, 5),
    ],
)
def test_a_limit_is_always_sent(model: str, asked: int | None, sent: int) -> None:
    assert body(model, max_output=asked)["max_tokens"] == sent


def test_the_providers_list_knows_the_limit_better() -> None:
    assert body("claude-opus-9", {"max_tokens": 7})["max_tokens"] == 7
    assert body(HAIKU, profile={"max_output": 500})["max_tokens"] == 500
    assert write(HAIKU, {"max_tokens": 7}, max_output=9).lost == ("max_output",)


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        (OPUS, {"temperature": 0.5, "top_p": 0.9, "top_k": 4}, {}),
        ("claude-opus-9", {"temperature": 0.5}, {}),
        (SONNET, {"temperature": 0.5, "top_p": 0.9, "top_k": 4}, {"temperature": 0.5, "top_k": 4}),
        (SONNET, {"top_p": 0.9}, {"top_p": 0.9}),
        ("claude-sonnet-4", {"temperature": 2, "top_p": 0.9}, {"temperature": 1, "top_p": 0.9}),
        (HAIKU, {"temperature": 0.5, "top_k": 2, "reasoning": Reasoning(effort="low")}, {}),
        (HAIKU, {"temperature": 1, "reasoning": Reasoning(effort="low")}, {"temperature": 1}),
        ("qwen3", {"temperature": 0.5, "top_p": 0.9, "top_k": 4}, {"temperature": 0.5, "top_p": 0.9, "top_k": 4}),
    ],
)
def test_sampling_by_model(model: str, asked: Any, sent: Any) -> None:
    written = write(model, **asked)
    found = {key: value for key, value in body_of(written).items() if key in ("temperature", "top_p", "top_k")}

    assert found == sent
    assert set(written.lost) == {key for key in asked if key != "reasoning" and sent.get(key) != asked[key]}


ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort"),
    [
        (OPUS, Reasoning(), None, None),
        (OPUS, Reasoning(show=True), None, None),
        (OPUS, Reasoning(effort="minimal"), ADAPTIVE, "low"),
        (OPUS, Reasoning(effort="xhigh"), ADAPTIVE, "xhigh"),
        (SONNET, Reasoning(effort="xhigh"), ADAPTIVE, "high"),
        (OPUS, Reasoning(effort="high", show=False), {**ADAPTIVE, "display": "omitted"}, "high"),
        (OPUS, Reasoning(mode="adaptive"), ADAPTIVE, None),
        (OPUS, Reasoning(mode="on", budget=4000), ADAPTIVE, "medium"),
        (OPUS, Reasoning(effort="none"), {"type": "disabled"}, None),
        (OPUS, Reasoning(mode="off"), {"type": "disabled"}, None),
        ("claude-sonnet-5-5", Reasoning(mode="off"), {"type": "between_tools"}, None),
        ("claude-opus-5-5", Reasoning(mode="off"), None, "low"),
        (HAIKU, Reasoning(effort="none"), None, None),
        (HAIKU, Reasoning(effort="minimal"), {"type": "enabled", "budget_tokens": 1024}, None),
        (HAIKU, Reasoning(effort="medium"), {"type": "enabled", "budget_tokens": 8192}, None),
        (HAIKU, Reasoning(effort="high"), {"type": "enabled", "budget_tokens": 24576}, None),
        (HAIKU, Reasoning(effort="max"), {"type": "enabled", "budget_tokens": 32768}, None),
        (HAIKU, Reasoning(mode="on", budget=300), {"type": "enabled", "budget_tokens": 1024}, None),
        ("claude-3-5-sonnet-20241022", Reasoning(effort="high"), None, None),
        ("claude-opus-9", Reasoning(effort="high"), None, None),
    ],
)
def test_reasoning_by_model(model: str, reasoning: Reasoning, thinking: Any, effort: str | None) -> None:
    found = body(model, reasoning=reasoning)

    assert (found.get("thinking"), found.get("output_config", {}).get("effort")) == (thinking, effort)


def test_a_budget_stays_below_the_limit_or_goes() -> None:
    assert body(HAIKU, max_output=2000, reasoning=Reasoning(effort="high"))["thinking"]["budget_tokens"] == 1999
    written = write(HAIKU, max_output=1024, reasoning=Reasoning(effort="high"))
    assert "thinking" not in body_of(written) and written.lost == ("reasoning",)


def test_a_list_that_states_capabilities_is_believed() -> None:
    yes, no = {"supported": True}, {"supported": False}
    listed = {
        "capabilities": {
            "thinking": {"supported": True, "types": {"adaptive": yes, "enabled": no, "disabled": no}},
            "effort": {"supported": True, "low": yes, "medium": yes, "high": no, "max": no},
            "structured_outputs": no,
        }
    }
    found = body("claude-opus-9", listed, reasoning=Reasoning(effort="max"), format=Format(schema=Raw(b"{}")))

    assert (found["thinking"], found["output_config"]) == (ADAPTIVE, {"effort": "medium"})
    assert "JSON" in found["system"][-1]["text"]
    assert body("claude-opus-9", listed, reasoning=Reasoning(mode="off"))["output_config"] == {"effort": "low"}
    assert "thinking" not in body("claude-opus-9", {"capabilities": {"thinking": 1}}, reasoning=Reasoning(effort="low"))


@pytest.mark.parametrize(("model", "thinking"), [(OPUS, {"type": "disabled"}), (HAIKU, None), ("claude-fable-5", None)])
def test_a_forced_tool_goes_before_thinking(model: str, thinking: Any) -> None:
    written = write(
        model, tools=(TOOL,), choice=Choice("tool", ("A",)), reasoning=Reasoning(effort="high"), max_output=9000
    )
    found = body_of(written)

    assert found.get("thinking") == thinking and found["tool_choice"] == {"type": "tool", "name": "A"}
    assert written.lost == ("reasoning",)


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (Choice("auto"), None, {"type": "auto"}),
        (Choice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (Choice("none"), False, {"type": "none"}),
    ],
)
def test_choices(choice: Any, parallel: Any, sent: Any) -> None:
    found = body(tools=(TOOL,), choice=choice, parallel_calls=parallel)

    assert found.get("tool_choice") == sent and len(found["tools"]) == 1


def test_without_tools_there_is_no_choice() -> None:
    assert not {"tools", "tool_choice"} & body(parallel_calls=False).keys()


def test_the_root_of_a_schema_is_an_object_without_a_union() -> None:
    schema = Raw(b'{"anyOf":[{"properties":{"a":{}},"required":["a"]},{"properties":{"b":{}},"required":["a"]}]}')
    plain, union = (
        tool["input_schema"] for tool in body(tools=(Tool(name="A"), Tool(name="B", schema=schema)))["tools"]
    )

    assert plain == {"type": "object", "properties": {}}
    assert union["properties"] == {"a": {}, "b": {}} and union["required"] == ["a"] and "anyOf" not in union


def test_a_plain_schema_is_sent_as_it_came() -> None:
    schema = b'{ "type" : "object", "properties": {"a": {"default": 1.0}} }'

    assert schema in b"".join(write(tools=(Tool(name="A", schema=Raw(schema)),)).pieces)


def test_a_custom_tool_takes_a_text() -> None:
    grammar = {"syntax": "lark", "definition": "start: /x/"}
    (found,) = body(tools=(Tool(name="patch", kind="custom", description="d", grammar=grammar),))["tools"]

    assert found["description"] == "d\n\nThe input must match this lark grammar:\nstart: /x/"
    assert found["input_schema"]["required"] == ["input"]


def test_a_search_is_run_by_providers_that_can() -> None:
    search = Tool(name="web_search", kind="web_search", options={"max_uses": 2})

    (found,) = body(tools=(search,), system=(Text("s"),), profile={"web_search": True})["tools"]
    assert found == {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    forced = body(
        tools=(replace(search, name="search"),), choice=Choice("tool", ("search",)), profile={"web_search": True}
    )
    assert forced["tool_choice"] == {"type": "tool", "name": "web_search"}
    assert write(tools=(search, TOOL)).lost == ("tools[web_search]",)
    with pytest.raises(Untranslatable):
        write(tools=(search,))


def test_strict_goes_where_it_is_taken() -> None:
    strict = (Tool(name="A", strict=True),)

    assert body(tools=strict, profile={"strict_schemas": True})["tools"][0]["strict"] is True
    assert "strict" not in body(tools=strict)["tools"][0]


def test_long_names_come_back_in_the_reply() -> None:
    name = "mcp__" + "long" * 20
    written = write(tools=(Tool(name=name),))

    assert written.names == {body_of(written)["tools"][0]["name"]: name}


def test_marks_of_ours_where_the_client_has_none() -> None:
    found = body(system=(Text("a"), Text("b")), tools=(TOOL,))

    assert found["cache_control"] == EPHEMERAL
    assert [block.get("cache_control") for block in found["system"]] == [None, EPHEMERAL]
    assert body(tools=(TOOL,))["tools"][0]["cache_control"] == EPHEMERAL
    refuses = body(system=(Text("a"),), profile={"top_level_cache_control": False})
    assert "cache_control" not in refuses and refuses["system"][0]["cache_control"] == EPHEMERAL
    none = body(system=(Text("a"),), profile={"cache_control": False})
    assert "cache_control" not in none and "cache_control" not in none["system"][0]


def test_a_mark_for_the_whole_request() -> None:
    said: Any = {"system": (Text("a"),), "mark": Mark("1h")}
    hour = {**EPHEMERAL, "ttl": "1h"}

    found = body(**said)
    assert found["cache_control"] == hour and "cache_control" not in found["system"][0]
    refuses = body(**said, profile={"top_level_cache_control": False})
    assert "cache_control" not in refuses and refuses["system"][0]["cache_control"] == hour


def test_the_clients_marks_where_it_has_some_the_last_four() -> None:
    mark = Mark("1h")
    turns = (Turn("user", (Text("a", mark), Text("b", mark), Media("image", url="https://x", mark=mark))),)
    found = body(system=(Text("s", mark),), tools=(Tool(name="A", mark=mark),), turns=turns)
    blocks = [*found["tools"], *found["system"], *found["messages"][0]["content"]]

    assert [block.get("cache_control") for block in blocks] == [None, *[{**EPHEMERAL, "ttl": "1h"}] * 4]
    assert "cache_control" not in found


def test_json_is_asked_for_by_schema_or_in_words() -> None:
    schema = Format(schema=Raw(b'{"type":"object"}'), name="n", strict=True)

    assert body(format=schema)["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    old = write("claude-3-5-haiku-latest", format=schema)
    assert body_of(old)["system"][-1]["text"].endswith('{"type":"object"}') and "response_format" in old.lost
    assert body(format=Format())["system"][-1]["text"] == "Answer with one JSON value and nothing else."


def test_what_the_api_does_not_know_is_named() -> None:
    fields: dict[str, Any] = {
        "seed": 0, "presence_penalty": 0.1, "frequency_penalty": 0.1, "verbosity": "low",
        "cache_key": "k",
    }  # fmt: skip
    written = write(**fields, stop=("a", " "), stream=True, user="someone@example.org")
    found = body_of(written)

    assert set(written.lost) == set(fields) and not set(fields) & set(found)
    assert found["stop_sequences"] == ["a"] and found["stream"] is True
    assert len(found["metadata"]["user_id"]) == 64
    assert body(user="0123456789abcdef")["metadata"] == {"user_id": "0123456789abcdef"}


def test_a_count_asks_with_the_same_prompt() -> None:
    written = write(tools=(TOOL,), system=(Text("s"),), max_output=9, stream=True, stop=("x",))
    count = dialect("anthropic").write_count
    assert count is not None
    asked = count(written, target_of("anthropic", "m"))

    assert asked.path == "/v1/messages/count_tokens"
    gone = {"max_tokens", "stream", "stop_sequences"}
    assert body_of(asked) == {key: value for key, value in body_of(written).items() if key not in gone}


@pytest.mark.parametrize("name", ["anthropic", "openai-responses", "gemini"])
def test_what_a_counter_says_can_be_read(name: str) -> None:
    known = dialect(name)

    assert known.count_reply and count(known.count_reply(9), known.count_key) == 9


@pytest.mark.parametrize(("turns", "system"), [((), ()), ((Turn("assistant", (Thinking("t"),)),), (Text("s"),))])
def test_without_a_message_nothing_can_be_asked(turns: Any, system: Any) -> None:
    with pytest.raises(Untranslatable, match="at least one message"):
        write(turns=turns, system=system)
