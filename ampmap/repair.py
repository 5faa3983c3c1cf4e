"""Repair what Amp's clients send and a user's own Anthropic account refuses: a beta it lacks, blocks it did not sign.

Pure functions of header lines and bytes. A body is never written anew: what is found are stretches to cut out, and
every other byte stays as it came. Nothing here decides which requests are to be repaired.

What is cut, in messages of role ``assistant`` whose content is an array:

* blocks of type ``thinking`` without a usable signature, which is a string with more in it than white space
* the ``signature`` of blocks of type ``tool_use``

Keys and values may be spelled with escapes; but a body that holds neither ``"thinking"`` nor ``"signature"`` in plain
spelling is not looked at any further. Of members with the same key the last counts, as it does for parsers. What is not
valid JSON is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final, TypeVar

from .headers import Headers
from .jsonwalk import Part, blank, members, walk

SLICE_BYTES: Final = 128 * 1024
"""How much is walked between two yields, unless one message is larger."""

Span = tuple[int, int]
Edit = tuple[int, int, bytes]  # from, to, and what takes the place

_LONG_CONTEXT: Final = b"context-1m-2025-08-07"
_SEARCHED_BYTES: Final = 1024 * 1024  # takes 0.6 ms
# A key called thinking, as the one that asks for thinking, is no block. At the end of a slice this errs on that side
# which costs a walk.
_HINT: Final = re.compile(rb'"(?:thinking"(?![ \t\r\n]*+:)|signature")')
_HINT_BYTES: Final = 64
_JOINED_BYTES: Final = 16 * 1024  # up to here one copy costs less than more writes

_T = TypeVar("_T")
_Sliced = Generator[None, None, _T]


def without_long_context(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the lines less the beta of the long context, in each ``anthropic-beta`` line that lists it.

    Such a line keeps its other members, without blanks, or goes if there are none; every other line stays as it is.
    """
    kept = []
    for name, content in headers:
        if _LONG_CONTEXT in content and name.lower() == b"anthropic-beta":
            betas = [item.strip() for item in content.split(b",")]
            if _LONG_CONTEXT in betas:
                content = b",".join([beta for beta in betas if beta not in (b"", _LONG_CONTEXT)])
                if not content:
                    continue
        kept.append((name, content))
    return kept


def scan_repairs(body: bytes | bytearray) -> _Sliced[list[Span]]:
    """Find what is to be cut out of an Anthropic request's body: spans in order, none touching another.

    Yields after every slice, so that others may have their turn; the body must not change meanwhile. With an element or
    a member goes exactly one comma next to it, so what was valid JSON still is.
    """
    if not (yield from _hinted(body)):
        return []
    cuts: list[Span] = []
    done = 0
    try:
        text = body.decode()
        yield
        for part in walk(text, "messages"):
            if part.key == "messages":
                if part.nth < 0:
                    cuts.clear()  # a second list of messages is the one that counts
                else:
                    cuts += _message_cuts(text, part)
            if part.end - done > SLICE_BYTES:
                done = part.end
                yield
    except (ValueError, RecursionError):
        return []
    return cuts if text.isascii() else (yield from _in_bytes(text, cuts))


def cut(body: bytes | bytearray, edits: Iterable[Edit]) -> list[bytes | memoryview]:
    """Give the body with each edit made, in pieces to be sent in order. Edits may come in any order, but not overlap.

    A large body is not copied: the pieces are views of it, and while they live a bytearray cannot change its size.
    """
    view = memoryview(body)
    pieces: list[bytes | memoryview] = []
    at = 0
    for start, end, instead in sorted(edits):
        assert at <= start <= end <= len(body)
        pieces += (view[at:start], instead)
        at = end
    pieces.append(view[at:])
    if len(body) < _JOINED_BYTES:
        return [b"".join(pieces)]
    return [piece for piece in pieces if piece]


def _hinted(body: bytes | bytearray) -> _Sliced[bool]:
    """Whether the body can hold anything to repair."""
    for low in range(0, len(body), _SEARCHED_BYTES):
        if low:
            yield
        if _HINT.search(body, low, low + _SEARCHED_BYTES + _HINT_BYTES):
            return True
    return False


def _message_cuts(text: str, part: Part) -> list[Span]:
    """Find what is to be cut out of one message; most have nothing, which their values tell soonest."""
    message = part.value
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return []
    content = message.get("content")
    if not isinstance(content, list) or not any(_is_unusable(block) or _is_signed_tool(block) for block in content):
        return []
    blocks: list[Part] = []
    for found in members(text, part.at, "content"):
        if found.key == "content":
            if found.nth < 0:
                blocks.clear()
            else:
                blocks.append(found)
    cuts = _without(text, blocks, lambda block: _is_unusable(block.value))
    for block in blocks:
        if _is_signed_tool(block.value):
            cuts += _without(text, list(members(text, block.at)), lambda member: member.key == "signature")
    return sorted(cuts)


def _is_unusable(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") != "thinking":
        return False
    signature = block.get("signature")
    return not isinstance(signature, str) or not signature.strip()


def _is_signed_tool(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "tool_use" and "signature" in block


def _without(text: str, parts: Sequence[Part], is_unwanted: Callable[[Part], bool]) -> list[Span]:
    """Cut parts out of the array or object that they are all of; those next to each other in one cut."""
    cuts: list[Span] = []
    kept_end: int | None = None
    start: int | None = None
    for part in parts:
        if is_unwanted(part):
            start = part.start if start is None else start
            end = part.end
        else:
            if start is not None:
                cuts.append((start, blank(text, end) + 1))  # with the comma behind
            kept_end, start = part.end, None
    if start is not None:
        # Nothing comes behind, so the comma before goes, if there is one.
        cuts.append((start if kept_end is None else blank(text, kept_end), end))
    return cuts


def _in_bytes(text: str, cuts: list[Span]) -> _Sliced[list[Span]]:
    """Turn places in the text into places in its bytes."""
    spans: list[Span] = []
    at = done = 0
    for start, end in cuts:
        for low in range(at, start, SLICE_BYTES):
            if low > at:
                yield
            done += len(text[low : min(start, low + SLICE_BYTES)].encode())
        size = len(text[start:end].encode())
        spans.append((done, done + size))
        at, done = end, done + size
    return spans
