"""What a reload changes is said in one line each, in words of the file, and without a secret."""

from __future__ import annotations

import dataclasses

import pytest

from ampmap.config.diff import differences
from ampmap.errors import Place
from ampmap.settings import (
    Amp,
    AmpKey,
    Endpoint,
    Limits,
    Log,
    ModelEntry,
    Origin,
    Provider,
    Rule,
    Settings,
    TcpListen,
    Timeouts,
    UnixListen,
    When,
)

HTTP = Origin("http", "127.0.0.1", 4000)
CHAT = Endpoint(protocol="openai-chat")


def rule(source: str, *targets: str, regex: bool = False, line: int = 1) -> Rule:
    return Rule(source=source, targets=targets, regex=regex, place=Place("c.yaml", line))


def of_rules(old: list[Rule], new: list[Rule]) -> list[str]:
    return differences(Settings(amp=Amp(rules=tuple(old))), Settings(amp=Amp(rules=tuple(new))))


def provider(name: str, line: int = 1) -> Provider:
    place = Place("c.yaml", line)
    return Provider(name=name, origin=HTTP, endpoints=(CHAT,), models=(ModelEntry(id="m"),), place=place)


def of_providers(old: list[Provider], new: list[Provider]) -> list[str]:
    return differences(Settings(providers=tuple(old)), Settings(providers=tuple(new)))


def test_what_is_equal_has_no_differences() -> None:
    settings = Settings(amp=Amp(rules=(rule("a", "b"),)), providers=(provider("p"),))

    assert [] == differences(settings, dataclasses.replace(settings))


def test_another_place_in_the_file_is_no_difference() -> None:
    assert [] == of_rules([rule("a", "b", line=1)], [rule("a", "b", line=9)])
    assert [] == of_providers([provider("p", line=1)], [provider("p", line=9)])


def test_the_way_in_which_a_name_is_written_is_no_difference() -> None:
    assert [] == of_rules([rule("A", "b")], [rule(" a", "b")])


# Settings.


def test_a_setting_is_shown_by_its_name_in_the_file() -> None:
    old = Settings(amp=Amp(credits="warn"))
    amp = Amp(origin=None, credits="refuse", force_model_mappings=True, restrict_management_to_localhost=False)
    new = Settings(
        allow_open_access=True,
        allowed_origins=("http://a", "http://b"),
        amp=amp,
        timeouts=Timeouts(connect_s=0.5),
        limits=Limits(head_bytes=1),
        log=Log(level="debug"),
    )

    assert [
        "allow-open-access: false -> true",
        "allowed-origins: none -> http://a, http://b",
        "amp-upstream-url: https://ampcode.com -> none",
        "amp-restrict-management-to-localhost: true -> false",
        "amp-credits: warn -> refuse",
        "amp-force-model-mappings: false -> true",
        "timeouts.connect-s: 10 -> 0.5",
        "limits.head-bytes: 65536 -> 1",
        "log.level: info -> debug",
    ] == differences(old, new)


def test_what_holds_from_the_start_needs_a_restart() -> None:
    new = Settings(listen=(TcpListen(port=1), UnixListen(path="/s")), limits=Limits(connections=7), admin=False)

    assert [
        "listen: 127.0.0.1:8267 -> 127.0.0.1:1, unix:/s; needs a restart",
        "limits.connections: 4096 -> 7; needs a restart",
        "admin.enabled: true -> false; needs a restart",
    ] == differences(Settings(), new)


@pytest.mark.parametrize("field", [f for f in dataclasses.fields(Settings) if f.name != "source"], ids=lambda f: f.name)
def test_no_setting_changes_in_silence(field: dataclasses.Field[object]) -> None:
    """Fields that are yet to be invented are compared like the others."""
    changed = {
        "listen": (TcpListen(port=1),),
        "api_keys": ("k",),
        "allowed_origins": ("http://a",),
        "amp": Amp(credits="allow"),
        "providers": (provider("p"),),
        "timeouts": Timeouts(head_s=1),
        "limits": Limits(header_count=1),
        "log": Log(format="json"),
    }
    value = changed.get(field.name, not field.default)

    assert 1 == len(differences(Settings(), dataclasses.replace(Settings(), **{field.name: value})))  # type: ignore[arg-type]


def test_no_secret_is_ever_shown() -> None:
    old_key, new_key = AmpKey(upstream_api_key="s1", client_keys=("s2",)), AmpKey(
        upstream_api_key="s3", client_keys=("s4",)
    )  # fmt: skip
    old_provider = dataclasses.replace(provider("p"), api_key="s5", headers=(("x-a", "s6"),))
    new_provider = dataclasses.replace(
        old_provider, api_key="s7", headers=(("x-a", "s8"),), endpoints=(dataclasses.replace(CHAT, base_path="/s9"),)
    )
    added = dataclasses.replace(new_provider, name="q")
    conditional = dataclasses.replace(rule("a", "b"), when=When(headers=(("authorization", "s10"),)))
    old = Settings(
        api_keys=("s11",),
        amp=Amp(api_key="s12", api_keys=(old_key,), rules=(rule("a", "b"),)),
        providers=(old_provider,),
    )
    new = Settings(
        api_keys=("s13",),
        amp=Amp(api_key="s14", base_path="/s15", api_keys=(new_key,), rules=(conditional,)),
        providers=(new_provider, added),
    )

    assert [
        "api-keys changed",
        "path of amp-upstream-url changed",
        "amp-upstream-api-key changed",
        "amp-upstream-api-keys changed",
        "provider p: path of base-url changed; api-key changed; headers changed",
        "provider q added: http://127.0.0.1:4000, models m",
        "rule a: when changed",
    ] == differences(old, new)


def test_what_would_steer_a_terminal_is_escaped() -> None:
    assert [r"rule a\nb added: to c\x1b[1m"] == of_rules([], [rule("a\nb", "c\x1b[1m")])


# Providers.


def test_providers_come_go_and_change() -> None:
    changed = dataclasses.replace(
        provider("kept"),
        origin=Origin("https", "h", 443),
        endpoints=(CHAT, Endpoint(protocol="gemini", auth="none")),
        models=(ModelEntry(id="n", upstream="there"),),
        ca_file="/ca.pem",
    )

    assert [
        "provider gone removed",
        "provider kept: base-url: http://127.0.0.1:4000 -> https://h; "
        "protocols: openai-chat (bearer) -> openai-chat (bearer), gemini (none); "
        "models: +n (there there) -m; ca-file: none -> /ca.pem",
        "provider new added: http://127.0.0.1:4000, models m",
    ] == of_providers([provider("gone"), provider("kept")], [changed, provider("new")])


def test_the_order_of_models_and_of_providers_is_a_difference() -> None:
    old = dataclasses.replace(provider("a"), models=(ModelEntry(id="m"), ModelEntry(id="m*")))
    new = dataclasses.replace(old, models=old.models[::-1])

    assert ["provider a: models in another order"] == of_providers([old], [new])
    assert ["provider a moved: tried in another order now"] == of_providers(
        [provider("a"), provider("b"), provider("c")], [provider("b"), provider("c"), provider("a")]
    )


# Rules.


def test_rules_come_go_and_change() -> None:
    changed = dataclasses.replace(rule("kept", "x", "y"), credits="refuse")

    assert [
        "rule gone removed (to b)",
        "rule kept: to: a -> x, y; credits: none -> refuse",
        "rule ^new (regex) added: to c",
    ] == of_rules([rule("gone", "b"), rule("kept", "a")], [changed, rule("^new", "c", regex=True)])


def test_an_added_rule_shows_that_it_has_conditions_and_what_it_may_spend() -> None:
    added = dataclasses.replace(rule("a", "b"), credits="allow", when=When(tool_choice="t"))

    assert ["rule a added: to b, credits allow, with when"] == of_rules([], [added])


def test_a_rule_that_becomes_a_pattern_is_the_same_rule() -> None:
    assert ["rule a (regex): regex: false -> true"] == of_rules([rule("a", "b")], [rule("a", "b", regex=True)])


def test_of_two_rules_for_one_name_neither_is_taken_for_the_other() -> None:
    conditional = dataclasses.replace(rule("a", "c"), when=When(provider="openai"))

    assert ["rule a: to: b -> d"] == of_rules([rule("a", "b"), conditional], [rule("a", "d"), conditional])
    assert ["rule a removed (to b)"] == of_rules([rule("a", "b"), conditional], [conditional])


def test_a_move_is_told_only_where_the_order_has_a_meaning() -> None:
    first, second, third = (rule(source, "x", regex=True) for source in ("^a", "^b", "^c"))
    exact, other = rule("a", "x"), rule("b", "x")

    assert ["rule ^c (regex) moved: tried in another order now"] == of_rules(
        [first, second, third], [third, first, second]
    )
    assert [] == of_rules([exact, first, other, second], [other, first, second, exact])


def test_two_rules_for_one_name_that_change_places_are_told() -> None:
    """The last of them wins."""
    to_b, to_c = rule("a", "b"), rule("A", "c")

    assert ["rule A moved: tried in another order now"] == of_rules([to_b, to_c], [to_c, to_b])


def test_a_rule_added_in_between_moves_nothing() -> None:
    first, second, third = (rule(source, "x", regex=True) for source in ("^a", "^b", "^c"))

    assert ["rule ^b (regex) added: to x"] == of_rules([first, third], [first, second, third])


def test_ten_thousand_rules_in_reverse_are_compared_at_once() -> None:
    """A quadratic comparison would take minutes."""
    rules = [rule(f"^{n}", "x", regex=True) for n in range(10_000)]

    assert 9_999 == len(of_rules(rules, rules[::-1]))
