"""Errors name the value, the setting and the remedy: deadlines, limits, providers, keys, paths."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest
from kit import (
    OK,
    Peer,
    answering,
    ask,
    closed_origin,
    connected,
    get,
    post,
    provider,
    proxying,
    record_of,
    scripted,
    times,
)

from ampmap.formats.model_page import Refused
from ampmap.http.dialer import Dialer
from ampmap.http.pool import Pool
from ampmap.proxy.provider_lists import list_models
from ampmap.settings import Limits, Timeouts

pytestmark = pytest.mark.usefixtures("nothing_left")

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = b'{"model": "m", "x": "%b"}' % (b"x" * 20_000_000)


async def silent(peer: Peer) -> None:
    await peer.read_message()
    await peer.wait_gone()


async def half_a_reply(peer: Peer) -> None:
    await peer.read_message()
    await peer.send(CHUNKED + b"5\r\nhello\r\n")
    await peer.wait_gone()


async def deaf(peer: Peer) -> None:
    await anyio.sleep_forever()


async def pour(peer: Peer) -> None:
    await peer.read_message()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    while True:
        await peer.send(bytes(65_536))


# What is sent, the upstream's part, and what the record says of it; {s} is 0.1 s and the setting's name.
DEADLINES: dict[str, tuple[bytes, Callable[[Peer], Awaitable[None]], str]] = {
    "head_s": (b"GET / HTTP/1.1\r\nHost: a\r\n", silent, "timed out: the request headers did not arrive within {s}"),
    "body_idle_s": (post()[:-3], silent, "timed out: nothing of the request body arrived for {s}"),
    "response_head_s": (
        post(), silent, "provider local: timed out: the response headers did not arrive within {s}",
    ),
    "stream_idle_s": (post(), half_a_reply, "provider local: timed out: nothing of the reply arrived for {s}"),
    "write_stall_s": (post(LARGE), deaf, "provider local: timed out: the upstream took nothing of the request for {s}"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEADLINES)
async def test_a_deadline_that_is_over_is_told_with_its_seconds_and_its_setting(name: str) -> None:
    request, script, expected = DEADLINES[name]
    key = name.replace("_", "-")
    async with (
        scripted(script, receive_bytes=65_536) as upstream,
        proxying(upstream.origin, timeouts=times(**{name: 0.1})) as proxy,
        connected(proxy) as client,
    ):
        with anyio.CancelScope() as sending:

            async def read() -> None:
                reply = await client.read_final()
                if reply.status >= 400:
                    assert expected.format(s=f"0.1 s (timeouts.{key})") in reply.body.decode()
                sending.cancel()

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await client.send(request)
        record = await record_of(proxy)

    assert ("timeout", expected.format(s=f"0.1 s (timeouts.{key})")) == (record.outcome, record.detail)


async def test_a_client_that_takes_nothing_is_told_of_in_the_record() -> None:
    async with (
        scripted(pour) as upstream,
        proxying(upstream.origin, timeouts=times(write_stall_s=0.1)) as proxy,
        connected(proxy, receive_bytes=65_536) as client,
    ):
        await client.send(post())
        record = await record_of(proxy)

    expected = "timed out: the client took nothing of the reply for 0.1 s (timeouts.write-stall-s)"
    assert ("client_gone", expected) == (record.outcome, record.detail)


async def test_every_deadline_that_ends_a_request_is_tried_here() -> None:
    elsewhere = {"connect_s", "keepalive_s", "drain_s"}  # the first with real TLS; the others end no request
    assert {field.name for field in dataclasses.fields(Timeouts)} == DEADLINES.keys() | elsewhere


LIMITS = Limits(head_bytes=2000, header_count=10)


@pytest.mark.parametrize(
    ("fields", "broken"),
    [
        ([b"x: y"] * 10, "head has more than 10 lines (limits.header-count)"),
        ([b"x: " + b"y" * 2000], "head has more than 2000 bytes (limits.head-bytes)"),
        ([b"x: " + b"y" * 5000], "head has more than 2000 bytes (limits.head-bytes)"),
    ],
)
async def test_the_limit_that_a_head_breaks_is_named_with_its_value_and_setting(
    fields: list[bytes], broken: str
) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%b\r\nok" % b"".join(line + b"\r\n" for line in fields)
    async with scripted(answering(reply)) as upstream, proxying(upstream.origin, limits=LIMITS) as proxy:
        asked = await ask(proxy, get(b"/", *fields))
        answered = await ask(proxy, post())

    assert (431, f"the request's {broken}") == (asked.status, message_of(asked.body))
    assert (502, f"provider local: the upstream's response {broken}") == (answered.status, message_of(answered.body))


def message_of(body: bytes) -> str:
    message = json.loads(body)["error"]["message"]
    assert isinstance(message, str)
    return message


# Providers.


async def test_a_502_names_the_provider() -> None:
    async with proxying(await closed_origin()) as proxy:
        reply = await ask(proxy, post())

    assert 502 == reply.status
    assert message_of(reply.body).startswith("provider local: cannot connect to ")


async def test_after_failover_the_record_names_each_provider_that_failed() -> None:
    busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"
    async with scripted(answering(busy)) as upstream:
        gone, away = await closed_origin(), await closed_origin()
        providers = (provider(gone, name="gone"), provider(upstream.origin, name="busy"), provider(away, name="away"))
        async with proxying(upstream.origin, providers=providers) as proxy:
            reply = await ask(proxy, post())
            record = await record_of(proxy)

    assert (502, "away") == (reply.status, record.provider)
    assert message_of(reply.body).startswith("provider away: cannot connect to ")
    told = ("provider gone: cannot connect to ", "busy answered 503", "provider away: cannot connect to ")
    assert all(part.startswith(begin) for part, begin in zip(record.detail.split("; "), told, strict=True))


@pytest.mark.parametrize("status", [400, 404, 418, 429, 500, 503, 529])
async def test_an_error_of_the_provider_passes_untouched_and_is_recorded_as_upstream_error(status: int) -> None:
    body = b'{ "error" : 1.0 }'
    raw = b"HTTP/1.1 %d No\r\nContent-Length: %d\r\nX-Why: that\r\n\r\n%b" % (status, len(body), body)
    async with scripted(answering(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post())
        record = await record_of(proxy)

    assert (status, body, b"that") == (reply.status, reply.body, reply.one(b"x-why"))
    assert ("upstream_error", logging.WARNING, "") == (record.outcome, record.level, record.detail)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_the_provider_refuses_is_named_in_the_record_and_warned_of(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    raw = b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status
    async with scripted(answering(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post())
        record = await record_of(proxy)

    assert (status, b"no") == (reply.status, reply.body)
    assert ("upstream_error", "the key of provider local is refused") == (record.outcome, record.detail)
    warned = [entry.getMessage() for entry in caplog.records if entry.name == "ampmap.upstream"]
    assert [f"the key of provider local is refused ({status}): correct its api-key"] == warned


async def test_a_key_that_is_refused_is_named_where_another_provider_takes_over() -> None:
    raw = b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno"
    async with scripted(answering(raw)) as first, scripted(answering(OK)) as second:
        providers = (provider(first.origin, name="first"), provider(second.origin, name="second"))
        async with proxying(first.origin, providers=providers) as proxy:
            reply = await ask(proxy, post())
            record = await record_of(proxy)

    assert (200, "ok") == (reply.status, record.outcome)
    assert "the key of provider first is refused; first answered 401" == record.detail


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("key", ["provider-key", ""])
async def test_a_list_that_is_refused_for_its_key_has_the_key_for_a_remedy(status: int, key: str) -> None:
    raw = b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status
    async with scripted(answering(raw, raw)) as upstream:
        pool = Pool(Dialer({}, Limits(), 5), Limits(), times())
        asked = dataclasses.replace(provider(upstream.origin), api_key=key)
        with pytest.raises(Refused) as caught:
            await list_models(pool, asked)
        pool.close()

    remedy = "the key of provider local is refused: correct its api-key" if key else "it asks for a key: add 'api-key:'"
    assert str(caught.value).endswith(f"it answers {status} at /v1/models; {remedy}")


async def test_an_amp_upstream_that_cannot_be_reached_says_why_in_amps_form() -> None:
    async with proxying(await closed_origin()) as proxy:
        reply = await ask(proxy, get(b"/api/user"))

    told = json.loads(reply.body)
    assert (502, "amp_upstream_proxy_error") == (reply.status, told["error"])
    assert re.fullmatch(
        "Failed to reach Amp upstream: cannot connect to http://.*: Connection refused", told["message"]
    )


# Paths.


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/v1/messages", "/_ampmap/nothing", "/api/nothing", "/v1/messages"])
async def test_an_unknown_path_is_never_an_unknown_model(path: str) -> None:
    async with proxying(await closed_origin()) as proxy, httpx.AsyncClient(base_url=proxy.url) as client:
        reply = await client.get(path)

    assert (404, "unknown_path") == (reply.status_code, reply.json()["error"]["code"])


async def test_the_404_of_an_unknown_path_names_paths_that_exist() -> None:
    async with (
        scripted(answering(*[OK] * 20)) as upstream,
        proxying(upstream.origin) as proxy,
        httpx.AsyncClient(base_url=proxy.url) as client,
    ):
        message = (await client.get("/v1/nothing")).json()["error"]["message"]
        posts, gets, _ = message.partition(". There are POST ")[2].split(";", 2)
        paths = [("POST", path) for path in re.findall(r"/[^\s,]+", posts)]
        paths += [("GET", path) for path in [*re.findall(r"/[^\s,]+", gets), "/_ampmap/status"]]
        named = {}
        for method, path in paths:
            asked = path.format(model="m", method="generateContent")
            named[path] = await client.request(method, asked, json={"model": "m"})

    assert "GET /v1/nothing" in message and "/_ampmap/status" in message
    assert len(paths) == 12
    assert [] == [path for path, reply in named.items() if "unknown_path" in reply.text]


@pytest.mark.parametrize(
    ("path", "too_much"),
    [
        ("/v1/v1/messages", "/v1"),
        ("/v1/v1/anything", "/v1"),
        ("/v1/messages/v1/messages", "/v1/messages"),
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
    ],
)
async def test_the_404_of_a_path_that_begins_twice_says_where_the_base_url_ends(path: str, too_much: str) -> None:
    async with proxying(await closed_origin()) as proxy, httpx.AsyncClient(base_url=proxy.url) as client:
        message = (await client.post(path, json={"model": "m"})).json()["error"]["message"]

    assert message.endswith(f". The agent's base URL has to end before {too_much}")
