"""A proxy before one origin, which is its Amp upstream and its provider in three wire formats."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from kit import GUARD_S, Message, post, times

from ampmap.server import Server, running
from ampmap.settings import Amp, Endpoint, ModelEntry, Origin, Protocol, Provider, Rule, Settings, TcpListen

KEY = "client-key"
PROTOCOLS: tuple[Protocol, ...] = ("openai-chat", "anthropic", "gemini")


@asynccontextmanager
async def proxy_for(origin: Origin, *, api_keys: tuple[str, ...] = (), refuse: bool = False) -> AsyncIterator[Server]:
    """Run a proxy before ``origin``, its Amp upstream and its provider of ``m`` in three formats."""
    endpoints = tuple(Endpoint(protocol=protocol) for protocol in PROTOCOLS)
    local = Provider(name="local", origin=origin, endpoints=endpoints, models=(ModelEntry(id="m"),), api_key="own-key")
    rules = (Rule(source="alias", targets=("m",)),)
    amp = Amp(origin=origin, api_key="sgamp_key", rules=rules, credits="refuse" if refuse else "warn")
    settings = Settings(
        listen=(TcpListen(port=0),), amp=amp, providers=(local,), timeouts=times(keepalive_s=5), api_keys=api_keys
    )
    async with running(settings, env={}) as proxy:
        with anyio.fail_after(GUARD_S):
            yield proxy


def asked(protocol: Protocol, name: str, prefix: str = "") -> bytes:
    if protocol == "gemini":
        quoted = "".join(f"%{byte:02x}" for byte in name.encode("utf-8", "surrogatepass"))
        return post(b"{}", path=f"{prefix}/v1beta/models/{quoted}:generateContent".encode())
    path = "/v1/messages" if protocol == "anthropic" else "/v1/chat/completions"
    return post(json.dumps({"model": name}).encode(), path=f"{prefix}{path}".encode())


def told(protocol: Protocol, reply: Message) -> str:
    """Return the message of an error, which has to be in the client's format where its path was taken for one."""
    body = json.loads(reply.body)
    if "in the path" in body["error"]["message"] or body["error"]["message"].startswith("the path"):
        return str(body["error"]["message"])
    assert b"application/json" == reply.one(b"content-type")
    assert ("error" == body["type"]) if protocol == "anthropic" else True
    assert (reply.status == body["error"]["code"]) if protocol == "gemini" else True
    return str(body["error"]["message"])


def one_plain_line(shown: str) -> bool:
    return shown.isprintable() and len(shown.splitlines()) == 1
