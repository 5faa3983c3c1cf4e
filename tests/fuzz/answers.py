"""A provider's reply in one wire format, translated for a client of another.

The first line steers: its first byte is the format of the provider, its second that of the client (``a``, ``c``, ``r``,
``g``), then come the lengths of the pieces in which the reply arrives. Held to it, for a stream and for a whole reply:

* no error but those by which a reply is cut
* events come in the order that readers promise, and what leaves does not depend on where the reply is cut
* what leaves is the client's stream: each event is JSON in UTF-8, in the form that its readers take
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, NoReturn

import hub

from ampmap.bodies.texts import dump
from ampmap.errors import UpstreamError
from ampmap.formats.base import ReplySink
from ampmap.formats.events import End, Failure, Ping
from ampmap.formats.translate import TranslatedStream, whole_events, whole_reply

from . import control, cut
from .asked import LETTERS

_NAMES = {"sent": "declared.name", "f": "functions:f"}
_TOOL = {"name": "patch", "description": "d"}
_SCHEMA = {"type": "object", "properties": {}}
_ASKED: dict[str, dict[str, Any]] = {
    "anthropic": {"max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "stop_sequences": ["x"]},
    "openai-chat": {"messages": [{"role": "user", "content": "x"}], "stream_options": {"include_usage": True}},
    "openai-responses": {
        "input": "x", "include": ["reasoning.encrypted_content"],
        "tools": [
            {"type": "custom", **_TOOL}, {"type": "tool_search", "execution": "client", "parameters": _SCHEMA},
            {"type": "local_shell"}, {"type": "apply_patch"}, {"type": "function", "name": "declared.name"},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f", "parameters": _SCHEMA}]},
        ],
    },
    "gemini": {
        "contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    },
}  # fmt: skip
_SSE = re.compile(r"(?:(?:event: [a-z_.]+\n)?data: (?P<data>\{[^\r\n]*\}|\[DONE\])|: ?[a-z]+)\n\n")
_GEMINI = re.compile(r"data: (?P<data>\{[^\r\n]*\})\r\n\r\n|\r\n")


def check(data: bytes) -> None:
    """Translate a reply as a stream, whole and in pieces, and as one value."""
    steer, reply = control(data)
    provider = LETTERS.get(steer[:1], "openai-chat")
    client = LETTERS.get(steer[1:2], "anthropic")
    in_order(provider, reply)
    whole = _streamed(provider, client, [reply])
    assert whole == _streamed(provider, client, cut(reply, steer[2:]))
    _check_stream(client, whole[0])
    try:
        found = whole_reply(_reader(provider), hub.dialect(client).reply_writer(_sink(client)), reply)
    except UpstreamError as exc:
        assert str(exc)
        return
    if isinstance(found, Failure):
        assert 400 <= found.status <= 599
        found = hub.dialect(client).failure(found)
    json.loads(b"".join(dump(found)).decode("utf-8"), parse_constant=_refuse)


def in_order(provider: str, reply: bytes) -> None:
    """Hold a stream's and a whole reply's events to their order."""
    for streams in (True, False):
        reader = _reader(provider)
        try:
            found = hub.events(reader, [reply]) if streams else list(whole_events(reader, reply))
        except UpstreamError:
            continue
        last = next((at for at, event in enumerate(found) if isinstance(event, End | Failure)), len(found))
        hub.blocks(event for event in found[: last + 1] if not isinstance(event, Ping))


def _reader(provider: str) -> Any:
    return hub.dialect(provider).reply_reader(hub.source(_NAMES))


@cache
def _sink(client: str) -> ReplySink:
    path = "/v1beta/models/{model}:generateContent" if client == "gemini" else ""
    return hub.sink(hub.read(client, _ASKED[client], path).reply_options)


def _streamed(provider: str, client: str, pieces: list[bytes]) -> tuple[bytes, str, bool]:
    """Return what leaves, the error by which it is cut, and whether it has ended."""
    stream = TranslatedStream(_reader(provider), hub.dialect(client).reply_writer(_sink(client)))
    out, error = b"", ""
    try:
        for piece in pieces:
            out += stream.feed(piece)
        out += stream.finish()
    except UpstreamError as exc:
        error = str(exc)
        assert error
    assert error or stream.ended
    return out, error, stream.ended


def _check_stream(client: str, out: bytes) -> None:
    text = out.decode("utf-8")
    form = _GEMINI if client == "gemini" else _SSE
    at = 0
    while at < len(text):
        found = form.match(text, at)
        assert found is not None, text[at : at + 80]
        if (data := found["data"]) and data != "[DONE]":
            json.loads(data, parse_constant=_refuse)
        at = found.end()


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")
