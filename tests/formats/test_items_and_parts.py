"""The rarer members of requests, read: items of Responses, parts of Gemini's contents, tools of Chat Completions."""

from __future__ import annotations

from typing import Any

import hub
import pytest

from ampmap.bodies.texts import Raw
from ampmap.errors import BadRequest, Untranslatable
from ampmap.formats.conversation import Call, Choice, Conversation, Media, Result, Text, Thinking, Tool

USER = {"role": "user", "content": "x"}


def parts(found: Conversation) -> list[Any]:
    """Return the parts of all turns; of a call and its result the words alone."""
    return [_short(part) for turn in found.turns for part in turn.parts]


def _short(part: Any) -> Any:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, Call):
        assert isinstance(part.arguments, Raw)
        return part.name, bytes(part.arguments.data).decode()
    if isinstance(part, Result):
        return [_short(each) for each in part.parts]
    return part


# Items and parts of Responses.


def responses(*items: Any) -> Conversation:
    return hub.read("openai-responses", {"input": [*items]})


def called(kind: str, output: dict[str, Any], **members: Any) -> list[Any]:
    return [USER, {"type": f"{kind}_call", "call_id": "c", **members}, {"call_id": "c", **output}]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (
            called("shell", {"type": "shell_call_output", "output": [{"stdout": "a"}]}, action={"commands": ["ls"]}),
            [("shell", '{"commands": ["ls"]}'), ['[{"stdout":"a"}]']],
        ),
        (
            [USER, {"type": "local_shell_call", "id": "c", "action": {"command": ["ls"]}},
             {"type": "local_shell_call_output", "id": "c", "output": "a"}],
            [("local_shell", '{"command": ["ls"]}'), ["a"]],
        ),
        (
            called("apply_patch", {"type": "apply_patch_call_output", "status": "completed", "output": "done"},
                   operation={"type": "delete_file"}),
            [("apply_patch", '{"type": "delete_file"}'), ["completed\ndone"]],
        ),
        (
            called("apply_patch", {"type": "apply_patch_call_output", "status": "failed"}, operation={}),
            [("apply_patch", "{}"), ["failed"]],
        ),
        (
            called("tool_search", {"type": "tool_search_output", "execution": "client",
                                   "tools": [{"type": "function", "name": "g"}]},
                   execution="client", arguments={"q": "g"}),
            [("tool_search", '{"q": "g"}'), ["Tools found: g"]],
        ),
        ([USER, {"type": "web_search_call", "action": {"type": "search", "query": "cats"}}], ["[web search: cats]"]),
        ([USER, {"type": "web_search_call", "action": {"queries": ["a", "b"]}}], ["[web search: a, b]"]),
        ([USER, {"type": "web_search_call", "action": {"type": "open_page"}}], []),
        ([USER, {"type": "code_interpreter_call", "code": "1+1"}], ["[code_interpreter_call] 1+1"]),
        (
            [USER, {"type": "agent_message", "author": "a", "recipient": "b",
                    "content": [{"type": "input_text", "text": "hi"}]}],
            ["[message from a to b]\nhi"],
        ),
    ],
)  # fmt: skip
def test_an_item_of_responses_becomes_what_others_know(items: list[Any], expected: list[Any]) -> None:
    assert ["x", *expected] == parts(responses(*items))


@pytest.mark.parametrize(
    ("item", "lost"),
    [
        ({"type": "tool_search_call", "call_id": "c", "execution": "server"}, "input[].tool_search_call"),
        ({"type": "agent_message", "content": [{"type": "encrypted_content"}]}, "input[].encrypted_content"),
        ({"type": "wonder"}, "input[].wonder"),
    ],
)
def test_an_item_that_others_cannot_know_is_told_as_lost(item: dict[str, Any], lost: str) -> None:
    found = responses(USER, item, USER)

    assert (["x", "x"], (lost,)) == (parts(found), found.lost)


@pytest.mark.parametrize(
    ("items", "error", "words"),
    [
        ([{"type": "wonder"}], Untranslatable, "no place for an item of type 'wonder'"),
        ([{"type": "agent_message", "content": [{"type": "encrypted_content"}]}], Untranslatable, "is encrypted"),
        ([{"type": "item_reference", "id": "a"}], Untranslatable, "send the whole conversation"),
        ([{"role": "robot", "content": "x"}], BadRequest, r"input\[1\].role has to be"),
        ([{"role": "user", "content": 5}], BadRequest, r"input\[1\].content has to be a string or a list"),
        ([{"role": "user", "content": ["x"]}], BadRequest, r"input\[1\].content\[0\] has to be an object"),
        ([{"type": "function_call", "name": "f", "arguments": "{}"}], BadRequest, r"input\[1\].call_id is missing"),
        ([{"type": "function_call", "call_id": "c"}], BadRequest, r"input\[1\].name is missing"),
        ([{"type": "function_call_output", "call_id": "c", "output": "x"}], BadRequest, "No tool call found"),
        ([{"role": "user", "content": [{"type": "video"}]}], Untranslatable, "no place for a part of type 'video'"),
        ([{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}], Untranslatable, "in image_url"),
        ([{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}], Untranslatable, "in file_data"),
        (
            [{"role": "user", "content": [{"type": "input_image", "image_url": "ftp://h/a"}]}],
            Untranslatable, "not 'ftp://h/a'",
        ),
        (
            [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png,abc"}]}],
            Untranslatable, "has to be base64",
        ),
        (
            [{"role": "user", "content": [{"type": "input_file", "file_data": "data:text/plain;base64,/w=="}]}],
            Untranslatable, "no text in base64",
        ),
    ],
)  # fmt: skip
def test_an_item_that_cannot_be_read_is_named(items: list[Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        responses(USER, *items)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "input_image", "image_url": "https://h/a.png", "detail": "original"},
            Media("image", url="https://h/a.png", detail="high"),
        ),
        (
            {"type": "input_audio", "input_audio": {"format": "mp3", "data": "QUJD"}},
            Media("audio", "audio/mp3", "QUJD"),
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "QUJD"},
            Media("document", "application/pdf", "QUJD", name="a.pdf"),
        ),
        ({"type": "input_file", "file_url": "https://h/a.pdf"}, Media("document", url="https://h/a.pdf")),
        ({"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="}, "a.txt:\nhi"),
        ({"type": "refusal", "refusal": "no"}, "no"),
    ],
)
def test_a_part_of_responses_is_read(part: dict[str, Any], expected: Any) -> None:
    assert [expected] == parts(responses({"role": "user", "content": [part]}))


# Gemini's contents.


def gemini(*contents: Any) -> Conversation:
    return hub.read("gemini", {"contents": [*contents]}, "/v1beta/models/m:generateContent")


def model(*said: Any) -> dict[str, Any]:
    return {"role": "model", "parts": [*said]}


CODE = {"executableCode": {"language": "PYTHON", "code": "1"}}
RAN = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (["hi"], ["hi"]),
        ([{"parts": {"text": "one"}}], ["one"]),
        (["x", model(CODE, RAN), "y"], ["x", "```python\n1\n```", "\nOUTCOME_OK\n1\n", "y"]),
        (["x", model({"thought": True, "text": "hm"}, {"text": "a"}), "y"], ["x", Thinking("hm"), "a", "y"]),
        (
            ["x", model({"functionCall": {"name": "f", "args": {}}}),
             {"parts": [{"functionResponse": {"name": "f", "response": {"error": {"code": 1}}}}]}],
            ["x", ("f", "{}"), ['{"code":1}']],
        ),
        (
            ["x", model({"functionCall": {"name": "f", "id": "i", "args": {}}}), {"parts": [{"functionResponse": {
                "id": "i", "response": {}, "parts": [{"inlineData": {"mimeType": "image/png", "data": "QUJD"}}]}}]}],
            ["x", ("f", "{}"), ["", Media("image", "image/png", "QUJD")]],
        ),
    ],
)  # fmt: skip
def test_contents_become_turns(contents: list[Any], expected: list[Any]) -> None:
    assert expected == parts(gemini(*contents))


def test_instructions_among_the_contents_are_instructions_and_tools_of_google_are_lost() -> None:
    found = gemini({"role": "system", "parts": [{"text": "s"}]}, "x", model({"toolCall": {}}, {"text": "a"}), "y")

    assert (["x", "a", "y"], ("contents[].parts[].toolCall",)) == (parts(found), found.lost)
    assert (Text("s"),) == found.system


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "QU-_"}}, Media("image", "image/png", "QU+/", detail="high")),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "QUJD", "displayName": "a.pdf"}},
            Media("document", "application/pdf", "QUJD", name="a.pdf"),
        ),
        ({"inlineData": {"mimeType": "audio/wav", "data": "QUJD"}}, Media("audio", "audio/wav", "QUJD")),
        ({"inlineData": {"mimeType": "text/plain", "data": "aGk"}}, "hi"),
        (
            {"fileData": {"fileUri": "https://h/a.png", "mimeType": "image/png"}},
            Media("image", url="https://h/a.png", detail="high"),
        ),
        (
            {"fileData": {"fileUri": "https://h/a.pdf", "mimeType": "application/pdf"}},
            Media("document", url="https://h/a.pdf", detail="high"),
        ),
    ],
)
def test_data_and_files_are_read(part: dict[str, Any], expected: Any) -> None:
    assert [expected] == parts(gemini({"parts": [{**part, "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}}]}))


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (5, BadRequest, "has to be an object"),
        (model({"functionCall": {"name": "f", "willContinue": True}}), Untranslatable, "send the whole args"),
        (model({"functionCall": {"args": {}}}), BadRequest, "functionCall.name is missing"),
        ({"parts": [{"inlineData": {"mimeType": "video/mp4", "data": "QUJD"}}]}, Untranslatable, "takes no video/mp4"),
        ({"parts": [{"inlineData": {"data": "QUJD"}}]}, Untranslatable, "data without mimeType"),
        ({"parts": [{"fileData": {"fileUri": "gs://b/c"}}]}, Untranslatable, "is a file at Google"),
    ],
)
def test_a_content_that_cannot_be_read_is_named(content: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        gemini("x", content)


# Tools of Chat Completions.

F = {"type": "function", "function": {"name": "f"}}
GRAMMAR = {"syntax": "lark", "definition": "start: A"}


def chat(**members: Any) -> Conversation:
    return hub.read("openai-chat", {"messages": [USER], "tools": [F], **members})


def custom(form: Any) -> dict[str, Any]:
    return {"type": "custom", "custom": {"name": "p", "description": "d", "format": form}}


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (
            custom({"type": "grammar", "grammar": GRAMMAR}),
            Tool(name="p", description="d", kind="custom", grammar=GRAMMAR),
        ),
        (custom({"type": "text"}), Tool(name="p", description="d", kind="custom")),
        ({"type": "openrouter:web"}, Tool(name="openrouter:web", kind="server")),
    ],
)
def test_tools_that_are_no_functions_are_read(tool: dict[str, Any], expected: Tool) -> None:
    assert (expected,) == chat(tools=[tool]).tools


def test_options_of_the_web_search_are_a_tool() -> None:
    near = {"type": "approximate", "approximate": {"city": "Paris", "region": ""}}
    found = chat(tools=[], web_search_options={"search_context_size": "high", "user_location": near})

    options = {"user_location": {"type": "approximate", "city": "Paris"}}
    assert (Tool(name="web_search", kind="web_search", options=options),) == found.tools
    assert ("web_search_options.search_context_size",) == found.lost


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", Choice("auto")),
        ("any", Choice("required")),
        ({"type": "custom", "custom": {"name": "f"}}, Choice("tool", ("f",))),
        (
            {"allowed_tools": {"mode": "auto", "tools": [{"type": "web_search"}, {"name": "f"}]}},
            Choice("auto", ("web_search", "f")),
        ),
    ],
)
def test_the_choice_among_tools_is_read(choice: Any, expected: Choice) -> None:
    assert expected == chat(tool_choice=choice).choice


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"tools": ["x"]}, r"tools\[0\]: must be an object"),
        ({"tools": [{"type": 5}]}, r"tools\[0\].type: must be function or custom"),
        (
            {"tools": [custom({"type": "grammar", "grammar": {"syntax": "lark"}})]},
            "a syntax and a definition",
        ),
        ({"tool_choice": "both"}, "tool_choice: must be none, auto"),
        ({"tool_choice": 5}, "tool_choice: must be none, auto"),
        ({"tool_choice": {"type": "function"}}, "tool_choice: must name a tool"),
    ],
)
def test_a_tool_or_choice_that_cannot_be_read_is_named(members: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        chat(**members)
