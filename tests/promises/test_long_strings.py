"""Long strings of a client's choice are remembered by nothing once their request is over."""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Callable
from string import ascii_lowercase

import anyio
import kit
import pytest
from kit import OK, Peer, ask, get, post, proxying, scripted, until

LONG = "zq" * 20
MARK = re.compile(f"{LONG}([a-z]){LONG}")
KEPT_CHARS = 3_000  # what a record or a line in use may have
_AT_ONCE = 10_000  # objects that the collector is asked for with one call
_TEXTS, _UNTRACKED = (bytes, str), (dict, tuple, list)

WHERE: dict[str, Callable[[bytes], bytes]] = {
    "method": lambda long: get(method=long),
    "path": lambda long: get(b"/api/internal/" + long),
    "unknown path": lambda long: get(b"/" + long),
    "query": lambda long: get(b"/v1/models?" + long),
    "segment": lambda long: post(path=b"/api/provider/" + long + b"/v1/messages"),
    "name of a model": lambda long: post(b'{"model": "' + long + b'"}'),
    "name in a path": lambda long: post(path=b"/v1beta/models/%b:x" % long),
    "method of Gemini": lambda long: post(path=b"/v1beta/models/m:" + long),
    "host": lambda long: get().replace(b"localhost", long),
    "origin": lambda long: get(b"/v1/models", b"Origin: http://" + long),
    "field": lambda long: get(b"/api/internal", b"X-A: " + long),
    "name of a field": lambda long: get(b"/api/internal", long + b": a"),
    "credential": lambda long: get(b"/api/internal", b"Authorization: Bearer " + long),
    "options": lambda long: get(b"/api/internal", b"Connection: " + long[:3000]),
    "name of a tool": lambda long: post(
        b'{"model": "m", "tools": [{"name": "%b"}]}' % long, path=b"/api/provider/anthropic/v1/messages"
    ),
}


def found() -> Counter[str]:
    """Count what refers to a long string with a mark in it, by the mark, through all that the collector knows of."""
    counts: Counter[str] = Counter()
    pending = gc.get_objects()
    while pending:
        held = gc.get_referents(*pending[-_AT_ONCE:])
        del pending[-_AT_ONCE:]
        for each in held:
            if isinstance(each, _TEXTS):  # the one buffer that all reads share is a bytearray
                if len(each) > KEPT_CHARS:
                    counts.update(set(MARK.findall(each if isinstance(each, str) else each.decode("latin-1"))))
            elif isinstance(each, _UNTRACKED) and not gc.is_tracked(each):
                pending.append(each)
    return counts


async def test_nothing_long_that_a_client_chose_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """All places at once: to walk through all objects of a whole run takes seconds."""
    monkeypatch.setattr(kit, "GUARD_S", 120.0)

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_message()
            await peer.send(OK)
            peer.seen.clear()

    marks = dict(zip(ascii_lowercase, WHERE, strict=False))
    async with scripted(script) as upstream, proxying(upstream.origin) as proxy:
        for mark, where in marks.items():
            for _ in range(3):
                await ask(proxy, WHERE[where](f"{LONG}{mark}{LONG}".encode() * 250))  # 20 kB
        await until(lambda: proxy.listener.count == 0)
        gc.unfreeze()  # what was there before the tests may hold some of it
        after = found()
        with anyio.move_on_after(20):  # what a thread or the other end of a connection still holds is no memory
            while after:
                await anyio.sleep(0.05)
                gc.collect()
                after = found()
    gc.freeze()

    assert {} == {marks[mark]: count for mark, count in after.items()}
