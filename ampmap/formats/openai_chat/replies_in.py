"""Reads a chat server's reply, streamed or whole, into events. Pure.

Servers differ in everything that OpenAI's own never does; each oddity that is met here is named where it is met.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, Literal

from ...bodies.texts import loads
from ...errors import UpstreamBroken, UpstreamProtocolError
from ..base import Json, ReplySource
from ..events import Begin, Citation, Delta, End, Event, Ping, Usage
from ..failures import stated_failure
from ..kept import PART_BYTES
from ..repeated import Repeated
from ..usage import count, merged
from .blocks import Blocks
from .call_in import StreamedCall
from .details import entries_of, text_of
from .usage import read_usage

_PARTS: Final = 1024  # of one event's content; and lines of one event that say nothing
_PING: Final = (Ping(),)
_Reason = Literal["stop", "calls", "length", "refusal"]
_ENDS: Final[dict[str, _Reason]] = {"length": "length", "content_filter": "refusal"}


class ChatReplyReader:
    """Reads one reply."""

    def __init__(self, source: ReplySource) -> None:
        self._blocks = Blocks(source.target, source.names)
        self._calls: dict[int | str, StreamedCall] = {}  # the latest of each index
        self._by_id: dict[str, StreamedCall] = {}
        self._begun = False
        self._chosen = False
        self._over = False
        self._finish = ""
        self._sequence = ""
        self._usage: Usage | None = None
        self._usage_alone = False  # a chunk with usage and without a choice is the last one
        self._reasoning = ""  # the member that has the reasoning: several say the same
        self._stray = ""
        self._delta: Json = {}  # of the last chunk
        self._called: StreamedCall | None = None  # by the last chunk
        self._repeated = Repeated()

    def feed(self, name: bytes, data: bytes) -> Iterable[Event]:
        if not name and (text := self._repeated.text(data)):
            return (Delta(text),) if self._called is None else self._read_piece(self._called, text)
        if not data:  # before the first chunk nothing may leave: an error can still become an HTTP error
            return _PING if name == b":" and self._begun else ()
        if self._over:
            return ()
        try:
            chunk = loads(data)
        except (ValueError, RecursionError):
            return self._unreadable(name, data)
        self._delta, self._called = {}, None
        events = self._read_chunk(name, chunk)
        repeated = self._repeated
        if repeated.tries and len(events) == 1 and isinstance(only := events[0], Delta) and self._says_one_thing():
            repeated.learn(data, only.text)
        else:
            repeated.forget()
        return events

    def finish(self) -> Iterable[Event]:
        if not (self._finish or self._usage_alone):
            if not self._stray:
                raise UpstreamBroken("its stream ended without a finish_reason and without [DONE]")
            return (stated_failure(self._stray),)
        self._end()
        return self._taken()

    def whole(self, reply: Any) -> Iterable[Event]:
        choices = reply.get("choices") if isinstance(reply, dict) else None
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            _number_calls(choices[0].get("message"))
            events = self._read_chunk(b"", reply)
            if not self._over:
                self._end()
            return [*events, *self._taken()]
        # One of the bodies that say in words what went wrong
        return [stated_failure(reply, "the provider's reply has no choices")]

    def _read_chunk(self, name: bytes, chunk: Any) -> list[Event]:
        try:
            self._take(name, chunk)
        except RecursionError:  # nested as no server nests
            pass
        return self._taken()

    def _says_one_thing(self) -> bool:
        """Tell whether the last chunk was a text, or a piece of a call's arguments, and left nothing else behind."""
        stated = [value for member, value in self._delta.items() if value and member != "role"]
        if len(stated) != 1:
            return False
        if (call := self._called) is not None:
            return len(stated[0]) == 1 and call.form == "object" and not call.complete
        return isinstance(stated[0], str)

    def _read_piece(self, call: StreamedCall, piece: str) -> list[Event]:
        self._blocks.arguments(call, piece)
        if call.complete:
            self._repeated.forget()
            self._blocks.advance()
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._blocks.out = self._blocks.out, []
        return events

    def _unreadable(self, name: bytes, data: bytes) -> Iterable[Event]:
        self._repeated.forget()
        text = data.strip()
        if text == b"[DONE]":
            self._end()
        elif b"\n" in text:  # data lines with no blank line between them
            return self._read_lines(name, text)
        elif name == b"error":
            self._fail(text.decode("utf-8", "replace"))
        elif not text.startswith((b"{", b"[", b'"')):  # words instead of JSON; JSON that breaks off is a cut
            self._stray = text.decode("utf-8", "replace")
        return self._taken()

    def _read_lines(self, name: bytes, text: bytes) -> Iterable[Event]:
        silent = 0
        for line in text.split(b"\n"):
            for event in self.feed(name, line) if line else ():
                silent = 0
                yield event
            silent += 1
            if silent > _PARTS:
                raise UpstreamProtocolError(f"an event of its reply has more than {_PARTS} lines that say nothing")

    def _take(self, name: bytes, chunk: Any) -> None:
        if name == b"error" or is_error(chunk):
            self._fail(chunk)
            return
        if not isinstance(chunk, dict):
            return
        self._stray = ""
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):  # Azure's filter results, the usage at the end, signs of life
            choice = None
        else:
            self._chosen, self._usage_alone = True, False
        usage = chunk.get("usage") or (choice and choice.get("usage"))  # Moonshot: in the choice
        if usage and (found := read_usage(None, usage)):
            self._usage = merged(self._usage, found)
            self._usage_alone = choice is None and self._chosen
        if not self._begun and (choice is not None or chunk.get("id") or self._usage):
            self._begin(chunk.get("id"))
        if choice is not None and not choice.get("index"):
            self._choose(choice)

    def _choose(self, choice: Json) -> None:
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            self._read(delta)
        finish = choice.get("finish_reason")
        if not finish or not isinstance(finish, str):  # "" on every chunk is no end
            return
        if finish == "error":  # OpenRouter
            self._fail(choice.get("error") or {"message": "the provider broke its reply off"})
            return
        self._finish = finish
        if isinstance(choice.get("stop_reason"), str):  # vLLM: the sequence that stopped it
            self._sequence = choice["stop_reason"]
        self._blocks.settle()

    def _read(self, delta: Json) -> None:
        blocks = self._blocks
        self._delta = delta
        if len(delta) == 1 and isinstance(text := delta.get("content"), str):  # most of all chunks
            if text:
                blocks.say("text", text)
            return
        for member in ("reasoning_content", "reasoning"):
            if (value := delta.get(member)) and (text := _flat(value)) and self._reasoning in ("", member):
                self._reasoning = member
                blocks.say("thinking", text)
        if (found := delta.get("reasoning_details")) and (entries := entries_of(found)):
            if self._reasoning in ("", "reasoning_details") and (text := text_of(entries)):
                self._reasoning = "reasoning_details"
                blocks.say("thinking", text)
            blocks.add_details(entries)
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                blocks.say("text", content)
        elif content:
            self._read_parts(content)
        if (refusal := delta.get("refusal")) and isinstance(refusal, str):
            blocks.say("text", refusal)
        if annotations := delta.get("annotations"):
            self._cite(annotations)
        if calls := delta.get("tool_calls"):
            for place, item in enumerate(calls if isinstance(calls, list) else [calls]):
                if isinstance(item, dict):
                    self._call(item, place)
            blocks.advance()
        if isinstance(item := delta.get("function_call"), dict):
            self._legacy_call(item)
            blocks.advance()

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

    def _cite(self, annotations: Any) -> None:
        for each in annotations if isinstance(annotations, list) else ():
            found = each.get("url_citation") if isinstance(each, dict) else None
            if isinstance(found, dict) and isinstance(url := found.get("url"), str) and url:
                start, end = (count(found, key) for key in _SPAN)
                self._blocks.cite(Citation(url, str(found.get("title") or ""), start, end))

    def _call(self, item: Json, place: int) -> None:
        custom = item.get("type") == "custom" or "custom" in item
        function = item.get("custom" if custom else "function")
        if not isinstance(function, dict):
            function = {}
        given = item.get("id")
        id = given if isinstance(given, str) else ""
        name = found if isinstance(found := function.get("name"), str) else ""
        piece = _arguments(function.get("input" if custom else "arguments"))
        index = item.get("index")
        key = index if isinstance(index, int) else place
        call = self._calls.get(key)
        if id and not (call is None and key is index and name):  # some give one id to all calls of a tool
            call = self._by_id.get(id, call)
        if call is not None:
            # Ollama and Gemini send all calls with index 0; others send no index, or neither index nor ids.
            other = id and call.id and id != call.id and (name or key is not index)
            again = name and call.complete and (piece.strip() or call.name not in ("", name))
            if other or again:
                if id and id == call.id and name == call.name and call.alone in (None, hash(piece)):
                    return  # the same call once more, behind its pieces or in full
                call = None
        if call is None:
            call = StreamedCall()
            call.custom = custom
            self._blocks.add_call(call)
        elif key not in self._calls:
            self._blocks.kept.add(PART_BYTES)
        self._calls[key] = call
        if id and not call.id:
            call.id = id
            self._by_id[id] = call
        call.name = call.name or name
        call.thought = call.thought or _thought(item) or _thought(function)
        self._blocks.name_call(call)
        self._called = call
        if piece:
            self._blocks.advance()
            self._blocks.arguments(call, piece)

    def _legacy_call(self, item: Json) -> None:
        call = self._calls.get("legacy")
        if call is None:
            call = self._calls["legacy"] = StreamedCall()
            self._blocks.add_call(call)
        if not call.name and isinstance(name := item.get("name"), str):
            call.name = name
        if piece := _arguments(item.get("arguments")):
            self._blocks.arguments(call, piece)

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
        blocks.finish(self._finish == "length")
        reason: _Reason = "length" if blocks.cut else "calls" if blocks.calls else _ENDS.get(self._finish, "stop")
        if reason == "stop" and self._sequence:
            blocks.out.append(End("sequence", self._usage, self._sequence))
        else:
            blocks.out.append(End(reason, self._usage))


_SPAN: Final = ("start_index", "end_index")


def is_error(chunk: Any) -> bool:
    """Tell whether a chunk states an error; vLLM's is ``{"object": "error", "message": …}``, Google's in a list."""
    if isinstance(chunk, list):
        return any(map(is_error, chunk))
    return isinstance(chunk, dict) and bool(chunk.get("error") or chunk.get("object") == "error")


def _number_calls(message: Any) -> None:
    """Give each call of a whole reply an index of its own: servers send one id, or one index, for several."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    for place, item in enumerate(calls if isinstance(calls, list) else ()):
        if isinstance(item, dict):
            item["index"] = place


def _flat(value: Any) -> str:
    """Return the text in a string, in an object with a text, or in a list of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return next((_flat(value[key]) for key in ("text", "summary", "content", "refusal") if value.get(key)), "")
    return "".join(map(_flat, value)) if isinstance(value, list) else ""


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
