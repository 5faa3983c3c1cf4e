"""A further wire format with a dialect is translated to and from those that ampmap knows; they know nothing of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from kit import record_of, times

from ampmap.bodies.json_tree import members
from ampmap.bodies.texts import dump
from ampmap.commands.stand_in import standing_in
from ampmap.errors import UpstreamBroken
from ampmap.formats.base import Asked, Dialect, Json, ReplySink, ReplySource, Steps, WireFormat, Written
from ampmap.formats.conversation import Conversation, Text
from ampmap.formats.events import Begin, Delta, End, Event, Failure, Start, Stop
from ampmap.formats.profile import Target
from ampmap.formats.registry import FORMATS
from ampmap.formats.samples import event
from ampmap.formats.turns import Turns
from ampmap.server import running
from ampmap.settings import Amp, Endpoint, ModelEntry, Origin, Provider, Settings, TcpListen

KNOWN = {
    "anthropic": "/v1/messages",
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "gemini": "/v1beta/models/m:generateContent",
}


def _read_request(asked: Asked) -> Steps[Conversation]:
    body: dict[str, Any] = {}
    for member in members(asked.body):
        if member is None:
            yield
        else:
            body[member.key] = member.value
    turns = Turns()
    turns.system(Text(body["rules"]))
    for line in body["lines"]:
        turns.user([Text(line)])
    system, found = yield from turns.done()
    return Conversation(system=system, turns=found, stream=body["live"])


def _write_request(conversation: Conversation, target: Target) -> Steps[Written]:
    yield
    lines = [part.text for turn in conversation.turns for part in turn.parts if isinstance(part, Text)]
    body = {"model": target.model, "lines": lines, "live": conversation.stream}
    return Written(path="/v1/talk", pieces=list(dump(body)), names={})


class _Reader:
    def __init__(self, _: ReplySource) -> None:
        self._begun = False

    def feed(self, name: bytes, data: bytes) -> Iterator[Event]:
        found = json.loads(data)
        if not self._begun:
            self._begun = True
            yield Begin()
            yield Start("text")
        if said := found.get("said"):
            yield Delta(said)
        if found.get("over"):
            yield Stop()
            yield End("stop")

    def finish(self) -> Iterable[Event]:
        raise UpstreamBroken("it never said that it is over")

    def whole(self, reply: Any) -> Iterator[Event]:
        return self.feed(b"", json.dumps({**reply, "over": True}).encode())


class _Writer:
    def __init__(self, _: ReplySink) -> None:
        pass

    def write(self, found: Event) -> bytes:
        if isinstance(found, Delta):
            return event({"said": found.text})
        return event({"over": True}) if isinstance(found, End) else b""

    def whole(self, events: Iterable[Event]) -> Steps[Json]:
        yield
        return {"said": "".join(each.text for each in events if isinstance(each, Delta))}


def _failure(found: Failure) -> Json:
    return {"oops": found.message}


def _sample_events(model: str, words: list[str]) -> Iterator[bytes]:
    yield from (event({"said": f"{word} "}) for word in words)
    yield event({"over": True})


TALK = WireFormat(
    paths={"/v1/talk": "/v1/talk"},
    error=lambda status, message, code: {"oops": message},
    sample_reply=lambda model, text: {"said": text},
    sample_events=_sample_events,
    dialect=Dialect(
        paths=frozenset({"/v1/talk"}), read_request=_read_request, write_request=_write_request, reply_reader=_Reader,
        reply_writer=_Writer, failure=_failure,
    ),
)  # fmt: skip


async def asked(protocol: str, path: str, body: Json, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Json, str]:
    """Ask for ``m`` at the only provider, which speaks ``protocol``: the reply, what it was asked, the translation."""
    monkeypatch.setitem(FORMATS, "talk", TALK)
    async with standing_in("one") as upstream:
        origin = Origin("http", "127.0.0.1", int(upstream.url.rpartition(":")[2]))
        one = Provider(
            name="one", origin=origin, endpoints=(Endpoint(protocol=protocol),), models=(ModelEntry(id="m"),)
        )
        settings = Settings(
            listen=(TcpListen(port=0),), amp=Amp(origin=None), providers=(one,), timeouts=times()
        )  # fmt: skip
        async with running(settings, env={}) as proxy, httpx.AsyncClient(base_url=proxy.url) as client:
            reply = await client.post(path, json=body)
            assert 200 == reply.status_code, reply.text
            return reply.text, json.loads(upstream.seen[0].body), (await record_of(proxy)).translated


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("protocol", KNOWN)
async def test_its_clients_are_served_in_each_known_format(
    protocol: str, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {"model": "m", "rules": "Be brief", "lines": ["Who answers?"], "live": live}

    reply, sent, translated = await asked(protocol, "/v1/talk", request, monkeypatch)

    events = [json.loads(line.removeprefix("data: ")) for line in reply.splitlines() if line]
    assert "This is one, answering as m." == "".join(each.get("said", "") for each in events)
    assert live == ({"over": True} in events)
    assert "Be brief" in json.dumps(sent) and "Who answers?" in json.dumps(sent)
    assert f"talk -> {protocol}" == translated


@pytest.mark.parametrize("protocol", KNOWN)
async def test_clients_of_each_known_format_are_served_in_it(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = {"role": "user", "content": "Who answers?"}
    bodies: dict[str, Json] = {
        "openai-responses": {"model": "m", "input": [message]},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": "Who answers?"}]}]},
    }
    body = bodies.get(protocol, {"model": "m", "max_tokens": 9, "messages": [message]})

    reply, sent, translated = await asked("talk", KNOWN[protocol], body, monkeypatch)

    assert "This is one, answering as m." in reply
    assert {"model": "m", "lines": ["Who answers?"], "live": False} == sent
    assert f"{protocol} -> talk" == translated
