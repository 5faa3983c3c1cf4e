"""Members in camel case. Protocol buffers allow two spellings in JSON: ``toolConfig`` and ``tool_config``. Pure."""

from __future__ import annotations

from typing import Any


def camel(found: Any) -> dict[str, Any]:
    """Return an object with its own keys in camel case; empty for anything else."""
    if not isinstance(found, dict):
        return {}
    if not any("_" in key for key in found):
        return found
    return {camel_key(key): value for key, value in found.items()}


def camel_key(key: str) -> str:
    """Return a key in camel case."""
    first, *others = key.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)
