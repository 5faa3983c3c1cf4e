"""Advice: the words fit the case, are the same everywhere, and work when pasted."""

from __future__ import annotations

import re
import shlex

import pytest
from policy import EVERYBODY, LOCAL, in_cooldown, provider, rule, snapshot
from ruamel.yaml import YAML

from ampmap.commands.explain import as_text
from ampmap.config.file import parse
from ampmap.routing.advice import (
    command,
    credits_hint,
    how_to_serve,
    nearest,
    no_provider,
    refused_credits,
    unavailable,
    yaml_line,
)
from ampmap.routing.decide import Ask, decide
from ampmap.routing.explain import explain
from ampmap.routing.snapshot import Availability, Offer, Snapshot
from ampmap.settings import Amp, Rule, When


@pytest.mark.parametrize(
    "model",
    ["gpt-5", "a b: c", 'q"uo\\te', "x, to: y}]", "# no", "mod\u00e8le", "\x1b[31m", "a\nb", "\u202e", "\x85",
     "\U000e0001", "null", "'", "a${B}", "$${x", "$a"],
)  # fmt: skip
def test_the_line_to_add_is_one_line_of_yaml_that_means_the_model(model: str) -> None:
    line = yaml_line(model, "target")

    assert line.isprintable()
    written = model.replace("${", "$${")  # a variable is not meant
    assert {"amp-model-mappings": [{"from": written, "to": "target"}]} == YAML(typ="safe", pure=True).load(line)
    if model.isprintable():
        (read,) = parse(line, "f.yaml", {}).settings.amp.rules
        assert (model, ("target",)) == (read.source, read.targets)


@pytest.mark.parametrize(
    "model", ["gpt-5", "vendor/m:x", "a b", "it's", "$(reboot)", "-m", "`x`", "m(high)", "m[1m]", ""]
)
def test_the_command_to_paste_means_the_model(model: str) -> None:
    dashes = ["--"] if model.startswith("-") else []

    assert ["ampmap", "map", "add", *dashes, model, "target"] == shlex.split(command(model, "target"))


_FISH = re.compile(r"""'((?:[^'\\]|\\['\\]|\\)*)'|"((?:[^"\\$]|\\["\\$])*)"|([\w./:@%+,=-]+)|(\s+)""")


def fish_words(line: str) -> list[str]:
    """Split a line into words as fish does, in whose single quotes a backslash escapes a quote and itself."""
    words, at = [""], 0
    while at < len(line):
        found = _FISH.match(line, at)
        assert found is not None, f"fish would read more than words: {line[at:]}"
        at = found.end()
        single, double, bare, blank = found.groups()
        if blank:
            words.append("")
        elif single is not None:
            words[-1] += re.sub(r"\\(['\\])", r"\1", single)
        else:
            words[-1] += bare or re.sub(r'\\(["\\$])', r"\1", double)
    return words


@pytest.mark.parametrize(
    "model", ["'; rm -rf ~; '", "\\'\";rm -rf ~;#", "a\\", "\\\\'", "$(x)`y`", "!!", "=ls", "a=b", "~/x"]
)
def test_the_command_means_the_model_in_every_shell(model: str) -> None:
    line = command(model, "target")

    assert ["ampmap", "map", "add", model, "target"] == shlex.split(line) == fish_words(line)
    assert " =" not in line, "zsh looks for a program of that name"


def test_no_provider_says_who_was_looked_at_and_what_to_do() -> None:
    chat, silent = provider("chat", "m", protocols=("openai-chat",), translate=False), provider("silent", discover=True)
    conditional = Rule(source="m", targets=("claude-sonnet-4",), when=When(tool_choice="t"))
    parts = (chat, LOCAL, silent, provider("asked", discover=True), rule("m", "gone"), rule("^m", "m", regex=True))
    found = snapshot(*parts, conditional)
    world = Availability(offers={"silent": Offer(error="it answers 500")})

    said = no_provider(decide(Ask("anthropic", "m"), found, world), found, world)

    for part in (
        "no provider serves 'm' in anthropic",
        "chat (lists it, but only in openai-chat (translate: false))",
        "local (does not list it)",
        "silent (its list of models could not be had: it answers 500)",
        "asked (does not list it)",
        "rule 'm' -> gone (no target is served in anthropic)",
        "rule '^m' (regex) -> m (chat lists m, but only in openai-chat (translate: false))",
        "its condition does not hold: tool-choice 't'",
        "ampmap map add m claude-sonnet-4",
        'amp-model-mappings: [{from: "m", to: "claude-sonnet-4"}]',
    ):
        assert part in said


def test_a_misspelt_name_gets_the_nearest_one_that_is_served() -> None:
    served = Offer(frozenset({"claude-sonnet-4-5", "qwen3-coder:30b", "gpt-5"}), learnt_at=1.0)
    found = snapshot(provider("asked", discover=True), provider("chat", "claude-sonet-4-6", protocols=("openai-chat",)))
    world = Availability(offers={"asked": served})

    for asked, meant in (("claude-sonet-4-5", "claude-sonnet-4-5"), ("QWEN3-CODER:30", "qwen3-coder:30b")):
        said = how_to_serve(Ask("anthropic", asked), found, world)
        assert said.startswith(f"Did you mean {meant!r}?")
        assert f"ampmap map add {asked} {meant}" in said


@pytest.mark.parametrize(
    ("name", "near"),
    [("gpt-5.1", None), ("claude-opus-4-8", None), ("gpt5", None), ("Gpt-4-turbo", "gpt-4-turbo"), ("x" * 256, None)],
)
def test_only_a_name_that_is_really_near_is_suggested(name: str, near: str | None) -> None:
    assert near == nearest(name, ["gpt-5-codex", "gpt-4-turbo", "claude-haiku-4-5", "y" * 256], lambda name: True)


def test_a_name_that_is_near_but_not_served_is_not_suggested() -> None:
    assert "gpt-5-codex" == nearest("gpt-5-codec", ["gpt-5-code", "gpt-5-codex"], lambda name: name.endswith("x"))


def test_of_very_many_names_few_are_looked_at() -> None:
    """The advice is asked for on the event loop, for each request that nobody serves."""
    names = [f"vendor/model-{number:05}" for number in range(20_000)]
    asked: list[str] = []

    def is_served(name: str) -> bool:
        asked.append(name)
        return True

    assert nearest("vendor/model-00001x", names, is_served) is not None
    assert 30 >= len(asked)


def test_without_a_provider_the_advice_is_to_configure_one() -> None:
    found = snapshot()
    said = no_provider(decide(Ask("gemini", "\x1bm"), found, EVERYBODY), found, EVERYBODY)

    assert "no provider is configured" in said
    assert "Configure a provider that serves it" in said
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
        return refused_credits(decide(Ask("anthropic", model, "anthropic"), found, EVERYBODY), found, EVERYBODY)

    assert "refused by amp-credits: refuse" in said("other")
    assert "To serve it yourself: ampmap map add other claude-sonnet-4 (or add amp-model-mappings: [" in said("other")
    assert "refused by rule 'm' -> gone" in said("m")
    assert "names no model" in said("") and "amp-model-mappings" not in said("")


def covered_and_waiting() -> tuple[Snapshot, Availability]:
    found = snapshot(provider("asked", discover=True), rule("m", "n"))
    return found, Availability(offers={"asked": Offer(error="connection refused")}, unlearnt=frozenset({"asked"}))


def test_a_covered_request_gets_no_second_rule() -> None:
    found, world = covered_and_waiting()
    decision = decide(Ask("anthropic", "m", "anthropic"), found, world)
    cooling = snapshot(LOCAL)
    tried = decide(Ask("anthropic", "both"), cooling, in_cooldown("local"))

    waits, down = unavailable(decision, world), unavailable(tried, in_cooldown("local"))

    assert "list of models of a provider that may serve it is unknown (asked: connection refused)" in waits
    assert "local is in cooldown until 14:02:07 UTC: refused" in down
    assert "" == how_to_serve(decision.ask, found, world) == how_to_serve(tried.ask, cooling, EVERYBODY)
    assert "map add" not in waits + down


def test_the_hint_the_refusal_the_404_and_explain_give_the_same_advice() -> None:
    found, ask = snapshot(LOCAL), Ask("anthropic", "unknown", "anthropic")
    said = how_to_serve(ask, found, EVERYBODY)
    decision = decide(ask, found, EVERYBODY)
    explained = as_text(explain("unknown", "anthropic", "anthropic", found, EVERYBODY), found, EVERYBODY)

    assert "ampmap map add unknown claude-sonnet-4" in said
    for words in (
        credits_hint(decision, found, EVERYBODY)[0],
        refused_credits(decision, found, EVERYBODY),
        no_provider(decision, found, EVERYBODY),
        explained,
    ):
        assert said in words
