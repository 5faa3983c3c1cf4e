"""Lists of models over HTTP, as the clients that ask for them do."""

from __future__ import annotations

import httpx
import pytest

from ampmap.config.file import parse
from ampmap.server import running

TEXT = """
listen: 127.0.0.1:0
providers:
  - {name: p, base-url: 'http://127.0.0.1:9', protocols: [openai-responses, gemini], models: [vendor/name]}
"""


@pytest.mark.parametrize(
    ("path", "fields", "key", "name"),
    [
        ("/v1/models/vendor%2Fname", {}, "id", "vendor/name"),
        ("/v1/models/vendor/name", {}, "id", "vendor/name"),
        ("/api/provider/openai/v1/models/vendor%2fname", {}, "id", "vendor/name"),
        ("/v1/models/vendor%2Fname", {"x-goog-api-key": "k"}, "name", "models/vendor/name"),
        ("/v1beta/models/vendor%2Fname", {}, "name", "models/vendor/name"),
    ],
)
async def test_a_slash_in_an_id_may_be_encoded(path: str, fields: dict[str, str], key: str, name: str) -> None:
    async with running(parse(TEXT, "a.yaml", {}).settings, env={}) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url) as client:
            reply = await client.get(path, headers=fields)

    assert (200, name) == (reply.status_code, reply.json()[key])


@pytest.mark.parametrize(
    ("fields", "query", "array", "keys"),
    [
        ({}, "", "data", {"object", "data"}),
        ({"x-goog-api-key": "k"}, "", "models", {"models"}),
        ({"x-goog-api-client": "google-genai-sdk/3.6.1 gl-python/3.13"}, "?pageSize=50", "models", {"models"}),
        ({}, "?client_version=0.171.0", "models", {"object", "data", "models"}),
        ({"chatgpt-account-id": "a"}, "?client_version=0.171.0", "data", {"object", "data", "models"}),
    ],
    ids=["openai", "google-genai", "google-genai without a key", "codex", "codex with a ChatGPT login"],
)
async def test_each_client_gets_the_list_that_it_reads(
    fields: dict[str, str], query: str, array: str, keys: set[str]
) -> None:
    async with running(parse(TEXT, "a.yaml", {}).settings, env={}) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url) as client:
            reply = (await client.get(f"/v1/models{query}", headers=fields)).json()

    assert keys == set(reply)
    assert 1 == len(reply[array])
