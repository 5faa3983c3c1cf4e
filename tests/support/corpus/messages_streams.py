"""Streams of Messages, as Anthropic and its imitators send them, and what a chat client hears of them."""

from __future__ import annotations

from typing import Any

from .chat_chunks import Said
from .messages_events import begin, call, delta, end, sent, start, stop, text, thinking


def message(*blocks: bytes, reason: str = "end_turn", **more: Any) -> bytes:
    return b"".join([begin(), *blocks, end(reason, **more)])


_USAGE = (100, 9)
_WEATHER = ("call", "weather", '{"city": "Oslo"}')

MESSAGES: dict[str, Said] = {
    "a text": Said(message(text(0, "Hel", "lo")), (("text", "Hello"),), usage=_USAGE),
    "two texts": Said(message(text(0, "A"), text(1, "B")), (("text", "A"), ("text", "B")), usage=_USAGE),
    "nothing": Said(message(), (), usage=_USAGE),
    "text and two calls with a gap between": Said(
        message(
            text(0, "Let me look."), call(1, "toolu_1", "weather", '{"city', '": "Oslo"}'),
            call(3, "toolu_2", "now"), reason="tool_use",
        ),
        (("text", "Let me look."), _WEATHER, ("call", "now", "{}")), "calls", _USAGE,
    ),
    "input in the start": Said(
        message(
            start(0, type="tool_use", id="toolu_1", name="weather", input={"city": "Oslo"}), stop(0), reason="tool_use",
        ),
        (("call", "weather", '{"city":"Oslo"}'),), "calls", _USAGE,
    ),
    "thinking": Said(
        message(thinking(0, "Let me ", "see.", signature="SIG"), text(1, "Yes")),
        (("thinking", "Let me see."), ("text", "Yes")), usage=_USAGE,
    ),
    "redacted thinking": Said(
        message(start(0, type="redacted_thinking", data="XYZ"), stop(0), text(1, "Yes")),
        (("thinking", ""), ("text", "Yes")), usage=_USAGE,
    ),
    "thinking between calls": Said(
        message(
            thinking(0, "a"), call(1, "toolu_1", "weather", '{"city": "Oslo"}'), thinking(2, "b"),
            call(3, "toolu_2", "now", "{}"), reason="tool_use",
        ),
        (("thinking", "a"), _WEATHER, ("thinking", "b"), ("call", "now", "{}")), "calls", _USAGE,
    ),
    "pings and comments": Said(
        b": hello\n\n" + message(sent({"type": "ping"}), text(0, "A")), (("text", "A"),), usage=_USAGE
    ),
    "citations": Said(
        message(
            start(0, type="text", text=""), delta(0, "text", text="A"),
            delta(0, "citations", citation={"type": "web_search_result_location", "url": "https://x", "title": "X"}),
            stop(0),
        ),
        (("text", "A"),), usage=_USAGE,
    ),
    "max_tokens": Said(message(text(0, "A"), reason="max_tokens"), (("text", "A"),), "length", _USAGE),
    "max_tokens within a call": Said(
        message(call(0, "toolu_1", "weather", '{"ci'), reason="max_tokens"),
        (("call", "weather", '{"ci', False),), "length", _USAGE,
    ),
    "stop_sequence": Said(
        message(text(0, "A"), reason="stop_sequence", stop_sequence="END"), (("text", "A"),), "sequence", _USAGE
    ),
    "refusal": Said(
        message(text(0, "A"), reason="refusal", stop_details={"type": "refusal", "explanation": "No."}),
        (("text", "A"),), "refusal", _USAGE,
    ),
    "pause_turn": Said(message(text(0, "A"), reason="pause_turn"), (("text", "A"),), "length", _USAGE),
    "an unknown reason": Said(message(text(0, "A"), reason="tired"), (("text", "A"),), usage=_USAGE),
    "tool_use without a call": Said(message(text(0, "A"), reason="tool_use"), (("text", "A"),), usage=_USAGE),
    "no message_stop": Said(
        message(text(0, "A")).removesuffix(sent({"type": "message_stop"})), (("text", "A"),), usage=_USAGE
    ),
    "an unknown block": Said(
        message(start(0, type="hologram"), delta(0, "hologram"), stop(0), text(1, "A")), (("text", "A"),),
        usage=_USAGE,
    ),
    "cut behind text": Said(
        begin() + text(0, "A"), (("text", "A"),), ""
    ),
    "cut within a call": Said(
        begin()
        + call(0, "t", "f", '{"a').removesuffix(stop(0)),
        (("call", "f", '{"a'),), "",
    ),
    "an error behind text": Said(
        begin() + text(0, "A")
        + sent({"type": "error", "error": {"type": "overloaded_error", "message": "no"}}),
        (("text", "A"),), "error 529",
    ),
}  # fmt: skip
