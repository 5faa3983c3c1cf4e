"""The token counts of Responses. Pure."""

from __future__ import annotations

from typing import Any

from ..events import Usage
from ..usage import count


def read_usage(known: Usage | None, found: Any) -> Usage | None:
    """Return the counts after one more ``usage``; zeros alone state nothing."""
    prompt, output = count(found, "input_tokens"), count(found, "output_tokens")
    if not prompt and not output:
        return known
    inside = found.get("input_tokens_details")
    return Usage(
        input=prompt or None,
        output=output,
        cached=count(inside, "cached_tokens"),
        written=count(inside, "cache_write_tokens"),
        reasoning=count(found.get("output_tokens_details"), "reasoning_tokens"),
    )
