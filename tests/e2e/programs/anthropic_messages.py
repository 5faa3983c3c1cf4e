"""Anthropic's SDK, Messages."""

import subprocess
import sys
from typing import Any

from anthropic import Anthropic

model, prompt = sys.argv[1:]
schema = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
tool: Any = {"name": "bash", "input_schema": schema}
messages: list[Any] = [{"role": "user", "content": prompt}]
calls: list[Any] = [None]
while calls:
    with Anthropic().messages.stream(model=model, max_tokens=1024, messages=messages, tools=[tool]) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)
        message = stream.get_final_message()
    assert message.usage.output_tokens
    calls = [block for block in message.content if block.type == "tool_use"]
    results = []
    for call in calls:
        said = subprocess.run(call.input["command"], shell=True, capture_output=True, text=True).stdout
        results.append({"type": "tool_result", "tool_use_id": call.id, "content": said})
    messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
