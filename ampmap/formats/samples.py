"""Pieces of the sample replies that stand-in upstreams send. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator


def event(content: object, name: str = "") -> bytes:
    """Return a server-sent event with ``content`` as JSON, and with ``name`` if it has one."""
    line = f"event: {name}\n" if name else ""
    return f"{line}data: {json.dumps(content)}\n\n".encode()


def pieces(words: list[str]) -> Iterator[str]:
    """Yield each word with the blank before it."""
    yield words[0]
    for word in words[1:]:
        yield f" {word}"
