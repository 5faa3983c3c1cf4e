"""Rules and providers compiled: suffixes, the order of rules, who lists a model, what is skipped with a warning."""

from __future__ import annotations

import pytest
from policy import EVERYBODY, provider, rule, snapshot

from ampmap.errors import Place
from ampmap.mapping import Availability, Offer, compile_snapshot, fold, is_glob, split_suffix, with_suffix_of
from ampmap.settings import Amp, ModelEntry, Rule, Settings, When

# Thinking suffixes.


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a", ("a", None)),
        ("a(8192)", ("a", "8192")),
        ("a(high)", ("a", "high")),
        ("a(-1)", ("a", "-1")),
        ("a(HiGh!)", ("a", "HiGh!")),
        ("a()", ("a", "")),
        ("a(x)(y)", ("a(x)", "y")),
        ("a(b(c)", ("a(b", "c")),
        ("a(x", ("a(x", None)),
        ("a)", ("a)", None)),
        ("a(x) ", ("a(x) ", None)),
        ("(x)", ("(x)", None)),
        ("()", ("()", None)),
        ("", ("", None)),
    ],
)
def test_a_suffix_is_split_once_at_the_last_bracket(name: str, parts: tuple[str, str | None]) -> None:
    assert parts == split_suffix(name)


@pytest.mark.parametrize(
    ("requested", "target", "name"),
    [
        ("a", "b", "b"),
        ("a(8192)", "b", "b(8192)"),
        ("a(8192)", "b(high)", "b(high)"),
        ("a", "b(high)", "b(high)"),
        ("a()", "b", "b"),
        ("a()", "b(high)", "b(high)"),
        ("a(8192)", "b()", "b(8192)"),
        ("a", "b()", "b"),
        ("a(x)(y)", "b", "b(y)"),
        (" a(x) ", "b", "b(x)"),
    ],
)
def test_the_clients_suffix_moves_to_the_target_unless_that_has_one(requested: str, target: str, name: str) -> None:
    assert name == with_suffix_of(requested, target)


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
        ("gpt-5*", "gpt-5-codex", False),
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
        ("^gpt", " gpt-5", False),
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


def test_conditional_rules_for_one_name_stay_side_by_side_in_the_files_order() -> None:
    when = When(tool_choice="t")
    rules = [
        Rule(source="m", targets=("a",), when=when),
        Rule(source="M", targets=("b",)),
        Rule(source="m", targets=("c",), when=when),
    ]
    found, warnings = compile_snapshot(Settings(amp=Amp(rules=tuple(rules))))

    assert ["a", "b", "c"] == [each.targets[0] for each in found.rules_for("m")]
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


@pytest.mark.parametrize(
    ("model", "listing"),
    [
        ("exact", [("one", "exact")]),
        ("Exact", []),
        (" exact", []),
        ("alias", [("one", "there")]),
        ("there", []),
        ("glob-a", [("one", "glob-a"), ("two", "glob-a")]),
        ("glob-", [("one", "glob-"), ("two", "glob-")]),
        ("Glob-a", []),
        ("xglob-a", []),
        ("both-x", [("two", "said")]),
        ("both-y", [("two", "both-y")]),
        ("q1", [("one", "same")]),
        ("q12", []),
        ("", []),
    ],
)
def test_names_are_listed_exactly_globs_by_pattern_and_in_the_files_order(
    model: str, listing: list[tuple[str, str]]
) -> None:
    found = snapshot(
        provider("one", "exact", "alias=there", "glob-*", "q?=same"),
        provider("two", "both-*", "both-x=said", "glob-*"),
    )

    assert listing == [(who.name, name) for who, name in found.listing(model, EVERYBODY)]


def test_a_name_listed_twice_by_one_provider_is_what_was_said_first() -> None:
    found = snapshot(provider("one", "m=first", "m=second"))

    assert ["first"] == [name for _, name in found.listing("m", EVERYBODY)]


@pytest.mark.parametrize(("name", "glob"), [("a", False), ("a*", True), ("?", True), ("[ab]", True), ("a(b)", False)])
def test_a_glob_is_known_by_its_marks(name: str, glob: bool) -> None:
    assert glob == is_glob(ModelEntry(id=name))


def test_candidates_speak_the_protocol_do_not_rest_and_keep_the_suffix() -> None:
    found = snapshot(
        provider("rests", "m"),
        provider("chat-only", "m", protocols=("openai-chat",)),
        provider("one", "m=there"),
        provider("two", "m"),
    )
    resting = Availability(frozenset({"rests"}))

    def names(model: str) -> list[tuple[str, str, str]]:
        ways = found.candidates(model, "anthropic", resting)
        return [(way.provider.name, way.model, way.endpoint.protocol) for way in ways]

    assert [("one", "there(high)", "anthropic"), ("two", "m(high)", "anthropic")] == names("m(high)")
    assert [("one", "there", "anthropic"), ("two", "m", "anthropic")] == names("m()")
    assert [] == names("M")


def test_what_a_provider_offers_counts_as_listed_and_a_dated_name_serves_the_undated_one() -> None:
    found = snapshot(provider("asked", discover=True), provider("not-asked"))
    offer = Offer(frozenset({"m", "n-20251101"}), {"n": "n-20251101"})
    offers = Availability(offers={"asked": offer, "not-asked": offer})

    assert [("asked", "m")] == [(who.name, name) for who, name in found.listing("m", offers)]
    assert [("asked", "n-20251101")] == [(who.name, name) for who, name in found.listing("n", offers)]
    assert [] == found.listing("n", EVERYBODY)
    assert [] == found.listing("o", offers)
    assert ["n-20251101(high)"] == [way.model for way in found.candidates("n(high)", "gemini", offers)]


def test_a_snapshot_says_nothing_of_keys() -> None:
    found, _ = compile_snapshot(Settings(providers=(provider("one", "m", key="hidden-1"),), api_keys=("hidden-2",)))

    assert "hidden" not in repr(found)
