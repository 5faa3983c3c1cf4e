"""What a provider says in each wire format: pure functions of what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from .asks import Ask, Format

# The number is not in the command's text: who shows it has run the command. Gemini CLI refuses substitutions.
COMMAND = "printf the-tool-said-%d 0x2a"
TOOL_SAID = "the-tool-said-42"
FINAL = "Hello from the stand-in."
SIGNATURE = "dGhlIHN0YW5kLWluIHNpZ25lZCB0aGlz"  # of a call, which Gemini 3 wants back with it
NO_SIGNATURE = "skip_thought_signature_validator"  # where it got lost: ai.google.dev/gemini-api/docs/thought-signatures

# aider's edits are text: aider.chat/docs/more/edit-formats.html
EDITED, BEFORE, AFTER = "greet.py", 'print("hello")\n', 'print("hello from the stand-in")\n'
EDITS = {
    "diff": f"{FINAL}\n\n{EDITED}\n```python\n<<<<<<< SEARCH\n{BEFORE}=======\n{AFTER}>>>>>>> REPLACE\n```\n",
    "whole": f"{FINAL}\n\n{EDITED}\n```\n{AFTER}```\n",
}

_SHELLS = ("Bash", "shell_command", "bash", "run_shell_command", "exec_command", "exec")
# Codex's tool ``exec`` takes JavaScript, in which its other tools are functions.
_SCRIPT = f"const done = await tools.exec_command({{cmd: {json.dumps(COMMAND)}}}); text(done.output ?? done);"


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class Call:
    tool: str
    arguments: dict[str, Any] | str  # text for a freeform tool
    thought: str = ""  # before it; only in Anthropic's format
    signed: bool = False  # the thought


# How a provider misbehaves: it breaks off in the middle of its streams, it calls tools in lower case, or it thinks
# without signing. With "oracle" it behaves, and asks Amp's oracle instead of running a command.
Manner = Literal["cut", "lower-case", "unsigned", "oracle"]
THOUGHT = "A thought before a call."
ORACLE_TASK = "Look into it."
ORACLE_SAYS = "The oracle has looked into it."


def answer(ask: Ask, manner: Manner | None = None) -> Say | Call:
    """Run a command first, then say the last word; fill in a tool that is forced, such as the one for the title."""
    if ask.forced is not None:
        return Call(ask.forced, dict.fromkeys(ask.tools[ask.forced].get("properties", {}), "hello"))
    if manner == "oracle" and ("oracle" in ask.tools or "Read" in ask.tools):
        return _oracle(ask)
    shell = next((name for name in _SHELLS if name in ask.tools), None)
    if ask.schema is not None and not ask.tools:
        return Say(json.dumps(_filled(ask.schema)))
    if ask.edit:
        return Say(EDITS[ask.edit])
    if ask.results or shell is None:
        return Say(FINAL)
    if shell in ask.freeform:
        return Call(shell, _SCRIPT)
    schema = {"properties": {}, **ask.tools[shell]}
    if set(schema["properties"]) == {"input"}:  # a tool for any text, translated into a function
        return Call(shell, {"input": _SCRIPT})
    field = "cmd" if "cmd" in schema["properties"] else "command"
    others = {name: _filled(schema["properties"][name]) for name in schema.get("required", ()) if name != field}
    name = shell.lower() if manner == "lower-case" else shell
    return Call(name, {field: COMMAND, **others}, THOUGHT if manner == "unsigned" else "")


def _oracle(ask: Ask) -> Say | Call:
    """Call the oracle; as the oracle, which cannot call itself, read a file and say what it has found."""
    if "oracle" in ask.tools:
        return Say(FINAL) if ask.results else Call("oracle", {"task": ORACLE_TASK})
    return Say(ORACLE_SAYS) if ask.results else Call("Read", {"path": "/etc/passwd"})


def _filled(schema: dict[str, Any]) -> object:
    """Return the least that a JSON schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    match str(schema.get("type")).lower():  # Gemini's are in capitals
        case "object":
            return {name: _filled(each) for name, each in schema.get("properties", {}).items()}
        case "array":
            return []
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
    return "hello"


def write(wire: Format, ask: Ask, reply: Say | Call) -> tuple[str, list[bytes]]:
    """Return the content type and the pieces of the body."""
    if not ask.stream:
        return "application/json", [json.dumps(_WHOLE[wire](ask.model, reply)).encode()]
    return "text/event-stream", list(_EVENTS[wire](ask.model, reply))


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
            signature = {"signature": SIGNATURE} if reply.signed else {}
            blocks.insert(0, {"type": "thinking", "thinking": reply.thought, **signature})
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
            if "signature" in block:
                empty["signature"] = ""
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
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
    message = _chat_message(reply)
    deltas: list[dict[str, Any]]
    if isinstance(reply, Say):
        deltas = [{"role": "assistant", "content": ""}, *({"content": half} for half in _halves(reply.text))]
    else:
        (call,) = message["tool_calls"]
        begun = {**call, "function": {**call["function"], "arguments": ""}}
        halves = _halves(call["function"]["arguments"])
        deltas = [{**message, "tool_calls": [begun]},
                  *({"tool_calls": [{"index": 0, "function": {"arguments": half}}]} for half in halves)]  # fmt: skip
    for delta in deltas:
        yield _sse({**shell, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
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
    if isinstance(reply.arguments, str):
        return {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "status": "completed",
                "name": reply.tool, "input": reply.arguments}  # fmt: skip
    return {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed", "name": reply.tool,
            "arguments": json.dumps(reply.arguments)}  # fmt: skip


def _response_whole(model: str, reply: Say | Call) -> dict[str, Any]:
    return _response(model, [_response_item(reply)], "completed")


def _response_events(model: str, reply: Say | Call) -> Iterator[bytes]:
    item = _response_item(reply)
    filled, kind = ("input", "custom_tool_call_input") if "input" in item else ("arguments", "function_call_arguments")
    empty: dict[str, Any] = {"content": []} if isinstance(reply, Say) else {filled: ""}
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
            *({"type": f"response.{kind}.delta", **at, "delta": half} for half in _halves(item[filled])),
            {"type": f"response.{kind}.done", **at, filled: item[filled]},
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


def _gemini_reply(model: str, parts: list[dict[str, Any]], *, last: bool = True) -> dict[str, Any]:
    ended = {"finishReason": "STOP"} if last else {}
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "index": 0, **ended}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18},
        "modelVersion": model,
    }


def _gemini_parts(reply: Say | Call) -> list[dict[str, Any]]:
    if isinstance(reply, Say):
        return [{"text": half} for half in _halves(reply.text)]
    call = {"id": "call-1", "name": reply.tool, "args": reply.arguments}
    return [{"functionCall": call, "thoughtSignature": SIGNATURE}]


def _gemini_whole(model: str, reply: Say | Call) -> dict[str, Any]:
    parts = [{"text": reply.text}] if isinstance(reply, Say) else _gemini_parts(reply)
    return _gemini_reply(model, parts)


def _gemini_events(model: str, reply: Say | Call) -> Iterator[bytes]:
    for part in _gemini_parts(reply):
        yield _sse(_gemini_reply(model, [part], last=False))
    yield _sse(_gemini_reply(model, [{"text": ""}]))


_WHOLE: dict[Format, Callable[[str, Say | Call], dict[str, Any]]] = {
    "anthropic": _anthropic_whole,
    "openai-chat": _chat_whole,
    "openai-responses": _response_whole,
    "gemini": _gemini_whole,
}
_EVENTS: dict[Format, Callable[[str, Say | Call], Iterator[bytes]]] = {
    "anthropic": _anthropic_events,
    "openai-chat": _chat_events,
    "openai-responses": _response_events,
    "gemini": _gemini_events,
}
