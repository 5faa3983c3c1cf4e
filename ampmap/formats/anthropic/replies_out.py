"""Write a reply of the Messages API for a client, as a stream or whole. Pure.

A stream has ``message_start``; for each block ``content_block_start``, any number of ``content_block_delta`` and
``content_block_stop``; then ``message_delta`` with the reason and the usage, and ``message_stop``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from ...bodies.texts import dump, quoted
from ..arguments import arguments_of
from ..base import Json, ReplySink, Steps
from ..bounds import refuse_many
from ..carrier import encode
from ..conversation import Seal
from ..events import Begin, Delta, End, Event, Failure, Ping, Start, Stop, Usage
from ..identifiers import ID_CHARS, digest, fit_id
from . import errors

_REASONS: Final = {
    "stop": "end_turn", "sequence": "stop_sequence", "calls": "tool_use", "length": "max_tokens",
    "refusal": "refusal", "pause": "pause_turn",
}  # fmt: skip
_NO_ID_CHAR: Final = re.compile(r"[^A-Za-z0-9_-]")
_EMPTY_BLOCKS: Final[dict[str, Json]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
# The bytes around a delta's text, which dominate a stream, are made once for each block.
_DELTA_HEAD: Final = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":'
_DELTA_TYPES: Final = {
    "text": b'"text_delta","text":',
    "thinking": b'"thinking_delta","thinking":',
    "call": b'"input_json_delta","partial_json":',
}
_DELTA_END: Final = b"}}\n\n"


class ReplyWriter:
    """Writes a reply. The client gets each block whole before the next begins, and input only as deltas.

    A text or a reasoning that stays empty makes no block; a seal without a text makes a ``redacted_thinking``. So the
    start of such a block waits for its first delta, or for its seal. Citations are left out: this API's refer to what
    its own tools found.
    """

    def __init__(self, sink: ReplySink) -> None:
        self._sink = sink
        self._message_id = ""
        self._index = -1  # of the last block that was opened
        self._kind = ""  # of the block whose Start has come last
        self._is_unopened = False  # that block's start is not written yet
        self._is_shown = False  # there was a text or a call
        self._before_text = b""  # the bytes of each of its deltas before the text
        self._call_ids: dict[str, int] = {}  # how often each was given
        self._writers: Final[dict[type, Callable[[Any], bytes]]] = {
            Begin: self._begin,
            Start: self._start,
            Delta: self._first_delta,
            Stop: self._stop,
            End: self._end,
            Failure: lambda failed: _event("error", errors.failure(failed)),
            Ping: lambda _: b'event: ping\ndata: {"type":"ping"}\n\n',
        }

    def write(self, event: Event) -> bytes:
        """Return what an event becomes in a stream."""
        if isinstance(event, Delta) and not self._is_unopened:  # most of all events
            return self._before_text + quoted(event.text) + _DELTA_END
        writer = self._writers.get(type(event))
        return writer(event) if writer else b""

    def _begin(self, begin: Begin) -> bytes:
        message = self._message(begin.id, [])
        message |= {"stop_reason": None, "stop_sequence": None, "stop_details": None}
        usage = {**_usage(begin.usage), "output_tokens": 0}
        if not usage.get("input_tokens") and not usage.get("cache_read_input_tokens"):
            usage = {"input_tokens": self._sink.estimate, "output_tokens": 0}
        message["usage"] = usage
        return _event("message_start", {"type": "message_start", "message": message})

    def _start(self, start: Start) -> bytes:
        self._kind = start.kind
        if start.kind != "call":
            self._is_unopened = True
            return b""
        return self._open({**self._call(start), "input": {}})

    def _open(self, block: Json) -> bytes:
        """Write the start of a block."""
        self._is_unopened = False
        self._is_shown = self._is_shown or self._kind != "thinking"
        self._index += 1
        self._before_text = _DELTA_HEAD % self._index + _DELTA_TYPES[self._kind]
        event = {"type": "content_block_start", "index": self._index, "content_block": block}
        return _event("content_block_start", event)

    def _first_delta(self, delta: Delta) -> bytes:
        return self._open(_EMPTY_BLOCKS[self._kind]) + self._before_text + quoted(delta.text) + _DELTA_END

    def _stop(self, stop: Stop) -> bytes:
        before = b""
        if self._is_unopened:
            self._is_unopened = False
            data = self._carrier(stop.seal) if stop.seal else ""
            if not data:
                return b""
            before = self._open({"type": "redacted_thinking", "data": data})
        elif self._kind == "thinking" and (signature := self._carrier(stop.seal)):
            delta = {"type": "signature_delta", "signature": signature}
            event = {"type": "content_block_delta", "index": self._index, "delta": delta}
            before = _event("content_block_delta", event)
        return before + _event("content_block_stop", {"type": "content_block_stop", "index": self._index})

    def _end(self, end: End) -> bytes:
        # Without a number from the provider the estimate stays: a zero would take its place.
        usage = {"output_tokens": 0, **_usage(end.usage)}
        event = {"type": "message_delta", "delta": self._ending(end), "usage": usage}
        said = b""
        if _explains(end) and not self._is_shown:
            said = self._start(Start("text")) + self._first_delta(Delta(end.explanation)) + self._stop(Stop())
        return said + _event("message_delta", event) + _event("message_stop", {"type": "message_stop"})

    def whole(self, events: Iterable[Event]) -> Steps[Json]:
        """Return a whole reply."""
        content: list[Json] = []
        begin, end = Begin(), End("stop")
        start, texts = Start("text"), list[str]()
        for event in events:
            if isinstance(event, Begin):
                begin = event
                self._message_id = _message_id(begin.id, self._sink)  # of which ids of calls may be made
            elif isinstance(event, Start):
                start, texts = event, []
            elif isinstance(event, Delta):
                texts.append(event.text)
            elif isinstance(event, Stop):
                yield
                if block := self._block(start, "".join(texts), event.seal):
                    content.append(block)
            elif isinstance(event, End):
                end = event
        if _explains(end) and not any(block["type"] in ("text", "tool_use") for block in content):
            content.append({"type": "text", "text": end.explanation})
        message = self._message(begin.id, content)
        message |= self._ending(end)
        message["usage"] = {"input_tokens": 0, "output_tokens": 0, **_usage(end.usage)}
        return message

    def _block(self, start: Start, text: str, seal: Seal | None) -> Json | None:
        """Return a whole block; None for one that has nothing to say."""
        if start.kind == "call":
            refuse_many(text)
            return {**self._call(start), "input": arguments_of(text)}
        if start.kind == "text":
            return {"type": "text", "text": text} if text else None
        if text:
            return {"type": "thinking", "thinking": text, "signature": self._carrier(seal)}
        data = self._carrier(seal) if seal else ""
        return {"type": "redacted_thinking", "data": data} if data else None

    def _message(self, id: str, content: list[Json]) -> Json:
        self._message_id = _message_id(id, self._sink)
        return {"id": self._message_id, "type": "message", "role": "assistant", "model": self._sink.model,
                "content": content}  # fmt: skip

    def _call(self, start: Start) -> Json:
        """Return a call without its input; its id is one of its own, whatever the provider gave."""
        id = given = fit_id(start.id or f"{self._message_id}/{len(self._call_ids)}")
        while id in self._call_ids:
            self._call_ids[given] += 1
            id = f"{given}-{self._call_ids[given]}"
        self._call_ids[id] = 1
        return {"type": "tool_use", "id": id, "name": start.name}

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


def _explains(end: End) -> bool:
    """Tell whether the end says why there is no answer. Clients show a text, and stop_details rarely."""
    return end.reason == "refusal" and bool(end.explanation)


def _message_id(id: str, sink: ReplySink) -> str:
    """Return the id of a message, made of the provider's, or of the request's facts if it has none."""
    id = _NO_ID_CHAR.sub("_", id[:ID_CHARS]) or digest(f"{sink.created}/{sink.sent}/{sink.estimate}")[:24]
    return id if id.startswith("msg_") else f"msg_{id}"


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
