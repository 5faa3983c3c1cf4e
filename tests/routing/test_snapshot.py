"""Rules and providers compiled: suffixes, the order of rules, who lists a model, what is skipped with a warning."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy import EVERYBODY, in_cooldown, provider, rule, snapshot

from ampmap.errors import Place
from ampmap.routing.snapshot import Availability, Offer, Snapshot, compile_snapshot, fold
from ampmap.settings import Amp, Rule, Settings, When

# Rules.


def matching(model: str, *rules: Rule) -> list[str]:
    """Return the first targets of the rules that match, in their order."""
    return [found.targets[0] for found in snapshot(*rules).rules_for(model)]


@pytest.mark.parametrize(
    ("source", "model", "matches"),
    [
        ("gpt-5", "gpt-5", True),
        ("GPT-5", "gpt-5", True),
        ("gpt-5", "GPT-5", True),
        ("gpt-5", " gpt-5 ", True),
        (" gpt-5 ", "gpt-5", True),
        ("gpt-5", "gpt-5(high)", True),
        ("gpt-5", "gpt-5()", True),
        ("gpt-5", " gpt-5(high) ", True),
        ("gpt-5(high)", "gpt-5(high)", True),
        ("gpt-5(HIGH)", "gpt-5(high)", True),
        ("gpt-5(high)", "gpt-5(low)", False),
        ("gpt-5(high)", "gpt-5", False),
        ("gpt-5", "gpt-5-codex", False),
        ("gpt-5*", "gpt-5-codex", True),
        ("gpt*codex", "GPT-5-Codex", True),
        ("gpt-?", "gpt-5(high)", True),
        ("gpt-?", "gpt-5-codex", False),
        ("claude-[1m]*", "claude-1m-x", False),
        ("claude-opus[1m]", "claude-opus[1M]", True),
        ("claude-opus", "claude-opus[1m]", True),
        ("claude-opus", "claude-opus[1m](high)", True),
        ("claude-opus", "claude-opus-20251101", True),
        ("claude-opus", "claude-opus-2025-11-01", True),
        ("claude-opus", "claude-opus-20251301", False),
        ("claude-opus-20250101", "claude-opus-20251101", False),
        ("gpt-5", "gpt-5(a)(b)", False),
        ("gpt.5", "gpt-5", False),
        ("straße", "STRASSE", False),
        ("modèle", "MODÈLE", True),
    ],
)
def test_an_exact_rule_matches_in_any_case_by_the_whole_name_or_its_base(
    source: str, model: str, matches: bool
) -> None:
    assert (["x"] if matches else []) == matching(model, rule(source, "x"))


@pytest.mark.parametrize(
    ("pattern", "model", "matches"),
    [
        ("^gpt-5", "gpt-5-codex", True),
        ("^GPT-5", "gpt-5", True),
        ("gpt", "my-gpt-5", True),
        ("^gpt-5$", "gpt-5(high)", True),
        ("high", "gpt-5(high)", False),
        ("^gpt", " gpt-5", True),
        ("^claude-opus$", "claude-opus-20251101[1m](high)", True),
        (" ^gpt-5$ ", "gpt-5", True),
        ("^$", "gpt-5", False),
    ],
)
def test_a_pattern_is_searched_in_the_base_name_in_any_case(pattern: str, model: str, matches: bool) -> None:
    assert (["x"] if matches else []) == matching(model, rule(pattern, "x", regex=True))


def test_exact_rules_come_before_patterns_and_the_whole_name_before_its_base() -> None:
    rules = [
        rule("gpt", "pattern-1", regex=True),
        rule("gpt-5", "base"),
        rule("5", "pattern-2", regex=True),
        rule("gpt-5(high)", "whole"),
        rule("claude", "pattern-3", regex=True),
    ]

    assert ["whole", "base", "pattern-1", "pattern-2"] == matching("gpt-5(high)", *rules)
    assert ["base", "pattern-1", "pattern-2"] == matching("gpt-5", *rules)


def test_conditional_rules_come_first_in_the_files_order() -> None:
    when = When(tool_choice="t")
    rules = [
        Rule(source="m", targets=("a",), when=when),
        Rule(source="M", targets=("b",)),
        Rule(source="m", targets=("c",), when=when),
    ]
    found, warnings = compile_snapshot(Settings(amp=Amp(rules=tuple(rules))))

    assert ["a", "c", "b"] == [each.targets[0] for each in found.rules_for("m")]
    assert () == warnings


def warnings_of(*rules: Rule) -> list[str]:
    return [str(each) for each in compile_snapshot(Settings(amp=Amp(rules=rules)))[1]]


def test_of_two_exact_rules_the_last_wins_with_a_warning_that_names_both_lines() -> None:
    first = Rule(source="Gpt-5", targets=("a",), place=Place("f.yaml", 3, 5))
    last = Rule(source=" gpt-5 ", targets=("b",), place=Place("f.yaml", 7, 5))

    assert ["f.yaml:7:5: a second rule from 'gpt-5'; this one wins over the one at f.yaml:3:5"] == warnings_of(
        first, last
    )
    assert ["b"] == matching("GPT-5", first, last)
    assert ["a second rule from 'm'; this one wins over the one"] == warnings_of(rule("m", "a"), rule("m", "b"))


@pytest.mark.parametrize(
    ("skipped", "what"),
    [
        (rule("", "a"), "the rule from '' to 'a' is skipped: give both a 'from' and a 'to'"),
        (rule("  ", "a"), "the rule from '  ' to 'a' is skipped"),
        (rule("m", " "), "the rule from 'm' to ' ' is skipped"),
        (rule("m"), "the rule from 'm' to '' is skipped"),
        (rule("", "a", regex=True), "the rule from '' to 'a' is skipped"),
        (rule("(", "a", regex=True), "the rule is skipped: '(': this is no regular expression"),
        (rule("(a+)+$", "a", regex=True), "the rule is skipped: '(a+)+$'"),
        (rule("a{99999999999}", "a", regex=True), "the rule is skipped"),
        (rule("a(?i)b", "a", regex=True), "the rule is skipped"),
    ],
)
def test_a_rule_that_cannot_work_is_skipped_with_a_warning_and_the_others_stay(skipped: Rule, what: str) -> None:
    assert ["kept"] == matching("m", skipped, rule("m", "kept"))
    (warning,) = compile_snapshot(Settings(amp=Amp(rules=(skipped, rule("m", "kept")))))[1]
    assert warning.what.startswith(what)
    assert "warning" == warning.severity


def test_folding_is_trimming_and_lower_case() -> None:
    assert "a b" == fold("\t A b\n")


# Who lists a model.


def listed(found: Snapshot, model: str, world: Availability = EVERYBODY) -> list[tuple[str, str]]:
    return [(each.provider.name, each.model) for each in found.listing(model, world)]


@pytest.mark.parametrize(
    ("model", "listing"),
    [
        ("exact", [("one", "exact")]),
        ("Exact", [("one", "exact")]),
        (" exact", [("one", "exact")]),
        ("exact[1m]", [("one", "exact")]),
        ("exact[200K](high)", [("one", "exact(high)")]),
        ("exact(high)[1m]", [("one", "exact(high)")]),
        ("exact-20251101", [("one", "exact")]),
        ("exact-20251301", []),
        ("exact[1x]", []),
        ("alias", [("one", "there")]),
        ("there", []),
        ("glob-a", [("one", "glob-a"), ("two", "glob-a")]),
        ("glob-", [("one", "glob-"), ("two", "glob-")]),
        ("Glob-A", [("one", "Glob-A"), ("two", "Glob-A")]),
        ("glob-a[1m]", [("one", "glob-a"), ("two", "glob-a")]),
        ("glob-a()", [("one", "glob-a"), ("two", "glob-a")]),
        ("xglob-a", []),
        ("both-x", [("two", "said")]),
        ("both-y", [("two", "both-y")]),
        ("q1", [("one", "same")]),
        ("q12", []),
        ("local", [("two", "local:latest")]),
        ("marked[1M]", [("two", "marked[1m]")]),
        ("marked[1m](high)", [("two", "marked[1m](high)")]),
        ("marked1", []),
        ("marked", []),
        ("", []),
    ],
)
def test_names_are_found_in_the_forms_in_which_agents_send_them(model: str, listing: list[tuple[str, str]]) -> None:
    found = snapshot(
        provider("one", "exact", "alias=there", "glob-*", "q?=same"),
        provider("two", "both-*", "both-x=said", "glob-*", "local:latest", "marked[1m]"),
    )

    assert listing == listed(found, model)


def test_a_nearer_form_comes_first_an_exact_case_before_another_and_names_before_globs() -> None:
    found = snapshot(
        provider("glob", "claude-*"),
        provider("undated", "claude-x"),
        provider("folded", "CLAUDE-X-20250101"),
        provider("exact", "claude-x-20250101"),
    )

    assert ["exact", "folded", "undated", "glob"] == [name for name, _ in listed(found, "claude-x-20250101")]
    assert ["folded", "exact", "undated", "glob"] == [name for name, _ in listed(found, "CLAUDE-X-20250101")]


def test_a_name_listed_twice_by_one_provider_is_what_was_said_first() -> None:
    assert [("one", "first")] == listed(snapshot(provider("one", "m=first", "m=second")), "m")


@pytest.mark.parametrize("model", ["vendor/m:nitro", "Vendor/M:online", "vendor/m:floor(high)"])
def test_any_variant_of_a_listed_name_is_served_by_a_provider_that_has_variants(model: str) -> None:
    router = replace(provider("router", "vendor/m"), variants=True)
    variant = model.partition(":")[2]

    assert [("router", f"vendor/m:{variant}")] == listed(snapshot(router), model)
    assert [] == listed(snapshot(provider("other", "vendor/m")), model)


def test_candidates_speak_the_protocol_and_keep_the_suffix() -> None:
    found = snapshot(
        provider("cooling", "m"),
        provider("chat-only", "m", protocols=("openai-chat",), translate=False),
        provider("one", "m=there"),
        provider("two", "m"),
    )

    def names(model: str) -> list[tuple[str, str, str]]:
        ways = found.candidates(model, "anthropic", in_cooldown("cooling"))
        return [(way.provider.name, way.model, way.endpoint.protocol) for way in ways]

    last = ("cooling", "m(high)", "anthropic")
    assert [("one", "there(high)", "anthropic"), ("two", "m(high)", "anthropic"), last] == names("m(high)")
    assert [("one", "there", "anthropic"), ("two", "m", "anthropic"), ("cooling", "m", "anthropic")] == names("m()")


def test_what_a_provider_offers_counts_as_listed_and_a_dated_name_serves_the_undated_one() -> None:
    found = snapshot(provider("asked", discover=True), provider("not-asked"))
    offer = Offer(frozenset({"m", "n-20251101", "Qwen3-32B", "l:latest"}), {"n": "n-20251101"})
    offers = Availability(offers={"asked": offer, "not-asked": offer})

    assert [("asked", "m")] == listed(found, "m", offers)
    assert [("asked", "n-20251101")] == listed(found, "n", offers)
    assert [("asked", "n-20251101")] == listed(found, "N", offers)
    assert [("asked", "Qwen3-32B")] == listed(found, "qwen3-32b", offers)
    assert [("asked", "l:latest")] == listed(found, "l", offers)
    assert [] == listed(found, "n-20250101", offers)  # a request with a date is never given another date
    assert [] == listed(found, "n", EVERYBODY)
    assert [] == listed(found, "o", offers)
    assert [("asked", "n-20251101(high)")] == listed(found, "n(high)", offers)


def test_a_snapshot_says_nothing_of_keys() -> None:
    found, _ = compile_snapshot(Settings(providers=(provider("one", "m", key="hidden-1"),), api_keys=("hidden-2",)))

    assert "hidden" not in repr(found)
