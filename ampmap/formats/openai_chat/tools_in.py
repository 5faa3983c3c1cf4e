"""Read a chat client's tools, its functions of the older form, and the choice among them. Pure."""

from __future__ import annotations

from typing import Any

from ...bodies.texts import Raw, Str
from ...errors import BadRequest
from ..arguments import raw_json
from ..base import Json, Lost, bounded
from ..conversation import Choice, Tool
from .parts_in import mark_of


def tool_of(value: Any, path: str) -> Tool:
    """Return one of ``tools``."""
    if not isinstance(value, dict):
        raise BadRequest(f"{path}: must be an object with a type and a function")
    kind = value.get("type", "function")
    if kind == "function":
        return function_of(value.get("function", value), f"{path}.function", value)
    if kind == "custom":
        return _custom(value.get("custom"), f"{path}.custom", value)
    if not isinstance(kind, str):
        raise BadRequest(f"{path}.type: must be function or custom")
    # OpenRouter and others know tools that they run themselves
    return Tool(name=kind, kind="server")


def function_of(value: Any, path: str, holder: Json | None = None) -> Tool:
    """Return a function."""
    name = _name(value, path)
    schema = value.get("parameters")
    if isinstance(schema, dict):
        schema = raw_json(schema)
    strict = value.get("strict")
    return Tool(
        name=name,
        description=_description(value),
        schema=schema if isinstance(schema, Raw) else None,
        strict=strict if isinstance(strict, bool) else None,
        mark=mark_of(holder or value) or mark_of(value),
    )


def _custom(value: Any, path: str, holder: Json) -> Tool:
    name = _name(value, path)
    form = value.get("format")
    grammar = None
    if isinstance(form, dict) and form.get("type") == "grammar":
        found = form.get("grammar", form)
        if not isinstance(found, dict) or not isinstance(found.get("definition"), Str):
            raise BadRequest(f"{path}.format.grammar: must have a syntax and a definition")
        grammar = {key: found[key] for key in ("syntax", "definition") if isinstance(found.get(key), Str)}
    return Tool(
        name=name,
        description=_description(value),
        kind="custom",
        grammar=grammar,
        mark=mark_of(holder),
    )


def _name(value: Any, path: str) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or not name:
        raise BadRequest(f"{path}.name: must be the name of a tool")
    return name


def _description(value: Json) -> Any:
    found = value.get("description")
    return found if isinstance(found, Str) else ""


def search_of(value: Json, lost: Lost) -> Tool:
    """Return ``web_search_options`` as a tool, in the words of Messages."""
    options: Json = {}
    place = value.get("user_location")
    if isinstance(place, dict) and isinstance(near := place.get("approximate"), dict):
        options["user_location"] = {"type": "approximate", **{key: each for key, each in near.items() if each}}
    if value.get("search_context_size"):
        lost["web_search_options.search_context_size"] = None
    return Tool(name="web_search", kind="web_search", options=options)


def choice_of(value: Any) -> Choice | None:
    """Return ``tool_choice``, or ``function_call`` of the older form."""
    if value is None:
        return None
    if isinstance(value, str):
        if value in ("auto", "none"):
            return Choice("none" if value == "none" else "auto")
        if value in ("required", "any"):  # Mistral's word
            return Choice("required")
    elif isinstance(value, dict):
        if isinstance(allowed := value.get("allowed_tools"), dict):
            names = tuple(map(_chosen, bounded(allowed.get("tools"), "tool_choice.allowed_tools.tools")))
            return Choice("required" if allowed.get("mode") == "required" else "auto", names)
        return Choice("tool", (_chosen(value),))
    raise BadRequest("tool_choice: must be none, auto, required, or name a tool")


def _chosen(value: Any) -> str:
    if isinstance(value, dict):
        for each in (value.get("function"), value.get("custom"), value):
            if isinstance(each, dict) and isinstance(name := each.get("name"), str):
                return name
        if isinstance(kind := value.get("type"), str) and kind not in ("function", "custom"):
            return kind
    raise BadRequest("tool_choice: must name a tool")
