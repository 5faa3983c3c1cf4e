"""Cookies of other servers on this machine do not reach Amp: a browser sends them all, as cookies know no ports."""

from __future__ import annotations

from dataclasses import replace

import kit
import pytest

from ampmap.amp.cookies import CookieNames
from ampmap.routing.snapshot import compile_snapshot

SET = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=s; Path=/; HttpOnly\r\nset-cookie: csrf=c\r\nContent-Length: 2\r\n\r\nok"
SENT = b"jupyter=secret; session=s1; x; csrf=c1"


def setting(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"Set-Cookie", value) for value in values]


def kept(names: CookieNames, *lines: bytes) -> list[bytes]:
    return [value for _, value in names.known_in([(b"cookie", line) for line in lines])]


async def answer(peer: kit.Peer) -> None:
    while True:
        await peer.read_message()
        await peer.send(SET)


@pytest.mark.parametrize("path", [b"/threads", b"/api/provider/openai/v1/chat/completions", b"/api/provider/x/y"])
async def test_only_cookies_that_amp_has_set_reach_amp(path: bytes) -> None:
    async with kit.scripted(answer) as amp, kit.proxying(amp.origin) as proxy:
        for line in (b"Cookie: " + SENT, b"Cookie: " + SENT):
            await kit.ask(proxy, kit.post(b'{"model": "unknown"}', line, path=path))

    assert [None, b"session=s1; csrf=c1"] == [message.one(b"cookie") for message in amp.seen]
    assert not [message for message in amp.seen if b"secret" in b"".join(value for _, value in message.lines)]


async def test_another_upstream_gets_none_of_the_cookies_of_the_one_before() -> None:
    async with kit.scripted(answer) as amp, kit.scripted(answer) as other, kit.proxying(amp.origin) as proxy:
        line = b"Cookie: session=s1"
        await kit.ask(proxy, kit.get(b"/threads", line))
        now = proxy.service.snapshot.settings
        settings = replace(now, amp=replace(now.amp, origin=other.origin))
        proxy.service.apply(compile_snapshot(settings)[0])
        await kit.ask(proxy, kit.get(b"/threads", line))
        await kit.ask(proxy, kit.get(b"/threads", line))

    assert [None, b"session=s1"] == [message.one(b"cookie") for message in other.seen]


def test_names_are_compared_as_they_are() -> None:
    names = CookieNames()
    names.learn(setting(b"A=1", b" b = 2; Secure", b"=nameless", b"bare", b"__Host-c=", b"d=x=y"))

    assert [b"A=1; b=3; __Host-c=; d=; b=4"] == kept(names, b"A=1;b=3; a=2;B=1; =x; bare;__Host-c=;d=;b=4; ")
    assert [b"A=1", b"b=2"] == kept(names, b"A=1", b"evil=1", b"b=2")
    assert [] == kept(names, b"", b";", b"evil")


def test_the_last_64_names_are_remembered() -> None:
    names = CookieNames()
    names.learn(setting(b"first=1", *(b"n%d=1" % number for number in range(62))))
    names.learn(setting(b"first=2", b"last=1", b"more=1", b"l" * 257 + b"=1"))

    assert [b"first=1; n1=1; last=1; more=1"] == kept(names, b"first=1; n0=1; n1=1; last=1; more=1")
    assert [] == kept(names, b"l" * 257 + b"=1")


def test_a_key_of_ours_in_a_cookie_stays_here() -> None:
    from policy import settings

    from ampmap.http.headers import Empty
    from ampmap.proxy.upstream_request import to_amp
    from ampmap.routing.target import Target

    configured = settings(api_keys=("client-key",))
    cookies = [(b"Cookie", b"session=client-key"), (b"Cookie", b"session=x")]
    out = to_amp(b"GET", Target("/threads"), [], Empty(), configured, "client-key", "", cookies=cookies)

    assert b"Cookie: session=x\r\n" in out.head and b"client-key" not in out.head
