"""What a provider of each format gets of what clients may send in any: schemas, cache marks, log probabilities."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import hub
import pytest
from rows import Rows

from ampmap.bodies.texts import Raw
from ampmap.errors import Untranslatable
from ampmap.formats.conversation import Call, Conversation, Format, Mark, Part, Result, Seal, Text, Thinking, Tool, Turn
from ampmap.formats.profile import Profile
from ampmap.formats.registry import FORMATS

USER = Turn("user", (Text("x"),))
UNION = b'{"anyOf":[{"properties":{"a":{},"b":{}},"required":["a","b"]},{"properties":{"a":{}},"required":["a"]}]}'

each_format = pytest.mark.parametrize("name", FORMATS)


def sent(name: str, profile: Profile | None = None, **said: Any) -> Any:
    conversation = Conversation(**{"turns": (USER,), **said})
    return hub.body(hub.write(name, conversation, hub.target(profile or Profile())))


def declared(body: Any) -> Any:
    """Return the only tool of a request, and its schema."""
    [tool] = body["tools"]
    tool = tool["functionDeclarations"][0] if "functionDeclarations" in tool else tool.get("function", tool)
    keys = ("input_schema", "parametersJsonSchema", "parameters")
    return tool, next(tool[key] for key in keys if key in tool)


@each_format
def test_the_root_of_a_schema_is_an_object(name: str) -> None:
    _, schema = declared(sent(name, tools=(Tool(name="f", schema=Raw(UNION)),)))

    assert ("object", {"a", "b"}, ["a"]) == (schema["type"], {*schema["properties"]}, schema["required"])
    assert "anyOf" not in schema and "anyOf" in schema["description"]


@each_format
def test_an_object_of_a_schema_has_properties(name: str) -> None:
    inner = Raw(b'{"type":"object","properties":{"a":{"type":"object"}}}')

    assert {} == declared(sent(name, tools=(Tool(name="f", schema=inner),)))[1]["properties"]["a"]["properties"]
    assert {} == declared(sent(name, tools=(Tool(name="f"),)))[1]["properties"]


CLOSED = b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'
OPEN = (
    b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}',
    b'{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}',
    b'{"anyOf":[%b,{"properties":{"b":{}}}]}' % CLOSED,
    b'{"type":"object","properties":{"a":%b},"required":["a"],"additionalProperties":false}' % b'{"type":"object"}',
)


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses"])
@pytest.mark.parametrize(("schema", "closed"), [(CLOSED, True), *((each, False) for each in OPEN)])
def test_strict_is_asked_for_where_a_schema_is_closed(name: str, schema: bytes, closed: bool) -> None:
    profile = Profile(strict_schemas=True)
    body = sent(name, profile, tools=(Tool(name="f", schema=Raw(schema), strict=True),))
    assert closed is declared(body)[0].get("strict", False)

    found = sent(name, format=Format(schema=Raw(schema)))
    form = found["response_format"]["json_schema"] if name == "openai-chat" else found["text"]["format"]
    assert closed is form["strict"]


@each_format
def test_strict_that_is_not_asked_for_is_named(name: str) -> None:
    said = Conversation(turns=(USER,), tools=(Tool(name="f", schema=Raw(OPEN[0]), strict=True),))

    for profile in (Profile(), Profile(strict_schemas=True)):
        written = hub.write(name, said, hub.target(profile))
        asked = declared(hub.body(written))[0].get("strict", False)
        assert (() if asked else ("tools[f].strict",)) == written.lost


@each_format
@pytest.mark.parametrize(
    ("tool", "lost"),
    [
        (Tool(name="f", schema=Raw(UNION)), "tools[f].parameters"),
        (Tool(name="f", kind="custom", grammar={"syntax": "lark", "definition": "start: X"}), "tools[f].custom"),
    ],
)
def test_what_a_functions_schema_does_not_say_is_named(name: str, tool: Tool, lost: str) -> None:
    assert (lost,) == hub.write(name, Conversation(turns=(USER,), tools=(tool,)), hub.target(Profile())).lost


def marks_in(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(marks_in, value))
    return sum(map(marks_in, value.values())) + ("cache_control" in value) if isinstance(value, dict) else 0


@each_format
@pytest.mark.parametrize(
    "marked",
    [
        {"turns": (Turn("user", (Text("x", Mark()),)),)},
        {"system": (Text("s", Mark()),)},
        {"tools": (Tool(name="f", mark=Mark()),)},
        {"mark": Mark()},
    ],
)
def test_cache_marks_that_a_provider_does_not_take_are_named(name: str, marked: Any) -> None:
    written = hub.write(name, Conversation(**{"turns": (USER,), **marked}), hub.target(Profile()))

    assert ("cache_control",) == written.lost and not marks_in(hub.body(written))


@each_format
def test_reasoning_of_another_provider_is_named(name: str) -> None:
    thought = Thinking("hm", Seal("signature", "sig", "other"))
    said = Conversation(turns=(USER, Turn("assistant", (thought, Text("a"))), USER))
    written = hub.write(name, said, hub.target(Profile(effort=("low",))))

    assert ("thinking",) == written.lost and b"hm" not in b"".join(written.pieces)


KNOWN_OPTIONS = Rows("tests/formats/test_what_targets_take.py: KNOWN_OPTIONS", "the options of its search tool", {
    "anthropic": {"allowed_domains", "blocked_domains", "user_location", "max_uses"},
    "openai-chat": {"user_location"},
    "openai-responses": {"allowed_domains", "user_location", "search_context_size"},
    "gemini": set[str](),
})  # fmt: skip


@each_format
def test_options_of_a_search_go_where_they_are_known(name: str) -> None:
    """A vendor refuses members that it does not know."""
    known = KNOWN_OPTIONS[name]
    options: dict[str, Any] = {
        "allowed_domains": ["a.example"], "blocked_domains": ["b.example"], "max_uses": 77,
        "user_location": {"type": "approximate", "city": "C"}, "search_context_size": "medium",
    }  # fmt: skip
    said = Conversation(turns=(USER,), tools=(Tool(name="s", kind="web_search", options=options),))
    written = hub.write(name, said, hub.target(Profile(web_search=True)))
    sent = b"".join(written.pieces)

    assert {f"tools[s].{key}" for key in options.keys() - known} == {*written.lost}
    values = {"allowed_domains": b"a.example", "blocked_domains": b"b.example", "max_uses": b"77",
              "user_location": b'"C"', "search_context_size": b"medium"}  # fmt: skip
    assert known == {key for key, value in values.items() if value in sent}


@pytest.mark.parametrize("name", ["anthropic", "openai-chat"])
@pytest.mark.parametrize("whole", [None, Mark()])
def test_no_more_than_four_cache_marks_are_sent_the_last_ones(name: str, whole: Mark | None) -> None:
    mark = Mark()
    result = Result("c", (Text("r", mark), Text("s", mark)), mark=mark)
    said: tuple[Part, ...] = (result, Text("y", mark))
    turns = (Turn("user", (Text("x", mark),)), Turn("assistant", (Call("c", "f", Raw(b"{}")),)), Turn("user", said))
    conversation = Conversation(system=(Text("s", mark),), turns=turns, tools=(Tool(name="f", mark=mark),), mark=whole)
    written = hub.write(name, conversation, hub.target(Profile(cache_control=True)))
    body = hub.body(written)

    assert "cache_control" in written.lost
    assert 4 == marks_in(body) if name == "anthropic" else 2 <= marks_in(body) <= 4
    assert 0 == marks_in(body["tools"]) == marks_in(body["messages"][:-2])
    assert "cache_control" in body["messages"][-1]["content"][-1]
    assert (whole is not None) is ("cache_control" in body)


@pytest.mark.parametrize(
    ("name", "asked", "lost"),
    [
        ("openai-chat", {"messages": [{"role": "user", "content": "x"}], "logprobs": True}, {"logprobs"}),
        ("openai-chat", {"messages": [{"role": "user", "content": "x"}], "logprobs": False}, set()),
        (
            "openai-responses",
            {"input": "x", "include": ["message.output_text.logprobs"], "top_logprobs": 2},
            {"include[message.output_text.logprobs]", "top_logprobs"},
        ),
        ("openai-responses", {"input": "x", "top_logprobs": None}, set()),
        (
            "gemini",
            {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"responseLogprobs": True, "logprobs": 2}},
            {"generationConfig.responseLogprobs", "generationConfig.logprobs"},
        ),
        (
            "gemini",
            {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"responseLogprobs": False}},
            set(),
        ),
    ],
)
def test_log_probabilities_are_named_as_lost_and_not_paid_for(name: str, asked: Any, lost: set[str]) -> None:
    path = "/v1beta/models/{model}:generateContent" if name == "gemini" else ""
    conversation = hub.read(name, asked, path)

    assert lost == set(conversation.lost)
    for provider in FORMATS.keys() - {name}:
        assert b"logprobs" not in b"".join(hub.write(provider, conversation).pieces).lower()


@each_format
@pytest.mark.parametrize("json_schema", [True, False])
def test_json_without_a_schema_is_asked_for_in_words_too(name: str, json_schema: bool) -> None:
    """OpenAI and DeepSeek refuse their mode for JSON unless a message says the word."""
    asked = sent(name, Profile(json_schema=json_schema), format=Format())

    assert "JSON" in json.dumps(asked.get("system") or asked.get("instructions") or asked) or name == "gemini"


def test_a_provider_of_responses_without_schemas_is_asked_in_words() -> None:
    said = Conversation(turns=(USER,), format=Format(schema=Raw(CLOSED)))
    written = hub.write("openai-responses", said, hub.target(Profile(json_schema=False)))
    body = hub.body(written)

    assert "text" not in body and CLOSED.decode() in body["instructions"]
    assert ("response_format",) == written.lost


@each_format
def test_a_system_prompt_alone_is_not_dropped(name: str) -> None:
    """Codex sends its developer message alone to warm up."""
    body = sent(name, system=(Text("be brief"),), turns=())

    assert "be brief" in json.dumps(body)
    assert name not in ("anthropic", "gemini") or (body.get("messages") or body["contents"])[0]["role"] == "user"


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses"])
def test_a_reply_that_is_to_go_on_with_a_text_is_refused_where_it_would_not(name: str) -> None:
    turns = (USER, Turn("assistant", (Text("{"),)))

    with pytest.raises(Untranslatable, match="does not support assistant message prefill"):
        hub.write(name, Conversation(turns=turns, prefill=True))
    assert hub.write(name, Conversation(turns=turns)).pieces


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses"])
@pytest.mark.parametrize(("model", "taken"), [("gpt-5", False), ("openai/o3-mini", False), ("gpt-4.1", True)])
def test_a_model_that_thinks_gets_no_temperature_from_a_provider_that_is_not_known(
    name: str, model: str, taken: bool
) -> None:
    said = Conversation(turns=(USER,), temperature=0.5, top_p=0.9)
    found = hub.write(name, said, replace(hub.target(), model=model))

    assert (taken, taken) == tuple(key in hub.body(found) for key in ("temperature", "top_p"))
    assert (() if taken else ("temperature", "top_p")) == found.lost
