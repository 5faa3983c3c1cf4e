"""OpenAI's own accumulators, in Python and in JavaScript, read streams of Chat Completions and of Responses."""

from __future__ import annotations

from typing import Any

import httpx2  # the fork of httpx that the SDK is made with
import nodejudge
import openai

_TYPE = "text/event-stream; charset=utf-8"
_VERSION, _BASE = "7.59.0", "http://ampmap.invalid/v1"
_CHAT = "client.chat.completions.stream({model: 'm', messages: [{role: 'user', content: 'x'}]}).finalChatCompletion()"
_RESPONSES = "client.responses.stream({model: 'm', input: 'x'}).finalResponse()"


def in_python(stream: bytes) -> Any:
    """Return the completion that Python's accumulator makes of a stream; raises what it raises."""
    answer = httpx2.MockTransport(lambda _: httpx2.Response(200, content=stream, headers={"content-type": _TYPE}))
    with (
        httpx2.Client(transport=answer) as http,
        openai.OpenAI(api_key="k", base_url=_BASE, http_client=http, max_retries=0) as client,
        client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "x"}]) as events,
    ):
        for _ in events:
            pass
        return events.get_final_completion().model_dump()


def in_javascript(streams: dict[str, bytes]) -> dict[str, Any]:
    """Return the completion, or the error, that JavaScript's accumulator makes of each stream."""
    return _in_javascript(_CHAT, streams)


def responses_in_javascript(streams: dict[str, bytes]) -> dict[str, Any]:
    """Return the response, or the error, that JavaScript's accumulator makes of each stream of Responses."""
    return _in_javascript(_RESPONSES, streams)


def _in_javascript(read: str, streams: dict[str, bytes]) -> dict[str, Any]:
    return nodejudge.accumulated("openai", _VERSION, _BASE, read, streams)
