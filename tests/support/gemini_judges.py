"""Google's own parser in JavaScript reads streams of Gemini."""

from __future__ import annotations

from typing import Any

import nodejudge

_VERSION = "2.32.0"
# It parses what each read gives it, so the stream comes in pieces of a few bytes.
_SCRIPT = """
import {GoogleGenAI} from '@google/genai';
let text = '';
for await (const piece of process.stdin) text += piece;
const judged = {};
for (const [name, stream] of Object.entries(JSON.parse(text))) {
  const bytes = new TextEncoder().encode(stream);
  const body = new ReadableStream({start(out) {
    for (let at = 0; at < bytes.length; at += 7) out.enqueue(bytes.slice(at, at + 7));
    out.close();
  }});
  globalThis.fetch = async () => new Response(body, {headers: {'content-type': 'text/event-stream'}});
  const ai = new GoogleGenAI({apiKey: 'k', httpOptions: {baseUrl: 'http://ampmap.invalid'}});
  const chunks = [];
  try {
    for await (const chunk of await ai.models.generateContentStream({model: 'm', contents: 'x'})) {
      const {candidates, usageMetadata, modelVersion} = chunk;
      chunks.push({candidates, usageMetadata, modelVersion});
    }
    judged[name] = {chunks};
  } catch (error) {
    judged[name] = {chunks, error: String(error.message ?? error)};
  }
}
process.stdout.write(JSON.stringify(judged));
"""


def in_javascript(streams: dict[str, bytes]) -> dict[str, Any]:
    """Return the ``chunks`` that JavaScript's parser gives of each stream, and the ``error`` if it raises one."""
    texts = {name: stream.decode() for name, stream in streams.items()}
    found: dict[str, Any] = nodejudge.run("@google/genai", _VERSION, _SCRIPT, texts)
    return found
