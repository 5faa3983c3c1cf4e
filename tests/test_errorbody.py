"""Errors of ampmap's own: in the asker's format, and with words that help."""

from __future__ import annotations

import json

import pytest
from policy import EVERYBODY, LOCAL, provider, rule, snapshot
from ruamel.yaml import YAML

from ampmap.configfile import parse
from ampmap.errorbody import (
    all_rest,
    amp_unreachable,
    error_body,
    no_provider,
    plain_body,
    reason_of,
    refused_credits,
    served_example,
    yaml_line,
)
from ampmap.facts import Facts
from ampmap.mapping import Availability, Offer
from ampmap.router import Ask, decide
from ampmap.settings import Amp, Protocol, Rule, When


@pytest.mark.parametrize(
    ("status", "anthropic", "openai", "gemini"),
    [
        (400, "invalid_request_error", ("invalid_request_error", None), "INVALID_ARGUMENT"),
        (401, "authentication_error", ("invalid_request_error", "invalid_api_key"), "UNAUTHENTICATED"),
        (403, "permission_error", ("invalid_request_error", "permission_denied"), "PERMISSION_DENIED"),
        (404, "not_found_error", ("invalid_request_error", "model_not_found"), "NOT_FOUND"),
        (413, "request_too_large", ("invalid_request_error", "request_too_large"), "INVALID_ARGUMENT"),
        (418, "invalid_request_error", ("invalid_request_error", None), "INVALID_ARGUMENT"),
        (500, "api_error", ("api_error", None), "INTERNAL"),
        (502, "api_error", ("api_error", None), "UNAVAILABLE"),
        (503, "api_error", ("api_error", None), "UNAVAILABLE"),
        (504, "timeout_error", ("api_error", None), "DEADLINE_EXCEEDED"),
        (599, "api_error", ("api_error", None), "INTERNAL"),
    ],
)
def test_an_error_wears_the_askers_format(
    status: int, anthropic: str, openai: tuple[str, str | None], gemini: str
) -> None:
    said = 'what "is"\nwrong \u202e'

    assert {"type": "error", "error": {"type": anthropic, "message": said}} == json.loads(
        error_body("anthropic", status, said)
    )
    askers: tuple[Protocol | None, ...] = ("openai-chat", "openai-responses", None)
    for asker in askers:
        assert {"error": {"message": said, "type": openai[0], "code": openai[1]}} == json.loads(
            error_body(asker, status, said)
        )
    assert {"error": {"code": status, "message": said, "status": gemini}} == json.loads(
        error_body("gemini", status, said)
    )


def test_amps_own_forms_keep_their_wording() -> None:
    assert b'{"error": "amp upstream proxy not available"}' == plain_body("amp upstream proxy not available")
    assert {
        "error": "amp_upstream_proxy_error",
        "message": "Failed to reach Amp upstream",
    } == json.loads(amp_unreachable())


@pytest.mark.parametrize(("status", "reason"), [(404, b"Not Found"), (502, b"Bad Gateway"), (599, b"")])
def test_a_status_has_its_standard_reason(status: int, reason: bytes) -> None:
    assert reason == reason_of(status)


@pytest.mark.parametrize(
    "model",
    ["gpt-5", "a b: c", 'q"uo\\te', "x, to: y}]", "# no", "mod\u00e8le", "\x1b[31m", "a\nb", "\u202e", "\x85",
     "\U000e0001", "null", "'"],
)  # fmt: skip
def test_the_line_to_add_is_one_line_of_yaml_that_means_the_model(model: str) -> None:
    line = yaml_line(model, "target")

    assert line.isprintable()
    assert {"amp-model-mappings": [{"from": model, "to": "target"}]} == YAML(typ="safe", pure=True).load(line)
    if model.isprintable():
        (read,) = parse(line, "f.yaml", {}).settings.amp.rules
        assert (model, ("target",)) == (read.source, read.targets)


def test_no_provider_says_who_was_looked_at_and_what_to_write() -> None:
    rests, chat = provider("rests", "m"), provider("chat", "m", protocols=("openai-chat",))
    silent = provider("silent", discover=True)
    conditional = Rule(source="m", targets=("claude-sonnet-4",), when=When(tool_choice="t"))
    found = snapshot(rests, chat, LOCAL, silent, provider("asked", discover=True), rule("m", "gone"), conditional)
    world = Availability(frozenset({"rests"}), {"silent": Offer(error="it answers 500")})
    ask = Ask("anthropic", "m", None, (), Facts())

    said = no_provider(decide(ask, found, world), found, world)

    for part in (
        "no provider serves 'm' in anthropic",
        "rests (lists it, but rests after failing to connect)",
        "chat (does not speak anthropic)",
        "local (does not list it)",
        "silent (could not be asked for its models: it answers 500)",
        "asked (does not list it)",
        "rule 'm' -> gone (no target is served in anthropic)",
        "its condition does not hold: tool-choice 't'",
        'amp-model-mappings: [{from: "m", to: "m"}]',
    ):
        assert part in said


def test_no_provider_without_any_says_so() -> None:
    found = snapshot()

    said = no_provider(decide(Ask("gemini", "\x1bm"), found, EVERYBODY), found, EVERYBODY)

    assert "no provider is configured" in said
    assert '"<a model you serve>"' in said
    assert said.isprintable()


def test_a_request_without_a_model_is_told_that_and_nothing_of_rules() -> None:
    found = snapshot(LOCAL, amp=Amp(origin=None))

    said = no_provider(decide(Ask("gemini", "", "google"), found, EVERYBODY), found, EVERYBODY)

    assert "names no model" in said
    assert "amp-model-mappings" not in said


def test_refused_credits_name_who_refused_and_what_would_serve() -> None:
    refusing = rule("m", "gone", credits="refuse")
    found = snapshot(LOCAL, refusing, amp=Amp(credits="refuse"))

    def said(model: str) -> str:
        return refused_credits(decide(Ask("anthropic", model, "anthropic"), found, EVERYBODY), found)

    assert "refused by amp-credits: refuse" in said("other")
    assert 'serve it yourself: amp-model-mappings: [{from: "other", to: "claude-sonnet-4"}]' in said("other")
    assert "refused by rule 'm' -> gone" in said("m")
    assert "names no model" in said("") and "amp-model-mappings" not in said("")


def test_the_example_is_a_model_that_is_served_in_the_askers_protocol() -> None:
    found = snapshot(provider("chat", "c", protocols=("openai-chat",)), provider("globs", "g*"), LOCAL)

    def example(protocol: Protocol | None) -> str:
        return served_example(decide(Ask(protocol, "x", "s"), found, EVERYBODY), found)

    assert ["c", "claude-sonnet-4", "c"] == [example("openai-chat"), example("gemini"), example(None)]


def test_a_want_that_is_only_a_rest_is_a_passing_one() -> None:
    found = snapshot(LOCAL, rule("opus", "claude-sonnet-4"))
    resting = Availability(frozenset({"local"}))

    for model, rests in (("opus", True), ("claude-sonnet-4", True), ("other", False)):
        decision = decide(Ask("anthropic", model), found, resting)
        assert rests == all_rest(decision, found, resting)
        assert not all_rest(decision, found, EVERYBODY)
