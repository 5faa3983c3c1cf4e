"""Limits, formats, caches and prefills of a request for a chat server, by the profile of its provider."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import hub
import pytest
import strict_chat

from ampmap.bodies.texts import Long, Raw
from ampmap.errors import Untranslatable
from ampmap.formats.conversation import Call, Conversation, Format, Mark, Reasoning, Result, Text, Tool, Turn
from ampmap.formats.profile import UNKNOWN, Profile

_USER = Turn("user", (Text("x"),))


def written(profile: Profile = UNKNOWN, **said: Any) -> tuple[Any, tuple[str, ...]]:
    conversation = Conversation(**{"turns": (_USER,), **said})
    found = hub.write("openai-chat", conversation, hub.target(profile))
    body = hub.body(found)
    strict_chat.check(body, profile)
    return {key: value for key, value in body.items() if key != "model"}, found.lost


@pytest.mark.parametrize(
    ("profile", "said", "sent", "lost"),
    [
        (UNKNOWN, {"max_output": 9}, {"max_tokens": 9}, ()),
        (Profile(max_tokens_key="max_completion_tokens"), {"max_output": 9}, {"max_completion_tokens": 9}, ()),
        (Profile(max_output=8), {"max_output": 9}, {"max_tokens": 8}, ("max_output",)),
        (UNKNOWN, {"temperature": 1, "top_p": 0.5, "seed": 1}, {"temperature": 1, "top_p": 0.5, "seed": 1}, ()),
        (UNKNOWN, {"top_k": 5}, {}, ("top_k",)),
        (Profile(top_k=True), {"top_k": 5}, {"top_k": 5}, ()),
        (UNKNOWN, {"stop": ("a", "b", "c", "d", " ")}, {"stop": list("abcd")}, ()),
        (UNKNOWN, {"stop": tuple("abcde")}, {"stop": list("abcd")}, ("stop",)),
        (UNKNOWN, {"verbosity": "low"}, {}, ("verbosity",)),
        (Profile(verbosity=True), {"verbosity": "low"}, {"verbosity": "low"}, ()),
        (UNKNOWN, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, ()),
        (Profile(stream_usage=False), {"stream": True}, {"stream": True}, ()),
        (UNKNOWN, {"cache_key": "k", "user": "u"}, {}, ("cache_key",)),
        (Profile(prompt_cache_key=True), {"cache_key": "k", "user": "u"}, {"prompt_cache_key": "k"}, ()),
        (
            Profile(prompt_cache_key=True), {"user": "u"},
            {"prompt_cache_key": "0bfe935e70c321c7ca3afc75ce0d0ca2"}, (),
        ),
        (UNKNOWN, {"mark": Mark()}, {}, ("cache_control",)),
        (UNKNOWN, {"system": (Text("s", Mark()),)}, {}, ("cache_control",)),
        (UNKNOWN, {"turns": (Turn("user", (Text("s", Mark()),)),)}, {}, ("cache_control",)),
        (Profile(cache_control=True), {"mark": Mark("1h")}, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, ()),
    ],
)  # fmt: skip
def test_an_option(profile: Profile, said: Any, sent: Any, lost: Any) -> None:
    found, missing = written(profile, **said)
    del found["messages"]
    assert (found, missing) == (sent, lost)


@pytest.mark.parametrize(
    ("model", "effort", "taken"),
    [
        ("gpt-5", None, False), ("openai/gpt-5-mini", None, False), ("gpt-5.5", "low", False), ("o3", None, False),
        ("o4-mini:high", None, False), ("gpt-5.5", "none", True), ("gpt-5-chat-latest", None, True),
        ("gpt-4o", None, True), ("gpt-oss-120b", None, True), ("o3d", None, True), ("turbo3", None, True),
    ],
)  # fmt: skip
def test_models_that_reason_get_no_sampling_that_they_refuse(model: str, effort: Any, taken: bool) -> None:
    sampling: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 1,
        "frequency_penalty": 1,
        "stop": ["a"],
    }
    said = Conversation(turns=(_USER,), seed=7, reasoning=Reasoning(effort=effort), **{**sampling, "stop": ("a",)})
    profile = Profile(effort=("none", "low"))
    found = hub.write("openai-chat", said, replace(hub.target(profile), model=model))

    body = hub.body(found)
    assert 7 == body["seed"]
    assert (sampling if taken else {}) == {key: body[key] for key in sampling if key in body}
    assert (() if taken else tuple(sampling)) == found.lost


def test_a_format() -> None:
    schema = Raw(b'{"type": "object"}')
    body, lost = written(format=Format(schema=schema, name="the name!", description="d", strict=True))
    assert body["response_format"] == {"type": "json_schema", "json_schema": {
        "name": "the_name_", "description": "d", "schema": {"type": "object"}, "strict": False}}  # fmt: skip
    assert not lost and len(body["messages"]) == 1
    body, lost = written(Profile(json_schema=False), format=Format(schema=schema), system=(Text("Be brief."),))
    assert body["response_format"] == {"type": "json_object"} and lost == ("response_format",)
    assert body["messages"][0]["content"].startswith("Be brief.\n\nAnswer with one JSON value")
    assert body["messages"][0]["content"].endswith('{"type": "object"}')
    listed, _ = written(Profile(json_schema=False), format=Format(schema=Raw(b'{"type": "array"}')))
    assert "response_format" not in listed  # JSON mode writes objects alone
    body, _ = written(format=Format())
    assert body["response_format"] == {"type": "json_object"}
    assert "JSON" in body["messages"][0]["content"]


def test_system_texts_in_the_conversation() -> None:
    turns = (_USER, Turn("system", (Text("s"), Text("t"))))
    assert written(Profile(mid_system="keep"), turns=turns)[0]["messages"] == [
        {"role": "user", "content": "x"}, {"role": "system", "content": "s\n\nt"},
    ]  # fmt: skip
    [message] = written(turns=turns)[0]["messages"]
    assert message["role"] == "user" and "<system-reminder>\ns\n" in json.dumps(message).replace("\\n", "\n")


_PREFILL = (_USER, Turn("assistant", (Text("{"),)))


def test_a_prefill() -> None:
    with pytest.raises(Untranslatable, match="prefill"):
        written(turns=_PREFILL, prefill=True)
    last = {"role": "assistant", "content": "{"}
    assert written(Profile(prefill="native"), turns=_PREFILL, prefill=True)[0]["messages"][-1] == last
    body, _ = written(Profile(prefill="prefix"), turns=_PREFILL, prefill=True)
    assert body["messages"][-1] == {**last, "prefix": True}
    body, _ = written(Profile(prefill="continue_final_message"), turns=_PREFILL, prefill=True)
    assert body["messages"][-1] == last
    assert body["continue_final_message"] is True and body["add_generation_prompt"] is False


def test_an_assistants_turn_that_is_to_go_on() -> None:
    assert written(turns=_PREFILL)[0]["messages"][1:] == [
        {"role": "assistant", "content": "{"}, {"role": "user", "content": "Continue."},
    ]  # fmt: skip


def test_web_search_is_left_out_beside_others_and_refused_alone() -> None:
    search = Tool(name="web_search", kind="web_search", options={"user_location": {"type": "approximate", "city": "B"}})
    body, lost = written(tools=(search, Tool(name="f")))
    assert len(body["tools"]) == 1 and lost == ("tools[web_search]",)
    with pytest.raises(Untranslatable):
        written(tools=(search,))
    body, _ = written(Profile(web_search=True), tools=(search,))
    assert body["web_search_options"] == {"user_location": {"type": "approximate", "approximate": {"city": "B"}}}


def test_cache_marks_change_nothing_else() -> None:
    """A mark moves from message to message; a message with one is otherwise as it is without."""
    profile = Profile(cache_control=True)
    call = Turn("assistant", (Call("c", "f", Raw(b"{}")),))
    made = []
    for mark in (None, Mark()):
        turns = (Turn("user", (Text("x", mark),)), call, Turn("user", (Result("c", (Text("r"),), mark=mark),)))
        tools = (Tool(name="f", mark=mark),)
        made.append(written(profile, turns=turns, tools=tools, system=(Text("s", mark),))[0])
    plain, marked = (json.dumps(each) for each in made)
    text = ', "cache_control": {"type": "ephemeral"}'
    assert marked.count(text) == 4
    assert marked.replace(text, "") == plain


def test_long_texts_are_not_copied() -> None:
    data = memoryview(b"A" * 300_000)
    found = hub.write("openai-chat", Conversation(turns=(Turn("user", (Text(Long(data)),)),)))
    assert any(piece is data for piece in found.pieces)
