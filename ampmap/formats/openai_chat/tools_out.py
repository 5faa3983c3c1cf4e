"""Write tools and the choice among them, for a chat provider. Pure."""

from __future__ import annotations

from typing import Any

from ..base import Json, Lost, Steps
from ..conversation import Choice, Conversation, Tool
from ..identifiers import Names
from ..profile import Profile
from ..tools import described, function_schema
from .parts_out import marked


def tool_keys(
    tools: list[Tool], choice: Choice | None, conversation: Conversation, profile: Profile, names: Names,
    lost: Lost,
) -> Steps[Json]:  # fmt: skip
    """Return the members of a request that are about tools."""
    found: Json = {}
    functions = [tool for tool in tools if tool.kind != "web_search"]
    for tool in tools:
        if tool.kind == "web_search":
            found["web_search_options"] = _search(tool, lost)
    if not functions:
        return found
    found["tools"] = sent = list[Json]()
    for tool in functions:
        sent.append(_tool(tool, profile, names, lost))
        yield
    if choice is not None:
        found["tool_choice"] = _choice(choice, tools, profile, names)
    if conversation.parallel_calls is False:
        if profile.parallel_tool_calls:
            found["parallel_tool_calls"] = False
        else:
            lost["parallel_calls"] = None
    return found


def _tool(tool: Tool, profile: Profile, names: Names, lost: Lost) -> Json:
    function: Json = {"name": names.sent(tool.name)}
    if tool.description:
        function["description"] = tool.description
    if tool.kind == "custom" and profile.custom_tools:
        if tool.grammar:
            function["format"] = {"type": "grammar", "grammar": dict(tool.grammar)}
        return {"type": "custom", "custom": function}
    if tool.kind == "custom" and tool.grammar:
        function["description"] = described(tool, "\n")
    read = function_schema(tool, lost)
    function["parameters"] = read.schema
    if tool.strict and profile.strict_schemas and read.closed:
        function["strict"] = True
    elif tool.strict:
        lost[f"tools[{tool.name}].strict"] = None
    return marked({"type": "function", "function": function}, tool.mark, profile)


def _choice(choice: Choice, tools: list[Tool], profile: Profile, names: Names) -> Any:
    if choice.mode != "tool":
        return choice.mode
    tool = next(tool for tool in tools if tool.name == choice.names[0])
    kind = "custom" if tool.kind == "custom" and profile.custom_tools else "function"
    return {"type": kind, kind: {"name": names.sent(tool.name)}}


def _search(tool: Tool, lost: Lost) -> Json:
    place = tool.options.get("user_location")
    for key in tool.options:
        if key != "user_location":
            lost[f"tools[{tool.name}].{key}"] = None
    if not isinstance(place, dict):
        return {}
    near = {key: value for key, value in place.items() if key != "type"}
    return {"user_location": {"type": "approximate", "approximate": near}}
