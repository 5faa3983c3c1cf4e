"""OpenAI's Responses API, and the list of models that Codex asks for. Pure.

* ``listing``: lists of models, and sample replies
* ``requests_in``: reads a client's request; ``items``: its items; ``tool_table``: its tools under flat names
* ``requests_out``: writes a request for a provider
* ``replies_in``: reads a provider's reply; ``usage``: token counts
* ``replies_out``: writes a reply for a client; ``call_items``: the calls in it
"""

from __future__ import annotations

from typing import Final

from ..base import Dialect, Json, StatedUsage, WireFormat
from ..openai_chat import error
from ..request_members import RequestMembers
from . import replies_in, replies_out, requests_in, requests_out
from .listing import LISTS, is_error, sample_events, sample_reply
from .usage import read_usage


def _count_reply(count: int) -> Json:
    return {"object": "response.input_tokens", "input_tokens": count}


FORMAT: Final = WireFormat(
    paths={
        "/v1/responses": "/v1/responses",
        "/responses": "/v1/responses",
        "/v1/responses/compact": "/v1/responses/compact",
        requests_out.COUNT_PATH: requests_out.COUNT_PATH,
    },
    error=error,
    names_params=True,
    is_error=is_error,
    members=RequestMembers(
        messages="input",
        messages_bring_tools=True,  # Codex's additional_tools, and tools that were found
        system=("instructions", "input"),
        image_types=("input_image", "computer_screenshot"),
    ),
    reply_names=("model", "response.model"),
    usage=StatedUsage(paths=("usage", "response.usage"), read=read_usage),
    last_events=("response.completed", "response.incomplete", "response.failed"),
    lists=LISTS,
    amp_segment="openai",
    sample_reply=sample_reply,
    sample_events=sample_events,
    dialect=Dialect(
        paths=frozenset({"/v1/responses"}),
        read_request=requests_in.read_request,
        write_request=requests_out.write_request,
        reply_reader=replies_in.ReplyReader,
        reply_writer=replies_out.Replies,
        failure=replies_out.failure,
        count_path=requests_out.COUNT_PATH,
        count_key="input_tokens",
        count_reply=_count_reply,
        write_count=requests_out.write_count,
    ),
)
