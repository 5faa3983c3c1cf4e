"""What is held of every run of an Amp CLI, whatever it is about."""

from __future__ import annotations

import json
import re
from typing import Any

from . import clients
from .amp_cli import AMP_KEY, FORMATS, PROVIDER_KEY, SERVED, Outcome
from .amp_server import wire_of
from .asks import Format, read
from .origins import Arrival
from .replies import FINAL, TOOL_SAID
from .scenarios import Scenario
from .tap import Exchange, Message

# What belongs to one connection, or to one address, is not passed on as it is (RFC 9110 §7.6.1).
_OF_THE_HOP = ("host", "connection", "keep-alive", "transfer-encoding", "upgrade", "te")


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
    sent = sorted({read(wire, each.target, each.body).model for wire in FORMATS for each in outcome.seen[wire]})
    return (f"{client} {clients.version(client)}", scenario.name, f"{outcome.seconds:.1f}",
            ", ".join(asked) or "-", ", ".join(sent) or "-", seen)  # fmt: skip


# What must be so in every run, whatever it is about.


def assert_keys_stay_where_they_belong(outcome: Outcome) -> None:
    """No provider sees the Amp key, and neither Amp nor the CLI sees a provider's."""
    for wire in FORMATS:
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
    local = sum(len(outcome.seen[wire]) for wire in FORMATS)
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


def assert_only_the_name_changes(outcome: Outcome, wire: Format) -> None:
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
