"""Read a provider's reply, as a stream or whole. Pure.

Each event of a stream is a whole reply that holds the next parts. A call comes in one part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from ...bodies.texts import loads
from ...errors import UpstreamBroken
from ..base import Json, ReplySource, elements, object_of
from ..conversation import Seal
from ..events import Begin, Citation, Delta, End, Event, Failure, Ping, Start, Stop, Usage
from ..failures import stated_failure
from ..identifiers import hashed
from .fields import camel
from .usage import read_usage

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_PREFIXES: Final = ("default_api:", "default_api.")
_REFUSALS: Final = frozenset({
    "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "MODEL_ARMOR", "RECITATION", "LANGUAGE", "NO_IMAGE",
})  # fmt: skip
_FAULTS: Final = frozenset({
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
})  # fmt: skip


class ReplyReader:
    """Reads one reply."""

    def __init__(self, source: ReplySource) -> None:
        self._names = source.names
        self._target = source.target
        self._open = ""  # thinking or text
        self._began = False
        self._id = ""
        self._calls = 0
        self._delivered = False
        self._finish = ""
        self._explanation = ""
        self._usage: Usage | None = None
        self._blocked = ""
        self._answered = False  # there was a candidate

    def feed(self, name: bytes, data: bytes) -> Iterator[Event]:
        """Take one event of the stream."""
        if name == b":":
            yield Ping()
            return
        try:
            chunk = loads(data)
        except (ValueError, RecursionError):
            return
        for each in chunk if isinstance(chunk, list) else [chunk]:
            yield from self._chunk(camel(each))

    def finish(self) -> Iterator[Event]:
        """Give the end of a stream, if the provider has stated a reason for it."""
        if not (self._finish or self._calls or self._blocked):
            raise UpstreamBroken("its reply ended before a finishReason")
        yield from self._end()

    def whole(self, reply: Any) -> Iterator[Event]:
        """Take a whole reply, or an array of the chunks of one."""
        for each in reply if isinstance(reply, list) else [reply]:
            for event in self._chunk(camel(each)):
                yield event
                if isinstance(event, Failure):
                    return
        if not self._answered and not self._blocked:
            yield stated_failure(None, "the provider's reply has no candidates")
            return
        yield from self._end()

    def _chunk(self, chunk: dict[str, Any]) -> Iterator[Event]:
        if chunk.get("error"):
            yield stated_failure(chunk)
            return
        if not self._began and chunk:
            self._began = True
            self._id = str(chunk.get("responseId") or "")
            yield Begin(self._id)
        if (usage := read_usage(None, chunk.get("usageMetadata"))) is not None:
            self._usage = usage if usage.output is not None else replace(usage, output=0)  # it was blocked
        candidates = elements(chunk.get("candidates"))
        blocked = camel(chunk.get("promptFeedback")).get("blockReason")
        if not candidates and isinstance(blocked, str):
            self._blocked = blocked
        for candidate in map(camel, candidates):
            if candidate.get("index") in (None, 0):
                self._answered = True
                yield from self._candidate(candidate)

    def _candidate(self, candidate: dict[str, Any]) -> Iterator[Event]:
        for part in elements(camel(candidate.get("content")).get("parts")):
            yield from self._part(camel(part))
        yield from self._sources(camel(candidate.get("groundingMetadata")))
        finish = candidate.get("finishReason")
        if isinstance(finish, str) and finish != "FINISH_REASON_UNSPECIFIED":
            self._finish = finish
            self._explanation = str(candidate.get("finishMessage") or "")
            if finish in _FAULTS:
                yield self._fault()

    def _part(self, part: dict[str, Any]) -> Iterator[Event]:
        signature = part.get("thoughtSignature")
        seal = (
            Seal("thought", signature, self._target.maker, self._target.model) if isinstance(signature, str) else None
        )
        text = part.get("text")
        if "functionCall" in part:
            yield from self._close(seal)
            yield from self._call(camel(part["functionCall"]))
        elif "executableCode" in part:
            code = camel(part["executableCode"])
            yield from self._say(
                "text", f"```{str(code.get('language') or '').lower()}\n{code.get('code') or ''}\n```\n"
            )
        elif "codeExecutionResult" in part:
            yield from self._say("text", f"{camel(part['codeExecutionResult']).get('output') or ''}\n")
        elif isinstance(text, str) and text:
            kind = "thinking" if part.get("thought") is True else "text"
            if seal is not None and kind == "text" and self._open != "text":
                yield from self._close(seal)
            yield from self._say(kind, text)

    def _say(self, kind: Any, text: str) -> Iterator[Event]:
        if self._open != kind:
            yield from self._close()
            self._open = kind
            yield Start(kind)
        self._delivered = self._delivered or kind == "text"
        yield Delta(text)

    def _close(self, seal: Seal | None = None) -> Iterator[Event]:
        """Close the open block. A seal belongs to the next part: it closes thinking, or becomes a block of its own."""
        if seal is not None and self._open != "thinking":
            if self._open:
                yield Stop()
            yield Start("thinking")
            yield Stop(seal)
        elif self._open:
            yield Stop(seal)
        self._open = ""

    def _call(self, call: dict[str, Any]) -> Iterator[Event]:
        name, id_, args = str(call.get("name") or ""), call.get("id"), call.get("args")
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        if not isinstance(id_, str) or not _ID.match(id_):
            id_ = f"call_{hashed(f'{self._id} {self._calls} {name} {json.dumps(args)}', 24)}"
        self._calls += 1
        yield Start("call", id_, self._names.get(name, name))
        yield Delta(json.dumps(object_of(args), ensure_ascii=False, separators=(",", ":")))
        yield Stop()

    def _sources(self, grounding: dict[str, Any]) -> Iterator[Event]:
        chunks = grounding.get("groundingChunks")
        if self._open != "text" or not isinstance(chunks, list):
            return
        for chunk in chunks:
            web = camel(camel(chunk).get("web"))
            if isinstance(web.get("uri"), str):
                yield Citation(web["uri"], str(web.get("title") or ""))

    def _end(self) -> Iterator[Event]:
        delivered = self._delivered or self._calls > 0
        if self._finish not in ("", "STOP", "MAX_TOKENS") and not delivered and not self._is_refusal():
            yield self._fault()
            return
        yield from self._close()
        if self._blocked and not delivered:
            yield End("refusal", self._usage, explanation=f"blocked by Google: {self._blocked}")
        elif self._finish == "MAX_TOKENS":
            yield End("calls" if self._calls else "length", self._usage)
        elif self._calls:
            yield End("calls", self._usage)
        elif self._is_refusal():
            yield End("refusal", self._usage, explanation=self._explanation)
        else:
            yield End("stop", self._usage)

    def _fault(self) -> Failure:
        return Failure(502, self._explanation or f"the provider ended its reply with {self._finish}")

    def _is_refusal(self) -> bool:
        return self._finish in _REFUSALS or self._finish.startswith("IMAGE_")


def is_error(event: Json) -> bool:
    """Tell whether an event announces a failure: an error, or the end of a reply that failed before its first part."""
    candidate = camel(next(iter(elements(event.get("candidates"))), None))
    return bool(event.get("error")) or (
        str(candidate.get("finishReason")) in _FAULTS and not camel(candidate.get("content")).get("parts")
    )
