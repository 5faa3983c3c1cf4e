"""Requests of Messages clients."""

from __future__ import annotations

import json
from typing import Any

from ampmap.formats.base import Json

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJeLjz9MK"
MARK: Json = {"cache_control": {"type": "ephemeral"}}


def text(said: str, **more: Any) -> Json:
    return {"type": "text", "text": said, **more}


def user(*content: Any) -> Json:
    return {"role": "user", "content": content[0] if len(content) == 1 and isinstance(content[0], str) else [*content]}


def assistant(*content: Any) -> Json:
    return {**user(*content), "role": "assistant"}


def call(id_: str, name: str, **given: Any) -> Json:
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def result(id_: str, content: Any, **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **more}


def image(media_type: str = "image/png", data: str = PNG) -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def tool(name: str, **properties: Any) -> Json:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": properties}
    return {"name": name, "description": f"The tool {name}.", "input_schema": schema}


def claude_code(turns: int) -> Json:
    """Return Claude Code's request after so many turns of one call each: marks and shapes move as it goes on."""
    messages = [
        user(text("<system-reminder>\nContext.\n</system-reminder>"), text("Fix the bug.")),
        {"role": "system", "content": "# Environment\nLinux"},
    ]
    for turn in range(turns):
        id_ = f"toolu_{turn:02}"
        thinking = {"type": "thinking", "thinking": f"I look at file {turn}.", "signature": ""}
        messages += [
            assistant(thinking, text(f"Reading {turn}."), call(id_, "Read", path=f"/src/{turn}.py", limit=1.0)),
            user(result(id_, f"{turn}: content\n")),
        ]
        if turn % 3 == 2:
            messages += [assistant(f"Done with {turn}."), user(f"Go on with {turn}.")]
    content = messages[-1]["content"]
    blocks = [text(content)] if isinstance(content, str) else [*content]
    blocks[-1] = {**blocks[-1], **MARK}
    messages[-1] = {**messages[-1], "content": blocks}
    return {
        "model": "claude-opus-4-8",
        "max_tokens": 32000,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": json.dumps({"device_id": "d" * 64, "account_uuid": "", "session_id": "0-1-2-3"})},
        "system": [
            text(f"x-anthropic-billing-header: cc_version=2.1.332; cc_entrypoint=cli; cch={turns:05};"),
            text("You are Claude Code.", **MARK),
            text("Be brief.", **MARK),
        ],
        "messages": messages,
        "tools": [
            tool("Read", path={"type": "string"}),
            tool("Bash", command={"type": "string"}),
            {**tool("DeferredToolPlaceholder"), "defer_loading": True},
        ],
        "stream": True,
    }


PARALLEL: Json = {
    "model": "claude-opus-4-8",
    "max_tokens": 1000,
    "messages": [
        user("Look at three things."),
        assistant(
            text("Looking."), call("toolu_a", "Read", path="a"), call("toolu_b", "Read"), call("toolu_c", "Bash")
        ),
        user(
            result("toolu_a", "one"),
            result("toolu_b", [text("two"), text("more")]),
            result("toolu_c", [image(), text("three")], is_error=True),
            text("And this:"),
            image(),
        ),
    ],
    "tools": [tool("Read", path={"type": "string"}), tool("Bash")],
}
"""Three calls at once, their results in three shapes, and a text and an image behind them."""

TITLE: Json = {
    "model": "claude-haiku-4-5-20251001",
    "max_tokens": 5000,
    "temperature": 0.7,
    "thinking": {"type": "enabled", "budget_tokens": 4000},
    "messages": [user("Fix the bug.")],
    "tools": [tool("set_title", title={"type": "string"})],
    "tool_choice": {"type": "tool", "name": "set_title", "disable_parallel_tool_use": True},
}
"""Amp asks for a title: forced, and thinking at that."""
