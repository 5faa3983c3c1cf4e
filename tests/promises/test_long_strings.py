"""Long strings of a client's choice are remembered by nothing once their request is over."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import anyio
import kit
import pytest
from kit import OK, Peer, ask, get, post, proxying, scripted, until

MARK = b"zq" * 20
LONG = MARK * 500  # 20 kB
KEPT_CHARS = 3_000  # what a record or a line in use may have

LONG_WHERE = {
    "method": get(method=LONG),
    "path": get(b"/api/internal/" + LONG),
    "unknown path": get(b"/" + LONG),
    "query": get(b"/v1/models?" + LONG),
    "segment": post(path=b"/api/provider/" + LONG + b"/v1/messages"),
    "name of a model": post(b'{"model": "' + LONG + b'"}'),
    "name in a path": post(path=b"/v1beta/models/%b:x" % LONG),
    "method of Gemini": post(path=b"/v1beta/models/m:" + LONG),
    "host": get().replace(b"localhost", LONG),
    "origin": get(b"/v1/models", b"Origin: http://" + LONG),
    "field": get(b"/api/internal", b"X-A: " + LONG),
    "name of a field": get(b"/api/internal", LONG + b": a"),
    "credential": get(b"/api/internal", b"Authorization: Bearer " + LONG),
    "options": get(b"/api/internal", b"Connection: " + LONG[:3000]),
    "name of a tool": post(
        b'{"model": "m", "tools": [{"name": "%b"}]}' % LONG, path=b"/api/provider/anthropic/v1/messages"
    ),
}


def found() -> Iterator[object]:
    """Give what refers to a long string with the mark in it, through all that the collector knows of."""
    for each in gc.get_objects():
        pending = [each]
        while pending:
            for inner in gc.get_referents(pending.pop()):
                if isinstance(inner, bytes | str):  # the one buffer that all reads share is a bytearray
                    mark = MARK.decode() if isinstance(inner, str) else MARK
                    if len(inner) > KEPT_CHARS and mark in inner:  # type: ignore[operator]
                        yield type(each), len(inner)
                elif isinstance(inner, dict | tuple | list) and not gc.is_tracked(inner):
                    pending.append(inner)


@pytest.mark.parametrize("where", LONG_WHERE)
async def test_nothing_long_that_a_client_chose_is_remembered(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "GUARD_S", 120.0)  # to walk through all objects of a whole run takes seconds

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_message()
            await peer.send(OK)
            peer.seen.clear()

    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        before = len(list(found()))
        for _ in range(3):
            await ask(proxy, LONG_WHERE[where])
        await until(lambda: proxy.listener.count == 0)
        after = list(found())
        with anyio.move_on_after(5):  # what a thread or the other end of a connection still holds is no memory
            while len(after) > before:
                await anyio.sleep(0.05)
                gc.collect()
                after = list(found())

    assert len(after) <= before, after[-3:]
