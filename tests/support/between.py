"""A proxy between a local provider and Amp."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
from kit import GUARD_S, OK, Message, Peer, Scripted, provider, scripted
from process import MIB

from ampmap.server import Server, running
from ampmap.settings import Amp, CreditPolicy, Endpoint, Limits, Rule, Settings, TcpListen

AMPS, OTHERS = b"/api/provider/openai/v1/chat/completions", b"/v1/chat/completions"
GEMINI = b"/api/provider/google/v1beta/models/m:generateContent"


class Between:
    """A proxy between a local provider and Amp."""

    def __init__(self, proxy: Server, local: Scripted, amp: Scripted) -> None:
        self.proxy, self.local, self.amp = proxy, local, amp

    def got(self) -> tuple[list[bytes], list[bytes]]:
        """Return the bodies that the provider and Amp were sent."""
        return [message.body for message in self.local.seen], [message.body for message in self.amp.seen]


async def answer(peer: Peer) -> None:
    while True:
        await peer.read_message()
        await peer.send(OK)


@asynccontextmanager
async def between(
    *rules: Rule, credits: CreditPolicy = "warn", model_body_bytes: int = 64 * MIB
) -> AsyncIterator[Between]:
    async with scripted(answer) as local, scripted(answer) as amp:
        served = provider(local.origin)
        settings = Settings(
            listen=(TcpListen(port=0),),
            amp=Amp(origin=amp.origin, api_key="sgamp_key", rules=rules, credits=credits),
            providers=(replace(served, endpoints=(*served.endpoints, Endpoint(protocol="gemini"))),),
            limits=Limits(model_body_bytes=model_body_bytes),
        )
        with anyio.fail_after(GUARD_S):
            async with running(settings, env={}) as proxy:
                yield Between(proxy, local, amp)


def message_of(reply: Message) -> str:
    message = json.loads(reply.body)["error"]["message"]
    assert isinstance(message, str)
    return message
