"""OpenAI's Chat Completions API, and the older APIs beside it. Pure.

This module has the format itself, its errors, lists and samples.

* ``requests_in``: reads a client's request; ``messages_in``, ``parts_in``, ``reasoning_in``, ``tools_in``: its parts
* ``requests_out``: writes a request for a provider; ``messages_out``, ``parts_out``, ``effort_out``, ``tools_out``: its
  parts
* ``replies_in``: reads a provider's reply; ``calls_in``: its calls, ``call_in``: one call; ``blocks``: puts its blocks
  one after another
* ``replies_out``: writes a reply for a client; ``details_out``: the reasoning in it
* ``details``: reasoning in OpenRouter's form; ``usage``: token counts
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..base import Dialect, Json, ServedList, StatedUsage, WireFormat
from ..request_members import RequestMembers
from ..samples import event, pieces
from .replies_in import ChatReplyReader, is_error
from .replies_out import ChatReplyWriter, failure
from .requests_in import read_request
from .requests_out import write_request
from .usage import read_usage

# https://platform.openai.com/docs/guides/error-codes
_ERRORS: Final = {
    401: "invalid_api_key",
    403: "permission_denied",
    404: "model_not_found",
    413: "request_too_large",
}
_CREATED: Final = 1_735_689_600  # 2025-01-01: clients want a date, and the models' own are not known


def error(status: int, message: str, code: str | None) -> Json:
    """Return the body of an error; ``code`` replaces the code that ``status`` has."""
    kind = "api_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "code": code or _ERRORS.get(status)}}


def entry(name: str) -> Json:
    """Return the entry of one model in a list."""
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "ampmap"}


def _document(_: list[str], entries: list[str], __: list[str]) -> str:
    return f'{{"object": "list", "data": [{", ".join(entries)}]}}'


def _sample_reply(model: str, text: str) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}}  # fmt: skip


def _sample_events(model: str, words: list[str]) -> Iterator[bytes]:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    for piece in pieces(words):
        choice = {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
        yield event({**chunk, "choices": [choice]})
    yield event({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield b"data: [DONE]\n\n"


FORMAT: Final = WireFormat(
    paths={
        f"{prefix}/{name}": f"/v1/{name}"
        for prefix in ("/v1", "")
        for name in ("chat/completions", "completions", "embeddings")
    },
    error=error,
    is_error=is_error,
    members=RequestMembers(
        system=("messages",),
        tools=("tools", "functions"),
        built_in_tools=("web_search_options",),
        image_types=("image_url",),
    ),
    names_params=True,
    # Moonshot states it in the choice; Groq, unasked, in a member of its own.
    usage=StatedUsage(paths=("usage", "choices[].usage", "x_groq.usage"), read=read_usage),
    last_events=("[DONE]",),
    lists=(ServedList(name="openai", entry=entry, document=_document, every_format=True),),
    amp_segment="xai",
    sample_reply=_sample_reply,
    sample_events=_sample_events,
    dialect=Dialect(
        paths=frozenset({"/v1/chat/completions"}),
        read_request=read_request,
        write_request=write_request,
        reply_reader=ChatReplyReader,
        reply_writer=ChatReplyWriter,
        failure=failure,
    ),
)
