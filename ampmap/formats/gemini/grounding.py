"""The sources of a reply in Gemini's form: which part of the text rests on which page. Pure.

Gemini CLI puts a mark behind each such part, and the pages below the text. https://ai.google.dev/gemini-api/docs/grounding
"""

from __future__ import annotations

from ..base import Json
from ..events import Citation


class Grounding:
    """The sources of one reply. Places are in bytes of UTF-8, from the beginning of all its text."""

    def __init__(self) -> None:
        self._pages: list[Json] = []
        self._places: dict[str, int] = {}  # of pages, by their URL
        self._supports: list[Json] = []
        self._at = 0
        self._block = 0  # where the open block begins
        self._ascii = True  # of the open block
        self._cited: dict[int, None] = {}  # pages of the open block as a whole

    def begin(self) -> None:
        """Begin a block."""
        self._block, self._ascii = self._at, True

    def say(self, text: str) -> None:
        """Take a piece of the open block's text."""
        if text.isascii():
            self._at += len(text)
        else:
            self._at += len(text.encode("utf-8", "replace"))
            self._ascii = False

    def cite(self, source: Citation) -> None:
        """Take a source of a part of the open block; of the whole block if the part's bytes cannot be known."""
        page = {"web": {"uri": source.url, "title": source.title or source.url}}
        if source.url not in self._places:
            self._pages.append(page)
        index = self._places.setdefault(source.url, len(self._places))
        start, end = source.start or 0, source.end
        if end is not None and self._ascii and start <= end <= self._at - self._block:
            self._support(self._block + start, self._block + end, [index])
        else:
            self._cited[index] = None

    def end(self) -> None:
        """End the open block."""
        if self._cited:
            self._support(self._block, self._at, [*self._cited])
            self._cited = {}

    def written(self) -> Json:
        """Return ``groundingMetadata``; empty without sources."""
        if not self._pages:
            return {}
        found: Json = {"groundingChunks": self._pages}
        return {**found, "groundingSupports": self._supports} if self._supports else found

    def _support(self, start: int, end: int, pages: list[int]) -> None:
        segment = {"startIndex": start, "endIndex": end} if start else {"endIndex": end}
        self._supports.append({"segment": segment, "groundingChunkIndices": pages})
