"""A provider that quotes the key that it was sent: nobody else sees it, neither the client nor a reader of the log."""

from __future__ import annotations

import pytest
from kit import answering, ask, proxying, record_of, scripted
from translated import CHAT, asking, events, piece, replied, speaking, streamed

KEY, TOKEN = "provider-key", "gateway-token-1234"
SAID = f"Incorrect API key provided: Bearer {KEY} with {TOKEN}"
ERROR = {"error": {"message": SAID, "type": "invalid_request_error", "code": "invalid_api_key"}}
TOLD = "Incorrect API key provided: Bearer [secret] with [secret]"


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("status", [401, 400, 200])
async def test_a_quoted_key_is_not_passed_on(status: int, streams: bool) -> None:
    reply = streamed(events([ERROR], done=False)) if streams and status == 200 else replied(ERROR, status)
    async with scripted(answering(reply)) as upstream:
        provider = speaking(CHAT, upstream.origin, headers=(("X-Gateway-Token", f"Bearer {TOKEN}"),))
        async with proxying(None, providers=(provider,)) as proxy:
            found = await ask(proxy, asking(stream=streams))
            record = await record_of(proxy)

    assert TOLD.encode() in found.body
    assert TOLD in record.detail


async def test_a_key_that_is_quoted_within_a_stream_is_not_passed_on() -> None:
    async with scripted(answering(streamed(events([piece("Hel"), ERROR], done=False)))) as upstream:
        provider = speaking(CHAT, upstream.origin, headers=(("X-Gateway-Token", TOKEN),))
        async with proxying(None, providers=(provider,)) as proxy:
            found = await ask(proxy, asking(stream=True))
            record = await record_of(proxy)

    assert TOLD.encode() in found.body
    assert TOLD in record.detail
