"""Requests of Gemini, read into conversations and written from them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampmap.bodies.steps import finished
from ampmap.bodies.texts import Raw
from ampmap.errors import BadRequest, Untranslatable
from ampmap.formats import carrier
from ampmap.formats.base import Asked
from ampmap.formats.conversation import (
    Call,
    Choice,
    Conversation,
    Format,
    Media,
    Reasoning,
    Result,
    Seal,
    Text,
    Thinking,
    Tool,
    Turn,
)
from ampmap.formats.gemini.requests_in import read_request
from ampmap.formats.gemini.requests_out import write_request
from ampmap.formats.gemini.schemas import to_gemini_schema, to_json_schema
from ampmap.formats.profile import Profile, Target

USER = [{"role": "user", "parts": [{"text": "Hello"}]}]


def read(path: str = "generateContent", query: str = "", **members: Any) -> Conversation:
    body = json.dumps({"contents": USER, **members}).encode()
    asked = Asked(body=body, model="m", path=f"/v1beta/models/{{model}}:{path}", query=query)
    found = finished(read_request(asked))
    assert isinstance(found, Conversation)
    return found


def write(conversation: Conversation, model: str = "gemini-3-pro", **profile: Any) -> dict[str, Any]:
    target = Target(model=model, profile=Profile(**profile), maker="maker")
    found: dict[str, Any] = json.loads(b"".join(finished(write_request(conversation, target)).pieces))
    return found


def test_a_count_may_hold_a_whole_request() -> None:
    counted = {"model": "models/m", "contents": USER, "systemInstruction": {"parts": [{"text": "Rules"}]}}
    found = read("countTokens", contents=None, generateContentRequest=counted)

    assert found.system == (Text("Rules"),) and found.turns == (Turn("user", (Text("Hello"),)),) and not found.lost


def test_gemini_clis_first_turn() -> None:
    declared = {"name": "run", "description": "d", "parametersJsonSchema": {"type": "object", "properties": {"a": {}}}}
    found = read(
        "streamGenerateContent", "alt=sse",
        systemInstruction={"parts": [{"text": "Rules"}]},
        tools=[{"functionDeclarations": [declared]}, {"functionDeclarations": [{"name": "bare"}]}],
        generationConfig={"temperature": 1, "topP": 0.95, "topK": 64, "maxOutputTokens": "77",
                          "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"}},
    )  # fmt: skip

    assert (Text("Rules"),) == found.system
    assert ["run", "bare"] == [tool.name for tool in found.tools]
    assert found.tools[0].schema == Raw(b'{"type": "object", "properties": {"a": {}}}')
    assert (True, 1, 0.95, 64, 77) == (found.stream, found.temperature, found.top_p, found.top_k, found.max_output)
    assert Reasoning(effort="high", show=True) == found.reasoning


def test_calls_without_ids_find_their_responses() -> None:
    found = read(contents=[
        *USER,
        {"role": "model", "parts": [
            {"text": "thought", "thought": True},
            {"functionCall": {"name": "a", "args": {"x": 1}}}, {"functionCall": {"name": "a", "args": {"x": 2}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "a", "response": {"output": "one"}}},
            {"functionResponse": {"name": "a", "response": {"error": "two"}}}, {"text": "go on"},
        ]},
    ])  # fmt: skip

    thought, first, second = found.turns[1].parts
    assert Thinking("thought") == thought
    assert isinstance(first, Call)
    assert isinstance(second, Call)
    assert first.id != second.id
    assert (
        Result(first.id, (Text("one"),), name="a"), Result(second.id, (Text("two"),), True, "a"), Text("go on"),
    ) == found.turns[2].parts  # fmt: skip


def test_both_spellings_are_read() -> None:
    found = read(
        system_instruction="Rules",
        generation_config={"max_output_tokens": 5, "response_mime_type": "application/json"},
        tools=[{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}],
        tool_config={"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
    )  # fmt: skip

    assert (Text("Rules"),) == found.system
    assert (5, Choice("tool", ("f",))) == (found.max_output, found.choice)
    assert Format() == found.format


def test_a_carrier_becomes_thinking_and_other_signatures_nothing() -> None:
    blocks = [{"k": "signature", "d": "sig", "x": "deep"}, {"k": "redacted", "d": "r", "x": ""}]
    own = carrier.encode(Seal("blocks", blocks, "maker", "claude"), pure_base64=True)
    for signature in (own, own.replace("+", "-").replace("/", "_").rstrip("=")):
        parts: list[dict[str, Any]] = [
            {"text": "deep", "thought": True},
            {"functionCall": {"id": "c", "name": "f"}, "thoughtSignature": signature},
            {"text": "x", "thoughtSignature": "Zm9v"},
        ]
        found = read(contents=[*USER, {"role": "model", "parts": parts}])
        seals = [Seal(kind, data, "maker", "claude") for kind, data in (("signature", "sig"), ("redacted", "r"))]
        assert (Thinking("deep", seals[0]), Thinking("", seals[1])) == found.turns[1].parts[:2]
        assert (Call("c", "f", Raw(b"{}")), Text("x")) == found.turns[1].parts[2:]


def test_code_that_google_ran_is_text_on_lines_of_its_own() -> None:
    ran = [{"executableCode": {"language": "PYTHON", "code": "print(1)"}},
           {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}, {"text": "Done"}]  # fmt: skip
    said = [part.text for part in read(contents=[*USER, {"role": "model", "parts": ran}]).turns[1].parts
            if isinstance(part, Text)]  # fmt: skip

    assert "```python\nprint(1)\n```\nOUTCOME_OK\n1\nDone" == "".join(map(str, said))


@pytest.mark.parametrize(
    "members",
    [
        {"cachedContent": "c"}, {"generationConfig": {"candidateCount": 2}},
        {"generationConfig": {"responseModalities": ["IMAGE"]}},
        {"generationConfig": {"responseMimeType": "text/x.enum"}},
        {"contents": [{"parts": [{"fileData": {"fileUri": "gs://x"}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}]}]},
    ],
)  # fmt: skip
def test_what_only_google_can_serve_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(Untranslatable):
        read(**members)


@pytest.mark.parametrize(
    "members",
    [
        {"contents": []}, {"contents": [1]}, {"generationConfig": {"temperature": "hot"}},
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 1}}},
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read(**members)


def test_a_stream_has_to_be_one_of_events() -> None:
    with pytest.raises(Untranslatable, match="use alt=sse"):
        read("streamGenerateContent")


CALLS = Turn("assistant", (Call("c1", "f", Raw(b'{"a":1.0}')), Call("c2", "g", Raw(b"{}"))))
IMAGE = Media("image", "image/png", "iVBO")


def contents(*turns: Turn, model: str = "gemini-3-pro") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = write(Conversation(turns=turns), model)["contents"]
    return found


def test_responses_stand_alone_and_for_each_call_there_is_one() -> None:
    user = Turn("user", (Result("c2", (Text("two"), IMAGE), name="g"), Text("go on")))
    found = contents(Turn("user", (Text("x"),)), CALLS, user)

    assert ["user", "model", "user", "user"] == [content["role"] for content in found]
    first, second = (part["functionResponse"] for part in found[2]["parts"])
    assert ("c1", "f", {"error": "no result (interrupted)"}) == (first["id"], first["name"], first["response"])
    assert ({"output": "two"}, [{"inlineData": {"mimeType": "image/png", "data": "iVBO"}}]) == (
        second["response"], second["parts"],
    )  # fmt: skip
    assert [{"text": "go on"}] == found[3]["parts"]
    assert ["skip_thought_signature_validator", None] == [part.get("thoughtSignature") for part in found[1]["parts"]]


def test_older_models_get_no_ids_no_signatures_and_media_behind() -> None:
    user = Turn("user", (Result("c1", (IMAGE,), name="f"), Result("c2", (), name="g")))
    found = contents(Turn("user", (Text("x"),)), CALLS, user, model="gemini-2.5-flash")

    assert [{"functionCall": {"name": "f", "args": {"a": 1.0}}}, {"functionCall": {"name": "g", "args": {}}}] == found[
        1
    ]["parts"]
    assert {"functionResponse": {"name": "f", "response": {"output": ""}}} == found[2]["parts"][0]
    assert ["text", "inlineData"] == [next(iter(part)) for part in found[3]["parts"]]


@pytest.mark.parametrize(
    ("kind", "url", "wanted"),
    [
        ("image", "https://x.example/a.PNG?size=1", "image/png"),
        ("image", "https://x.example/a.webp", "image/webp"),
        ("image", "https://x.example/a?name=b.png", "image/jpeg"),
        ("document", "https://x.example/a", "application/pdf"),
    ],
)
def test_a_url_has_the_type_that_its_suffix_says(kind: Any, url: str, wanted: str) -> None:
    [content] = write(Conversation(turns=(Turn("user", (Media(kind, url=url),)),)))["contents"]

    assert {"fileUri": url, "mimeType": wanted} == content["parts"][0]["fileData"]


def test_contents_begin_and_end_with_the_user() -> None:
    found = contents(Turn("assistant", (Text("a"),)), Turn("user", (Text("b"),)), Turn("assistant", (Text("c"),)))

    assert ["(conversation continues)", "a", "b", "c", "Continue."] == [each["parts"][0]["text"] for each in found]
    assert ["user", "model", "user"] == [each["role"] for each in contents(Turn("user", (Text("x"),)), CALLS)]


def test_a_signature_of_this_provider_comes_back_on_the_next_part() -> None:
    def sealed(maker: str) -> Turn:
        return Turn("assistant", (Thinking("t", Seal("thought", "c2ln", maker)), *CALLS.parts))

    found = contents(Turn("user", (Text("x"),)), sealed("maker"))
    assert ["c2ln", None] == [part.get("thoughtSignature") for part in found[1]["parts"]]
    found = contents(Turn("user", (Text("x"),)), sealed("other"))
    assert "skip_thought_signature_validator" == found[1]["parts"][0]["thoughtSignature"]


@pytest.mark.parametrize(
    ("model", "reasoning", "wanted"),
    [
        ("gemini-3-flash", Reasoning(effort="max"), {"thinkingLevel": "HIGH"}),
        ("gemini-3-pro", Reasoning(effort="medium"), {"thinkingLevel": "HIGH"}),
        ("gemini-3.1-pro", Reasoning(effort="medium"), {"thinkingLevel": "MEDIUM"}),
        ("gemini-2.5-pro", Reasoning(mode="off"), {"thinkingBudget": 128}),
        ("gemini-2.5-flash", Reasoning(mode="off"), {"thinkingBudget": 0}),
        ("gemini-2.5-pro", Reasoning(budget=99999), {"thinkingBudget": 32768}),
        ("gemini-3-flash", Reasoning(budget=5000), {"thinkingLevel": "MEDIUM"}),
        ("gemini-flash-latest", Reasoning(effort="none"), {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-pro", Reasoning(), {}),
    ],
)  # fmt: skip
def test_effort_becomes_what_the_model_takes(model: str, reasoning: Reasoning, wanted: dict[str, Any]) -> None:
    turns = (Turn("user", (Text("x"),)),)
    found = (
        write(Conversation(turns=turns, reasoning=reasoning), model)
        .get("generationConfig", {})
        .get("thinkingConfig", {})
    )
    found.pop("includeThoughts", None)

    assert wanted == found


def test_json_and_searches_beside_functions_give_way() -> None:
    turns = (Turn("user", (Text("x"),)),)
    function, search = Tool(name="1f", schema=Raw(b"{}")), Tool(name="web_search", kind="web_search")
    asked = Conversation(turns=turns, tools=(function, search), format=Format(schema=Raw(b'{"type":"object"}')))

    found = write(asked, "gemini-2.5-pro")
    assert ["functionDeclarations"] == [key for tool in found["tools"] for key in tool]
    assert found["tools"][0]["functionDeclarations"][0]["name"].startswith("_1f_")
    assert "responseMimeType" not in found.get("generationConfig", {})
    assert '{"type":"object"}' in found["systemInstruction"]["parts"][0]["text"]
    assert "responseJsonSchema" in write(asked)["generationConfig"]
    assert [{"googleSearch": {}}] == write(Conversation(turns=turns, tools=(search,)))["tools"]


@pytest.mark.parametrize("reasoning", [Reasoning(effort="high"), Reasoning(budget=9000), Reasoning()])
def test_a_small_limit_leaves_no_room_for_thoughts(reasoning: Reasoning) -> None:
    asked = Conversation(turns=(Turn("user", (Text("x"),)),), reasoning=reasoning, max_output=50)

    assert {"thinkingBudget": 0} == write(asked, "gemini-2.5-flash")["generationConfig"]["thinkingConfig"]


@pytest.mark.parametrize("mime_type", ["application/json", "APPLICATION_JSON"])
def test_the_newer_response_format_is_read(mime_type: str) -> None:
    form = {"text": {"mimeType": mime_type, "schema": {"type": "object"}}}
    config = {"responseFormat": [form]}
    found = read(contents=[{"parts": [{"text": "x"}]}], generationConfig=config).format

    assert found is not None and found.schema is not None and {"type": "object"} == found.schema.load()
    with pytest.raises(Untranslatable, match="no image"):
        read(contents=[{"parts": [{"text": "x"}]}], generationConfig={"responseFormat": [{"image": {}}]})


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a", "b"], "$schema": "x"},
         {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}, "required": ["a"]}),
        ({"type": "object", "properties": {"a": {"type": "array"}}},
         {"type": "OBJECT", "properties": {"a": {"type": "ARRAY", "items": {}}}}),
        ({"type": "object", "properties": {"b": {"const": 1}}},
         {"type": "OBJECT", "properties": {"b": {"type": "STRING", "enum": ["1"]}}}),
        ({"type": "object", "properties": {"type": {"type": "integer", "exclusiveMinimum": 0, "format": "int32"}}},
         {"type": "OBJECT", "properties": {"type": {"type": "INTEGER", "minimum": 1, "format": "int32"}}}),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/X"}},
          "$defs": {"X": {"type": "string", "format": "uri"}}},
         {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}),
        ({"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "number"}}}]},
         {"type": "OBJECT", "properties": {"a": {"type": "STRING"}, "b": {"type": "NUMBER"}}}),
        ({"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
         {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}}),
        ({"type": "object"}, None), ({}, None), ({"type": "object", "properties": []}, None),
    ],
)  # fmt: skip
def test_json_schema_becomes_geminis_own(schema: dict[str, Any], wanted: Any) -> None:
    assert wanted == to_gemini_schema(schema)


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}

    assert "OBJECT" in json.dumps(to_gemini_schema(schema))


def test_geminis_own_schema_becomes_json_schema() -> None:
    own = {
        "type": "OBJECT", "propertyOrdering": ["b", "a"], "properties": {
            "a": {"type": "STRING", "nullable": True, "enum": ["x"], "format": "enum"},
            "b": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int64"}, "minItems": "2"},
        },
    }  # fmt: skip

    found = to_json_schema(own)
    assert ["b", "a"] == [*found["properties"]]
    assert {"type": ["string", "null"], "enum": ["x", None]} == found["properties"]["a"]
    assert {"type": "array", "items": {"type": "integer"}, "minItems": 2} == found["properties"]["b"]


def test_a_further_turn_leaves_what_came_before() -> None:
    user, answers = (
        Turn("user", (Text("x"),)),
        Turn("user", (Result("c1", (Text("r"),), name="f"), Result("c2", (), name="g"))),
    )
    one = json.dumps(contents(user, CALLS, answers))[:-1]
    two = json.dumps(contents(user, CALLS, answers, Turn("assistant", (Text("a"),)), Turn("user", (Text("b"),))))

    assert two.startswith(one)
