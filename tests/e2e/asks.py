"""What a provider is asked in each wire format: pure functions of a request."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from .gemini_spelling import camel

Format = Literal["anthropic", "openai-responses", "openai-chat", "gemini"]

# In which words aider asks for an edit: aider.chat/docs/more/edit-formats.html
_EDIT_WORDS = {"diff": b"*SEARCH/REPLACE block*", "whole": b"output a copy of each file that needs changes"}


@dataclass(frozen=True)
class Ask:
    """A model request, whatever its wire format."""

    model: str
    stream: bool
    tools: dict[str, dict[str, Any]]  # the schema of each tool's input
    forced: str | None
    results: str  # what tools have answered, as JSON
    schema: dict[str, Any] | None = None  # of the JSON that the answer has to be
    freeform: frozenset[str] = frozenset()  # tools that take any text, only in Responses
    edit: str = ""  # the form of edits that aider wants in the answer's text, a key of EDITS

    @property
    def is_job(self) -> bool:
        """Whether this is what the user wants done, not a side request for a title or a commit message."""
        return bool(self.tools or self.edit)


def read(wire: Format, target: str, body: bytes) -> Ask:
    """Take a request apart."""
    ask = _READ[wire](camel(json.loads(body)) if wire == "gemini" else json.loads(body), target)
    wanted = [] if ask.tools else [form for form, words in _EDIT_WORDS.items() if words in body]
    return replace(ask, edit=wanted[0]) if wanted else ask


def _read_anthropic(asked: dict[str, Any], target: str) -> Ask:
    tools = {tool["name"]: tool.get("input_schema", {}) for tool in asked.get("tools", [])}
    blocks = [block for turn in asked["messages"] if isinstance(turn["content"], list) for block in turn["content"]]
    results = [block for block in blocks if block["type"] == "tool_result"]
    forced = asked.get("tool_choice", {}).get("name")
    schema = asked.get("output_config", {}).get("format", {}).get("schema")
    return Ask(asked["model"], bool(asked.get("stream")), tools, forced, json.dumps(results) if results else "", schema)


def _read_chat(asked: dict[str, Any], target: str) -> Ask:
    tools = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in asked.get("tools", [])}
    results = [turn for turn in asked["messages"] if turn["role"] == "tool"]
    schema = asked.get("response_format", {}).get("json_schema", {}).get("schema")
    return Ask(asked["model"], bool(asked.get("stream")), tools, None, json.dumps(results) if results else "", schema)


def _read_responses(asked: dict[str, Any], target: str) -> Ask:
    offered = [*asked.get("tools", []), *(tool for item in asked["input"] for tool in item.get("tools", []))]
    offered = [each for tool in offered for each in (tool["tools"] if tool["type"] == "namespace" else [tool])]
    tools = {tool["name"]: tool.get("parameters", {}) for tool in offered if "name" in tool}
    freeform = frozenset(tool["name"] for tool in offered if tool["type"] == "custom")
    results = [item for item in asked["input"] if (item.get("type") or "").endswith("_call_output")]
    schema = asked.get("text", {}).get("format", {}).get("schema")
    return Ask(
        asked["model"], bool(asked.get("stream")), tools, None, json.dumps(results) if results else "", schema, freeform
    )


def _read_gemini(asked: dict[str, Any], target: str) -> Ask:
    model, _, verb = target.partition("?")[0].rpartition("/")[2].partition(":")
    tools = {
        tool["name"]: tool.get("parametersJsonSchema") or tool.get("parameters") or {}
        for group in asked.get("tools", [])
        for tool in group.get("functionDeclarations", [])
    }
    parts = [part for turn in asked["contents"] for part in turn.get("parts", [])]
    results = [part for part in parts if "functionResponse" in part]
    config = asked.get("generationConfig", {})
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    return Ask(model, verb == "streamGenerateContent", tools, None, json.dumps(results) if results else "", schema)


_READ: dict[Format, Callable[[dict[str, Any], str], Ask]] = {
    "anthropic": _read_anthropic,
    "openai-chat": _read_chat,
    "openai-responses": _read_responses,
    "gemini": _read_gemini,
}
