"""Read the tools of a client's request and the choice among them. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from ...bodies.texts import Raw, Str
from ...errors import BadRequest, Untranslatable
from ..base import Lost, Steps, bounded, object_of
from ..conversation import Choice, Tool
from .blocks_in import History, mark_of

_STEP_TOOLS: Final = 64
_NEVER: Final = ("computer_", "browser_toolset_")
_LOST: Final = ("eager_input_streaming", "input_examples", "allowed_callers")
_SEARCH_OPTIONS: Final = ("allowed_domains", "blocked_domains", "user_location", "max_uses")


def read_tools(tools: list[Any], history: History, lost: Lost) -> Steps[tuple[Tool, ...]]:
    """Return the tools that the model has at the end of a conversation; those that messages added come last."""
    found: dict[str, Tool] = {}
    deferred: dict[str, Tool] = {}
    for at, value in enumerate(bounded(tools, "tools")):
        if at % _STEP_TOOLS == _STEP_TOOLS - 1:
            yield
        tool = _tool(value, f"tools.{at}", lost)
        if tool.name in found or tool.name in deferred:
            raise Untranslatable(f"tools: tool names must be unique, {tool.name!r} stands twice", "tools")
        later = value.get("defer_loading") is True and tool.name not in history.referenced
        (deferred if later else found)[tool.name] = tool
    known = {**found, **deferred}
    for change, added in bounded(history.changes, "messages: changes of tools"):
        if not isinstance(change, str):
            tool = _tool(change, "messages: tool_definition", lost)
            found[tool.name] = known[tool.name] = tool
        elif not added:
            found.pop(change, None)
        elif change in known:
            found.setdefault(change, known[change])
    if deferred.keys() - found.keys():
        lost["tools[].defer_loading"] = None
    return tuple(found.values())


def read_choice(value: Any) -> tuple[Choice | None, bool | None]:
    """Return the choice, and whether calls may be parallel; each is None if the client does not say."""
    if value is None:
        return None, None
    value = object_of(value)
    kind = value.get("type")
    parallel = False if kind != "none" and value.get("disable_parallel_tool_use") is True else None
    if kind == "tool":
        name = value.get("name")
        if not isinstance(name, str):
            raise BadRequest("tool_choice.name: field required")
        return Choice("tool", (name,)), parallel
    if kind == "auto":
        return Choice("auto"), parallel
    if kind == "any":
        return Choice("required"), parallel
    if kind == "none":
        return Choice("none"), parallel
    raise BadRequest("tool_choice.type: send auto, any, tool or none")


def _tool(value: Any, path: str, lost: Lost) -> Tool:
    if not isinstance(value, dict):
        raise BadRequest(f"{path}: send an object")
    kind = value.get("type") or "custom"
    name = value.get("name")
    if not isinstance(kind, str) or not (name is None or isinstance(name, str)):
        raise BadRequest(f"{path}: type and name are strings")
    if kind.startswith(_NEVER):
        raise Untranslatable(f"{path}: only Claude knows the tool {kind}; ask without it", path)
    for key in _LOST:
        if value.get(key):
            lost[f"tools[].{key}"] = None
    mark, schema, description = mark_of(value), value.get("input_schema"), value.get("description")
    known = next((make for start, make in _BUILT_IN.items() if kind.startswith(start)), None)
    if known:
        description, schema = known(kind)
        return Tool(name=name or kind, description=description, schema=_raw(schema), mark=mark)
    if kind.startswith("web_search_"):
        options = {key: value[key] for key in _SEARCH_OPTIONS if value.get(key) is not None}
        return Tool(name=name or "web_search", kind="web_search", options=options, mark=mark)
    if kind != "custom" and not isinstance(schema, Raw):
        return Tool(name=name or kind, kind="server", mark=mark)
    if not name:
        raise BadRequest(f"{path}.name: field required")
    if not isinstance(schema, Raw):
        raise BadRequest(f"{path}.input_schema: send an object")
    strict = value.get("strict")
    return Tool(
        name=name,
        description=description if isinstance(description, Str) else "",
        schema=schema,
        strict=strict if isinstance(strict, bool) else None,
        mark=mark,
    )


def _raw(schema: Any) -> Raw:
    return Raw(json.dumps(schema, separators=(",", ":")).encode())


def _schema(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _line(description: str) -> dict[str, Any]:
    return {"type": "integer", "description": description}


def _lines(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "integer"}, "description": description}


# Tools of clients whose schemas Claude alone knows without being told.
# platform.claude.com/docs/en/agents-and-tools/tool-use/bash-tool
def _bash(_: str) -> tuple[str, dict[str, Any]]:
    return "Run a command in a bash session that stays open between calls.", _schema(
        [],
        command=_text("The command to run. Required unless restart is true."),
        restart={"type": "boolean", "description": "True restarts the session instead."},
    )


# …/tool-use/text-editor-tool: undo_edit went with the second version
def _text_editor(kind: str) -> tuple[str, dict[str, Any]]:
    commands = ["view", "create", "str_replace", "insert"]
    if kind < "text_editor_20250429":
        commands.append("undo_edit")
    return "View, create and edit text files.", _schema(
        ["command", "path"],
        command=_text("What to do.", enum=commands),
        path=_text("The path of the file or the directory."),
        view_range=_lines("For view: the first and the last line, counted from 1; -1 is the end of the file."),
        file_text=_text("For create: the content of the file."),
        old_str=_text("For str_replace: the text to be replaced; it has to stand exactly once in the file."),
        new_str=_text("For str_replace: the new text. For the older insert: the text to be inserted."),
        insert_line=_line("For insert: the number of the line behind which to insert; 0 is the beginning."),
        insert_text=_text("For insert: the text to be inserted."),
    )


# …/tool-use/memory-tool
def _memory(_: str) -> tuple[str, dict[str, Any]]:
    return "Read and write files in the directory /memories, which lasts between conversations.", _schema(
        ["command"],
        command=_text("What to do.", enum=["view", "create", "str_replace", "insert", "delete", "rename"]),
        path=_text("The path below /memories."),
        view_range=_lines("For view: the first and the last line, counted from 1."),
        file_text=_text("For create: the content of the file."),
        old_str=_text("For str_replace: the text to be replaced."),
        new_str=_text("For str_replace: the new text."),
        insert_line=_line("For insert: the number of the line behind which to insert."),
        insert_text=_text("For insert: the text to be inserted."),
        old_path=_text("For rename: the path that there is."),
        new_path=_text("For rename: the new path."),
    )


_BUILT_IN: Final[dict[str, Callable[[str], tuple[str, dict[str, Any]]]]] = {
    "bash_": _bash,
    "text_editor_": _text_editor,
    "memory_": _memory,
}
