"""Google's Gemini API, on its own paths and on those of Vertex AI. Pure.

* ``listing``: paths, lists of models, errors and sample replies
* ``requests_in``: reads a client's request; ``contents``: its contents; ``fields``: the two spellings of members
* ``requests_out``: writes a request for a provider
* ``schemas``: the two dialects of tools' schemas; ``models``: what Gemini's models take
* ``replies_in``: reads a provider's reply; ``replies_out``: writes a reply for a client, ``grounding``: its sources;
  ``usage``: token counts
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from ..base import Dialect, Json, StatedUsage, Written
from ..profile import Target
from . import replies_in, replies_out, requests_in, requests_out
from .listing import LISTED
from .usage import read_usage

_COUNT: Final = "/v1beta/models/{model}:countTokens"


def _count_reply(count: int) -> Json:
    return {"totalTokens": count}


def _write_count(written: Written, target: Target) -> Written:
    first, *rest = written.pieces
    name = json.dumps(f"models/{target.model.removeprefix('models/')}").encode()
    # The model stands in the path, too; without this one, the counter answers 400.
    pieces = [b'{"generateContentRequest":{"model":%b,' % name, bytes(first)[1:], *rest, b"}"]
    return Written(path=_COUNT, pieces=pieces, names=written.names, lost=written.lost)


FORMAT: Final = replace(
    LISTED,
    is_error=replies_in.is_error,
    usage=StatedUsage(paths=("usageMetadata", "usage_metadata"), read=read_usage),
    dialect=Dialect(
        paths=frozenset({requests_out.WHOLE, requests_out.STREAM}),
        read_request=requests_in.read_request,
        write_request=requests_out.write_request,
        reply_reader=replies_in.ReplyReader,
        reply_writer=replies_out.Replies,
        failure=replies_out.failure,
        stream_type="text/event-stream",
        count_path=_COUNT,
        count_key="totalTokens",
        count_reply=_count_reply,
        write_count=_write_count,
    ),
)
