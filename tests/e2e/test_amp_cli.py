"""The real Amp CLI, old and new, asks for models through ampmap: who is asked what, who sees which key."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from . import clients
from .amp_cli import AMP_KEY, PROVIDER_KEY, SERVED, WIRES, Outcome, Run
from .amp_server import Arrival, wire_of
from .conftest import TABLE
from .replies import FINAL, THOUGHT, TOOL_SAID, Wire, read
from .tap import Exchange, Message

CHAT = "^(grok|accounts/fireworks/|moonshotai/|kimi|gpt-oss)"
# The small model of titles is nobody's here: it shows what goes to Amp and is paid with credits.
RULES: tuple[tuple[str, Wire], ...] = (
    ("^claude-(opus|sonnet)", "anthropic"),
    ("^gpt-5", "openai-responses"),
    ("^gemini-", "gemini"),
    (CHAT, "openai-chat"),
)
HAIKU: tuple[tuple[str, Wire], ...] = (("^claude-haiku", "anthropic"),)
TITLE_MODEL = "claude-haiku-4-5-20251001"

# What belongs to one connection, or to one address, is not passed on as it is (RFC 9110 §7.6.1).
_OF_THE_HOP = ("host", "connection", "keep-alive", "transfer-encoding", "upgrade", "te")


@dataclass(frozen=True)
class Scenario:
    """One way to run a classic CLI; ``wire`` is where its main model should be asked for, ``route`` how."""

    name: str
    wire: Wire
    route: str = "MODEL_MAPPING"
    mode: str | None = None
    model: str | None = None  # the undocumented setting amp.internal.model, "provider:model"
    clients: tuple[str, ...] = clients.CLASSIC
    mute: tuple[str, ...] = ()  # clients that refuse --stream-json here
    prompt: str = "say hello"
    rules: tuple[tuple[str, Wire], ...] = RULES
    options: dict[str, Any] = field(default_factory=dict)  # of Run

    def run(self, client: str) -> Run:
        """Return what to run."""
        arguments = ["-x", self.prompt]
        if self.mode is not None:
            arguments += ["-m", self.mode]
        if client not in self.mute:
            arguments += ["--stream-json"]
        rules = "".join(f"  - {{from: '{name}', to: {SERVED[wire]}, regex: true}}\n" for name, wire in self.rules)
        settings = {} if self.model is None else {"amp.internal.model": self.model}
        return Run(clients.command(client), tuple(arguments), rules, settings, **self.options)


LATER = ("mid", "new")
TOOL_TURN = [
    Scenario("smart", "anthropic", mode="smart"),
    Scenario("rush", "anthropic", mode="rush", mute=("old",), rules=(*RULES, *HAIKU)),
    Scenario("large", "anthropic", mode="large", mute=("old",)),
    Scenario("deep", "openai-responses", mode="deep", clients=LATER),
    Scenario("anthropic", "anthropic", model="anthropic:claude-sonnet-4-5"),
    Scenario("openai", "openai-responses", model="openai:gpt-5.1"),
    Scenario("vertexai", "gemini", model="vertexai:gemini-3-pro-preview"),
    Scenario("xai", "openai-chat", model="xai:grok-code-fast-1"),
    Scenario("fireworks", "openai-chat", model="fireworks:accounts/fireworks/models/glm-5"),
    Scenario("groq", "openai-chat", model="groq:moonshotai/kimi-k2-instruct-0905"),
    Scenario("moonshotai", "openai-chat", model="moonshotai:kimi-k2-instruct-0905"),
    Scenario("baseten", "openai-chat", model="baseten:moonshotai/Kimi-K2.5", clients=LATER),
    Scenario("served", "anthropic", "LOCAL_PROVIDER", model=f"anthropic:{SERVED['anthropic']}"),
]
# The CLI itself never ends with this one: it gets no stop reason out of a text answer.
ENDLESS = [Scenario("cerebras", "openai-chat", model="cerebras:gpt-oss-120b", options={"enough": 2, "limit_s": 20.0})]
LONG = [
    Scenario("60 kB prompt", "anthropic", prompt="say hello, and pay no attention to this: " + "lorem ipsum " * 5000)
]
UNMAPPED = [Scenario("unmapped", "anthropic", "AMP_CREDITS", model="anthropic:nobody-serves-this")]
REFUSED = [
    Scenario(
        "refused", "anthropic", "AMP_CREDITS", model="anthropic:nobody-serves-this",
        options={"more": "amp-credits: refuse\n"},
    )
]  # fmt: skip
# Later releases ask nobody for a model when their own server does not answer.
UNSERVED = [
    Scenario(
        "unserved", "anthropic", "NO_PROVIDER", model="anthropic:nobody-serves-this", clients=("old",),
        options={"upstream": False},
    )
]  # fmt: skip
CUT = [Scenario("cut stream", "anthropic", options={"manner": "cut"})]
MISSPELT = [Scenario("tool 'bash'", "anthropic", options={"manner": "lower-case"})]
UNSIGNED = [Scenario("unsigned thought", "anthropic", options={"manner": "unsigned"})]
NEO = Scenario("neo", "anthropic", clients=("neo",), mute=("neo",), options={"limit_s": 25.0})


def each(scenarios: list[Scenario]) -> pytest.MarkDecorator:
    """Parametrize a test with scenarios on each of their clients."""
    cases = [
        pytest.param(client, scenario, id=f"{client}-{scenario.name}")
        for client in clients.VERSIONS
        for scenario in scenarios
        if client in scenario.clients
    ]
    return pytest.mark.parametrize(("client", "scenario"), cases)


class Runs:
    """All runs, two at a time."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._made: dict[tuple[str, str], Future[Outcome]] = {}

    def begin(self, client: str, scenario: Scenario) -> Future[Outcome]:
        """Return the run's future; one run is made only once."""
        key = (client, scenario.name)
        if key not in self._made:
            self._made[key] = self._pool.submit(lambda: clients.run(scenario.run(client)))
        return self._made[key]

    def get(self, client: str, scenario: Scenario) -> Outcome:
        """Return what was seen; skip the test where the machine lacks a part."""
        try:
            return self.begin(client, scenario).result()
        except clients.Lacking as exc:
            pytest.skip(str(exc))


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """Begin all the runs that the collected tests will ask for."""
    pool = ThreadPoolExecutor(2)
    made = Runs(pool)
    for item in request.session.items:
        params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        client, scenario = params.get("client"), params.get("scenario")
        if isinstance(client, str) and isinstance(scenario, Scenario):
            made.begin(client, scenario)
    yield made
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def table(request: pytest.FixtureRequest) -> list[tuple[str, ...]]:
    """The rows that are shown at the end."""
    return request.config.stash.setdefault(TABLE, [])


# What a run was like.


def is_model(asked: Message) -> bool:
    """Tell whether a request of the CLI names a model."""
    return asked.method == "POST" and asked.target.startswith("/api/provider/") and wire_of(asked.target) is not None


def model_calls(outcome: Outcome) -> list[tuple[str, Exchange]]:
    """Return the model requests of the CLI, as it sent them to ampmap, with the names that it asked for."""
    return [(_asked_for(each.asked), each) for each in outcome.passed if is_model(each.asked)]


def main_calls(outcome: Outcome) -> list[tuple[str, Exchange]]:
    """Return the model requests without the one for a title."""
    return [(name, each) for name, each in model_calls(outcome) if b'"set_title"' not in each.asked.body]


def _asked_for(asked: Message) -> str:
    wire = wire_of(asked.target)
    assert wire is not None
    return read(wire, asked.target, asked.body).model


def names_in(reply: Message) -> set[str]:
    """Return the names that a reply gives its model."""
    return set(re.findall(r'"model(?:Version)?"\s*:\s*"([^"]*)"', reply.body.decode()))


def result(outcome: Outcome) -> dict[str, Any]:
    """Return the last line of ``--stream-json``."""
    last = outcome.events[-1] if outcome.events else {}
    assert last.get("type") == "result", (outcome.status, outcome.stdout, outcome.stderr, outcome.log)
    return last


def row(client: str, scenario: Scenario, outcome: Outcome, seen: str) -> tuple[str, ...]:
    """Make a line of the table."""
    asked = sorted({name for name, _ in main_calls(outcome)})
    sent = sorted({read(wire, each.target, each.body).model for wire in WIRES for each in outcome.seen[wire]})
    return (f"{client} {clients.version(client)}", scenario.name, f"{outcome.seconds:.1f}",
            ", ".join(asked) or "-", ", ".join(sent) or "-", seen)  # fmt: skip


# What must be so in every run, whatever it is about.


def assert_keys_stay_where_they_belong(outcome: Outcome) -> None:
    """No provider sees the Amp key, and neither Amp nor the CLI sees a provider's."""
    for wire in WIRES:
        for arrival in outcome.seen[wire]:
            assert AMP_KEY.encode() not in arrival.everything()
            assert arrival.header("authorization") == f"Bearer {PROVIDER_KEY}"
            assert (arrival.header("x-api-key"), arrival.header("x-goog-api-key")) == (None, None)
            assert "context-1m" not in (arrival.header("anthropic-beta") or "")
    for arrival in outcome.seen["amp"]:
        assert PROVIDER_KEY.encode() not in arrival.everything()
    for passed in outcome.passed:
        assert passed.reply is None or PROVIDER_KEY.encode() not in passed.reply.body


def assert_amp_gets_and_says_the_same_bytes(outcome: Outcome) -> None:
    """What is not a provider's reaches Amp, and its replies reach the CLI, byte for byte."""
    local = sum(len(outcome.seen[wire]) for wire in WIRES)
    to_amp = [each for each in outcome.passed if not _was_served(each, outcome)]
    assert len(outcome.passed) == local + len(to_amp)
    left = sorted(_as_sent(each.asked) for each in to_amp)
    came = sorted(_as_came(each) for each in outcome.seen["amp"])
    assert came == left
    heard = sorted((each.asked.target, each.reply.body) for each in to_amp if each.reply is not None)
    said = sorted((each.target, each.reply) for each in outcome.seen["amp"])
    assert [each for each in heard if each not in said] == []


def _was_served(passed: Exchange, outcome: Outcome) -> bool:
    """Tell by ampmap's records whether a request was a provider's: they name the model and the route."""
    if not is_model(passed.asked):
        return False
    name = _asked_for(passed.asked)
    routes = {record["route_type"] for record in outcome.records if record["requested_model"] == name}
    assert len(routes) == 1, (name, routes)
    return routes <= {"MODEL_MAPPING", "LOCAL_PROVIDER"}


def _as_sent(asked: Message) -> tuple[str, str, bytes, list[tuple[str, str]]]:
    return asked.method, asked.target, asked.body, _fields(asked.headers)


def _as_came(arrival: Arrival) -> tuple[str, str, bytes, list[tuple[str, str]]]:
    return arrival.method, arrival.target, arrival.body, _fields(arrival.headers)


def _fields(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return sorted((name.lower(), value) for name, value in headers if name.lower() not in _OF_THE_HOP)


def assert_only_the_name_changes(outcome: Outcome, wire: Wire) -> None:
    """A provider gets the CLI's bytes under the name that it serves; the CLI gets them back under its own."""
    served = SERVED[wire]
    calls = [(name, each) for name, each in model_calls(outcome) if _was_served(each, outcome)]
    calls = [(name, each) for name, each in calls if wire_of(each.asked.target) == wire]
    expected = [_renamed(each.asked.body, name, served) for name, each in calls]
    assert sorted(arrival.body for arrival in outcome.seen[wire]) == sorted(expected)
    for name, passed in calls:
        assert passed.reply is not None
        assert names_in(passed.reply) == {name}
        assert name == served or served.encode() not in passed.reply.body
    for arrival in outcome.seen[wire]:
        assert read(wire, arrival.target, arrival.body).model == served


def _renamed(body: bytes, name: str, served: str) -> bytes:
    """Put ``served`` in the place of the body's one top-level model name."""
    if "model" not in json.loads(body):
        return body  # the path has it
    renamed, times = re.subn(rb'("model":\s*")%b"' % re.escape(name).encode(), rb'\g<1>%b"' % served.encode(), body)
    assert times == 1
    return renamed


def assert_a_tool_ran_and_the_last_word_came(client: str, scenario: Scenario, outcome: Outcome) -> None:
    """The CLI ran the model's command, gave it the output, and ended with the model's answer."""
    said = f"{outcome.stdout}\n{outcome.stderr}\n{outcome.log}"
    assert outcome.status == 0, said
    if client in scenario.mute:
        assert outcome.stdout.strip() == FINAL
        return
    last = result(outcome)
    assert (last["is_error"], last.get("result")) == (False, FINAL), said
    kinds = [event["type"] for event in outcome.events]
    assert kinds == ["system", "user", "assistant", "user", "assistant", "result"]
    assert TOOL_SAID in json.dumps(outcome.events[3])


# The tests.


@each(TOOL_TURN)
def test_the_cli_runs_to_its_end_on_a_provider(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = runs.get(client, scenario)

    assert_a_tool_ran_and_the_last_word_came(client, scenario, outcome)
    turns = [each for each in outcome.seen[scenario.wire] if b'"set_title"' not in each.body]
    assert [TOOL_SAID.encode() in each.body for each in turns] == [False, True]
    calls = main_calls(outcome)
    assert len(calls) == 2
    asked = {name for name, _ in calls}
    if scenario.model is not None:  # the first client asks groq for moonshotai's models, under another name
        assert all(name.endswith(scenario.model.partition(":")[2]) for name in asked)
    routes = [record for record in outcome.records if record["requested_model"] in asked]
    assert {(record["route_type"], record["outcome"]) for record in routes} == {(scenario.route, "ok")}
    assert_only_the_name_changes(outcome, scenario.wire)
    assert_keys_stay_where_they_belong(outcome)
    assert_amp_gets_and_says_the_same_bytes(outcome)
    title = {record["route_type"] for record in outcome.records if record["requested_model"] == TITLE_MODEL}
    assert title == ({"MODEL_MAPPING"} if HAIKU[0] in scenario.rules else {"AMP_CREDITS"})
    paid = [each for each in outcome.seen["amp"] if each.target.startswith("/api/provider/")]
    assert len(paid) == (0 if HAIKU[0] in scenario.rules else 1)
    table.append(row(client, scenario, outcome, f"{scenario.route}: tool ran, answer came, title {title.pop()}"))


@each(ENDLESS)
def test_a_provider_that_the_cli_never_ends_with_is_mapped_all_the_same(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = runs.get(client, scenario)

    assert outcome.status is None
    assert [TOOL_SAID.encode() in each.body for each in outcome.seen[scenario.wire]] == [False, True]
    assert_only_the_name_changes(outcome, scenario.wire)
    assert_keys_stay_where_they_belong(outcome)
    assert_amp_gets_and_says_the_same_bytes(outcome)
    assert "/api/provider/cerebras/v1/tcp_warming" in {each.target for each in outcome.seen["amp"]}
    table.append(row(client, scenario, outcome, "tool ran, answer delivered; the CLI never ends by itself"))


@each(LONG)
def test_threads_over_25_kb_pass_as_the_gzip_that_they_are(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = runs.get(client, scenario)

    assert_a_tool_ran_and_the_last_word_came(client, scenario, outcome)
    assert_only_the_name_changes(outcome, scenario.wire)
    assert_keys_stay_where_they_belong(outcome)
    assert_amp_gets_and_says_the_same_bytes(outcome)
    zipped = [each for each in outcome.seen["amp"] if each.header("content-encoding") == "gzip"]
    assert {each.target for each in zipped} == {"/api/internal?uploadThread"}
    threads = [gzip.decompress(each.body) for each in zipped]
    assert all(scenario.prompt in thread.decode() for thread in threads)
    sizes = f"{len(zipped[-1].body)} of {len(threads[-1])} bytes"
    table.append(row(client, scenario, outcome, f"{len(zipped)} uploadThread as gzip, {sizes}, untouched"))


@each(UNMAPPED)
def test_a_model_that_nobody_serves_is_asked_of_amp_untouched(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = runs.get(client, scenario)

    assert_a_tool_ran_and_the_last_word_came(client, scenario, outcome)
    assert [outcome.seen[wire] for wire in WIRES] == [[]] * len(WIRES)
    assert_keys_stay_where_they_belong(outcome)
    assert_amp_gets_and_says_the_same_bytes(outcome)
    paid = [each for each in outcome.seen["amp"] if each.target.startswith("/api/provider/")]
    assert {each.header("x-api-key") or each.header("authorization") for each in paid} == {AMP_KEY}
    records = [record for record in outcome.records if record["route_type"] == "AMP_CREDITS"]
    assert len(records) == len(paid) == 3
    assert {(record["level"], record["cost"]) for record in records} == {("warning", "amp_credits")}
    table.append(row(client, scenario, outcome, f"AMP_CREDITS: {len(paid)} warnings, answer came from Amp"))


@each(REFUSED)
def test_refused_credits_are_an_error_that_the_cli_shows_and_nothing_is_asked_of_amp(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = runs.get(client, scenario)

    last = result(outcome)
    assert last["is_error"] is True
    assert "Amp credits are refused" in last["error"]
    assert 'from: \\"nobody-serves-this\\"' in last["error"] or 'from: "nobody-serves-this"' in last["error"]
    assert [each for each in outcome.seen["amp"] if each.target.startswith("/api/provider/")] == []
    assert len(main_calls(outcome)) == 1
    table.append(row(client, scenario, outcome, "403 shown, with the rule to write; no credits"))


@each(UNSERVED)
def test_without_an_amp_upstream_the_cli_shows_why_nobody_serves_its_model(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = runs.get(client, scenario)

    unserved = [record for record in outcome.records if record["route_type"] == scenario.route]
    assert {400} == {record["status"] for record in unserved}, outcome.log
    last = result(outcome)
    assert last["is_error"] is True
    message = unserved[-1]["detail"]
    assert message in last["error"] or json.dumps(message)[1:-1] in last["error"]
    assert outcome.seconds < 20
    table.append(row(client, scenario, outcome, f"400 shown, whole, after {len(unserved)} requests"))


@each(CUT)
def test_a_stream_that_breaks_off_ends_the_cli_with_an_error_instead_of_hanging_it(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = runs.get(client, scenario)

    assert outcome.status is not None, "the CLI hangs"
    last = result(outcome)
    assert last["is_error"] is True
    assert_keys_stay_where_they_belong(outcome)
    table.append(row(client, scenario, outcome, f"ends with an error: {last['error'][:40]}"))


@each(MISSPELT)
def test_a_tool_that_the_provider_misspells_runs_all_the_same(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = runs.get(client, scenario)

    assert any(b'"bash"' in each.reply for each in outcome.seen[scenario.wire])
    assert_a_tool_ran_and_the_last_word_came(client, scenario, outcome)
    assert_only_the_name_changes(outcome, scenario.wire)
    table.append(row(client, scenario, outcome, "tool ran under its own name, answer came"))


@each(UNSIGNED)
def test_a_thought_without_a_signature_is_shown_but_never_sent_back(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = runs.get(client, scenario)

    assert outcome.status == 0
    assert (result(outcome)["is_error"], result(outcome)["result"]) == (False, FINAL)
    turns = [each for each in outcome.seen[scenario.wire] if b'"set_title"' not in each.body]
    [(name, second)] = [call for call in main_calls(outcome) if TOOL_SAID.encode() in call[1].asked.body]
    assert THOUGHT.encode() in second.asked.body, "the CLI does not echo it: nothing is shown here"
    assert [TOOL_SAID.encode() in each.body for each in turns] == [False, True]
    expected = json.loads(_renamed(second.asked.body, name, SERVED[scenario.wire]))
    for message in expected["messages"]:
        message["content"] = [block for block in message["content"] if block["type"] != "thinking"]
    assert json.loads(turns[1].body) == expected
    table.append(row(client, scenario, outcome, "the CLI echoes it, the provider does not get it; answer came"))


@each([NEO])
def test_neo_reaches_amp_unharmed_and_no_provider(
    client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]
) -> None:
    outcome = runs.get(client, scenario)

    calls = {each.target for each in outcome.seen["amp"]}
    assert {"/api/internal?getUserInfo", "/api/internal?loadPlugins", "/api/thread-actors"} <= calls
    assert [outcome.seen[wire] for wire in WIRES] == [[]] * len(WIRES)
    plain = [each for each in outcome.passed if each.asked.header("upgrade") is None]
    came = [each for each in outcome.seen["amp"] if not each.target.startswith("/actors/gateway/")]
    assert sorted(map(_as_came, came)) == sorted(_as_sent(each.asked) for each in plain)
    table.append(row(client, scenario, outcome, f"{len(came)} calls reached Amp untouched"))


@each([NEO])
def test_neo_gets_its_websocket(client: str, scenario: Scenario, runs: Runs, table: list[tuple[str, ...]]) -> None:
    outcome = runs.get(client, scenario)

    offers = [each for each in outcome.passed if (each.asked.header("upgrade") or "").lower() == "websocket"]
    if not offers:
        pytest.skip(f"{clients.version(client)} offers no WebSocket")
    assert {each.reply.status for each in offers if each.reply is not None} == {101}
    sockets = [each for each in outcome.seen["amp"] if each.status == 101]
    assert sorted(map(_as_came, sockets)) == sorted(
        (*_as_sent(each.asked)[:2], b"", _fields(each.asked.headers)) for each in offers
    )
    assert {each.header("upgrade") for each in sockets} == {"websocket"}
    replies = [each.reply for each in offers if each.reply is not None]
    assert all(reply.body.startswith(b"\x89\x04ping") for reply in replies)
    # Whether it answers the ping before it says goodbye is the CLI's own race; what it says must arrive, and all of it.
    sent = sorted(each.asked.body for each in offers)
    assert all(sent)
    assert sorted(each.reply for each in sockets) == sent
    table.append(row(client, scenario, outcome, f"{len(sockets)} WebSocket(s) tunnelled, whole both ways"))
