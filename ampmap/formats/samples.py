"""Pieces of sample replies, which ``commands.stand_in`` sends in the place of providers. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from .base import Json, ListSource


def event(content: object, name: str = "") -> bytes:
    """Return a server-sent event with ``content`` as JSON, and with ``name`` if it has one."""
    line = f"event: {name}\n" if name else ""
    return f"{line}data: {json.dumps(content)}\n\n".encode()


def pieces(words: list[str]) -> Iterator[str]:
    """Yield each word with the blank before it."""
    yield words[0]
    for word in words[1:]:
        yield f" {word}"


def list_page(source: ListSource, names: Sequence[str], *, more: bool) -> Json:
    """Return a page of a provider's list of models; ``more`` says that another follows."""
    if source.token:
        page: Json = {source.key: [{"name": f"models/{name}"} for name in names]}
        return page | {source.token[0]: names[-1]} if more else page
    last = names[-1] if names else None
    return {"object": "list", source.key: [{"id": name} for name in names], "has_more": more, "last_id": last}
