"""Print the last decision of the ampmap that runs here: a line for Claude Code's statusLine, tmux or a prompt.

Copy it to ~/.config/ampmap/. It asks the proxy of ANTHROPIC_BASE_URL, or http://127.0.0.1:8267, and with AMPMAP_API_KEY
where that proxy has api-keys. Without an answer within a second it prints an empty line.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request


def last_decision() -> str:
    url = os.environ.get("ANTHROPIC_BASE_URL", "http://127.0.0.1:8267")
    request = urllib.request.Request(f"{url}/_ampmap/requests")
    if key := os.environ.get("AMPMAP_API_KEY"):
        request.add_header("Authorization", f"Bearer {key}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # past HTTP_PROXY: it is on this machine
    try:
        with direct.open(request, timeout=1) as reply:
            records = json.load(reply)["requests"]
    except (OSError, ValueError):
        return ""
    for record in reversed(records):
        if asked := record.get("requested_model"):
            served = record.get("resolved_model")
            names = f"{asked} → {served}" if served and served != asked else asked
            source = record["source"] if record["source"] != "error" else "nobody"
            return f"{names}  {source}  {record['status']}"
    return "ampmap: no request yet"


if __name__ == "__main__":
    sys.stdout.buffer.write(f"{last_decision()}\n".encode())  # UTF-8, wherever the agent's locale points
