"""The hub between a format's reader and another format's writer, for requests and for replies. Pure.

``proxy`` calls it. Readers and writers meet in a :class:`~ampmap.formats.conversation.Conversation` and in events, so
that no module knows a pair of formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from ..bodies.event_stream import EVENT_BYTES, EventReader
from ..bodies.json_reply import read_reply
from ..bodies.json_tree import Unreadable
from ..bodies.steps import finished
from ..bodies.texts import Raw, dump, dump_in_steps
from ..errors import BadRequest, UpstreamBroken, UpstreamProtocolError
from .base import Asked, Dialect, ReplyReader, ReplyWriter, Steps, Written, bounded
from .bounds import LARGE_BYTES, bounded_loads, refuse_many
from .conversation import Conversation
from .events import Delta, End, Event, Failure, Ping, Usage
from .failures import stated_failure, without_secrets
from .profile import Target

WHOLE_EVENTS: Final = 10_000
"""The most events of a whole reply, neighbouring texts counted as one; to write them takes a few milliseconds."""
SMALL_BYTES: Final = 16 * 1024
"""A whole reply of so many bytes may be translated in one step."""

_MANY_PARTS: Final = f"its reply has more than {WHOLE_EVENTS} parts"
_LOADED_BYTES: Final = 4096
_AT_ONCE: Final = 32 * 1024
_DELTA_CHARS: Final = 64 * 1024
_WORDS: Final = frozenset({
    "text", "thinking", "content", "reasoning_content", "reasoning", "summary", "refusal", "arguments", "input", "code",
    "output",
})  # fmt: skip
_SLICE_BYTES: Final = 4096
_STEP_EVENTS: Final = 100
_NESTED: Final = "the body cannot be read: its values are nested too deeply"
_REPLY_NESTED: Final = "its reply cannot be read: its values are nested too deeply"
_BLANKS: Final = b" \t\r\n\xef\xbb\xbf"


def read_request(dialect: Dialect, asked: Asked) -> Steps[Conversation]:
    """Read a request. Raises :class:`BadRequest` for a body that cannot be read, and as ``Dialect`` says."""
    try:
        conversation = yield from dialect.read_request(asked)
        bounded([*conversation.tools], "tools")
        if "" in conversation.lost:  # a member without a name
            return replace(conversation, lost=tuple(name or '""' for name in conversation.lost))
        return conversation
    except Unreadable as exc:
        raise BadRequest(f"the body cannot be read: send one JSON object ({exc})") from exc
    except RecursionError as exc:
        raise BadRequest(_NESTED) from exc


def write_request(dialect: Dialect, conversation: Conversation, target: Target) -> Steps[Written]:
    """Write a request. Raises as ``Dialect`` says."""
    try:
        return (yield from dialect.write_request(conversation, target))
    except RecursionError as exc:
        raise BadRequest(_NESTED) from exc


class TranslatedStream:
    """A streamed reply in another format, as one more byte filter.

    It also reads a provider that answers a streaming request by one JSON value. ``failure`` is the error that the
    provider stated, if any, without ``secrets``. ``ended`` is True once the reply is complete or has failed; later
    bytes are ignored. At most EVENT_BYTES are held; ``is_loaded`` tells whether so much of an event is held that the
    bytes that complete it are much work. All methods raise :class:`~ampmap.errors.UpstreamError` for a reply that
    breaks off.
    """

    def __init__(self, reader: ReplyReader, writer: ReplyWriter, secrets: tuple[str, ...] = ()) -> None:
        self._reader = reader
        self._writer = writer
        self._secrets = secrets
        self._stream = EventReader()
        self._form = ""
        self._held = bytearray()  # of a reply that is one JSON value
        self._size = 0  # of what came before the first event
        self.failure: Failure | None = None
        self.usage: Usage | None = None  # of a complete reply
        self.ended = False
        self.is_loaded = False

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and give those that can leave now."""
        return b"".join(self.steps(data))

    def steps(self, data: bytes) -> Iterator[bytes]:
        """Do what :meth:`feed` does, event by event."""
        if self._form != "events":
            self._size += len(data)
            if not self._form and (data := data.lstrip(_BLANKS)):
                self._form = "json" if data.startswith((b"{", b"[")) else "events"
            if self._form != "events":
                self._held += data
                if self._size > EVENT_BYTES:
                    raise UpstreamProtocolError(f"its reply has more than {EVENT_BYTES} bytes")
                return
        try:
            for name, content in self._stream.feed(data):
                if len(content) > LARGE_BYTES:
                    refuse_many(content)
                for event in self._reader.feed(name, content):
                    if self.ended:
                        break
                    yield self._write(event)
        except RecursionError as exc:
            raise UpstreamProtocolError(_REPLY_NESTED) from exc
        self.is_loaded = self._stream.held_bytes > _LOADED_BYTES

    def finish(self) -> bytes:
        """Give the last bytes, at the reply's end."""
        return b"".join(self.last())

    def last(self) -> Iterator[bytes]:
        """Do what :meth:`finish` does, event by event."""
        try:
            if self._form == "json":
                yield from self._written(_scan_events(self._reader, bytes(self._held)))
                return
            for name, content in self._stream.finish():
                refuse_many(content)
                yield from self._written(self._reader.feed(name, content))
            if not self.ended:
                yield from self._written(self._reader.finish())
        except RecursionError as exc:
            raise UpstreamProtocolError(_REPLY_NESTED) from exc
        if not self.ended:
            raise UpstreamBroken("its reply ended before its last event")

    def _written(self, events: Iterable[Event | None]) -> Iterator[bytes]:
        count = 0
        for event in events:
            if self.ended:
                break
            if event is None:
                yield b""
                continue
            count += 1
            if count > WHOLE_EVENTS:
                raise UpstreamProtocolError(_MANY_PARTS)
            if isinstance(event, Delta):
                yield from map(self._writer.write, _short(event))
            else:
                yield self._write(event)

    def _write(self, event: Event) -> bytes:
        if isinstance(event, Delta):  # most of all events
            pass
        elif isinstance(event, Failure):
            event = without_secrets(event, self._secrets)
            self.failure, self.ended = event, True
        elif isinstance(event, End):
            self.usage, self.ended = event.usage, True
        return self._writer.write(event)


def whole_events(reader: ReplyReader, body: bytes) -> Iterator[Event]:
    """Yield the events of a reply that is one JSON value; raises :class:`UpstreamProtocolError` if it is none."""
    return (event for event in _scan_events(reader, body) if event is not None)


def _scan_events(reader: ReplyReader, body: bytes) -> Iterator[Event | None]:
    """Yield the events of a whole reply, and None where other tasks may run."""
    if body.lstrip(_BLANKS).startswith((b"data:", b"event:", b":")):  # some servers stream whatever they are asked
        yield from _streamed_events(reader, body)
        return
    try:
        body = body.lstrip(_BLANKS)
        reply = bounded_loads(body) if len(body) <= _AT_ONCE else (yield from read_reply(body, _WORDS))
    except (ValueError, RecursionError) as exc:
        raise UpstreamProtocolError(f"its reply is no JSON: {exc}") from exc
    yield from reader.whole(reply)


def _streamed_events(reader: ReplyReader, body: bytes) -> Iterator[Event | None]:
    stream = EventReader()
    for at in range(0, len(body) + 1, _SLICE_BYTES):
        part = body[at : at + _SLICE_BYTES]
        for name, content in stream.feed(part) if part else stream.finish():
            refuse_many(content)
            for event in reader.feed(name, content):
                yield event
                if isinstance(event, End | Failure):
                    return
        yield None
    yield from reader.finish()


def _short(delta: Delta) -> Iterator[Delta]:
    """Yield a long text in pieces."""
    for at in range(0, len(delta.text), _DELTA_CHARS):
        yield Delta(delta.text[at : at + _DELTA_CHARS])


def dumped_reply(reply: Any) -> bytes:
    """Return what :func:`dump_reply` does, all at once."""
    return b"".join(finished(dump_reply(reply)))


def dump_reply(reply: Any, *, is_small: bool = False) -> Steps[list[bytes | memoryview]]:
    """Return the JSON of a whole reply in pieces; one that ``is_small`` is written in one step.

    Raises :class:`UpstreamProtocolError` if it is nested too deeply.
    """
    try:
        return dump(reply) if is_small else (yield from dump_in_steps(reply))
    except RecursionError as exc:
        raise UpstreamProtocolError(_REPLY_NESTED) from exc


def whole_reply(reader: ReplyReader, writer: ReplyWriter, body: bytes) -> Any:
    """Do as :func:`scan_whole_reply`, all at once; the reply is an object."""
    found, _ = finished(scan_whole_reply(reader, writer, body))
    return found.load() if isinstance(found, Raw) else found


def _gathered(found: Iterable[Event | None]) -> Steps[list[Event]]:
    """Return the events of a large reply; neighbouring texts become one."""
    events, texts = list[Event](), list[str]()
    for at, event in enumerate(found):
        if isinstance(event, Delta) and len(event.text) <= _DELTA_CHARS:
            texts.append(event.text)
        elif event is not None and not isinstance(event, Ping):
            if texts:
                events.append(Delta("".join(texts)))
                texts.clear()
            events += _short(event) if isinstance(event, Delta) else [event]  # a writer takes a text in one step
            if len(events) > WHOLE_EVENTS:
                raise UpstreamProtocolError(_MANY_PARTS)
        if event is None or at % _STEP_EVENTS == 0:
            yield
    return events


def scan_whole_reply(reader: ReplyReader, writer: ReplyWriter, body: bytes) -> Steps[tuple[Any, Usage | None]]:
    """Translate a whole reply of status 200, and return it with its usage, or the failure that it states.

    Raises :class:`UpstreamProtocolError` for one that cannot be read.
    """
    events: list[Event]
    try:
        found = _scan_events(reader, body)
        if len(body) <= SMALL_BYTES:
            events = [event for event in found if event is not None and not isinstance(event, Ping)]
        else:
            events = yield from _gathered(found)
        if events and isinstance(events[-1], Failure):
            return events[-1], None
        if not events or not isinstance(events[-1], End):
            return stated_failure({"message": "the provider's reply has no content that can be read"}), None
        return (yield from writer.whole(events)), events[-1].usage
    except RecursionError as exc:
        raise UpstreamProtocolError(_REPLY_NESTED) from exc
