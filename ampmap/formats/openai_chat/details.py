"""``reasoning_details``, the form in which OpenRouter gives and wants back other vendors' reasoning. Pure.

Source: https://openrouter.ai/docs/use-cases/reasoning-tokens
"""

from __future__ import annotations

from typing import Any, Final

from ..base import Json, elements, object_of
from ..carrier import CARRIER_BYTES

_TEXTS: Final = ("text", "summary")
_CONTENTS: Final = (*_TEXTS, "data", "signature")


def entries_of(value: Any) -> list[Json]:
    """Return the entries that have a text, data or a signature."""
    return [each for each in elements(value) if any(object_of(each).get(key) for key in _CONTENTS)]


def text_of(entries: list[Json]) -> str:
    """Return the words in entries."""
    return "".join(text for each in entries for key in _TEXTS if isinstance(text := each.get(key), str))


class Details:
    """The entries of one thinking block, joined from their pieces."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Any, Any], dict[str, Any]] = {}
        self._texts: dict[tuple[Any, Any], list[str]] = {}
        self._size = 0

    def add(self, entries: list[Json]) -> None:
        """Add pieces. Those of one index and type become one entry; their texts are joined."""
        if self._size > CARRIER_BYTES:
            return
        for piece in entries:
            key = (repr(piece.get("index", piece.get("id"))), repr(piece.get("type")))
            entry = self._entries.setdefault(key, {})
            for name, value in piece.items():
                if name in _TEXTS and isinstance(value, str):
                    entry.setdefault(name, "")
                    self._texts.setdefault(key, []).append(value)
                elif value is not None or name not in entry:
                    entry[name] = value
                self._size += len(value) if isinstance(value, str) else 1

    def data(self) -> list[Json] | None:
        """Return the entries; None if they are larger than CARRIER_BYTES.

        A single text is left out of its entry, because the block has it; :func:`with_text` puts it back.
        """
        if self._size > CARRIER_BYTES or not self._entries:
            return None
        for key, entry in self._entries.items():
            for name in _TEXTS:
                if name in entry and len(self._texts) == 1:
                    del entry[name]
                elif name in entry:
                    entry[name] = "".join(self._texts.get(key, ()))
        return list(self._entries.values())


def with_text(data: Any, text: Any) -> list[Json]:
    """Return the entries of :meth:`Details.data`, with the block's words in the one that lacks them."""
    entries = [dict(each) for each in elements(data) if isinstance(each, dict)]
    for entry in entries:
        if not any(key in entry for key in (*_TEXTS, "data")) and text:
            entry["summary" if entry.get("type") == "reasoning.summary" else "text"] = text
    return entries
