"""Chunks of chat servers, and what a stream of them says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

USAGE = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Said:
    """What a stream says: blocks as (kind, text) or ("call", name, arguments), and why it ended.

    ``reason`` is empty for a stream that is cut; for one that states an error it is ``error`` with its status.
    """

    stream: bytes
    blocks: tuple[tuple[Any, ...], ...] = ()
    reason: str = "stop"
    usage: tuple[int | None, int | None] | None = None


def data(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                 "choices": [choice], **more})  # fmt: skip


def call(index: Any = None, id: Any = None, name: Any = None, arguments: Any = None, **more: Any) -> bytes:
    """Return a chunk with a piece of a call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    item = {key: value for key, value in (("index", index), ("id", id)) if value is not None}
    return chunk({"tool_calls": [{**item, "function": function, **more}]})


def usage(**counts: Any) -> bytes:
    return data({"id": "chatcmpl-1", "choices": [], "usage": counts or USAGE})


def ended(*chunks: bytes, finish: Any = "stop") -> bytes:
    return b"".join([chunk({"role": "assistant", "content": ""}), *chunks, chunk(finish=finish), DONE])


WEATHER = ("call", "weather", '{"city":"Oslo"}')
TIME = ("call", "time", '{"zone":"CET"}')
