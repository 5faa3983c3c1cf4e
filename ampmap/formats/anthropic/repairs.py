"""Take out of a request what Amp's clients send and a user's own account refuses: a beta, and blocks it did not sign.

Pure. ``proxy`` decides which requests are repaired. The scan finds the stretches of the body that have to go; every
other byte stays as it is.

These are cut, in messages of role ``assistant`` whose content is an array:

* blocks of type ``thinking`` without a usable signature, which is a string with more in it than white space
* the ``signature`` of blocks of type ``tool_use``

Keys and values may be spelled with escapes, but a body with neither ``"thinking"`` nor ``"signature"`` in plain
spelling is not walked. Of members with the same key the last counts, as it does for parsers. Two kinds of bodies stay
unchanged: those that are not valid JSON, and those that need more than REPAIRS cuts and looks at single small parts.
A signature that is larger than the window of the walk counts as usable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from ...bodies.edits import Cuts, Span
from ...bodies.json_walk import WINDOW_BYTES, Part, Walk
from ...bodies.search import SEARCHED_BYTES
from ...bodies.steps import Steps

REPAIRS: Final = 10_000
"""The most parts of a body that are cut out or looked at one by one; a conversation has some hundreds at most."""

_BETA_FIELD: Final = b"anthropic-beta"
_LONG_CONTEXT: Final = b"context-1m-2025-08-07"
# The key "thinking", by which a request asks for thinking, is no block. Where the end of a slice hides the colon, the
# body is walked for nothing.
_HINT: Final = re.compile(rb'"thinking"(?![ \t\r\n]*+:)')
_HINT_BYTES: Final = 64


def without_long_context(lines: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return header lines without the beta of the long context, which most accounts do not have.

    An ``anthropic-beta`` line that lists it keeps its other members, without blanks, or goes if there are none. Every
    other line stays as it is.
    """
    kept = []
    for name, content in lines:
        if _LONG_CONTEXT in content and name.lower() == _BETA_FIELD:
            betas = [item.strip() for item in content.split(b",")]
            if _LONG_CONTEXT in betas:
                content = b",".join([beta for beta in betas if beta not in (b"", _LONG_CONTEXT)])
                if not content:
                    continue
        kept.append((name, content))
    return kept


def scan_repairs(body: bytes | bytearray, *, window_bytes: int = WINDOW_BYTES) -> Steps[list[Span]]:
    """Find the spans of a body that have to go: in order, none touching another.

    Each span takes exactly one comma along, so valid JSON stays valid. Yields after every ``window_bytes`` or so; the
    body must not change between the steps.
    """
    if not (yield from _hinted(body)):
        return []
    try:
        return (yield from _Repairs(Walk(body, window_bytes)).scan())
    except (ValueError, RecursionError):
        return []


def _hinted(body: bytes | bytearray) -> Steps[bool]:
    """Tell whether the body can hold anything to repair."""
    for low in range(0, len(body), SEARCHED_BYTES):
        if low:
            yield
        end = low + SEARCHED_BYTES + _HINT_BYTES
        if body.rfind(b'"signature"', low, end) >= 0:
            return True
        if body.rfind(b'"thinking"', low, end) >= 0 and _HINT.search(body, low, end):
            return True
    return False


class _Repairs:
    """The repairs of one body. Values are looked at in bulk; only where one is suspect the walk goes to its place."""

    __slots__ = ("_done", "_walk")

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._done = 0

    def scan(self) -> Steps[list[Span]]:
        """Return the cuts of the body. Raises as Walk does, and ValueError for more than REPAIRS."""
        cuts: list[Span] = []
        for part in self._walk.members("messages"):
            if part is None:
                yield
            elif part.value is None:
                if part.key == "messages":  # a second list of messages replaces the first
                    cuts = (yield from self._messages()) if self._walk.is_array(part) else []
            elif isinstance(part.value, dict) and "messages" in part.value:
                cuts = []
                if _has(part.value["messages"], _is_suspect_message):
                    self._singly(part)
        return cuts

    def _messages(self) -> Steps[list[Span]]:
        walk = self._walk
        cuts: list[Span] = []
        for part in walk.parts():
            if part is None:
                yield
            elif part.value is None:
                if walk.is_object(part):
                    cuts += yield from self._message()
            elif walk.may_have(part, b'"role"') and any(map(_is_suspect_message, part.value)):
                if len(part.value) > 1:
                    self._singly(part)
                else:
                    walk.at = part.at
                    cuts += yield from self._message()
        return cuts

    def _message(self) -> Steps[list[Span]]:
        role: Any = None
        cuts: list[Span] = []
        for part in self._walk.parts("content"):
            if part is None:
                yield
            elif isinstance(part.value, dict):
                role = part.value.get("role", role)
                if "content" in part.value:
                    cuts = []
                    if _has(part.value["content"], _is_suspect):
                        self._singly(part)
            elif part.key == "role":
                role = None
            elif part.key == "content":
                cuts = (yield from self._content()) if self._walk.is_array(part) else []
        return cuts if role == "assistant" else []

    def _content(self) -> Steps[list[Span]]:
        walk = self._walk
        blocks = Cuts()
        signatures: list[Span] = []
        for part in walk.parts():
            if part is None:
                yield
            elif part.value is None:
                if walk.is_object(part):
                    signatures += yield from self._block(part, blocks)
                else:
                    blocks.keep(part)
            elif not (walk.may_have(part, b'"type"') and any(map(_is_suspect, part.value))):
                blocks.keep(part)
            elif all(map(_is_unusable, walk.exact(part))):
                self._count(1)
                blocks.take(part, part.end)
            elif len(part.value) > 1:
                self._singly(part)
            else:
                walk.at = part.at
                signatures += yield from self._block(part, blocks)
        return sorted(blocks.finished() + signatures)

    def _block(self, block: Part, blocks: Cuts) -> Steps[list[Span]]:
        """Walk through a block, note in ``blocks`` whether it goes, and return the cut of its signature, if any."""
        walk = self._walk
        seen: dict[str, Any] = {}
        cuts = Cuts()
        for part in walk.parts():
            if part is None:
                yield
            elif isinstance(part.value, dict):
                if "signature" not in part.value:
                    seen |= {"type": part.value["type"]} if "type" in part.value else {}
                    cuts.keep(part)
                elif len(part.value) > 1:
                    self._singly(part)
                else:
                    self._count(1)
                    seen |= walk.exact(part)
                    cuts.take(part, part.end)
            elif part.key == "signature":
                seen["signature"] = None if walk.is_array(part) or walk.is_object(part) else "large"
                for _ in walk.skip():
                    yield
                cuts.take(part, walk.at)
            else:
                seen[part.key] = None
                cuts.keep(part)
        if _is_unusable(seen):
            blocks.take(block, walk.at)
        else:
            blocks.keep(block)
        return cuts.finished() if seen.get("type") == "tool_use" else []

    def _singly(self, part: Part) -> None:
        assert part.value is not None
        self._count(len(part.value))
        self._walk.singly(part)

    def _count(self, parts: int) -> None:
        self._done += parts
        if self._done > REPAIRS:
            raise ValueError(f"more than {REPAIRS} parts to repair")


def _has(values: Any, is_meant: Callable[[Any], bool]) -> bool:
    return isinstance(values, list) and any(map(is_meant, values))


def _is_suspect_message(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return False
    return _has(message.get("content"), _is_suspect)


def _is_suspect(block: Any) -> bool:
    """Tell whether a block, read as Latin-1, may have something to cut."""
    if not isinstance(block, dict) or "type" not in block:
        return False
    if block["type"] == "thinking":
        # A character beyond ASCII may be white space, which Latin-1 does not show.
        return _is_unusable(block) or not str(block["signature"]).isascii()
    return block["type"] == "tool_use" and "signature" in block


def _is_unusable(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") != "thinking":
        return False
    signature = block.get("signature")
    return not isinstance(signature, str) or not signature.strip()
