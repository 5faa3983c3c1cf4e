"""Where a vendor is asked, and for which models: ``type``, ``base-url``, ``version-path`` and mixed ``models``."""

from __future__ import annotations

import anyio
import httpx
import pytest
from kit import GUARD_S

from ampmap.commands.stand_in import standing_in
from ampmap.config.file import defaults, parse
from ampmap.errors import ConfigError
from ampmap.routing.target import provider_path
from ampmap.server import running
from ampmap.settings import ModelEntry, Provider


def one(text: str) -> tuple[Provider, list[str]]:
    """Return the one provider of a configuration, and its warnings."""
    parsed = parse(f"providers: [{text}]", "f.yaml", {})
    return parsed.settings.providers[0], [str(warning) for warning in parsed.warnings]


def urls(provider: Provider) -> dict[str, str]:
    """Return the whole address of a request in each protocol."""
    paths = {"anthropic": "/v1/messages", "openai-chat": "/v1/chat/completions", "openai-responses": "/v1/responses"}
    return {
        e.protocol: f"{provider.origin}{provider_path(e.base_path, paths[e.protocol], '', e.version_path)}"
        for e in provider.endpoints
    }


@pytest.mark.parametrize(
    ("written", "chat", "anthropic"),
    [
        ("deepseek", "https://api.deepseek.com/v1/chat/completions", "https://api.deepseek.com/anthropic/v1/messages"),
        ("moonshot", "https://api.moonshot.ai/v1/chat/completions", "https://api.moonshot.ai/anthropic/v1/messages"),
        ("mistral", "https://api.mistral.ai/v1/chat/completions", None),
        ("groq", "https://api.groq.com/openai/v1/chat/completions", None),
        ("xai", "https://api.x.ai/v1/chat/completions", None),
        ("zai", "https://api.z.ai/api/paas/v4/chat/completions", "https://api.z.ai/api/anthropic/v1/messages"),
        *(
            (f"moonshot, base-url: 'https://api.moonshot.cn{path}'",
             "https://api.moonshot.cn/v1/chat/completions", "https://api.moonshot.cn/anthropic/v1/messages")
            for path in ("", "/v1", "/v1/", "/anthropic")
        ),
        *(
            (f"zai, base-url: 'https://open.bigmodel.cn/api{path}'",
             "https://open.bigmodel.cn/api/paas/v4/chat/completions", "https://open.bigmodel.cn/api/anthropic/v1/messages")
            for path in ("", "/paas/v4", "/anthropic")
        ),
        ("groq, base-url: 'https://api.groq.com/openai/v1'", "https://api.groq.com/openai/v1/chat/completions", None),
    ],
)  # fmt: skip
def test_whichever_base_url_a_vendor_documents_each_protocol_is_asked_at_its_own_address(
    written: str, chat: str, anthropic: str | None
) -> None:
    provider, _ = one(f"{{name: a, type: {written}, api-key: k, models: [m]}}")

    expected = {"openai-chat": chat, "anthropic": anthropic}
    assert {protocol: url for protocol, url in expected.items() if url} == urls(provider)


@pytest.mark.parametrize(
    ("written", "chat"),
    [
        ("https://models.github.ai/inference", "https://models.github.ai/inference/chat/completions"),
        ("https://api.perplexity.ai", "https://api.perplexity.ai/chat/completions"),
        ("https://gateway.example/v2", "https://gateway.example/v2/chat/completions"),
    ],
)
def test_without_a_version_path_nothing_is_put_before_the_path(written: str, chat: str) -> None:
    provider, _ = one(
        f"{{name: a, base-url: '{written}', protocols: [openai-chat], auth: none, models: [m], version-path: false}}"
    )

    assert {"openai-chat": chat} == urls(provider)


@pytest.mark.parametrize("written", ["", "version-path: true, "])
def test_a_version_path_is_the_default(written: str) -> None:
    provider, _ = one(f"{{name: a, {written}base-url: 'http://127.0.0.1', protocols: [openai-chat], models: [m]}}")

    assert {"openai-chat": "http://127.0.0.1/v1/chat/completions"} == urls(provider)


async def test_list_and_requests_of_a_provider_without_a_version_path_go_without() -> None:
    async with standing_in("p", models=("m",)) as stand_in:
        text = f"""
listen: 127.0.0.1:0
providers: [{{name: p, base-url: '{stand_in.url}', protocols: [openai-chat], version-path: false}}]
"""
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                with anyio.fail_after(GUARD_S):
                    reply = await client.post("/v1/chat/completions", json={"model": "m"})

    assert 200 == reply.status_code
    assert ["/models", "/chat/completions"] == [seen.path for seen in stand_in.seen]


def test_a_version_path_is_true_or_false() -> None:
    with pytest.raises(ConfigError, match=r"true or false"):
        one("{name: a, base-url: 'http://127.0.0.1', protocols: [openai-chat], version-path: 'no'}")


def test_openrouter_has_variants_of_every_name_and_nobody_else() -> None:
    assert one("{name: a, type: openrouter, api-key: k}")[0].variants
    assert not one("{name: a, type: deepseek, api-key: k}")[0].variants
    from_env = defaults({"OPENROUTER_API_KEY": "k", "OPENAI_API_KEY": "k"}).settings.providers
    assert {"openrouter": True, "openai": False} == {provider.name: provider.variants for provider in from_env}


MIXED = (ModelEntry(id="x:*"), ModelEntry(id="name"), ModelEntry(id="a", upstream="b"))


@pytest.mark.parametrize(
    ("models", "discover", "entries"),
    [
        ("discover", True, ()),
        ("[discover]", True, ()),
        ("[discover, 'x:*', name, {id: a, upstream: b}]", True, MIXED),
        ("['x:*', name, {id: a, upstream: b}, discover]", True, MIXED),
        ("['x:*', name, {id: a, upstream: b}]", False, MIXED),
        ("[{id: discover}]", False, (ModelEntry(id="discover"),)),
    ],
)
def test_names_and_globs_are_added_to_what_a_provider_says_itself(
    models: str, discover: bool, entries: tuple[ModelEntry, ...]
) -> None:
    provider, warnings = one(f"{{name: a, type: ollama, models: {models}}}")

    assert (discover, entries) == (provider.discover, provider.models)
    assert [] == warnings


@pytest.mark.parametrize(
    ("models", "warning"),
    [
        ("[discover, '*']", "f.yaml:1:56: '*' serves every name, so discover adds none; take '*' out, or discover"),
        ("[discover, a, discover]", "f.yaml:1:59: discover is written twice; keep one"),
        ("[Discover, a]", "f.yaml:1:46: 'Discover' is taken for a model's name; to ask the provider for its models"
         " write discover"),
        ("[discover, discovery]", "f.yaml:1:56: 'discovery' is taken for a model's name; to ask the provider for its"
         " models write discover"),
    ],
)  # fmt: skip
def test_odd_mixes_are_warned_of(models: str, warning: str) -> None:
    assert [warning] == one(f"{{name: a, type: ollama, models: {models}}}")[1]


async def test_a_mixed_list_serves_what_is_discovered_and_what_is_added() -> None:
    async with standing_in("p", models=("m",)) as stand_in:
        text = f"""
listen: 127.0.0.1:0
providers:
  - name: p
    base-url: {stand_in.url}
    protocols: [openai-chat]
    models: [discover, 'x:*', {{id: mine, upstream: theirs}}]
"""
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                served = {
                    name: (await client.post("/v1/chat/completions", json={"model": name})).status_code
                    for name in ("m", "x:1", "mine", "other")
                }
                listed = (await client.get("/v1/models")).json()["data"]

    assert {"m": 200, "x:1": 200, "mine": 200, "other": 404} == served
    assert {"m", "mine"} == {model["id"] for model in listed}
