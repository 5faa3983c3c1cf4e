"""Requests as providers of another format get them: path, head, credential, body; and who is asked next."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from kit import Message, Scripted, answering, ask, closed_origin, post, proxying, record_of, scripted
from translated import CHAT, CLAUDE, RESPONSES, USER, asking, completion, events, message, replied, speaking, streamed

from ampmap.settings import Endpoint, Rule

BOTH_LOOPS = True

CLIENT_LINES = (
    b"x-api-key: client-key", b"anthropic-version: 2023-06-01", b"anthropic-beta: a", b"X-Stainless-Lang: js",
    b"x-app: cli", b"X-Claude-Code-Session-Id: 1", b"session_id: 2", b"openai-organization: o",
    b"x-goog-api-client: g", b"X-Forwarded-For: 1.2.3.4", b"Accept-Encoding: gzip, br", b"Cookie: a=b",
    b"X-Team: blue", b"User-Agent: cli/1", b"Content-Type: application/json; charset=utf-8",
)  # fmt: skip


def sent(upstream: Scripted, number: int = 0) -> tuple[Message, Any]:
    got = upstream.seen[number]
    return got, json.loads(got.body)


@pytest.mark.parametrize("auth", ["bearer", "x-api-key"])
async def test_the_head_is_the_providers_and_the_body_has_its_length(auth: str) -> None:
    async with scripted(answering(replied(completion()))) as upstream:
        who = speaking(CHAT, upstream.origin, auth=auth, headers=(("X-Own", "1"),))
        async with proxying(None, providers=(who,)) as proxy:
            await ask(proxy, asking(*CLIENT_LINES, path=b"/v1/messages?beta=true&key=secret"))

    got, body = sent(upstream)
    names = {name.lower() for name, _ in got.lines}
    assert b"POST /v1/chat/completions HTTP/1.1" == got.start
    assert {
        b"host", b"x-team", b"user-agent", b"x-own", b"accept-encoding", b"content-type", b"content-length",
        b"authorization" if auth == "bearer" else b"x-api-key",
    } == names  # fmt: skip
    assert (b"identity", b"application/json", b"%d" % len(got.body)) == (
        got.one(b"accept-encoding"), got.one(b"content-type"), got.one(b"content-length"),
    )  # fmt: skip
    assert b"provider-key" in (got.one(b"authorization") or got.one(b"x-api-key") or b"")
    assert ("m", [USER]) == (body["model"], body["messages"])


async def test_the_formats_own_version_is_sent_unless_the_provider_has_another() -> None:
    async with scripted(answering(replied(message()), replied(message()))) as upstream:
        plain = speaking(CLAUDE, upstream.origin, auth="x-api-key")
        for who in (plain, replace(plain, headers=(("Anthropic-Version", "2026-10-21"),))):
            async with proxying(None, providers=(who,)) as proxy:
                await ask(proxy, asking(path=b"/v1/chat/completions"))

    assert [b"2023-06-01", b"2026-10-21"] == [got.one(b"anthropic-version") for got in upstream.seen]
    assert [b"POST /v1/messages HTTP/1.1"] * 2 == [got.start for got in upstream.seen]


async def test_the_path_follows_the_providers_base_url() -> None:
    async with scripted(answering(replied(completion()))) as upstream:
        endpoint = Endpoint(protocol=CHAT, base_path="/api/paas/v4")
        async with proxying(
            None, providers=(replace(speaking(CHAT, upstream.origin), endpoints=(endpoint,)),)
        ) as proxy:
            await ask(proxy, asking())

    assert b"POST /api/paas/v4/chat/completions HTTP/1.1" == upstream.seen[0].start


async def test_a_rules_changes_come_before_the_translation() -> None:
    rule = Rule(source="alias", targets=("m",), set=(("max_tokens", "77"),), drop=("temperature",))
    async with scripted(answering(replied(completion()))) as upstream:
        who = speaking(CHAT, upstream.origin)
        async with proxying(None, providers=(who,), rules=(rule,)) as proxy:
            reply = await ask(proxy, asking(model="alias", temperature=0.5))
            record = await record_of(proxy)

    _, body = sent(upstream)
    assert ("m", 77, False) == (body["model"], body["max_tokens"], "temperature" in body)
    assert "alias" == json.loads(reply.body)["model"]
    assert ("MODEL_MAPPING", "alias -> m", "anthropic -> openai-chat") == (
        record.route_type, record.mapping, record.translated,
    )  # fmt: skip


async def test_what_is_lost_is_named() -> None:
    async with scripted(answering(replied(completion()))) as upstream:
        async with proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy:
            reply = await ask(proxy, asking(top_k=3, context_management={"edits": []}))
            record = await record_of(proxy)

    assert {"top_k", "context_management"} <= set(record.lost.split(", "))
    assert record.lost.encode() == reply.one(b"ampmap-lost")


async def test_a_record_keeps_little_of_names_that_a_client_chose() -> None:
    odd: dict[str, Any] = dict.fromkeys(["\ud800", "x" * 100_000, "line\r\nbreak", *(f"k{n}" for n in range(1000))], 1)
    async with scripted(answering(replied(completion()))) as upstream:
        async with proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy:
            reply = await ask(proxy, asking(**odd))
            record = await record_of(proxy)

    assert b"HTTP/1.1 200 OK" == reply.start
    assert len(record.lost) < 8192 and record.lost.isprintable() and record.lost.endswith(", ...")
    assert (reply.one(b"ampmap-lost") or b"").endswith(b", ...")


async def test_an_error_says_little_of_what_a_client_chose() -> None:
    async with scripted(answering(replied(completion()))) as upstream:
        async with proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy:
            reply = await ask(
                proxy, asking(path=b"/v1/responses", input="hi", reasoning={"effort": ["x" * 1000] * 1000})
            )
            record = await record_of(proxy)

    assert b"HTTP/1.1 400 Bad Request" == reply.start and not upstream.count
    assert len(reply.body) < 4096 and len(record.detail) < 4096
    assert record.detail.startswith("reasoning.effort has to be one of")


async def test_a_provider_of_the_own_format_is_asked_first_and_its_bytes_are_untouched() -> None:
    request = asking()
    async with scripted(answering(replied(completion()))) as chat, scripted(answering(replied(message()))) as claude:
        providers = (speaking(CHAT, chat.origin, "chat"), speaking(CLAUDE, claude.origin, "claude"))
        async with proxying(None, providers=providers) as proxy:
            reply = await ask(proxy, request)
            record = await record_of(proxy)

    assert (0, 1) == (chat.count, claude.count)
    assert request.endswith(claude.seen[0].body) and json.dumps(message()).encode() == reply.body
    assert ("", "", None) == (record.translated, record.lost, reply.one(b"ampmap-translated"))


@pytest.mark.parametrize("first", ["closed", "529", "stream error"])
async def test_a_provider_of_another_format_takes_over(first: str) -> None:
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n'
    failing = streamed([error]) if first == "stream error" else replied({"type": "error"}, 529)
    async with scripted(answering(failing)) as claude, scripted(answering(streamed(events()))) as chat:
        origin = await closed_origin() if first == "closed" else claude.origin
        providers = (speaking(CLAUDE, origin, "claude"), speaking(CHAT, chat.origin, "chat"))
        async with proxying(None, providers=providers) as proxy:
            reply = await ask(proxy, asking(stream=True))
            record = await record_of(proxy)

    assert (200, b"chat/m", True) == (reply.status, reply.one(b"ampmap-served-by"), b"message_stop" in reply.body)
    assert ("anthropic -> openai-chat", "chat", "ok") == (record.translated, record.provider, record.outcome)
    assert "claude" in record.detail


async def test_from_one_translation_to_another() -> None:
    async with scripted(answering(replied({}, 500))) as chat, scripted(answering(replied(message()))) as claude:
        providers = (speaking(CHAT, chat.origin, "chat"), speaking(CLAUDE, claude.origin, "claude"))
        async with proxying(None, providers=providers) as proxy:
            reply = await ask(proxy, asking(path=b"/v1/responses", input="hi"))
            record = await record_of(proxy)

    assert (200, "openai-responses -> anthropic") == (reply.status, record.translated)
    assert ("/v1/chat/completions", "/v1/messages") == tuple(
        got.start.split()[1].decode() for got in (chat.seen[0], claude.seen[0])
    )


UNTRANSLATABLE = {"input": "hi", "previous_response_id": "resp_1"}


async def test_what_cannot_be_translated_is_refused_by_name() -> None:
    async with scripted(answering()) as upstream, proxying(None, providers=(speaking(CHAT, upstream.origin),)) as proxy:
        reply = await ask(proxy, asking(path=b"/v1/responses", **UNTRANSLATABLE))
        record = await record_of(proxy)

    error = json.loads(reply.body)["error"]
    assert (400, "previous_response_id", "unsupported_parameter") == (reply.status, error["param"], error["code"])
    assert "previous_response_id" in error["message"]
    assert (0, "rejected", "none", "LOCAL_PROVIDER") == (
        upstream.count, record.outcome, record.cost, record.route_type,
    )  # fmt: skip


async def test_what_cannot_be_translated_is_left_to_a_provider_that_needs_no_translation() -> None:
    whole = {"id": "resp_2", "object": "response", "model": "m", "output": [], "status": "completed"}
    async with scripted(answering()) as chat, scripted(answering(replied({}, 500), replied(whole))) as native:
        providers = (speaking(CHAT, chat.origin, "chat"), speaking(RESPONSES, native.origin, "native"))
        async with proxying(None, providers=providers) as proxy:
            failed = await ask(proxy, asking(path=b"/v1/responses", **UNTRANSLATABLE))
            served = await ask(proxy, asking(path=b"/v1/responses", **UNTRANSLATABLE))

    assert (500, 200) == (failed.status, served.status)  # the provider's own answer, not the refusal
    assert (0, b"native/m") == (chat.count, served.one(b"ampmap-served-by"))


async def test_what_amp_serves_instead_is_not_translated() -> None:
    async with scripted(answering(replied(message()))) as amp:
        who = speaking(CHAT, await closed_origin())
        async with proxying(amp.origin, providers=(who,), credits="allow") as proxy:
            reply = await ask(proxy, asking(path=b"/api/provider/anthropic/v1/messages", top_k=3))
            record = await record_of(proxy)

    assert (200, None, None) == (reply.status, reply.one(b"ampmap-translated"), reply.one(b"ampmap-lost"))
    assert ("AMP_CREDITS", "", "", "") == (record.route_type, record.translated, record.lost, record.provider)


async def test_without_translation_nobody_serves_it() -> None:
    async with scripted(answering()) as upstream:
        who = speaking(CHAT, upstream.origin, "chat", translate=False)
        async with proxying(None, providers=(who,)) as proxy:
            reply = await ask(proxy, asking())

    assert 400 == reply.status and b"chat (lists it, but only in openai-chat (translate: false))" in reply.body


@pytest.mark.parametrize("path", [b"/v1/embeddings", b"/v1/completions", b"/v1/responses/compact"])
async def test_what_is_no_generation_is_not_translated(path: bytes) -> None:
    async with (
        scripted(answering()) as upstream,
        proxying(None, providers=(speaking(CLAUDE, upstream.origin),)) as proxy,
    ):
        reply = await ask(proxy, post(b'{"model": "m", "input": "hi"}', path=path))

    assert (404, 0) == (reply.status, upstream.count)


async def test_amps_clients_get_the_casing_of_their_tools_back() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}}
    tool = {"name": "Bash", "input_schema": {"type": "object"}}
    async with scripted(
        answering(replied({**completion(), "choices": [{**choice, "finish_reason": "tool_calls"}]}))
    ) as up:
        async with proxying(None, providers=(speaking(CHAT, up.origin),)) as proxy:
            reply = await ask(proxy, asking(tools=[tool], path=b"/api/provider/anthropic/v1/messages"))

    assert "Bash" == json.loads(reply.body)["content"][0]["name"]


async def test_carriers_are_taken_out_for_a_provider_of_the_own_format() -> None:
    thought = {"type": "thinking", "thinking": "t", "signature": "ampmap1.e30"}
    said = {"type": "text", "text": "a"}
    before = [USER, {"role": "assistant", "content": [thought, said]}, USER]
    async with scripted(answering(replied(message()), replied(message()))) as upstream:
        async with proxying(upstream.origin, providers=(speaking(CLAUDE, upstream.origin),), credits="allow") as proxy:
            await ask(proxy, asking(messages=before))
            await ask(proxy, asking(messages=before, model="x", path=b"/api/provider/anthropic/v1/messages"))

    for got in upstream.seen:
        assert [USER, {"role": "assistant", "content": [said]}, USER] == json.loads(got.body)["messages"]
