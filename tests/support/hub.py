"""Run the hub of translation on bodies and streams: what a request becomes, what a reply becomes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ampmap.bodies.event_stream import EventReader
from ampmap.bodies.steps import finished
from ampmap.bodies.texts import dump
from ampmap.errors import UpstreamError
from ampmap.formats import translate
from ampmap.formats.base import Asked, Dialect, ReplyReader, ReplySink, ReplySource, ReplyWriter, Written
from ampmap.formats.conversation import Conversation
from ampmap.formats.events import Begin, Citation, Delta, End, Event, Failure, Start, Stop
from ampmap.formats.profile import UNKNOWN, Profile, Target
from ampmap.formats.registry import FORMATS

MODEL = "asked-model"
SENT = "sent-model"
MAKER = "0123456789ab"
CREATED = 1_790_000_000


def dialect(format: str) -> Dialect:
    found = FORMATS[format].dialect
    assert found is not None
    return found


def read(format: str, body: Any, path: str = "", query: str = "") -> Conversation:
    """Read a request, given as JSON or as bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    path = path or min(dialect(format).paths)
    return finished(translate.read_request(dialect(format), Asked(body=data, model=MODEL, path=path, query=query)))


def target(profile: Profile = UNKNOWN, **listed: Any) -> Target:
    return Target(model=SENT, profile=profile, maker=MAKER, listed=listed or None)


def write(format: str, conversation: Conversation, to: Target | None = None) -> Written:
    return finished(dialect(format).write_request(conversation, to or target()))


def body(written: Written) -> Any:
    """Return the body of a written request; it has to be JSON in UTF-8."""
    return json.loads(b"".join(written.pieces).decode("utf-8"))


def translated(format: str, into: str, request: Any, to: Target | None = None) -> Any:
    """Return the body that a request becomes."""
    return body(write(into, read(format, request), to))


def source(names: dict[str, str] | None = None) -> ReplySource:
    return ReplySource(target=target(), names=names or {})


def sink(reply_options: Any = None, estimate: int = 0) -> ReplySink:
    return ReplySink(
        model=MODEL, reply_options=reply_options, maker=MAKER, sent=SENT, created=CREATED, estimate=estimate
    )


def stream(provider: str, client: str, pieces: Iterable[bytes], asked: Any = None) -> tuple[bytes, bool]:
    """Return the stream that a provider's becomes, and whether it was cut."""
    hub = translate.TranslatedStream(
        dialect(provider).reply_reader(source()), dialect(client).reply_writer(sink(asked))
    )
    out = b""
    try:
        for piece in pieces:
            out += hub.feed(piece)
            if hub.ended:
                return out, False
        return out + hub.finish(), False
    except UpstreamError:
        return out, True


def written(writer: ReplyWriter, events: Iterable[Event]) -> Any:
    """Return the whole reply that a writer makes of events."""
    return json.loads(b"".join(dump(finished(writer.whole(events)))))


def events(reader: ReplyReader, pieces: Iterable[bytes]) -> list[Event]:
    """Return what a reader makes of a stream; the last is None where it is cut."""
    splitter = EventReader()
    found: list[Event] = []
    for piece in pieces:
        for event in splitter.feed(piece):
            found += reader.feed(*event)
    for event in splitter.finish():
        found += reader.feed(*event)
    if not found or not isinstance(found[-1], End | Failure):
        found += reader.finish()
    return found


@dataclass
class Block:
    """A block of a reply, put together again."""

    kind: str
    text: str = ""
    id: str = ""
    name: str = ""
    whole: bool = True
    seal: Any = None
    urls: tuple[str, ...] = ()


def blocks(found: Iterable[Event]) -> list[Block]:
    """Put events together. Fails where they break their order."""
    out: list[Block] = []
    begun = open = over = False
    for event in found:
        assert not over, event
        if isinstance(event, Begin):
            assert not begun
            begun = True
        elif isinstance(event, Start):
            assert begun and not open, event
            open = True
            out.append(Block(event.kind, "", event.id, event.name))
        elif isinstance(event, Delta):
            assert open and event.text, event
            out[-1].text += event.text
        elif isinstance(event, Citation):
            assert open and out[-1].kind == "text"
            out[-1].urls += (event.url,)
        elif isinstance(event, Stop):
            assert open, event
            open = False
            out[-1].whole = event.whole
            out[-1].seal = event.seal and (event.seal.kind, event.seal.data)
        elif isinstance(event, End):
            assert begun and not open
            over = True
        elif isinstance(event, Failure):
            over = True
    return out


def end(found: Iterable[Event]) -> End:
    """Return the end of a reply."""
    *_, last = found
    assert isinstance(last, End), last
    return last
