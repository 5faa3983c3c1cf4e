"""The Amp section: two ways to write it, keys per client, and rules that are passed over rather than refused."""

from __future__ import annotations

import pytest

from ampmap.config.file import Loaded, parse
from ampmap.errors import ConfigError, Place
from ampmap.settings import Amp, AmpKey, Rule, When

FLAT = """
amp-upstream-url: https://amp.example
amp-upstream-api-key: sgamp_x
amp-upstream-api-keys: [{upstream-api-key: sgamp_a, api-keys: [c1, c2]}]
amp-restrict-management-to-localhost: false
amp-force-model-mappings: true
amp-model-mappings: []
"""

NESTED = """
ampcode:
  upstream-url: https://amp.example
  upstream-api-key: sgamp_x
  upstream-api-keys: [{upstream-api-key: sgamp_a, api-keys: [c1, c2]}]
  restrict-management-to-localhost: false
  force-model-mappings: true
  model-mappings: []
"""


def load(text: str) -> Loaded:
    return parse(text, "f.yaml", {})


def complaints(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return [str(complaint) for complaint in caught.value.complaints]


def warnings(text: str) -> list[str]:
    loaded = load(text)
    assert {"warning"} >= {complaint.severity for complaint in loaded.warnings}
    return list(map(str, loaded.warnings))


def test_the_block_means_what_the_flat_keys_mean() -> None:
    assert Amp() != load(FLAT).settings.amp
    assert load(FLAT).settings.amp == load(NESTED).settings.amp


def test_both_ways_may_be_mixed() -> None:
    amp = load("amp-upstream-api-key: a\nampcode: {force-model-mappings: true}\n").settings.amp

    assert ("a", True) == (amp.api_key, amp.force_model_mappings)


@pytest.mark.parametrize("key", ["upstream-url", "upstream-api-key", "restrict-management-to-localhost"])
def test_a_value_in_both_ways_is_refused_with_both_names_and_places(key: str) -> None:
    value = "true" if key.startswith("restrict") else "https://a.example"
    what = f"'amp-{key}' and '{key}' in 'ampcode' are both given"
    flat, block = f"amp-{key}: {value}\n", f"ampcode: {{{key}: {value}}}\n"
    flat_column, block_column = len(f"amp-{key}: ") + 1, len(f"ampcode: {{{key}: ") + 1

    assert [f"f.yaml:2:{block_column}: {what} (the other is at f.yaml:1:{flat_column}); keep one"] == complaints(
        flat + block
    )
    assert [f"f.yaml:2:{flat_column}: {what} (the other is at f.yaml:1:{block_column}); keep one"] == complaints(
        block + flat
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ampcode: {credits: warn}", "1:11: unknown key 'credits'; known are upstream-url, upstream-api-key, "
         "upstream-api-keys, restrict-management-to-localhost, force-model-mappings, model-mappings"),
        ("amp-credits: maybe", "1:14: unknown policy 'maybe'; known are allow, warn, refuse"),
        ("amp-upstream-url: amp.example", "1:19: a base URL begins with http:// or https://; write it like "
         "https://api.example.com or http://127.0.0.1:4000/base"),
        ("amp-upstream-url: 5", "1:19: expected a string, got a whole number; put it in quotes"),
        ('amp-upstream-api-key: "sk-secret\\nx"', "1:23: this key cannot be sent: a key has visible ASCII characters "
         "only, no blanks, no line breaks"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_where_it_stands(text: str, complaint: str) -> None:
    assert [f"f.yaml:{complaint}"] == complaints(text)


@pytest.mark.parametrize("text", ['""', "'  '", "'${NONE:-}'"])
def test_an_empty_address_means_no_upstream(text: str) -> None:
    assert load(f"amp-upstream-url: {text}").settings.amp.origin is None


def test_no_address_means_amp_s_own() -> None:
    assert "https://ampcode.com" == str(load("amp-upstream-url:").settings.amp.origin)


# Keys per client.


def test_a_client_that_is_listed_twice_keeps_the_first_key_and_is_not_shown() -> None:
    loaded = load(
        """\
amp-upstream-api-keys:
  - {upstream-api-key: a, api-keys: [c1, c2]}
  - {upstream-api-key: b, api-keys: [c3, c2, ' c1 ', '']}
"""
    )

    assert (
        AmpKey(upstream_api_key="a", client_keys=("c1", "c2")),
        AmpKey(upstream_api_key="b", client_keys=("c3",)),
    ) == (loaded.settings.amp.api_keys)
    assert [
        "f.yaml:3:42: this key is listed already at f.yaml:2:42, which holds",
        "f.yaml:3:46: this key is listed already at f.yaml:2:38, which holds",
    ] == list(map(str, loaded.warnings))


@pytest.mark.parametrize("entry", ["{upstream-api-key: a}", "{upstream-api-key: a, api-keys: ['']}"])
def test_a_key_for_no_client_is_dropped_with_a_warning(entry: str) -> None:
    text = f"amp-upstream-api-keys: [{entry}]"

    assert () == load(text).settings.amp.api_keys
    assert ["f.yaml:1:25: no client uses this key; list theirs under 'api-keys:'"] == warnings(text)


@pytest.mark.parametrize("entry", ["{api-keys: [c]}", "{upstream-api-key: ' ', api-keys: [c]}"])
def test_clients_without_an_amp_key_are_refused(entry: str) -> None:
    assert ["f.yaml:1:25: 'upstream-api-key' is missing; write {upstream-api-key: KEY, api-keys: [KEY]}"] == complaints(
        f"amp-upstream-api-keys: [{entry}]"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a", "1:24: expected a list, got a string; put the items in [ ], or each on a line after '- '"),
        ("[a]", "1:25: expected a mapping, got a string; write 'key: value' lines"),
        ("[{upstream-api-key: 'a b', api-keys: [c]}]", "1:44: this key cannot be sent: a key has visible ASCII "
         "characters only, no blanks, no line breaks"),
        ("[{upstream-api-key: a, api-keys: ['b c', d]}]", "1:58: this key cannot be sent: a key has visible ASCII "
         "characters only, no blanks, no line breaks"),
        ("[{upstream-api-key: a, api-keys: c}]", "1:57: expected a list, got a string; put the items in [ ], or each "
         "on a line after '- '"),
    ],
)  # fmt: skip
def test_keys_per_client_have_a_shape(text: str, complaint: str) -> None:
    assert f"f.yaml:{complaint}" in complaints(f"amp-upstream-api-keys: {text}")


# Rules.


def test_rules_are_read_in_their_order_with_their_places() -> None:
    amp = load(
        """\
amp-model-mappings:
  - {from: ' claude-opus-4.5 ', to: claude-sonnet-4}
  - {from: '^gpt-5', to: [gpt-oss-120b, '', ' claude-sonnet-4 '], regex: true}
  - from: claude-opus-4-7
    to: glm-5
    credits: refuse
"""
    ).settings.amp

    assert (
        Rule(source="claude-opus-4.5", targets=("claude-sonnet-4",), place=Place("f.yaml", 2, 5)),
        Rule(source="^gpt-5", targets=("gpt-oss-120b", "claude-sonnet-4"), regex=True, place=Place("f.yaml", 3, 5)),
        Rule(source="claude-opus-4-7", targets=("glm-5",), credits="refuse", place=Place("f.yaml", 4, 5)),
    ) == amp.rules


@pytest.mark.parametrize(
    ("rule", "source", "target"),
    [
        ("{from: '', to: b}", "''", "'b'"),
        ("{from: '  ', to: b}", "''", "'b'"),
        ("{from: a, to: ''}", "'a'", "''"),
        ("{from: a, to: []}", "'a'", "''"),
        ("{from: a, to: ['', ' ']}", "'a'", "''"),
        ("{to: [b, c]}", "''", "'b, c'"),
        ("{from: a}", "'a'", "''"),
        ("{from: a, to: }", "'a'", "''"),
        ("{regex: true}", "''", "''"),
        ("{}", "''", "''"),
    ],
)
def test_a_rule_that_lacks_a_name_is_passed_over_with_a_warning(rule: str, source: str, target: str) -> None:
    text = f"amp-model-mappings:\n  - {{from: x, to: y}}\n  - {rule}\n"

    assert [f"f.yaml:3:5: this rule is skipped because a name is missing: from {source} to {target}"] == warnings(text)
    assert ["x"] == [rule.source for rule in load(text).settings.amp.rules]


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("{from: a, too: b}", "1:32: unknown key 'too'; did you mean 'to'?"),
        ("{from: 4.5, to: b}", "1:29: expected a string, got a number; put it in quotes"),
        ("{from: [a], to: b}", "1:29: expected a string, got a list; write a string"),
        ("{from: a, to: 5}", "1:36: expected a string, got a whole number; put it in quotes"),
        ("{from: a, to: [b, 5]}", "1:40: expected a string, got a whole number; put it in quotes"),
        ("{from: a, to: {b: c}}", "1:36: expected a string, got a mapping; write a string"),
        ("{from: a, to: b, regex: 'true'}", "1:46: expected true or false, got a string; write true or false, "
         "without quotes"),
        ("{from: a, to: b, credits: no}", "1:48: unknown policy 'no'; known are allow, warn, refuse"),
        ("a->b", "1:22: expected a mapping, got a string; write 'key: value' lines"),
        ("~", "1:22: expected a mapping, got nothing; write 'key: value' lines"),
    ],
)  # fmt: skip
def test_a_rule_has_a_shape(rule: str, complaint: str) -> None:
    assert [f"f.yaml:{complaint}"] == complaints(f"amp-model-mappings: [{rule}]")


def test_rules_are_a_list() -> None:
    assert ['f.yaml:1:21: rules are a list, not a mapping; write [{from: "a", to: "b"}]'] == complaints(
        "amp-model-mappings: {from: a, to: b}"
    )


def test_the_conditions_of_a_rule_are_read() -> None:
    when = "{provider: openai, header: {X-Amp-Mode: 'sm*'}, tool-choice: set_title, system-prefix: You are}"
    [rule] = load(f"amp-model-mappings: [{{from: a, to: [b, c], when: {when}}}]").settings.amp.rules

    assert ("b", "c") == rule.targets
    assert rule.when == When(
        provider="openai", headers=(("x-amp-mode", "sm*"),), tool_choice="set_title", system_prefix="You are"
    )
    assert rule.when.needs_body


@pytest.mark.parametrize("when", ["{}", "{provider: ''}", "~"])
def test_a_condition_without_content_is_none(when: str) -> None:
    [rule] = load(f"amp-model-mappings: [{{from: a, to: b, when: {when}}}]").settings.amp.rules

    assert rule.when is None


@pytest.mark.parametrize(
    ("when", "complaint"),
    [
        ("{tols: x}", "unknown key 'tols'; did you mean 'tool'?"),
        ("{header: X-Amp}", "expected a mapping, got a string; write 'key: value' lines"),
        ("{header: {}}", "no header is named; write {NAME: GLOB}"),
        ("{provider: 7}", "expected a string, got a whole number; put it in quotes"),
    ],
)
def test_a_condition_has_a_shape(when: str, complaint: str) -> None:
    [found] = complaints(f"amp-model-mappings: [{{from: a, to: b, when: {when}}}]")

    assert found.endswith(complaint)
