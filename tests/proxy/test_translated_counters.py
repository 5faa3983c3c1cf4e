"""How many tokens a request has, asked of providers that speak another format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit import answering, ask, proxying, record_of, scripted
from translated import CHAT, CLAUDE, RESPONSES, asking, replied, speaking

BOTH_LOOPS = True

MESSAGES, INPUT = b"/v1/messages/count_tokens", b"/v1/responses/input_tokens"


async def test_the_providers_own_counter_is_asked() -> None:
    async with scripted(answering(replied({"input_tokens": 42}))) as upstream:
        async with proxying(None, providers=(speaking(CLAUDE, upstream.origin),)) as proxy:
            reply = await ask(proxy, asking(path=INPUT, input="hi"))

    assert (200, 42, None) == (
        reply.status, json.loads(reply.body)["input_tokens"], reply.one(b"ampmap-estimated")
    )  # fmt: skip
    assert b"POST /v1/messages/count_tokens HTTP/1.1" == upstream.seen[0].start
    assert not {"max_tokens", "stream"} & json.loads(upstream.seen[0].body).keys()


@pytest.mark.parametrize(
    ("status", "content"),
    [(404, {}), (500, {}), (429, {}), (200, {"input_tokens": 0}), (200, {}), (200, b"x"), (200, b"x" * 100_000)],
)
async def test_where_the_provider_does_not_count_it_is_estimated(status: int, content: Any) -> None:
    async with scripted(answering(replied(content, status))) as upstream:
        async with proxying(None, providers=(speaking(RESPONSES, upstream.origin),)) as proxy:
            reply = await ask(proxy, asking(path=MESSAGES))

    assert (200, b"true") == (reply.status, reply.one(b"ampmap-estimated"))
    assert 0 < json.loads(reply.body)["input_tokens"] < 20


async def test_a_format_without_a_counter_is_not_asked() -> None:
    async with scripted(answering()) as upstream:
        async with proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy:
            few = await ask(proxy, asking(path=MESSAGES))
            many = await ask(proxy, asking(path=MESSAGES, system="x" * 3000))
            record = await record_of(proxy)

    assert (200, b"true", 0) == (few.status, few.one(b"ampmap-estimated"), upstream.count)
    assert 1000 <= json.loads(many.body)["input_tokens"] - json.loads(few.body)["input_tokens"] <= 1010
    assert ("anthropic -> openai-chat", "ok", 0) == (record.translated, record.outcome, record.attempts)
