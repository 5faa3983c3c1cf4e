"""Replies of providers name who served them, whatever they are; nobody else's do."""

from __future__ import annotations

import pytest
from kit import OK, answering, ask, get, post, provider, proxying, scripted

from ampmap.proxy.reply_head import OWN_FIELDS
from ampmap.settings import Rule

pytestmark = pytest.mark.usefixtures("nothing_left")
BOTH_LOOPS = True

SERVED_BY = b"ampmap-served-by"
LIMITED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}"
FORGED = OK.replace(b"\r\n\r\n", b"\r\nAmpmap-Served-By: other/x\r\nampmap-lost: y\r\n\r\n")


@pytest.mark.parametrize(("asked", "raw"), [(b"m", OK), (b"alias", OK), (b"m", LIMITED), (b"alias", FORGED)])
async def test_a_reply_of_a_provider_names_who_served_it(asked: bytes, raw: bytes) -> None:
    async with scripted(answering(raw)) as upstream, proxying(upstream.origin) as proxy:
        reply = await ask(proxy, post(b'{"model": "%b"}' % asked))

    assert raw.startswith(b"HTTP/1.1 %d" % reply.status)
    assert b"local/m" == reply.one(SERVED_BY)
    assert [None, None] == [reply.one(name) for name in OWN_FIELDS[1:]]


async def test_a_reply_of_the_candidate_that_answered_names_that_one() -> None:
    rules = (Rule(source="alias", targets=("first", "second")),)
    async with scripted(answering(LIMITED)) as limited, scripted(answering(OK)) as upstream:
        providers = (
            provider(limited.origin, name="one", models=("first",)),
            provider(upstream.origin, name="two", models=("second",)),
        )
        async with proxying(None, providers=providers, rules=rules) as proxy:
            reply = await ask(proxy, post(b'{"model": "alias"}'))

    assert (200, b"two/second") == (reply.status, reply.one(SERVED_BY))


@pytest.mark.parametrize("raw", [OK, FORGED])
async def test_a_reply_of_the_amp_upstream_passes_untouched(raw: bytes) -> None:
    async with scripted(answering(raw, raw)) as upstream, proxying(upstream.origin, providers=()) as proxy:
        managed = await ask(proxy, get())
        paid = await ask(proxy, post(path=b"/api/provider/openai/v1/chat/completions"))

    forged = b"other/x" if raw is FORGED else None
    assert [forged, forged] == [managed.one(SERVED_BY), paid.one(SERVED_BY)]


async def test_an_answer_that_ampmap_makes_itself_names_nobody() -> None:
    async with proxying(None) as proxy:
        reply = await ask(proxy, post())

    assert (404, None) == (reply.status, reply.one(SERVED_BY))
