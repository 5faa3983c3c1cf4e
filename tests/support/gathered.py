"""Put streams together as a simple client of each format does, and take from replies what they say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ampmap.formats.base import Json

_SAID = {
    "anthropic": ("content", "stop_reason", "stop_sequence", "stop_details", "usage"),
    "openai-chat": ("choices", "usage"),
    "openai-responses": ("status", "incomplete_details", "output", "usage"),
    "gemini": ("candidates", "usageMetadata"),
}
_NOISE = ("annotations", "logprobs", "refusal", "safetyRatings", "provider_specific_fields", "images", "status")


def said(format: str, reply: Json) -> Any:
    """Return the members of a reply that say something; empty ones, and counts of zero, say nothing."""
    return _without_empty({key: reply.get(key) for key in _SAID[format]}, top=True)


def gathered(format: str, events: Iterable[Json]) -> Json:
    """Return the whole reply that a stream amounts to."""
    return _GATHERERS[format](events)


def _without_empty(value: Any, *, top: bool = False) -> Any:
    if isinstance(value, dict):
        found = {key: _without_empty(each) for key, each in value.items() if top or key not in _NOISE}
        kept = {key: each for key, each in found.items() if each not in (None, [], {}, "", 0)}
        if kept.keys() & {"call_id", "role", "summary"}:
            kept.pop("id", None)  # of an item: no other one refers to it
        return kept
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


def _chat(chunks: Iterable[Json]) -> Json:
    message: Json = {}
    calls: dict[int, Json] = {}
    found: Json = {"choices": [{"message": message}]}
    for chunk in chunks:
        found["usage"] = chunk.get("usage") or found.get("usage")
        for choice in chunk["choices"]:
            found["choices"][0]["finish_reason"] = choice.get("finish_reason") or found["choices"][0].get(
                "finish_reason"
            )
            for key, value in choice["delta"].items():
                if key == "tool_calls":
                    for each in value or ():
                        _call(calls.setdefault(each["index"], {}), each)
                elif isinstance(value, str) and key != "role":
                    message[key] = message.get(key, "") + value
                elif isinstance(value, list):
                    message[key] = message.get(key, []) + value
                elif value is not None:
                    message[key] = value
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return found


def _call(call: Json, piece: Json) -> None:
    function = call.setdefault("function", {"arguments": ""})
    function["arguments"] += piece["function"].get("arguments") or ""
    function["name"] = function.get("name") or piece["function"].get("name")
    call |= {key: value for key, value in piece.items() if key not in ("function", "index") and value}


def _message(events: Iterable[Json]) -> Json:
    found: Json = {}
    inputs: dict[int, str] = {}
    for event in events:
        kind = event["type"]
        if kind == "message_start":
            found = event["message"]
        elif kind == "content_block_start":
            assert event["index"] == len(found["content"])
            found["content"].append(event["content_block"])
        elif kind == "content_block_delta":
            delta, block = event["delta"], found["content"][event["index"]]
            if delta["type"] == "input_json_delta":
                inputs[event["index"]] = inputs.get(event["index"], "") + delta["partial_json"]
            for key in ("text", "thinking", "signature"):
                if key in delta:
                    block[key] = (block.get(key) or "") + delta[key]
        elif kind == "message_delta":
            found |= event["delta"]
            found["usage"] = {**found["usage"], **event["usage"]}
    for index, text in inputs.items():
        found["content"][index]["input"] = json.loads(text)
    return found


def _content(chunks: Iterable[Json]) -> Json:
    parts: list[Json] = []
    candidate: Json = {}
    found: Json = {"candidates": [candidate]}
    for chunk in chunks:
        found["usageMetadata"] = chunk.get("usageMetadata") or found.get("usageMetadata")
        for each in chunk.get("candidates", ()):
            candidate |= {key: value for key, value in each.items() if key != "content" and value is not None}
            for part in (each.get("content") or {}).get("parts") or ():
                if parts and {*part} == {*parts[-1]} and "text" in part:
                    parts[-1]["text"] += part["text"]
                elif part.get("text") != "":
                    parts.append(dict(part))
    candidate["content"] = {"role": "model", "parts": parts}
    return found


def _response(events: Iterable[Json]) -> Json:
    *_, last = events
    response: Json = last["response"]
    return response


_GATHERERS = {"openai-chat": _chat, "anthropic": _message, "gemini": _content, "openai-responses": _response}
