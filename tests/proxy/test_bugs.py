"""A bug in ampmap while it serves a request: the client is told 500 in its own format, and the record says so."""

from __future__ import annotations

import json
import logging

import pytest
from kit import answering, connected, proxying, record_of, scripted
from translated import asking, completion, replied, speaking

from ampmap.formats.base import Asked, Dialect
from ampmap.proxy import translation

BOTH_LOOPS = True


@pytest.mark.parametrize("error", [ValueError, RuntimeError, KeyError])
async def test_a_bug_is_told_as_an_error_of_ours(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A reader's own ValueError once was the client's 400; others cut the connection without a word."""

    def read_request(dialect: Dialect, asked: Asked) -> None:
        raise error("secret words")

    monkeypatch.setattr(translation, "read_request", read_request)
    async with (
        scripted(answering(replied(completion()))) as upstream,
        proxying(None, providers=(speaking("openai-chat", upstream.origin),), rules=()) as proxy,
        connected(proxy) as client,
    ):
        await client.send(asking())
        reply = await client.read_final()
        assert b"" == await client.wait_gone()
        record = await record_of(proxy)

    assert 500 == reply.status == record.status
    told = json.loads(reply.body)
    assert ("error", "api_error") == (told["type"], told["error"]["type"])
    assert "a bug in ampmap" in told["error"]["message"] and b"secret" not in reply.body
    assert f"a bug in ampmap: {error.__name__}" == record.detail
    assert [error] == [each.exc_info[0] for each in caplog.records if each.exc_info and each.levelno == logging.ERROR]
