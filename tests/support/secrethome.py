"""A home with secrets planted wherever a user or a client can put one, and what looks for them."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import kit

MARK = "planted"  # in each secret, and in nothing else


def secret(name: str) -> str:
    return f"sk-{MARK}-{name}"


ENV = {
    "PROVIDER_KEY": secret("provider"),
    "HEADER_VALUE": secret("header"),
    "AMP_KEY": f"sgamp_{MARK}_configured",
    "AMP_API_KEY": f"sgamp_{MARK}_environment",
    "ANTHROPIC_API_KEY": secret("anthropic"),
    "OPENAI_API_KEY": secret("openai"),
    "GEMINI_API_KEY": secret("gemini"),
    "OPENROUTER_API_KEY": secret("openrouter"),
    "HTTPS_PROXY": f"http://user:{secret('proxy')}@127.0.0.1:9",
    "ALL_PROXY": f"socks5://user:{secret('socks')}@127.0.0.1:9",
}
CLIENT = secret("client")
AMP_CLIENT = secret("amp-client")

CONFIG = """
listen: 127.0.0.1:{port}
api-keys: [{client}]
allowed-origins: ['https://app.example']
amp-upstream-url: {amp}
amp-upstream-api-key: ${{AMP_KEY}}
amp-upstream-api-keys: [{{upstream-api-key: sgamp_planted_of_client, api-keys: [{amp_client}]}}]
amp-model-mappings:
  - {{from: alias, to: m}}
providers:
  - {{name: good, base-url: '{good}', protocols: [openai-chat, anthropic], api-key: '${{PROVIDER_KEY}}', models: [m],
     headers: {{X-Team: '${{HEADER_VALUE}}'}}}}
  - {{name: filed, base-url: '{bad}', protocols: [openai-chat], api-key-file: key, models: [broken]}}
  - {{name: dead, base-url: 'http://127.0.0.1:9', protocols: [openai-chat], api-key: {inline}, models: [dead]}}
  - {{name: untrusted, base-url: 'https://untrusted.example', protocols: [openai-chat], api-key: {inline},
     models: [untrusted]}}
  - {{name: asked, base-url: '{bad}', protocols: [openai-chat], api-key: {inline}}}
log: {{level: debug}}
timeouts: {{drain-s: 0.1}}
"""


def config(port: int = 0, good: str = "http://127.0.0.1:9", bad: str = "http://127.0.0.1:9", amp: str = "") -> str:
    return CONFIG.format(
        port=port, good=good, bad=bad, amp=amp or good, client=CLIENT, amp_client=AMP_CLIENT, inline=secret("inline")
    )


def furnish(home: Path) -> None:
    """Put a key in a file, a login of Amp's and a configuration into a home."""
    (home / "key").write_text(secret("file"))
    secrets = home / ".local" / "share" / "amp" / "secrets.json"
    secrets.parent.mkdir(parents=True)
    secrets.write_text(json.dumps({"apiKey@https://ampcode.com/": f"sgamp_{MARK}_file", "x": secret("other")}))
    (home / "ampmap.yaml").write_text(config())


def environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in os.environ if name.startswith(("COV", "PATH", "LANG"))}
    return {**kept, **ENV, "HOME": str(home), "PYTHONDEVMODE": "1", "PYTHONFAULTHANDLER": "1"}


def assert_nowhere(*shown: object) -> None:
    for each in shown:
        content = each.decode("utf-8", "backslashreplace") if isinstance(each, bytes) else str(each)
        assert MARK not in content.lower(), content


SENT = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer planted\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization Bearer planted\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: plan\0ted planted\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\x01planted: x\r\n\r\n",
    b"GET /?key=planted  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?key=planted\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?key=planted HTTP/3.7\r\nHost: localhost\r\n\r\n",
    b"GET http://u:planted@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://localhost/%2e%2e/?planted HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /#planted HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?key=planted HTTP/1.1\r\nHost: u:planted@localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: planted\r\nX-Api-Key: planted\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: planted\r\nHost: planted\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: planted\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: planted\r\n\r\n",
    b"planted\r\n\r\n",
    b"\x16\x03\x01planted\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nplanted\r\n\r\n",
    kit.post(b'{"model": "m", "planted', b"X-Api-Key: " + CLIENT.encode()),
    kit.post(b'{"model": ["planted"]}', b"X-Api-Key: " + CLIENT.encode()),
    kit.get(b"/_ampmap/status", b"X-Api-Key: planted-wrong"),
    kit.get(b"/_ampmap/status", b"Authorization: Basic planted-wrong"),
    kit.get(b"/_ampmap/status?key=planted-wrong"),
    kit.get(b"/auth?auth_token=planted-wrong", b"Cookie: session=planted"),
    kit.get(b"/_ampmap/nothing", b"X-Api-Key: " + CLIENT.encode()),
    kit.get(b"/nothing?key=" + CLIENT.encode()),
    kit.get(b"/v1/models/none?key=" + CLIENT.encode()),
    kit.get(b"/v1/models", b"Origin: https://evil.example", b"Authorization: Bearer planted"),
    kit.get(b"/v1/models", b"Sec-Fetch-Site: cross-site", b"Cookie: session=planted"),
)


@asynccontextmanager
async def upstreams() -> AsyncIterator[tuple[kit.Scripted, kit.Scripted]]:
    """Two that say back what they were sent: one in a reply that is passed on nowhere here, one where it is no HTTP."""

    async def good(peer: kit.Peer) -> None:
        while True:
            await peer.read_message()
            await peer.send(kit.OK)

    async def bad(peer: kit.Peer) -> None:
        message = await peer.read_message()
        held = next((value for name, value in message.lines if name == b"Authorization"), b"planted")
        replies = (b"HTTP/1.1 200 OK\r\nX-Said " + held + b"\r\n\r\n", b"you said " + held + b"\r\n\r\n")
        await peer.send(replies[message.start.startswith(b"GET")])

    async with kit.scripted(good) as first, kit.scripted(bad) as second:
        yield first, second
