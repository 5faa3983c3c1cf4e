"""Requests in the four translated formats that have very many elements in one place, small ones and large ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from largebodies import CHAT, CLAUDE, FORMATS, GEMINI, LONG, RESPONSES, Json, call_item, chat_call, each, request

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
ENTRY = {"type": "reasoning.text", "text": "t"}
CALL = {"functionCall": {"name": "f", "args": {}}}
FOUND = {"type": "web_search_result", "url": "https://a", "title": "t"}


def text(at: int = 0) -> Json:
    return {"type": "text", "text": f"t{at}"}


def marked(at: int) -> Json:
    return {**text(at), "cache_control": {"type": "ephemeral"}}


def function(at: int) -> Json:
    return {"type": "function", "function": {"name": f"t{at}", "parameters": SCHEMA}}


def use(at: int) -> Json:
    return {"type": "tool_use", "id": f"c{at}", "name": "f", "input": {"a": at}}


def result(at: int, content: Any = "r") -> Json:
    return {"type": "tool_result", "tool_use_id": f"c{at}", "content": content}


def _claude(user: str, count: int) -> dict[str, Json]:
    first, many = {"role": "user", "content": user}, each(text, count)

    def said(*turns: Any, role: str = "assistant", **more: Any) -> Json:
        roles = (role, "user" if role == "assistant" else "assistant") * 2
        return {"messages": [first, *({"role": r, "content": c} for r, c in zip(roles, turns, strict=False))], **more}

    results = each(lambda at: result(at, many[:256]), count // 64)
    return {
        "tools": said(tools=each(lambda at: {"name": f"t{at}", "input_schema": SCHEMA}, count)),
        "blocks": said(many, role="user"),
        "blocks of the assistant": said(many, "hi"),
        "marked blocks": said(each(marked, count), role="user"),
        "system": said(system=many),
        "calls": said(each(use, count), each(result, count)),
        "parts of a result": said([use(0)], [result(0, many)]),
        "results of many parts": said(each(use, count // 64), results),
        "what a server found": said([{"type": "web_search_tool_result", "content": [FOUND] * count}], "hi"),
        "stop sequences": said(stop_sequences=each(str, count)),
        "keys of the output's form": said(output_config=dict.fromkeys(each(str, count), 1)),
        "messages": {"messages": [first, *[{"role": "user", "content": "x"}] * count]},
    }


def _chat(user: str, count: int) -> dict[str, Json]:
    first = {"role": "user", "content": user}
    functions = each(function, count)
    allowed = {"mode": "auto", "tools": functions}
    return {
        "tools": {"messages": [first], "tools": functions},
        "tools allowed": {
            "messages": [first], "tools": functions, "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}
        },
        "parts": {"messages": [first, {"role": "user", "content": each(text, count)}]},
        "calls": {"messages": [first, {"role": "assistant", "tool_calls": each(chat_call, count)}]},
        "details of reasoning": {
            "messages": [first, {"role": "assistant", "content": "a", "reasoning_details": [ENTRY] * count}, first]
        },
        "stop sequences": {"messages": [first], "stop": each(str, count)},
        "members": {"messages": [first], **{f"x{at}": at for at in range(count)}},
        "messages": {"messages": [first, *[{"role": "user", "content": "x"}] * count]},
    }  # fmt: skip


def _responses(user: str, count: int) -> dict[str, Json]:
    first, parts = {"role": "user", "content": user}, [{"type": "input_text", "text": "t"}] * count
    return {
        "tools": {
            "input": [first],
            "tools": each(lambda at: {"type": "function", "name": f"t{at}", "parameters": SCHEMA}, count),
        },
        "parts": {"input": [first, {"role": "user", "content": parts}]},
        "calls": {"input": [first, *each(call_item, count)]},
        "include": {"input": [first], "include": each(str, count)},
        "summaries": {"input": [first, {"type": "reasoning", "summary": parts}]},
        "parts of a result": {
            "input": [first, call_item(0), {"type": "function_call_output", "call_id": "c0", "output": parts}]
        },
    }  # fmt: skip


def _gemini(user: str, count: int) -> dict[str, Json]:
    first, parts = {"role": "user", "parts": [{"text": user}]}, [{"text": "t"}] * count
    declared = each(lambda at: {"name": f"t{at}", "parameters": SCHEMA}, count)
    names = {"mode": "ANY", "allowedFunctionNames": each(lambda at: f"t{at}", count)}
    return {
        "tools": {"contents": [first], "tools": [{"functionDeclarations": declared}]},
        "lists of tools": {"contents": [first], "tools": [{"functionDeclarations": [one]} for one in declared]},
        "tools allowed": {
            "contents": [first], "tools": [{"functionDeclarations": declared}],
            "toolConfig": {"functionCallingConfig": names},
        },
        "parts": {"contents": [first, {"role": "user", "parts": parts}]},
        "calls": {"contents": [first, {"role": "model", "parts": [CALL] * count}]},
        "system": {"contents": [first], "systemInstruction": {"parts": parts}},
        "stop sequences": {"contents": [first], "generationConfig": {"stopSequences": each(str, count)}},
    }  # fmt: skip


_MADE: dict[str, Callable[[str, int], dict[str, Json]]] = {
    CHAT: _chat, CLAUDE: _claude, RESPONSES: _responses, GEMINI: _gemini
}  # fmt: skip


def wide(count: int) -> dict[tuple[str, str], bytes]:
    """Return requests with so many elements in one place: format and name -> body."""
    return {
        (format, f"{name}, {count}, {size}"): request(format, **members)
        for format in FORMATS
        for size, user in (("small", "hi"), ("large", LONG))
        for name, members in _MADE[format](user, count).items()
    }
