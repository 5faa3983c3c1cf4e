"""Write the tools of a request and the choice among them, for a provider. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..base import Json, Lost
from ..conversation import Choice, Tool
from ..identifiers import Names
from ..tools import described, function_schema

_SEARCH: Final = "web_search"
_SEARCH_OPTIONS: Final = ("allowed_domains", "blocked_domains", "user_location", "max_uses")
_MODES: Final = {"auto": "auto", "required": "any", "none": "none", "tool": "tool"}


def written_tool(tool: Tool, names: Names, lost: Lost, *, strict: bool, mark: Json) -> Json:
    """Return a tool; ``strict`` says that the model takes that member, ``mark`` has the members of its cache mark."""
    if tool.kind == "web_search":
        options = {key: tool.options[key] for key in _SEARCH_OPTIONS if key in tool.options}
        lost.update({f"tools[{tool.name}].{key}": None for key in tool.options if key not in options})
        return {"type": "web_search_20250305", "name": _SEARCH, **options, **mark}
    found: Json = {"name": names.sent(tool.name)}
    if description := described(tool):
        found["description"] = description
    found["input_schema"] = function_schema(tool, lost).schema
    if strict and tool.strict:
        found["strict"] = True
    elif tool.strict:
        lost[f"tools[{tool.name}].strict"] = None
    return {**found, **mark}


def written_choice(choice: Choice | None, parallel: bool | None, tools: Iterable[Tool], names: Names) -> Json | None:
    """Return the choice among tools; None if the client leaves all to the model."""
    mode = choice.mode if choice else "auto"
    if choice is None and parallel is not False:
        return None
    found: Json = {"type": _MODES[mode]}
    if choice and mode == "tool":
        chosen = next(tool for tool in tools if tool.name == choice.names[0])
        found["name"] = _SEARCH if chosen.kind == "web_search" else names.sent(chosen.name)
    if parallel is False and mode != "none":
        found["disable_parallel_tool_use"] = True
    return found
