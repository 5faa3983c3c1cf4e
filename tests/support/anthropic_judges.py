"""Anthropic's own accumulators, in Python and in JavaScript, read streams of Messages."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2  # the fork of httpx that the SDK is made with
import nodejudge

_TYPE = "text/event-stream; charset=utf-8"
_PACKAGE, _VERSION = "@anthropic-ai/sdk", "1.14.0"
_ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
# The whole stream comes as one body: what is judged is the accumulator, not the connection.
_SCRIPT = """
import Anthropic from '@anthropic-ai/sdk';
let text = '';
for await (const piece of process.stdin) text += piece;
const judged = {};
for (const [name, stream] of Object.entries(JSON.parse(text))) {
  const client = new Anthropic({apiKey: 'k', maxRetries: 0, baseURL: 'http://ampmap.invalid',
    fetch: async () => new Response(stream, {headers: {'content-type': 'text/event-stream; charset=utf-8'}})});
  try {
    const asked = {model: 'm', max_tokens: 9, messages: [{role: 'user', content: 'x'}]};
    judged[name] = await client.messages.stream(asked).finalMessage();
  } catch (error) {
    judged[name] = {error: String(error.message ?? error)};
  }
}
process.stdout.write(JSON.stringify(judged));
"""


def in_python(stream: bytes) -> Any:
    """Return the message that Python's accumulator makes of a stream; raises what it raises."""
    answer = httpx2.MockTransport(lambda _: httpx2.Response(200, content=stream, headers={"content-type": _TYPE}))
    with (
        httpx2.Client(transport=answer) as http,
        anthropic.Anthropic(api_key="k", base_url="http://ampmap.invalid", http_client=http, max_retries=0) as client,
        client.messages.stream(**_ASKED) as events,
    ):
        for _ in events:
            pass
        return events.get_final_message().model_dump()


def in_javascript(streams: dict[str, bytes]) -> dict[str, Any]:
    """Return the message, or the error, that JavaScript's accumulator makes of each stream."""
    texts = {name: stream.decode() for name, stream in streams.items()}
    found: dict[str, Any] = nodejudge.run(_PACKAGE, _VERSION, _SCRIPT, texts)
    return found
