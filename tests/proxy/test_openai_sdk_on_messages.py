"""OpenAI's SDK asks a provider of Messages through the proxy, over real sockets: a turn with a tool, and a cut."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from corpus.messages_events import begin, call, text, thinking
from corpus.messages_streams import message
from kit import Peer, proxying, scripted
from translated import CLAUDE, speaking, streamed

BOTH_LOOPS = True

TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


async def test_a_turn_with_a_tool_and_the_reasoning_that_goes_round() -> None:
    replies = [
        message(
            thinking(0, "hm", signature="SIG"), call(1, "toolu_1", "weather", '{"city": "Oslo"}'), reason="tool_use"
        ),
        message(text(0, "It rains.")),
    ]
    seen: list[Any] = []

    async def script(peer: Peer) -> None:
        for reply in replies:
            seen.append(json.loads((await peer.read_message()).body))
            await peer.send(streamed([reply]))

    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    async with (
        scripted(script) as upstream,
        proxying(None, providers=(speaking(CLAUDE, upstream.origin),)) as proxy,
        openai.AsyncOpenAI(api_key="k", base_url=f"{proxy.url}/v1", max_retries=0) as client,
    ):
        for _ in replies:
            async with client.chat.completions.stream(model="m", messages=messages, tools=TOOLS) as events:
                said = (await events.get_final_completion()).choices[0].message.model_dump(exclude_none=True)
            messages.append(said)
            messages += [
                {"role": "tool", "tool_call_id": each["id"], "content": "rain"} for each in said.get("tool_calls", ())
            ]

    assert "It rains." == said["content"]
    assert [{"role": "user", "content": [{"type": "text", "text": "Weather?"}]}] == seen[0]["messages"]
    assert seen[0]["messages"] == seen[1]["messages"][:1]
    assert [
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "SIG"},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}]},
    ] == seen[1]["messages"][1:]  # fmt: skip


async def test_a_reply_that_is_cut_is_no_answer() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(streamed([begin(), text(0, "A")], ends=False))

    async with (
        scripted(script) as upstream,
        proxying(None, providers=(speaking(CLAUDE, upstream.origin),)) as proxy,
        openai.AsyncOpenAI(api_key="k", base_url=f"{proxy.url}/v1", max_retries=0) as client,
    ):
        with pytest.raises((openai.APIConnectionError, httpx2.HTTPError)):
            async with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "x"}]) as events:
                await events.get_final_completion()
