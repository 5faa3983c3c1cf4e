"""The interface of a wire format: one frozen :class:`WireFormat` for each, made in a module of its own.

Pure values and functions of values. ``registry`` names the formats; the other packages ask it and know no vendor. What
a format knows of translation is its :class:`Dialect`: a reader and a writer of requests, a reader and a writer of
replies. The hub, ``translate``, puts the reader of one format and the writer of another together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..bodies.edits import Span
from ..bodies.json_bounds import refuse_more
from ..bodies.steps import Steps as Steps
from .conversation import Conversation
from .events import Event, Failure, Usage
from .profile import UNKNOWN, Profile, Target
from .request_members import PLAIN, RequestMembers

Json = dict[str, Any]
"""An object as ``json`` reads and writes it."""

Lost = dict[str, None]
"""Names of what a translation loses, in the order in which it finds them; a set that keeps its order."""


MOST_ELEMENTS: Final = 2048
"""The longest list within a message of a request, and the most tools: to read or write one takes a step or two."""

RESULT_PARTS: Final = 256
"""The most parts in one result of a tool."""


def object_of(value: Any) -> Json:
    """Return a value that is an object, and an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def elements(value: Any) -> list[Any]:
    """Return a value that is a list, and an empty one for any other value, whatever a client or a provider sent."""
    return value if isinstance(value, list) else []


def bounded(value: Any, path: str, most: int = MOST_ELEMENTS) -> list[Any]:
    """Return what :func:`elements` does; raises :class:`BadRequest`, with the ``path``, beyond ``most``."""
    found = elements(value)
    refuse_more(len(found), path, most)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSource:
    """How to ask a provider for its list of models, and where a page of that list holds the names.

    * ``path``, ``query``: the canonical path, and a query that asks for long pages.
    * ``fields``: header lines that the provider demands.
    * ``key``: the member of a page that holds the entries. The name of an entry is its ``id``, or its ``name`` if it
      has no ``id``; ``prefers_name`` turns that round.
    * ``after``: the query parameter that asks for the next page by the last name on this one, if the page's
      ``has_more`` is true.
    * ``token``: the member of a page whose value asks for the next one, and the query parameter for that value.
    * ``omits_empty``: a page without models has no ``key``.

    A provider is asked only once for formats with equal sources.
    """

    path: str = "/v1/models"
    query: str = ""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    key: str = "data"
    prefers_name: bool = False
    after: str = "after"
    token: tuple[str, str] | None = None
    omits_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedList:
    """A form in which ampmap serves its own list of models, and the signs by which a client asks for this form.

    The signs, the strongest first: ``path``, which no other form has; ``segments`` under ``/api/provider/``, in lower
    case; one of the header ``fields``; the query ``parameter``, together with the header ``parameter_field`` if the
    form has one.

    ``entry`` takes a model's name and makes its entry. ``catalogue_entry`` takes a name and its place, from 0, and
    makes a second entry for a model that this format can reach. ``document`` takes the names, their entries and the
    catalogue's entries, both as JSON texts, and makes the list. With ``every_format`` the models of all formats are
    listed, otherwise those of this format.
    """

    name: str
    entry: Callable[[str], Json]
    document: Callable[[list[str], list[str], list[str]], str]
    path: str = ""
    segments: tuple[str, ...] = ()
    fields: tuple[bytes, ...] = ()
    parameter: str = ""
    parameter_field: bytes = b""
    catalogue_entry: Callable[[str, int], Json] | None = None
    every_format: bool = False


def has_error(event: Json) -> bool:
    """Tell whether an event's object has an ``error``, which announces a failure in most formats."""
    return bool(event.get("error"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request to be translated: its decoded ``body``, which must not change, and what its path says.

    ``model`` is the name that the client asked for. ``path`` is the canonical path, with ``{model}`` where the path
    holds the model.
    """

    body: bytes | bytearray
    model: str
    path: str
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A request in another format: its canonical ``path`` and ``query``, and its body in ``pieces``.

    ``names`` has the names of tools that had to be changed: the name that is sent -> the client's. ``lost`` names the
    fields of the neutral conversation for which the format or the provider has no place; the caller adds
    :attr:`Conversation.lost`.
    """

    path: str
    query: str = ""
    pieces: list[bytes | memoryview]
    names: Mapping[str, str]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySource:
    """What a reader of replies knows of the request: its target, and :attr:`Written.names`."""

    target: Target
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySink:
    """What a writer of replies knows of the request.

    ``model`` is the name that the client asked for, ``reply_options`` is :attr:`Conversation.reply_options`. ``maker``
    and ``sent`` (the provider's tag and its name of the model) go into carriers. ``created`` is the time of the reply's
    head in seconds since 1970. ``estimate`` is about how many tokens the request has, because some formats want a
    number before the provider states one.
    """

    model: str
    reply_options: Any
    maker: str
    sent: str
    created: int
    estimate: int = 0


class ReplyReader(Protocol):
    """Reads one reply of a provider, as a stream or whole, and gives events in the order that ``events`` describes."""

    def feed(self, name: bytes, data: bytes) -> Iterable[Event]:
        """Take one event of an event stream; ``name`` is ``:`` for a comment. An unreadable event gives nothing.

        The caller drops events behind ``End`` and ``Failure``. Raises :class:`UpstreamProtocolError` if the reader
        would have to keep too much of the reply.
        """
        ...

    def finish(self) -> Iterable[Event]:
        """Give the last events at the stream's end. Raises :class:`UpstreamBroken` if its last event is missing."""
        ...

    def whole(self, reply: Any) -> Iterable[Event]:
        """Take a reply that is one JSON value."""
        ...


class ReplyWriter(Protocol):
    """Writes one reply for a client, as a stream or whole."""

    def write(self, event: Event) -> bytes:
        """Return the bytes of an event in a stream; some events have none."""
        ...

    def whole(self, events: Iterable[Event]) -> Steps[Any]:
        """Return a whole reply, which ``bodies.texts.dump`` writes. The events end with ``End``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a format is translated.

    ``paths`` are the canonical paths whose requests can be translated. ``read_request`` and ``write_request`` raise
    :class:`~ampmap.errors.Untranslatable` if a translation would make the answer wrong, and
    :class:`~ampmap.errors.BadRequest` if the format itself forbids the request. ``failure`` makes an error's body.
    ``stream_type`` is the content type of a stream.

    ``count_path`` is the canonical path of the format's own counter, empty if it has none. ``count_key`` is the member
    of its reply with the number, ``count_reply`` makes such a reply, ``write_count`` makes the request from a written
    one.
    """

    paths: frozenset[str]
    read_request: Callable[[Asked], Steps[Conversation]]
    write_request: Callable[[Conversation, Target], Steps[Written]]
    reply_reader: Callable[[ReplySource], ReplyReader]
    reply_writer: Callable[[ReplySink], ReplyWriter]
    failure: Callable[[Failure], Json]
    stream_type: str = "text/event-stream; charset=utf-8"
    count_path: str = ""
    count_reply: Callable[[int], Json] | None = None
    count_key: str = ""
    write_count: Callable[[Written, Target], Written] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedUsage:
    """Where the replies of a format, and the events of its streams, state tokens, and how to read them.

    ``paths`` lead to the objects with the counts, in the notation of ``bodies.stated``. ``read`` takes the usage that
    is known so far and one more object, and returns the usage that is known then. In a
    :class:`~ampmap.formats.events.Usage` cached tokens are among the input and reasoning is among the output, in
    whatever way the format counts. A value that is no count stays unknown.
    """

    paths: tuple[str, ...]
    read: Callable[[Usage | None, Any], Usage | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What has to change in requests of Amp's clients, and in the replies to them, when a user's own account serves.

    ``lines`` returns header lines without those that the account refuses. ``scan`` finds the spans of a body that it
    refuses, which lie in the body's ``member``. ``scan_tools`` finds the tools that the request lists, as folded name
    -> name, because some models spell names in another case.
    """

    lines: Callable[[Iterable[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]]
    member: str
    scan: Callable[[bytes | bytearray], Steps[list[Span]]]
    scan_tools: Callable[[bytes | bytearray], Steps[dict[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFormat:
    """All that ampmap knows of one wire format.

    ``paths`` maps a client's path (behind the provider's segment) to the canonical path for a provider, which begins
    with a version. If the path holds the model, ``model_path`` splits it into the model's name, percent-encoded, and
    the canonical path with ``{model}`` in it; None for the path of another format. ``path_template`` shows such a path.

    ``error`` takes a status, a message and a code, and makes the body of an error; the code replaces the usual one in
    formats that have codes. ``is_error`` tells whether the first event of a reply announces a failure.
    ``no_model_status`` is the status when nobody serves the model. ``names_params`` says that an error names the member
    at fault as ``param``.

    ``key_field`` is the header field that carries a key if that is no bearer token. ``request_id_field`` is the header
    field in which replies name their request. ``amp_segment`` is the segment under which Amp's CLI asks in this format.
    ``repairs`` are those that requests of Amp's clients need, None if they need none.

    ``profile`` is that of a provider of which only the format is known. ``dialect`` is None for a format that is not
    translated.

    ``members`` tells where a request's body has the facts that rules look at. ``reply_names`` are the paths of the
    model's name in a reply and its events, in the notation of ``bodies.json_scan.Paths``. ``usage`` is None if replies
    state no tokens. ``last_events`` are the events after which clients read no more of a stream, in the notation of
    ``bodies.last_event``; empty if they read to its end.

    ``sample_reply`` (model, text) and ``sample_events`` (model, words) make the replies of stand-in upstreams.
    """

    paths: Mapping[str, str]
    error: Callable[[int, str, str | None], Json]
    sample_reply: Callable[[str, str], Json]
    sample_events: Callable[[str, list[str]], Iterator[bytes]]
    model_path: Callable[[str], tuple[str, str] | None] | None = None
    path_template: str = ""
    is_error: Callable[[Json], bool] = has_error
    no_model_status: int = 404
    members: RequestMembers = PLAIN
    names_params: bool = False
    reply_names: tuple[str, ...] = ("model",)
    usage: StatedUsage | None = None
    last_events: tuple[str, ...] = ()
    source: ListSource = ListSource()
    lists: tuple[ServedList, ...] = ()
    key_field: str = ""
    request_id_field: bytes = b"x-request-id"
    amp_segment: str = ""
    repairs: Repairs | None = None
    profile: Profile = UNKNOWN
    dialect: Dialect | None = None
