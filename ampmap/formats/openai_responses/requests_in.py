"""Read a client's request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...bodies.json_bounds import refuse_more
from ...bodies.json_tree import members
from ...bodies.steps import freed
from ...bodies.texts import Raw, Str, dump, dump_in_steps, is_blank
from ...errors import BadRequest, Untranslatable
from ..base import MOST_ELEMENTS, Asked, Lost, Steps, bounded, elements, object_of
from ..conversation import EFFORTS, Choice, Conversation, Format, Reasoning, Text
from .items import Items
from .tool_table import Declared, ToolTable

_RAW: Final = ("parameters", "schema", "arguments", "action", "operation")
_STATE: Final = ("previous_response_id", "conversation", "prompt")
_IGNORED: Final = frozenset({"model", "stream", "stream_options", "store", "client_metadata"})
# Members with values that other providers do anyway: only another value is lost.
_LOST_UNLESS: Final[dict[str, tuple[Any, ...]]] = {
    "truncation": ("disabled",), "service_tier": ("auto", "default"), "background": (False,), "metadata": ({},),
    "context_management": ([],), "max_tool_calls": (), "top_logprobs": (0,), "moderation": (),
    "prompt_cache_options": (), "prompt_cache_retention": (),
}  # fmt: skip
_READ: Final = frozenset({
    "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text", "max_output_tokens",
    "temperature", "top_p", "include", "prompt_cache_key", "user", "safety_identifier", *_STATE,
})  # fmt: skip
_ENCRYPTED: Final = "reasoning.encrypted_content"


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """What the writer of the reply has to know of the request.

    ``echo`` are the members of a response that repeat the request, as JSON without the braces. ``declared`` is
    :attr:`ToolTable.declared`. ``sealed`` says that the client wants its reasoning back in ``encrypted_content``.
    """

    echo: bytes
    declared: Mapping[str, Declared]
    sealed: bool


def read_request(asked: Asked) -> Steps[Conversation]:
    """Read a request. Raises :class:`Untranslatable` and :class:`BadRequest` as :class:`Dialect` says."""
    found: dict[str, Any] = {}
    listed: dict[str, list[Any]] = {"input": [], "tools": []}
    for member in members(asked.body, tuple(listed), _RAW):
        if member is None:
            yield
        elif member.place is None:
            found[member.key] = member.value
        else:
            if member.place == 0:
                listed[member.key] = []
                found[member.key] = listed[member.key]
            listed[member.key].append(member.value)
            if member.key == "tools":
                refuse_more(member.place + 1, "tools", MOST_ELEMENTS)
    lost: Lost = {}
    _check_state(found)
    items = found.get("input")
    if isinstance(items, Str):
        items = [{"role": "user", "content": items}]
    if items is not None and not isinstance(items, list):
        raise BadRequest("input has to be a string or a list")
    table = yield from _tools(found.get("tools"), items or [], lost)
    reader = Items(table, lost)
    instructions = found.get("instructions")
    if isinstance(instructions, Str):
        reader.turns.system(Text(instructions))
    items = items or []
    yield
    reasoning = _reasoning(found, items)
    yield
    form = _format(found, items)
    for place, item in enumerate(items):
        try:
            reader.take(item, place, last=place + 1 == len(items))
        except BadRequest:  # Untranslatable is one
            yield from freed(items)
            raise
        items[place] = None  # to be freed at once takes long
        yield
    system, turns = yield from reader.turns.done()
    if not system and not turns:
        raise BadRequest("input is empty: send what the user says")
    _note_lost(found, lost)
    include = bounded(found.get("include"), "include")
    text = found.get("text")
    verbosity = text.get("verbosity") if isinstance(text, dict) else None
    return Conversation(
        system=system,
        turns=turns,
        tools=table.tools(),
        choice=_choice(found.get("tool_choice"), table),
        parallel_calls=_typed(found, "parallel_tool_calls", bool),
        stream=found.get("stream") is True,
        max_output=_typed(found, "max_output_tokens", int),
        temperature=_typed(found, "temperature", float),
        top_p=_typed(found, "top_p", float),
        reasoning=reasoning,
        format=form,
        verbosity=verbosity if isinstance(verbosity, str) else "",
        user=_typed(found, "safety_identifier", str) or _typed(found, "user", str) or "",
        cache_key=_typed(found, "prompt_cache_key", str) or "",
        lost=tuple(lost),
        reply_options=ReplyOptions((yield from _echo(found)), dict(table.declared), _ENCRYPTED in include),
    )


def _check_state(found: dict[str, Any]) -> None:
    """Refuse a request that refers to a conversation which OpenAI stores, or that wants to be stored."""
    for key in _STATE:
        if found.get(key) is not None:
            raise Untranslatable(
                f"{key}: this model is served by a provider that keeps no responses; "
                "send the whole conversation in input",
                key,
            )
    if found.get("background") is True:
        raise Untranslatable("background: this model is served by a provider that runs nothing in the background",
                             "background")  # fmt: skip


def _tools(top: Any, items: list[Any], lost: Lost) -> Steps[ToolTable]:
    """Return all tools of a request: its own, then those in items, in their order."""
    if top is not None and not isinstance(top, list):
        raise BadRequest("tools has to be a list")
    table = ToolTable()
    for place, tool in enumerate(bounded(top, "tools")):
        table.add([tool], lost)
        if not place % 16:
            yield
    for place, item in enumerate(items):
        if place % 1000 == 999:
            yield
        if isinstance(item, dict) and item.get("type") in ("additional_tools", "tool_search_output"):
            for tool in bounded(item.get("tools"), f"input[{place}].tools"):
                table.add([tool], lost, found=item.get("type") == "tool_search_output")
                yield
    return table


def _choice(choice: Any, table: ToolTable) -> Choice | None:
    if choice is None or choice == "auto":
        return Choice() if choice else None
    if choice in ("required", "none"):
        return Choice(choice)
    if not isinstance(choice, dict):
        raise BadRequest("tool_choice has to be auto, none, required or an object")
    kind = choice.get("type")
    if kind == "allowed_tools":
        names = tuple(
            _chosen(each, table) for each in bounded(choice.get("tools"), "tool_choice.tools") if isinstance(each, dict)
        )
        return Choice("required" if choice.get("mode") == "required" else "auto", names)
    return Choice("tool", (_chosen(choice, table),))


def _chosen(choice: dict[str, Any], table: ToolTable) -> str:
    name, space = choice.get("name"), choice.get("namespace")
    if not isinstance(name, str):
        return str(choice.get("type"))
    return table.flat(name, space if isinstance(space, str) else "")


def _updates(items: list[Any], key: str) -> list[Any]:
    """Return the values of a member in ``configuration_update`` items."""
    of_kind = [item for item in items if isinstance(item, dict) and item.get("type") == "configuration_update"]
    return [item[key] for item in of_kind if isinstance(item.get(key), dict)]


def _reasoning(found: dict[str, Any], items: list[Any]) -> Reasoning:
    said = object_of(found.get("reasoning"))
    effort = next(
        (each["effort"] for each in reversed([said, *_updates(items, "reasoning")]) if each.get("effort")), ""
    )
    summary = said.get("summary") or said.get("generate_summary")
    if effort and effort not in EFFORTS:
        raise BadRequest(f"reasoning.effort has to be one of {', '.join(EFFORTS)}, not {effort!r}")
    return Reasoning(effort=effort, mode="off" if effort == "none" else "", show=True if summary else None)


def _format(found: dict[str, Any], items: list[Any]) -> Format | None:
    text = found.get("text")
    said = next((each["format"] for each in reversed([text, *_updates(items, "text")])
                 if isinstance(each, dict) and isinstance(each.get("format"), dict)), None)  # fmt: skip
    if said is None or said.get("type") in (None, "text"):
        return None
    if said.get("type") == "json_object":
        return Format()
    if said.get("type") != "json_schema":
        raise BadRequest(f"text.format.type has to be text, json_object or json_schema, not {said.get('type')!r}")
    schema, name, description, strict = (said.get(key) for key in ("schema", "name", "description", "strict"))
    return Format(
        schema=schema if isinstance(schema, Raw) else Raw(b"".join(dump(schema or {}))),
        name=name if isinstance(name, str) else "",
        description=description if isinstance(description, str) else "",
        strict=strict if isinstance(strict, bool) else None,
    )


def _note_lost(found: dict[str, Any], lost: Lost) -> None:
    reasoning = found.get("reasoning")
    if isinstance(reasoning, dict) and reasoning.get("mode") == "pro":
        lost["reasoning.mode"] = None
    if isinstance(reasoning, dict) and reasoning.get("context") == "current_turn":
        lost["reasoning.context"] = None
    for key, value in found.items():
        if key in _LOST_UNLESS:
            if value is not None and value not in _LOST_UNLESS[key]:
                lost[key] = None
        elif key not in _READ | _IGNORED:
            lost[key] = None
    for key in elements(found.get("include")):
        if isinstance(key, str) and key != _ENCRYPTED:
            lost[f"include[{key}]"] = None


def _typed(found: dict[str, Any], key: str, kind: type) -> Any:
    """Return a member of a type, None if it is missing. Raises :class:`BadRequest` for a value of another type."""
    value = found.get(key)
    if value is None:
        return None
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, int | float if kind is float else kind):
        if kind is int and isinstance(value, float) and value == int(value):
            return int(value)
        raise BadRequest(f"{key} has to be {_KINDS[kind]}, not {_shown(value)}")
    return value


_KINDS: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def _shown(value: Any) -> str:
    return b"".join(dump(value)).decode()[:60]


def _echo(found: dict[str, Any]) -> Steps[bytes]:
    """Return the members of a response that repeat the request; types of OpenAI's SDK demand some of them."""
    text = object_of(found.get("text"))
    reasoning = object_of(found.get("reasoning"))
    instructions = found.get("instructions")
    echoed: dict[str, Any] = {
        "instructions": instructions if isinstance(instructions, Str) and not is_blank(instructions) else None,
        "max_output_tokens": found.get("max_output_tokens"),
        "max_tool_calls": found.get("max_tool_calls"),
        "metadata": found.get("metadata") or {},
        "parallel_tool_calls": found.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {key: reasoning.get(key) for key in ("effort", "summary")},
        "service_tier": "default",
        "store": False,
        "temperature": found.get("temperature"),
        "text": {"format": {"type": "text"}, **text},
        "tool_choice": found.get("tool_choice") or "auto",
        "tools": found.get("tools") or [],
        "top_p": found.get("top_p"),
        "top_logprobs": found.get("top_logprobs"),
        "truncation": "disabled",
        "user": found.get("user"),
        "background": False,
    }
    return b"".join((yield from dump_in_steps(echoed)))[1:-1]
