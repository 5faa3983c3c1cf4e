"""The decision: its order, candidates, credits, conditions; and that a plain reading of the rules agrees with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from policy import LOCAL, decided, lines, provider, rule, sent, snapshot

from ampmap.catalogue import is_served, served_names
from ampmap.errors import Place
from ampmap.explain import CREDITS, NOBODY, SERVED, exit_code, explain
from ampmap.facts import Facts
from ampmap.mapping import Availability, Offer, compile_snapshot
from ampmap.router import (
    Ask,
    Attempt,
    Decisions,
    Step,
    decide,
    may_fail_over,
    may_retry,
    needs_facts,
    shown_rule,
    unmet,
)
from ampmap.settings import (
    CREDIT_POLICIES,
    PROTOCOLS,
    Amp,
    Auth,
    CreditPolicy,
    Endpoint,
    ModelEntry,
    Origin,
    Protocol,
    Provider,
    Rule,
    Settings,
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
    everything = rule(".*", "both", regex=True, credits="allow")

    for ask in (Ask("anthropic", "", segment), Ask(None, "both", segment)):
        decision = decide(ask, snapshot(LOCAL, everything), Availability())

        assert () == decision.candidates
        assert ("NO_PROVIDER" if segment is None else "AMP_CREDITS") == decision.route_type
    assert "warn" == decide(Ask("anthropic", "", "x"), snapshot(everything), Availability()).credits


def test_a_body_without_a_readable_model_spends_no_credits_where_a_rule_refuses_them_for_some_model() -> None:
    refusing = replace(rule("other", "gone", credits="refuse"), when=When(tool_choice="t"))
    rules = (rule("m", "gone", credits="allow"), refusing)

    decision = decide(Ask("anthropic", "", "x"), snapshot(LOCAL, *rules), Availability())

    assert ("AMP_CREDITS", True, refusing) == (decision.route_type, decision.refused, decision.credits_rule)
    assert not decide(Ask(None, "", "x"), snapshot(LOCAL, *rules), Availability()).refused  # not a model route


@pytest.mark.parametrize("model", [" claude-sonnet-4", "Claude-Sonnet-4", "claude-sonnet-4 ", "claude-sonnet"])
def test_local_names_are_exact(model: str) -> None:
    assert "AMP_CREDITS" == decided(model, LOCAL).route_type


@pytest.mark.parametrize("model", [" opus", "OPUS", "opus ", "Opus(high)"])
def test_mapped_names_are_folded(model: str) -> None:
    assert "MODEL_MAPPING" == decided(model, LOCAL, MAPPED).route_type


# Rules and their targets.


def test_a_rule_without_a_served_target_is_passed_over_for_the_next_that_matches() -> None:
    rules = [
        rule("opus", "unserved"),
        rule("^o", "Claude-Sonnet-4", regex=True),
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


def test_a_provider_that_rests_serves_nothing() -> None:
    assert [("other", "both")] == sent(decided("both", LOCAL, OTHER, resting=frozenset({"local"})))
    assert "AMP_CREDITS" == decided("opus", LOCAL, MAPPED, resting=frozenset({"local"})).route_type


def test_a_provider_serves_only_the_protocols_it_speaks() -> None:
    chat = provider("chat", "m", protocols=("openai-chat",))

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
    refused = decide(Ask("gemini", "m", "x", (), Facts("t")), found, Availability(frozenset({"local"})))
    assert refused.refused


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


# Decisions that are kept.


@hypothesis_settings(max_examples=200)
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

    assert 0 < len(kept._made) <= 256
    assert all(decision.ask.headers == () for decision in kept._made.values())
    assert max(len(segment or "") for _, _, segment in kept._made) <= 256


# Steps, in words.


def test_each_step_says_what_was_looked_at_and_why_it_was_passed_over() -> None:
    rests, chat = provider("rests", "m"), provider("chat", "m", protocols=("openai-chat",))
    parts = (rests, chat, provider("one", "m=there"), provider("two", "m"))
    steps: list[Step] = []
    decide(Ask("anthropic", "m", None), snapshot(*parts), Availability(frozenset({"rests"})), steps)

    assert [
        Step("provider rests for m", False, "rests after failing to connect"),
        Step("provider chat for m", False, "does not speak anthropic, only openai-chat"),
        Step("provider one for m", True, "serves it as there"),
        Step("provider two for m", False, "serves it as m, after the one before it"),
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
        Step("rule '^x' (regex) -> both", True, "served by local"),
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
    [(200, False, False), (301, False, False), (400, False, False), (401, True, False), (402, False, False),
     (403, True, False), (404, False, False), (413, False, False), (422, False, False), (429, True, True),
     (499, False, False), (500, True, True), (503, True, True), (529, True, True), (599, True, True)],
)  # fmt: skip
def test_the_next_candidate_is_for_overload_failures_and_a_refused_key_of_our_own(
    status: int, own_key: bool, others_login: bool
) -> None:
    own: tuple[Auth, ...] = ("bearer", "x-api-key", "x-goog-api-key")
    others: tuple[Auth, ...] = ("client", "none")

    assert {own_key} == {may_fail_over(status, auth) for auth in own}
    assert {others_login} == {may_fail_over(status, auth) for auth in others}


# The contract once more, as plainly as it can be written, against random settings.


@dataclass
class Expected:
    route_type: str
    sent: list[tuple[str, str]]
    rule: Rule | None
    credits: str = "allow"


def split(name: str) -> tuple[str, str]:
    if name.endswith(")") and name.rfind("(") > 0:
        at = name.rfind("(")
        return name[:at], name[at + 1 : -1]
    return name, ""


def served_by(each: Provider, model: str, protocol: Protocol, world: Availability) -> str | None:
    """Return the name under which one provider serves ``model`` now."""
    if each.name in world.resting or protocol not in [endpoint.protocol for endpoint in each.endpoints]:
        return None
    base, suffix = split(model)
    tail = f"({suffix})" if suffix else ""
    offer = world.offers.get(each.name)
    if each.discover and offer:
        if base in offer.models:
            return base + tail
        if base in offer.dated:
            return offer.dated[base] + tail
    for entry in each.models:
        if not set(entry.id) & set("*?[") and entry.id == base:
            return (entry.upstream or base) + tail
    for entry in each.models:
        if set(entry.id) & set("*?[") and fnmatchcase(base, entry.id):
            return (entry.upstream or base) + tail
    return None


def serving(config: Settings, model: str, protocol: Protocol, world: Availability) -> list[tuple[str, str]]:
    names = [(each.name, served_by(each, model, protocol, world)) for each in config.providers]
    return [(who, name) for who, name in names if name is not None]


def holds(each: Rule, ask: Ask) -> bool:
    when = each.when or When()
    return (
        (not when.provider or when.provider == ask.segment)
        and (not when.tool_choice or when.tool_choice == ask.facts.tool_choice)
        and all((name.encode(), glob.encode()) in ask.headers for name, glob in when.headers)
    )


def rules_in_order(config: Settings, model: str) -> list[Rule]:
    whole, base = model.strip().lower(), split(model.strip())[0].strip().lower()
    usable = [
        each
        for each in config.amp.rules
        if each.source.strip() and each.targets and all(t.strip() for t in each.targets)
    ]
    exact: list[Rule] = []
    for name in dict.fromkeys([whole, base]):
        same = [each for each in usable if not each.regex and each.source.strip().lower() == name]
        unconditional = [each for each in same if each.when is None]
        exact += [each for each in same if each.when is not None or each is unconditional[-1]]
    patterns = [
        each for each in usable
        if each.regex and re.search(each.source.strip(), split(model)[0], re.IGNORECASE)
    ]  # fmt: skip
    return exact + patterns


def expected_of(ask: Ask, config: Settings, world: Availability) -> Expected:
    assert ask.protocol is not None
    local = serving(config, ask.model, ask.protocol, world)
    mapped: Expected | None = None
    rules = rules_in_order(config, ask.model)
    for each in rules:
        ways: list[tuple[str, str]] = []
        for target in each.targets:
            base, own = split(target.strip())
            suffix = own or split(ask.model.strip())[1]
            ways += serving(config, f"{base}({suffix})" if suffix else base, ask.protocol, world)
        if ways and holds(each, ask) and mapped is None:
            mapped = Expected("MODEL_MAPPING", list(dict.fromkeys(ways)), each)
    if config.amp.force_model_mappings and mapped:
        return mapped
    if local:
        return Expected("LOCAL_PROVIDER", local, None)
    if mapped:
        return mapped
    if ask.segment is None or config.amp.origin is None:
        return Expected("NO_PROVIDER", [], None)
    said = [each.credits for each in rules if each.credits and holds(each, ask)]
    return Expected("AMP_CREDITS", [], None, said[0] if said else config.amp.credits)


BASES = ["a", "A", "ab", "ab-1", "b", " b", "c", "c-20251101"]
NAMES = st.builds(
    str.__add__, st.sampled_from(BASES), st.sampled_from(["", "", "", "()", "(1)", "(x)(1)", " ", "(", ")"])
)
GLOBS = st.sampled_from(["a*", "?", "*b", "*", "[ab]", "a?-1"])
WHENS = st.none() | st.builds(
    When,
    provider=st.sampled_from(["", "p"]),
    tool_choice=st.sampled_from(["", "t"]),
    headers=st.sampled_from([(), (("h", "v"),)]),
)
RULES = st.builds(
    Rule,
    source=NAMES | st.just(" "),
    targets=st.lists(NAMES | st.just(""), max_size=3).map(tuple),
    credits=st.none() | st.sampled_from(CREDIT_POLICIES),
    when=WHENS,
) | st.builds(
    Rule,
    source=st.sampled_from(["^a", "b$", "a|b", ".", "-1", " ^b ", "^ ", r"\("]),
    targets=st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    regex=st.just(True),
    credits=st.none() | st.sampled_from(CREDIT_POLICIES),
    when=WHENS,
)
ENTRIES = st.builds(ModelEntry, id=NAMES | GLOBS, upstream=st.sampled_from(["", "", "there", "a"]))


@st.composite
def configurations(draw: st.DrawFn) -> Settings:
    providers = tuple(
        Provider(
            name=f"p{number}",
            origin=Origin("http", "h", 80),
            endpoints=tuple(
                Endpoint(protocol=each) for each in draw(st.lists(st.sampled_from(PROTOCOLS), unique=True))
            ),
            models=tuple(draw(st.lists(ENTRIES, max_size=4))),
            discover=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 3)))
    )
    amp = Amp(
        rules=tuple(draw(st.lists(RULES, max_size=6))),
        force_model_mappings=draw(st.booleans()),
        credits=draw(st.sampled_from(CREDIT_POLICIES)),
        origin=draw(st.sampled_from([None, Origin("https", "ampcode.com", 443)])),
    )
    return Settings(providers=providers, amp=amp)


OFFERS = st.builds(
    Offer,
    models=st.frozensets(st.sampled_from(BASES), max_size=3),
    dated=st.sampled_from([{}, {"c": "c-20251101"}]),
)
WORLDS = st.builds(
    Availability,
    resting=st.frozensets(st.sampled_from(["p0", "p1", "p2"]), max_size=2),
    offers=st.dictionaries(st.sampled_from(["p0", "p1", "p2"]), OFFERS),
)
ASKS = st.builds(
    Ask,
    protocol=st.sampled_from(PROTOCOLS),
    model=NAMES,
    segment=st.sampled_from([None, "p", "q"]),
    headers=st.sampled_from([(), ((b"h", b"v"),)]),
    facts=st.sampled_from([Facts(), Facts("t")]),
)


def once_each(config: Settings) -> Settings:
    """Let a provider list no name twice, plainly: which of two entries for it counts is tested by itself."""
    providers = tuple(
        replace(each, models=tuple({entry.id: entry for entry in each.models}.values())) for each in config.providers
    )
    return replace(config, providers=providers)


@hypothesis_settings(max_examples=500)
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


@hypothesis_settings(max_examples=300)
@given(configurations(), WORLDS, NAMES, st.sampled_from([None, "p"]))
def test_what_is_explained_listed_and_done_is_the_same(
    config: Settings, world: Availability, model: str, segment: str | None
) -> None:
    found = compile_snapshot(config)[0]
    decisions = [decide(Ask(protocol, model, segment), found, world) for protocol in PROTOCOLS]

    explanations = explain(model, None, segment, found, world)

    assert decisions == [explanation.decision for explanation in explanations]
    served = any(decision.candidates for decision in decisions)
    paid = any(decision.route_type == "AMP_CREDITS" and not decision.refused for decision in decisions)
    assert (SERVED if served else CREDITS if paid else NOBODY) == exit_code(explanations)
    assert served == is_served(model, found, world, PROTOCOLS, segment)
    names = served_names(found, world, PROTOCOLS, segment)
    for name in names:
        assert any(decide(Ask(protocol, name, segment), found, world).candidates for protocol in PROTOCOLS)
    mentioned = {entry.id for each in config.providers for entry in each.models if not set(entry.id) & set("*?[")}
    assert not (served and model in mentioned) or model in names
