"""Read a chat client's request. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...bodies.json_bounds import refuse_more
from ...bodies.json_tree import members
from ...bodies.texts import Raw
from ...errors import BadRequest, Untranslatable
from ..arguments import raw_json
from ..base import MOST_ELEMENTS, Asked, Json, Lost, Steps, bounded, object_of
from ..conversation import EFFORTS, Conversation, Format, Reasoning, Tool
from .messages_in import Messages
from .parts_in import mark_of
from .replies_out import ReplyOptions
from .tools_in import choice_of, function_of, search_of, tool_of

_LISTS: Final = frozenset({"messages", "tools", "functions"})
_RAW: Final = frozenset({"arguments", "parameters", "schema"})
# These values are what other providers do anyway: only another value is lost.
_DEFAULTS: Final = {"service_tier": ("auto", "default"), "store": (False,), "logprobs": (False,), "n": (1,)}


def read_request(asked: Asked) -> Steps[Conversation]:
    """Read a request of ``/v1/chat/completions``."""
    lost: Lost = {}
    messages: Messages | None = None
    tools: dict[str, list[Tool]] = {"tools": [], "functions": []}
    options: Json = {}
    for member in members(asked.body, _LISTS, _RAW):
        if member is None:
            yield
            continue
        key, value, place = member
        if place is None:
            if key == "messages":
                messages = Messages(lost)
            elif key in tools:
                tools[key] = []
            if key in _LISTS and value is not None and value != []:
                raise BadRequest(f"{key}: must be a list")
            options[key] = value
            continue
        if key == "messages":
            if not place or messages is None:
                messages = Messages(lost)
            yield from messages.take(value, place)
        else:
            if not place:
                tools[key] = []
            read = tool_of if key == "tools" else function_of
            tools[key].append(read(value, f"{key}[{place}]"))
            refuse_more(place + 1, key, MOST_ELEMENTS)
    if messages is None:
        raise BadRequest("messages: the request must have messages")
    system, turns = yield from messages.turns.done()
    declared = bounded([*tools["tools"], *tools["functions"]], "tools")
    return _conversation(options, declared, bool(tools["functions"]), lost, {"system": system, "turns": turns})


def _conversation(options: Json, tools: list[Tool], legacy: bool, lost: Lost, said: Json) -> Conversation:
    known: dict[str, Any] = {}
    given = {key: value for key, value in options.items() if value is not None}
    for key, value in given.items():
        if (read := _OPTIONS.get(key)) is not None:
            known[key] = read(key, value)
        elif key == "web_search_options" and isinstance(value, dict):
            tools.append(search_of(value, lost))
        elif key not in _QUIET and value not in (*_DEFAULTS.get(key, ()), {}, []):
            lost[key] = None
    _refuse(given)
    custom = frozenset(tool.name for tool in tools if tool.kind == "custom")
    stream = bool(known.get("stream"))
    if custom and stream:
        raise Untranslatable(
            f"tools: a streamed chat completion cannot carry calls of the custom tool {min(custom)!r}; declare a "
            "function, or ask without stream",
            "tools",
        )
    choice = choice_of(given.get("tool_choice", given.get("function_call")))
    usage = given.get("stream_options")
    parallel = given.get("parallel_tool_calls")
    return Conversation(
        **said,
        tools=tuple(tools),
        choice=choice,
        # The older form has one call in a reply.
        parallel_calls=False if legacy else parallel if isinstance(parallel, bool) else None,
        stream=stream,
        max_output=known.get("max_completion_tokens", known.get("max_tokens")),
        temperature=known.get("temperature"),
        top_p=known.get("top_p"),
        top_k=known.get("top_k"),
        stop=known.get("stop", ()),
        seed=known.get("seed"),
        presence_penalty=known.get("presence_penalty"),
        frequency_penalty=known.get("frequency_penalty"),
        reasoning=_reasoning(given),
        format=_format(given.get("response_format")),
        verbosity=known.get("verbosity", ""),
        user=known.get("safety_identifier", known.get("user", "")),
        cache_key=known.get("prompt_cache_key", ""),
        mark=mark_of({"cache_control": given.get("cache_control")}),
        lost=tuple(lost),
        reply_options=ReplyOptions(isinstance(usage, dict) and usage.get("include_usage") is True, legacy, custom),
    )


def _refuse(given: Json) -> None:
    """Refuse a request for something that the reply will lack: more choices, sound."""
    count = given.get("n")
    if isinstance(count, int) and count > 1:
        raise Untranslatable(f"n: this provider gives one choice, not {count}; leave n out", "n")
    kinds = given.get("modalities")
    if isinstance(kinds, list) and any(kind != "text" for kind in kinds):
        raise Untranslatable("modalities: this provider answers in text alone; leave modalities out", "modalities")


def _reasoning(given: Json) -> Reasoning:
    wanted = object_of(given.get("reasoning"))  # OpenRouter's form
    effort = given.get("reasoning_effort") or wanted.get("effort") or ""
    if effort not in ("", *EFFORTS):
        raise BadRequest(f"reasoning_effort: must be one of {', '.join(EFFORTS)}, not {str(effort)[:40]!r}")
    budget = wanted.get("max_tokens")
    on = _flag(wanted.get("enabled", given.get("enable_thinking")))
    mode: Any = "" if on is None else "on" if on else "off"
    switch = given.get("thinking")
    if isinstance(switch, dict):  # Messages' form, which DeepSeek and others take
        mode = {"enabled": "on", "disabled": "off", "adaptive": "adaptive"}.get(str(switch.get("type")), mode)
        budget = budget or switch.get("budget_tokens")
    exclude = _flag(wanted.get("exclude"))
    return Reasoning(
        effort=effort,
        budget=_whole("reasoning.max_tokens", budget) if budget else None,
        mode=mode,
        show=None if exclude is None else not exclude,
    )


def _format(value: Any) -> Format | None:
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return Format()
    found = value.get("json_schema") if kind == "json_schema" else None
    if not isinstance(found, dict):
        raise BadRequest("response_format: must be of the type text, json_object or json_schema")
    schema, strict = found.get("schema"), found.get("strict")
    return Format(
        schema=schema if isinstance(schema, Raw) else None if schema is None else raw_json(schema),
        name=_word("response_format.json_schema.name", found.get("name") or ""),
        description=_word("response_format.json_schema.description", found.get("description") or ""),
        strict=strict if isinstance(strict, bool) else None,
    )


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**53:
        raise BadRequest(f"{key}: must be a whole number above 0")
    return int(value)


def _integer(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"{key}: must be a whole number")
    return value


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        raise BadRequest(f"{key}: must be a number")
    return value


def _word(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"{key}: must be a short string")
    return value


def _switch(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadRequest(f"{key}: must be true or false")
    return value


def _stops(key: str, value: Any) -> tuple[str, ...]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(each, str) for each in bounded(found, key)):
        raise BadRequest(f"{key}: must be a string or a list of strings")
    return tuple(found)


_OPTIONS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "stream": _switch, "max_completion_tokens": _whole, "max_tokens": _whole, "temperature": _number,
    "top_p": _number, "top_k": _integer, "stop": _stops, "seed": _integer, "presence_penalty": _number,
    "frequency_penalty": _number, "verbosity": _word, "user": _word,
    "safety_identifier": _word, "prompt_cache_key": _word,
}  # fmt: skip
_QUIET: Final = _LISTS | {
    "model", "tool_choice", "function_call", "parallel_tool_calls", "stream_options", "reasoning_effort", "reasoning",
    "thinking", "enable_thinking", "response_format", "cache_control", "modalities", "n",
}  # fmt: skip
"""Members that other functions read."""
