"""Bodies that have to be decoded, or cannot be read at all: who gets them, in which form, and what is said instead."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import pytest
from between import AMPS, GEMINI, OTHERS, between, message_of
from bigbodies import base_of, conversation, swallow
from kit import ask, post, record_of, scripted
from process import MIB, configuration, process

from ampmap.settings import CreditPolicy, Rule, When

pytestmark = pytest.mark.usefixtures("nothing_left")

BODY = b'{"messages": [{"role": "system", "content": "You are"}], "model": "m"}'
Packer = Callable[[bytes], bytes]
ALIAS = Rule(source="alias", targets=("m",))


PACKED = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"x-gzip", gzip.compress),
    "zlib": (b"deflate", zlib.compress),
    "raw deflate": (b"Deflate", partial(zlib.compress, wbits=-15)),
}
packed = pytest.mark.parametrize(("coding", "packer"), PACKED.values(), ids=PACKED)


@packed
@pytest.mark.parametrize("path", [AMPS, OTHERS, GEMINI])
async def test_a_provider_gets_the_decoded_body_without_coding_and_digests(
    coding: bytes, packer: Packer, path: bytes
) -> None:
    lines = [b"Content-Encoding: " + coding, b"Content-Digest: sha-256=:x:", b"Digest: x", b"X-Kept: 1"]
    async with between() as it:
        assert 200 == (await ask(it.proxy, post(packer(BODY), *lines, path=path))).status
        [message] = it.local.seen

    assert BODY == message.body
    assert b"%d" % len(BODY) == message.one(b"content-length")
    assert [None] * 3 == [message.one(name) for name in (b"content-encoding", b"content-digest", b"digest")]
    assert b"1" == message.one(b"x-kept")


@packed
async def test_a_name_in_a_decoded_body_is_mapped(coding: bytes, packer: Packer) -> None:
    async with between(ALIAS) as it:
        body = packer(BODY.replace(b'"m"', b'"alias"'))
        assert 200 == (await ask(it.proxy, post(body, b"Content-Encoding: " + coding))).status

        assert ([BODY], []) == it.got()


@packed
async def test_amp_gets_the_bytes_of_the_client_with_their_coding(coding: bytes, packer: Packer) -> None:
    body = packer(b'{"model": "unserved"}')
    async with between() as it:
        request = post(body, b"Content-Encoding: " + coding, b"Content-Digest: sha-256=:x:", path=AMPS)
        assert 200 == (await ask(it.proxy, request)).status
        [message] = it.amp.seen
        record = await record_of(it.proxy)

    assert (body, coding, b"sha-256=:x:") == (
        message.body, message.one(b"content-encoding"), message.one(b"content-digest"),
    )  # fmt: skip
    assert ("AMP_CREDITS", "unserved", len(body)) == (record.route_type, record.requested_model, record.bytes_in)


async def test_conditions_look_at_the_decoded_body() -> None:
    rule = Rule(source="m2", targets=("m",), when=When(system_prefix="You are"))
    body = gzip.compress(codecs.BOM_UTF8 + BODY.replace(b'"m"', b'"m2"'))
    async with between(rule) as it:
        assert 200 == (await ask(it.proxy, post(body, b"Content-Encoding: gzip"))).status

        assert ([codecs.BOM_UTF8 + BODY], []) == it.got()


async def test_credits_that_a_rule_refuses_for_a_model_are_not_spent_on_its_coded_request() -> None:
    rule = Rule(source="dear", targets=("gone",), credits="refuse")
    async with between(rule) as it:
        for body in (gzip.compress(b'{"model": "dear"}'), gzip.compress(codecs.BOM_UTF8 + b'{"model": "dear"}')):
            reply = await ask(it.proxy, post(body, b"Content-Encoding: gzip", path=AMPS))
            assert 403 == reply.status

        assert ([], []) == it.got()


@pytest.mark.parametrize("path", [AMPS, OTHERS])
@pytest.mark.parametrize("body", [gzip.compress(BODY)[:-1], gzip.compress(BODY)[:9], BODY, gzip.compress(BODY) + b"x"])
async def test_damaged_gzip_is_refused(path: bytes, body: bytes) -> None:
    async with between(credits="allow") as it:
        reply = await ask(it.proxy, post(body, b"Content-Encoding: gzip", path=path))

        assert 400 == reply.status and "not valid gzip" in message_of(reply)
        assert ([], []) == it.got()


@pytest.mark.parametrize("path", [AMPS, OTHERS])
async def test_a_body_that_is_too_large_when_decoded_is_413_and_names_the_limit(path: bytes) -> None:
    async with between(credits="allow", model_body_bytes=1000) as it:
        fits, bomb = (b'{"model": "m"}' + b" " * (count - 14) for count in (1000, 1001))
        assert 200 == (await ask(it.proxy, post(gzip.compress(fits), b"Content-Encoding: gzip", path=path))).status
        reply = await ask(it.proxy, post(gzip.compress(bomb), b"Content-Encoding: gzip", path=path))

        assert 413 == reply.status and "1000 bytes (limits.model-body-bytes)" in message_of(reply)
        assert ([fits], []) == it.got()


UNREADABLE = {
    "br": ([b"Content-Encoding: br"], b"\x8b\x00", "'br'"),
    "zstd": ([b"Content-Encoding: zstd"], b"(\xb5/\xfd", "'zstd'"),
    "two codings": ([b"Content-Encoding: gzip", b"Content-Encoding: gzip"], b"x", "'gzip, gzip'"),
    "utf-16": ([], BODY.decode().encode("utf-16"), "UTF-16"),
    "utf-16 without a mark": ([], BODY.decode().encode("utf-16-be"), "UTF-16"),
    "utf-32": ([], BODY.decode().encode("utf-32-le"), "UTF-32"),
    "charset": ([b"Content-Type: application/json; charset=utf-16"], BODY, "UTF-16"),
    "utf-16 in gzip": ([b"Content-Encoding: gzip"], gzip.compress(BODY.decode().encode("utf-16")), "UTF-16"),
}
unreadable = pytest.mark.parametrize(("lines", "body", "name"), UNREADABLE.values(), ids=UNREADABLE)


@pytest.mark.sample(1 / 4)
@unreadable
@pytest.mark.parametrize(
    ("path", "credits"),
    [
        (OTHERS, "allow"),
        (b"/v1/messages", "warn"),
        (b"/v1beta/models/m:generateContent", "allow"),
        (AMPS, "warn"),
        (AMPS, "refuse"),
        (GEMINI, "warn"),
    ],
)
async def test_what_cannot_be_read_is_415_by_name_in_the_format_of_the_asker(
    lines: list[bytes], body: bytes, name: str, path: bytes, credits: CreditPolicy
) -> None:
    async with between(credits=credits) as it:
        reply = await ask(it.proxy, post(body, *lines, path=path))
        record = await record_of(it.proxy)

        assert 415 == reply.status
        assert name in message_of(reply) and ("gzip or deflate" in message_of(reply) or "UTF-8" in message_of(reply))
        assert b"gzip, deflate" == reply.one(b"accept-encoding")
        assert ("rejected", "none") == (record.outcome, record.cost)
        assert ([], []) == it.got()
    error = json.loads(reply.body)
    if path == b"/v1/messages":
        assert ("error", "invalid_request_error") == (error["type"], error["error"]["type"])
    elif b":generateContent" in path:
        assert "INVALID_ARGUMENT" == error["error"]["status"]


@unreadable
@pytest.mark.parametrize(("path", "model"), [(AMPS, ""), (GEMINI, "m")])
async def test_what_cannot_be_read_goes_to_amp_untouched_where_credits_are_allowed(
    lines: list[bytes], body: bytes, name: str, path: bytes, model: str
) -> None:
    async with between(ALIAS, credits="allow") as it:
        assert 200 == (await ask(it.proxy, post(body, *lines, path=path))).status
        [message] = it.amp.seen
        record = await record_of(it.proxy)

    assert [] == it.local.seen
    assert body == message.body
    assert [line for line in lines if b"ncoding" in line] == [
        b"Content-Encoding: " + coding for coding in message.all(b"content-encoding")
    ]
    assert ("AMP_CREDITS", model, "amp_credits") == (record.route_type, record.requested_model, record.cost)


@unreadable
async def test_what_cannot_be_read_is_415_where_a_rule_refuses_credits(
    lines: list[bytes], body: bytes, name: str
) -> None:
    async with between(Rule(source="dear", targets=("gone",), credits="refuse"), credits="allow") as it:
        reply = await ask(it.proxy, post(body, *lines, path=AMPS))

        assert 415 == reply.status and name in message_of(reply)
        assert ([], []) == it.got()


NAMELESS = [b"", b"no JSON", b'{"model": 1}', b"{}", b'["model"]', codecs.BOM_UTF8, b'{"x": {"model": "m"}}']


@pytest.mark.parametrize("body", NAMELESS)
async def test_a_body_without_a_usable_model_is_amps_under_its_paths_and_400_elsewhere(body: bytes) -> None:
    async with between(ALIAS) as it:
        assert 200 == (await ask(it.proxy, post(body, path=AMPS))).status
        record = await record_of(it.proxy)
        refused = await ask(it.proxy, post(body))

        assert ([], [body]) == it.got()
    assert ("AMP_CREDITS", "") == (record.route_type, record.requested_model)
    assert 400 == refused.status and "names no model" in message_of(refused)


@pytest.mark.parametrize("body", NAMELESS)
async def test_a_body_without_a_usable_model_is_403_where_a_rule_refuses_credits(body: bytes) -> None:
    async with between(Rule(source="dear", targets=("gone",), credits="refuse"), credits="allow") as it:
        reply = await ask(it.proxy, post(body, path=AMPS))

        assert 403 == reply.status
        assert "names no model that can be read" in message_of(reply) and "rule 'dear'" in message_of(reply)
        assert ([], []) == it.got()


@pytest.mark.parametrize("path", [AMPS, OTHERS])
@pytest.mark.parametrize("model", ["m", "alias"])
async def test_a_byte_order_mark_is_passed_over(path: bytes, model: str) -> None:
    body = codecs.BOM_UTF8 + b' {"x": {"model": 1}, "model": "%b", "y": 2}' % model.encode()
    async with between(ALIAS) as it:
        assert 200 == (await ask(it.proxy, post(body, path=path))).status

        assert ([body.replace(b"alias", b"m")], []) == it.got()


@pytest.mark.parametrize("path", [AMPS, OTHERS])
@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "m", "model": "m"}',
        b'{"model": "m", "x": {}, "mod\\u0065l": "dear"}',
        codecs.BOM_UTF8 + b'{"\\u006dodel": 1, "model": "m"}',
        b'{"model": "%b"}' % (b"m" * 257),
    ],
)
async def test_two_names_or_one_that_is_too_long_are_400(path: bytes, body: bytes) -> None:
    async with between(credits="allow") as it:
        assert 400 == (await ask(it.proxy, post(body, path=path))).status
        assert 400 == (await ask(it.proxy, post(gzip.compress(body), b"Content-Encoding: gzip", path=path))).status
        assert ([], []) == it.got()


@pytest.mark.sample(1 / 8)
@pytest.mark.parametrize("kind", ["text", "zeros"])
async def test_a_decoded_body_is_held_once(kind: str, tmp_path: Path) -> None:
    body = conversation(b"alias", 20 * MIB) if kind == "text" else b'{"model": "alias"}' + b" " * (20 * MIB)
    packed = gzip.compress(body)
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    file = tmp_path / "ampmap.yaml"
    async with scripted(swallow) as upstream:
        file.write_text(configuration(upstream.origin))
        with process("--config", str(file)) as it, anyio.fail_after(60):
            async with it.connected() as client:
                base = await base_of(it)
                await client.send(head % (OTHERS, len(packed)) + packed)
                assert 200 == (await client.read_final()).status
                used = it.peak_bytes - base

    assert used <= 1.2 * len(body) + len(packed) + 2 * MIB
