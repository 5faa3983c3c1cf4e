"""The interface of a wire format: one frozen :class:`WireFormat` for each, made in a module of its own.

Pure values and functions of values. ``registry`` names the formats; the other packages ask it and know no vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
"""An object as ``json`` reads and writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSource:
    """How a provider is asked for its list of models, and where a page of it holds the names.

    ``path`` is canonical, ``query`` asks for long pages, ``fields`` are header lines that the provider demands. ``key``
    is the member that holds the entries. An entry's name is its ``id``; with ``prefers_name`` its ``name`` comes first.
    ``after`` is the parameter that asks for the page behind a model. ``omits_empty`` says that an empty list is left
    out of the page. Formats with equal sources are asked only once.
    """

    path: str = "/v1/models"
    query: str = ""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    key: str = "data"
    prefers_name: bool = False
    after: str = "after"
    omits_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedList:
    """A form in which ampmap serves its own list of models, and the signs by which a client asks for this form.

    The signs, the strongest first: ``path``, which no other form has; ``segments`` under ``/api/provider/``, in lower
    case; header ``fields``, any of them; a query ``parameter``, together with ``parameter_field`` if that is given.

    ``entry`` makes the entry of one model. ``document`` joins names, their entries as JSON, and catalogue entries as
    JSON. ``catalogue_entry`` makes the entry, at a place counted from 0, of a model that this very format can reach.
    ``every_format`` lists the models of all formats, otherwise those of this format are listed.
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
class WireFormat:
    """All that ampmap knows of one wire format.

    ``paths`` maps a path (behind the provider's segment) to the canonical path for a provider, which begins with a
    version. Where the path holds the model, ``model_path`` splits it into the model's name, percent-encoded, and the
    canonical path with ``{model}`` in it; None for the path of another format. ``path_template`` shows such a path.

    ``error`` makes the body of an error from a status, a message, and a code that replaces the usual one in formats
    that have codes. ``is_error`` tells whether the first event of a reply announces a failure. ``no_model_status`` is
    the status when nobody serves the model.

    ``key_field`` is the header field that carries a key where it is not a bearer token. ``amp_segment`` is the segment
    under which Amp's CLI asks in this format. ``amp_repairs`` says that Amp's clients send requests that need repairs.

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
    source: ListSource = ListSource()
    lists: tuple[ServedList, ...] = ()
    key_field: str = ""
    amp_segment: str = ""
    amp_repairs: bool = False
