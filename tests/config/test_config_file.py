"""A configuration file becomes settings, or every complaint about it at its line and column."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import pytest
from configtext import complaints, parse
from hypothesis import given
from hypothesis import strategies as st

from ampmap.config.file import defaults, load
from ampmap.config.keys import TOP
from ampmap.errors import ConfigError
from ampmap.settings import AmpKey, Limits, Log, Settings, TcpListen, Timeouts, UnixListen

IS_ROOT = sys.platform == "win32" or os.geteuid() == 0  # whom no mode of a file keeps out


# What it may say.


def test_every_setting_can_be_written() -> None:
    loaded = parse(
        """
listen: [127.0.0.1:8300, '[::1]:8301', unix:/run/ampmap.sock]
api-keys: [one, ' two ', one, '']
allow-open-access: true
allowed-origins: [http://localhost:3000, HTTPS://Example.COM, http://localhost:3000, chrome-extension://abc]
amp-upstream-url: https://amp.example/base/
amp-upstream-api-key: sgamp_x
amp-upstream-api-keys: [{upstream-api-key: sgamp_a, api-keys: [one, two]}]
amp-restrict-management-to-localhost: false
amp-credits: refuse
amp-force-model-mappings: true
timeouts: {connect-s: 1, head-s: 2.5, keepalive-s: 3, body-idle-s: 4, response-head-s: 5, stream-idle-s: 6,
           write-stall-s: 7, drain-s: 1e1}
limits: {head-bytes: 0x10, header-count: 2, model-body-bytes: 0o3, connections: 4, idle-per-origin: 5}
log: {format: json, level: debug}
admin: {enabled: false}
providers: []
"""
    )
    settings = loaded.settings

    assert () == loaded.warnings
    assert (
        TcpListen(host="127.0.0.1", port=8300),
        TcpListen(host="::1", port=8301),
        UnixListen(path="/run/ampmap.sock"),
    ) == settings.listen
    assert ("one", "two") == settings.api_keys
    assert settings.allow_open_access
    assert ("http://localhost:3000", "https://example.com", "chrome-extension://abc") == settings.allowed_origins
    assert "https://amp.example/base" == f"{settings.amp.origin}{settings.amp.base_path}"
    assert "sgamp_x" == settings.amp.api_key
    assert (AmpKey(upstream_api_key="sgamp_a", client_keys=("one", "two")),) == settings.amp.api_keys
    assert (False, "refuse", True) == (
        settings.amp.restrict_management_to_localhost,
        settings.amp.credits,
        settings.amp.force_model_mappings,
    )
    assert (
        Timeouts(
            connect_s=1,
            head_s=2.5,
            keepalive_s=3,
            body_idle_s=4,
            response_head_s=5,
            stream_idle_s=6,
            write_stall_s=7,
            drain_s=10,
        )
        == settings.timeouts
    )
    assert (
        Limits(head_bytes=16, header_count=2, model_body_bytes=3, connections=4, idle_per_origin=5) == settings.limits
    )
    assert Log(format="json", level="debug") == settings.log
    assert not settings.admin
    assert () == settings.providers


def test_a_key_without_a_value_counts_as_absent() -> None:
    assert Settings(source="f.yaml") == parse("".join(f"{key}:\n" for key in TOP)).settings


def test_parts_that_are_not_given_keep_their_defaults() -> None:
    settings = parse("timeouts: {head-s: 1}\nlimits: {}\nlog: {level: error}\nadmin: {}\n").settings

    assert (Timeouts(head_s=1), Limits(), Log(level="error"), True) == (
        settings.timeouts,
        settings.limits,
        settings.log,
        settings.admin,
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("provider: []", "1:1: unknown key 'provider'; did you mean 'providers'?"),
        ("\n\nAPI_KEYS: []", "3:1: unknown key 'API_KEYS'; did you mean 'api-keys'?"),
        ("log:\n  colour: 1", "2:3: unknown key 'colour'; known are format, level, file"),
        ("timeouts: {connect: 1}", "1:12: unknown key 'connect'; did you mean 'connect-s'?"),
        ("limits: {x: 1}",
         f"1:10: unknown key 'x'; known are {', '.join(each.name.replace('_', '-') for each in fields(Limits))}"),
        ("admin: {on: true}", "1:9: unknown key 'on'; known are enabled"),
        ("admin: true", "1:8: expected a mapping, got true or false; write 'key: value' lines"),
        ("- a", "1:1: expected a mapping, got a list; write 'key: value' lines"),
        ("just text", "1:1: expected a mapping, got a string; write 'key: value' lines"),
        ("log: {format: xml}", "1:15: unknown format 'xml'; known are auto, human, text, json"),
        ("log: {level: warn}", "1:14: unknown level 'warn'; did you mean 'warning'?"),
        ("log: {level: 5}", "1:14: expected a string, got a whole number; put it in quotes"),
        ("admin: {enabled: yes}", "1:18: expected true or false, got a string; write true or false, without quotes"),
        ("allow-open-access: 1",
         "1:20: expected true or false, got a whole number; write true or false, without quotes"),
        ("api-keys: a", "1:11: expected a list, got a string; put the items in [ ], or each on a line after '- '"),
        ("api-keys: [12]", "1:12: expected a string, got a whole number; put it in quotes"),
        ("api-keys: [1.5]", "1:12: expected a string, got a number; put it in quotes"),
        ("api-keys: [true]", "1:12: expected a string, got true or false; put it in quotes"),
        ("api-keys: [~]", "1:12: expected a string, got nothing; write a string"),
        ("api-keys: [[a]]", "1:12: expected a string, got a list; write a string"),
        ("api-keys: [{a: b}]", "1:12: expected a string, got a mapping; write a string"),
        ("api-keys: [{a: b}]\nlisten: 0.0.0.0:1", "1:12: expected a string, got a mapping; write a string"),
        ("api-keys: ['a b']", "1:12: this key cannot be sent: a key has visible ASCII characters only, no blanks, "
         "no line breaks"),
        ("listen: []", "1:9: at least one address is needed; write 127.0.0.1:8267"),
        ("listen: [127.0.0.1:1, 127.0.0.1:1]", "1:23: this address is already given at f.yaml:1:10; keep one"),
        ("allowed-origins: ['*']", "1:19: '*' would let every web page spend your keys; name each origin"),
        *(
            (f"allowed-origins: ['{origin}']",
             "1:19: an origin is SCHEME://HOST or SCHEME://HOST:PORT, such as http://localhost:3000")
            for origin in ("http://a.example/", "a.example", "null", "http://a:b", "http://u@a")
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_where_it_stands(text: str, complaint: str) -> None:
    assert [f"f.yaml:{complaint}"] == complaints(text)


@pytest.mark.parametrize("value", ["0", "-1", "-0.5", ".inf", ".nan", "1e999", "0x10"])
def test_seconds_are_positive_and_finite(value: str) -> None:
    assert ["f.yaml:1:20: expected a number of seconds greater than 0, such as 30 or 0.5"] == complaints(
        f"timeouts: {{head-s: {value}}}"
    )


def test_seconds_are_a_number() -> None:
    assert ["f.yaml:1:20: expected a number of seconds, got a string; write a number, without quotes"] == complaints(
        "timeouts: {head-s: 30s}"
    )


@pytest.mark.parametrize("value", ["0", "-1", "9" * 5000, str(2**40 + 1)])
def test_limits_are_positive_and_bounded(value: str) -> None:
    assert ["f.yaml:1:23: expected a whole number from 1 to 1099511627776"] == complaints(
        f"limits: {{connections: {value}}}"
    )


def test_limits_are_whole_numbers() -> None:
    assert ["f.yaml:1:23: expected a whole number, got a number; write digits only, without quotes"] == complaints(
        "limits: {connections: 1.5}"
    )


def test_everything_that_is_wrong_is_said_at_once_in_the_file_s_order() -> None:
    text = """\
admin: {}
lissten: x
admin: {}
amp-model-mappings:
  - {from: a}
log: 5
"""

    assert [
        "f.yaml:2:1: unknown key 'lissten'; did you mean 'listen'?",
        "f.yaml:3:1: 'admin' is given twice, on line 1 and on line 3; keep one",
        "f.yaml:5:5: this rule is skipped because a name is missing: from 'a' to ''",
        "f.yaml:6:6: expected a mapping, got a whole number; write 'key: value' lines",
    ] == complaints(text)


# Who may reach it.


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1", "127.8.9.1:1", "'[::1]:1'", "'[0:0::1]:1'", "'[::ffff:127.0.0.1]:1'", "localhost:1", "LOCALHOST.:1",
     "unix:/run/a.sock"],
)  # fmt: skip
def test_loopback_may_be_open(address: str) -> None:
    assert 1 == len(parse(f"listen: {address}").settings.listen)


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1", "box.local:1"])
def test_beyond_loopback_a_key_or_a_word_is_needed(address: str) -> None:
    what = (
        f"{address} can be reached from other machines, and no key is asked for; list keys under 'api-keys:', "
        "or write 'allow-open-access: true'"
    )

    assert [f"f.yaml:2:23: {what}"] == complaints(f"\nlisten: [127.0.0.1:1, '{address}']")
    assert [f"f.yaml:2:11: {what}"] == complaints(f"api-keys: [' ']\nlisten: [ '{address}' ]")
    assert parse(f"listen: '{address}'\napi-keys: [a]")
    assert parse(f"listen: '{address}'\nallow-open-access: true")


# Providers from the environment.


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("ANTHROPIC_API_KEY", "anthropic"),
        ("OPENAI_API_KEY", "openai"),
        ("GEMINI_API_KEY", "gemini"),
        ("OPENROUTER_API_KEY", "openrouter"),
    ],
)
def test_a_vendor_s_key_in_the_environment_makes_its_provider_which_is_asked_for_its_models(
    variable: str, name: str
) -> None:
    for loaded in (defaults({variable: " sk-1\n"}), parse("log: {}", **{variable: "sk-1"})):
        [provider] = loaded.settings.providers

        assert (name, "sk-1", True, (), None) == (
            provider.name,
            provider.api_key,
            provider.discover,
            provider.models,
            provider.place,
        )


def test_openrouter_keeps_its_base_path_when_it_comes_from_the_environment() -> None:
    [provider] = defaults({"OPENROUTER_API_KEY": "k"}).settings.providers

    assert {"/api"} == {endpoint.base_path for endpoint in provider.endpoints}


def test_a_file_that_names_providers_is_not_added_to() -> None:
    assert () == parse("providers: []", ANTHROPIC_API_KEY="sk-1").settings.providers


def test_a_key_in_the_environment_that_cannot_be_sent_is_refused_unseen() -> None:
    with pytest.raises(ConfigError) as caught:
        defaults({"OPENAI_API_KEY": "sk-secret\nx", "ANTHROPIC_API_KEY": " "})

    assert (
        "the variable OPENAI_API_KEY cannot be sent: a key has visible ASCII characters only, no blanks, no line breaks"
        == str(caught.value)
    )


# Whatever is written.

WORDS = st.sampled_from(
    [*TOP, "name", "type", "base-url", "protocols", "api-key", "api-key-file", "auth", "models", "headers", "ca-file",
     "from", "to", "regex", "credits", "id", "upstream", "upstream-api-key", "upstream-url", "model-mappings", "head-s",
     "connections", "format", "enabled", "anthropic", "gemini", "openai-chat", "bearer", "none", "discover", "claude-*",
     "http://127.0.0.1:1/x", "https://a.example", "0.0.0.0:1", ":1", "${A}", "${B:-x}", "${", "~/x", "/dev/null", "."]
)  # fmt: skip
TREES = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(list(TOP)), TREES, max_size=6))
def test_any_tree_is_loaded_or_complained_of(tree: dict[str, object]) -> None:
    try:
        parse(json.dumps(tree), A="1")
    except ConfigError as exc:
        assert all(complaint.place for complaint in exc.complaints)


@given(st.text() | st.lists(WORDS | st.sampled_from([": ", "\n", "  ", "- ", "[", "]", "{", "}", ", "])).map("".join))
def test_any_text_is_loaded_or_complained_of(text: str) -> None:
    try:
        parse(text, A="1")
    except ConfigError as exc:
        assert exc.complaints


@given(st.binary(max_size=300))
def test_any_file_is_loaded_or_complained_of(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "c.yaml"
        path.write_bytes(data)
        try:
            load(path, {})
        except ConfigError as exc:
            assert exc.complaints
