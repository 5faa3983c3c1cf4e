"""Write a reply for a client, as a stream or whole. Pure.

Google's own clients read lines and no other part of event streams: one line of JSON behind ``data: ``, a blank line,
and nothing else. Gemini CLI asks again, and pays again, for a reply with neither a call nor a text and a finishReason.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Final

from ...bodies.texts import Raw
from .. import carrier
from ..arguments import INVALID, is_json
from ..base import Json, ReplySink, Steps
from ..bounds import refuse_many
from ..conversation import Seal
from ..events import Begin, Citation, Delta, End, Event, Failure, Start, Stop, Usage
from ..failures import CONTEXT, QUOTA, RATE
from ..identifiers import hashed
from ..kept import PART_BYTES, Kept, arguments_in
from .grounding import Grounding
from .listing import error
from .requests_in import ReplyOptions

# Its readers take a line for the whole event, and some end a line where Unicode does: httpx, Node's readline. These
# characters stand in JSON strings alone, except CR and LF, which are blanks in JSON. UTF-8 has no lone surrogates.
_TEXT_PART: Final = re.compile(r'\{"text":"([^"\\]*+(?:\\.[^"\\]*+)*+)"(|,"thought":true)\}')
_PARTS: Final = "\0"  # which JSON does not have
_NO_LINE: Final = re.compile("[\r\n\x85\u2028\u2029\ud800-\udfff]")
_quoted = json.encoder.encode_basestring_ascii

_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"  # its clients read no Retry-After
_CONTEXT_WORDS: Final = "The input token count exceeds the maximum number of tokens allowed. "


class Replies:
    """Writes one reply."""

    def __init__(self, sink: ReplySink) -> None:
        self._sink = sink
        self._options: ReplyOptions = sink.reply_options
        self._identity = self._identified("")
        self._open = ""
        self._pieces: list[str] = []  # of the arguments of the open call, or of thinking
        self._call = Start("call")
        self._unfinished = False
        self._blocks: list[Json] = []  # reasoning that the next part carries
        self._block_chars = 0
        self._grounding = Grounding()
        self._kept = Kept()
        self._sent = False  # a part has left

    def write(self, event: Event) -> bytes:
        """Return what an event becomes in a stream."""
        if isinstance(event, Failure):
            return f"data: {json.dumps(failure(event))}\r\n\r\n".encode()
        if isinstance(event, End):
            out = "".join(f"data: {self._chunk(part)}\r\n\r\n" for part in self._last_parts(event))
            return f"{out}data: {self._ended(event, [])}\r\n\r\n".encode()
        return "".join(f"data: {self._chunk(part)}\r\n\r\n" for part in self._next_parts(event)).encode()

    def pieces(self, event: Event) -> Iterable[bytes]:
        """Give what an event becomes in a stream."""
        return (self.write(event),)

    def whole(self, events: Iterable[Event]) -> Steps[Raw]:
        """Return a whole reply; the events end with ``End``."""
        parts: list[bytes] = []
        texts: list[bytes] = []  # of the last part, if the next text may continue it
        ending = found = ""
        for event in events:
            yield
            new = self._last_parts(event) if isinstance(event, End) else self._next_parts(event)
            for part in new:
                match = _TEXT_PART.fullmatch(part)
                if match is None or (texts and match[2] != ending):
                    _add_text(parts, texts, ending)
                if match is None:
                    parts.append(part.encode())
                else:
                    texts.append(match[1].encode())
                    ending = match[2]
            if isinstance(event, End):
                _add_text(parts, texts, ending)
                found = self._ended(event, [_PARTS] if parts else [])
        head, _, tail = found.partition(_PARTS)
        return Raw(b"".join((head.encode(), b",".join(parts), tail.encode())))

    def _next_parts(self, event: Event) -> list[str]:
        """Return the parts that an event adds to the content."""
        if isinstance(event, Begin):
            self._identity = self._identified(event.id or f"{self._sink.created} {self._sink.model}")
        elif isinstance(event, Start):
            out = self._unfinished_call()
            self._open, self._call, self._pieces = event.kind, event, []
            self._grounding.begin()
            return out
        elif isinstance(event, Delta):
            return self._delta(event.text)
        elif isinstance(event, Citation):
            self._kept.add(PART_BYTES)
            self._grounding.cite(event)
        elif isinstance(event, Stop):
            return self._stop(event)
        return []

    def _delta(self, text: str) -> list[str]:
        if self._open == "text":
            self._grounding.say(text)
            return [self._signed(f'{{"text":{_quoted(text)}')]
        self._kept.add(len(text))
        self._pieces.append(text)
        if self._open == "thinking" and self._options.thoughts:
            return [f'{{"text":{_quoted(text)},"thought":true}}']
        return []

    def _stop(self, event: Stop) -> list[str]:
        self._grounding.end()
        if self._open == "thinking":
            if event.seal is not None:
                self._kept.add(PART_BYTES)
                self._block_chars += sum(map(len, self._pieces))
                if self._block_chars <= carrier.CARRIER_BYTES:
                    text = "".join(self._pieces)
                    self._blocks.append({"k": event.seal.kind, "d": event.seal.data, "x": text})
            return []
        if self._open == "call":
            self._unfinished = not event.whole
            return [] if self._unfinished else [self._called()]
        return []

    def _unfinished_call(self) -> list[str]:
        """Return the call whose arguments are no JSON, now that the reply goes on behind it."""
        return [self._called()] if self._unfinished else []

    def _called(self) -> str:
        self._unfinished = False
        text = arguments_in(self._pieces).strip() or "{}"
        refuse_many(text)
        args = text if text.startswith("{") and is_json(text) else json.dumps({INVALID: text})
        id_, name = _quoted(self._call.id), _quoted(self._call.name)
        if not args.isascii() or "\n" in args or "\r" in args:
            args = _NO_LINE.sub(_on_one_line, args)
        return self._signed(f'{{"functionCall":{{"id":{id_},"name":{name},"args":{args}}}')

    def _signed(self, part: str) -> str:
        """Return a part with the carrier of the reasoning before it, which the client sends back."""
        fits, self._block_chars = self._block_chars <= carrier.CARRIER_BYTES, 0
        if not self._blocks or not fits:
            self._blocks = []
            return part + "}"
        seal = Seal("blocks", self._blocks, self._sink.maker, self._sink.sent)
        self._blocks = []
        signature = carrier.encode(seal, pure_base64=True)
        return f'{part},"thoughtSignature":"{signature}"}}' if signature else part + "}"

    def _last_parts(self, event: End) -> list[str]:
        if self._unfinished and event.reason != "length":
            return [self._called()]
        self._unfinished = False
        if event.reason == "refusal" and event.explanation:
            self._grounding, self._open = Grounding(), "text"
            return self._delta(event.explanation)
        return []

    def _chunk(self, part: str) -> str:
        self._sent = True
        content = f'{{"role":"model","parts":[{part}]}}'
        return f'{{"candidates":[{{"content":{content},"index":0}}],{self._identity}}}'

    def _ended(self, event: End, parts: list[str]) -> str:
        shown = bool(self._sent or parts or event.explanation)
        reason = {"length": "MAX_TOKENS", "refusal": "STOP" if shown else "SAFETY"}.get(event.reason, "STOP")
        if self._sent:  # the chats of Google's SDKs forget a turn of which one chunk has no part
            parts = ['{"text":""}']
        content = '"role":"model"' + (f',"parts":[{",".join(parts)}]' if parts else "")
        found = self._grounding.written()
        grounding = f',"groundingMetadata":{json.dumps(found)}' if found else ""
        usage = _usage(event.usage)
        stated = f',"usageMetadata":{json.dumps(usage)}' if usage else ""
        return (
            f'{{"candidates":[{{"content":{{{content}}},"finishReason":"{reason}","index":0{grounding}}}]{stated},'
            f"{self._identity}}}"
        )

    def _identified(self, id_: str) -> str:
        mark = hashed(id_, 22) if id_ else ""
        return f'"modelVersion":{_quoted(self._sink.model)},"responseId":"{mark}"'


def _add_text(parts: list[bytes], texts: list[bytes], ending: str) -> None:
    if texts:
        parts.append(b"".join((b'{"text":"', *texts, f'"{ending}}}'.encode())))
        texts.clear()


def _on_one_line(found: re.Match[str]) -> str:
    return " " if found[0] in "\r\n" else f"\\u{ord(found[0]):04x}"


def _usage(usage: Usage | None) -> Json | None:
    if usage is None or usage.input is None or usage.output is None:
        return None
    found: Json = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": max(0, usage.output - (usage.reasoning or 0)),
    }
    if usage.cached:
        found["cachedContentTokenCount"] = usage.cached
    if usage.reasoning is not None:
        found["thoughtsTokenCount"] = usage.reasoning
    return {**found, "totalTokenCount": usage.input + usage.output}


def failure(failed: Failure) -> Json:
    """Return the body of an error."""
    found = error(failed.status, f"{_CONTEXT_WORDS if failed.code == CONTEXT else ''}{failed.message}")
    if failed.code in (RATE, QUOTA):
        found["error"]["status"] = "RESOURCE_EXHAUSTED"
    if failed.retry_after_s is not None:
        found["error"]["details"] = [{"@type": _RETRY_INFO, "retryDelay": f"{math.ceil(failed.retry_after_s)}s"}]
    return found
