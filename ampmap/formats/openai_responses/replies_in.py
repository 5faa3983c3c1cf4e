"""Read a provider's reply, as a stream or whole. Pure.

Items are told apart by their ``output_index``: some servers change ids from event to event, leave out events, or give
an item only in ``response.completed``. If deltas are missing, the complete item at the end gives the rest of its text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Any, Final

from ...bodies.texts import loads
from ...errors import UpstreamBroken
from ..base import ReplySource, elements, object_of
from ..bounds import bounded_loads
from ..conversation import Seal
from ..events import Begin, Citation, Delta, End, Event, Ping, Start, Stop
from ..failures import stated_failure
from ..identifiers import hashed
from ..kept import PART_BYTES, Kept
from ..usage import count
from .usage import read_usage

_CALLS: Final = ("function_call", "custom_tool_call")
_TEXT_DELTAS: Final = ("response.output_text.delta", "response.refusal.delta")
_THOUGHT_DELTAS: Final = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
_ANNOUNCED: Final = ("response.output_item.added", "response.content_part.added")
_CALL_DELTAS: Final = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")


class _Item:
    """An item of the output, of which more may come."""

    def __init__(self, kind: str = "") -> None:
        self.kind = kind  # message, reasoning, function_call, custom_tool_call or another
        self.id = ""
        self.name = ""
        self.seen: list[str] = []  # pieces of its text or arguments, which the client has or will have
        self.source = ""  # of reasoning: the kind of deltas that counts, as there may be two texts
        self.part = 0  # of reasoning: the number of the summary
        self.started = False
        self.done = False


class ReplyReader:
    """Reads one reply. Blocks come one after another: while an item is open, events of others are held back."""

    def __init__(self, source: ReplySource) -> None:
        self._names = source.names
        self._target = source.target
        self._items: dict[int, _Item] = {}
        self._held: dict[int, list[tuple[str, Any]]] = {}  # events of other items than the open one
        self._waiting: list[int] = []  # a heap of those items
        self._kept = Kept()
        self._event_bytes = 0
        self._open: int | None = None
        self._began = False
        self._delivered_call = False
        self._cut_call = False
        self._doubtful = False  # a call is no JSON, though the server says that it is complete

    def feed(self, name: bytes, data: bytes) -> Iterator[Event]:
        """Take one event of the stream."""
        if name == b":":
            yield Ping()
            return
        try:
            event = loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(event, dict):
            self._event_bytes = len(data)
            yield from self._event(event)

    def finish(self) -> Iterator[Event]:
        """Raise: only ``response.completed`` and its like end a stream."""
        raise UpstreamBroken("its reply ended before response.completed")

    def whole(self, reply: Any) -> Iterator[Event]:
        """Take a whole response."""
        if not isinstance(reply, dict) or (reply.get("error") and reply.get("status") in (None, "failed")):
            yield stated_failure(reply, "the provider's reply is no response")
            return
        yield from self._terminal(reply)

    def _event(self, event: dict[str, Any]) -> Iterator[Event]:
        kind = event.get("type")
        response = event.get("response")
        response = response if isinstance(response, dict) else {}
        if kind in ("response.completed", "response.incomplete", "response.done"):
            yield from self._terminal(response)
        elif kind in ("error", "response.failed") or event.get("error"):
            yield stated_failure(response.get("error") or event.get("error") or event)
        elif kind in ("response.created", "response.in_progress", "response.queued"):
            yield from self._begin(response.get("id"))
        elif isinstance(kind, str):
            index = self._index(event)
            if index is not None:
                yield from self._of_item(index, kind, event)

    def _begin(self, id_: Any) -> Iterator[Event]:
        if not self._began:
            self._began = True
            yield Begin(id_ if isinstance(id_, str) else "")

    def _index(self, event: dict[str, Any]) -> int | None:
        index = event.get("output_index")
        if isinstance(index, int) and not isinstance(index, bool):
            return index
        return self._open if "item" not in event else len(self._items)

    def _of_item(self, index: int, kind: str, event: dict[str, Any]) -> Iterator[Event]:
        """Take an event of one item: now, or once the open item is complete."""
        item = self._items.get(index)
        if item is None:
            self._kept.add(PART_BYTES)
            item = self._items[index] = _Item()
        if item.done:
            return
        if self._open is not None and self._open != index and kind not in _ANNOUNCED:
            self._kept.add(self._event_bytes)
            if index not in self._held:
                self._held[index] = []
                heappush(self._waiting, index)
            self._held[index].append((kind, event))
            return
        yield from self._step(index, item, kind, event)
        while self._open is None and self._waiting:
            first = heappop(self._waiting)
            for held_kind, held in self._held.pop(first):
                yield from self._step(first, self._items[first], held_kind, held)

    def _step(self, index: int, item: _Item, kind: str, event: dict[str, Any]) -> Iterator[Event]:
        found = event.get("item")
        if isinstance(found, dict):
            _take(item, found)
        if kind == "response.output_item.done" and isinstance(found, dict):
            yield from self._complete(index, item, found)
            return
        delta = event.get("delta")
        if not isinstance(delta, str) or not delta:
            return
        if kind in _TEXT_DELTAS:
            item.kind = item.kind or "message"
            yield from self._more(index, item, "text", delta)
        elif kind in _THOUGHT_DELTAS:
            item.kind = item.kind or "reasoning"
            item.source = item.source or kind
            if item.source == kind:
                part = event.get("summary_index", 0)
                between = "\n\n" if item.seen and part != item.part else ""
                item.part = part
                yield from self._more(index, item, "thinking", between + delta)
        elif kind in _CALL_DELTAS and item.id and item.name and item.kind == "function_call":
            yield from self._more(index, item, "call", delta)

    def _more(self, index: int, item: _Item, kind: Any, text: str) -> Iterator[Event]:
        yield from self._start(index, item, kind)
        self._kept.add(len(text))
        item.seen.append(text)
        yield Delta(text)

    def _start(self, index: int, item: _Item, kind: Any) -> Iterator[Event]:
        if not item.started:
            yield from self._begin("")
            item.started, self._open = True, index
            yield Start(kind, item.id, self._names.get(item.name, item.name)) if kind == "call" else Start(kind)

    def _complete(self, index: int, item: _Item, found: dict[str, Any]) -> Iterator[Event]:
        """Give the rest of an item, and close it."""
        seal = None
        text = ""
        if item.kind == "message":
            text, kind = _message_text(found), "text"
        elif item.kind == "reasoning":
            text, kind = _thoughts(found, item.source), "thinking"
            if isinstance(sealed := found.get("encrypted_content"), str) and sealed:
                seal = Seal("reasoning", sealed, self._target.maker, self._target.model)
        elif item.kind in _CALLS and item.name:
            text, kind = _arguments(found, item.kind), "call"
            item.id = item.id or _derived_id(index, item.name, found, text)
        else:
            item.done = True
            return
        if kind == "call" or text or seal is not None:
            yield from self._start(index, item, kind)
        seen = "".join(item.seen)
        item.seen.clear()
        rest = text[len(seen) :] if text.startswith(seen) else ""
        if rest:
            yield Delta(rest)
        if item.started:
            if kind == "text":
                yield from _citations(found)
            whole = kind != "call" or _is_whole(seen + rest)
            if not whole and found.get("status") == "completed":
                self._doubtful = whole = True
            self._delivered_call = self._delivered_call or (kind == "call" and whole)
            self._cut_call = self._cut_call or not whole
            yield Stop(seal, whole)
            self._open = None
        item.done = True

    def _terminal(self, response: dict[str, Any]) -> Iterator[Event]:
        yield from self._begin(response.get("id"))
        output = elements(response.get("output"))
        if self._open is not None:  # close it first, with what the response says of it
            index = self._open
            found = object_of(output[index] if 0 <= index < len(output) else None)
            yield from self._complete(index, self._items[index], found)
        for index in sorted(self._held):
            for kind, event in self._held[index]:
                yield from self._step(index, self._items[index], kind, event)
            if self._open is not None:
                yield from self._complete(index, self._items[index], {})
        for index, found in enumerate(output):
            item = self._items.setdefault(index, _Item())
            if isinstance(found, dict) and not item.done:
                _take(item, found)
                yield from self._complete(index, item, found)
        yield self._end(response)

    def _end(self, response: dict[str, Any]) -> End:
        usage = read_usage(None, response.get("usage"))
        details = response.get("incomplete_details")
        why = details.get("reason") if isinstance(details, dict) else None
        if self._cut_call or (response.get("status") == "incomplete" and why == "max_output_tokens"):
            cut = self._cut_call or self._doubtful or not self._delivered_call
            return End("length" if cut else "calls", usage)
        if self._delivered_call:
            return End("calls", usage)
        return End("refusal" if why == "content_filter" else "stop", usage)


def _take(item: _Item, found: dict[str, Any]) -> None:
    """Note an item's type, id and name; a server may send them only at the end."""
    kind, id_, name = found.get("type"), found.get("call_id"), found.get("name")
    item.kind = item.kind or (kind if isinstance(kind, str) else "")
    item.id = item.id or (id_ if isinstance(id_, str) else "")
    item.name = item.name or (name if isinstance(name, str) else "")


def _message_text(found: dict[str, Any]) -> str:
    parts = map(object_of, elements(found.get("content")))
    texts = [part.get("text") or part.get("refusal") for part in parts]
    return "".join(text for text in texts if isinstance(text, str))


def _thoughts(found: dict[str, Any], source: str) -> str:
    keys = ("content", "summary") if source == _THOUGHT_DELTAS[1] else ("summary", "content")
    for key in keys:
        texts = [part.get("text") for part in map(object_of, elements(found.get(key)))]
        if any(texts):
            return "\n\n".join(text for text in texts if isinstance(text, str))
    return ""


def _arguments(found: dict[str, Any], kind: str) -> str:
    value = found.get("input" if kind == "custom_tool_call" else "arguments")
    if kind == "custom_tool_call":
        return json.dumps({"input": value if isinstance(value, str) else ""})
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, dict) else ""


def _citations(found: dict[str, Any]) -> Iterator[Event]:
    for part in map(object_of, elements(found.get("content"))):
        for each in map(object_of, elements(part.get("annotations"))):
            if isinstance(each.get("url"), str):
                start, end = (count(each, key) for key in ("start_index", "end_index"))
                yield Citation(each["url"], str(each.get("title") or ""), start, end)


def _is_whole(text: str) -> bool:
    """Tell whether arguments are JSON of any kind: those that are cut are none."""
    try:
        bounded_loads(text or "{}")
    except (ValueError, RecursionError):
        return not text.strip()
    return True


def _derived_id(index: int, name: str, found: dict[str, Any], arguments: str) -> str:
    """Return an id for a call to which the server gave none of its own: always the same."""
    given = found.get("id")
    return given if isinstance(given, str) and given else f"call_{hashed(f'{index} {name} {arguments[:4096]}', 24)}"
