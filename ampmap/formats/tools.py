"""Which of a request's tools a provider gets, and which choice among them. Pure; writers of requests call it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ..bodies.texts import Raw, Str, joined
from ..errors import Untranslatable
from .base import Lost
from .conversation import Choice, Conversation, Tool
from .schemas import Read, parameters

FREE_TEXT: Final = Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'
)
"""The schema of a function that takes the place of a tool with free text."""


def described(tool: Tool, between: str = "\n\n") -> Str:
    """Return a tool's description, with the grammar of its free text behind it."""
    if tool.kind != "custom" or not tool.grammar:
        return tool.description
    syntax, definition = (tool.grammar.get(key, "") for key in ("syntax", "definition"))
    rule = joined("", ["The input must match this ", syntax, " grammar:\n", definition])
    return joined(between, [text for text in (tool.description, rule) if text])


def function_schema(tool: Tool, lost: Lost) -> Read:
    """Return the schema of a tool that is sent as a function, and note in ``lost`` what it does not say."""
    if tool.kind == "custom":
        lost[f"tools[{tool.name}].custom"] = None
        return Read(FREE_TEXT, True)
    read = parameters(tool.schema)
    if read.merged:
        lost[f"tools[{tool.name}].parameters"] = None
    return read


def tools_and_choice(
    conversation: Conversation, lost: Lost, runs: Collection[str] = ()
) -> tuple[list[Tool], Choice | None]:
    """Return the tools to send and the choice among them; no choice if no tools are left or the client made none.

    ``runs`` are the kinds of server tools that the provider runs; others are left out and noted in ``lost``. A choice
    that allows some tools becomes a list of these tools. Raises :class:`Untranslatable` where the answer would be
    wrong: no tool is left, a forced one is left out or not declared, two tools have one name.
    """
    left_out = [tool for tool in conversation.tools if tool.kind in ("server", "web_search") and tool.kind not in runs]
    tools = [tool for tool in conversation.tools if tool.kind not in ("server", "web_search") or tool.kind in runs]
    choice = conversation.choice or Choice()
    gone = {tool.name for tool in left_out}
    if left_out and (not tools or (choice.mode == "tool" and choice.names[0] in gone)):
        name = choice.names[0] if choice.mode == "tool" else left_out[0].name
        raise Untranslatable(f"tools: this provider does not run the server tool {name!r}; ask without it", "tools")
    lost.update({f"tools[{tool.name}]": None for tool in left_out})
    names = {tool.name for tool in tools}
    if len(names) < len(tools):
        raise Untranslatable("tools: tool names must be unique", "tools")
    if choice.mode == "tool" and choice.names[0] not in names:
        raise Untranslatable(f"tool_choice: no tool is called {choice.names[0]!r}", "tool_choice")
    if choice.names and choice.mode != "tool":
        allowed = frozenset(choice.names)
        tools = [tool for tool in tools if tool.name in allowed]
        if not tools:
            raise Untranslatable("tool_choice: none of the allowed tools is among the tools", "tool_choice")
        choice = Choice(choice.mode)
    if not tools:
        return [], None
    return tools, conversation.choice and choice
