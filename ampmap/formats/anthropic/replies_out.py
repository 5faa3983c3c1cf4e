"""Write a reply of the Messages API for a client, as a stream or whole. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from ...bodies.texts import dump, quoted
from ..arguments import arguments_of
from ..base import Json, ReplySink
from ..carrier import encode
from ..conversation import Seal
from ..events import Begin, Delta, End, Event, Failure, Ping, Start, Stop, Usage
from ..identifiers import ID_CHARS, digest, fit_id
from . import errors

_REASONS: Final = {
    "stop": "end_turn", "sequence": "stop_sequence", "calls": "tool_use", "length": "max_tokens",
    "refusal": "refusal", "pause": "pause_turn",
}  # fmt: skip
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]")
_BLOCKS: Final[dict[str, Json]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
_HEAD: Final = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":'
_DELTAS: Final = {
    "text": b'"text_delta","text":',
    "thinking": b'"thinking_delta","thinking":',
    "call": b'"input_json_delta","partial_json":',
}
_DELTA_END: Final = b"}}\n\n"


class ReplyWriter:
    """Writes a reply. The client gets each block whole before the next begins, and input only as deltas.

    A text or a reasoning that stays empty makes no block; a seal without a text makes a ``redacted_thinking``. Sources
    of texts are left out: this API's citations refer to what its own tools found.
    """

    def __init__(self, sink: ReplySink) -> None:
        self._sink = sink
        self._id = ""
        self._index = -1
        self._kind = ""  # of the open block
        self._waits = False  # its start is not written yet
        self._delta = b""  # the bytes before the text of each delta of the block
        self._ids: dict[str, int] = {}  # how often each was given
        self._writers: Final[dict[type, Callable[[Any], bytes]]] = {
            Delta: self._first_delta,
            Start: self._start,
            Stop: self._stop,
            Begin: self._begin,
            End: self._end,
            Failure: lambda failed: _event("error", errors.failure(failed)),
            Ping: lambda _: b'event: ping\ndata: {"type":"ping"}\n\n',
        }

    def write(self, event: Event) -> bytes:
        """Return what an event becomes in a stream."""
        if isinstance(event, Delta) and not self._waits:  # most of all events
            return self._delta + quoted(event.text) + _DELTA_END
        writer = self._writers.get(type(event))
        return writer(event) if writer else b""

    def whole(self, events: Iterable[Event]) -> Json:
        """Return a whole reply."""
        content: list[Json] = []
        end = End("stop")
        start, pieces = Start("text"), list[str]()
        for event in events:
            if isinstance(event, Begin):
                self._id = _message_id(event.id, self._sink)
            elif isinstance(event, Start):
                start, pieces = event, []
            elif isinstance(event, Delta):
                pieces.append(event.text)
            elif isinstance(event, Stop):
                text = "".join(pieces)
                if start.kind == "call":
                    call = {"type": "tool_use", "id": self._call_id(start.id), "name": start.name}
                    content.append({**call, "input": arguments_of(text)})
                elif start.kind == "text" and text:
                    content.append({"type": "text", "text": text})
                elif start.kind == "thinking" and text:
                    content.append({"type": "thinking", "thinking": text, "signature": self._carrier(event.seal)})
                elif start.kind == "thinking" and event.seal and (data := self._carrier(event.seal)):
                    content.append({"type": "redacted_thinking", "data": data})
            elif isinstance(event, End):
                end = event
        message = self._message(content)
        message |= self._ending(end)
        message["usage"] = {"input_tokens": 0, "output_tokens": 0, **_usage(end.usage)}
        return message

    def _message(self, content: list[Json]) -> Json:
        return {"id": self._id or _message_id("", self._sink), "type": "message", "role": "assistant",
                "model": self._sink.model, "content": content}  # fmt: skip

    def _begin(self, begin: Begin) -> bytes:
        self._id = _message_id(begin.id, self._sink)
        message = self._message([])
        message |= {"stop_reason": None, "stop_sequence": None, "stop_details": None}
        usage = {**_usage(begin.usage), "output_tokens": 0}
        if not usage.get("input_tokens") and not usage.get("cache_read_input_tokens"):
            usage = {"input_tokens": self._sink.estimate, "output_tokens": 0}
        message["usage"] = usage
        return _event("message_start", {"type": "message_start", "message": message})

    def _start(self, start: Start) -> bytes:
        self._kind = start.kind
        if start.kind != "call":
            self._waits = True  # it may stay empty
            return b""
        call = {"type": "tool_use", "id": self._call_id(start.id), "name": start.name, "input": {}}
        return self._open(call)

    def _open(self, block: Json) -> bytes:
        self._waits = False
        self._index += 1
        self._delta = _HEAD % self._index + _DELTAS[self._kind]
        event = {"type": "content_block_start", "index": self._index, "content_block": block}
        return _event("content_block_start", event)

    def _first_delta(self, delta: Delta) -> bytes:
        return self._open(_BLOCKS[self._kind]) + self._delta + quoted(delta.text) + _DELTA_END

    def _stop(self, stop: Stop) -> bytes:
        out = b""
        if self._waits:
            self._waits = False
            data = self._carrier(stop.seal) if stop.seal else ""
            if not data:
                return b""
            out = self._open({"type": "redacted_thinking", "data": data})
        elif self._kind == "thinking" and (signature := self._carrier(stop.seal)):
            delta = {"type": "signature_delta", "signature": signature}
            event = {"type": "content_block_delta", "index": self._index, "delta": delta}
            out = _event("content_block_delta", event)
        return out + _event("content_block_stop", {"type": "content_block_stop", "index": self._index})

    def _end(self, end: End) -> bytes:
        # Without a number from the provider the estimate stays: a zero would take its place.
        usage = {"output_tokens": 0, **_usage(end.usage)}
        event = {"type": "message_delta", "delta": self._ending(end), "usage": usage}
        return _event("message_delta", event) + _event("message_stop", {"type": "message_stop"})

    def _ending(self, end: End) -> Json:
        reason, sequence = _REASONS[end.reason], None
        if end.reason == "sequence":
            # Some servers name what stopped them in this place, a token's number among others.
            known = self._sink.reply_options is None or end.sequence in self._sink.reply_options
            reason, sequence = ("stop_sequence", end.sequence) if known and end.sequence else ("end_turn", None)
        details = None
        if end.reason == "refusal":
            details = {"type": "refusal", "category": None, "explanation": end.explanation or None}
        return {"stop_reason": reason, "stop_sequence": sequence, "stop_details": details}

    def _carrier(self, seal: Seal | None) -> str:
        """Return the carrier of a seal. Without a seal it is an empty carrier, which no provider takes for its own."""
        seal = seal or Seal("", None)
        return encode(seal if seal.maker else replace(seal, maker=self._sink.maker, model=self._sink.sent))

    def _call_id(self, id_: str) -> str:
        id_ = fit_id(id_ or f"{self._id}/{len(self._ids)}")
        own = id_
        while own in self._ids:
            self._ids[id_] += 1
            own = f"{id_}-{self._ids[id_]}"
        self._ids[own] = 1
        return own


def _message_id(id_: str, sink: ReplySink) -> str:
    id_ = _FOREIGN.sub("_", id_[:ID_CHARS]) or digest(f"{sink.created}/{sink.sent}/{sink.estimate}")[:24]
    return id_ if id_.startswith("msg_") else f"msg_{id_}"


def _usage(usage: Usage | None) -> Json:
    """Return the stated counts. In this API the three numbers of the prompt do not overlap."""
    found: Json = {}
    if usage is None:
        return found
    if usage.input is not None:
        found["input_tokens"] = max(0, usage.input - (usage.cached or 0) - (usage.written or 0))
        found["cache_creation_input_tokens"] = usage.written or 0
        found["cache_read_input_tokens"] = usage.cached or 0
    if usage.output is not None:
        found["output_tokens"] = usage.output
    if usage.reasoning is not None:
        found["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return found


def _event(name: str, event: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), b"".join(dump(event)))
