"""OpenAI's SDK, Chat Completions."""

import json
import subprocess
import sys
from typing import Any

from openai import OpenAI

model, prompt = sys.argv[1:]
schema = {
    "type": "object",
    "properties": {"command": {"type": "string"}},
    "required": ["command"],
    "additionalProperties": False,
}
tool: Any = {"type": "function", "function": {"name": "bash", "strict": True, "parameters": schema}}
messages: list[Any] = [{"role": "user", "content": prompt}]
calls: list[Any] = [None]
while calls:
    with OpenAI().chat.completions.stream(
        model=model, messages=messages, tools=[tool], stream_options={"include_usage": True}
    ) as stream:
        for event in stream:
            if event.type == "content.delta":
                print(event.delta, end="", flush=True)
        completion = stream.get_final_completion()
    assert completion.usage and completion.usage.total_tokens
    calls = completion.choices[0].message.tool_calls or []
    made = [{"id": call.id, "type": "function", "function": {
        "name": call.function.name, "arguments": call.function.arguments}} for call in calls]  # fmt: skip
    messages.append({"role": "assistant", "tool_calls": made})
    for call in calls:
        command = json.loads(call.function.arguments)["command"]
        said = subprocess.run(command, shell=True, capture_output=True, text=True).stdout
        messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
