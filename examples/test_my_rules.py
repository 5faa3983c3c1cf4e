"""Your own rules, tried before they meet a real provider: installing ampmap brings the fixtures that are used here."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from ampmap import Server
from ampmap.testing import Call, Reply, StandIn

RULES = """
listen: 127.0.0.1:0
amp-model-mappings:
  - {from: 'claude-*', to: big, when: {body-over: 1kB}}
  - {from: 'claude-*', to: [small, big]}
providers:
"""


def proxied(start: Callable[[str], Server], *providers: StandIn) -> Server:
    """Start a proxy with the rules; each provider speaks OpenAI's format only, so Claude's is translated."""
    lines = (
        f"  - {{name: {each.name}, base-url: '{each.url}', protocols: [openai-chat], models: [{each.models[0]}]}}\n"
        for each in providers
    )
    return start(RULES + "".join(lines))


def ask(proxy: Server, text: str = "hi", **more: Any) -> Any:
    """Ask as Claude Code does."""
    body = {"model": "claude-opus-4-8", "max_tokens": 99, "messages": [{"role": "user", "content": text}], **more}
    request = urllib.request.Request(f"{proxy.url}/v1/messages", json.dumps(body).encode(), {"x-api-key": "any"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def test_long_conversations_go_to_the_big_model(
    ampmap_proxy: Callable[[str], Server], ampmap_provider: Callable[..., StandIn]
) -> None:
    big, small = ampmap_provider("a", models=("big",)), ampmap_provider("b", models=("small",))
    proxy = proxied(ampmap_proxy, big, small)

    ask(proxy), ask(proxy, "long " * 500)

    assert [seen.json["model"] for seen in small.seen] == ["small"]
    assert [seen.json["model"] for seen in big.seen] == ["big"]


def test_the_next_target_answers_where_the_first_is_busy(
    ampmap_proxy: Callable[[str], Server], ampmap_provider: Callable[..., StandIn]
) -> None:
    big, small = ampmap_provider("a", models=("big",)), ampmap_provider("b", models=("small",))
    small.reply(Reply(status=429, headers={"Retry-After": "1"}, text="slow down"))
    big.reply(Reply(text="Here.", input_tokens=12, output_tokens=3))

    answer = ask(proxied(ampmap_proxy, big, small))

    assert answer["content"] == [{"type": "text", "text": "Here."}]
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (12, 3)


def test_a_tool_is_called_under_the_name_that_was_offered(
    ampmap_proxy: Callable[[str], Server], ampmap_provider: Callable[..., StandIn]
) -> None:
    small = ampmap_provider("b", models=("small",))
    small.reply(Reply(text="", calls=[Call("read", {"path": "a.txt"})]))
    tool = {"name": "read", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}

    (block,) = ask(proxied(ampmap_proxy, small), tools=[tool])["content"]

    assert (block["type"], block["name"], block["input"]) == ("tool_use", "read", {"path": "a.txt"})
