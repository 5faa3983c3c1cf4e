"""What a provider says in each wire format: pure functions of what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Wire = Literal["anthropic", "openai-responses", "openai-chat", "gemini"]

# The sum is not in the command's text: who shows it has run the command.
COMMAND = "echo the-tool-said-$((40+2))"
TOOL_SAID = "the-tool-said-42"
FINAL = "Hello from the stand-in."

_SHELLS = ("Bash", "shell_command")


@dataclass(frozen=True)
class Ask:
    """A model request, whatever its wire format."""

    model: str
    stream: bool
    tools: dict[str, dict[str, Any]]  # the schema of each tool's input
    forced: str | None
    results: str  # what tools have answered, as JSON


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class Call:
    tool: str
    arguments: dict[str, Any]
    thought: str = ""  # before it, with no signature; only in Anthropic's format


# How a provider misbehaves: it breaks off in the middle of its streams, it calls tools in lower case, or it thinks
# without signing.
Manner = Literal["cut", "lower-case", "unsigned"]
THOUGHT = "A thought that nobody signed."


def answer(ask: Ask, manner: Manner | None = None) -> Say | Call:
    """Run a command first, then say the last word; fill in a tool that is forced, such as the one for the title."""
    if ask.forced is not None:
        return Call(ask.forced, dict.fromkeys(ask.tools[ask.forced].get("properties", {}), "hello"))
    shell = next((name for name in _SHELLS if name in ask.tools), None)
    if ask.results or shell is None:
        return Say(FINAL)
    field = "cmd" if "cmd" in ask.tools[shell]["properties"] else "command"
    name = shell.lower() if manner == "lower-case" else shell
    return Call(name, {field: COMMAND}, THOUGHT if manner == "unsigned" else "")


def read(wire: Wire, target: str, body: bytes) -> Ask:
    """Take a request apart."""
    asked = json.loads(body)
    return _READ[wire](asked, target)


def write(wire: Wire, ask: Ask, reply: Say | Call) -> tuple[str, list[bytes]]:
    """Return the content type and the pieces of the body."""
    if not ask.stream:
        return "application/json", [json.dumps(_WHOLE[wire](ask.model, reply)).encode()]
    return "text/event-stream", list(_EVENTS[wire](ask.model, reply))


def _read_anthropic(asked: dict[str, Any], target: str) -> Ask:
    tools = {tool["name"]: tool.get("input_schema", {}) for tool in asked.get("tools", [])}
    blocks = [block for turn in asked["messages"] if isinstance(turn["content"], list) for block in turn["content"]]
    results = [block for block in blocks if block["type"] == "tool_result"]
    forced = asked.get("tool_choice", {}).get("name")
    return Ask(asked["model"], bool(asked.get("stream")), tools, forced, json.dumps(results) if results else "")


def _read_chat(asked: dict[str, Any], target: str) -> Ask:
    tools = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in asked.get("tools", [])}
    results = [turn for turn in asked["messages"] if turn["role"] == "tool"]
    return Ask(asked["model"], bool(asked.get("stream")), tools, None, json.dumps(results) if results else "")


def _read_responses(asked: dict[str, Any], target: str) -> Ask:
    tools = {tool["name"]: tool.get("parameters", {}) for tool in asked.get("tools", []) if "name" in tool}
    results = [item for item in asked["input"] if item.get("type") == "function_call_output"]
    return Ask(asked["model"], bool(asked.get("stream")), tools, None, json.dumps(results) if results else "")


def _read_gemini(asked: dict[str, Any], target: str) -> Ask:
    model, _, verb = target.partition("?")[0].rpartition("/")[2].partition(":")
    tools = {
        tool["name"]: tool.get("parametersJsonSchema") or tool.get("parameters") or {}
        for group in asked.get("tools", [])
        for tool in group.get("functionDeclarations", [])
    }
    parts = [part for turn in asked["contents"] for part in turn.get("parts", [])]
    results = [part for part in parts if "functionResponse" in part]
    return Ask(model, verb == "streamGenerateContent", tools, None, json.dumps(results) if results else "")


def _sse(content: object, event: str = "") -> bytes:
    line = f"event: {event}\n" if event else ""
    return f"{line}data: {json.dumps(content)}\n\n".encode()


def _typed(content: dict[str, Any]) -> bytes:
    return _sse(content, content["type"])


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _anthropic_whole(model: str, reply: Say | Call) -> dict[str, Any]:
    blocks: list[dict[str, Any]]
    if isinstance(reply, Say):
        blocks, why = [{"type": "text", "text": reply.text}], "end_turn"
    else:
        blocks, why = [{"type": "tool_use", "id": "toolu_1", "name": reply.tool, "input": reply.arguments}], "tool_use"
        if reply.thought:
            blocks.insert(0, {"type": "thinking", "thinking": reply.thought})
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": blocks,
        "stop_reason": why, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 9},
    }  # fmt: skip


def _anthropic_events(model: str, reply: Say | Call) -> Iterator[bytes]:
    whole = _anthropic_whole(model, reply)
    yield _typed({"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}})
    yield _typed({"type": "ping"})
    for index, block in enumerate(whole["content"]):
        deltas: list[dict[str, Any]]
        if block["type"] == "tool_use":
            empty = {**block, "input": {}}
            deltas = [
                {"type": "input_json_delta", "partial_json": half} for half in _halves(json.dumps(block["input"]))
            ]
        else:
            kind = block["type"]
            empty = {**block, kind: ""}
            deltas = [{"type": f"{kind}_delta", kind: half} for half in _halves(block[kind])]
        yield _typed({"type": "content_block_start", "index": index, "content_block": empty})
        for delta in deltas:
            yield _typed({"type": "content_block_delta", "index": index, "delta": delta})
        yield _typed({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield _typed({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 9}})
    yield _typed({"type": "message_stop"})


def _chat_message(reply: Say | Call) -> dict[str, Any]:
    if isinstance(reply, Say):
        return {"role": "assistant", "content": reply.text}
    function = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
    return {"role": "assistant", "content": None,
            "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}  # fmt: skip


def _chat_whole(model: str, reply: Say | Call) -> dict[str, Any]:
    why = "stop" if isinstance(reply, Say) else "tool_calls"
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{"index": 0, "message": _chat_message(reply), "finish_reason": why}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }  # fmt: skip


def _chat_events(model: str, reply: Say | Call) -> Iterator[bytes]:
    shell = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    why = "stop" if isinstance(reply, Say) else "tool_calls"
    yield _sse({**shell, "choices": [{"index": 0, "delta": _chat_message(reply), "finish_reason": None}]})
    yield _sse({**shell, "choices": [{"index": 0, "delta": {}, "finish_reason": why}]})
    yield _sse({**shell, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}})
    yield b"data: [DONE]\n\n"


def _response(model: str, output: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": model, "tools": [],
        "output": output, "parallel_tool_calls": True, "tool_choice": "auto",
        "usage": {"input_tokens": 9, "output_tokens": 9, "total_tokens": 18,
                  "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
    }  # fmt: skip


def _response_item(reply: Say | Call) -> dict[str, Any]:
    if isinstance(reply, Say):
        content = [{"type": "output_text", "text": reply.text, "annotations": []}]
        return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": content}
    return {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed", "name": reply.tool,
            "arguments": json.dumps(reply.arguments)}  # fmt: skip


def _response_whole(model: str, reply: Say | Call) -> dict[str, Any]:
    return _response(model, [_response_item(reply)], "completed")


def _response_events(model: str, reply: Say | Call) -> Iterator[bytes]:
    item = _response_item(reply)
    empty: dict[str, Any] = {"content": []} if isinstance(reply, Say) else {"arguments": ""}
    begun = {**item, "status": "in_progress", **empty}
    at = {"item_id": item["id"], "output_index": 0}
    middle: list[dict[str, Any]]
    if isinstance(reply, Say):
        part = {"type": "output_text", "text": "", "annotations": []}
        middle = [
            {"type": "response.content_part.added", **at, "content_index": 0, "part": part},
            *({"type": "response.output_text.delta", **at, "content_index": 0, "delta": half, "logprobs": []}
              for half in _halves(reply.text)),
            {"type": "response.output_text.done", **at, "content_index": 0, "text": reply.text, "logprobs": []},
        ]  # fmt: skip
    else:
        middle = [
            *({"type": "response.function_call_arguments.delta", **at, "delta": half}
              for half in _halves(item["arguments"])),
            {"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]},
        ]  # fmt: skip
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response(model, [], "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        *middle,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": _response(model, [item], "completed")},
    ]
    for number, event in enumerate(events):
        yield _typed({**event, "sequence_number": number})


def _gemini_whole(model: str, reply: Say | Call) -> dict[str, Any]:
    part = {"text": reply.text} if isinstance(reply, Say) else \
           {"functionCall": {"name": reply.tool, "args": reply.arguments}}  # fmt: skip
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18},
        "modelVersion": model,
    }


def _gemini_events(model: str, reply: Say | Call) -> Iterator[bytes]:
    yield _sse(_gemini_whole(model, reply))


_READ: dict[Wire, Callable[[dict[str, Any], str], Ask]] = {
    "anthropic": _read_anthropic,
    "openai-chat": _read_chat,
    "openai-responses": _read_responses,
    "gemini": _read_gemini,
}
_WHOLE: dict[Wire, Callable[[str, Say | Call], dict[str, Any]]] = {
    "anthropic": _anthropic_whole,
    "openai-chat": _chat_whole,
    "openai-responses": _response_whole,
    "gemini": _gemini_whole,
}
_EVENTS: dict[Wire, Callable[[str, Say | Call], Iterator[bytes]]] = {
    "anthropic": _anthropic_events,
    "openai-chat": _chat_events,
    "openai-responses": _response_events,
    "gemini": _gemini_events,
}
