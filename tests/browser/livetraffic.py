"""An ampmap with what agents make of it: providers that stream, one that is down, rules, names that nothing covers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import kit

from ampmap.errors import Place
from ampmap.server import Server, running
from ampmap.settings import Amp, Endpoint, ModelEntry, Origin, Protocol, Provider, Rule, Settings, TcpListen

FILE = "/home/ada/.config/ampmap/config.yaml"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
MESSAGE_START = (
    '{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"x","content":[],'
    '"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":%d,"cache_read_input_tokens":%d,'
    '"cache_creation_input_tokens":0,"output_tokens":1}}}'
)
MESSAGE_DELTA = '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":%d}}'
CHAT_DELTA = '{"id":"c","object":"chat.completion.chunk","created":1,"model":"x","choices":[{"index":0,"delta":%s}]}'
CHAT_USAGE = (
    '{"id":"c","object":"chat.completion.chunk","created":1,"model":"x","choices":[],"usage":{"prompt_tokens":%d,'
    '"completion_tokens":%d,"total_tokens":%d}}'
)


@dataclass
class Traffic:
    """A proxy, and its providers' gate: a reply to a request with ``hold`` in its text ends once that is opened."""

    proxy: Server
    gate: anyio.Event = field(default_factory=anyio.Event)

    @property
    def home(self) -> str:
        return f"http://ampmap.localhost:{self.proxy.url.rpartition(':')[2]}/_ampmap/"

    async def ask(self, model: str, path: str = "/v1/messages", text: str = "hello", **more: object) -> int:
        """Ask for a model as an agent does; return the status once all of the reply is there."""
        body = {"model": model, "max_tokens": 100, "stream": True, **more}
        body["messages"] = [{"role": "user", "content": text}]
        return (await kit.ask(self.proxy, kit.post(json.dumps(body).encode(), path=path.encode()))).status


def _event(data: str, name: str = "") -> bytes:
    event = f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event.encode())


def _upstream(traffic: list[Traffic], pause_s: float) -> kit.Script:
    """Answer as a provider that counts tokens: as many as the request's text has characters."""

    async def script(peer: kit.Peer) -> None:
        while True:
            message = await peer.read_message()
            body = message.body.decode()
            size = len(body)
            if "overload" in body:
                reply = b'{"error":{"message":"the model is overloaded","type":"overloaded_error"}}'
                await peer.send(b"HTTP/1.1 529 Overloaded\r\nContent-Length: %d\r\n\r\n%b" % (len(reply), reply))
                continue
            await anyio.sleep(pause_s * (1 + size % 5))
            chat = b"chat" in message.start
            if chat:
                first, last = _event(CHAT_DELTA % '{"content":"Hi"}'), CHAT_USAGE % (size, size // 3, size + size // 3)
                end = _event(CHAT_DELTA % '{},"finish_reason":"stop"') + _event(last) + _event("[DONE]")
            else:
                first = _event(MESSAGE_START % (size, size * 9), "message_start")
                end = _event(MESSAGE_DELTA % (size // 3), "message_delta")
                end += _event('{"type":"message_stop"}', "message_stop")
            await peer.send(STREAM + first)
            if "hold" in body:
                await traffic[0].gate.wait()
            await anyio.sleep(pause_s * (3 + size % 11))
            await peer.send(end + b"0\r\n\r\n")

    return script


def _provider(name: str, origin: Origin, *protocols: Protocol, models: tuple[str, ...]) -> Provider:
    return Provider(
        name=name, origin=origin, endpoints=tuple(Endpoint(protocol=each) for each in protocols),
        models=tuple(ModelEntry(id=model) for model in models), api_key="secret-provider-key",
    )  # fmt: skip


@asynccontextmanager
async def traffic(
    *, pause_s: float = 0.0, api_keys: tuple[str, ...] = (), models: tuple[str, ...] = (), port: int = 0
) -> AsyncIterator[Traffic]:
    """Run a proxy with three providers, of which ``lab`` is down, and an Amp upstream."""
    found: list[Traffic] = []
    script = _upstream(found, pause_s)
    async with kit.scripted(script) as messages, kit.scripted(script) as chat, kit.scripted(script) as amp:
        rules = (
            Rule(source="claude-*haiku*", targets=("qwen3-coder:30b",), place=Place(FILE, 21, 5)),
            Rule(source="claude-opus-4-8", targets=("claude-sonnet-4-6", "qwen3-coder:30b"), place=Place(FILE, 22, 5)),
            Rule(source="^gpt-5", targets=("gpt-oss:120b",), regex=True, place=Place(FILE, 23, 5)),
            Rule(source="gemini-*", targets=("gpt-oss:120b",), place=Place(FILE, 24, 5)),
        )
        settings = Settings(
            source=FILE,
            listen=(TcpListen(port=port),),
            api_keys=api_keys,
            amp=Amp(origin=amp.origin, api_key="sgamp_secret", rules=rules),
            providers=(
                _provider("anthropic", messages.origin, "anthropic", models=("claude-sonnet-4-6", "claude-opus-5")),
                _provider("ollama", chat.origin, "openai-chat", models=("qwen3-coder:30b", "gpt-oss:120b", *models)),
                _provider("lab", await kit.closed_origin(), "openai-chat", models=("glm-5",)),
            ),
            timeouts=kit.times(),
        )
        async with running(settings, env={}) as proxy:
            found.append(Traffic(proxy))
            yield found[0]
            found[0].gate.set()


async def a_days_work(at: Traffic, rounds: int = 1) -> None:
    """Have agents ask what they ask: served, mapped, translated, paid, refused, failed, down."""
    amp = "/api/provider/anthropic/v1/messages"
    for number in range(rounds):
        text = "Look at the tests of the parser, and say why the third one fails. " * (3 + 5 * number)
        await at.ask("claude-sonnet-4-6", text=text)
        await at.ask("gpt-5-codex", "/v1/chat/completions", text=text * 3)
        await at.ask("claude-sonnet-4-6", amp, text=text)
        if number == 0:
            for _ in range(5):
                await at.ask("glm-5", "/v1/chat/completions")
            await at.ask("claude-opus-4-8", amp)
            await at.ask("mistral-large", "/v1/chat/completions")
        if number == rounds - 1:
            await at.ask("kimi-k2", "/api/provider/openai/v1/chat/completions", text="What changed?")
            await at.ask("claude-sonnet-4-6", text="overload")
        await at.ask("claude-haiku-4-5-20251001", text=text, thinking={"type": "enabled", "budget_tokens": 2000})
        await at.ask("claude-opus-5", text=text * 4)
        await at.ask("claude-opus-4-8", amp, text=text * 2)
        await at.ask("gemini-3-flash-preview", text=text * 2)
