"""A proxy in somebody else's tests: installing ampmap brings the fixture ``ampmap_proxy``."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable

from ampmap import Server

CONFIG = """
listen: 127.0.0.1:0
providers:
  - {name: local, base-url: 'http://127.0.0.1:11434', protocols: [openai-chat], models: [qwen3-coder]}
amp-model-mappings:
  - {from: gpt-5, to: qwen3-coder}
"""


def test_the_mapped_name_is_offered(ampmap_proxy: Callable[[str], Server]) -> None:
    proxy = ampmap_proxy(CONFIG)

    with urllib.request.urlopen(f"{proxy.url}/v1/models") as reply:
        names = [model["id"] for model in json.load(reply)["data"]]

    assert names == ["qwen3-coder", "gpt-5"]
