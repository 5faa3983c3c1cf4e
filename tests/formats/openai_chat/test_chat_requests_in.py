"""What a chat client asks for is read, row by row, or refused, or named as lost."""

from __future__ import annotations

import json
from typing import Any

import hub
import pytest

from ampmap.bodies.texts import Raw, plain
from ampmap.errors import BadRequest, Untranslatable
from ampmap.formats.carrier import encode
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
    Turn,
)

_ASK = [{"role": "user", "content": "x"}]
_PNG = "data:image/png;base64,iVBORw0KGgo="
_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def read(messages: Any = None, **more: Any) -> Conversation:
    return hub.read("openai-chat", {"model": "m", "messages": messages or _ASK, **more})


def assistant(**message: Any) -> tuple[Any, ...]:
    """Return the parts of an assistant's message."""
    return read([*_ASK, {"role": "assistant", **message}]).turns[1].parts


def test_leading_system_messages_are_the_prompt_later_ones_stay() -> None:
    found = read(
        [
            {"role": "system", "content": "a"}, {"role": "developer", "content": [{"type": "text", "text": "b"}]},
            *_ASK, {"role": "system", "content": "c"},
        ]
    )  # fmt: skip
    assert found.system == (Text("a"), Text("b"))
    assert [turn.role for turn in found.turns] == ["user", "system"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "t"}, Text("t")),
        ({"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}, Text("t", Mark())),
        ({"type": "text", "text": "t", "prompt_cache_breakpoint": {"ttl": "12h"}}, Text("t", Mark("1h"))),
        ({"type": "image_url", "image_url": {"url": _PNG}}, Media("image", "image/png", "iVBORw0KGgo=")),
        ({"type": "image_url", "image_url": _PNG}, Media("image", "image/png", "iVBORw0KGgo=")),
        (
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
            Media("image", url="https://x/y.png", detail="low"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            Media("document", "application/pdf", "JVBERi0=", name="a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "JVBERi0="}}, Media("document", "application/pdf", "JVBERi0=")),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
            Media("audio", "audio/mp3", "AA=="),
        ),
    ],
)  # fmt: skip
def test_a_part(part: Any, expected: Any) -> None:
    assert read([{"role": "user", "content": [part]}]).turns == (Turn("user", (expected,)),)


def test_a_long_image_stays_a_slice_and_loses_its_prefix() -> None:
    for slash in ("/", "\\/"):
        body = json.dumps({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "AAAA" * 2000}}]}]})  # fmt: skip
        found = hub.read("openai-chat", body.replace("image/png", f"image{slash}png").encode())
        [media] = found.turns[0].parts
        assert isinstance(media, Media) and media.data is not None
        assert (media.media_type, plain(media.data)) == ("image/png", "AAAA" * 2000)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}, "messages[0].content[0]"),
        ({"role": "user", "content": [{"type": "video_url", "video_url": {}}]}, "messages[0].content[0]"),
    ],
)
def test_a_part_that_cannot_be_translated_is_refused(message: Any, param: str) -> None:
    with pytest.raises(Untranslatable) as raised:
        read([message])
    assert raised.value.param == param


def test_calls_and_their_results() -> None:
    found = read(
        [
            *_ASK,
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1.0}'}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
                {"id": "c", "type": "custom", "custom": {"name": "p", "input": "*** \"x\""}},
            ]},
            {"role": "tool", "tool_call_id": "b", "content": "rb"},
            {"role": "user", "content": "and"},
            {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "ra"}]},
            {"role": "tool", "tool_call_id": "c", "content": None},
        ]
    )  # fmt: skip
    assert found.turns[1:] == (
        Turn("assistant", (
            Call("a", "f", Raw(b'{"x": 1.0}')), Call("b", "g", Raw(b"{}")),
            Call("c", "p", Raw(b'{"input":"*** \\"x\\""}')),
        )),
        Turn("user", (
            Result("a", (Text("ra"),), name="f"), Result("b", (Text("rb"),), name="g"), Result("c", (), name="p"),
            Text("and"),
        )),
    )  # fmt: skip


def test_functions_of_the_older_form_get_ids_that_stay() -> None:
    messages = [
        *_ASK,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
    ]
    found = read(messages, functions=[{"name": "f"}], function_call={"name": "f"})
    call, result = found.turns[1].parts[0], found.turns[2].parts[0]
    assert isinstance(call, Call) and isinstance(result, Result)
    assert call.id == result.id and call.id.startswith("fc_")
    assert found.choice == Choice("tool", ("f",)) and found.parallel_calls is False and found.reply_options.legacy
    longer = read([*messages, {"role": "assistant", "content": "A"}], functions=[{"name": "f"}])
    assert longer.turns[: len(found.turns)] == found.turns


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_reasoning_without_a_seal(member: str) -> None:
    assert assistant(content="A", **{member: "hm"}) == (Thinking("hm"), Text("A"))


def test_thinking_blocks() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "SIG"},
        {"type": "redacted_thinking", "data": "XYZ"},
    ]
    assert assistant(content="A", thinking_blocks=blocks, reasoning_content="hm") == (
        Thinking("hm", Seal("signature", "SIG")), Thinking("", Seal("redacted", "XYZ")), Text("A"),
    )  # fmt: skip


def test_details_with_carriers_come_back_at_their_places() -> None:
    signature, thought = Seal("signature", "SIG", "maker", "m"), Seal("thought", "c2ln", "maker", "m")
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": encode(signature), "index": 0},
        {"type": "reasoning.encrypted", "data": encode(thought), "id": "b", "index": 1},
        {"type": "reasoning.encrypted", "data": "of somebody else", "format": "openai-responses-v1", "index": 2},
    ]
    calls = [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in "ab"]
    assert assistant(content=None, reasoning_details=details, reasoning_content="hm", tool_calls=calls) == (
        Thinking("hm", signature), Call("a", "f", Raw(b"{}")), Thinking("", thought), Call("b", "f", Raw(b"{}")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("signature", "seal"),
    [
        ("c2ln", Seal("thought", "c2ln")),
        (encode(Seal("thought", "c2ln", "maker", "m"), pure_base64=True), Seal("thought", "c2ln", "maker", "m")),
    ],
)
def test_googles_signature_on_a_call(signature: str, seal: Seal) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": signature}}}  # fmt: skip
    assert assistant(content=None, tool_calls=[call]) == (Thinking("", seal), Call("a", "f", Raw(b"{}")))


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ({"max_tokens": 7}, {"max_output": 7}),
        ({"max_completion_tokens": 9.0, "max_tokens": 7}, {"max_output": 9}),
        ({"max_completion_tokens": None, "max_tokens": 7}, {"max_output": 7}),
        ({"temperature": 0.5, "top_p": 1, "top_k": 3}, {"temperature": 0.5, "top_p": 1, "top_k": 3}),
        ({"stop": "END"}, {"stop": ("END",)}),
        ({"stop": ["a", "b"]}, {"stop": ("a", "b")}),
        ({"stop": None, "n": 1, "modalities": ["text"]}, {"stop": ()}),
        ({"seed": 1, "presence_penalty": 1, "frequency_penalty": 2}, {"seed": 1, "frequency_penalty": 2}),
        ({"reasoning_effort": "high"}, {"reasoning": Reasoning(effort="high")}),
        ({"reasoning": {"effort": "low", "exclude": True}}, {"reasoning": Reasoning(effort="low", show=False)}),
        ({"reasoning": {"max_tokens": 2000}}, {"reasoning": Reasoning(budget=2000)}),
        ({"thinking": {"type": "disabled"}}, {"reasoning": Reasoning(mode="off")}),
        ({"verbosity": "low", "user": "me"}, {"verbosity": "low", "user": "me"}),
        ({"prompt_cache_key": "k"}, {"cache_key": "k"}),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, {"mark": Mark("1h")}),
        ({"response_format": {"type": "text"}}, {"format": None}),
        ({"response_format": {"type": "json_object"}}, {"format": Format()}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {
                "name": "n", "strict": True, "schema": {"type": "object"}}}},
            {"format": Format(schema=Raw(b'{"type": "object"}'), name="n", strict=True)},
        ),
        ({"tools": [_TOOL], "tool_choice": "none"}, {"choice": Choice("none")}),
        ({"tools": [_TOOL], "tool_choice": "required"}, {"choice": Choice("required")}),
        (
            {"tools": [_TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"choice": Choice("tool", ("f",))},
        ),
        (
            {"tools": [_TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {
                "mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}}},
            {"choice": Choice("required", ("f",))},
        ),
        ({"tools": [_TOOL], "parallel_tool_calls": False}, {"parallel_calls": False}),
    ],
)  # fmt: skip
def test_an_option(member: Any, expected: dict[str, Any]) -> None:
    found = read(**member)
    assert {key: getattr(found, key) for key in expected} == expected
    assert found.lost == ()


@pytest.mark.parametrize(
    ("member", "param"),
    [
        ({"n": 2}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"stream": True, "tools": [{"type": "custom", "custom": {"name": "p"}}]}, "tools"),
    ],
)
def test_an_option_that_would_leave_the_client_waiting_is_refused(member: Any, param: str) -> None:
    with pytest.raises(Untranslatable) as raised:
        read(**member)
    assert raised.value.param == param
    assert str(raised.value).startswith(param)


def test_the_rest_is_named_as_lost() -> None:
    found = read(
        [{"role": "user", "content": "x", "name": "me"}],
        logit_bias={"1": 2}, store=True, service_tier="flex", metadata={"a": "b"}, prediction={"type": "content"},
        some_new_key=1, store_not=None, audio={"voice": "x"},
    )  # fmt: skip
    assert found.lost == (
        "messages[].name", "logit_bias", "store", "service_tier", "metadata", "prediction", "some_new_key", "audio",
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b'"x"', b"{}", b'{"messages":1}', b'{"messages":[1]}', b'{"messages":[{"role":"boss"}]}',
        b'{"messages":[{"role":"user","content":1}]}', b'{"messages":[],"max_tokens":"x"}',
        b'{"messages":[],"temperature":true}', b'{"messages":[],"tools":[{"type":"function"}]}',
        b'{"messages":[],"tool_choice":"perhaps"}', b'{"messages":[],"response_format":{"type":"x"}}',
        b'{"messages":[],"reasoning_effort":"much"}', b'{"messages":[{"role":"tool","content":"x"}]}',
        b'{"messages":[{"role":"assistant","tool_calls":[{}]}]}', b'{"messages":[' + b"[" * 5000,
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        hub.read("openai-chat", body)
