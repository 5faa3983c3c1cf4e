"""Reads a chat server's reply, streamed or whole, into events. Pure.

An event of the stream is a chunk, a chunk has a choice, and a choice has a delta: ``_read_chunk``, ``_read_choice`` and
``_read_delta`` take them apart, from the outside to the inside. What the delta says goes into ``blocks``, whose events
are taken once a chunk has been read. A whole reply is read as one chunk. Servers differ in everything that OpenAI's own
never does; each oddity is named where it is met.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from ...bodies.texts import loads
from ...errors import UpstreamBroken, UpstreamProtocolError
from ..base import Json, ReplySource
from ..events import Begin, Citation, Delta, End, Event, Ping, Usage
from ..failures import stated_failure
from ..repeated import Repeated
from ..usage import count, merged
from .blocks import Blocks
from .call_in import StreamedCall
from .calls_in import Calls, number_calls
from .details import entries_of, text_of
from .usage import read_usage

_PARTS: Final = 1024  # of one event's content; and lines of one event that say nothing
_PING: Final = (Ping(),)
_Reason = Literal["stop", "calls", "length", "refusal"]
_REASONS: Final[dict[str, _Reason]] = {"length": "length", "content_filter": "refusal"}  # any other: stop


class ChatReplyReader:
    """Reads one reply.

    A reply is complete with a ``finish_reason`` or ``[DONE]``, or with the chunk of usage that follows the choices.
    Usage may come after the ``finish_reason``, so only ``[DONE]`` and the stream's end give ``End``.
    """

    def __init__(self, source: ReplySource) -> None:
        self._blocks = Blocks(source.target, source.names)
        self._calls = Calls(self._blocks)
        self._begun = False  # Begin was given
        self._over = False  # End or Failure was given
        self._finish_reason = ""
        self._stop_sequence = ""
        self._usage: Usage | None = None
        self._had_choice = False
        self._ends_with_usage = False  # the last chunk had usage and, behind the choices, no choice
        self._reasoning_member = ""  # the member that has the reasoning: servers say the same in several
        self._stray_words = ""  # in the place of the last chunk
        self._last_delta: Json = {}  # of the last chunk
        self._last_call: StreamedCall | None = None  # in the last chunk
        self._repeated = Repeated()

    def feed(self, name: bytes, data: bytes) -> Iterable[Event]:
        if not name and (text := self._repeated.text(data)):  # most of all events
            return (Delta(text),) if self._last_call is None else self._read_arguments(self._last_call, text)
        if not data:  # before the first chunk nothing may leave: an error can still become an HTTP error
            return _PING if name == b":" and self._begun else ()
        if self._over:
            return ()
        try:
            chunk = loads(data)
        except (ValueError, RecursionError):
            return self._read_no_json(name, data)
        self._last_delta, self._last_call = {}, None
        events = self._events_of(name, chunk)
        repeated = self._repeated
        if repeated.tries and len(events) == 1 and isinstance(only := events[0], Delta) and self._said_one_thing():
            repeated.learn(data, only.text)
        else:
            repeated.forget()
        return events

    def finish(self) -> Iterable[Event]:
        if not (self._finish_reason or self._ends_with_usage):
            if not self._stray_words:
                raise UpstreamBroken("its stream ended without a finish_reason and without [DONE]")
            return (stated_failure(self._stray_words),)
        self._end()
        return self._new_events()

    def whole(self, reply: Any) -> Iterable[Event]:
        choices = reply.get("choices") if isinstance(reply, dict) else None
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            number_calls(choices[0].get("message"))
            events = self._events_of(b"", reply)
            if not self._over:
                self._end()
            return [*events, *self._new_events()]
        # One of the bodies that say in words what went wrong
        return [stated_failure(reply, "the provider's reply has no choices")]

    def _events_of(self, name: bytes, chunk: Any) -> list[Event]:
        try:
            self._read_chunk(name, chunk)
        except RecursionError:  # nested as no server nests
            pass
        return self._new_events()

    def _new_events(self) -> list[Event]:
        events, self._blocks.out = self._blocks.out, []
        return events

    def _read_chunk(self, name: bytes, chunk: Any) -> None:
        if name == b"error" or is_error(chunk):
            self._fail(chunk)
            return
        if not isinstance(chunk, dict):
            return
        self._stray_words = ""
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):  # Azure's filter results, the usage at the end, signs of life
            choice = None
        else:
            self._had_choice, self._ends_with_usage = True, False
        usage = chunk.get("usage") or (choice and choice.get("usage"))  # Moonshot: in the choice
        if usage and (found := read_usage(None, usage)):
            self._usage = merged(self._usage, found)
            self._ends_with_usage = choice is None and self._had_choice
        if not self._begun and (choice is not None or chunk.get("id") or self._usage):
            self._begin(chunk.get("id"))
        if choice is not None and not choice.get("index"):
            self._read_choice(choice)

    def _read_choice(self, choice: Json) -> None:
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            self._read_delta(delta)
        finish = choice.get("finish_reason")
        if not finish or not isinstance(finish, str):  # "" on every chunk is no end
            return
        if finish == "error":  # OpenRouter
            self._fail(choice.get("error") or {"message": "the provider broke its reply off"})
            return
        self._finish_reason = finish
        if isinstance(choice.get("stop_reason"), str):  # vLLM: the sequence that stopped it
            self._stop_sequence = choice["stop_reason"]
        self._blocks.settle()

    def _read_delta(self, delta: Json) -> None:
        """Read a delta, or the message of a whole reply: reasoning, then words, then calls."""
        blocks = self._blocks
        self._last_delta = delta
        if len(delta) == 1 and isinstance(text := delta.get("content"), str):  # most of all chunks
            if text:
                blocks.say("text", text)
            return
        self._read_reasoning(delta)
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                blocks.say("text", content)
        elif content:
            self._read_parts(content)
        if (refusal := delta.get("refusal")) and isinstance(refusal, str):
            blocks.say("text", refusal)
        if annotations := delta.get("annotations"):
            self._read_annotations(annotations)
        if calls := delta.get("tool_calls"):
            for place, item in enumerate(calls if isinstance(calls, list) else [calls]):
                if isinstance(item, dict):
                    self._last_call = self._calls.take(item, place) or self._last_call
            blocks.advance()
        if isinstance(item := delta.get("function_call"), dict):
            self._calls.take_legacy(item)
            blocks.advance()

    def _read_reasoning(self, delta: Json) -> None:
        """Read reasoning from the first member that has had some in this reply."""
        blocks = self._blocks
        for member in ("reasoning_content", "reasoning"):
            if (value := delta.get(member)) and (text := _flat(value)) and self._reasoning_member in ("", member):
                self._reasoning_member = member
                blocks.say("thinking", text)
        if (found := delta.get("reasoning_details")) and (entries := entries_of(found)):
            if self._reasoning_member in ("", "reasoning_details") and (text := text_of(entries)):
                self._reasoning_member = "reasoning_details"
                blocks.say("thinking", text)
            blocks.add_details(entries)

    def _read_parts(self, content: Any) -> None:
        """Read content in parts; Mistral's have reasoning among them."""
        if isinstance(content, list) and len(content) > _PARTS:
            raise UpstreamProtocolError(f"an event of its reply has more than {_PARTS} parts")
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, dict) and part.get("type") == "thinking":
                if text := _flat(part.get("thinking")):
                    self._blocks.say("thinking", text)
            elif text := _flat(part):
                self._blocks.say("text", text)

    def _read_annotations(self, annotations: Any) -> None:
        for each in annotations if isinstance(annotations, list) else ():
            found = each.get("url_citation") if isinstance(each, dict) else None
            if isinstance(found, dict) and isinstance(url := found.get("url"), str) and url:
                start, end = (count(found, key) for key in ("start_index", "end_index"))
                self._blocks.cite(Citation(url, str(found.get("title") or ""), start, end))

    def _read_no_json(self, name: bytes, data: bytes) -> Iterable[Event]:
        """Read an event that is no JSON: the last one, several in one, or words that say what went wrong."""
        self._repeated.forget()
        text = data.strip()
        if text == b"[DONE]":
            self._end()
        elif b"\n" in text:  # data lines with no blank line between them
            return self._read_lines(name, text)
        elif name == b"error":
            self._fail(text.decode("utf-8", "replace"))
        elif not text.startswith((b"{", b"[", b'"')):  # words instead of JSON; JSON that breaks off is a cut
            self._stray_words = text.decode("utf-8", "replace")
        return self._new_events()

    def _read_lines(self, name: bytes, text: bytes) -> Iterable[Event]:
        silent = at = 0
        while at < len(text):
            end = text.find(b"\n", at)
            end = len(text) if end < 0 else end
            line, at = text[at:end], end + 1
            for event in self.feed(name, line) if line else ():
                silent = 0
                yield event
            silent += 1
            if silent > _PARTS:
                raise UpstreamProtocolError(f"an event of its reply has more than {_PARTS} lines that say nothing")

    def _said_one_thing(self) -> bool:
        """Tell whether the last chunk was a text, or a piece of a call's arguments, and left nothing else behind."""
        stated = [value for member, value in self._last_delta.items() if value and member != "role"]
        if len(stated) != 1:
            return False
        if (call := self._last_call) is not None:
            return len(stated[0]) == 1 and call.form == "object" and not call.complete
        return isinstance(stated[0], str)

    def _read_arguments(self, call: StreamedCall, piece: str) -> list[Event]:
        """Read an event that says nothing new but a piece of the arguments of ``call``."""
        self._blocks.arguments(call, piece)
        if call.complete:
            self._repeated.forget()
            self._blocks.advance()
        return self._new_events()

    def _begin(self, id: Any = "") -> None:
        self._begun = True
        self._blocks.out.append(Begin(id if isinstance(id, str) else "", self._usage))

    def _fail(self, value: Any) -> None:
        self._over = True
        self._blocks.out.append(stated_failure(value))

    def _end(self) -> None:
        self._over = True
        if not self._begun:
            self._begin()
        blocks = self._blocks
        blocks.finish(self._finish_reason == "length")
        stated = _REASONS.get(self._finish_reason, "stop")
        reason: _Reason = "length" if blocks.cut else "calls" if blocks.calls else stated
        if reason == "stop" and self._stop_sequence:
            blocks.out.append(End("sequence", self._usage, self._stop_sequence))
        else:
            blocks.out.append(End(reason, self._usage))


def is_error(chunk: Any) -> bool:
    """Tell whether a chunk states an error; vLLM's is ``{"object": "error", "message": …}``, Google's in a list."""
    if isinstance(chunk, list):
        return any(map(is_error, chunk))
    return isinstance(chunk, dict) and bool(chunk.get("error") or chunk.get("object") == "error")


def _flat(value: Any) -> str:
    """Return the text in a string, in an object with a text, or in a list of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return next((_flat(value[key]) for key in ("text", "summary", "content", "refusal") if value.get(key)), "")
    return "".join(map(_flat, value)) if isinstance(value, list) else ""
