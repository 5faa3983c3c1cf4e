"""How long a provider asks to wait, where only the body of its 429 says so, as Google's does: that is its cooldown."""

from __future__ import annotations

import json

import pytest
from kit import OK, Peer, answering, ask, post, provider, proxying, scripted
from translated import asking, replied, speaking

from ampmap.formats.failures import asked_wait_s

BOTH_LOOPS = True

INFO = "type.googleapis.com/google.rpc.RetryInfo"


def exhausted(delay: str) -> dict[str, object]:
    details = [{"@type": "x"}, {"@type": INFO, "retryDelay": delay}]
    return {"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": details}}


@pytest.mark.parametrize(("delay", "seconds"), [("34.07s", 34.07), ("0s", 0.0), ("-1s", None), ("9", None)])
def test_the_delay_is_read_in_seconds(delay: str, seconds: float | None) -> None:
    assert seconds == asked_wait_s(json.dumps(exhausted(delay)).encode())
    assert seconds == asked_wait_s(json.dumps([exhausted(delay)]).encode())


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"[" * 100_000, b'{"error": {"details": 1}}'])
def test_other_bodies_ask_for_nothing(body: bytes) -> None:
    assert asked_wait_s(body) is None


@pytest.mark.parametrize(
    ("delay", "lines", "still"), [("0s", b"", False), ("30s", b"", True), ("0s", b"Retry-After: 9\r\n", True)]
)
async def test_the_body_says_how_long_the_others_come_first(delay: str, lines: bytes, still: bool) -> None:
    """A 429 that does not say means five seconds; a header is heard first."""
    limited = replied(exhausted(delay), 429, lines)
    async with scripted(answering(limited, OK)) as one, scripted(answering(OK, OK)) as other:
        both = (provider(one.origin, name="one", models=("m",)), provider(other.origin, name="other", models=("m",)))
        async with proxying(None, providers=both, rules=()) as proxy:
            first = await ask(proxy, post(b'{"model": "m"}'))
            limits = proxy.service.cooldowns.limited()

    assert 200 == first.status
    assert ({("one", "m")} if still else set()) == limits


async def test_the_error_passes_whole_though_it_was_looked_at() -> None:
    limited = replied(exhausted("30s"), 429)
    async with scripted(answering(limited)) as upstream:
        async with proxying(None, providers=(provider(upstream.origin, models=("m",)),), rules=()) as proxy:
            reply = await ask(proxy, post(b'{"model": "m"}'))

    assert (429, exhausted("30s")) == (reply.status, json.loads(reply.body))


async def test_nobody_waits_for_a_body_that_is_still_to_come() -> None:
    async def late(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(b"HTTP/1.1 429 No\r\nContent-Length: 9\r\n\r\n")
        await peer.wait_gone()

    async with scripted(late) as one, scripted(answering(OK)) as other:
        both = (provider(one.origin, name="one", models=("m",)), provider(other.origin, name="other", models=("m",)))
        async with proxying(None, providers=both, rules=()) as proxy:
            reply = await ask(proxy, post(b'{"model": "m"}'))

    assert 200 == reply.status


async def test_a_translated_error_is_heard_however_late_its_body_comes() -> None:
    head, _, body = replied(exhausted("0s"), 429).partition(b"\r\n\r\n")

    async def in_two(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(head + b"\r\n\r\n")
        await peer.send(body[:20])
        await peer.send(body[20:])

    async with scripted(in_two) as upstream:
        async with proxying(None, providers=(speaking("gemini", upstream.origin),), rules=()) as proxy:
            reply = await ask(proxy, asking())
            limits = proxy.service.cooldowns.limited()

    assert (429, b"0", frozenset()) == (reply.status, reply.one(b"retry-after"), limits)
