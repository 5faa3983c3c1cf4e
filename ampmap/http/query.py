"""The parameters of a request-target's query, for ``access`` and ``proxy.model_list``. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query: its text as the client sent it, its decoded name, and each reading of its value."""

    raw: str = field(repr=False)
    name: str
    readings: tuple[str, ...] = field(repr=False)


def parameters(query: str | None) -> list[Parameter]:
    """Return the parameters of a query, in order; none of None or an empty one.

    The first reading of a value takes ``+`` for a blank, as HTML forms do; a second one, if it differs, for a plus.
    """
    found = []
    for raw in query.split("&") if query else ():
        name, _, content = raw.partition("=")
        as_blank, as_plus = _decoded(content.replace("+", " ")), _decoded(content)
        readings = (as_plus,) if as_blank == as_plus else (as_blank, as_plus)
        found.append(Parameter(raw, _decoded(name), readings))
    return found


def query_values(query: str | None, name: str) -> list[str]:
    """Return the first reading of each parameter called ``name``, in order."""
    return [parameter.readings[0] for parameter in parameters(query) if parameter.name == name]


def _decoded(raw: str) -> str:
    return unquote_to_bytes(raw).decode("utf-8", "replace")
