"""What one exchange does beyond routing: gates, CORS, records and failures, seen from outside on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest

from ampmap.commands.stand_in import StandIn, standing_in
from ampmap.config.file import parse
from ampmap.server import Server, running


@asynccontextmanager
async def proxied(more: str = "") -> AsyncIterator[tuple[Server, httpx.AsyncClient, StandIn, StandIn]]:
    async with standing_in("provider") as provider, standing_in("amp") as amp:
        text = f"""
listen: 127.0.0.1:0
amp-upstream-url: {amp.url}
providers: [{{name: p, base-url: '{provider.url}', protocols: [openai-chat, anthropic], api-key: theirs, models: [m]}}]
{more}"""
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                yield proxy, client, provider, amp


ORIGIN = {"origin": "https://page.example", "sec-fetch-site": "cross-site"}


async def test_a_page_of_another_origin_reaches_nothing() -> None:
    async with proxied() as (_, client, provider, amp):
        for path in ("/v1/chat/completions", "/api/internal?getUserInfo", "/api/provider/x/y"):
            assert 403 == (await client.post(path, content=b'{"model": "m"}', headers=ORIGIN)).status_code
        assert 403 == (await client.options("/v1/chat/completions", headers=ORIGIN)).status_code
        assert 421 == (await client.get("/", headers={"host": "rebound.example"})).status_code
        assert [] == provider.seen == amp.seen


async def test_a_page_of_an_allowed_origin_gets_exact_answers_that_it_may_read() -> None:
    more = "allowed-origins: ['https://page.example']\napi-keys: [k]"
    async with proxied(more) as (_, client, provider, _):
        asks = {
            **ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": "x-api-key",
            "access-control-request-private-network": "true",
        }
        preflight = await client.options("/v1/chat/completions", headers=asks)
        refused = await client.post("/v1/chat/completions", headers=ORIGIN, json={"model": "m"})
        served = await client.post("/v1/chat/completions", headers={**ORIGIN, "x-api-key": "k"}, json={"model": "m"})

        assert (204, 401, 200) == (preflight.status_code, refused.status_code, served.status_code)
        assert "x-api-key" == preflight.headers["access-control-allow-headers"]
        assert "true" == preflight.headers["access-control-allow-private-network"]
        for reply in (preflight, refused, served):
            assert ["https://page.example"] == reply.headers.get_list("access-control-allow-origin")
        assert 1 == len(provider.seen)


async def test_with_keys_everything_but_the_probes_needs_one() -> None:
    async with proxied("api-keys: [k]") as (_, client, _, _):
        for path in ("/", "/v1/models", "/_ampmap/status", "/api/user", "/nothing"):
            assert 401 == (await client.get(path)).status_code, path
            assert 401 != (await client.get(path, headers={"authorization": "Bearer k"})).status_code, path
        for page in ("health", "ready"):
            doubled = [("authorization", "a"), ("authorization", "b")]
            assert 200 == (await client.get(f"/_ampmap/{page}", headers=doubled)).status_code
        listed = await client.get("/v1beta/models")
        assert "UNAUTHENTICATED" == listed.json()["error"]["status"]


async def test_management_passes_as_it_is_and_gets_the_key_that_is_configured() -> None:
    async with proxied("amp-upstream-api-key: sgamp_ours") as (proxy, client, _, amp):
        headers = {
            "authorization": "Bearer sk-other",
            "cookie": "a=b",
            "x-forwarded-for": "1.2.3.4",
            "x-amp-mode": "rush",
        }
        reply = await client.post("/api/internal?getUserInfo&x=%2F", content=b"\x1f\x8bgz", headers=headers)

        (seen,) = amp.seen
        assert 200 == reply.status_code
        assert ("/api/internal?getUserInfo&x=%2F", b"\x1f\x8bgz") == (seen.path, seen.body)
        assert ("Bearer sgamp_ours", None, "rush", None) == tuple(
            seen.header(name) for name in ("authorization", "cookie", "x-amp-mode", "x-forwarded-for")
        )
        assert "MANAGEMENT" == proxy.service.journal.recent[-1].route_type


async def test_without_an_amp_upstream_management_says_503_and_one_that_is_down_502() -> None:
    async with proxied() as (_, _, _, amp):
        pass
    for url, status, error in (
        ('""', 503, "amp upstream proxy not available"),
        (amp.url, 502, "amp_upstream_proxy_error"),
    ):
        text = f"listen: 127.0.0.1:0\namp-upstream-url: {url}\nproviders: []"
        async with running(parse(text, "a.yaml", {}).settings, env={}) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                reply = await client.get("/api/user")
                paid = await client.post("/api/provider/x/v1/messages", json={"model": "m"})

        assert (status, error) == (reply.status_code, reply.json()["error"])
        assert (400 if status == 503 else 502) == paid.status_code
        assert "none" == proxy.service.journal.recent[-1].cost


async def test_a_record_shows_no_query_no_user_and_no_credential() -> None:
    async with proxied() as (proxy, client, _, _):
        await client.get("/x?key=sk-secret", headers={"authorization": "Bearer sk-secret"})
        host, _, port = proxy.url.removeprefix("http://").partition(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(b"GET http://u:sk-secret@localhost/y HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 400 " in await stream.receive()
            await stream.send(b"GET /..%2f?sk-secret HTTP/1.1\r\nHost: x\r\n\r\n")
            await stream.receive()

        shown = "\n".join(map(str, proxy.service.journal.recent))
        assert "sk-secret" not in shown
        assert ["/x", "http://localhost/y"] == [record.path for record in proxy.service.journal.recent][:2]


@pytest.mark.parametrize(("method", "length"), [("GET", 80), ("HEAD", 0)])
async def test_the_home_page_says_what_this_is(method: str, length: int) -> None:
    async with proxied() as (_, client, _, _):
        reply = await client.request(method, "/")

        assert (200, length > 0) == (reply.status_code, len(reply.content) > 0)
        assert int(reply.headers["content-length"]) > 50


async def test_a_body_over_the_limit_is_refused_before_it_has_arrived() -> None:
    async with proxied("limits: {model-body-bytes: 1000}") as (proxy, client, provider, _):
        told = await client.post("/v1/messages", content=b" " * 1001)

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b" " * 100

        chunked = await client.post("/v1/messages", content=pieces())
        served = await client.post("/v1/messages", json={"model": "m"})

        assert (413, 413, 200) == (told.status_code, chunked.status_code, served.status_code)
        assert "request_too_large" == told.json()["error"]["type"]
        assert "limits.model-body-bytes" in told.json()["error"]["message"]
        assert 1 == len(provider.seen)
        assert {"rejected", "ok"} == {record.outcome for record in proxy.service.journal.recent}


async def test_admin_pages_can_be_switched_off() -> None:
    async with proxied("admin: {enabled: false}") as (_, client, _, _):
        assert 404 == (await client.get("/_ampmap/status")).status_code
        assert 404 == (await client.post("/_ampmap/status")).status_code
