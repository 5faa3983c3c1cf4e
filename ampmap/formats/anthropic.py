"""Anthropic's Messages API. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from .base import Json, ListSource, ServedList, WireFormat
from .samples import event, pieces

BETA_FIELD: Final = b"anthropic-beta"
_VERSION_FIELD: Final = b"anthropic-version"

# https://docs.anthropic.com/en/api/errors
_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_CREATED_AT: Final = "2025-01-01T00:00:00Z"  # clients want a date; the models' own are not known


def _error(status: int, message: str, _: str | None) -> Json:
    kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


def _is_error(event: Json) -> bool:
    return bool(event.get("error")) or event.get("type") == "error"


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


FORMAT: Final = WireFormat(
    paths={path: path for path in ("/v1/messages", "/v1/messages/count_tokens")},
    error=_error,
    is_error=_is_error,
    no_model_status=400,  # Claude Code replaces the text of each 404 by its own, and shows that of a 400
    source=ListSource(query="limit=1000", fields=((_VERSION_FIELD, b"2023-06-01"),), after="after_id"),
    lists=(
        ServedList(
            name="anthropic", segments=("anthropic",), fields=(_VERSION_FIELD,), entry=_entry, document=_document
        ),
    ),
    key_field="x-api-key",
    amp_segment="anthropic",
    amp_repairs=True,
    sample_reply=_sample_reply,
    sample_events=_sample_events,
)
