"""The decision: its order, candidates, credits, conditions; and that a plain reading of the rules agrees with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy import LOCAL, decided, in_cooldown, lines, provider, rule, sent, snapshot

from ampmap.errors import Place
from ampmap.routing.conditions import Facts
from ampmap.routing.decide import (
    Ask,
    Attempt,
    decide,
    may_fail_over,
    may_retry,
    needs_facts,
    unmet,
)
from ampmap.routing.reasons import Step, shown_rule
from ampmap.routing.snapshot import Availability
from ampmap.settings import (
    CREDIT_POLICIES,
    Amp,
    Auth,
    CreditPolicy,
    Rule,
    When,
)

OTHER = provider("other", "gemini-2.5-pro", "both")
MAPPED = rule("opus", "claude-sonnet-4")
FORCED = Amp(force_model_mappings=True)
WITHOUT_AMP = Amp(origin=None)

# The order.


def test_a_local_provider_comes_first_then_a_mapping_then_amp_then_nobody() -> None:
    both = rule("both", "gemini-2.5-pro")

    assert "LOCAL_PROVIDER" == decided("both", LOCAL, OTHER, both).route_type
    assert "MODEL_MAPPING" == decided("opus", LOCAL, MAPPED).route_type
    assert "AMP_CREDITS" == decided("unknown", LOCAL, MAPPED).route_type
    assert "NO_PROVIDER" == decided("unknown", LOCAL, MAPPED, amp=WITHOUT_AMP).route_type


def test_a_rule_from_a_glob_takes_no_name_that_only_ends_like_it() -> None:
    glob = rule("opu*", "claude-sonnet-4")

    assert "MODEL_MAPPING" == decided("opus", LOCAL, glob).route_type
    assert "AMP_CREDITS" == decided("vendor/opus", LOCAL, glob).route_type


def test_forced_mappings_come_before_local_providers() -> None:
    decision = decided("both", LOCAL, OTHER, rule("both", "gemini-2.5-pro"), amp=FORCED)

    assert ("MODEL_MAPPING", [("other", "gemini-2.5-pro")]) == (decision.route_type, sent(decision))
    assert "LOCAL_PROVIDER" == decided("both", LOCAL, rule("both", "unserved"), amp=FORCED).route_type
    assert "AMP_CREDITS" == decided("unknown", LOCAL, amp=FORCED).route_type


def test_a_rule_onto_itself_is_a_mapping_where_mappings_are_forced() -> None:
    decision = decided("both", LOCAL, rule("both", "both"), amp=FORCED)

    assert ("MODEL_MAPPING", [("local", "both")]) == (decision.route_type, sent(decision))


@pytest.mark.parametrize("segment", [None, "", "anthropic", "anything"])
def test_amp_is_an_answer_only_where_its_clients_ask(segment: str | None) -> None:
    expected = "NO_PROVIDER" if segment is None else "AMP_CREDITS"

    assert expected == decided("unknown", segment=segment).route_type
    assert "LOCAL_PROVIDER" == decided("both", LOCAL, segment=segment).route_type
    assert "MODEL_MAPPING" == decided("opus", LOCAL, MAPPED, segment=segment).route_type


@pytest.mark.parametrize("segment", [None, "anthropic"])
def test_without_a_model_nothing_is_looked_up(segment: str | None) -> None:
    everything = rule(".*", "both", regex=True, credits="refuse")

    for ask in (Ask("anthropic", "", segment), Ask(None, "both", segment)):
        decision = decide(ask, snapshot(LOCAL, everything), Availability())

        assert () == decision.candidates
        assert ("NO_PROVIDER" if segment is None else "AMP_CREDITS") == decision.route_type
    refusing = snapshot(rule(".*", "both", regex=True, credits="refuse"))
    for protocol in ("anthropic", None):  # it could be that model
        assert decide(Ask(protocol, "", "x"), refusing, Availability()).refused


@pytest.mark.parametrize("model", [" opus", "OPUS", "opus ", "Opus(high)"])
def test_mapped_names_are_folded(model: str) -> None:
    assert "MODEL_MAPPING" == decided(model, LOCAL, MAPPED).route_type


# Rules and their targets.


def test_a_rule_without_a_served_target_is_passed_over_for_the_next_that_matches() -> None:
    rules = [
        rule("opus", "unserved"),
        rule("^o", "Claude-Sonnet", regex=True),
        rule("pus", "also-unserved", "gemini-2.5-pro", regex=True),
        rule("op", "claude-sonnet-4", regex=True),
    ]
    decision = decided("opus", LOCAL, OTHER, *rules)

    assert (rules[2], [("other", "gemini-2.5-pro")]) == (decision.rule, sent(decision))


def test_mappings_never_chain() -> None:
    assert "AMP_CREDITS" == decided("a", LOCAL, rule("a", "opus"), MAPPED).route_type
    assert "AMP_CREDITS" == decided("a", LOCAL, rule("a", "b"), rule("b", "a")).route_type


def test_candidates_are_the_targets_in_order_and_for_each_the_providers_in_the_files_order() -> None:
    decision = decided("x", LOCAL, OTHER, rule("x", "gemini-2.5-pro", "unserved", "both"))

    assert [("other", "gemini-2.5-pro"), ("local", "both"), ("other", "both")] == sent(decision)


def test_nobody_is_sent_the_same_request_twice() -> None:
    one = provider("one", "a=same", "b=same", "c")

    assert [("one", "same"), ("one", "c")] == sent(decided("x", one, rule("x", "a", " b ", "a", "c", "a()")))
    assert [("one", "same(1)"), ("one", "same")] == sent(decided("x", one, rule("x", "a(1)", "b", "b(1)")))


def test_a_cooldown_orders_candidates_and_refuses_none() -> None:
    assert [("other", "both"), ("local", "both")] == sent(decided("both", LOCAL, OTHER, cooling=("local",)))
    assert [("other", "both"), ("local", "both")] == sent(decided("both", LOCAL, OTHER, cooling=("other", "local")))
    assert [("local", "claude-sonnet-4")] == sent(decided("opus", LOCAL, MAPPED, cooling=("local",)))


def test_a_rule_with_a_reachable_target_comes_before_providers_in_cooldown() -> None:
    fallback = rule("claude-sonnet-4", "gemini-2.5-pro")

    assert [("other", "gemini-2.5-pro")] == sent(decided("claude-sonnet-4", LOCAL, OTHER, fallback, cooling=("local",)))
    both = decided("claude-sonnet-4", LOCAL, OTHER, fallback, cooling=("local", "other"))
    assert ("LOCAL_PROVIDER", [("local", "claude-sonnet-4")]) == (both.route_type, sent(both))


def test_a_pair_that_answered_429_comes_behind_the_others_but_before_a_cooldown() -> None:
    third = provider("third", "both")
    world = replace(in_cooldown("third"), limited=frozenset({("local", "both"), ("other", "else")}))
    decision = decide(Ask("anthropic", "both"), snapshot(third, LOCAL, OTHER), world)

    assert [("other", "both"), ("local", "both"), ("third", "both")] == sent(decision)


def test_a_provider_serves_only_the_protocols_it_speaks() -> None:
    chat = provider("chat", "m", protocols=("openai-chat",), translate=False)

    assert [("chat", "m")] == sent(decided("m", chat, protocol="openai-chat"))
    assert [] == sent(decided("m", chat, protocol="anthropic"))
    assert [] == sent(decided("x", chat, rule("x", "m"), protocol="gemini"))


@pytest.mark.parametrize(
    ("model", "name"),
    [("opus(8192)", "claude-sonnet-4(8192)"), ("opus()", "claude-sonnet-4"), ("opus", "claude-sonnet-4")],
)
def test_the_suffix_goes_along(model: str, name: str) -> None:
    assert [("local", name)] == sent(decided(model, LOCAL, MAPPED))
    assert [("local", name)] == sent(decided(model.replace("opus", "claude-sonnet-4"), LOCAL))


# Credits.


@pytest.mark.parametrize("policy", CREDIT_POLICIES)
def test_the_policy_for_credits_is_the_general_one_or_that_of_a_rule_that_matches(policy: CreditPolicy) -> None:
    amp = Amp(credits=policy)

    assert (policy, None) == (decided("x", amp=amp).credits, decided("x", amp=amp).credits_rule)
    for said in CREDIT_POLICIES:
        unserved = rule("x", "nobody-has-it", credits=said)
        decision = decided("x", rule("x", "neither"), unserved, amp=amp)
        assert (said, unserved, said == "refuse") == (decision.credits, decision.credits_rule, decision.refused)
        assert policy == decided("y", unserved, amp=amp).credits


def test_the_first_matching_rule_that_speaks_of_credits_is_heard() -> None:
    rules = [rule("^x", "n", regex=True, credits="allow"), rule("x", "n", credits="refuse"), rule("x(1)", "n")]

    assert "refuse" == decided("x", *rules).credits
    assert "refuse" == decided("x(1)", *rules).credits
    assert "allow" == decided("xy", *rules).credits


def test_only_credits_can_be_refused() -> None:
    refusing = Amp(credits="refuse")

    assert decided("unknown", amp=refusing).refused
    assert not decided("both", LOCAL, amp=refusing).refused
    assert not decided("opus", LOCAL, MAPPED, amp=refusing).refused
    assert not decided("unknown", amp=replace(refusing, origin=None)).refused


# Conditions.

ASKED = Ask(
    "anthropic", "m", "Google", lines(x_mode="Fast lane", accept="*/*"), Facts("Set_Title", " You are a  Judge")
)


@pytest.mark.parametrize(
    ("when", "failing"),
    [
        (When(), ""),
        (When(provider="google"), ""),
        (When(provider="openai"), "provider 'openai'"),
        (When(headers=(("x-mode", "fast*"),)), ""),
        (When(headers=(("X-Mode", "FAST LANE"),)), ""),
        (When(headers=(("x-mode", "fast"),)), "header x-mode: fast"),
        (When(headers=(("x-none", "*"),)), "header x-none: *"),
        (When(headers=(("x-mode", "*"), ("accept", "json"))), "header accept: json"),
        (When(headers=(("模", "*"),)), "header 模: *"),
        (When(tool_choice="set_title"), ""),
        (When(tool_choice="set"), "tool-choice 'set'"),
        (When(system_prefix="you ARE a"), ""),
        (When(system_prefix=" "), ""),
        (When(system_prefix="are"), "system-prefix"),
        (When(provider="google", tool_choice="x"), "tool-choice 'x'"),
    ],
)
def test_every_condition_that_is_given_must_hold(when: When, failing: str) -> None:
    assert failing == unmet(when, ASKED)


def test_a_rule_whose_condition_fails_neither_maps_nor_speaks_of_credits() -> None:
    conditional = Rule(source="m", targets=("both",), credits="refuse", when=When(tool_choice="t"))
    found = snapshot(LOCAL, conditional)

    assert "MODEL_MAPPING" == decide(Ask("gemini", "m", "x", (), Facts("t")), found, Availability()).route_type
    assert "AMP_CREDITS" == decide(Ask("gemini", "m", "x"), found, Availability()).route_type
    assert "warn" == decide(Ask("gemini", "m", "x"), found, Availability()).credits
    unserved = snapshot(provider("other", "else"), conditional)
    assert decide(Ask("gemini", "m", "x", (), Facts("t")), unserved, Availability()).refused


def test_the_body_is_looked_into_only_for_rules_that_want_it() -> None:
    rules = [
        Rule(source="a", targets=("x",), when=When(tool_choice="t")),
        Rule(source="b", targets=("x",), when=When(provider="p")),
        Rule(source="^c", targets=("x",), regex=True, when=When(system_prefix="p")),
        rule("d", "x"),
    ]

    assert [True, True, False, True, False] == [
        needs_facts(name, snapshot(*rules)) for name in ("A", "a(1)", "b", "c1", "d")
    ]


# Steps, in words.


def test_each_step_says_what_was_looked_at_and_why_it_was_passed_over() -> None:
    cooling, chat = provider("cooling", "m"), provider("chat", "m", protocols=("openai-chat",), translate=False)
    parts = (cooling, chat, provider("one", "m=there"), provider("two", "M"))
    steps: list[Step] = []
    decide(Ask("anthropic", "m", None), snapshot(*parts), in_cooldown("cooling"), steps)

    assert [
        Step("provider cooling for m", False, "lists it, but is in cooldown until 14:02:07 UTC: refused"),
        Step("provider chat for m", False, "lists it, but only in openai-chat (translate: false)"),
        Step("provider one for m", True, "serves it as there"),
        Step("provider two for m", False, "serves it as M (the name in another case)"),
    ] == steps


def test_rules_are_told_one_by_one() -> None:
    conditional = Rule(source="x", targets=("both",), when=When(tool_choice="t"))
    rules = [conditional, rule("x", " nobody "), rule("^x", "both", regex=True), rule("x", "unseen", regex=True)]
    steps: list[Step] = []
    decide(Ask("anthropic", "x", "a"), snapshot(LOCAL, *rules), Availability(), steps)

    assert [
        Step("providers for x", False, "none lists it"),
        Step("rule 'x' when … -> both", False, "its condition does not hold: tool-choice 't'"),
        Step("rule 'x' ->  nobody ", False, "no target is served in anthropic"),
        Step("providers for nobody", False, "none lists it"),
        Step("rule '^x' (regex) -> both", True, "served by local as both"),
    ] == steps


@pytest.mark.parametrize(
    ("ask", "amp", "last"),
    [
        (Ask("gemini", "x", "a"), Amp(), Step("Amp upstream", True, "amp-credits: warn")),
        (Ask("gemini", "x", "a"), Amp(credits="refuse"), Step("Amp upstream", False, "amp-credits: refuse")),
        (Ask("gemini", "x"), Amp(), Step("Amp upstream", False, "only paths under /api/provider/ may go to Amp")),
        (Ask("gemini", "x", "a"), WITHOUT_AMP, Step("Amp upstream", False, "there is no Amp upstream")),
        (Ask("gemini", "r", "a"), Amp(), Step("Amp upstream", False, "'credits: refuse' on rule 'r' -> n")),
    ],
)
def test_the_last_step_tells_of_amp(ask: Ask, amp: Amp, last: Step) -> None:
    steps: list[Step] = []
    decide(ask, snapshot(rule("r", "n", credits="refuse"), amp=amp), Availability(), steps)

    assert last == steps[-1]
    if ask.model == "x":
        assert Step("rules", False, "none matches 'x'") in steps


def test_a_request_without_a_model_says_so() -> None:
    steps: list[Step] = []
    decide(Ask("gemini", "", "a"), snapshot(), Availability(), steps)

    assert Step("model", False, "the request names no model that could be looked up") == steps[0]


def test_a_rule_is_shown_with_its_place() -> None:
    shown = Rule(source="^g", targets=("a", "b"), regex=True, place=Place("f.yaml", 12, 3))

    assert "'^g' (regex) -> a, b [f.yaml:12]" == shown_rule(shown)


# Again?


@pytest.mark.parametrize("reused", [True, False])
@pytest.mark.parametrize("bytes_sent", [0, 1])
@pytest.mark.parametrize("response_started", [True, False])
def test_only_a_reused_connection_that_took_nothing_lets_a_request_be_sent_again(
    reused: bool, bytes_sent: int, response_started: bool
) -> None:
    attempt = Attempt(reused=reused, bytes_sent=bytes_sent, response_started=response_started)

    assert (reused and not bytes_sent and not response_started) == may_retry(attempt)


@pytest.mark.parametrize(
    ("status", "own_key", "others_login"),
    [(200, False, False), (301, False, False), (400, False, False), (401, True, False), (402, True, True),
     (403, True, False), (404, False, False), (413, False, False), (422, False, False), (429, True, True),
     (499, False, False), (500, True, True), (503, True, True), (529, True, True), (599, True, True)],
)  # fmt: skip
def test_the_next_candidate_is_for_overload_failures_an_empty_account_and_a_refused_key_of_our_own(
    status: int, own_key: bool, others_login: bool
) -> None:
    own: tuple[Auth, ...] = ("bearer", "x-api-key", "x-goog-api-key")
    others: tuple[Auth, ...] = ("client", "none")

    assert {own_key} == {may_fail_over(status, auth) for auth in own}
    assert {others_login} == {may_fail_over(status, auth) for auth in others}
