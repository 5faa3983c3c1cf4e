"""An estimate of how many tokens a request has, in the place of a count that a provider does not offer. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

from ..bodies.texts import Long, Raw, Str, Unquoted
from .base import Steps
from .conversation import Call, Conversation, Media, Part, Result, Text, Thinking

# Bytes of text to one token.
_ASCII_BYTES: Final = 3.0
_OTHER_BYTES: Final = 2.5
# Tokens of one thing.
_MESSAGE: Final = 4
_IMAGE: Final = 1600
_PAGE: Final = 2000

_PAGE_BYTES: Final = 100_000  # of base64: the number of a document's pages is not known
_STRETCH_BYTES: Final = 64 * 1024
_STEP_PARTS: Final = 1000
_STEP_BYTES: Final = 256 * 1024
_TEXT_BYTES: Final = 512  # the work for one more text, in bytes


def estimate(conversation: Conversation) -> Steps[int]:
    """Return about how many tokens a request has, rather too many than too few and never 0."""
    tokens, seen = float(_MESSAGE * (len(conversation.turns) + bool(conversation.system))), 0
    for text in _texts(conversation):
        for stretch in _stretches(text):
            tokens += len(stretch) / (_ASCII_BYTES if stretch.isascii() else _OTHER_BYTES)
            seen += len(stretch) + _TEXT_BYTES
            if seen > _STEP_BYTES:
                seen = 0
                yield
    for turn in conversation.turns:
        for at in range(0, len(turn.parts), _STEP_PARTS):
            tokens += sum(map(_media_tokens, turn.parts[at : at + _STEP_PARTS]))
            yield
    return max(math.ceil(tokens), 1)


def _texts(conversation: Conversation) -> Iterator[Str | Raw | Unquoted]:
    yield from (part.text for part in conversation.system)
    for tool in conversation.tools:
        yield tool.name
        yield tool.description
        if tool.schema is not None:
            yield tool.schema
        yield from (tool.grammar or {}).values()
    for turn in conversation.turns:
        yield from _texts_of(turn.parts)
    if conversation.format and conversation.format.schema:
        yield conversation.format.schema


def _texts_of(parts: Iterable[Part]) -> Iterator[Str | Raw | Unquoted]:
    for part in parts:
        if isinstance(part, Text | Thinking):
            yield part.text
        elif isinstance(part, Call):
            yield part.name
            yield part.arguments
        elif isinstance(part, Result):
            yield from _texts_of(part.parts)


def _stretches(text: Str | Raw | Unquoted) -> Iterator[bytes]:
    if isinstance(text, str):
        yield text.encode("utf-8", "surrogatepass")
        return
    for part in (
        text.text.parts if isinstance(text, Unquoted) else text.parts if isinstance(text, Long) else (text.data,)
    ):
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        for at in range(0, len(data), _STRETCH_BYTES):
            yield bytes(data[at : at + _STRETCH_BYTES])


def _media_tokens(part: Part) -> int:
    if isinstance(part, Result):
        return sum(map(_media_tokens, part.parts))
    if not isinstance(part, Media):
        return 0
    if part.kind != "document":
        return _IMAGE
    return _PAGE * (1 + (len(part.data) if part.data else 0) // _PAGE_BYTES)
