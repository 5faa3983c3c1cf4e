"""LiteLLM's client, in the wire format that the prefix of MODEL names: anthropic/, openai/ or gemini/."""

import json
import os
import subprocess
import sys
from typing import Any

import litellm

VARIABLES = {"anthropic": "ANTHROPIC_BASE_URL", "openai": "OPENAI_BASE_URL", "gemini": "GOOGLE_GEMINI_BASE_URL"}

model, prompt = sys.argv[1:]
schema = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
tool: Any = {"type": "function", "function": {"name": "bash", "parameters": schema}}
messages: list[Any] = [{"role": "user", "content": prompt}]
calls: list[Any] = [None]
while calls:
    chunks: list[Any] = []
    for chunk in litellm.completion(
        model=model, messages=messages, tools=[tool], stream=True, api_base=os.environ[VARIABLES[model.split("/")[0]]],
        stream_options={"include_usage": True},
    ):  # fmt: skip
        chunks.append(chunk)
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    whole: Any = litellm.stream_chunk_builder(chunks, messages=messages)
    messages.append(whole.choices[0].message)
    calls = whole.choices[0].message.tool_calls or []
    for call in calls:
        command = json.loads(call.function.arguments)["command"]
        said = subprocess.run(command, shell=True, capture_output=True, text=True).stdout
        messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
