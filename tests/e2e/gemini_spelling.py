"""Gemini's members take either spelling, ``functionCall`` and ``function_call``: the rule of protobuf's JSON."""

from __future__ import annotations

import re
from typing import Any

_OTHERS = {"args", "response", "parameters", "parametersJsonSchema", "responseJsonSchema", "responseSchema"}
"""Members whose own members are not Gemini's."""


def camel(asked: Any) -> Any:
    """Return a request as the reference spells it."""
    if isinstance(asked, list):
        return list(map(camel, asked))
    if not isinstance(asked, dict):
        return asked
    named = {re.sub("_([a-z])", lambda found: found[1].upper(), name): content for name, content in asked.items()}
    return {name: content if name in _OTHERS else camel(content) for name, content in named.items()}
