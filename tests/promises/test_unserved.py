"""A model that nobody serves: the status in each format, chosen so that agents show the message."""

from __future__ import annotations

import httpx
import pytest

from ampmap import running
from ampmap.config.file import parse

CONFIG = """
listen: 127.0.0.1:0
amp-upstream-url: ""
providers:
  - {name: p, base-url: 'http://127.0.0.1:9', protocols: [anthropic, openai-chat, openai-responses, gemini],
     api-key: k, models: [served]}
"""


@pytest.mark.parametrize("prefix", ["", "/api/provider/any"])
@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/v1/messages", 400, "invalid_request_error"),  # Claude Code hides the text of a 404
        ("/v1/messages/count_tokens", 400, "invalid_request_error"),
        ("/v1/chat/completions", 404, "invalid_request_error"),
        ("/v1/responses", 404, "invalid_request_error"),
        ("/v1beta/models/unserved:generateContent", 404, None),
    ],
)
async def test_nobody_serves_it_is_400_in_the_anthropic_format_alone(
    prefix: str, path: str, status: int, kind: str | None
) -> None:
    async with running(parse(CONFIG, "a.yaml", {}).settings, env={}) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url) as client:
            reply = await client.post(prefix + path, json={"model": "unserved"})

        record = proxy.service.journal.recent[-1]

    error = reply.json()["error"]
    assert (status, "NO_PROVIDER", kind) == (reply.status_code, record.route_type, error.get("type"))
    assert "unserved" in error["message"]


async def test_a_missing_entry_of_a_model_list_stays_404_in_the_anthropic_format() -> None:
    async with running(parse(CONFIG, "a.yaml", {}).settings, env={}) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url) as client:
            reply = await client.get("/v1/models/unserved", headers={"anthropic-version": "2023-06-01"})

    assert (404, "not_found_error") == (reply.status_code, reply.json()["error"]["type"])
