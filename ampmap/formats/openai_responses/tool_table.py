"""The tools of a request under flat names, and their declarations for the reply. Pure.

Responses tells tools apart by namespace, name and kind, other formats by name alone. Codex refuses a call whose
namespace or kind is not the declared one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ...bodies.json_bounds import refuse_more
from ...bodies.texts import Raw, Str, joined
from ..arguments import raw_json
from ..base import MOST_ELEMENTS, Lost, bounded
from ..conversation import Tool
from ..identifiers import hashed

Kind = Literal["function", "custom", "tool_search", "local_shell", "shell", "apply_patch"]

NAME_CHARS: Final = 64
NAMESPACE_TOOLS: Final = 512
"""The most tools in one namespace."""
_NAMESPACE_CHARS: Final = 200  # of a description that is repeated for each tool
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]")
_PLAIN_NAMESPACE: Final = "functions"
_WEB_SEARCH: Final = re.compile(r"web_search(?:_preview)?(?:_\d{4}_\d\d_\d\d)?\Z")

# Tools of clients whose schemas OpenAI's models know without being told.
_BUILT_IN: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "local_shell": (
        "Run a command in the user's shell.",
        {"type": "object", "properties": {
            "command": {"type": "array", "items": {"type": "string"}},
            "env": {"type": "object", "additionalProperties": {"type": "string"}},
            "timeout_ms": {"type": "integer"}, "user": {"type": "string"}, "working_directory": {"type": "string"},
        }, "required": ["command"]},
    ),
    "shell": (
        "Run commands in the user's shell.",
        {"type": "object", "properties": {
            "commands": {"type": "array", "items": {"type": "string"}},
            "timeout_ms": {"type": "integer"}, "max_output_length": {"type": "integer"},
        }, "required": ["commands"]},
    ),
    "apply_patch": (
        "Create, update or delete a file. The diff is in the V4A format.",
        {"type": "object", "properties": {
            "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
            "path": {"type": "string"}, "diff": {"type": "string"},
        }, "required": ["type", "path"]},
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Declared:
    """A tool as the request declared it."""

    name: str
    namespace: str = ""
    kind: Kind = "function"


class ToolTable:
    """The tools of one request, at most ``most``. ``declared`` maps flat names to declarations, in their order."""

    def __init__(self, most: int = MOST_ELEMENTS) -> None:
        self._most = most
        self.declared: dict[str, Declared] = {}
        self._flat: dict[tuple[str, str], str] = {}
        self._tools: dict[str, Tool] = {}
        self._deferred: set[str] = set()

    def tools(self) -> tuple[Tool, ...]:
        """Return the tools that the model gets."""
        searched = any(each.kind == "tool_search" for each in self.declared.values())
        return tuple(tool for name, tool in self._tools.items() if not (searched and name in self._deferred))

    def add(self, tools: Any, lost: Lost, *, found: bool = False) -> None:
        """Add a list of tools; ``found`` says that they are the result of a search, so none stays deferred."""
        for tool in bounded(tools, "tools"):
            if isinstance(tool, dict):
                self._add(tool, "", "", lost, found)

    def flat(self, name: str, namespace: str = "") -> str:
        """Return the flat name of a tool, declared or not."""
        space = "" if namespace == _PLAIN_NAMESPACE else namespace
        known = self._flat.get((space, name))
        return known if known is not None else _fitting(f"{space}__{name}" if space else name)

    def _add(self, tool: dict[str, Any], space: str, said: Str, lost: Lost, found: bool) -> None:
        kind = tool.get("type")
        kind = kind if isinstance(kind, str) else "function"
        if kind == "namespace":
            self._add_namespace(tool, lost, found)
            return
        if kind == "tool_search":
            if tool.get("execution") == "client":
                self._put("tool_search", "", "tool_search", _function(tool, said))
            return  # a search by the server: instead the model gets all deferred tools
        if _WEB_SEARCH.match(kind):
            if tool.get("external_web_access") is False:
                lost[f"tools[{kind}]"] = None
            else:
                self._put(kind, "", "function", _web_search(tool))
            return
        if kind in _BUILT_IN:
            description, schema = _BUILT_IN[kind]
            self._put(kind, "", kind, Tool(name=kind, description=description, schema=raw_json(schema)))  # type: ignore[arg-type]
            return
        name = tool.get("name")
        if kind == "custom" and isinstance(name, str):
            flat = self._put(name, space, "custom", _custom(tool, said))
        elif isinstance(name, str) and (kind == "function" or "parameters" in tool):
            flat = self._put(name, space, "function", _function(tool, said))
        else:
            self._put(kind, "", "function", Tool(name=kind, kind="server"))
            return
        if tool.get("defer_loading") is True and not found:
            self._deferred.add(flat)
        else:
            self._deferred.discard(flat)

    def _add_namespace(self, tool: dict[str, Any], lost: Lost, found: bool) -> None:
        space = tool.get("name")
        space = space if isinstance(space, str) and space != _PLAIN_NAMESPACE else ""
        said = tool.get("description")
        said = said if isinstance(said, Str) else ""
        for child in bounded(tool.get("tools"), "tools[].tools", NAMESPACE_TOOLS):
            if isinstance(child, dict):
                self._add(child, space, said, lost, found)
                said = said if len(said) <= _NAMESPACE_CHARS else ""

    def _put(self, name: str, space: str, kind: Kind, tool: Tool) -> str:
        """Add a tool and return its flat name. A second declaration replaces the first in its place."""
        flat = self._flat.get((space, name))
        if flat is None:
            full = f"{space}__{name}" if space else name
            flat = _fitting(full)
            if flat in self.declared:
                flat = f"{flat[: NAME_CHARS - 9]}_{hashed(f'{space} {name}', 8)}"
            self._flat[space, name] = flat
        self.declared[flat] = Declared(name, space, kind)
        self._tools[flat] = replace(tool, name=flat)
        refuse_more(len(self._tools), "tools", self._most)
        return flat


def restored(declared: Mapping[str, Declared], name: str) -> Declared:
    """Return the declaration of a tool that a provider calls ``name``; without one, a function of that name."""
    if (known := declared.get(name)) is not None:
        return known
    bare = re.split(r"\.|/|:|__", name)[-1]
    for same in (
        [each for each in declared.values() if each.name == name],
        [
            each
            for each in declared.values()
            if each.name == bare and each.namespace and name.startswith(each.namespace)
        ],
        [each for flat, each in declared.items() if flat.lower() == name.lower()],
    ):
        if len(same) == 1:
            return same[0]
    return Declared(name)


def qualified(declared: Iterable[Declared]) -> Iterator[str]:
    """Yield the names of tools with their namespaces."""
    for each in declared:
        yield f"{each.namespace}.{each.name}" if each.namespace else each.name


def _fitting(name: str) -> str:
    fitting = _FOREIGN.sub("_", name) or "_"
    if fitting == name and len(name) <= NAME_CHARS:
        return name
    return fitting if len(fitting) <= NAME_CHARS else f"{fitting[: NAME_CHARS - 9]}_{hashed(name, 8)}"


def _function(tool: dict[str, Any], said: Str) -> Tool:
    schema, strict = tool.get("parameters"), tool.get("strict")
    return Tool(
        name="",
        description=_described(said, tool.get("description")),
        schema=schema if isinstance(schema, Raw) else raw_json(schema) if isinstance(schema, dict) and schema else None,
        strict=strict if isinstance(strict, bool) else None,
    )


def _custom(tool: dict[str, Any], said: Str) -> Tool:
    form = tool.get("format")
    grammar = None
    if isinstance(form, dict) and form.get("type") == "grammar":
        grammar = {key: form[key] for key in ("syntax", "definition") if key in form}
    return Tool(name="", description=_described(said, tool.get("description")), kind="custom", grammar=grammar)


def _web_search(tool: dict[str, Any]) -> Tool:
    filters = tool.get("filters")
    options = {}
    if isinstance(filters, dict) and isinstance(filters.get("allowed_domains"), list):
        options["allowed_domains"] = filters["allowed_domains"]
    if isinstance(tool.get("user_location"), dict):
        options["user_location"] = tool["user_location"]
    if isinstance(tool.get("search_context_size"), str):
        options["search_context_size"] = tool["search_context_size"]
    return Tool(name="", kind="web_search", options=options)


def _described(*texts: Any) -> Str:
    return joined("\n\n", [text for text in texts if isinstance(text, Str) and len(text)])
