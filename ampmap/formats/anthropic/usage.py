"""The token counts of Messages, which states cached tokens of the prompt apart from the others. Pure."""

from __future__ import annotations

from typing import Any

from ..events import Usage
from ..usage import count, first


def read_usage(known: Usage | None, found: Any) -> Usage | None:
    """Return the counts after one more ``usage``: a stream states some at its beginning, others at its end."""
    old = known or Usage()
    cached = _newer(old.cached, count(found, "cache_read_input_tokens"))
    written = _newer(old.written, count(found, "cache_creation_input_tokens"))
    before = None if old.input is None else old.input - (old.cached or 0) - (old.written or 0)
    prompt = (_newer(before, count(found, "input_tokens")) or 0) + (cached or 0) + (written or 0)
    details = found.get("output_tokens_details") if isinstance(found, dict) else None
    usage = Usage(
        input=prompt or None,
        output=_newer(old.output, count(found, "output_tokens")),
        cached=cached,
        written=written,
        reasoning=first(count(details, "thinking_tokens"), old.reasoning),
    )
    return usage if usage != Usage() else None


def _newer(old: int | None, new: int | None) -> int | None:
    """Return the newer count, unless it is a zero: some servers state a count first, and a zero at the end."""
    return new or old if old is not None else new
