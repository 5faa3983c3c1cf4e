"""Clients that we did not write, through the proxy, to stand-in providers: what they send, what they get back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx
import openai
import pytest
from kit import closed_origin

from ampmap.commands.scripted import Reply
from ampmap.commands.stand_in import StandIn, standing_in
from ampmap.config.file import parse
from ampmap.server import Server, running
from ampmap.settings import Settings


class Setting:
    """A running proxy between stand-ins."""

    def __init__(self, proxy: Server, anthropic: StandIn, gateway: StandIn, amp: StandIn) -> None:
        self.proxy = proxy
        self.anthropic = anthropic
        self.gateway = gateway
        self.amp = amp

    def last(self) -> dict[str, Any]:
        """The last record's fields."""
        return self.proxy.service.journal.recent[-1].fields()


def config(anthropic: StandIn, gateway: StandIn, amp: StandIn, more: str = "") -> Settings:
    """The rules of the README, with stand-ins in the place of vendors."""
    return parse(
        f"""
listen: 127.0.0.1:0
amp-upstream-url: {amp.url}
amp-upstream-api-key: sgamp_configured
amp-model-mappings:
  - {{from: claude-opus-4.5, to: claude-sonnet-4}}
  - {{from: gpt-4.5, to: gemini-2.5-pro}}
  - {{from: gemini-3-flash-preview, to: gemini-2.5-pro}}
providers:
  - {{name: anthropic, base-url: {anthropic.url}, protocols: [anthropic], auth: x-api-key, api-key: provider-key,
     models: [claude-sonnet-4]}}
  - {{name: gateway, base-url: {gateway.url}, protocols: [openai-chat, openai-responses, gemini],
     api-key: gateway-key, models: [gemini-2.5-pro]}}
{more}""",
        "ampmap.yaml",
        {},
    ).settings


@asynccontextmanager
async def setting(more: str = "") -> AsyncIterator[Setting]:
    async with (
        standing_in("anthropic") as anthropic,
        standing_in("gateway") as gateway,
        standing_in("amp") as amp,
        running(config(anthropic, gateway, amp, more), env={}) as proxy,
    ):
        yield Setting(proxy, anthropic, gateway, amp)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_anthropic_sdk_gets_a_mapped_model_under_the_name_it_asked_for(stream: bool) -> None:
    async with setting() as at:
        base = f"{at.proxy.url}/api/provider/anthropic"
        async with anthropic.AsyncAnthropic(base_url=base, api_key="sgamp_client") as client:
            asked: Any = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
            if stream:
                async with client.messages.stream(model="claude-opus-4.5", **asked) as events:
                    message = await events.get_final_message()
            else:
                message = await client.messages.create(model="claude-opus-4.5", **asked)

        assert message.model == "claude-opus-4.5"
        assert message.content[0].type == "text"
        assert message.content[0].text == "This is anthropic, answering as claude-sonnet-4."
        seen = at.anthropic.seen[0]
        assert json.loads(seen.body)["model"] == "claude-sonnet-4"
        assert seen.header("x-api-key") == "provider-key"
        assert seen.path == "/v1/messages"
        assert at.last()["mapping"] == "claude-opus-4.5 -> claude-sonnet-4"
        assert at.last()["rule"] == "ampmap.yaml:6"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_openai_sdk_gets_chat_completions_under_the_name_it_asked_for(stream: bool) -> None:
    async with setting() as at:
        base = f"{at.proxy.url}/api/provider/openai/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="sgamp_client") as client:
            asked: Any = {"model": "gpt-4.5", "messages": [{"role": "user", "content": "hi"}]}
            if stream:
                chunks = [chunk async for chunk in await client.chat.completions.create(stream=True, **asked)]
                names = {chunk.model for chunk in chunks}
                text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            else:
                whole = await client.chat.completions.create(**asked)
                names, text = {whole.model}, whole.choices[0].message.content or ""

        assert names == {"gpt-4.5"}
        assert text == "This is gateway, answering as gemini-2.5-pro."
        assert at.gateway.seen[0].header("authorization") == "Bearer gateway-key"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_openai_sdk_gets_responses_under_the_name_it_asked_for(stream: bool) -> None:
    async with setting() as at:
        async with openai.AsyncOpenAI(base_url=f"{at.proxy.url}/v1", api_key="anything") as client:
            if stream:
                async with client.responses.stream(model="gpt-4.5", input="hi") as events:
                    names = {event.response.model async for event in events if event.type == "response.created"}
            else:
                names = {(await client.responses.create(model="gpt-4.5", input="hi")).model}

        assert names == {"gpt-4.5"}
        assert json.loads(at.gateway.seen[0].body)["model"] == "gemini-2.5-pro"


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/gemini-3-flash-preview:generateContent",
        "/v1beta/models/gemini-3-flash-preview:streamGenerateContent?alt=sse",
        "/api/provider/google/v1beta1/publishers/google/models/gemini-3-flash-preview:generateContent",
    ],
)
async def test_a_gemini_model_in_the_path_is_mapped_there_and_named_back_in_the_reply(path: str) -> None:
    async with setting() as at, httpx.AsyncClient(base_url=at.proxy.url) as client:
        reply = await client.post(path, json={"contents": []}, headers={"x-goog-api-key": "placeholder"})

        assert reply.status_code == 200
        assert '"modelVersion": "gemini-3-flash-preview"' in reply.text
        assert '"modelVersion": "gemini-2.5-pro"' not in reply.text
        verb = path.rpartition(":")[2]
        assert at.gateway.seen[0].path == f"/v1beta/models/gemini-2.5-pro:{verb}"


async def test_only_the_name_changes_on_its_way_to_the_provider() -> None:
    body = b'{ "max_tokens":1e1,\t"model" : "claude-opus-4.5", "n":1.0, "big":12345678901234567890, "s":"\\/\\u00e9" }'
    async with setting() as at, httpx.AsyncClient(base_url=at.proxy.url) as client:
        reply = await client.post("/api/provider/anthropic/v1/messages", content=body)

        assert reply.status_code == 200
        assert at.anthropic.seen[0].body == body.replace(b"claude-opus-4.5", b"claude-sonnet-4")


async def test_a_model_that_nobody_serves_goes_to_amp_byte_for_byte_and_is_recorded_as_paid() -> None:
    body = b'{"model":"unknown-1", "stream":false}'
    async with setting() as at, httpx.AsyncClient(base_url=at.proxy.url) as client:
        reply = await client.post("/api/provider/xai/v1/chat/completions", content=body)

        assert reply.status_code == 200
        assert at.amp.seen[0].body == body
        assert at.amp.seen[0].path == "/api/provider/xai/v1/chat/completions"
        assert at.amp.seen[0].header("authorization") == "Bearer sgamp_configured"
        record = at.last()
        assert (record["route_type"], record["cost"]) == ("AMP_CREDITS", "amp_credits")
        assert record["level"] == "warning"
        assert 'from: "unknown-1"' in record["hint"]


async def test_refused_credits_are_an_error_before_a_byte_leaves_and_name_the_rule_to_write() -> None:
    async with setting("amp-credits: refuse") as at, httpx.AsyncClient(base_url=at.proxy.url) as client:
        reply = await client.post("/api/provider/anthropic/v1/messages", json={"model": "unknown-1"})

        assert reply.status_code == 403
        assert reply.json()["type"] == "error"
        assert reply.json()["error"]["type"] == "permission_error"
        assert 'amp-model-mappings: [{from: "unknown-1", to: "claude-sonnet-4"}]' in reply.json()["error"]["message"]
        assert at.amp.seen == []
        assert at.last()["cost"] == "none"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"not json", {}, 400),
        (b'{"model": "a", "model": "b"}', {}, 400),
        (b'{"model": 7}', {}, 400),
        (b'{"messages": []}', {}, 400),
        (b'{"model": "claude-sonnet-4"', {}, 400),
        (b'{"model": "' + b"x" * 300 + b'"}', {}, 400),
        (b'{"model": "claude-sonnet-4"}', {"content-encoding": "gzip"}, 400),
    ],
)
async def test_a_body_without_a_usable_model_is_refused_and_the_next_request_is_served(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    async with setting() as at, httpx.AsyncClient(base_url=at.proxy.url) as client:
        refused = await client.post("/v1/messages", content=body, headers=headers)
        served = await client.post("/v1/messages", json={"model": "claude-sonnet-4"})

        assert refused.status_code == status
        assert refused.json()["error"]["type"] == "invalid_request_error"
        assert served.status_code == 200
        assert len(at.anthropic.seen) == 1
        assert at.proxy.service.journal.recent[0].outcome == "rejected"


async def test_a_body_without_a_usable_model_under_a_provider_path_goes_to_amp_untouched() -> None:
    async with setting() as at, httpx.AsyncClient(base_url=at.proxy.url) as client:
        reply = await client.post("/api/provider/openai/v1/chat/completions", content=b"not json")

        assert reply.status_code == 400
        assert at.amp.seen[0].body == b"not json"
        assert at.last()["requested_model"] == ""


async def test_an_unreachable_provider_is_an_error_in_the_askers_format_and_the_proxy_goes_on() -> None:
    url = await closed_origin()
    text = f"listen: 127.0.0.1:0\nproviders: [{{name: dead, base-url: '{url}', protocols: [gemini], models: [m]}}]"
    async with running(parse(text, "dead.yaml", {}).settings, env={}) as proxy:
        async with httpx.AsyncClient(base_url=proxy.url) as client:
            reply = await client.post("/v1beta/models/m:generateContent", json={})

            assert reply.status_code == 502
            assert reply.json()["error"]["status"] == "UNAVAILABLE"
            assert f"cannot connect to {url}" in reply.json()["error"]["message"]
            assert "x-should-retry" not in reply.headers
            assert (await client.get("/_ampmap/health")).status_code == 200


async def test_the_second_provider_answers_when_the_first_is_overloaded_and_the_first_is_asked_once() -> None:
    async with standing_in("busy", default=Reply(status=429)) as busy, standing_in("calm") as calm:
        settings = parse(
            f"""
listen: 127.0.0.1:0
providers:
  - {{name: busy, base-url: {busy.url}, protocols: [openai-chat], models: [m]}}
  - {{name: calm, base-url: {calm.url}, protocols: [openai-chat], models: [m]}}
""",
            "a.yaml",
            {},
        ).settings
        async with running(settings, env={}) as proxy, httpx.AsyncClient(base_url=proxy.url) as client:
            reply = await client.post("/v1/chat/completions", json={"model": "m"})

            assert reply.status_code == 200
            assert (1, 1) == (len(busy.seen), len(calm.seen))
            record = proxy.service.journal.recent[-1]
            assert (2, "calm") == (record.attempts, record.provider)


async def test_what_is_not_served_says_so() -> None:
    async with setting() as at, httpx.AsyncClient(base_url=at.proxy.url) as client:
        home = await client.get("/")
        nothing = await client.get("/nothing")
        telemetry = await client.post("/api/other-agents/telemetry", content=b"{}")
        amps = await client.post("/api/tomorrow", content=b"{}", headers={"x-amp-client-version": "1"})

        assert (200, 1) == (home.status_code, home.text.count("\n"))
        assert (404, 404) == (nothing.status_code, telemetry.status_code)
        assert (200, "/api/tomorrow") == (amps.status_code, at.amp.seen[0].path)


async def test_the_model_list_names_models_and_mapped_names_in_each_format() -> None:
    async with setting() as at, httpx.AsyncClient(base_url=at.proxy.url) as client:
        chat = (await client.get("/v1/models")).json()
        messages = (await client.get("/v1/models", headers={"anthropic-version": "2023-06-01"})).json()
        gemini = (await client.get("/v1beta/models")).json()
        one = await client.get("/v1/models/gpt-4.5")
        none = await client.get("/v1/models/unknown")

        assert {"claude-sonnet-4", "gemini-2.5-pro", "claude-opus-4.5", "gpt-4.5"} <= {m["id"] for m in chat["data"]}
        names = [model["id"] for model in messages["data"]]
        assert ["claude-sonnet-4", "gemini-2.5-pro", "claude-opus-4.5", "gpt-4.5"] == names[:4]  # two by translation
        assert "models/gpt-4.5" in {model["name"] for model in gemini["models"]}
        assert ("gpt-4.5", 404) == (one.json()["id"], none.status_code)
        assert at.amp.seen == at.gateway.seen == []


async def test_the_pages_of_the_proxy_tell_what_it_did() -> None:
    async with setting() as at, httpx.AsyncClient(base_url=at.proxy.url) as client:
        await client.post("/api/provider/anthropic/v1/messages", json={"model": "claude-opus-4.5"})
        status = (await client.get("/_ampmap/status")).json()
        requests = (await client.get("/_ampmap/requests")).json()["requests"]
        metrics = (await client.get("/_ampmap/metrics")).text
        ready = await client.get("/_ampmap/ready")

        assert {"own": 1, "paid": 0, "avoided": 1} == status["requests"]
        assert ["anthropic", "gateway"] == [provider["name"] for provider in status["providers"]]
        assert "claude-opus-4.5 -> claude-sonnet-4" == requests[0]["mapping"]
        assert 'ampmap_requests_total{route_type="MODEL_MAPPING",provider="anthropic",' in metrics
        assert (200, 404) == (ready.status_code, (await client.get("/_ampmap/nothing")).status_code)
