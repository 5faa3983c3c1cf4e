"""Write a reply for a chat client, as a stream or whole. Pure.

OpenAI's own accumulators in Python and JavaScript join these chunks without doubling or losing anything: the role comes
once, ids and names of calls come once, calls are counted from 0, the usage comes last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ...bodies.texts import Unquoted, plain, quoted
from ..arguments import arguments_of, free_text
from ..base import Json, ReplySink, Steps
from ..bounds import refuse_many
from ..events import Begin, Citation, Delta, End, Event, Failure, Ping, Start, Stop, Usage
from ..failures import CONTEXT, KEY, MODEL, QUOTA, RATE, error_type
from ..identifiers import ID_CHARS, CallIds
from ..kept import PART_BYTES, Kept
from .details_out import Reasoning
from .usage import written_usage

REASONS: Final = {
    "stop": "stop", "sequence": "stop", "calls": "tool_calls", "length": "length", "refusal": "content_filter",
    "pause": "length",
}  # fmt: skip
_CODES: Final = (CONTEXT, RATE, QUOTA, KEY, MODEL)
_quoted = json.encoder.encode_basestring


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """What the writer of the reply has to know of the request.

    ``usage``: the client wants a chunk with the usage. ``legacy``: it declared ``functions``, the older form of tools.
    ``custom`` are the names of tools that take free text.
    """

    usage: bool = False
    legacy: bool = False
    custom: frozenset[str] = frozenset()


def failure(found: Failure) -> Json:
    """Return the body of an error."""
    code = found.code if found.code in _CODES else None
    return {"error": {"message": found.message, "type": error_type(found.status), "param": None, "code": code}}


class ChatReplyWriter:
    """Writes one reply."""

    def __init__(self, sink: ReplySink) -> None:
        self._sink = sink
        self._options = sink.reply_options if isinstance(sink.reply_options, ReplyOptions) else ReplyOptions()
        self._reasoning = Reasoning(sink)
        self._annotations: list[Json] = []
        self._kept = Kept()
        self._ids = CallIds()
        self._chars = 0  # of the text before the open block
        self._block_chars = 0
        self._kind = ""
        self._calls = -1
        self._extra: Json | None = None  # of the open call
        self._empty = False  # the open call has had no arguments yet
        self._usage: Usage | None = None
        self._id = ""
        self._head = b""
        self._tail = b'},"finish_reason":null}]}\n\n'

    def write(self, event: Event) -> bytes:
        if isinstance(event, Delta):
            return self._delta(event.text)
        if isinstance(event, Start):
            return self._start(self._ids.own(event))
        if isinstance(event, Stop):
            return self._stop(event)
        if isinstance(event, Ping):
            return b": ping\n\n"
        if isinstance(event, Begin):
            return self._begin(event)
        if isinstance(event, Citation):
            self._cite(event)
            return b""
        if isinstance(event, Failure):
            return _bytes(f"data: {json.dumps(failure(event), ensure_ascii=False, separators=(',', ':'))}\n\n")
        return self._end(event)

    def whole(self, events: Iterable[Event]) -> Steps[Json]:
        """Return a whole reply."""
        texts: list[str] = []
        thoughts: list[str] = []
        calls: list[Json] = []
        message: Json = {"role": "assistant", "content": None, "refusal": None}
        end: End | None = None
        pieces: list[str] = []
        start: Start | None = None
        for event in events:
            if isinstance(event, Delta):
                pieces.append(event.text)
                self._block_chars += len(event.text) if self._kind == "text" else 0
            elif isinstance(event, Start):
                start, pieces = self._ids.own(event), []
                self._start(start)
            elif isinstance(event, Stop) and start is not None:
                yield
                text = "".join(pieces)
                if start.kind == "text":
                    texts.append(text)
                elif start.kind == "call":
                    calls.append(self._whole_call(start, text))
                else:
                    thoughts.append(text)
                    self._reasoning.add(text)
                self._stop(event)
            elif isinstance(event, Citation):
                self._cite(event)
            elif isinstance(event, Begin):
                self._begin(event)
            elif isinstance(event, End):
                end = event
        assert end is not None
        message["content"] = "".join(texts) or (None if calls else "")
        if any(thoughts):
            message["reasoning_content"] = "\n\n".join(filter(None, thoughts))
        message |= self._extras()
        if calls and self._options.legacy:
            message["function_call"] = calls[0]["function"]
        elif calls:
            message["tool_calls"] = calls
        if end.explanation:
            message["refusal"] = end.explanation
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reason(end)}
        reply = {**self._identity("chat.completion"), "choices": [choice]}
        if usage := written_usage(end.usage or self._usage):
            reply["usage"] = usage
        return reply

    def _identity(self, kind: str) -> Json:
        sink = self._sink
        return {"id": self._id, "object": kind, "created": sink.created, "model": sink.model}

    def _begin(self, event: Begin) -> bytes:
        self._id = event.id[:ID_CHARS] or f"chatcmpl-{self._sink.created:x}"
        self._usage = event.usage
        identity = json.dumps(self._identity("chat.completion.chunk"), ensure_ascii=False, separators=(",", ":"))
        self._head = _bytes(f'data: {identity[:-1]},"choices":[{{"index":0,"delta":{{')
        if self._options.usage:
            self._tail = b'},"finish_reason":null}],"usage":null}\n\n'
        return self._chunk('"role":"assistant","content":""')

    def _chunk(self, delta: str) -> bytes:
        return self._head + _bytes(delta) + self._tail

    def _start(self, event: Start) -> bytes:
        self._kind = event.kind
        self._chars += self._block_chars
        self._block_chars = 0
        self._reasoning.start(event)
        if event.kind != "call":
            return b""
        self._calls += 1
        self._empty = True
        self._extra = self._reasoning.extra_content()
        if self._options.legacy:
            if self._calls:
                return b""  # the older form has one call
            return self._chunk(f'"function_call":{{"name":{_quoted(event.name)},"arguments":""}}')
        extra = self._extra
        more = f',"extra_content":{json.dumps(extra)}' if extra else ""
        return self._chunk(
            f'"tool_calls":[{{"index":{self._calls},"id":{_quoted(event.id)},"type":"function",'
            f'"function":{{"name":{_quoted(event.name)},"arguments":""}}{more}}}]'
        )

    def _delta(self, text: str) -> bytes:
        if self._kind == "text":
            self._block_chars += len(text)
            return self._head + b'"content":' + quoted(text) + self._tail
        if self._kind == "thinking":
            apart = self._reasoning.add(text)
            return self._chunk(f'"reasoning_content":{_quoted(apart + text)}')
        self._empty = False
        if self._options.legacy:
            return b"" if self._calls else self._chunk(f'"function_call":{{"arguments":{_quoted(text)}}}')
        return self._chunk(f'"tool_calls":[{{"index":{self._calls},"function":{{"arguments":{_quoted(text)}}}}}]')

    def _stop(self, event: Stop) -> bytes:
        if self._kind == "thinking":
            self._reasoning.stop(event.seal)
        elif self._kind == "call" and self._empty and event.whole:
            return self._delta("{}")  # clients parse it
        return b""

    def _cite(self, event: Citation) -> None:
        self._kept.add(PART_BYTES)
        start = self._chars + (event.start or 0)
        end = self._chars + (event.end if event.end is not None else self._block_chars)
        citation = {"start_index": start, "end_index": max(start, end), "title": event.title, "url": event.url}
        self._annotations.append({"type": "url_citation", "url_citation": citation})

    def _extras(self) -> Json:
        """Return the members beside the text; in a stream one chunk has them, as accumulators do not join lists."""
        found: Json = {}
        if entries := self._reasoning.entries():
            found["reasoning_details"] = entries
        if self._annotations:
            found["annotations"] = self._annotations
        return found

    def _reason(self, end: End) -> str:
        return "function_call" if end.reason == "calls" and self._options.legacy else REASONS[end.reason]

    def _end(self, end: End) -> bytes:
        out = []
        extras = self._extras()
        if "annotations" in extras:
            extras["annotations"] = [{"index": at, **each} for at, each in enumerate(self._annotations)]
        if end.explanation:
            extras["refusal"] = end.explanation
        if extras:
            out.append(self._chunk(json.dumps(extras, ensure_ascii=False, separators=(",", ":"))[1:-1]))
        out.append(self._head + self._tail.replace(b"null", b'"%b"' % self._reason(end).encode(), 1))
        if self._options.usage and (usage := written_usage(end.usage or self._usage)):
            chunk = {**self._identity("chat.completion.chunk"), "choices": [], "usage": usage}
            out.append(_bytes(f"data: {json.dumps(chunk, ensure_ascii=False, separators=(',', ':'))}\n\n"))
        out.append(b"data: [DONE]\n\n")
        return b"".join(out)

    def _whole_call(self, start: Start, text: str) -> Json:
        refuse_many(text)
        found = arguments_of(text)
        if start.name in self._options.custom and not self._options.legacy:
            return {"id": start.id, "type": "custom", "custom": {"name": start.name, "input": free_text(text)}}
        arguments = plain(found.text) if isinstance(found, Unquoted) else bytes(found.data).decode()
        call: Json = {"id": start.id, "type": "function", "function": {"name": start.name, "arguments": arguments}}
        if self._extra:
            call["extra_content"] = self._extra
        return call


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # it has \\ud800 for half of a surrogate pair, as JSON has
