"""Read the reasoning that a chat client sends back with an assistant's message. Pure."""

from __future__ import annotations

from typing import Any

from ...bodies.texts import Str, plain
from .. import carrier
from ..base import Json, bounded, object_of
from ..conversation import Seal, Thinking
from .parts_in import text_of

Thoughts = list[Thinking]


def thoughts_of(message: Json, path: str) -> tuple[Thoughts, dict[str, Thoughts]]:
    """Return the reasoning of an assistant's message: before its content, and before calls, by their ids.

    Several members hold the same reasoning. Those with seals count first: ``reasoning_details``, then LiteLLM's
    ``thinking_blocks``.
    """
    front: Thoughts = []
    of_calls: dict[str, Thoughts] = {}
    for entry in _entries(message, "reasoning_details", path):
        thought = _detail(entry)
        if thought is None:
            continue
        id_ = entry.get("id")
        if thought.seal is not None and thought.seal.kind == "thought" and isinstance(id_, str):
            of_calls.setdefault(id_, []).append(thought)
        else:
            front.append(thought)
    if not front:
        front = [thought for each in _entries(message, "thinking_blocks", path) if (thought := _block(each))]
    words = message.get("reasoning_content") or message.get("reasoning")
    if not any(each.text for each in (*front, *(thought for found in of_calls.values() for thought in found))) and (
        text := text_of(words)
    ):
        front.insert(0, Thinking(text))
    return front, of_calls


def thought_of_call(call: Json) -> Thinking | None:
    """Return Google's signature, which stands with a call."""
    signature = object_of(object_of(call.get("extra_content")).get("google")).get("thought_signature")
    if not isinstance(signature, Str) or not signature:
        return None
    if carrier.is_carrier(signature):
        seal = carrier.decode(signature)
        return Thinking("", seal) if seal else None
    return Thinking("", Seal("thought", plain(signature)))


def _entries(message: Json, key: str, path: str) -> list[Json]:
    return [each for each in bounded(message.get(key), f"{path}.{key}") if isinstance(each, dict)]


def _detail(entry: Json) -> Thinking | None:
    claude = str(entry.get("format") or "").startswith("anthropic")
    kind = entry.get("type")
    if kind == "reasoning.encrypted":
        seal = _seal(entry.get("data"), "redacted" if claude else "")
        return Thinking("", seal) if seal else None
    if kind not in ("reasoning.text", "reasoning.summary"):
        return None
    text = text_of(entry)
    seal = _seal(entry.get("signature"), "signature" if claude else "")
    return Thinking(text, seal) if text or seal else None


def _block(block: Json) -> Thinking | None:
    if block.get("type") == "redacted_thinking":
        seal = _seal(block.get("data"), "redacted")
        return Thinking("", seal) if seal else None
    words = block.get("thinking")
    text: Str = words if isinstance(words, Str) else ""
    seal = _seal(block.get("signature"), "signature")
    return Thinking(text, seal) if text or seal else None


def _seal(value: Any, kind: str) -> Seal | None:
    """Return the seal in a carrier; any other value is a seal of ``kind``, unless that is empty."""
    if not isinstance(value, Str) or not value:
        return None
    text: Str = value
    if carrier.is_carrier(text):
        return carrier.decode(text)
    return Seal(kind, plain(text)) if kind else None
