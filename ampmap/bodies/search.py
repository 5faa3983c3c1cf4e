"""Search a body for words, in steps. Pure."""

from __future__ import annotations

from typing import Final

from .steps import Steps

SEARCHED_BYTES: Final = 1024 * 1024
"""How much is searched in one step."""


def holds(body: bytes | bytearray, *words: bytes) -> Steps[bool]:
    """Tell whether one of ``words`` stands in a body. The body must not change between the steps."""
    for low in range(0, len(body), SEARCHED_BYTES):
        if low:
            yield
        for word in words:
            if body.find(word, low, low + SEARCHED_BYTES + len(word) - 1) >= 0:
                return True
    return False
