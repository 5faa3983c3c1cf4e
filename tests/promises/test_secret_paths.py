"""A base URL's path may hold a secret, as gateways' addresses do: it is sent to the provider and shown to nobody."""

from __future__ import annotations

import logging

import httpx
import kit
import pytest

from ampmap.commands.banner import banner
from ampmap.commands.explain import as_json, as_text
from ampmap.config.diff import differences
from ampmap.config.file import parse
from ampmap.errors import ConfigError
from ampmap.routing.conditions import NO_FACTS
from ampmap.routing.explain import explain
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.server import running
from ampmap.settings import Settings

SECRET = "hidden-in-the-path"
ANSWERS = {
    "refuses": b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
    "fails": b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    "is elsewhere": b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
    "has no list": kit.OK,
    "has another list": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "breaks off": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    "speaks something else": b"SSH-2.0\r\n\r\n",
}

MODEL_PATHS = ("/v1/chat/completions", "/v1/messages", "/v1beta/models/m:generateContent")
PAGES = tuple(f"/_ampmap/{page}" for page in ("status", "requests", "metrics", "health"))
PATHS = ("/threads", "/api/provider/x/y", "/v1/models", "/nothing", *PAGES)


def configuration(port: int) -> Settings:
    return parse(
        f"""\
listen: 127.0.0.1:0
amp-upstream-url: 'http://127.0.0.1:{port}/{SECRET}/amp'
amp-model-mappings: [{{from: asked, to: m}}]
providers:
  - {{name: p, base-url: 'http://127.0.0.1:{port}/{SECRET}/v1', protocols: [openai-chat, anthropic, gemini],
     models: [discover, m], api-key: a-key}}
""",
        "f.yaml",
        {},
    ).settings


@pytest.mark.parametrize("what", ANSWERS)
async def test_no_log_page_or_error_shows_it(what: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def answer(peer: kit.Peer) -> None:
        while True:
            await peer.read_message()
            await peer.send(ANSWERS[what])
            if what == "breaks off":
                return

    async with kit.scripted(answer) as upstream:
        async with running(configuration(upstream.origin.port), env={}) as proxy:
            await proxy.service.discovery.wait_first(kit.GUARD_S)
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                asked = [
                    *(("POST", path, {"model": model}) for path in MODEL_PATHS for model in ("m", "asked", "nobody's")),
                    *(("GET", path, None) for path in PATHS),
                ]
                shown = [await said(client, *each) for each in asked]
            shown += [repr(proxy.service), repr(proxy.service.snapshot), str(list(proxy.service.journal.recent))]
        paths = [message.start.split(b" ")[1] for message in upstream.seen]

    assert any(path.startswith(f"/{SECRET}/v1/".encode()) for path in paths)
    assert any(path.startswith(f"/{SECRET}/amp/".encode()) for path in paths)
    assert "f.yaml" in "".join(shown) and "/v1/models" in caplog.text
    assert not [text for text in [*shown, caplog.text] if SECRET in text]


async def said(client: httpx.AsyncClient, method: str, path: str, body: object = None) -> str:
    try:
        reply = await client.request(method, path, json=body)
    except httpx.HTTPError as exc:  # a reply that broke off
        return repr(exc)
    return f"{reply.headers} {reply.text}"


def test_no_command_shows_it() -> None:
    settings, other = configuration(1), configuration(2)
    snapshot, _ = compile_snapshot(settings)
    found = explain("asked", None, "any", snapshot, Availability(), (), NO_FACTS)

    texts = [
        as_text(found, snapshot, Availability(), "x"), as_json(found, snapshot, "x"), banner(settings, ["http://h:1"]),
        repr(settings), str(differences(settings, other)), str(differences(Settings(), settings)),
    ]  # fmt: skip

    assert not [text for text in texts if SECRET in text]


@pytest.mark.parametrize(
    "url", ["http://h/{}/../x", "http://h/{}?x=1", "http://h:99999/{}", "ftp://h/{}", "http://h/{} x"]
)
def test_no_complaint_shows_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"providers: [{{name: p, base-url: '{url.format(SECRET)}', protocols: [gemini]}}]", "f.yaml", {})

    assert SECRET not in str(caught.value)
