"""What a request of the Messages API becomes, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest
from corpus.messages_requests import (
    MARK,
    PARALLEL,
    PDF,
    PNG,
    assistant,
    call,
    claude_code,
    image,
    result,
    text,
    user,
)  # fmt: skip
from hub import read as read_body

from ampmap.bodies.texts import Raw, plain
from ampmap.errors import BadRequest, Untranslatable
from ampmap.formats import carrier
from ampmap.formats.conversation import (
    Call,
    Conversation,
    Mark,
    Media,
    Reasoning,
    Result,
    Seal,
    Text,
    Thinking,
    Turn,
)  # fmt: skip


def read(*messages: Any, **members: Any) -> Conversation:
    body = {"model": "m", "max_tokens": 9, "messages": messages or [user("hi")], **members}
    return read_body("anthropic", {key: value for key, value in body.items() if value is not ...})


def parts(*content: Any) -> list[Any]:
    """Return the parts of a user message behind a first turn."""
    return list(read(user("x"), assistant("y"), user(*content)).turns[-1].parts)


def texts(*content: Any) -> list[str]:
    return [plain(part.text) for part in parts(*content)]


def refused(*messages: Any, **members: Any) -> str:
    with pytest.raises((Untranslatable, BadRequest)) as caught:
        read(*messages, **members)
    return str(caught.value)


def test_what_claude_code_sends_first() -> None:
    said = read_body("anthropic", claude_code(0))

    assert said.system == (Text("You are Claude Code.", Mark()), Text("Be brief.", Mark()))
    assert [turn.role for turn in said.turns] == ["user", "system"]
    assert [tool.name for tool in said.tools] == ["Read", "Bash"]
    assert said.reasoning == Reasoning(effort="high", mode="adaptive", show=False)
    assert said.stream and said.max_output == 32000
    assert said.lost == ("context_management", "tools[].defer_loading")
    assert len(said.cache_key) == 32 and "0-1-2-3" not in said.cache_key and len(said.user) == 64


@pytest.mark.parametrize("turns", range(1, 7))
def test_a_message_is_the_same_when_it_is_no_longer_the_last(turns: int) -> None:
    before = read_body("anthropic", _unmarked(claude_code(turns - 1))).turns
    after = read_body("anthropic", _unmarked(claude_code(turns))).turns

    assert after[: len(before)] == before


def _unmarked(body: Any) -> Any:
    return json.loads(json.dumps(body).replace(json.dumps(MARK)[1:-1], '"x": 1'))


def test_a_string_is_one_text_block() -> None:
    assert read(user("hi"), system="be") == read(user(text("hi")), system=[text("be")])


def test_results_come_first_in_the_order_of_their_calls() -> None:
    said = read_body("anthropic", PARALLEL)

    assert said.turns[-1] == Turn("user", (
        Result("toolu_a", (Text("one"),), name="Read"),
        Result("toolu_b", (Text("two"), Text("more")), name="Read"),
        Result("toolu_c", (Media("image", "image/png", PNG), Text("three")), is_error=True, name="Bash"),
        Text("And this:"),
        Media("image", "image/png", PNG),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (image(), Media("image", "image/png", PNG)),
        ({**image(), **MARK}, Media("image", "image/png", PNG, mark=Mark())),
        ({"type": "image", "source": {"type": "url", "url": "https://x/y"}}, Media("image", url="https://x/y")),
        (
            {**image("application/pdf", PDF), "type": "document", "title": "t"},
            Media("document", "application/pdf", PDF, name="t"),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
            Media("document", url="https://x/y.pdf"),
        ),
        (
            {"type": "document", "title": "T", "context": "C", "source": {"type": "text", "data": "D"}},
            Text("T\nC\nD"),
        ),
        (
            {"type": "document", "title": "T", "source": {"type": "content", "content": "D"}},
            Text("T\nD"),
        ),
        (
            {"type": "search_result", "title": "T", "source": "https://s", "content": [text("a"), text("b")]},
            Text("T\nhttps://s\na\nb"),
        ),
        (text("a", cache_control={"type": "ephemeral", "ttl": "1h", "scope": "x"}), Text("a", Mark("1h"))),
    ],
)  # fmt: skip
def test_what_a_user_can_say(block: Any, expected: Any) -> None:
    assert parts(block) == [expected]


def test_a_document_of_blocks_is_its_blocks_behind_its_title() -> None:
    document = {"type": "document", "title": "T", "source": {"type": "content", "content": [text("a"), image()]}}

    assert parts(document) == [Text("T"), Text("a"), Media("image", "image/png", PNG)]


def test_nothing_of_blank_texts_and_of_thinking_in_a_users_message_is_left() -> None:
    thinking = {"type": "thinking", "thinking": "t", "signature": "s"}

    assert parts(text(""), text(" \n"), thinking, text("a")) == [Text("a")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("out\n", (Text("out\n"),)),
        ("", ()),
        (None, ()),
        ([], ()),
        ([text("a"), {"type": "tool_reference", "tool_name": "Grep"}], (Text("a"), Text("Tool available: Grep"))),
        ([{"type": "browser_state", "tab": 1}], (Text('{"type":"browser_state","tab":1}'),)),
    ],
)
def test_what_a_result_can_hold(content: Any, expected: Any) -> None:
    said = read(user("x"), assistant(call("a", "T")), user(result("a", content)))

    assert said.turns[-1].parts == (Result("a", expected, name="T"),)


def test_arguments_stay_as_the_client_wrote_them() -> None:
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": [user("x"), assistant(call("a", "T", at=0))]})
    given = '{"a" : 1.0,"b":12345678901234567890, "c":1e400 ,"a":2}'
    said = read_body("anthropic", body.replace('{"at": 0}', given).encode())

    assert said.turns[-1].parts == (Call("a", "T", Raw(given.encode())),)


@pytest.mark.parametrize("given", [None, ...])
def test_no_arguments_are_an_empty_object(given: Any) -> None:
    block = {key: value for key, value in {**call("a", "T"), "input": given}.items() if value is not ...}

    assert read(user("x"), assistant(block)).turns[-1].parts == (Call("a", "T", Raw(b"{}")),)


def test_reasoning_keeps_its_seal_or_comes_out_of_its_carrier() -> None:
    sealed = Seal("details", [{"a": 1}], "0" * 12, "deepseek")
    blocks = [
        {"type": "thinking", "thinking": "native", "signature": "c2ln"},
        {"type": "thinking", "thinking": "ours", "signature": carrier.encode(sealed)},
        {"type": "thinking", "thinking": "without", "signature": carrier.encode(Seal("", None, "0" * 12, "m"))},
        {"type": "thinking", "thinking": "broken", "signature": "ampmap1.???"},
        {"type": "thinking", "thinking": "empty", "signature": ""},
        {"type": "redacted_thinking", "data": "native"},
        {"type": "redacted_thinking", "data": carrier.encode(sealed)},
        {"type": "redacted_thinking", "data": "ampmap1.???"},
    ]

    assert read(user("x"), assistant(*blocks, text("a"))).turns[-1].parts == (
        Thinking("native", Seal("signature", "c2ln")),
        Thinking("ours", sealed),
        Thinking("without"),
        Thinking("broken"),
        Thinking("empty"),
        Thinking("", Seal("redacted", "native")),
        Thinking("", sealed),
        Text("a"),
    )


def test_what_a_server_ran_is_told_as_text() -> None:
    found = {"type": "web_search_result", "title": "T", "url": "https://u", "encrypted_content": "secret"}
    said = read(
        user("x"),
        assistant(
            text("I search."),
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [found]},
            {"type": "bash_code_execution_tool_result", "content": {"stdout": "out", "stderr": "", "return_code": 0}},
            {"type": "web_fetch_tool_result", "content": {"type": "e", "error_code": "too_old"}},
            {"type": "fallback", "from": {}},
            {"type": "never_heard_of"},
        ),
    )
    shown = [plain(part.text) for part in said.turns[-1].parts if isinstance(part, Text)]

    assert shown == ["I search.", '\n[web_search: {"query": "q"}]\n', "\nT https://u\n", "\nout\n", "\ntoo_old\n"]
    assert "messages[].content[never_heard_of]" in said.lost and "messages[].content[fallback]" in said.lost


def test_a_summary_stands_for_what_was_before_it() -> None:
    blocks = [{"type": "compaction", "content": "Summary"}, text("after")]
    said = read(user("a"), assistant("b"), user("c"), assistant(*blocks), user("d"))

    assert [turn.role for turn in said.turns] == ["user", "assistant", "user"]
    assert said.turns[0].parts == (Text("Summary"),)
    assert read(user("a"), assistant({"type": "compaction", "content": None}, text("b"))).turns[0].parts == (Text("a"),)


def test_system_messages_stay_in_their_places_until_they_are_cleared() -> None:
    clears = {"role": "system", "content": "left: 9", "clear_at": "next_user_message"}
    stays = {"role": "system", "content": [text("stays")], "output_config": {"effort": "low"}}
    said = read(user("a"), clears, assistant("b"), user("c"), stays, clears)

    assert [turn.role for turn in said.turns] == ["user", "assistant", "user", "system"]
    assert said.turns[-1].parts == (Text("stays"), Text("left: 9"))
    assert said.reasoning.effort == "low"


@pytest.mark.parametrize(
    ("block", "word"),
    [
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "messages.0.content.0"),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, "base64"),
        ({"type": "container_upload", "file_id": "f"}, "container_upload"),
        ({"type": "telepathy"}, "telepathy"),
        ("x", "messages.0.content.0"),
        ({"type": "tool_result", "content": "x"}, "tool_use_id"),
    ],
)
def test_blocks_that_are_refused_are_named(block: Any, word: str) -> None:
    assert word in refused({"role": "user", "content": [block]})
