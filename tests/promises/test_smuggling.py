"""One request in, never two out: every known way to spell a request so that two readers cut it differently."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import anyio
import h11
import pytest
from kit import GUARD_S, Peer, get, post, scripted
from quickclock import on_quick_clock
from samples import sampled
from smuggling import ROUTES, VICTIM, in_turn, proxy_at, said_to, tried
from spelledreplies import REPLIES, Reply
from spelledrequests import BODY, FAMILIES
from strictreaders import NotStrict, responses

# No debug mode: it would take longer to note where each of so many callbacks was made than to call them. Nor a clock
# that goes on while the machine does something else: one second of that is a gateway's timeout here.
pytestmark = [pytest.mark.usefixtures("nothing_left"), on_quick_clock(debug=False)]


@pytest.fixture(autouse=True)
def without_log() -> Iterator[None]:
    """Thousands of refusals are not worth a line each."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("family", FAMILIES)
async def test_one_request_in_is_never_two_out(family: str, route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if route == "streamed":
        monkeypatch.setattr("ampmap.proxy.amp_route._BUFFERED_BYTES", -1)

    assert [] == await in_turn(lambda case: tried(case, ROUTES[route]), sampled(FAMILIES[family], 1 / 5))


async def answered(reply: Reply, path: bytes) -> list[str]:
    """Let an upstream answer so, then ask for something harmless; return what is wrong."""
    count = 0

    async def script(peer: Peer) -> None:
        nonlocal count
        while message := await peer.read_message():
            count += 1
            told = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(message.start) + message.start
            await peer.send(reply.raw if count == 1 else told)

    request = post(BODY, path=path) if reply.method == b"POST" else get(path, method=reply.method)
    async with scripted(script) as server, proxy_at(server.origin) as proxy:
        with anyio.fail_after(GUARD_S):
            said = await said_to(proxy, request)
            idle = proxy.service.pool.idle_count
            victim = await said_to(proxy, get(VICTIM, b"Connection: close"))
    try:
        told, behind = responses(said, [reply.method])
    except (NotStrict, h11.RemoteProtocolError) as exc:
        return [f"{reply.name}: the client is told what is no response: {exc!r} in {said!r}"]
    found = []
    if behind or len(told) != 1 or b"split" in said:
        found.append(f"told {said!r}")
    elif reply.verdict == "broken" and told[0].whole and told[0].status not in (502, 504):
        found.append(f"passed on as {said!r}")
    elif reply.verdict != "broken" and not (told[0].whole and told[0].status < 400):
        found.append(f"not passed on: {said!r}")
    if idle != (reply.verdict == "kept"):
        found.append(f"{idle} connections are kept")
    if VICTIM not in victim or count != 2:
        found.append(f"the next client is told {victim!r}")
    return [f"{reply.name}: {what}" for what in found]


@pytest.mark.sample
@pytest.mark.parametrize("route", ["model", "buffered"])
async def test_one_reply_in_is_never_two_out(route: str) -> None:
    async def one(reply: Reply) -> list[str]:
        return await answered(reply, ROUTES[route] if reply.method == b"POST" else ROUTES["buffered"])

    assert [] == await in_turn(one, sampled(REPLIES, 1 / 5))
