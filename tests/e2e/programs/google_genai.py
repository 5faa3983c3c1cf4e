"""Google's SDK, which calls the function by itself."""

import subprocess
import sys

from google import genai
from google.genai import types


def bash(command: str) -> str:
    """Run a command."""
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout


model, prompt = sys.argv[1:]
with genai.Client() as client:
    chat = client.chats.create(model=model, config=types.GenerateContentConfig(tools=[bash]))
    for chunk in chat.send_message_stream(prompt):
        print(chunk.text or "", end="", flush=True)
