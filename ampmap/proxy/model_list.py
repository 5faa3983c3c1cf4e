"""Make the list of models that a client may request, in the client's own format.

Pure. :func:`~ampmap.routing.decide.decide` is called for every name that providers and rules mention, so the list has
no model that a request would not get. Globs and patterns are not names, so they are not listed.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import NamedTuple

from ..formats.base import ServedList
from ..formats.registry import DEFAULT, FORMATS
from ..http.headers import Headers, value
from ..http.query import query_values
from ..routing.decide import Ask, decide
from ..routing.snapshot import Availability, Snapshot
from ..routing.target import ModelList
from ..settings import Protocol


class ListForm(NamedTuple):
    """The form of a list: one of those of a wire format."""

    protocol: Protocol
    served: ServedList


def form_of(asked: ModelList, query: str | None, headers: Headers) -> ListForm:
    """Return the form of list that the client expects, by path, header or query; otherwise the default format's."""
    forms = [ListForm(protocol, served) for protocol, known in FORMATS.items() for served in known.lists]
    segment = (asked.segment or "").lower()
    for form in forms:
        if asked.protocol == form.protocol:
            return form
    for form in forms:
        if segment in form.served.segments:
            return form
    for form in forms:
        if any(value(headers, name) is not None for name in form.served.fields):
            return form
    for form in forms:
        parameter, field = form.served.parameter, form.served.parameter_field
        if parameter and query_values(query, parameter) and (not field or value(headers, field) is not None):
            return form
    return ListForm(DEFAULT, FORMATS[DEFAULT].lists[0])


def is_served(
    name: str,
    snapshot: Snapshot,
    availability: Availability,
    protocols: tuple[Protocol, ...],
    segment: str | None = None,
) -> bool:
    """Tell whether some provider serves a model in one of ``protocols``.

    ``segment`` is the request's under ``/api/provider/``, to which a rule may be limited.
    """
    return any(decide(Ask(protocol, name, segment), snapshot, availability).candidates for protocol in protocols)


def scan_list(
    asked: ModelList, form: ListForm, snapshot: Snapshot, availability: Availability
) -> Generator[None, None, bytes | None]:
    """Make the list, or one model's entry; None if that model is not served. Yields after each name."""
    protocol, served = form
    protocols = tuple(FORMATS) if served.every_format else (protocol,)
    if asked.id is not None:
        wanted = asked.id.removeprefix("models/")
        found = is_served(wanted, snapshot, availability, protocols, asked.segment)
        return json.dumps(served.entry(wanted)).encode() if found else None
    names: list[str] = []
    entries: list[str] = []
    seen: set[str] = set()
    for name in _mentioned(snapshot, availability):
        yield
        if name not in seen and is_served(name, snapshot, availability, protocols, asked.segment):
            names.append(name)
            entries.append(json.dumps(served.entry(name)))
        seen.add(name)
    catalogue: list[str] = []
    if (catalogue_entry := served.catalogue_entry) is not None:
        for name in names:
            yield
            if is_served(name, snapshot, availability, (protocol,), asked.segment):
                catalogue.append(json.dumps(catalogue_entry(name, len(catalogue))))
    return served.document(names, entries, catalogue).encode()


def _mentioned(snapshot: Snapshot, availability: Availability) -> Iterator[str]:
    yield from snapshot.names(availability)
    for rules in snapshot.exact.values():
        yield from (rule.source.strip() for rule in rules)
