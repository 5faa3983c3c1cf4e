"""What a chat server gets, by the profile of its provider; a strict one takes all of it."""

from __future__ import annotations

import json
from typing import Any

import hub
import pytest
import strict_chat

from ampmap.bodies.texts import Raw
from ampmap.errors import BadRequest, Untranslatable
from ampmap.formats.conversation import (
    Call,
    Choice,
    Conversation,
    Format,
    Mark,
    Media,
    Reasoning,
    Result,
    Seal,
    Text,
    Thinking,
    Tool,
    Turn,
)
from ampmap.formats.profile import UNKNOWN, Profile

_USER = Turn("user", (Text("x"),))
_IMAGE = Media("image", "image/png", "AAAA")
_PDF = Media("document", "application/pdf", "JVBERi0=")
_CALL = Call("c", "f", Raw(b'{"x": 1.0}'))
_TOOL = Tool(name="f", schema=Raw(b'{"type": "object", "properties": {}}'))


def written(profile: Profile = UNKNOWN, **said: Any) -> tuple[Any, tuple[str, ...]]:
    """Return a body that a strict server takes, and what is lost."""
    conversation = Conversation(**{"turns": (_USER,), **said})
    found = hub.write("openai-chat", conversation, hub.target(profile))
    body = hub.body(found)
    strict_chat.check(body, profile)
    assert body.pop("model") == hub.SENT
    return body, found.lost


def messages(*turns: Turn, profile: Profile = UNKNOWN, **said: Any) -> Any:
    return written(profile, turns=turns, **said)[0]["messages"]


def test_the_least() -> None:
    assert written() == ({"messages": [{"role": "user", "content": "x"}]}, ())


def test_system_texts_are_one_string() -> None:
    system = (Text("a"), Text("b", Mark()))
    assert messages(_USER, system=system)[0] == {"role": "system", "content": "a\n\nb"}
    assert messages(_USER, system=system, profile=Profile(developer_role=True))[0]["role"] == "developer"
    assert messages(_USER, system=system, profile=Profile(cache_control=True))[0]["content"] == [
        {"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
    ]  # fmt: skip


def test_a_conversation_without_messages_is_refused() -> None:
    with pytest.raises(BadRequest):
        written(turns=())


def test_media() -> None:
    url = Media("image", url="https://x/y", detail="high")
    assert messages(Turn("user", (Text("t"), _IMAGE, url))) == [
        {"role": "user", "content": [
            {"type": "text", "text": "t"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "https://x/y", "detail": "high"}},
        ]}
    ]  # fmt: skip
    assert messages(Turn("user", (_PDF,)), profile=Profile(files=True))[0]["content"][0]["file"] == {
        "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0=",
    }  # fmt: skip
    text = Media("document", "text/plain", "aMOp", name="a.txt")
    assert messages(Turn("user", (text,)))[0]["content"] == "a.txt\nhé"
    sound = Media("audio", "audio/mpeg", "AA==")
    assert messages(Turn("user", (sound,)))[0]["content"][0]["input_audio"] == {"data": "AA==", "format": "mp3"}


@pytest.mark.parametrize(
    ("media", "profile"),
    [
        (_PDF, UNKNOWN),
        (Media("document", url="https://x/y.pdf"), Profile(files=True)),
        (_IMAGE, Profile(images=False)),
        (Media("audio", "audio/ogg", "AA=="), UNKNOWN),
    ],
)
def test_media_that_the_provider_does_not_take_are_refused(media: Media, profile: Profile) -> None:
    with pytest.raises(Untranslatable, match="messages"):
        messages(Turn("user", (media,)), profile=profile)


def test_results_come_first_and_their_images_behind_the_last_of_them() -> None:
    calls = tuple(Call(id, "f", Raw(b"{}")) for id in "abcd")
    user = Turn("user", (
        Result("a", (Text("one"), _IMAGE, Text("two"))), Result("b", ()), Result("c", (Text("no"),), is_error=True),
        Result("d", (Text("<tool_use_error>no</tool_use_error>"),), is_error=True), Text("and"),
    ))  # fmt: skip
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    others = [
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "tool", "tool_call_id": "c", "content": "Error: no"},
        {"role": "tool", "tool_call_id": "d", "content": "<tool_use_error>no</tool_use_error>"},
    ]
    found = messages(_USER, Turn("assistant", calls), user, tools=(_TOOL,))
    assert found[2:] == [
        {"role": "tool", "tool_call_id": "a", "content": "one\n[image]\ntwo"}, *others,
        {"role": "user", "content": [image, {"type": "text", "text": "and"}]},
    ]  # fmt: skip
    found = messages(_USER, Turn("assistant", calls), user, profile=Profile(tool_content_parts=True))
    one, two = ({"type": "text", "text": text} for text in ("one", "two"))
    assert found[2:] == [
        {"role": "tool", "tool_call_id": "a", "content": [one, image, two]}, *others,
        {"role": "user", "content": "and"},
    ]  # fmt: skip
    found, lost = written(Profile(images=False), turns=(_USER, Turn("assistant", calls), user))
    assert found["messages"][-1]["content"] == "and" and lost == ("messages[].content[image]",)


def test_calls() -> None:
    turn = Turn("assistant", (Text("a"), _CALL, Text("b")))
    assert messages(_USER, turn)[1] == {
        "role": "assistant", "content": "ab",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": 1.0}'}}],
    }  # fmt: skip
    assert messages(_USER, Turn("assistant", (_CALL,)))[1]["content"] is None


@pytest.mark.parametrize(
    ("profile", "id", "sent"),
    [
        (UNKNOWN, "functions.Bash:0", "functions.Bash:0"),
        (Profile(tool_id_max=40), "x" * 40, "x" * 40),
        (Profile(tool_id="nine"), "abcdefgh1", "abcdefgh1"),
    ],
)
def test_an_id_that_fits_stays(profile: Profile, id: str, sent: str) -> None:
    found = messages(_USER, Turn("assistant", (Call(id, "f", Raw(b"{}")),)), Turn("user", (Result(id, ()),)),
                     profile=profile)  # fmt: skip
    assert found[1]["tool_calls"][0]["id"] == found[2]["tool_call_id"] == sent


@pytest.mark.parametrize("profile", [Profile(tool_id_max=40), Profile(tool_id="nine")])
def test_an_id_that_does_not_fit_is_the_same_for_call_and_result(profile: Profile) -> None:
    found = messages(
        _USER, Turn("assistant", (Call("t" * 64, "f", Raw(b"{}")), Call("t" * 64 + "2", "f", Raw(b"{}")))),
        Turn("user", (Result("t" * 64, ()), Result("t" * 64 + "2", ()))), profile=profile,
    )  # fmt: skip
    assert [call["id"] for call in found[1]["tool_calls"]] == [each["tool_call_id"] for each in found[2:]]


def test_long_names_are_the_same_everywhere() -> None:
    name = "mcp__" + "a" * 80
    conversation = Conversation(
        turns=(_USER, Turn("assistant", (Call("c", name, Raw(b"{}")),))), tools=(Tool(name=name),),
        choice=Choice("tool", (name,)),
    )  # fmt: skip
    found = hub.write("openai-chat", conversation)
    body = hub.body(found)
    sent = body["tools"][0]["function"]["name"]
    assert len(sent) == 64 and found.names == {sent: name}
    assert body["tool_choice"]["function"]["name"] == sent
    assert body["messages"][1]["tool_calls"][0]["function"]["name"] == sent


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (None, {"type": "object", "properties": {}}),
        ('{"type":"object"}', {"type": "object", "properties": {}}),
        ("{}", {"type": "object", "properties": {}}),
        (
            '{"type":"object","properties":{"a":{"type":"array","items":{"type":"object"}}}}',
            {"type": "object",
             "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {}}}}},
        ),
        (
            '{"anyOf":[{"properties":{"a":{}},"required":["a","b"]},{"properties":{"b":{}},"required":["b"]}]}',
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"],
             "description": '{"anyOf":[{"properties":{"a":{}},"required":["a","b"]},'
                            '{"properties":{"b":{}},"required":["b"]}]}'},
        ),
    ],
)  # fmt: skip
def test_schemas_are_repaired(schema: str | None, sent: Any) -> None:
    tool = Tool(name="f", schema=None if schema is None else Raw(schema.encode()))
    assert written(tools=(tool,))[0]["tools"][0]["function"]["parameters"] == sent


def test_a_schema_keeps_its_bytes_or_at_least_its_numbers() -> None:
    kept = b'{ "type" : "object", "properties": {"a": {"maximum": 1.0, "default": 1e400}} }'
    repaired = b'{"type":"object","a":12345678901234567890.0}'
    for data, sent in ((kept, kept), (repaired, repaired[:-1] + b',"properties":{}}')):
        found = hub.write("openai-chat", Conversation(turns=(_USER,), tools=(Tool(name="f", schema=Raw(data)),)))
        assert sent in b"".join(found.pieces)


def test_strict_only_for_closed_schemas() -> None:
    closed = '{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":false}'
    open_ = closed.replace('"required":["a"],', "")
    for profile, schema, strict in (
        (Profile(strict_schemas=True), closed, True), (Profile(strict_schemas=True), open_, None),
        (UNKNOWN, closed, None),
    ):  # fmt: skip
        body, lost = written(profile, tools=(Tool(name="f", schema=Raw(schema.encode()), strict=True),))
        assert body["tools"][0]["function"].get("strict") is strict
        assert lost == (() if strict else ("tools[f].strict",))
        body, _ = written(format=Format(schema=Raw(schema.encode())))
        assert body["response_format"]["json_schema"]["strict"] is (schema == closed)


def test_custom_tools() -> None:
    grammar = {"syntax": "lark", "definition": "start: /x/"}
    tools = (Tool(name="p", kind="custom", description="Patch.", grammar=grammar),)
    turn = Turn("assistant", (Call("c", "p", Raw(b'{"input": "a\\nb"}')),))
    body, lost = written(Profile(custom_tools=True), tools=tools, turns=(_USER, turn), choice=Choice("tool", ("p",)))
    format = {"type": "grammar", "grammar": grammar}
    assert body["tools"] == [{"type": "custom", "custom": {"name": "p", "description": "Patch.", "format": format}}]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "p"}} and not lost
    assert body["messages"][1]["tool_calls"][0]["custom"] == {"name": "p", "input": "a\nb"}
    body, lost = written(tools=tools, turns=(_USER, turn))
    assert body["tools"][0]["function"]["description"] == (
        "Patch.\nThe input must match this lark grammar:\nstart: /x/"
    )
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"] and lost == ("tools[p].custom",)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (Choice(), "auto"), (Choice("required"), "required"), (Choice("none"), "none"),
        (Choice("tool", ("f",)), {"type": "function", "function": {"name": "f"}}),
        (None, None),
    ],
)  # fmt: skip
def test_a_choice(choice: Choice | None, sent: Any) -> None:
    assert written(tools=(_TOOL,), choice=choice)[0].get("tool_choice") == sent
    assert "tool_choice" not in written(choice=choice if choice and choice.mode != "tool" else None)[0]


def test_parallel_calls_are_forbidden_only_where_the_client_does() -> None:
    assert "parallel_tool_calls" not in written(tools=(_TOOL,), parallel_calls=True)[0]
    assert written(tools=(_TOOL,), parallel_calls=False)[0]["parallel_tool_calls"] is False
    body, lost = written(Profile(parallel_tool_calls=False), tools=(_TOOL,), parallel_calls=False)
    assert "parallel_tool_calls" not in body and lost == ("parallel_calls",)
    assert "parallel_tool_calls" not in written(parallel_calls=False)[0]


def test_reasoning_goes_back_in_the_member_that_the_provider_wants() -> None:
    seal = Seal("details", [{"type": "reasoning.text", "signature": "S", "index": 0}], hub.MAKER, "m")
    turn = Turn("assistant", (Thinking("a", seal), Thinking("b"), Text("t"), _CALL))
    plain = {key: messages(_USER, turn, profile=Profile(reasoning_field=key))[1] for key in
             ("", "reasoning", "reasoning_content", "reasoning_details")}  # fmt: skip
    assert "reasoning" not in str(plain[""])
    assert plain["reasoning"]["reasoning"] == plain["reasoning_content"]["reasoning_content"] == "a\n\nb"
    assert plain["reasoning_details"]["reasoning_details"] == [
        {"type": "reasoning.text", "signature": "S", "index": 0, "text": "a"}
    ]
    # DeepSeek refuses a turn with calls without it.
    turn = Turn("assistant", (_CALL,))
    assert messages(_USER, turn, profile=Profile(reasoning_field="reasoning_content"))[1]["reasoning_content"] == ""
    # A turn of reasoning alone is none where nobody wants it.
    lone = (_USER, Turn("assistant", (Thinking("a"),)), Turn("user", (Text("y"),)))
    [message] = messages(*lone)
    assert [part["text"] for part in message["content"]] == ["x", "y"]
    assert len(messages(*lone, profile=Profile(reasoning_field="reasoning"))) == 3


def test_seals_of_other_providers_stay_away() -> None:
    for maker, there in ((hub.MAKER, True), ("another", False), ("", False)):
        details = Seal("details", [{"type": "reasoning.encrypted", "data": "X"}], maker, "m")
        thought = Seal("thought", "c2ln", maker, "m")
        turn = Turn("assistant", (Thinking("", details), Thinking("", thought), _CALL, Call("d", "f", Raw(b"{}"))))
        found = messages(_USER, turn, profile=Profile(reasoning_field="reasoning_details"))[1]
        assert ("reasoning_details" in found) == there
        google = [call.get("extra_content") for call in found["tool_calls"]]
        assert google == [{"google": {"thought_signature": "c2ln"}} if there else None, None]
        assert json.dumps(found).count("ampmap1") == 0


_DEEPSEEK = Profile(thinking_switch="thinking", effort=("low", "high"), forced_with_thinking=False)


@pytest.mark.parametrize(
    ("profile", "reasoning", "sent"),
    [
        (UNKNOWN, Reasoning(effort="high"), {}),
        (Profile(effort=("low", "medium", "high")), Reasoning(effort="max"), {"reasoning_effort": "high"}),
        (Profile(effort=("low", "medium", "high")), Reasoning(effort="minimal"), {"reasoning_effort": "low"}),
        (Profile(effort=("low", "high")), Reasoning(effort="medium"), {"reasoning_effort": "low"}),
        (Profile(effort=("none", "low")), Reasoning(mode="off"), {"reasoning_effort": "none"}),
        (Profile(effort=("none", "low")), Reasoning(effort="none"), {"reasoning_effort": "none"}),
        (Profile(effort=("low",)), Reasoning(mode="off"), {}),
        (Profile(effort=("low", "medium", "high", "xhigh")), Reasoning(mode="on", budget=9000),
         {"reasoning_effort": "high"}),
        (Profile(effort=("low", "high")), Reasoning(mode="adaptive"), {}),
        (_DEEPSEEK, Reasoning(mode="adaptive", effort="high"),
         {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        (_DEEPSEEK, Reasoning(mode="off"), {"thinking": {"type": "disabled"}}),
        (Profile(thinking_switch="enable_thinking"), Reasoning(mode="on"), {"enable_thinking": True}),
        (Profile(thinking_switch="chat_template_kwargs"), Reasoning(mode="off"),
         {"chat_template_kwargs": {"enable_thinking": False}}),
        (Profile(thinking_switch="reasoning", effort=("low", "high")), Reasoning(mode="on", budget=9000),
         {"reasoning": {"max_tokens": 9000}}),
        (Profile(thinking_switch="reasoning", effort=("low", "high")), Reasoning(effort="high"),
         {"reasoning": {"effort": "high"}}),
        (Profile(effort=("low",)), Reasoning(), {}),
    ],
)  # fmt: skip
def test_effort(profile: Profile, reasoning: Reasoning, sent: Any) -> None:
    body, lost = written(profile, reasoning=reasoning)
    body.pop("messages")
    assert body == sent
    said = bool(reasoning.effort or reasoning.budget or reasoning.mode in ("on", "off"))
    assert bool(lost) == (said and not sent)


def test_effort_beside_tools() -> None:
    profile = Profile(effort=("low", "high"), effort_with_tools=False)
    body, lost = written(profile, tools=(_TOOL,), reasoning=Reasoning(effort="high"))
    assert "reasoning_effort" not in body and lost == ("reasoning.effort",)
    body, lost = written(_DEEPSEEK, tools=(_TOOL,), choice=Choice("required"), reasoning=Reasoning(effort="high"))
    assert body["thinking"] == {"type": "disabled"} and "reasoning_effort" not in body and lost == ("reasoning",)
