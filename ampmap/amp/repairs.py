"""Repair what Amp's clients send and a user's own Anthropic account refuses: a beta it lacks, blocks it did not sign.

Pure functions of header lines and bytes. A body is never written anew: what is found are stretches to cut out, and
every other byte stays as it came. Nothing here decides which requests are to be repaired.

What is cut, in messages of role ``assistant`` whose content is an array:

* blocks of type ``thinking`` without a usable signature, which is a string with more in it than white space
* the ``signature`` of blocks of type ``tool_use``

Keys and values may be spelled with escapes; but a body that holds neither ``"thinking"`` nor ``"signature"`` in plain
spelling is not looked at any further. Of members with the same key the last counts, as it does for parsers. What is not
valid JSON is left as it is. So is a body that takes more than REPAIRS: cuts, and small parts looked at one by one to
find their places. A signature that is larger than what is read at once counts as one without a closer look.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar

from ..bodies.edits import Cuts, Span
from ..bodies.json_walk import WINDOW_BYTES, Part, Walk
from ..formats.anthropic import BETA_FIELD
from ..http.headers import Headers

REPAIRS: Final = 10_000
"""The most work that is done on a body's repairs, in parts of it; a conversation takes some hundreds at most."""


_LONG_CONTEXT: Final = b"context-1m-2025-08-07"
_SEARCHED_BYTES: Final = 1024 * 1024  # takes 0.6 ms
# A key called thinking, as the one that asks for thinking, is no block. At the end of a slice this errs on that side
# which costs a walk.
_HINT: Final = re.compile(rb'"thinking"(?![ \t\r\n]*+:)')
_HINT_BYTES: Final = 64

_T = TypeVar("_T")
_Sliced = Generator[None, None, _T]


def without_long_context(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the lines less the beta of the long context, in each ``anthropic-beta`` line that lists it.

    Such a line keeps its other members, without blanks, or goes if there are none; every other line stays as it is.
    """
    kept = []
    for name, content in headers:
        if _LONG_CONTEXT in content and name.lower() == BETA_FIELD:
            betas = [item.strip() for item in content.split(b",")]
            if _LONG_CONTEXT in betas:
                content = b",".join([beta for beta in betas if beta not in (b"", _LONG_CONTEXT)])
                if not content:
                    continue
        kept.append((name, content))
    return kept


def scan_repairs(body: bytes | bytearray, *, window_bytes: int = WINDOW_BYTES) -> _Sliced[list[Span]]:
    """Find what is to be cut out of an Anthropic request's body: spans in order, none touching another.

    Yields after every window or so, that others may have their turn; the body must not change meanwhile. With an
    element or a member goes exactly one comma next to it, so what was valid JSON still is.
    """
    if not (yield from _hinted(body)):
        return []
    try:
        return (yield from _Repairs(Walk(body, window_bytes)).scan())
    except (ValueError, RecursionError):
        return []


def _hinted(body: bytes | bytearray) -> _Sliced[bool]:
    """Whether the body can hold anything to repair."""
    for low in range(0, len(body), _SEARCHED_BYTES):
        if low:
            yield
        end = low + _SEARCHED_BYTES + _HINT_BYTES
        if body.rfind(b'"signature"', low, end) >= 0:
            return True
        if body.rfind(b'"thinking"', low, end) >= 0 and _HINT.search(body, low, end):
            return True
    return False


class _Repairs:
    """One body's. Values are first looked at as they come; the places are found where there is something to cut."""

    __slots__ = ("_done", "_walk")

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._done = 0

    def scan(self) -> _Sliced[list[Span]]:
        """Find the cuts of the body; raises as Walk does, and ValueError when they are too many."""
        cuts: list[Span] = []
        for part in self._walk.members("messages"):
            if part is None:
                yield
            elif part.value is None:
                if part.key == "messages":  # a second list of messages is the one that counts
                    cuts = (yield from self._messages()) if self._walk.is_array(part) else []
            elif isinstance(part.value, dict) and "messages" in part.value:
                cuts = []
                if _has(part.value["messages"], _is_suspect_message):
                    self._singly(part)
        return cuts

    def _messages(self) -> _Sliced[list[Span]]:
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

    def _message(self) -> _Sliced[list[Span]]:
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

    def _content(self) -> _Sliced[list[Span]]:
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

    def _block(self, block: Part, blocks: Cuts) -> _Sliced[list[Span]]:
        """Take or keep a block, going through it; gives the cuts of its signature."""
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
    """Whether a block, read as Latin-1, may have something to cut."""
    if not isinstance(block, dict) or "type" not in block:
        return False
    if block["type"] == "thinking":
        # What is not ASCII may be white space that Latin-1 does not have.
        return _is_unusable(block) or not str(block["signature"]).isascii()
    return block["type"] == "tool_use" and "signature" in block


def _is_unusable(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") != "thinking":
        return False
    signature = block.get("signature")
    return not isinstance(signature, str) or not signature.strip()
