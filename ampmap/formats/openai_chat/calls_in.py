"""Tell which call each entry of ``tool_calls`` belongs to, in a chat server's reply, streamed or whole. Pure.

OpenAI streams a call as entries of one index: the first has the call's id and name, and each has a piece of its
arguments. Other servers give one index, or none, to all calls, or one id to all calls of a tool, or send a whole call
once more behind its pieces.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..base import Json
from ..kept import PART_BYTES
from .blocks import Blocks
from .call_in import StreamedCall

_LEGACY = "legacy"  # in the place of an index


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of ``tool_calls``: texts are empty where it has none.

    ``index`` is the entry's own if ``is_indexed``, otherwise its place in the list. ``piece`` is what it has of the
    arguments. ``thought`` is Google's signature of the thought that led to the call.
    """

    index: int
    is_indexed: bool
    id: str
    name: str
    piece: str
    custom: bool
    thought: str


class Calls:
    """The calls of one reply, whose pieces go into its blocks."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._by_index: dict[int | str, StreamedCall] = {}  # the latest of each index
        self._by_id: dict[str, StreamedCall] = {}

    def take(self, item: Json, place: int) -> StreamedCall | None:
        """Take an entry of ``tool_calls``; return its call, None if that call has been read in full before."""
        entry = _entry_of(item, place)
        call = self._candidate(entry)
        if call is not None and _begins_another(call, entry):
            if _repeats(call, entry):
                return None
            call = None
        if call is None:
            call = StreamedCall()
            call.custom = entry.custom
            self._blocks.add_call(call)
        elif entry.index not in self._by_index:
            self._blocks.kept.add(PART_BYTES)
        self._by_index[entry.index] = call
        if entry.id and not call.id:
            call.id = entry.id
            self._by_id[entry.id] = call
        call.name = call.name or entry.name
        call.thought = call.thought or entry.thought
        self._blocks.name_call(call)
        if entry.piece:
            self._blocks.advance()
            self._blocks.arguments(call, entry.piece)
        return call

    def take_legacy(self, item: Json) -> None:
        """Take a piece of the only call in a ``function_call``, which was there before ``tool_calls``."""
        call = self._by_index.get(_LEGACY)
        if call is None:
            call = self._by_index[_LEGACY] = StreamedCall()
            self._blocks.add_call(call)
        if not call.name and isinstance(name := item.get("name"), str):
            call.name = name
        if piece := _arguments(item.get("arguments")):
            self._blocks.arguments(call, piece)

    def _candidate(self, entry: _Entry) -> StreamedCall | None:
        """Return the call that an entry continues by its index or its id."""
        call = self._by_index.get(entry.index)
        is_new = call is None and entry.is_indexed and entry.name  # some give one id to all calls of a tool
        return self._by_id.get(entry.id, call) if entry.id and not is_new else call


def number_calls(message: Any) -> None:
    """Give each call of a whole reply an index of its own: servers send one id, or one index, for several."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    for place, item in enumerate(calls if isinstance(calls, list) else ()):
        if isinstance(item, dict):
            item["index"] = place


def _begins_another(call: StreamedCall, entry: _Entry) -> bool:
    """Tell whether an entry cannot continue ``call``, although its index or its id is that of ``call``."""
    # Ollama and Gemini send all calls with index 0; others send no index, or neither index nor ids.
    has_other_id = entry.id and call.id and entry.id != call.id and (entry.name or not entry.is_indexed)
    says_more = entry.name and call.complete and (entry.piece.strip() or call.name not in ("", entry.name))
    return bool(has_other_id or says_more)


def _repeats(call: StreamedCall, entry: _Entry) -> bool:
    """Tell whether an entry is ``call`` once more, in full: behind its pieces, or behind the same entry."""
    is_same = entry.id and entry.id == call.id and entry.name == call.name
    return bool(is_same and call.alone in (None, hash(entry.piece)))


def _entry_of(item: Json, place: int) -> _Entry:
    custom = item.get("type") == "custom" or "custom" in item
    function = item.get("custom" if custom else "function")
    if not isinstance(function, dict):
        function = {}
    id, name, index = item.get("id"), function.get("name"), item.get("index")
    return _Entry(
        index=index if isinstance(index, int) else place,
        is_indexed=isinstance(index, int),
        id=id if isinstance(id, str) else "",
        name=name if isinstance(name, str) else "",
        piece=_arguments(function.get("input" if custom else "arguments")),
        custom=custom,
        thought=_thought(item) or _thought(function),
    )


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)  # an object instead of its text


def _thought(item: Json) -> str:
    """Return Google's signature of a thought, which stands with the call that came of it."""
    for key in ("extra_content", "google"):
        found = item.get(key)
        item = found if isinstance(found, dict) else {}
    signature = item.get("thought_signature")
    return signature if isinstance(signature, str) else ""
