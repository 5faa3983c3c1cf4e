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
from ..bodies.event_stream import EventReader
from ..bodies.steps import finished
from ..bodies.texts import Raw
from ..formats.base import ReplySource
from ..formats.conversation import Call as Called
from ..formats.conversation import Conversation, Result, Text, Tool, Turn
from ..formats.events import Delta, Start
from ..formats.profile import Target
from ..formats.registry import FORMATS
from ..formats.translate import write_request
from ..http.dialer import Dialer
from ..http.headers import request_head
from ..http.pool import Pool
from ..net.address import split_url
from ..proxy.translation import dialect_of
from ..server import Server, running
from ..settings import Amp, Endpoint, Hop, Limits, ModelEntry, Protocol, Provider, Rule, Settings, TcpListen, Timeouts
from .scripted import Call, Reply
from .stand_in import StandIn, standing_in

_WORD_S = 0.04  # the pause between two words, so that an eye can follow
# A reply is searched for these members, in whatever wire format it comes.
_TEXT = re.compile(r'"(?:text|content|delta)": ?"((?:[^"\\]|\\.)*)"')
_MESSAGE = re.compile(r'"message": ?"((?:[^"\\]|\\.)*)"')
_MODEL = re.compile(r'"model(?:Version)?": ?"([^"]*)"')

_TOOL = Tool(
    name="get_weather",
    description="The weather in a city",
    schema=Raw(b'{"type":"object","properties":{"city":{"type":"string"}}}'),
)
_QUESTION = Turn("user", (Text("Does it rain in Paris?"),))
_CALLED = (
    Turn("assistant", (Called("call_1", _TOOL.name, Raw(b'{"city": "Paris"}')),)),
    Turn("user", (Result("call_1", (Text("rain"),), name=_TOOL.name),)),
)
_CALLS = Reply(text="I look. ", calls=(Call(_TOOL.name, {"city": "Paris"}),), pause_s=_WORD_S)
_ANSWERS = Reply(text="It rains in Paris.", pause_s=_WORD_S)

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


_CASES = (
    _Case("a provider lists this model", "/api/provider/anthropic/v1/messages", "claude-sonnet-4", True),
    _Case("the same, not streamed", "/api/provider/anthropic/v1/messages", "claude-sonnet-4", False),
    _Case("neither listed nor mapped: Amp serves it", "/api/provider/openai/v1/responses", "gpt-5-codex", True),
    _Case("asked outside Amp's paths: nobody may", "/v1/chat/completions", "gpt-5-codex", False),
)  # fmt: skip
_RULES = {"claude-opus-4.5": "claude-sonnet-4", "gpt-4.5": "gemini-2.5-pro"}


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
        standing_in("google", word_s=_WORD_S) as google,
        standing_in("ampcode.com (stand-in)", word_s=_WORD_S) as amp,
        running(_settings(anthropic, google, amp), env={}) as proxy,
    ):
        _introduce(proxy, anthropic, google, amp)
        pool = Pool(Dialer({}, Limits(), 10.0), Limits(), Timeouts())
        right, number = True, 0
        for number, case in enumerate(_CASES, 1):
            right &= await _show(number, case, proxy, pool)
        for provider, model in ((google, "gpt-4.5"), (anthropic, "claude-opus-4.5")):
            for protocol in FORMATS:
                number += 1
                provider.reply(_CALLS, _ANSWERS)
                print(f"\n{number}. {model}, streamed - asked in {protocol}, with a tool that the agent runs")
                right &= await _show_turn(protocol, model, (_QUESTION,), proxy, pool)
                right &= await _show_turn(protocol, model, (_QUESTION, *_CALLED), proxy, pool)
        pool.close()
        journal = proxy.service.journal
        print(f"\n{journal.avoided} requests were served without Amp credits, {journal.paid} with.")
        print("Now with what you have: `ampmap init`, then `ampmap run claude`, or another agent.")
    return 0 if right else 1


def _settings(anthropic: StandIn, google: StandIn, amp: StandIn) -> Settings:
    def provider(stand_in: StandIn, protocol: Protocol, *models: str) -> Provider:
        entries = tuple(ModelEntry(id=model) for model in models)
        origin, _ = split_url(stand_in.url)
        endpoints = (Endpoint(protocol=protocol),)
        return Provider(name=stand_in.name, origin=origin, endpoints=endpoints, models=entries, api_key="demo-key")

    rules = tuple(Rule(source=source, targets=(target,)) for source, target in _RULES.items())
    return Settings(
        listen=(TcpListen(host="127.0.0.1", port=0),),
        amp=Amp(origin=split_url(amp.url)[0], rules=rules),
        providers=(
            provider(anthropic, "anthropic", "claude-sonnet-4", "claude-haiku-4-5"),
            provider(google, "gemini", "gemini-2.5-pro"),
        ),
    )


def _introduce(proxy: Server, anthropic: StandIn, google: StandIn, amp: StandIn) -> None:
    print(f"ampmap {__version__} demo: everything runs on this machine, between stand-ins; no key is needed.\n")
    print(f"  {proxy.url}  ampmap")
    print(f"  {anthropic.url}  provider anthropic, which speaks anthropic alone: claude-sonnet-4, claude-haiku-4-5")
    print(f"  {google.url}  provider google, which speaks gemini alone: gemini-2.5-pro")
    print(f"  {amp.url}  in place of ampcode.com, which would cost credits")
    print("\n  amp-model-mappings:")
    for source, target in _RULES.items():
        print(f"    - {{from: {source}, to: {target}}}")


async def _show(number: int, case: _Case, proxy: Server, pool: Pool) -> bool:
    """Send the request of a case and print what happens; tell whether it was answered as the decision promised."""
    kind = "streamed" if case.stream else "plain"
    print(f"\n{number}. {case.model}, {kind} - {case.why}\n   POST {case.path}")
    started, streamed, first_ms, body = time.perf_counter(), False, 0.0, ""
    print("   ", end="")
    messages = [{"role": "user", "content": "Who are you?"}]
    asked = {"model": case.model, "max_tokens": 99, "stream": case.stream, "messages": messages}
    async for data in _sent(case.path, json.dumps(asked).encode(), proxy, pool):
        first_ms = first_ms or (time.perf_counter() - started) * 1e3
        piece = data.decode()
        body += piece
        if case.stream:
            for text in _TEXT.findall(piece):
                streamed = True
                if "completed" not in piece:  # the last event of Responses has the whole text once more
                    print(_unescaped(text), end="", flush=True)
    if not streamed:
        texts = _TEXT.findall(body) or _MESSAGE.findall(body)
        print(_unescaped(texts[0]) if texts else body, end="")
    return _show_outcome(proxy, body, first_ms, started)


async def _show_turn(protocol: Protocol, model: str, turns: tuple[Turn, ...], proxy: Server, pool: Pool) -> bool:
    """Send a conversation with a tool in a wire format, as its agents do, and print the reply as they read it."""
    dialect, target = dialect_of(protocol), Target(model=model, profile=FORMATS[protocol].profile, maker="")
    asked = Conversation(turns=turns, tools=(_TOOL,), stream=True, max_output=99)
    written = finished(write_request(dialect, asked, target))
    path = written.path.format(model=model) + (f"?{written.query}" if written.query else "")
    reader, events = dialect.reply_reader(ReplySource(target=target, names=written.names)), EventReader()
    started, first_ms, body = time.perf_counter(), 0.0, b""
    print(f"   POST {path}\n   ", end="")
    async for data in _sent(path, b"".join(written.pieces), proxy, pool):
        first_ms = first_ms or (time.perf_counter() - started) * 1e3
        body += data
        for name, content in events.feed(data):
            for event in reader.feed(name, content):
                if isinstance(event, Start) and event.kind == "call":
                    print(f"\n   -> calls {event.name} ", end="")
                elif isinstance(event, Delta):
                    print(event.text, end="", flush=True)
    return _show_outcome(proxy, body.decode(), first_ms, started)


def _show_outcome(proxy: Server, body: str, first_ms: float, started: float) -> bool:
    """Print the decision about the last request; tell whether it was answered as the decision promised."""
    record = proxy.service.journal.recent[-1]
    named = _MODEL.search(body)
    back = f'; the reply says "model": "{named[1]}"' if named else ""
    mapping = f"  {record.mapping}" if record.mapping else ""
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


async def _sent(path: str, body: bytes, proxy: Server, pool: Pool) -> AsyncIterator[bytes]:
    """Send one request as an agent would; yield the pieces of the reply as they come."""
    hop = Hop(split_url(proxy.url)[0])
    wire = pool.take(hop) or await pool.dial(hop)
    lines = [(b"Host", hop.origin.authority.encode()), (b"Content-Type", b"application/json"),
             (b"Content-Length", b"%d" % len(body))]  # fmt: skip
    wire.begin(b"POST")
    await wire.send(request_head(b"POST", path.encode(), lines) + body)
    wire.asked()
    wire.await_head()
    await wire.next_head()
    while (piece := await wire.read()) is not None:
        yield piece
    pool.release(hop, wire)
