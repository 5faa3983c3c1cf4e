"""When to ask again after an error, said in the provider's way and told in the client's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit import answering, ask, post, proxying, scripted
from translated import CHAT, asking, replied, speaking

BOTH_LOOPS = True

ASK_GEMINI = post(b'{"contents":[{"parts":[{"text":"hi"}]}]}', path=b"/v1beta/models/m:streamGenerateContent?alt=sse")


def refused(delay: Any) -> dict[str, Any]:
    """Return an error of Google's that says when to ask again."""
    details = [
        {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    return {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": details}}


@pytest.mark.parametrize(
    ("content", "lines", "wanted"),
    [
        (refused("7s"), b"", b"7"),
        ([refused("6.2s")], b"", b"7"),
        (refused("7s"), b"Retry-After: 3\r\n", b"3"),
        (refused("soon"), b"", None),
        (refused({"seconds": 7}), b"", None),
        ({"error": {"message": "slow", "details": "7s"}}, b"", None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_googles_delay_becomes_a_retry_after(
    content: Any, lines: bytes, wanted: bytes | None, stream: bool
) -> None:
    async with (
        scripted(answering(replied(content, 429, lines))) as upstream,
        proxying(None, providers=(speaking("gemini", upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking(stream=stream))

    assert (429, wanted) == (reply.status, reply.one(b"retry-after"))


@pytest.mark.parametrize(
    ("lines", "delay"),
    [
        (b"Retry-After: 7\r\n", "7s"),
        (b"Retry-After: 6.2\r\n", "7s"),
        (
            b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:46 GMT\r\n",
            "9s",
        ),
        (b"Retry-After: %b\r\n" % (b"9" * 400), "1000000000s"),
        (b"", None),
    ],
)
async def test_a_retry_after_becomes_a_delay_for_googles_clients(lines: bytes, delay: str | None) -> None:
    async with (
        scripted(answering(replied({"error": {"message": "slow"}}, 429, lines))) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, ASK_GEMINI)

    error = json.loads(reply.body)["error"]
    assert (429, "RESOURCE_EXHAUSTED") == (reply.status, error["status"])
    assert delay == next((each["retryDelay"] for each in error.get("details", ())), None)


async def test_fields_that_are_replaced_do_not_come_twice() -> None:
    """A delay that cannot be read is replaced by that of the body, and so is leave to retry without money."""
    error: dict[str, Any] = {"error": {**refused("7s")["error"], "code": "insufficient_quota"}}
    lines = b"Retry-After: soon\r\nX-Should-Retry: true\r\nX-Ratelimit-Limit: 3\r\n"
    async with (
        scripted(answering(replied(error, 429, lines))) as upstream,
        proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, asking())

    assert [[b"7"], [b"false"], [b"3"]] == [
        reply.all(name) for name in (b"retry-after", b"x-should-retry", b"x-ratelimit-limit")
    ]
