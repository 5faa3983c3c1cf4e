"""Rules that look into bodies and change them, through a proxy: what the provider gets, and Amp does not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from between import AMPS, GEMINI, OTHERS, between, message_of
from bigbodies import AMPS as AMPS_MESSAGES
from bigbodies import conversation, peak_of
from kit import ask, post, record_of
from process import MIB

from ampmap.settings import Rule, When

pytestmark = pytest.mark.usefixtures("nothing_left")

CHANGES = (("temperature", "0.2"), ("reasoning_effort", '"low"'))
CHANGED = Rule(source="alias", targets=("m",), set=CHANGES, drop=("top_p",))
BODY = b'{"model": "alias", "temperature": 1.0, "x": 1e5, "top_p": 0.9, "y": "\\/"}'
RESULT = b'{"model": "m", "temperature": 0.2, "x": 1e5,  "y": "\\/","reasoning_effort":"low"}'


@pytest.mark.parametrize("path", [AMPS, OTHERS])
async def test_a_provider_gets_the_changed_body(path: bytes) -> None:
    async with between(CHANGED) as it:
        assert 200 == (await ask(it.proxy, post(BODY, b"Content-Digest: sha-256=:x:", path=path))).status
        packed = post(gzip.compress(BODY), b"Content-Encoding: gzip", path=path)
        assert 200 == (await ask(it.proxy, packed)).status

        assert ([RESULT, RESULT], []) == it.got()
        assert [b"%d" % len(RESULT)] * 2 == [message.one(b"content-length") for message in it.local.seen]
        assert None is it.local.seen[0].one(b"content-digest")


async def test_a_body_without_the_name_of_the_model_is_changed() -> None:
    async with between(Rule(source="alias", targets=("m",), set=(("generationConfig", "{}"),))) as it:
        assert 200 == (await ask(it.proxy, post(b'{"contents": []}', path=GEMINI.replace(b"/m:", b"/alias:")))).status

        assert ([b'{"contents": [],"generationConfig":{}}'], []) == it.got()


async def test_nothing_is_changed_for_others_and_on_the_way_to_amp() -> None:
    unserved = Rule(source="alias", targets=("gone",), set=CHANGES, drop=("top_p",))
    async with between(unserved) as it:
        assert 200 == (await ask(it.proxy, post(BODY, path=AMPS))).status
        assert 200 == (await ask(it.proxy, post(BODY.replace(b"alias", b"m"), path=AMPS))).status

        assert ([BODY.replace(b"alias", b"m")], [BODY]) == it.got()


@pytest.mark.parametrize("names", [("top_p",), ("top_p", "messages")])
async def test_repairs_and_changes_are_made_together(names: tuple[str, ...]) -> None:
    thinking = b'{"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}, 1]}'
    body = b'{"top_p": 1, "messages": [%b], "model": "alias"}' % thinking
    async with between(Rule(source="alias", targets=("m",), drop=names)) as it:
        assert 200 == (await ask(it.proxy, post(body, path=AMPS_MESSAGES))).status

        kept = {} if "messages" in names else {"messages": [{"role": "assistant", "content": [1]}]}
        assert {**kept, "model": "m"} == json.loads(it.got()[0][0])


@pytest.mark.parametrize("body", [b'{"model": "alias", "x": NaN}', b'{"x": [}, "model": "alias"}'])
async def test_a_body_that_cannot_be_changed_is_refused(body: bytes) -> None:
    async with between(CHANGED) as it:
        reply = await ask(it.proxy, post(body))

        assert 400 == reply.status and "not valid JSON" in message_of(reply)
        assert ([], []) == it.got()


IMAGE = b'{"model": "%b", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}'
SEARCH = b'{"model": "%b", "tools": [{"type": "Web_Search_Preview"}]}'
BLANKS = b'{"model": "%b"}' + b" " * 5000


@pytest.mark.parametrize(
    ("when", "body"),
    [(When(image=True), IMAGE), (When(tool="web_search*"), SEARCH), (When(body_over=5000), BLANKS)],
)
@pytest.mark.parametrize("coded", [False, True])
async def test_a_condition_looks_at_the_decoded_body(when: When, body: bytes, coded: bool) -> None:
    async with between(Rule(source="alias", targets=("m",), when=when)) as it:
        for asked in (body % b"alias", b'{"model": "alias"}'):
            lines = [b"Content-Encoding: gzip"] if coded else []
            await ask(it.proxy, post(gzip.compress(asked) if coded else asked, *lines, path=AMPS))
        record = await record_of(it.proxy, 2)

        assert [body % b"m"] == it.got()[0]
        assert 1 == it.amp.count and "AMP_CREDITS" == record.route_type


CHANGING = (
    "[{from: alias, to: m, set: {temperature: 0.2, x: [1]}, drop: [top_p, tools], when: {image: false, tool: Read}}]"
)


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize("path", [OTHERS, AMPS_MESSAGES])
async def test_a_body_that_is_changed_is_held_once(path: bytes, tmp_path: Path) -> None:
    body = conversation(b"alias", 20 * MIB)

    assert await peak_of(path, body, False, tmp_path, CHANGING) <= 1.2 * len(body) + 2 * MIB
