"""Two mapped names, two providers of one format each, four formats of clients: nothing of it goes to Amp."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hub import CREATED, MAKER, dialect, read, write
from kit import answering, ask, post, proxying, record_of, scripted
from translated import speaking, streamed
from translating import events_of

from ampmap.bodies.texts import Raw
from ampmap.formats.base import ReplySink
from ampmap.formats.conversation import Call as Called
from ampmap.formats.conversation import Conversation, Result, Text, Tool, Turn
from ampmap.formats.events import Begin, Delta, End, Event, Start, Stop, Usage
from ampmap.formats.registry import FORMATS
from ampmap.settings import Rule

BOTH_LOOPS = True

RULES = (
    Rule(source="claude-opus-4.5", targets=("claude-sonnet-4",)),
    Rule(source="gpt-4.5", targets=("gemini-2.5-pro",)),
)
SERVED = {"claude-opus-4.5": ("anthropic", "claude-sonnet-4"), "gpt-4.5": ("gemini", "gemini-2.5-pro")}
REPLY: tuple[Event, ...] = (
    Start("text"), Delta("Look"), Delta("ing"), Stop(),
    Start("call", "call_1", "read"), Delta('{"path":'), Delta('"a"}'), Stop(), End("calls", Usage(9, 8, 0, None, None)),
)  # fmt: skip
TURNS = (
    Turn("user", (Text("read it"),)),
    Turn("assistant", (Called("call_0", "read", Raw(b'{"path":"b"}')),)),
    Turn("user", (Result("call_0", (Text("no such file"),), name="read"),)),
)
TOOL = Tool(name="read", description="Reads", schema=Raw(b'{"type":"object","properties":{"path":{"type":"string"}}}'))
CELLS = [(format, name) for format in FORMATS for name in SERVED]


def asked(format: str, model: str, prefix: str) -> tuple[bytes, bytes]:
    """Return a streaming request with a tool turn in it, and its body."""
    written = write(format, Conversation(turns=TURNS, tools=(TOOL,), stream=True, max_output=99))
    body = b"".join(written.pieces).replace(b"sent-model", model.encode())
    query = f"?{written.query}" if written.query else ""
    return post(body, path=f"{prefix}{written.path.format(model=model)}{query}".encode()), body


def provided(format: str) -> bytes:
    """Return the streamed reply of a provider."""
    conversation = read(format, b"".join(write(format, Conversation(turns=TURNS, tools=(TOOL,), max_output=9)).pieces))
    sink = ReplySink(model="m", reply_options=conversation.reply_options, maker=MAKER, sent="m", created=CREATED)
    writer = dialect(format).reply_writer(sink)
    return streamed([data for event in (Begin("reply-1"), *REPLY) if (data := writer.write(event))])


def shape(events: list[Event]) -> Iterator[Any]:
    """Yield blocks with their whole texts, and the end."""
    text = ""
    for event in events:
        if isinstance(event, Start):
            text = f"{event.kind} {event.name}:"
        elif isinstance(event, Delta):
            text += event.text
        elif isinstance(event, Stop):
            yield text
        elif isinstance(event, End):
            yield event.reason


@pytest.mark.parametrize("prefix", ["", "/api/provider/some"])
@pytest.mark.parametrize(("format", "name"), CELLS)
async def test_every_client_is_served_by_the_users_own_providers(format: str, name: str, prefix: str) -> None:
    provider, model = SERVED[name]
    async with AsyncExitStack() as stack:
        amp = await stack.enter_async_context(scripted(answering()))
        upstreams = {
            each: await stack.enter_async_context(scripted(answering(provided(each)))) for each, _ in SERVED.values()
        }
        providers = tuple(
            speaking(each, upstreams[each].origin, name=each, model=served) for each, served in SERVED.values()
        )
        proxy = await stack.enter_async_context(proxying(amp.origin, providers=providers, rules=RULES))
        request, _ = asked(format, name, prefix)
        reply = await ask(proxy, request)
        record = await record_of(proxy)

    assert [] == amp.seen
    assert 200 == reply.status
    assert ["text :Looking", 'call read:{"path":"a"}', "calls"] == [*shape(events_of(format, reply.body))]
    assert ("MODEL_MAPPING", "own", provider, model) == (
        record.route_type, record.cost, record.provider, record.resolved_model,
    )  # fmt: skip
    assert ("" if format == provider else f"{format} -> {provider}") == record.translated
    [sent] = upstreams[provider].seen
    told = json.loads(sent.body)
    assert "no such file" in json.dumps(told)
    assert name.encode() not in sent.body
