"""Read a provider's reply of the Messages API, as a stream or whole. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal

from ...bodies.texts import loads
from ...errors import UpstreamBroken
from ..arguments import raw_json
from ..base import Json, ReplySource, elements, object_of
from ..bounds import bounded_loads
from ..conversation import Seal
from ..events import Begin, Citation, Delta, End, Event, Ping, Start, Stop, Usage
from ..failures import stated_failure
from ..kept import PART_BYTES, Kept
from .usage import read_usage

_Reason = Literal["stop", "sequence", "calls", "length", "refusal", "pause"]
_REASONS: Final[dict[str, _Reason]] = {
    "stop_sequence": "sequence", "tool_use": "calls", "max_tokens": "length", "refusal": "refusal",
    "model_context_window_exceeded": "length", "compaction": "length", "pause_turn": "pause",
}  # fmt: skip
_KINDS: Final[dict[str, Literal["thinking", "text", "call"]]] = {
    "text": "text", "thinking": "thinking", "redacted_thinking": "thinking", "tool_use": "call",
}  # fmt: skip


class ReplyReader:
    """Gives a reply's events. Blocks of servers' tools and of unknown kinds give none."""

    def __init__(self, source: ReplySource) -> None:
        self._source = source
        self._open: _Block | None = None
        self._waiting: list[_Block] = []  # blocks that began while another was open
        self._unfinished = False  # the last call is closed, but its arguments are no JSON
        self._calls = self._cut = False
        self._began = False
        self._stopped: Json | None = None
        self._usage: Usage | None = None
        self._kept = Kept()  # arguments of calls, and blocks that wait
        self._event_bytes = 0
        self._takers: Final[dict[str, Callable[[Json], Iterable[Event]]]] = {
            "message_start": self._start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
            "ping": lambda _: (Ping(),),
            "error": lambda event: (stated_failure(event),),
        }

    def feed(self, name: bytes, data: bytes) -> Iterable[Event]:
        """Take one event of the stream. Raises :class:`UpstreamProtocolError` if too much has to be kept."""
        if name == b":":
            return (Ping(),)
        try:
            event = loads(data)
        except (ValueError, RecursionError):
            return ()
        if not isinstance(event, dict):
            return ()
        self._event_bytes = len(data)
        kind = event.get("type")
        taker = self._takers.get(kind) if isinstance(kind, str) else None
        if taker is not None:
            return taker(event)
        return (stated_failure(event),) if event.get("error") else ()

    def finish(self) -> Iterator[Event]:
        """Give the end of a stream without ``message_stop``, if the provider has stated a reason for it."""
        if self._stopped is None:
            raise UpstreamBroken("its reply ended before message_stop")
        return self._ended()

    def whole(self, reply: Any) -> Iterator[Event]:
        """Take a reply that came as one JSON value."""
        if not isinstance(reply, dict) or not isinstance(reply.get("content"), list):
            yield stated_failure(reply, "the provider's reply has no content")
            return
        yield from self._start({"message": reply})
        for at, block in enumerate(reply["content"]):
            yield from self._block_start({"index": at, "content_block": block})
            for citation in elements(object_of(block).get("citations")):
                yield from self._block_delta({"index": at, "delta": {"type": "citations_delta", "citation": citation}})
            yield from self._block_stop({"index": at})
        self._stopped = reply
        yield from self._ended()

    def _start(self, event: Json) -> Iterator[Event]:
        message = object_of(event.get("message"))
        self._usage = read_usage(self._usage, message.get("usage"))
        if not self._began:
            self._began = True
            id_ = message.get("id")
            yield Begin(id_ if isinstance(id_, str) else "", self._usage)

    def _block_start(self, event: Json) -> Iterator[Event]:
        block = object_of(event.get("content_block"))
        yield from self._begin()
        yield from self._settle_unfinished(whole=True)
        opened = _Block(event.get("index"), _KINDS.get(str(block.get("type"))), block)
        if self._open is None:
            yield from self._begin_block(opened)
        elif self._open.kind != "call":  # the provider left it open, and will send no more of it
            yield from self._close(self._open)
            yield from self._begin_block(opened)
        else:
            self._kept.add(PART_BYTES + self._event_bytes)
            self._waiting.append(opened)

    def _block_delta(self, event: Json) -> Iterable[Event]:
        delta = event.get("delta")
        if not isinstance(delta, dict):
            return ()
        block = self._open
        if block is None or block.index != event.get("index"):
            return self._late_delta(event.get("index"), delta)
        return self._take_delta(block, delta)

    def _take_delta(self, block: _Block, delta: Json) -> Iterable[Event]:
        kind = delta.get("type")
        if kind == "text_delta" and block.kind == "text":
            return _texts(delta.get("text"))
        if kind == "input_json_delta" and block.kind == "call":
            piece = delta.get("partial_json")
            if not isinstance(piece, str) or not piece:
                return ()
            self._kept.add(len(piece))
            block.pieces.append(piece)
            return (Delta(piece),)
        if kind == "thinking_delta" and block.kind == "thinking":
            return _texts(delta.get("thinking"))
        if kind == "signature_delta" and block.kind == "thinking":
            block.seal = delta.get("signature")
        elif kind == "citations_delta" and block.kind == "text":
            citation = delta.get("citation")
            if isinstance(citation, dict) and isinstance(citation.get("url"), str):
                return (Citation(citation["url"], str(citation.get("title") or "")),)
        return ()

    def _late_delta(self, index: Any, delta: Json) -> Iterator[Event]:
        """Keep the delta of a block that waits. Text of a block that never began begins one."""
        for block in self._waiting:
            if block.index == index:
                self._kept.add(self._event_bytes)
                block.deltas.append(delta)
                return
        if self._open is None and delta.get("type") in ("text_delta", "thinking_delta"):
            kind = "text" if delta["type"] == "text_delta" else "thinking"
            yield from self._block_start({"index": index, "content_block": {"type": kind}})
            yield from self._block_delta({"index": index, "delta": delta})

    def _block_stop(self, event: Json) -> Iterator[Event]:
        index = event.get("index")
        for block in self._waiting:
            if block.index == index:
                block.stopped = True
                return
        if self._open is not None and self._open.index == index:
            yield from self._close(self._open)
            yield from self._begin_waiting()

    def _message_delta(self, event: Json) -> Iterator[Event]:
        self._usage = read_usage(self._usage, event.get("usage"))
        delta = event.get("delta")
        if isinstance(delta, dict) and delta.get("stop_reason"):
            self._stopped = delta
        yield from self._begin()

    def _message_stop(self, _: Json) -> Iterator[Event]:
        self._stopped = self._stopped or {}
        return self._ended()

    def _begin(self) -> Iterator[Event]:
        return iter(()) if self._began else self._start({})

    def _begin_block(self, block: _Block) -> Iterator[Event]:
        self._open = block
        given = block.given
        if block.kind == "call":
            id_, name = given.get("id"), given.get("name")
            name = name if isinstance(name, str) else ""
            yield Start("call", id_ if isinstance(id_, str) else "", self._source.names.get(name, name))
        elif block.kind is not None:
            yield Start(block.kind)
            yield from _texts(given.get("text" if block.kind == "text" else "thinking"))
        for delta in block.deltas:
            yield from self._take_delta(block, delta)
        if block.stopped:
            yield from self._close(block)

    def _begin_waiting(self) -> Iterator[Event]:
        while self._open is None and self._waiting:
            yield from self._settle_unfinished(whole=True)
            yield from self._begin_block(self._waiting.pop(0))

    def _close(self, block: _Block) -> Iterator[Event]:
        self._open = None
        if block.kind == "text":
            yield Stop()
        elif block.kind == "thinking":
            yield Stop(self._seal(block))
        elif block.kind == "call":
            self._calls = True
            if not block.pieces:
                given = block.given.get("input")
                text = bytes(raw_json(given).data).decode("utf-8") if isinstance(given, dict) else "{}"
                yield Delta(text)
            elif not _is_json("".join(block.pieces)):
                # Only the reason in the reply's end tells whether the provider had finished the arguments.
                self._unfinished = True
                return
            yield Stop()

    def _settle_unfinished(self, *, whole: bool) -> Iterator[Event]:
        if self._unfinished:
            self._unfinished = False
            self._cut = not whole
            yield Stop(whole=whole)

    def _seal(self, block: _Block) -> Seal | None:
        target = self._source.target
        if block.given.get("type") == "redacted_thinking":
            kind, data = "redacted", block.given.get("data")
        else:
            kind, data = "signature", block.seal or block.given.get("signature")
        return Seal(kind, data, target.maker, target.model) if isinstance(data, str) and data else None

    def _ended(self) -> Iterator[Event]:
        stopped = self._stopped or {}
        reason = _REASONS.get(str(stopped.get("stop_reason")), "stop")
        yield from self._begin()
        while self._open is not None:
            yield from self._close(self._open)
            yield from self._settle_unfinished(whole=reason != "length" and not self._waiting)
            yield from self._begin_waiting()
        yield from self._settle_unfinished(whole=reason != "length")
        if self._cut:
            reason = "length"
        elif self._calls:
            reason = "calls"
        elif reason == "calls":
            reason = "stop"
        sequence, details = stopped.get("stop_sequence"), stopped.get("stop_details")
        explanation = details.get("explanation") if isinstance(details, dict) else None
        yield End(
            reason,
            self._usage,
            sequence if reason == "sequence" and isinstance(sequence, str) else "",
            explanation if reason == "refusal" and isinstance(explanation, str) else "",
        )


class _Block:
    """A block of the reply; ``given`` is the block as its start has it, ``pieces`` the arguments of a call."""

    __slots__ = ("deltas", "given", "index", "kind", "pieces", "seal", "stopped")

    def __init__(self, index: Any, kind: Literal["thinking", "text", "call"] | None, given: Json) -> None:
        self.index = index
        self.kind = kind
        self.given = given
        self.pieces: list[str] = []
        self.seal: Any = None
        self.deltas: list[Json] = []
        self.stopped = False


def _texts(text: Any) -> Iterable[Event]:
    return (Delta(text),) if isinstance(text, str) and text else ()


def _is_json(text: str) -> bool:
    try:
        bounded_loads(text)
    except (ValueError, RecursionError):
        return False
    return True
