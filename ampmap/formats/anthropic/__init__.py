"""Anthropic's Messages API. Pure.

* ``requests_in``: reads a client's request; ``blocks_in``: the blocks of its messages; ``tools_in``: its tools
* ``requests_out``: writes a request for a provider; ``blocks_out``: its blocks; ``tools_out``: its tools;
  ``thinking_out``: how the model is to think
* ``models``: what the Claude models take
* ``repairs``: takes out of requests of Amp's clients what a user's own account refuses
* ``listed_tools``: the names of tools as a request spells them
* ``replies_in``: reads a provider's reply; ``replies_out``: writes a reply for a client; both as a stream or whole
* ``errors``: bodies of errors; ``usage``: token counts
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from ...bodies.json_scan import Paths
from ..base import Dialect, Json, ListSource, Repairs, ServedList, StatedUsage, WireFormat
from ..profile import Profile
from ..request_members import RequestMembers
from ..samples import event, pieces
from . import errors
from .listed_tools import scan_advertised
from .repairs import scan_repairs, without_long_context
from .replies_in import ReplyReader
from .replies_out import ReplyWriter
from .requests_in import COUNT_PATH, read_request
from .requests_out import PATH, write_count, write_request
from .usage import read_usage

_VERSION_FIELD: Final = b"anthropic-version"

TOOL: Final = "tool_use"
"""The type of a block that calls a tool."""
REPLY_TOOLS: Final = Paths(f"{block}.{key}" for block in ("content[]", "content_block") for key in ("type", "name"))
"""Where a reply and its events have the type and the name of a block."""

_CREATED_AT: Final = "2025-01-01T00:00:00Z"  # clients want a date, and the models' own are not known


def _entry(name: str) -> Json:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}


def _document(names: list[str], entries: list[str], _: list[str]) -> str:
    first, last = (json.dumps(names[at] if names else None) for at in (0, -1))
    return f'{{"data": [{", ".join(entries)}], "has_more": false, "first_id": {first}, "last_id": {last}}}'


def _sample_reply(model: str, text: str) -> Json:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": 9}}  # fmt: skip


def _sample_events(model: str, words: list[str]) -> Iterator[bytes]:
    usage = {"input_tokens": 9, "output_tokens": 1}
    message: Json
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": usage}  # fmt: skip
    yield event({"type": "message_start", "message": message}, "message_start")
    block = {"type": "text", "text": ""}
    yield event({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
    for piece in pieces(words):
        delta = {"type": "text_delta", "text": piece}
        yield event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
    yield event({"type": "content_block_stop", "index": 0}, "content_block_stop")
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event({"type": "message_delta", "delta": ended, "usage": {"output_tokens": len(words)}}, "message_delta")
    yield event({"type": "message_stop"}, "message_stop")


DIALECT: Final = Dialect(
    paths=frozenset({PATH}),
    read_request=read_request,
    write_request=write_request,
    reply_reader=ReplyReader,
    reply_writer=ReplyWriter,
    failure=errors.failure,
    count_path=COUNT_PATH,
    count_reply=lambda count: {"input_tokens": count},
    count_key="input_tokens",
    write_count=write_count,
)

FORMAT: Final = WireFormat(
    paths={path: path for path in (PATH, COUNT_PATH)},
    error=errors.error,
    is_error=errors.is_error,
    members=RequestMembers(system=("system",), image_types=("image",)),
    reply_names=("model", "message.model"),
    usage=StatedUsage(paths=("usage", "message.usage"), read=read_usage),
    last_events=("message_stop",),
    no_model_status=400,  # Claude Code shows the text of a 400, and its own text in the place of a 404's
    source=ListSource(query="limit=1000", fields=((_VERSION_FIELD, b"2023-06-01"),), after="after_id"),
    lists=(
        ServedList(
            name="anthropic", segments=("anthropic",), fields=(_VERSION_FIELD,), entry=_entry, document=_document
        ),
    ),
    key_field="x-api-key",
    request_id_field=b"request-id",
    amp_segment="anthropic",
    repairs=Repairs(lines=without_long_context, member="messages", scan=scan_repairs, scan_tools=scan_advertised),
    sample_reply=_sample_reply,
    sample_events=_sample_events,
    profile=Profile(cache_control=True),  # providers that do not know the marks ignore them
    dialect=DIALECT,
)
