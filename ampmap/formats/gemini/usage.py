"""The token counts of Gemini, whose candidates are counted without their thoughts. Pure."""

from __future__ import annotations

from typing import Any

from ..events import Usage
from ..usage import count
from .fields import camel


def read_usage(known: Usage | None, stated: Any) -> Usage | None:
    """Return the counts after one more ``usageMetadata``: each has all of them, so the last one is what counts."""
    found = camel(stated)
    prompt = count(found, "promptTokenCount")
    if prompt is None:
        return known
    candidates, thoughts = count(found, "candidatesTokenCount"), count(found, "thoughtsTokenCount")
    answer = candidates or 0
    # Some servers count thoughts among the candidates' tokens.
    inside = thoughts is not None and prompt + answer == count(found, "totalTokenCount")
    output = answer if inside else answer + (thoughts or 0)
    return Usage(
        input=prompt + (count(found, "toolUsePromptTokenCount") or 0) or None,
        output=None if candidates is None and thoughts is None else output,
        cached=count(found, "cachedContentTokenCount"),
        reasoning=thoughts,
    )
