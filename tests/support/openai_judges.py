"""OpenAI's own accumulators, in Python and in JavaScript, read streams of Chat Completions and of Responses."""

from __future__ import annotations

from typing import Any

import httpx2  # the fork of httpx that the SDK is made with
import nodejudge
import openai

_TYPE = "text/event-stream; charset=utf-8"
_VERSION = "7.59.0"
_CHAT = "client.chat.completions.stream({model: 'm', messages: [{role: 'user', content: 'x'}]}).finalChatCompletion()"
_RESPONSES = "client.responses.stream({model: 'm', input: 'x'}).finalResponse()"
# The whole stream comes as one body: what is judged is the accumulator, not the connection.
_SCRIPT = """
import OpenAI from 'openai';
let text = '';
for await (const piece of process.stdin) text += piece;
const judged = {};
for (const [name, stream] of Object.entries(JSON.parse(text))) {
  const client = new OpenAI({apiKey: 'k', maxRetries: 0, baseURL: 'http://ampmap.invalid/v1',
    fetch: async () => new Response(stream, {headers: {'content-type': 'text/event-stream; charset=utf-8'}})});
  try {
    judged[name] = await READ;
  } catch (error) {
    judged[name] = {error: String(error.message ?? error)};
  }
}
process.stdout.write(JSON.stringify(judged));
"""


def in_python(stream: bytes) -> Any:
    """Return the completion that Python's accumulator makes of a stream; raises what it raises."""
    answer = httpx2.MockTransport(lambda _: httpx2.Response(200, content=stream, headers={"content-type": _TYPE}))
    with (
        httpx2.Client(transport=answer) as http,
        openai.OpenAI(api_key="k", base_url="http://ampmap.invalid/v1", http_client=http, max_retries=0) as client,
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
    texts = {name: stream.decode() for name, stream in streams.items()}
    found: dict[str, Any] = nodejudge.run("openai", _VERSION, _SCRIPT.replace("READ", read), texts)
    return found
