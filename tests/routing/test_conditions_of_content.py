"""What ``image`` and ``tool`` of a rule's ``when`` look at, in each wire format, in bodies small and large."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from configtext import parse
from rows import Rows
from turnlengths import BestOf, steps_of

from ampmap.config.keys import WHEN
from ampmap.routing.conditions import Facts, facts_of, scan_facts
from ampmap.routing.decide import Ask, unmet
from ampmap.settings import When

DATA = "iVBOR" * 60
CLAUDE: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
CHAT: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}
ITEM: Any = {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"}
INLINE: Any = {"inlineData": {"data": DATA, "mimeType": "image/PNG"}}
SNAKE: Any = {"inline_data": {"mime_type": "image/webp", "data": DATA}}
FILE: Any = {"fileData": {"fileUri": "https://x/" + "y" * 200, "mimeType": "image/jpeg"}}
TEXT: Any = {"type": "text", "text": "an image, image_url, input_image: " + "x" * 200}
PDF: Any = {"inlineData": {"mimeType": "application/pdf", "data": DATA}}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


REPLY: Any = {"role": "assistant", "content": [TEXT]}
RESULT: Any = {"type": "tool_result", "tool_use_id": "t", "content": [TEXT, CLAUDE]}

IMAGES: list[tuple[str, Any, bool]] = [
    ("Anthropic", {"messages": [user(TEXT, CLAUDE)]}, True),
    ("Anthropic, in a tool's result", {"messages": [user(TEXT), REPLY, user(RESULT)]}, True),
    ("Anthropic, before the last", {"messages": [user(CLAUDE), REPLY, user(TEXT)]}, False),
    ("Anthropic, behind it a reply", {"messages": [user(CLAUDE), REPLY]}, True),
    ("Anthropic, text", {"messages": [{"role": "user", "content": "type: image"}]}, False),
    ("Anthropic, of the assistant", {"messages": [user(TEXT), {"role": "assistant", "content": [CLAUDE]}]}, False),
    ("Anthropic, in a call", {"messages": [user({"type": "tool_use", "input": {"content": 1, "x": CLAUDE}})]}, False),
    ("Chat", {"messages": [user(TEXT, CHAT)]}, True),
    ("Chat, before the last", {"messages": [user(CHAT), user(TEXT)]}, False),
    ("Chat, a tool's", {"messages": [user(TEXT), REPLY, {"role": "tool", "content": [CHAT]}]}, True),
    ("Chat, the system's", {"messages": [{"role": "system", "content": [CHAT]}, user(TEXT)]}, False),
    ("Responses", {"input": [{"type": "message", "role": "user", "content": [ITEM]}]}, True),
    ("Responses, a tool's", {"input": [user(TEXT), {"type": "function_call_output", "output": [ITEM]}]}, True),
    ("Responses, its text", {"input": [user(TEXT), {"type": "function_call_output", "output": "input_image"}]}, False),
    ("Responses, before the last", {"input": [user(ITEM), REPLY, user(TEXT)]}, False),
    ("Responses, text alone", {"input": "input_image"}, False),
    ("Gemini", {"contents": [{"role": "user", "parts": [{"text": "x"}, INLINE]}]}, True),
    ("Gemini without a role", {"contents": [{"parts": [SNAKE]}]}, True),
    ("Gemini, a file", {"contents": [{"parts": [FILE]}]}, True),
    ("Gemini, a PDF", {"contents": [{"parts": [PDF]}]}, False),
    ("Gemini, the model's", {"contents": [{"parts": [{"text": "x"}]}, {"role": "model", "parts": [INLINE]}]}, False),
    ("Gemini, a function's", {"contents": [{"parts": [{"functionResponse": {"parts": [INLINE]}}]}]}, True),
    ("Gemini, before the last", {"contents": [{"parts": [INLINE]}, {"role": "user", "parts": [{"text": "x"}]}]}, False),
    ("nowhere", {"metadata": {"messages": [user(CLAUDE)]}}, False),
    ("no list", {"messages": {"content": [CLAUDE], "role": "user"}}, False),
]

SCHEMA: Any = {"type": "object", "properties": {"name": {"type": "string", "description": "x" * 300}}}
FUNCTION: Any = {"type": "function", "function": {"description": "x" * 200, "name": "f", "parameters": SCHEMA}}
LITE: Any = {
    "type": "additional_tools",
    "role": "developer",
    "tools": [
        {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec", "format": SCHEMA}]},
        {"type": "web_search"},
    ],
}

TOOLS: list[tuple[str, Any, set[str]]] = [
    ("Anthropic", {"tools": [{"name": "Read", "input_schema": SCHEMA}]}, {"Read"}),
    (
        "Anthropic's own",
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]},
        {"web_search_20250305", "web_search"},
    ),
    ("Chat", {"tools": [FUNCTION]}, {"function", "f"}),
    ("Chat, custom", {"tools": [{"type": "custom", "custom": {"name": "c", "format": SCHEMA}}]}, {"custom", "c"}),
    ("Chat, old", {"functions": [{"name": "old", "parameters": SCHEMA}]}, {"old"}),
    ("Chat, search", {"web_search_options": {}}, {"web_search_options"}),
    ("Responses", {"tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]}, {"function", "f"}),
    ("Responses, built in", {"tools": [{"type": "web_search"}, {"type": "mcp"}]}, {"web_search", "mcp"}),
    (
        "Codex",
        {"input": [LITE, {"type": "message", "role": "user", "content": "x" * 900}]},
        {"namespace", "functions", "custom", "exec", "web_search"},
    ),
    (
        "Gemini",
        {"tools": [{"functionDeclarations": [{"name": "g", "parameters": SCHEMA}, {"name": "h"}], "googleSearch": {}}]},
        {"g", "h", "googleSearch"},
    ),
    (
        "Gemini, snake case",
        {"tools": [{"function_declarations": [{"name": "ü"}]}, {"google_search": {}}]},
        {"ü", "google_search"},
    ),
    ("messages have none", {"messages": [{"role": "user", "tools": [{"name": "x"}], "content": "y" * 500}]}, set()),
    ("none", {"tools": []}, set()),
    ("odd", {"tools": [1, "x", None, [{"name": 5}], {"name": {"type": "x"}}]}, set()),
]  # fmt: skip


def facts(body: Any, window_bytes: int, pad: bool) -> Facts:
    steps = scan_facts(json.dumps({"x": "y" * 99, **body} if pad else body).encode(), window_bytes=window_bytes)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: Facts = done.value
            return found


@pytest.mark.parametrize("window_bytes", [64, 128, 300, 65_536])
@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize(("body", "image"), [case[1:] for case in IMAGES], ids=[case[0] for case in IMAGES])
def test_the_image_of_the_last_user_message_is_found(body: Any, image: bool, window_bytes: int, pad: bool) -> None:
    assert image == facts(body, window_bytes, pad).image


@pytest.mark.parametrize("window_bytes", [64, 128, 300, 65_536])
@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize(("body", "tools"), [case[1:] for case in TOOLS], ids=[case[0] for case in TOOLS])
def test_the_tools_that_are_offered_are_found(body: Any, tools: set[str], window_bytes: int, pad: bool) -> None:
    assert tools == facts(body, window_bytes, pad).tools


def test_of_members_with_the_same_key_the_last_counts() -> None:
    found = facts_of(b'{"tools":[{"name":"a"}],"messages":[{"role":"user","content":[{"type":"image"}]}],'
                     b'"tools":[{"name":"b"}],"messages":[]}')  # fmt: skip

    assert found.tools == {"b"} and not found.image


LINE = "if image: return tools\n" * 1300


def nothings() -> str:
    return ",".join(["{}"] * 1_700_000)


# Made only where they are asked for.
LARGE: dict[str, Callable[[], str]] = {
    "a conversation": lambda: json.dumps({"messages": [user({"text": LINE}), REPLY] * 170, "tools": [FUNCTION] * 99}),
    "a large image": lambda: json.dumps({"messages": [user(TEXT, {**CLAUDE, "source": {"data": "x" * 5_000_000}})]}),
    "many tools": lambda: json.dumps({"tools": [{"name": f"tool{n}"} for n in range(250_000)]}),
    "tools of nothing": lambda: f'{{"tools":[{nothings()}]}}',
    "a namespace of nothing": lambda: f'{{"tools":[{{"name":"x","tools":[{nothings()}]}}]}}',
    "messages of nothing": lambda: f'{{"contents":[{nothings()},{{"x":"image"}}]}}',
    "short messages": lambda: json.dumps({"messages": [user({"type": "image"})] * 100_000}),
    "parts of nothing": lambda: f'{{"messages":[{{"role":"user","content":["image",{nothings()}]}}]}}',
    "many large parts of nothing": lambda: json.dumps({"messages": [user("image", *[{}] * 15_000)] * 80}),
}


@pytest.mark.sample(1 / 5)
@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_others_have_their_turn_while_a_large_body_is_looked_through(body: Callable[[], str]) -> None:
    data = body().encode()
    for _ in (best := BestOf(0.02)):  # some milliseconds where nobody else has the processor
        took, found = steps_of(scan_facts(data))
        assert isinstance(found, Facts)
        took.sort()
        best.add(took[len(took) * 99 // 100])

    assert len(data) // 140_000 <= len(took)
    assert best.holds, best.seconds


FACTS = Facts("", "", True, frozenset({"Web_Search", "f"}))


@pytest.mark.parametrize(
    ("when", "failing"),
    [
        (When(body_over=999), ""),
        (When(body_over=1000), "body-over 1000 (it has 1000 bytes)"),
        (When(image=True), ""),
        (When(image=False), "image: false"),
        (When(tool="web_*"), ""),
        (When(tool="F"), ""),
        (When(tool="search"), "tool 'search'"),
        (When(tool="[f]"), "tool '[f]'"),
        (When(image=True, tool="x"), "tool 'x'"),
        (When(image=True, tool="f", body_over=5000), "body-over 5000 (it has 1000 bytes)"),
    ],
)
def test_all_conditions_have_to_hold(when: When, failing: str) -> None:
    assert failing == unmet(when, Ask("anthropic", "m", None, (), FACTS, 1000))


SAMPLES = Rows("tests/routing/test_conditions_of_content.py: SAMPLES", "what an empty request does not meet", {
    "provider": "openai", "header": "{x-mode: rush}", "tool-choice": "f", "system-prefix": "You are",
    "body-over": "1kB", "image": "true", "tool": "f",
})  # fmt: skip


@pytest.mark.parametrize("key", WHEN)
def test_each_condition_is_read_and_compared(key: str) -> None:
    text = f"amp-model-mappings: [{{from: m, to: n, when: {{{key}: {SAMPLES[key]}}}}}]\n"
    (rule,) = parse(text).settings.amp.rules

    assert rule.when is not None, f"config/amp.py does not read the condition {key}"
    assert key in unmet(rule.when, Ask("anthropic", "m")), f"routing/decide.py: unmet does not compare {key}"


def test_without_an_image_a_rule_for_requests_without_one_holds() -> None:
    assert "" == unmet(When(image=False), Ask("anthropic", "m"))
    assert "image: true" == unmet(When(image=True), Ask("anthropic", "m"))
