"""OpenAI's SDK, Responses."""

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
tool: Any = {"type": "function", "name": "bash", "strict": True, "parameters": schema}
items: list[Any] = [{"role": "user", "content": prompt}]
calls: list[Any] = [None]
while calls:
    output: list[Any] = []
    for event in OpenAI().responses.create(model=model, input=items, tools=[tool], store=False, stream=True):
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
        elif event.type == "response.completed":
            assert event.response.usage and event.response.usage.total_tokens
            output = event.response.output
    items += output
    calls = [item for item in output if item.type == "function_call"]
    for call in calls:
        command = json.loads(call.arguments)["command"]
        said = subprocess.run(command, shell=True, capture_output=True, text=True).stdout
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": said})
