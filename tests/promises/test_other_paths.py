"""Paths that servers read differently are refused on routes that carry credentials, or pass in their own bytes."""

from __future__ import annotations

import pytest
from kit import ask, get, post, scripted, times
from smuggling import Upstream
from threeformats import proxy_for

from ampmap.server import running
from ampmap.settings import Endpoint, ModelEntry, Provider, Settings, TcpListen

leaves_nothing = pytest.mark.usefixtures("nothing_left")


REFUSED_PATHS = [
    "/api/provider/x/%2e%2e/v1/messages", "/api/provider/%2E%2e/internal", "/api/provider/x/..;/y/..",
    "/api/provider/x/.%2e/y",
    "/api/provider/x%2f..%2fy/v1/messages", "/api/provider/x%2Fv1/messages", "/api/provider/x%5c..%5cy",
    "/api/provider/x\\..\\y",
    "/api/provider/x/%00/v1/messages", "/api/provider/x/v1/messages%00", "/v1beta/models/a%2fb:generateContent",
    "/v1beta/models/a%5Cb:generateContent", "/v1beta/models/a%00b:generateContent",
    "/v1beta/models/../x:generateContent",
    "/v1beta/models/a\\b:generateContent", "/v1beta/models/a/%2e/b:generateContent", "/v1/../api/internal/%2e%2e",
    "/./v1/messages",
    "/api/internal/..", "/api/internal/%2e%2E/provider/x", "/api/internal/./x",
    "http://localhost/api/provider/x/%2e%2e/y",
]  # fmt: skip

# Asked of nobody, or of the one server whose path it is, in the bytes in which it came.
OTHER_PATHS = [
    "/api/provider/x/%252e%252e/v1/messages", "/api/provider/x/%252f..%252fy", "/api/provider/x/%c0%ae%c0%ae/y",
    "/api/provider/x/%e0%80%af/y",
    "/api/provider/x/v1/messages;a=b", "/api/provider/x/..;/y",
    "/api/provider//v1/messages/",
    "/api/provider/x//v1/messages", "/api/provider/x/v1//messages", "/api/provider/x/V1/MESSAGES",
    "/api/provider/x/%u002e%u002e/y",
    "/api/provider/x/v1/messages%20", "/api/provider/x/v1/%6dessages", "/api/provider/x/v1/messages%0d%0aX:%20y",
    "/api/provider/x/.../y",
    "/api/internal/%2f..%2fprovider", "/api/internal/%5c..", "/api/internal;x/y", "/api/internal//",
    "/api/%69nternal", "//api/internal",
    "/api//internal", "/API/internal", "/api/internal%00", "/api/internal%2e%2e",
    "/_ampmap/../status"[:9] + "/%2fstatus",
]  # fmt: skip


@pytest.mark.parametrize("path", REFUSED_PATHS)
@leaves_nothing
async def test_a_path_that_could_mean_another_place_is_refused(path: str) -> None:
    upstream = Upstream()
    async with scripted(upstream.script) as server, proxy_for(server.origin) as proxy:
        replies = [await ask(proxy, post(b"{}", path=path.encode())), await ask(proxy, get(path.encode()))]

    assert {400, 404} >= {reply.status for reply in replies}
    assert 400 == replies[0].status
    assert [] == upstream.raw


@pytest.mark.parametrize("path", OTHER_PATHS)
@leaves_nothing
async def test_a_path_is_passed_on_in_its_own_bytes_or_not_at_all(path: str) -> None:
    upstream = Upstream()
    async with scripted(upstream.script) as server, proxy_for(server.origin) as proxy:
        reply = await ask(proxy, post(b'{"model": "m"}', path=path.encode()))

    passed = [seen.target.decode() for reader in upstream.readers for seen in reader.seen]
    assert passed in ([], [path])
    assert (reply.status == 200) == bool(passed)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("%252e%252e", "%252e%252e"), ("..", ".."), ("a;b=c", "a%3Bb=c"), ("%0d%0aX:y", "%0D%0AX:y"), ("a%3fb%23c",
        "a%3Fb%23c"), ("a%20b", "a%20b"),
        ("a//b", "a//b"), ("%e2%80%ae", "%E2%80%AE"), ("%22%7b%7d", "%22%7B%7D"), ("%252f", "%252f"), ("a%25", "a%25"),
    ],
)  # fmt: skip
@leaves_nothing
async def test_a_name_in_a_path_stays_one_name(name: str, sent: str) -> None:
    """It is decoded once and encoded once: what a provider decodes is what the rules were asked about."""
    upstream = Upstream()
    async with scripted(upstream.script) as server:
        endpoints = (Endpoint(protocol="gemini"),)
        anything = Provider(name="local", origin=server.origin, endpoints=endpoints, models=(ModelEntry(id="*"),))
        settings = Settings(listen=(TcpListen(port=0),), providers=(anything,), timeouts=times())
        async with running(settings, env={}) as proxy:
            reply = await ask(proxy, post(b"{}", path=f"/v1beta/models/{name}:generateContent".encode()))

    assert 200 == reply.status
    assert f"/v1beta/models/{sent}:generateContent".encode() == upstream.readers[0].seen[0].target
