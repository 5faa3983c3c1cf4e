"""Properties of decisions: a plain reading of the rules agrees, and every place that decides says the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oracle import ASKS, NAMES, WORLDS, Expected, configurations, expected_of, once_each
from policy import LOCAL, names_listed, sent, snapshot
from samples import examples

from ampmap.formats.registry import FORMATS
from ampmap.proxy.model_list import is_served
from ampmap.routing.decide import Ask, Decisions, decide
from ampmap.routing.explain import exit_code, explain
from ampmap.routing.names import is_glob
from ampmap.routing.reasons import Step
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.settings import Rule, Settings


@hypothesis_settings(max_examples=examples(500))
@given(configurations().map(once_each), WORLDS, ASKS)
def test_the_decision_is_what_a_plain_reading_of_the_rules_gives(
    config: Settings, world: Availability, ask: Ask
) -> None:
    expected = expected_of(ask, config, world)
    steps: list[Step] = []

    decision = decide(ask, compile_snapshot(config)[0], world, steps)

    got = Expected(decision.route_type, sent(decision), decision.rule, decision.credits)
    assert expected == got
    assert decision == decide(ask, compile_snapshot(config)[0], world)
    assert decision.refused == (expected.credits == "refuse")
    assert [] != steps
    assert (1 if decision.candidates else int(decision.route_type == "AMP_CREDITS" and not decision.refused)) == sum(
        step.taken for step in steps
    )


@hypothesis_settings(max_examples=examples(300))
@given(configurations(), WORLDS, NAMES, st.sampled_from([None, "p"]))
def test_what_is_explained_listed_and_done_is_the_same(
    config: Settings, world: Availability, model: str, segment: str | None
) -> None:
    found = compile_snapshot(config)[0]
    decisions = [decide(Ask(protocol, model, segment), found, world) for protocol in FORMATS]

    explanations = explain(model, None, segment, found, world)

    assert decisions == [explanation.decision for explanation in explanations]
    served = any(decision.candidates for decision in decisions)
    best_first = [0, 5, 3, 4]
    assert min((each.exit_code for each in explanations), key=best_first.index) == exit_code(explanations)
    now = [any(way.provider.name not in world.cooldowns for way in decision.candidates) for decision in decisions]
    assert any(now) == (exit_code(explanations) == 0)
    assert served == is_served(model, found, world, tuple(FORMATS), segment)
    names = names_listed(found, world, segment=segment)
    for name in names:
        assert any(decide(Ask(protocol, name, segment), found, world).candidates for protocol in FORMATS)
    mentioned = {entry.id for each in config.providers for entry in each.models if not is_glob(entry.id)}
    assert not (served and model in mentioned) or model in names


@hypothesis_settings(max_examples=examples(200))
@given(st.data())
def test_a_decision_that_is_kept_is_the_one_that_would_be_made(data: st.DataObject) -> None:
    """One memory sees requests of all kinds, while snapshots and availability change and come back."""
    snapshots = [
        compile_snapshot(config)[0] for config in data.draw(st.lists(configurations(), min_size=1, max_size=2))
    ]
    worlds = data.draw(st.lists(WORLDS, min_size=1, max_size=2))
    kept = Decisions()

    for ask in data.draw(st.lists(ASKS, max_size=12)):
        found, world = data.draw(st.sampled_from(snapshots)), data.draw(st.sampled_from(worlds))
        expected, got = decide(ask, found, world), kept.decide(ask, found, world)
        assert replace(expected, ask=got.ask) == got
        assert (ask.protocol, ask.model, ask.segment) == (got.ask.protocol, got.ask.model, got.ask.segment)


def test_what_is_kept_of_decisions_is_bounded_and_holds_no_fields() -> None:
    kept, found, world = Decisions(), snapshot(LOCAL), Availability()
    for number in range(1000):
        kept.decide(Ask("gemini", f"m{number}", "s" * number, ((b"X-Key", b"secret"),)), found, world)

    assert 0 < len(kept.made) <= 256
    assert all(decision.ask.headers == () for decision in kept.made.values())
    assert max(len(segment or "") for _, _, segment, _ in kept.made) <= 256


@hypothesis_settings(max_examples=examples(500))
@given(configurations(), WORLDS, ASKS, st.integers(0, 6))
def test_a_family_rule_changes_nothing_for_a_listed_name_or_an_exact_rule(
    config: Settings, world: Availability, ask: Ask, place: int
) -> None:
    """Providers in cooldown are another matter: then any rule with a reachable target is better than they are."""
    calm = replace(world, cooldowns={})
    amp = replace(config.amp, force_model_mappings=False)
    family = Rule(source="*", targets=("a", "b", "c"))
    with_family = replace(amp, rules=(*amp.rules[:place], family, *amp.rules[place:]))
    before = decide(ask, compile_snapshot(replace(config, amp=amp))[0], calm)
    after = decide(ask, compile_snapshot(replace(config, amp=with_family))[0], calm)

    exact = before.rule is not None and not (before.rule.regex or is_glob(before.rule.source))
    if before.candidates and (before.rule is None or exact):
        assert (before.route_type, before.rule, sent(before)) == (after.route_type, after.rule, sent(after))
