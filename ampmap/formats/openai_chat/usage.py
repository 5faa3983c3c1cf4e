"""The token counts of Chat Completions, and their spellings on other servers. Pure."""

from __future__ import annotations

from typing import Any

from ..base import Json
from ..events import Usage
from ..usage import count, first, merged


def read_usage(known: Usage | None, value: Any) -> Usage | None:
    """Return the counts after one more ``usage``; zeros alone state nothing."""
    prompt, output = count(value, "prompt_tokens"), count(value, "completion_tokens")
    if not prompt and not output:
        return known
    details = value.get("prompt_tokens_details")
    cached = first(count(details, "cached_tokens"), count(value, "prompt_cache_hit_tokens"))  # the latter: DeepSeek
    written = first(count(details, "cache_write_tokens"), count(details, "cache_creation_tokens"))
    if prompt and cached and cached > prompt:  # this server counts cached tokens apart, as Messages does
        prompt += cached + (written or 0)
    reasoning = count(value.get("completion_tokens_details"), "reasoning_tokens")
    return merged(known, Usage(prompt or None, output, cached, written, reasoning))


def written_usage(usage: Usage | None) -> Json | None:
    """Return counts as a chat provider states them; None if neither number is known."""
    if usage is None or (usage.input is None and usage.output is None):
        return None
    prompt, output = usage.input or 0, usage.output or 0
    found: Json = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    details = {"cached_tokens": usage.cached, "cache_write_tokens": usage.written}
    if stated := {key: number for key, number in details.items() if number is not None}:
        found["prompt_tokens_details"] = stated
    if usage.reasoning is not None:
        found["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return found
