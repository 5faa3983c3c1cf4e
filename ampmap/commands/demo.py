"""``ampmap demo``: sends one request of each kind through the real proxy to stand-in upstreams, and shows the outcome.

Decisions come from the proxy's own records, texts from the bytes that the client received, times from its clock.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio

from .._version import __version__
from ..http.dialer import Dialer
from ..http.headers import request_head
from ..http.pool import Pool
from ..net.address import split_url
from ..server import Server, running
from ..settings import Amp, Endpoint, Hop, Limits, ModelEntry, Protocol, Provider, Rule, Settings, TcpListen, Timeouts
from .scripted import Call, Reply
from .stand_in import StandIn, standing_in

_WORD_S = 0.04  # the pause between two words, so that an eye can follow
# A reply is searched for these members, in whatever wire format it comes.
_TEXT = re.compile(r'"(?:text|content|delta)": ?"((?:[^"\\]|\\.)*)"')
_MESSAGE = re.compile(r'"message": ?"((?:[^"\\]|\\.)*)"')
_MODEL = re.compile(r'"model": ?"([^"]*)"')
_CALLED = re.compile(r'"name": ?"([^"]*)"')
_ARGUMENTS = re.compile(r'"partial_json": ?"((?:[^"\\]|\\.)*)"')
_TOOL = {
    "name": "get_weather", "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}  # fmt: skip

_CALLS = Reply(calls=(Call("get_weather", {"city": "Paris"}),), pause_s=_WORD_S)

HELP = """\
Show the main job on stand-in providers inside this process: one request of each
kind, the decision about it, and the reply as it streams. It needs no key.

example:
  ampmap demo

exit codes: 0; 1 a request was not answered as its decision said
"""


@dataclass(frozen=True, slots=True)
class _Case:
    why: str
    path: str
    model: str
    stream: bool
    calls: bool = False


_CASES = (
    _Case("a provider lists this model", "/api/provider/anthropic/v1/messages", "claude-sonnet-4", True),
    _Case("the same, not streamed", "/api/provider/anthropic/v1/messages", "claude-sonnet-4", False),
    _Case("nobody lists it; a rule maps it", "/api/provider/anthropic/v1/messages", "claude-opus-4.5", True),
    _Case("mapped across vendors, not streamed", "/api/provider/openai/v1/chat/completions", "gpt-4.5", False),
    _Case("translated for a provider of another format", "/v1/messages", "gpt-4.5", True, calls=True),
    _Case("neither listed nor mapped: Amp serves it", "/api/provider/openai/v1/responses", "gpt-5-codex", True),
    _Case("the same, not streamed", "/api/provider/openai/v1/responses", "gpt-5-codex", False),
    _Case("asked outside Amp's paths: nobody may", "/v1/chat/completions", "gpt-5-codex", True),
    _Case("the same, not streamed", "/v1/chat/completions", "gpt-5-codex", False),
)  # fmt: skip


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs; the command has no options of its own."""
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    try:
        return anyio.run(demo)
    except BaseExceptionGroup as group:
        if group.split(BrokenPipeError)[1] is None:  # the reader of the output has left
            raise BrokenPipeError from group
        raise


async def demo() -> int:
    """Run the demonstration; return 0 when every request was answered as its decision promised."""
    logging.getLogger("ampmap").addHandler(logging.NullHandler())  # its warnings are shown beside the requests
    async with (
        standing_in("anthropic", word_s=_WORD_S) as anthropic,
        standing_in("gateway", word_s=_WORD_S, default=_CALLS) as gateway,
        standing_in("ampcode.com (stand-in)", word_s=_WORD_S) as amp,
        running(_settings(anthropic, gateway, amp), env={}) as proxy,
    ):
        _introduce(proxy, anthropic, gateway, amp)
        pool = Pool(Dialer({}, Limits(), 10.0), Limits(), Timeouts())
        right = 0
        for number, case in enumerate(_CASES, 1):
            right += await _show(number, case, proxy, pool)
        pool.close()
        journal = proxy.service.journal
        print(f"\n{journal.avoided} requests were served without Amp credits, {journal.paid} with.")
        print("Now with what you have: `ampmap init`, then `ampmap run claude`, or another agent.")
    return 0 if right == len(_CASES) else 1


def _settings(anthropic: StandIn, gateway: StandIn, amp: StandIn) -> Settings:
    def provider(stand_in: StandIn, protocols: tuple[Protocol, ...], *models: str) -> Provider:
        endpoints = tuple(Endpoint(protocol=protocol) for protocol in protocols)
        entries = tuple(ModelEntry(id=model) for model in models)
        origin, _ = split_url(stand_in.url)
        return Provider(name=stand_in.name, origin=origin, endpoints=endpoints, models=entries, api_key="demo-key")

    rules = (
        Rule(source="claude-opus-4.5", targets=("claude-sonnet-4",)),
        Rule(source="gpt-4.5", targets=("gemini-2.5-pro",)),
    )
    return Settings(
        listen=(TcpListen(host="127.0.0.1", port=0),),
        amp=Amp(origin=split_url(amp.url)[0], rules=rules),
        providers=(
            provider(anthropic, ("anthropic",), "claude-sonnet-4", "claude-haiku-4-5"),
            provider(gateway, ("openai-chat", "openai-responses", "gemini"), "gemini-2.5-pro"),
        ),
    )


def _introduce(proxy: Server, anthropic: StandIn, gateway: StandIn, amp: StandIn) -> None:
    print(f"ampmap {__version__} demo: everything runs on this machine, between stand-ins; no key is needed.\n")
    print(f"  {proxy.url}  ampmap")
    print(f"  {anthropic.url}  provider anthropic: claude-sonnet-4, claude-haiku-4-5")
    print(f"  {gateway.url}  provider gateway: gemini-2.5-pro")
    print(f"  {amp.url}  in place of ampcode.com, which would cost credits")
    print("\n  amp-model-mappings:\n    - {from: claude-opus-4.5, to: claude-sonnet-4}")
    print("    - {from: gpt-4.5, to: gemini-2.5-pro}")


async def _show(number: int, case: _Case, proxy: Server, pool: Pool) -> bool:
    """Send the request of a case and print what happens; tell whether it was answered as the decision promised."""
    kind = "streamed" if case.stream else "plain"
    print(f"\n{number}. {case.model}, {kind} - {case.why}\n   POST {case.path}")
    started, streamed, first_ms, body = time.perf_counter(), False, 0.0, ""
    print("   ", end="")
    async for piece in _request(case, proxy, pool):
        first_ms = first_ms or (time.perf_counter() - started) * 1e3
        body += piece
        if case.stream:
            for text in _TEXT.findall(piece):
                streamed = True
                if "completed" not in piece:  # the last event of Responses has the whole text once more
                    print(_unescaped(text), end="", flush=True)
    if not streamed:
        texts = _TEXT.findall(body) or _MESSAGE.findall(body)
        print(_unescaped(texts[0]) if texts else body, end="")
    record = proxy.service.journal.recent[-1]
    named = _MODEL.search(body)
    back = f'; the reply says "model": "{named[1]}"' if named else ""
    mapping = f"  {record.mapping}" if record.mapping else ""
    if case.calls and (called := _CALLED.search(body)):
        arguments = "".join(map(_unescaped, _ARGUMENTS.findall(body)))
        print(f"\n   -> calls {called[1]} {arguments}", end="")
    if record.translated:
        mapping += f"  translated {record.translated}"
    print(f"\n   = {record.route_type}{mapping}  by {record.source}, cost: {record.cost}, status {record.status}{back}")
    if record.hint:
        print(f"   ! {record.hint}")
    print(f"   = first byte after {first_ms:.1f} ms, whole reply after {(time.perf_counter() - started) * 1e3:.0f} ms")
    return record.outcome == ("rejected" if record.route_type == "NO_PROVIDER" else "ok")


def _unescaped(text: str) -> str:
    """Return the text of a JSON string without its quotes."""
    return str(json.loads(f'"{text}"'))


async def _request(case: _Case, proxy: Server, pool: Pool) -> AsyncIterator[str]:
    """Send one request as an agent would; yield the pieces of the reply as they come."""
    hop = Hop(split_url(proxy.url)[0])
    wire = pool.take(hop) or await pool.dial(hop)
    asked = {"model": case.model, "max_tokens": 99, "stream": case.stream,
             "messages": [{"role": "user", "content": "Who are you?"}],
             **({"tools": [_TOOL]} if case.calls else {})}  # fmt: skip
    body = json.dumps(asked).encode()
    lines = [(b"Host", hop.origin.authority.encode()), (b"Content-Type", b"application/json"),
             (b"Content-Length", b"%d" % len(body))]  # fmt: skip
    wire.begin(b"POST")
    await wire.send(request_head(b"POST", case.path.encode(), lines) + body)
    wire.asked()
    wire.await_head()
    await wire.next_head()
    while (piece := await wire.read()) is not None:
        yield piece.decode()
    pool.release(hop, wire)
