"""Requests and replies of every format in every other one: what the hub promises of all twelve pairs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replyevents import text

from ampmap.bodies.steps import finished
from ampmap.bodies.texts import Raw, dump, plain
from ampmap.errors import UpstreamBroken
from ampmap.formats.base import Asked, Dialect, ReplySink, ReplySource, Steps
from ampmap.formats.conversation import Call, Conversation, Media, Part, Result, Text, Tool, Turn
from ampmap.formats.events import Begin, Delta, End, Event, Failure, Start, Stop, Usage
from ampmap.formats.profile import Profile, Target
from ampmap.formats.registry import FORMATS
from ampmap.formats.translate import TranslatedStream, whole_reply

DIALECTS: dict[str, Dialect] = {name: known.dialect for name, known in FORMATS.items() if known.dialect is not None}
PAIRS = list(permutations(DIALECTS, 2))
MODELS = {"anthropic": "claude-opus-4-8", "gemini": "gemini-3-pro"}
PROFILE = Profile(mid_system="keep", effort=("low", "high"), files=True)

each_format = pytest.mark.parametrize("name", DIALECTS)
each_pair = pytest.mark.parametrize(("client", "provider"), PAIRS, ids=[f"{a}-on-{b}" for a, b in PAIRS])


def target(name: str) -> Target:
    return Target(model=MODELS.get(name, "model"), profile=PROFILE, maker="maker")


def written(name: str, conversation: Conversation) -> tuple[bytes, Asked]:
    found = finished(DIALECTS[name].write_request(conversation, target(name)))
    body = b"".join(found.pieces)
    return body, Asked(body=body, model="asked", path=found.path, query=found.query)


def read(name: str, asked: Asked) -> Conversation:
    found = finished(DIALECTS[name].read_request(asked))
    assert isinstance(found, Conversation)
    return found


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(str.strip)
TEXTS = WORDS | WORDS.map(lambda word: word * 400)
ARGUMENTS = st.dictionaries(WORDS, st.one_of(st.integers(), WORDS, st.booleans()), max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Return a conversation as agents have them: rounds of calls and results between what is said."""
    turns = [Turn("user", (Text(draw(TEXTS)),))]
    for number in range(draw(st.integers(0, 3))):
        said: list[Part] = [Text(draw(TEXTS))] if draw(st.booleans()) else []
        calls = [
            Call(
                f"call_{number}_{each}",
                draw(st.sampled_from(["read", "Bash"])),
                Raw(json.dumps(draw(ARGUMENTS)).encode()),
            )
            for each in range(draw(st.integers(0 if said else 1, 3)))
        ]
        turns.append(Turn("assistant", (*said, *calls)))
        results = [Result(call.id, (Text(draw(TEXTS)),), name=call.name) for call in calls]
        follows = [Text(draw(TEXTS))] if draw(st.booleans()) or not results else []
        turns.append(Turn("user", (*results, *follows)))
    tools = tuple(
        Tool(name=name, description="d", schema=Raw(b'{"type":"object","properties":{"a":{"type":"string"}}}'))
        for name in ("read", "Bash")
    )
    return Conversation(
        system=(Text(draw(TEXTS)),), turns=tuple(turns), tools=tools, stream=draw(st.booleans()), max_output=9000
    )


def told(conversation: Conversation) -> list[Any]:
    """Return what a conversation says, in a form that compares: neighbouring texts are one."""
    found: list[Any] = [("system", "".join(plain(text.text) for text in conversation.system))]
    for turn in conversation.turns:
        texts = ""
        for part in (*turn.parts, None):
            if isinstance(part, Text):
                texts += plain(part.text)
                continue
            if texts:
                found.append((turn.role, texts))
                texts = ""
            if isinstance(part, Call):
                found.append(("call", part.id, part.name, json.loads(b"".join(dump(part.arguments)))))
            elif isinstance(part, Result):
                told = "".join(plain(each.text) for each in part.parts if isinstance(each, Text))
                found.append(("result", part.id, part.name, told))
            elif isinstance(part, Media):
                found.append(("media", part.media_type, part.data and plain(part.data)))
    found += [(tool.name, plain(tool.description), tool.schema and tool.schema.load()) for tool in conversation.tools]
    return found


@each_format
@given(conversation=conversations())
def test_a_conversation_comes_back_as_it_went(name: str, conversation: Conversation) -> None:
    _, asked = written(name, conversation)

    assert told(conversation) == told(read(name, asked))


@each_pair
@given(conversation=conversations())
def test_a_request_survives_a_way_through_two_formats(client: str, provider: str, conversation: Conversation) -> None:
    _, asked = written(client, conversation)
    _, translated = written(provider, read(client, asked))

    found = read(provider, translated)
    assert told(conversation) == told(found)
    assert (conversation.stream, conversation.max_output) == (found.stream, found.max_output)


@each_pair
@given(conversation=conversations())
def test_the_same_conversation_is_the_same_bytes_and_a_further_turn_leaves_them(
    client: str, provider: str, conversation: Conversation
) -> None:
    def through(turns: tuple[Turn, ...]) -> tuple[bytes, list[str]]:
        each = Conversation(system=conversation.system, turns=turns, tools=conversation.tools, max_output=9000)
        body, _ = written(provider, read(client, written(client, each)[1]))
        key = next(key for key in ("messages", "input", "contents") if key in json.loads(body))
        return body, [json.dumps(_unmarked(message)) for message in json.loads(body)[key]]

    turns = conversation.turns
    more = (*turns, Turn("assistant", (Text("answer"),)), Turn("user", (Text("next"),)))
    first, messages = through(turns)
    assert first == through(turns)[0]
    assert messages == through(more)[1][: len(messages)]


def _unmarked(value: Any) -> Any:
    """Return messages without cache marks, and with one text block as a string."""
    if isinstance(value, list):
        return [_unmarked(each) for each in value]
    if isinstance(value, dict):
        return {key: _unmarked(each) for key, each in value.items() if key != "cache_control"}
    return value


IMAGE = Media(
    "image", "image/png", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


@each_pair
def test_an_image_arrives(client: str, provider: str) -> None:
    asked = written(client, Conversation(turns=(Turn("user", (Text("see"), IMAGE)),), max_output=9))[1]

    assert ("media", "image/png", IMAGE.data) in told(read(provider, written(provider, read(client, asked))[1]))


def call(*pieces: str, id_: str = "call_1", name: str = "read") -> list[Event]:
    return [Start("call", id_, name), *map(Delta, pieces), Stop()]


USAGE = Usage(10, 5, 4, None, None)
REPLIES: dict[str, list[Event]] = {
    "text": [*text("Hel", "lo 😀", "\n\"x\""), End("stop", USAGE)],
    "thinking": [Start("thinking"), Delta("h"), Delta("m"), Stop(), *text("ok"), End("stop", USAGE)],
    "calls": [*text("t"), *call('{"a":', '"\\u00e9"}'), *call("{}", id_="call_2", name="Bash"), End("calls", USAGE)],
    "a call alone": [*call('{"a":{"b":[1.0,2]}}'), End("calls", USAGE)],
    "a limit": [*text("half"), End("length", USAGE)],
}  # fmt: skip


def reply_options(name: str) -> Any:
    """Return what the writer of replies needs of a request in a format, for one that wants to see all there is."""
    tools = (Tool(name="read", schema=Raw(b"{}")), Tool(name="Bash", schema=Raw(b"{}")))
    asked = written(name, Conversation(turns=(Turn("user", (Text("x"),)),), tools=tools, stream=True, max_output=9))[1]
    body = json.loads(asked.body)
    if "contents" in body:
        body.setdefault("generationConfig", {})["thinkingConfig"] = {"includeThoughts": True}
    return read(
        name, Asked(body=json.dumps(body).encode(), model="asked", path=asked.path, query=asked.query)
    ).reply_options


def stream_of(name: str, events: Iterable[Event]) -> bytes:
    writer = DIALECTS[name].reply_writer(sink(name))
    return b"".join(map(writer.write, [Begin("reply-1"), *events]))


def sink(name: str) -> ReplySink:
    return ReplySink(
        model="asked", reply_options=reply_options(name), maker="maker", sent="sent", created=1_700_000_000
    )


def translated(client: str, provider: str) -> TranslatedStream:
    source = ReplySource(target=target(provider), names={})
    return TranslatedStream(DIALECTS[provider].reply_reader(source), DIALECTS[client].reply_writer(sink(client)))


def events_of(name: str, stream: bytes) -> list[Any]:
    """Read a stream, in a form that compares: blocks with their whole texts."""
    found: list[Any] = []
    reader = TranslatedStream(DIALECTS[name].reply_reader(ReplySource(target=target(name), names={})), _Noting(found))
    reader.feed(stream)
    reader.finish()
    return found


class _Noting:
    def __init__(self, found: list[Any]) -> None:
        self.found = found
        self.text = ""

    def write(self, event: Event) -> bytes:
        if isinstance(event, Start):
            self.found.append([event.kind, event.id, event.name])
            self.text = ""
        elif isinstance(event, Delta):
            self.text += event.text
        elif isinstance(event, Stop):
            is_call = self.found[-1][0] == "call"
            self.found[-1].append(json.loads(self.text or "{}") if is_call else self.text)
            if self.found[-1] == ["thinking", "", "", ""]:
                self.found.pop()  # a seal alone
        elif isinstance(event, End):  # some formats have no way to leave a number out
            usage = event.usage or Usage()
            self.found.append((event.reason, usage.input, usage.output, usage.cached or 0, usage.reasoning or 0))
        elif isinstance(event, Failure):
            self.found.append(event)
        return b""

    def whole(self, events: Iterable[Event]) -> Steps[Any]:
        raise NotImplementedError


def wanted(events: Iterable[Event]) -> list[Any]:
    found: list[Any] = []
    noting = _Noting(found)
    for event in events:
        noting.write(event)
    return found


@each_pair
@pytest.mark.parametrize("reply", REPLIES)
def test_a_streamed_reply_arrives(client: str, provider: str, reply: str) -> None:
    stream = translated(client, provider)
    out = stream.feed(stream_of(provider, REPLIES[reply])) + stream.finish()

    assert wanted(REPLIES[reply]) == events_of(client, out)


@each_pair
@pytest.mark.parametrize("reply", REPLIES)
def test_wherever_the_bytes_are_cut_the_reply_is_the_same(client: str, provider: str, reply: str) -> None:
    body = stream_of(provider, REPLIES[reply])

    def through(size: int) -> bytes:
        stream = translated(client, provider)
        return b"".join(stream.feed(body[at : at + size]) for at in range(0, len(body), size)) + stream.finish()

    assert {through(len(body))} == {through(size) for size in (1, 2, 5, 61)}


ENDS = {"anthropic": b"message_stop", "openai-chat": b"[DONE]", "openai-responses": b"response.completed",
        "gemini": b"finishReason"}  # fmt: skip


@each_pair
def test_a_stream_that_breaks_off_is_cut_and_has_no_end(client: str, provider: str) -> None:
    whole = stream_of(provider, REPLIES["calls"])
    first_call = whole.index(b"call_1")  # calls of Gemini's come whole, and may be all that comes
    for cut in range(0, first_call if provider == "gemini" else int(len(whole) * 0.6), 23):
        stream = translated(client, provider)
        out = stream.feed(whole[:cut])
        with pytest.raises(UpstreamBroken):
            stream.finish()
        assert ENDS[client] not in out


@each_pair
@pytest.mark.parametrize("reply", REPLIES)
def test_a_whole_reply_arrives(client: str, provider: str, reply: str) -> None:
    events = [Begin("reply-1"), *REPLIES[reply]]
    body = b"".join(dump(finished(DIALECTS[provider].reply_writer(sink(provider)).whole(events))))
    source = ReplySource(target=target(provider), names={})
    found = whole_reply(DIALECTS[provider].reply_reader(source), DIALECTS[client].reply_writer(sink(client)), body)
    assert isinstance(found, dict)

    loaded = json.loads(b"".join(dump(found)))
    again = DIALECTS[client].reply_reader(ReplySource(target=target(client), names={})).whole(loaded)
    assert wanted(REPLIES[reply]) == wanted(again)


@each_pair
@pytest.mark.parametrize("after", [[], text("said")], ids=["first", "later"])
def test_a_stated_error_becomes_the_clients(client: str, provider: str, after: list[Event]) -> None:
    stream = translated(client, provider)
    failed = Failure(529, "too busy", "overloaded")
    out = stream.feed(stream_of(provider, [*after, failed]))

    assert stream.failure is not None
    assert "too busy" == stream.failure.message
    assert stream.ended
    assert b"too busy" in out


@each_format
def test_thinking_is_shown_to_those_who_ask(name: str) -> None:
    assert ["thinking", "", "", "hm"] in events_of(name, stream_of(name, REPLIES["thinking"]))


def test_every_format_is_translated() -> None:
    assert FORMATS.keys() == DIALECTS.keys()
