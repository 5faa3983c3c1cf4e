"""What the tests of one format need beside ``hub``: its readers and writers one by one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from hub import CREATED, MAKER, MODEL, dialect, write

from ampmap.bodies.steps import finished
from ampmap.bodies.texts import dump
from ampmap.formats.base import ReplySink, ReplySource, Written
from ampmap.formats.conversation import Conversation
from ampmap.formats.events import Event, Ping
from ampmap.formats.profile import Profile, Target
from ampmap.formats.registry import FORMATS
from ampmap.formats.translate import TranslatedStream


def target_of(name: str, model: str, listed: Any = None, **profile: Any) -> Target:
    """Return a target whose profile differs from its format's in some fields."""
    return Target(model=model, profile=replace(FORMATS[name].profile, **profile), maker=MAKER, listed=listed)


def request(name: str, said: Conversation, target: Target) -> Written:
    return write(name, said, target)


def body_of(written: Written) -> Any:
    """Return the body as JSON; it has to be UTF-8 and free of constants that are no JSON."""
    text = b"".join(written.pieces).decode("utf-8")
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def sink_of(**fields: Any) -> ReplySink:
    known: dict[str, Any] = {"model": MODEL, "reply_options": None, "maker": MAKER, "sent": "real", "created": CREATED}
    return ReplySink(**{**known, "estimate": 42, **fields})


def source_of(model: str = "real", names: dict[str, str] | None = None, **profile: Any) -> ReplySource:
    return ReplySource(target=Target(model=model, profile=Profile(**profile), maker=MAKER), names=names or {})


def events_of(name: str, stream: bytes, source: ReplySource | None = None, size: int = 0) -> list[Event]:
    """Read a stream in pieces of a size, all at once by default; pings aside."""
    kept = _Kept()
    filter_ = TranslatedStream(dialect(name).reply_reader(source or source_of()), kept)
    size = size or len(stream) or 1
    for at in range(0, len(stream), size):
        filter_.feed(stream[at : at + size])
    filter_.finish()
    return kept.events


def whole_of(name: str, reply: Any, source: ReplySource | None = None) -> list[Event]:
    """Read a whole reply."""
    return list(dialect(name).reply_reader(source or source_of()).whole(reply))


def streamed(name: str, events: Iterable[Event], sink: ReplySink | None = None) -> bytes:
    """Write events as a stream."""
    writer = dialect(name).reply_writer(sink or sink_of())
    return b"".join(map(writer.write, events))


def reply_of(name: str, events: Iterable[Event], sink: ReplySink | None = None) -> Any:
    """Write events as a whole reply."""
    writer = dialect(name).reply_writer(sink or sink_of())
    return json.loads(b"".join(dump(finished(writer.whole(events)))), parse_constant=_refuse)


def data_of(stream: bytes) -> Iterator[Any]:
    """Yield the objects of an event stream."""
    for line in stream.decode("utf-8").splitlines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "), parse_constant=_refuse)


class _Kept:
    """Takes the place of a writer, and keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> bytes:
        if not isinstance(event, Ping):
            self.events.append(event)
        return b""

    def whole(self, events: Iterable[Event]) -> Any:
        raise NotImplementedError
