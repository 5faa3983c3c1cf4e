"""Token counts: helpers of the readers of all formats. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final

from .base import StatedUsage
from .events import Usage

_MOST: Final = 2**53
"""More than any request has. Readers of JSON tell whole numbers apart up to here (RFC 8259 §6)."""


def usage_of(stated: StatedUsage, objects: Iterable[Any]) -> Usage | None:
    """Return the usage that the objects of one reply state, in their order; None if they state nothing but zeros."""
    usage: Usage | None = None
    for each in objects:
        usage = stated.read(usage, each)
    return usage if usage is not None and (usage.input or usage.output) else None


def count(found: Any, key: str) -> int | None:
    """Return the count under a key of an object; None if there is none, or a value that is no count."""
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST else None


def first(*values: int | None) -> int | None:
    """Return the first of several counts that is stated."""
    for each in values:
        if each is not None:
            return each
    return None


def merged(old: Usage | None, new: Usage) -> Usage:
    """Return the counts of ``new``, and those of ``old`` that ``new`` does not state."""
    if old is None:
        return new
    return Usage(*(first(getattr(new, each.name), getattr(old, each.name)) for each in fields(Usage)))
