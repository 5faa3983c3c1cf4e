"""Write a reply for a client, as a stream or whole. Pure.

Three clients read different events: OpenAI's SDK compares the last response with the items that were announced, Codex
reads ``response.output_item.done`` alone, and Amp the items of ``response.completed``. So an item is announced when its
id and name are known, is closed before the next one opens, and is the same in all places. Codex runs a call as soon as
it is done, so a call is done exactly when the provider has closed it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from ...bodies.texts import Raw
from .. import carrier
from ..base import Json, ReplySink
from ..conversation import Seal
from ..events import Begin, Citation, Delta, End, Event, Failure, Ping, Start, Stop, Usage
from ..failures import CONTEXT, OVERLOADED, QUOTA, RATE
from ..identifiers import CallIds, hashed
from ..kept import PART_BYTES, Kept
from .call_items import CallItem
from .requests_in import ReplyOptions

_quoted = json.encoder.encode_basestring_ascii

_TEXT: Final = (
    'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%d,'
    '"item_id":"%s","output_index":%d,"content_index":0,"delta":%s,"logprobs":[]}\n\n'
)
_THOUGHT: Final = (
    'event: response.reasoning_summary_text.delta\ndata: {"type":"response.reasoning_summary_text.delta",'
    '"sequence_number":%d,"item_id":"%s","output_index":%d,"summary_index":0,"delta":%s}\n\n'
)
_PIECE: Final = 'event: %s\ndata: {"type":"%s","sequence_number":%d,"item_id":"%s","output_index":%d,"delta":%s}\n\n'
_CODES: Final = {CONTEXT: CONTEXT, RATE: RATE, QUOTA: QUOTA, OVERLOADED: "server_is_overloaded"}


class Replies:
    """Writes one reply."""

    def __init__(self, sink: ReplySink) -> None:
        self._sink = sink
        self._options: ReplyOptions = sink.reply_options
        self._id = ""
        self._number = 0
        self._mark = ""  # what the id of the next item ends with
        self._done: list[Json] = []  # the items that are complete
        self._open = ""  # thinking, text or call
        self._announced = False
        self._texts: list[str] = []
        self._chars = 0  # of them
        self._kept = Kept()
        self._ids = CallIds()
        self._citations: list[Json] = []
        self._call: CallItem | None = None
        self._unfinished = False  # the open call was closed with arguments that are no JSON

    def write(self, event: Event) -> bytes:
        """Return what an event becomes in a stream."""
        if isinstance(event, Delta):
            return self._delta(event.text).encode()
        if isinstance(event, Start):
            return self._start(event).encode()
        if isinstance(event, Stop):
            return self._stop(event).encode()
        if isinstance(event, Begin):
            return self._begin(event.id).encode()
        if isinstance(event, Citation):
            self._cite(event)
            return b""
        if isinstance(event, Ping):
            return b": keepalive\n\n"
        if isinstance(event, Failure):
            error = {"code": _failure_code(event), "message": event.message}
            return (self._begun() + self._event_of("failed", "failed", error=error)).encode()
        return self._end(event).encode()

    def whole(self, events: Iterable[Event]) -> Json:
        """Return the response; the events end with ``End``."""
        last = None
        for event in events:
            last = event
            self.write(event)
        assert isinstance(last, End)
        status, extra = _status(last, bool(self._done))
        return self._response(status, usage=_usage(last.usage), **extra)

    def _begin(self, id_: str) -> str:
        self._id = f"resp_{hashed(id_ or f'{self._sink.created} {self._sink.model}', 24)}"
        return self._event_of("created", "in_progress") + self._event_of("in_progress", "in_progress")

    def _begun(self) -> str:
        return "" if self._id else self._begin("")

    def _start(self, event: Start) -> str:
        out = self._begun()
        if self._open == "text" and event.kind == "text":
            return out  # neighbouring texts are one message
        out += self._close()
        self._kept.add(PART_BYTES)
        self._open, self._announced, self._texts, self._chars, self._citations = event.kind, False, [], 0, []
        if event.kind == "call":
            self._call = CallItem(self._options.declared, self._ids.own(event))
            if self._call.streams:
                out += self._announce(self._call.begun(self._item_id(self._call.prefix)))
        return out

    def _delta(self, text: str) -> str:
        self._texts.append(text)
        self._chars += len(text)
        self._kept.add(len(text))
        if self._open == "call":
            assert self._call is not None
            piece = self._call.feed(text)
            if not piece:
                return ""
            kind = f"response.{self._call.delta_kind}.delta"
            return _PIECE % (kind, kind, self._next(), self._item_id(self._call.prefix), self._index, _quoted(piece))
        if self._open == "text":
            out = "" if self._announced else self._announce_message()
            return out + _TEXT % (self._next(), self._item_id("msg"), self._index, _quoted(text))
        out = "" if self._announced else self._announce_thinking()
        return out + _THOUGHT % (self._next(), self._item_id("rs"), self._index, _quoted(text))

    def _stop(self, event: Stop) -> str:
        if self._open == "thinking":
            return self._close_thinking(event.seal)
        if self._open == "call":
            self._unfinished = not event.whole
            return "" if self._unfinished else self._close()
        return ""  # the next block may continue the text

    def _close(self) -> str:
        """Close the open block, if there is one."""
        if self._open == "text" and self._announced:
            return self._close_message()
        if self._open == "call":
            return self._close_call()
        self._open = ""
        return ""

    def _announce(self, item: Json) -> str:
        self._announced = True
        return self._event("response.output_item.added", output_index=self._index, item=item)

    def _announce_message(self) -> str:
        id_ = self._item_id("msg")
        item = {"type": "message", "id": id_, "role": "assistant", "status": "in_progress", "content": []}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return self._announce(item) + self._event(
            "response.content_part.added", item_id=id_, output_index=self._index, content_index=0, part=part
        )

    def _close_message(self) -> str:
        id_, text = self._item_id("msg"), "".join(self._texts)
        place: Json = {"item_id": id_, "output_index": self._index, "content_index": 0}
        part = {"type": "output_text", "text": text, "annotations": self._citations, "logprobs": []}
        out = "".join(
            self._event("response.output_text.annotation.added", **place, annotation_index=number, annotation=each)
            for number, each in enumerate(self._citations)
        )
        out += self._event("response.output_text.done", **place, text=text, logprobs=[])
        out += self._event("response.content_part.done", **place, part=part)
        item = {"type": "message", "id": id_, "role": "assistant", "status": "completed", "content": [part]}
        return out + self._item_done(item)

    def _announce_thinking(self) -> str:
        id_ = self._item_id("rs")
        return self._announce(
            {"type": "reasoning", "id": id_, "summary": [], "status": "in_progress"}
        ) + self._event(
            "response.reasoning_summary_part.added", item_id=id_, output_index=self._index, summary_index=0,
            part={"type": "summary_text", "text": ""},
        )  # fmt: skip

    def _close_thinking(self, seal: Seal | None) -> str:
        id_, text, out = self._item_id("rs"), "".join(self._texts), ""
        sealed = self._carrier(seal, text) if seal is not None and self._options.sealed else ""
        if not text and not sealed:
            self._open = ""
            return ""
        part = {"type": "summary_text", "text": text}
        if self._announced:
            place: Json = {"item_id": id_, "output_index": self._index, "summary_index": 0}
            out += self._event("response.reasoning_summary_text.done", **place, text=text)
            out += self._event("response.reasoning_summary_part.done", **place, part=part)
        else:
            out += self._announce({"type": "reasoning", "id": id_, "summary": [], "status": "in_progress"})
        item: Json = {"type": "reasoning", "id": id_, "summary": [part] if text else [], "status": "completed"}
        if sealed:
            item["encrypted_content"] = sealed
        return out + self._item_done(item)

    def _carrier(self, seal: Seal, text: str) -> str:
        # The carrier holds the text, too: a client may shorten a summary, but a signature belongs to the whole text.
        data = {"d": seal.data, "x": text}
        return carrier.encode(Seal(seal.kind, data, self._sink.maker, self._sink.sent))

    def _close_call(self) -> str:
        assert self._call is not None
        call, id_ = self._call, self._item_id(self._call.prefix)
        out = "" if self._announced else self._announce(call.begun(id_))
        item, member, rest = call.done(id_, "".join(self._texts))
        if member:
            kind = f"response.{call.delta_kind}"
            if rest:
                out += _PIECE % (f"{kind}.delta", f"{kind}.delta", self._next(), id_, self._index, _quoted(rest))
            out += self._event(f"{kind}.done", item_id=id_, output_index=self._index, **{member: item[member]})
        self._unfinished = False
        return out + self._item_done(item)

    def _item_done(self, item: Json) -> str:
        out = self._event("response.output_item.done", output_index=self._index, item=item)
        self._done.append(item)
        self._open = self._mark = ""
        return out

    def _end(self, event: End) -> str:
        out = self._begun()
        if event.reason == "refusal" and event.explanation and not self._done and not self._announced:
            self._open = "text"
            out += self._delta(event.explanation)
        if not (self._unfinished and event.reason == "length"):
            out += self._close()
        status, extra = _status(event, bool(self._done))
        return out + self._event_of(status, status, usage=_usage(event.usage), **extra)

    def _cite(self, event: Citation) -> None:
        self._kept.add(PART_BYTES)
        self._citations.append({
            "type": "url_citation", "url": event.url, "title": event.title,
            "start_index": event.start if event.start is not None else 0,
            "end_index": event.end if event.end is not None else self._chars,
        })  # fmt: skip

    @property
    def _index(self) -> int:
        return len(self._done)

    def _item_id(self, prefix: str) -> str:
        if not self._mark:
            self._mark = hashed(f"{self._id} {self._index}", 24)
        return f"{prefix}_{self._mark}"

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def _event(self, kind: str, **members: Any) -> str:
        data = json.dumps({"type": kind, "sequence_number": self._next(), **members}, separators=(",", ":"))
        return f"event: {kind}\ndata: {data}\n\n"

    def _event_of(self, kind: str, status: str, **members: Any) -> str:
        """Return an event with the whole response in it."""
        shell = json.dumps(self._own(status, **members), separators=(",", ":"))[:-1]
        kind = f"response.{kind}"
        echo = self._options.echo.decode()
        return (
            f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":{self._next()},'
            f'"response":{shell}{"," if echo else ""}{echo}}}}}\n\n'
        )

    def _response(self, status: str, **members: Any) -> Json:
        return {**self._own(status, **members), **Raw(b"{%b}" % self._options.echo).load()}

    def _own(self, status: str, **members: Any) -> Json:
        ended = self._sink.created if status == "completed" else None
        return {
            "id": self._id, "object": "response", "created_at": self._sink.created, "completed_at": ended,
            "status": status, "error": None, "incomplete_details": None, "model": self._sink.model,
            "output": [] if status == "in_progress" else self._done, "usage": None, **members,
        }  # fmt: skip


def _status(event: End, delivered: bool) -> tuple[str, Json]:
    if event.reason == "length":
        return "incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}
    if event.reason == "refusal" and not delivered:
        return "incomplete", {"incomplete_details": {"reason": "content_filter"}}
    return "completed", {}


def _usage(usage: Usage | None) -> Json | None:
    """Return the usage, complete or not at all: Codex fails over details that are not."""
    if usage is None or usage.input is None or usage.output is None:
        return None
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached or 0, "cache_write_tokens": usage.written or 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.input + usage.output,
    }


def _failure_code(failure: Failure) -> str:
    if failure.code in _CODES:
        return _CODES[failure.code]
    return "invalid_prompt" if failure.status in (400, 413, 422) else "server_error"


def failure(failed: Failure) -> Json:
    """Return the body of an error."""
    kind = "server_error" if failed.status >= 500 else "invalid_request_error"
    kind = {RATE: "rate_limit_error", QUOTA: QUOTA}.get(failed.code, kind)
    code = {OVERLOADED: "server_is_overloaded"}.get(failed.code, failed.code) or None
    return {"error": {"message": failed.message, "type": kind, "param": None, "code": code}}
