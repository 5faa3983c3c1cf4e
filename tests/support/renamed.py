"""Replies and what a parser makes of them with a name in each model's place; see ``tests/bodies/test_rename.py``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from ampmap.bodies.rename import Renamer

NAME = 'Asked "for"-é(high)'
VALUE = json.dumps(NAME).encode()
PATHS = [("model",), ("modelVersion",), ("message", "model"), ("response", "model"), ("response", "modelVersion")]
TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").iterdir())
REPLIES = {path.name: path.read_bytes() for path in TRANSCRIPTS}
RENAMED = {
    "anthropic.json": 1,
    "anthropic.sse": 1,
    "anthropic-error.sse": 0,
    "anthropic-tools.json": 1,
    "anthropic-tools.sse": 1,
    "anthropic-tools-crlf.sse": 1,
    "codeassist.sse": 3,
    "gemini.json": 1,
    "gemini.sse": 3,
    "gemini-array.json": 3,
    "multiline.sse": 5,
    "openai-chat.json": 1,
    "openai-chat.sse": 5,
    "openai-chat-crlf.sse": 2,
    "openai-chat-cr.sse": 2,
    "openai-responses.json": 1,
    "openai-responses.sse": 4,
    "untouched.sse": 0,
}

Span = tuple[int, int]
DECODER = json.JSONDecoder()

# --- the oracle -------------------------------------------------------------------------------------------------------


def strings(text: str, at: int, path: tuple[str | int, ...]) -> Iterator[tuple[Any, int, int]]:
    """Walk one JSON value: (path, start, end) of each string, then (None, 0, end) at its end."""
    at = blank(text, at)
    if text[at] == '"':
        end = DECODER.raw_decode(text, at)[1]
        yield path, at, end
        yield None, 0, end
    elif text[at] in "{[":
        index = 0
        while text[at] not in "}]":
            at = blank(text, at + 1)
            key: str | int = index
            if text[at] in "}]":
                break
            if path is not None and text[at] == '"' and (colon := colon_after(text, at)):
                key, at = colon
            for inner, start, end in strings(text, at, (*path, key)):
                if inner is None:
                    at = blank(text, end)
                else:
                    yield inner, start, end
            index += 1
        yield None, 0, at + 1
    else:
        scalar = re.compile(r"[-+.\w]+").match(text, at)
        if scalar is None:
            raise ValueError(text[at:])
        yield None, 0, scalar.end()


def blank(text: str, at: int) -> int:
    match = re.compile(r"[ \t\r\n]*").match(text, at)
    assert match
    return match.end()


def colon_after(text: str, at: int) -> tuple[str, int] | None:
    key, end = DECODER.raw_decode(text, at)
    end = blank(text, end)
    return (key, end + 1) if text[end] == ":" else None


def names(text: str) -> list[Span]:
    """Where the names stand in one JSON text, or in several that follow each other; none from what is not JSON."""
    spans: list[Span] = []
    at = blank(text, 0)
    while at < len(text):
        try:
            root, end = DECODER.raw_decode(text, at)
        except ValueError:
            return spans
        depth = 1 if isinstance(root, list) else 0
        found = [(s, e) for path, s, e in strings(text, at, ()) if path is not None and path[depth:] in PATHS]
        result = text[at:end]
        for start, stop in reversed(found):
            result = result[: start - at] + VALUE.decode() + result[stop - at :]
        assert with_names(root) == json.loads(result)
        spans += found
        at = blank(text, end)
    return spans


def with_names(root: Any) -> Any:
    """The parsed root, with the paths set."""
    for item in root if isinstance(root, list) else [root]:
        for *parents, last in PATHS:
            holder = item
            for key in parents:
                holder = holder.get(key) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and isinstance(holder.get(last), str):
                holder[last] = NAME
    return root


def spans_of(reply: bytes, suffix: str) -> list[Span]:
    """Where the names stand in a reply; bytes are taken for Latin-1, so that each is one character."""
    text = reply.decode("latin-1")
    if suffix == ".json":
        return names(text)
    spans: list[Span] = []
    event: list[tuple[int, str]] = []  # the characters of the event's data, with their places
    at = 3 if reply.startswith(b"\xef\xbb\xbf") else 0
    for line, _ in re.findall(r"([^\r\n]*)(\r\n|\r|\n|$)", text[at:]):
        if line.startswith("data:"):
            event += [(at + i, char) for i, char in enumerate(line) if i >= 5] + [(-1, "\n")]
        at += len(line) + len(_)
        if not line:
            spans += [(event[s][0], event[e - 1][0] + 1) for s, e in names("".join(char for _, char in event))]
            event = []
    return spans


def renamed(reply: bytes, spans: list[Span], upto: int) -> bytes:
    """What must have left when ``upto`` bytes have come: a name is there as soon as the old one begins."""
    result, copied = b"", 0
    for start, end in spans:
        if start < upto:
            result += reply[copied:start] + VALUE
            copied = end
    return result + reply[copied:upto]


def fed(renamer: Renamer, pieces: list[bytes]) -> bytes:
    return b"".join([renamer.feed(piece) for piece in pieces])


def cut(reply: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(places), len(reply)]
    return [reply[a:b] for a, b in pairwise(bounds)]
