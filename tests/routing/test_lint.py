"""Rules that never apply are found in the file."""

from __future__ import annotations

import pytest

from ampmap.config.file import parse
from ampmap.routing.lint import unreachable
from ampmap.routing.snapshot import compile_snapshot

PROVIDER = "providers: [{name: p, base-url: 'http://127.0.0.1:1', protocols: [gemini], models: [t, 'g-*']}]"


def found(*rules: str, provider: str = PROVIDER) -> list[tuple[int, str]]:
    lines = "".join(f"\n  - {{{rule}}}" for rule in rules)
    snapshot, _ = compile_snapshot(parse(f"amp-model-mappings:{lines}\n{provider}\n", "a.yaml", {}).settings)
    return [(c.place.line if c.place else 0, c.what) for c in unreachable(snapshot)]


@pytest.mark.parametrize(
    "rules",
    [
        ("from: a, to: t, when: {provider: x}", "from: a, to: t, when: {provider: x}"),
        ("from: '^gpt', to: t, regex: true", "from: '^gpt-5', to: t, regex: true"),
        ("from: gpt, to: t, regex: true", "from: '^gpt-5.*mini', to: t, regex: true"),
        ("from: gpt, to: t, regex: true, when: {provider: x}", "from: GPT, to: t, regex: true, when: {provider: x}"),
        ("from: 'claude-*', to: t", "from: 'Claude-*haiku*', to: t"),
        ("from: claude, to: t, regex: true", "from: 'my-claude-*', to: t"),
        ("from: '^claude', to: t, regex: true", "from: 'claude-*', to: t"),
        ("from: gpt-5, to: t", "from: '^gpt-5$', to: t, regex: true"),
    ],
)
def test_a_rule_behind_one_that_matches_all_that_it_matches_is_shadowed(rules: tuple[str, str]) -> None:
    ((line, what),) = found(*rules)

    assert 3 == line
    assert "this rule is shadowed by " in what
    assert "[a.yaml:2]" in what


@pytest.mark.parametrize(
    "rules",
    [
        ("from: a, to: t, when: {provider: x}", "from: a, to: t"),
        ("from: a, to: t", "from: a, to: t, when: {provider: x}"),
        ("from: gpt, to: t, regex: true", "from: GPT, to: t, regex: true, when: {provider: x}"),
        ("from: 'claude-?', to: t", "from: 'claude-*', to: t"),
        ("from: 'claude-*-4', to: t", "from: 'claude-*', to: t"),
        ("from: 'claude-*', to: t", "from: '^claude-', to: t, regex: true"),
        ("from: '^claude', to: t, regex: true", "from: 'my-claude-*', to: t"),
        ("from: '^gpt-5', to: t, regex: true", "from: '^gpt', to: t, regex: true"),
        ("from: '^gpt-5', to: t, regex: true", "from: '^gpt-5?', to: t, regex: true"),
        ("from: '^gpt', to: t, regex: true", "from: 'gpt', to: t, regex: true"),
        ("from: '^a', to: t, regex: true", "from: '^ab|c', to: t, regex: true"),
        ("from: 'g.t', to: t, regex: true", "from: 'g.tt', to: t, regex: true"),
        ("from: gpt, to: t, regex: true, when: {provider: x}", "from: gpt-5, to: t, regex: true"),
        ("from: gpt-5, to: t", "from: 'gpt-5$', to: t, regex: true"),
        ("from: a, to: g-1", "from: b, to: 't(high)'"),
    ],
)
def test_a_rule_that_can_apply_is_not_complained_of(rules: tuple[str, str]) -> None:
    assert [] == found(*rules)


def test_a_rule_whose_targets_nobody_lists_never_applies() -> None:
    assert [
        (2, "no provider lists x, y: this rule never applies"),
        (3, "no provider lists x: this target is passed over"),
    ] == found("from: a, to: [x, y]", "from: b, to: [x, t]")
    assert [] == found("from: a, to: x", provider=PROVIDER.replace("[t, 'g-*']", "discover"))


def test_a_rule_from_a_name_that_a_provider_lists_waits_for_force() -> None:
    waits = "provider p lists {} and is asked first: this rule waits for 'amp-force-model-mappings: true'"
    rules = ("from: t, to: g-1", "from: g-2, to: t", "from: x, to: t", "from: 'g-*', to: t")

    assert [(2, waits.format("t")), (3, waits.format("g-2"))] == found(*rules)
    assert [] == found(*rules, provider=f"amp-force-model-mappings: true\n{PROVIDER}")


def test_a_rule_to_itself_changes_nothing_unless_it_changes_more() -> None:
    itself = "this rule maps a name to itself; remove it, or that target"

    assert [(2, itself), (3, itself)] == found("from: t, to: T", "from: g-1, to: [t, g-1]")
    assert [] == found("from: t, to: t, credits: refuse", provider=f"amp-force-model-mappings: true\n{PROVIDER}")
