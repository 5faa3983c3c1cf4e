"""The reasoning of a reply as ``reasoning_details``, which a chat client sends back with its next request. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from .. import carrier
from ..base import Json, ReplySink
from ..conversation import Seal
from ..events import Start

_FORMATS: Final = {
    "signature": "anthropic-claude-v1", "redacted": "anthropic-claude-v1", "thought": "google-gemini-v1",
    "reasoning": "openai-responses-v1",
}  # fmt: skip


class Reasoning:
    """Collects the reasoning of a reply.

    Chat Completions cannot tell the place of a thought among text and calls. If a sealed thought does not stand before
    everything else, the client gets no details. The exception are Google's: each belongs to the next call, and comes
    with that call as well.
    """

    def __init__(self, sink: ReplySink) -> None:
        self._sink = sink
        self._texts: list[str] = []
        self._size = 0
        self._said = False  # a thinking block before this one had a text
        self._lost = False  # the client gets no details
        self._entries: list[Json] = []
        self._thought: tuple[Seal, Json] | None = None
        self._in_front = True

    def start(self, event: Start) -> None:
        if event.kind == "thinking":
            self._said = self._said or bool(self._texts)
            self._texts = []
            return
        self._in_front = False
        if event.kind == "call" and self._thought is not None:
            self._thought[1]["id"] = event.id
        elif event.kind == "text":
            self._thought = None

    def add(self, text: str) -> str:
        """Take more text; return the separator between it and the text of a block before."""
        apart = "\n\n" if self._said and not self._texts else ""
        self._size += len(text)
        self._lost = self._lost or self._size > carrier.CARRIER_BYTES
        if not self._texts or not self._lost:
            self._texts.append(text)
        return apart

    def stop(self, seal: Seal | None) -> None:
        if seal is None or self._lost:
            return
        if not seal.maker:
            seal = replace(seal, maker=self._sink.maker, model=self._sink.sent)
        carried = carrier.encode(seal)
        if not carried:
            return
        text = "".join(self._texts)
        format = _FORMATS.get(seal.kind, "unknown")
        entry: Json = {"index": len(self._entries), "format": format}
        if text:
            entry |= {"type": "reasoning.text", "text": text, "signature": carried}
        else:
            entry |= {"type": "reasoning.encrypted", "data": carried}
        self._entries.append(entry)
        if seal.kind == "thought":
            self._thought = (seal, entry)
        elif not self._in_front:
            self._lost = True

    def extra_content(self) -> Json | None:
        """Return Google's signature for the call that begins now, in Google's own form."""
        if self._thought is None:
            return None
        seal, self._thought = self._thought[0], None
        carried = carrier.encode(seal, pure_base64=True)
        return {"google": {"thought_signature": carried}} if carried else None

    def entries(self) -> list[Json]:
        """Return the details of the whole reply."""
        return [] if self._lost else self._entries
