"""Write a reply for a client, as a stream or whole. Pure.

Three clients read different events: OpenAI's SDK compares the last response with the items that were announced, Codex
reads ``response.output_item.done`` alone, and Amp the items of ``response.completed``. So an item is announced when its
id and name are known, is closed before the next one opens, and is the same in all places. Codex runs a call as soon as
it is done, so a call is done exactly when the provider has closed it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ...bodies.texts import Raw
from .. import carrier
from ..base import Json, ReplySink, Steps
from ..conversation import Seal
from ..events import Begin, Citation, Delta, End, Event, Failure, Ping, Start, Stop, Usage
from ..failures import CONTEXT, OVERLOADED, QUOTA, RATE
from ..identifiers import CallIds, hashed
from ..kept import PART_BYTES, Kept, arguments_in
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
MESSAGE_CHARS: Final = 128 * 1024
"""A longer text becomes several messages."""
_CODES: Final = {CONTEXT: CONTEXT, RATE: RATE, QUOTA: QUOTA, OVERLOADED: "server_is_overloaded"}


class Replies:
    """Writes one reply."""

    def __init__(self, sink: ReplySink) -> None:
        self._sink = sink
        self._options: ReplyOptions = sink.reply_options
        self._id = ""
        self._number = 0
        self._mark = ""  # what the id of the next item ends with
        self._done: list[str] = []  # the items that are complete, as JSON
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
        return b"".join(self.pieces(event))

    def pieces(self, event: Event) -> Iterator[bytes]:
        """Give what an event becomes in a stream."""
        if isinstance(event, Delta):
            yield self.write(event)
        elif isinstance(event, Start):
            yield self._start(event).encode()
        elif isinstance(event, Stop):
            for piece in self._stop(event):
                yield piece.encode()
        elif isinstance(event, Begin):
            yield self._begin(event.id).encode()
        elif isinstance(event, Citation):
            self._cite(event)
        elif isinstance(event, Ping):
            yield b": keepalive\n\n"
        else:
            if isinstance(event, Failure):
                yield self._begun().encode()
                error: Json = {"code": _failure_code(event), "message": event.message}
                kind, status, members = "failed", "failed", Json(error=error)
            else:
                yield self._end(event).encode()
                status, members = _status(event, bool(self._done))
                kind, members = status, {"usage": _usage(event.usage), **members}
            yield f'event: response.{kind}\ndata: {{"type":"response.{kind}","sequence_number":{self._next()},'.encode()
            yield b'"response":'
            yield from self._response(status, members)
            yield b"}\n\n"

    def whole(self, events: Iterable[Event]) -> Steps[Raw]:
        """Return the response; the events end with ``End``."""
        for event in events:
            yield
            if isinstance(event, End):
                self._end(event)
                status, members = _status(event, bool(self._done))
                pieces = list[bytes]()
                for piece in self._response(status, {"usage": _usage(event.usage), **members}):
                    pieces.append(piece)
                    yield
                return Raw(b"".join(pieces))
            for _ in self.pieces(event):
                pass
        raise AssertionError("the events have no End")

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
        if self._chars > MESSAGE_CHARS and self._open != "call":  # what is held of an item is written at once
            if self._open == "text":
                return self._close() + self._start(Start("text")) + self._delta(text)
            if self._chars > carrier.CARRIER_BYTES:  # too long for a seal
                return "".join(self._close_thinking(None)) + self._start(Start("thinking")) + self._delta(text)
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

    def _stop(self, event: Stop) -> Iterator[str]:
        if self._open == "thinking":
            yield from self._close_thinking(event.seal)
        elif self._open == "call":
            self._unfinished = not event.whole
            if not self._unfinished:
                yield from self._close_call()
        # The next block may continue a text.

    def _close(self) -> str:
        """Close the open block, if there is one."""
        if self._open == "text" and self._announced:
            return self._close_message()
        if self._open == "call":
            return "".join(self._close_call())
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

    def _close_thinking(self, seal: Seal | None) -> Iterator[str]:
        id_, text = self._item_id("rs"), "".join(self._texts)
        sealed = self._carrier(seal, text) if seal is not None and self._options.sealed else ""
        if not text and not sealed:
            self._open = ""
            return
        yield ""
        part = {"type": "summary_text", "text": text}
        if self._announced:
            place: Json = {"item_id": id_, "output_index": self._index, "summary_index": 0}
            yield self._event("response.reasoning_summary_text.done", **place, text=text)
            yield self._event("response.reasoning_summary_part.done", **place, part=part)
        else:
            yield self._announce({"type": "reasoning", "id": id_, "summary": [], "status": "in_progress"})
        item: Json = {"type": "reasoning", "id": id_, "summary": [part] if text else [], "status": "completed"}
        if sealed:
            item["encrypted_content"] = sealed
        yield self._item_done(item)

    def _carrier(self, seal: Seal, text: str) -> str:
        if len(text) > carrier.CARRIER_BYTES:
            return ""
        # The carrier holds the text, too: a client may shorten a summary, but a signature belongs to the whole text.
        data = {"d": seal.data, "x": text}
        return carrier.encode(Seal(seal.kind, data, self._sink.maker, self._sink.sent))

    def _close_call(self) -> Iterator[str]:
        assert self._call is not None
        call, id_ = self._call, self._item_id(self._call.prefix)
        if not self._announced:
            yield self._announce(call.begun(id_))
        item, member, rest = call.done(id_, arguments_in(self._texts))
        if member:
            kind = f"response.{call.delta_kind}"
            if rest:
                yield _PIECE % (f"{kind}.delta", f"{kind}.delta", self._next(), id_, self._index, _quoted(rest))
            yield self._event(f"{kind}.done", item_id=id_, output_index=self._index, **{member: item[member]})
        self._unfinished = False
        yield self._item_done(item)

    def _item_done(self, item: Json) -> str:
        out = self._event("response.output_item.done", output_index=self._index, item=item)
        self._done.append(json.dumps(item, separators=(",", ":")))
        self._open = self._mark = ""
        return out

    def _end(self, event: End) -> str:
        out = self._begun()
        if event.reason == "refusal" and event.explanation and not self._done and not self._announced:
            self._open = "text"
            out += self._delta(event.explanation)
        if not (self._unfinished and event.reason == "length"):
            out += self._close()
        return out

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

    def _event_of(self, kind: str, status: str) -> str:
        """Return an event with the whole response in it."""
        kind = f"response.{kind}"
        response = b"".join(self._response(status, {})).decode()
        return f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":{self._next()},"response":{response}}}\n\n'

    def _response(self, status: str, members: Json) -> Iterator[bytes]:
        """Give a response as JSON, in pieces."""
        ended = self._sink.created if status == "completed" else None
        own = {
            "id": self._id, "object": "response", "created_at": self._sink.created, "completed_at": ended,
            "status": status, "error": None, "incomplete_details": None, "model": self._sink.model, "usage": None,
            **members,
        }  # fmt: skip
        yield json.dumps(own, separators=(",", ":"))[:-1].encode() + b',"output":['
        for at, item in enumerate(() if status == "in_progress" else self._done):
            yield (f",{item}" if at else item).encode()
        yield b"]"
        if self._options.echo:
            yield b"," + self._options.echo
        yield b"}"


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
