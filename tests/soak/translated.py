"""Requests that a provider of another wire format serves: what it has to be sent, and what has to come back. Pure.

Both are worked out by ampmap's own formats: a wrong byte, or one of another request, shows nevertheless.
"""

from __future__ import annotations

import json

import hub

from ampmap.formats.profile import Target

from .traffic import Plan, filler

KIND = "translated"


def provider_body(body: bytes, model: str) -> bytes:
    """Return the body that a chat server gets for a body of Messages."""
    conversation = hub.read("anthropic", body)
    return b"".join(hub.write("openai-chat", conversation, Target(model=model, maker=hub.MAKER)).pieces)


def wrong_at(plan: Plan, stream: bytes, *, whole: bool) -> int:
    """Return where the text of a stream of Messages is not the one that was ordered; -1 if it is."""
    order = plan.order
    wanted = "".join(filler(order.tag, str(number), order.size) for number in range(order.count))
    complete, _, _ = stream.rpartition(b"\n\n")
    datas = [json.loads(line[6:]) for line in complete.splitlines() if line.startswith(b"data: ")]
    text = "".join(data["delta"]["text"] for data in datas if data["type"] == "content_block_delta")
    ended = bool(datas) and datas[-1]["type"] == "message_stop"
    if text != wanted[: len(text)]:
        return next(at for at, (one, other) in enumerate(zip(text, f"{wanted}\n", strict=False)) if one != other)
    return len(text) if whole and (not ended or len(text) < len(wanted)) else -1
