"""Take carriers, the seals of other vendors, out of a request that is not translated. Pure.

A translated reply leaves carriers in the client's history. A provider that gets one in the place of its own signature
refuses the request. The block, item or entry that holds a carrier goes with it, and so does everything that would be
empty without it. The signature of a call in Gemini's format is replaced by the word for none. A body without a carrier
is searched, but not walked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ..bodies.edits import Cuts, Edit
from ..bodies.json_walk import Walk
from ..bodies.members import scan_members
from ..bodies.search import holds
from .base import Steps
from .carrier import ENCODED_MARK, PLAIN_MARK
from .gemini.models import NO_SIGNATURE

_LISTS: Final = ("messages", "input", "contents")
_INSIDE: Final = frozenset({"content", "parts", "reasoning_details", "tool_calls", "extra_content", "google"})
_HOLDERS: Final = frozenset({"signature", "data", "encrypted_content"})  # the whole object goes with them
_SIGNATURES: Final = frozenset({"thoughtSignature", "thought_signature"})
_WITHOUT: Final = f'"{NO_SIGNATURE}"'.encode()
_AT_ONCE: Final = 64  # values between two yields
_DEPTH: Final = 8  # of objects in objects: a value is read again for each object around it
_MARKS: Final = (f'"{PLAIN_MARK}'.encode(), f'"{ENCODED_MARK}'.encode())
_DECODER: Final = json.JSONDecoder()
_BLANKS: Final = re.compile(r"[ \t\r\n]*")


class Cut(NamedTuple):
    """The edits of a body; ``lost_thinking`` says that the request asks for no thinking now.

    Messages refuses thinking for a turn with calls that has lost its own.
    """

    edits: list[Edit]
    lost_thinking: bool = False


_NO_CUT: Final = Cut([])


def scan_foreign_seals(body: bytes | bytearray) -> Steps[Cut]:
    """Find the carriers in a body; one that is no JSON has none. The body must not change between the steps."""
    if not (yield from holds(body, *_MARKS)):
        return _NO_CUT
    try:
        return (yield from _scan(body))
    except (ValueError, RecursionError):
        return _NO_CUT


def _scan(body: bytes | bytearray) -> Steps[Cut]:
    walk, edits = Walk(body), list[Edit]()
    thinks = in_last_turn = False
    for part in walk.members(*_LISTS):
        if part is None:
            yield
        elif isinstance(part.value, dict) and not part.value.keys() & {"thinking", *_LISTS}:
            continue
        elif isinstance(part.value, dict) and len(part.value) > 1:
            walk.singly(part)
        elif isinstance(part.value, dict) and "thinking" in part.value:
            asked = part.value["thinking"]
            thinks = isinstance(asked, dict) and asked.get("type") == "enabled"
        elif part.value is not None or (part.key in _LISTS and walk.is_array(part)):
            walk.at = part.at
            found, in_last_turn = yield from _of_list(body, walk)
            edits += found
    if not (thinks and in_last_turn):
        return Cut(edits)
    return Cut([*edits, *(yield from scan_members(body, (), ("thinking",)))], lost_thinking=True)


def _of_list(body: bytes | bytearray, walk: Walk) -> Steps[tuple[list[Edit], bool]]:
    """Return the edits of the list of messages that begins here, and whether the last turn with calls lost a seal."""
    cuts, edits, in_last_turn = Cuts(), list[Edit](), False
    for part in walk.parts():
        if part is None:
            yield
            continue
        if part.value is not None and len(part.value) != 1:
            walk.singly(part)
            continue
        end = part.end
        if part.value is None:
            walk.at = part.at
            for _ in walk.skip():
                yield
            end = walk.at
        message = bytes(body[part.at : end])
        found = _NONE
        if any(mark in message for mark in _MARKS):
            found = yield from _Message(message.decode("latin-1"), part.at).look()
        if found.taken:
            cuts.take(part, end)
        else:
            cuts.keep(part)
            edits += found.edits
        if b'"tool_use"' in message:
            in_last_turn = bool(found.edits)
    return edits + [(start, end, b"") for start, end in cuts.finished()], in_last_turn


class _Found(NamedTuple):
    """The outcome for a value that ends at ``end``: it goes as a whole, or is edited."""

    end: int
    taken: bool
    edits: list[Edit]


_NONE: Final = _Found(0, False, [])


class _Message:
    """One message or item. Its text is read as Latin-1, so that a place in it is ``base`` less than in the body."""

    def __init__(self, text: str, base: int) -> None:
        self._text = text
        self._base = base
        self._called = False  # a call of this message was found
        self._values = 0

    def look(self) -> Steps[_Found]:
        return (yield from self._object(0, _DEPTH)) if self._text.startswith("{") else _NONE

    def _object(self, at: int, depth: int) -> Steps[_Found]:
        taken, spans, edits = False, list[tuple[int, int, bool]](), list[Edit]()
        calls, signature = False, (0, 0)
        for key, start, value_at, end in self._members(at):
            at, gone = end, False
            self._values += 1
            if not self._values % _AT_ONCE:
                yield
            calls = calls or key in ("functionCall", "function_call")
            if key in _HOLDERS and self._is_carrier(value_at):
                taken = True
            elif key in _SIGNATURES and self._is_carrier(value_at):
                gone, signature = True, (value_at, end)
            elif key in _INSIDE and depth and self._text[value_at] in "[{":
                look = self._object if self._text[value_at] == "{" else self._array
                found = yield from look(value_at, depth - 1)
                gone = found.taken
                edits += [] if gone else found.edits
                taken = taken or (gone and key in ("content", "parts"))  # no message is left without its content
            spans.append((start, end, gone))
        if calls and signature[1] and not self._called:
            spans = [(start, end, gone and end != signature[1]) for start, end, gone in spans]
            edits.append((self._base + signature[0], self._base + signature[1], _WITHOUT))
        self._called = self._called or calls
        all_gone = bool(spans) and all(gone for _, _, gone in spans)
        return _Found(at, taken or all_gone, edits + self._cuts(spans))

    def _array(self, at: int, depth: int) -> Steps[_Found]:
        spans, edits = list[tuple[int, int, bool]](), list[Edit]()
        for start, end in self._elements(at):
            at, found = end, (yield from self._object(start, depth)) if self._text[start] == "{" else _NONE
            spans.append((start, end, found.taken))
            edits += [] if found.taken else found.edits
        return _Found(at, bool(spans) and all(gone for _, _, gone in spans), edits + self._cuts(spans))

    def _cuts(self, spans: list[tuple[int, int, bool]]) -> list[Edit]:
        """Return the cuts for parts that are gone, each run of them with one comma next to it."""
        found: list[Edit] = []
        kept_end, run = -1, -1
        for place, (start, end, gone) in enumerate(spans):
            if gone:
                run = start if run < 0 else run
            if run >= 0 and not gone and kept_end < 0:
                found.append((run, start, b""))
            if run >= 0 and kept_end >= 0 and (not gone or place == len(spans) - 1):
                found.append((kept_end, spans[place if gone else place - 1][1], b""))
            if not gone:
                kept_end, run = end, -1
        return [(self._base + start, self._base + end, instead) for start, end, instead in found]

    def _is_carrier(self, at: int) -> bool:
        return self._text.startswith((f'"{PLAIN_MARK}', f'"{ENCODED_MARK}'), at)

    def _members(self, at: int) -> Iterator[tuple[str, int, int, int]]:
        """Yield the key of each member, where it begins, and where its value begins and ends."""
        for start in self._places(at, "}"):
            key, end = self._value(start)
            value_at = self._behind(self._behind(end) + 1)
            end = self._value(value_at)[1]
            yield key, start, value_at, end
            self._at = end

    def _elements(self, at: int) -> Iterator[tuple[int, int]]:
        for start in self._places(at, "]"):
            end = self._value(start)[1]
            yield start, end
            self._at = end

    def _places(self, at: int, closer: str) -> Iterator[int]:
        at = self._behind(at + 1)
        while self._text[at] != closer:
            yield at
            at = self._behind(self._at)
            if self._text[at] == ",":
                at = self._behind(at + 1)

    def _value(self, at: int) -> tuple[Any, int]:
        found: tuple[Any, int] = _DECODER.raw_decode(self._text, at)
        return found

    def _behind(self, at: int) -> int:
        """Return the place behind the blanks that begin here."""
        found = _BLANKS.match(self._text, at)
        assert found is not None
        return found.end()
