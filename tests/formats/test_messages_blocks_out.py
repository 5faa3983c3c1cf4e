"""What the turns of a conversation become as messages of the Messages API."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from corpus.messages_requests import PDF, PNG
from hub import MAKER, dialect
from translating import body_of, request, target_of

from ampmap.bodies.texts import Raw
from ampmap.errors import Untranslatable
from ampmap.formats.base import Asked, Written
from ampmap.formats.conversation import Call, Conversation, Media, Reasoning, Result, Seal, Text, Thinking, Turn

OPUS, SONNET, HAIKU = "claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5-20251001"
GIF = base64.b64encode(b"GIF89a" + bytes(20)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(20)).decode()
WEBP = base64.b64encode(b"RIFF\0\0\0\0WEBPVP8 ").decode()


def write(*turns: Turn, model: str = OPUS, reasoning: Reasoning = Reasoning(), **profile: Any) -> Written:  # noqa: B008
    said = Conversation(turns=turns, reasoning=reasoning)
    known = {"files": True, "mid_system": "keep", "cache_control": False}
    return request("anthropic", said, target_of("anthropic", model, **{**known, **profile}))


def messages(*turns: Turn, **more: Any) -> Any:
    return body_of(write(*turns, **more))["messages"]


def user(*parts: Any) -> Turn:
    return Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Any) -> Turn:
    return Turn("assistant", user(*parts).parts)


def system(said: str) -> Turn:
    return Turn("system", (Text(said),))


def call(id_: str, name: str = "T", arguments: bytes = b"{}") -> Call:
    return Call(id_, name, Raw(arguments))


def text(said: str) -> Any:
    return {"type": "text", "text": said}


def ours(said: str = "t", signature: str = "sig", **fields: str) -> Thinking:
    return Thinking(said, Seal("signature", signature, fields.get("maker", MAKER), fields.get("model", OPUS)))


def source(part: Media) -> Any:
    return messages(user(part))[0]["content"][0]


@pytest.mark.parametrize(
    ("said", "data", "media_type"),
    [
        ("image/png", PNG, "image/png"),
        ("image/png", JPEG, "image/jpeg"),
        ("", GIF, "image/gif"),
        ("image/jpg", WEBP, "image/webp"),
        ("image/jpg", "AAAA" * 10, "image/jpeg"),
        ("IMAGE/WebP; x=y", "AAAA" * 10, "image/webp"),
    ],
)
def test_an_image_is_sent_as_what_it_is(said: str, data: str, media_type: str) -> None:
    expected = {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}

    assert source(Media("image", said, data)) == expected


def test_documents() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    said = base64.b64encode("é\n".encode()).decode()

    assert source(Media("document", "", PDF, name="n")) == {"type": "document", "source": pdf, "title": "n"}
    assert source(Media("document", "text/markdown", said))["source"] == {
        "type": "text", "media_type": "text/plain", "data": "é\n",
    }  # fmt: skip
    assert source(Media("document", url="https://x"))["source"] == {"type": "url", "url": "https://x"}


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (Media("audio", "audio/wav", "AAAA"), "audio"),
        (Media("image", "image/tiff", "AAAA" * 10), "image/tiff"),
        (Media("document", "application/zip", "AAAA" * 10), "application/zip"),
        (Media("document", "text/plain", "A"), "base64"),
    ],
)
def test_media_that_would_be_missing_are_refused(part: Media, word: str) -> None:
    with pytest.raises(Untranslatable, match=word):
        source(part)


def test_documents_go_where_they_are_taken() -> None:
    with pytest.raises(Untranslatable, match="document"):
        messages(user(Media("document", "", PDF)), files=False)


def test_results_stand_in_front_with_what_they_hold() -> None:
    results = (
        Result("a", (Text("out"),)),
        Result("b", (Text("x"), Media("image", "image/png", PNG)), is_error=True),
        Result("c", ()),
    )
    found = messages(user("go"), assistant(call("a"), call("b"), call("c")), user(*results, "then"))

    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    assert found[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "out"},
        {"type": "tool_result", "tool_use_id": "b", "content": [text("x"), image], "is_error": True},
        {"type": "tool_result", "tool_use_id": "c", "content": ""},
        text("then"),
    ]


def test_foreign_ids_become_the_same_ones_in_calls_and_results() -> None:
    found = messages(user("go"), assistant(call("functions.Bash:0")), user(Result("functions.Bash:0", (Text("x"),))))
    id_ = found[1]["content"][0]["id"]

    assert id_.isascii() and "." not in id_ and found[2]["content"][0]["tool_use_id"] == id_


def test_arguments_are_spliced() -> None:
    given = b'{"a" : 1.0,"b":12345678901234567890}'

    assert b'"input":' + given in b"".join(write(user("x"), assistant(call("a", "T", given))).pieces)


def test_a_text_behind_a_call_goes_before_it() -> None:
    found = messages(user("x"), assistant(ours(), "a", call("1"), ours("u"), "b", call("2")))[1]["content"]

    assert [block.get("text") or block.get("id") or block["thinking"] for block in found] == [
        "t", "a", "b", "1", "u", "2",
    ]  # fmt: skip


def test_only_what_the_target_sealed_goes_back() -> None:
    written = write(
        user("x"),
        assistant(
            ours("mine"),
            Thinking("", Seal("redacted", "data", MAKER, OPUS)),
            Thinking("from the vendor", Seal("signature", "raw")),
            ours("another provider's", maker="0" * 12),
            ours("another model's", model=HAIKU),
            Thinking("another kind", Seal("reasoning", "x", MAKER, OPUS)),
            Thinking("nobody's"),
            "a",
        ),
        user("y"),
    )

    assert body_of(written)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "mine", "signature": "sig"},
        {"type": "redacted_thinking", "data": "data"},
        {"type": "thinking", "thinking": "from the vendor", "signature": "raw"},
        text("a"),
    ]
    assert written.lost == ("thinking",)


@pytest.mark.parametrize("first", [ours(model=HAIKU), Thinking("gone")])
def test_thinking_by_budget_needs_thinking_before_the_last_calls(first: Thinking) -> None:
    written = write(
        user("x"), assistant(first, call("a")), user(Result("a", (Text("y"),))), model=HAIKU,
        reasoning=Reasoning(effort="high"),
    )  # fmt: skip

    assert ("thinking" in body_of(written)) is (first.seal is not None)
    assert ("reasoning" in written.lost) is (first.seal is None)


def test_adaptive_thinking_does_not() -> None:
    turns = (user("x"), assistant(call("a")), user(Result("a", (Text("y"),))))

    assert "thinking" in body_of(write(*turns, reasoning=Reasoning(effort="high")))


def test_a_turn_of_which_nothing_is_left_leaves_one_turn() -> None:
    assert messages(user("a"), assistant(Thinking("t")), user("b")) == [
        {"role": "user", "content": [text("a"), text("b")]}
    ]


def test_a_system_message_in_its_place_where_the_model_takes_one() -> None:
    turns = (user("a"), system("s"), assistant("b"), user("c"), system("t"))

    assert [message["role"] for message in messages(*turns)] == ["user", "system", "assistant", "user", "system"]
    folded = [text("a"), text("<system-reminder>\ns\n</system-reminder>")]
    for more in ({"model": SONNET}, {"mid_system": "fold"}, {"model": "qwen3", "mid_system": "fold"}):
        found = messages(*turns, **more)
        assert [message["role"] for message in found] == ["user", "assistant", "user"]
        assert found[0]["content"] == folded


def test_a_system_message_elsewhere_is_folded() -> None:
    behind_assistant = messages(user("a"), assistant("b"), system("s"), user("c"))
    assert behind_assistant[2]["content"] == [text("<system-reminder>\ns\n</system-reminder>"), text("c")]
    between_users = messages(user("a"), system("s"), user("c"))
    assert len(between_users) == 1
    two = messages(user("a"), system("s"), system("t"), assistant("b"), user("c"))
    assert two[1] == {"role": "system", "content": [text("s"), text("t")]}


def test_an_assistants_last_word_is_no_prefill_where_there_is_none() -> None:
    assert messages(user("a"), assistant("b"))[-1] == {"role": "user", "content": [text("Continue.")]}
    assert messages(user("a"), assistant("b \n"), model=HAIKU)[-1]["content"] == [text("b")]
    assert messages(user("a"), assistant("b", call("c")))[-1]["role"] == "assistant"


@pytest.mark.parametrize("seal", [Seal("signature", "s", MAKER, HAIKU), Seal("redacted", "s", MAKER, HAIKU)])
def test_a_prefill_does_not_end_with_reasoning(seal: Seal) -> None:
    thought = Thinking("t", seal)

    assert messages(user("a"), assistant("b ", thought, thought), model=HAIKU)[-1]["content"] == [text("b")]
    assert messages(user("a"), assistant(thought), model=HAIKU) == messages(user("a"), model=HAIKU)
    elsewhere = messages(user("a"), assistant(thought), user("c"), model=HAIKU)
    assert [message["role"] for message in elsewhere] == ["user", "assistant", "user"]


def test_a_turn_of_many_blocks_is_read_and_written_in_steps() -> None:
    said = Conversation(turns=(user(*map(str, range(1000))),))
    steps = dialect("anthropic").write_request(said, target_of("anthropic", OPUS))

    assert sum(1 for _ in steps) >= 10
    body = {"max_tokens": 9, "messages": messages(*said.turns)}
    assert body["messages"][0]["content"] == [text(str(number)) for number in range(1000)]
    asked = Asked(body=json.dumps(body).encode(), model="m", path="/v1/messages")
    assert sum(1 for _ in dialect("anthropic").read_request(asked)) >= 10
