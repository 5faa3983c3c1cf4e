"""Anthropic's own accumulators, in Python and in JavaScript, read streams of Messages."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2  # the fork of httpx that the SDK is made with
import nodejudge

_TYPE = "text/event-stream; charset=utf-8"
_PACKAGE, _VERSION, _BASE = "@anthropic-ai/sdk", "1.14.0", "http://ampmap.invalid"
_ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
_READ = "client.messages.stream({model: 'm', max_tokens: 9, messages: [{role: 'user', content: 'x'}]}).finalMessage()"


def in_python(stream: bytes) -> Any:
    """Return the message that Python's accumulator makes of a stream; raises what it raises."""
    answer = httpx2.MockTransport(lambda _: httpx2.Response(200, content=stream, headers={"content-type": _TYPE}))
    with (
        httpx2.Client(transport=answer) as http,
        anthropic.Anthropic(api_key="k", base_url=_BASE, http_client=http, max_retries=0) as client,
        client.messages.stream(**_ASKED) as events,
    ):
        for _ in events:
            pass
        return events.get_final_message().model_dump()


def in_javascript(streams: dict[str, bytes]) -> dict[str, Any]:
    """Return the message, or the error, that JavaScript's accumulator makes of each stream."""
    return nodejudge.accumulated(_PACKAGE, _VERSION, _BASE, _READ, streams)
