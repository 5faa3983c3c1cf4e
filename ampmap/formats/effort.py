"""How much a model is to think, in the words that a provider takes. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from .conversation import EFFORTS, Reasoning

_BUDGETS: Final = ((1024, "low"), (8192, "medium"), (24576, "high"))


def effort_of(reasoning: Reasoning) -> str:
    """Return the effort that a client asks for, or the one that its budget of tokens stands for; empty for neither."""
    if reasoning.mode == "off":
        return "none"
    if reasoning.effort or not reasoning.budget:
        return reasoning.effort
    return next((word for most, word in _BUDGETS if reasoning.budget <= most), "xhigh")


def nearest(effort: str, words: Collection[str]) -> str:
    """Return the strongest of a provider's ``words`` that is no stronger than ``effort``, or else its weakest.

    Empty without an effort or without words. ``none`` turns reasoning off, so it is returned only if it is asked for.
    """
    if not effort:
        return ""
    known = [word for word in EFFORTS if word in words and (word != "none" or effort == "none")]
    weaker = [word for word in known if EFFORTS.index(word) <= EFFORTS.index(effort)]
    return weaker[-1] if weaker else known[0] if known else ""
