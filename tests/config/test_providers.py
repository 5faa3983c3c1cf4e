"""Providers: what is written, what the preset knows, and the key, put together."""

from __future__ import annotations

import pytest
from providertext import complaints, one, spoken

from ampmap.config.file import parse
from ampmap.config.presets import PRESETS
from ampmap.errors import ConfigError, Place
from ampmap.formats.registry import FORMATS
from ampmap.settings import ModelEntry

LIST_MODELS = "no model is listed; write 'models: discover' to ask this provider, or for example 'models: [gpt-*]'"
KINDS = ", ".join(PRESETS)


def test_a_preset_fills_in_what_is_not_written() -> None:
    provider = one("{name: mine, type: anthropic, api-key: '${KEY}', models: [claude-sonnet-4]}", KEY="sk-1")

    assert "https://api.anthropic.com" == str(provider.origin)
    assert {"anthropic": ("", "x-api-key")} == spoken(provider)
    assert ("mine", "sk-1", (ModelEntry(id="claude-sonnet-4"),), Place("f.yaml", 1, 13)) == (
        provider.name,
        provider.api_key,
        provider.models,
        provider.place,
    )


def test_a_provider_can_be_written_out_in_full() -> None:
    provider = one(
        "{name: g, base-url: 'https://G.example/api/', protocols: [openai-chat, gemini, openai-chat], api-key: k, "
        "auth: x-api-key, headers: {X-Team: ' blue ', x-empty: ''}, "
        "models: [a, 'b-*', {id: c, upstream: vendor/c}, {id: d}]}"
    )

    assert "https://g.example" == str(provider.origin)
    assert {"openai-chat": ("/api", "x-api-key"), "gemini": ("/api", "x-api-key")} == spoken(provider)
    assert (("X-Team", "blue"), ("x-empty", "")) == provider.headers
    assert (
        ModelEntry(id="a"),
        ModelEntry(id="b-*"),
        ModelEntry(id="c", upstream="vendor/c"),
        ModelEntry(id="d"),
    ) == provider.models


def test_without_a_word_on_it_the_key_is_a_bearer_token() -> None:
    provider = one("{name: g, base-url: 'https://g.example', protocols: [anthropic], api-key: k, models: [a]}")

    assert {"anthropic": ("", "bearer")} == spoken(provider)


@pytest.mark.parametrize(
    ("written", "endpoints"),
    [
        ("", {"gemini": ("", "x-goog-api-key"), "openai-chat": ("/v1beta/openai", "bearer")}),
        (
            "base-url: http://10.0.0.1/g/",
            {"gemini": ("/g", "x-goog-api-key"), "openai-chat": ("/g/v1beta/openai", "bearer")},
        ),
        (
            "base-url: http://10.0.0.1/g/v1beta",
            {"gemini": ("/g/v1beta", "x-goog-api-key"), "openai-chat": ("/g/v1beta/openai", "bearer")},
        ),
        (
            "base-url: http://10.0.0.1/v1beta/openai, protocols: [openai-chat]",
            {"openai-chat": ("/v1beta/openai", "bearer")},
        ),
        ("protocols: [openai-chat]", {"openai-chat": ("/v1beta/openai", "bearer")}),
        (
            "protocols: [anthropic, gemini], base-url: https://h/x",
            {"anthropic": ("/x", "bearer"), "gemini": ("/x", "x-goog-api-key")},
        ),
        ("auth: bearer", {"gemini": ("", "bearer"), "openai-chat": ("/v1beta/openai", "bearer")}),
        ("protocols: [anthropic], auth: x-api-key", {"anthropic": ("", "x-api-key")}),
    ],
)
def test_any_part_of_a_preset_can_be_overridden(written: str, endpoints: dict[str, tuple[str, str]]) -> None:
    assert endpoints == spoken(one(f"{{name: g, type: gemini, api-key: k, models: [a], {written}}}"))


def test_a_preset_with_a_base_path_gives_it_up_for_another_url() -> None:
    preset = one("{name: o, type: openrouter, api-key: k, models: [a]}")
    other = one("{name: o, type: openrouter, api-key: k, models: [a], base-url: https://o.example/v2}")

    assert {"/api"} == {path for path, _ in spoken(preset).values()}
    assert {"/v2"} == {path for path, _ in spoken(other).values()}


# Headers.


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ("[a]", "1:59: expected a mapping, got a list; write 'key: value' lines"),
        ("{'X Team': a}", "1:60: 'X Team' is not a header's name: letters, digits and - only"),
        ("{'': a}", "1:60: '' is not a header's name: letters, digits and - only"),
        ("{'X-Ä': a}", "1:60: 'X-Ä' is not a header's name: letters, digits and - only"),
        ('{"X\\r\\nY": a}', r"1:60: 'X\r\nY' is not a header's name: letters, digits and - only"),
        ("{X-A: 1, x-a: '2'}", "1:65: expected a string, got a whole number; put it in quotes"),
        ("{X-A: a, x-a: b}", "1:68: the header x-a is given twice; keep one"),
        *(
            (f"{{{name}: a}}", f"1:60: the header {name} is ampmap's own to write; remove it")
            for name in ("Host", "content-length", "Transfer-Encoding", "CONNECTION", "Keep-Alive", "TE", "Trailer",
                         "Upgrade", "Proxy-Connection", "Proxy-Authorization", "Expect", "HTTP2-Settings")
        ),
        *(
            (f"{{X-A: {value}}}", "1:65: a header's value is one line of latin-1 text without control characters")
            for value in ('"secret\\r\\nX-B: c"', '"secret\\0"', '"secret\\x1b"', '"secret\\x7f"', "'secret€'")
        ),
    ],
)  # fmt: skip
def test_headers_are_safe_to_send(headers: str, complaint: str) -> None:
    assert [f"f.yaml:{complaint}"] == complaints(f"{{name: a, type: ollama, models: [m], headers: {headers}}}")


def test_a_header_s_value_may_hold_latin_1_and_tabs() -> None:
    provider = one('{name: a, type: ollama, models: [m], headers: {X-A: "a\\tb é"}}')

    assert (("X-A", "a\tb é"),) == provider.headers


# What cannot be.


@pytest.mark.parametrize(
    ("provider", "complaint"),
    [
        ("text", "1:13: expected a mapping, got a string; write 'key: value' lines"),
        ("{type: ollama, models: [m]}", "1:13: this provider has no name; add 'name: NAME'"),
        ("{name: 5, type: ollama, models: [m]}", "1:20: expected a string, got a whole number; put it in quotes"),
        ("{name: '', type: ollama, models: [m]}", "1:20: a name has 1 to 256 bytes and no control characters"),
        ('{name: "a\\nb", type: ollama, models: [m]}', "1:20: a name has 1 to 256 bytes and no control characters"),
        ("{name: a, type: ollama, models: [m], url: x}", "1:50: unknown key 'url'; did you mean 'base-url'?"),
        ("{name: a, type: openai, api-key:x1, auth: none}",
         "1:37: unknown key 'api-key:...'; write 'api-key: ', with a blank behind the colon"),
        ("{name: a, type: antropic, models: [m]}", "1:29: unknown type 'antropic'; did you mean 'anthropic'?"),
        ("{name: a, type: foo, models: [m]}", f"1:29: unknown type 'foo'; known are {KINDS}"),
        ("{name: a, type: openai, api-key: k, models: [m], protocols: [openai]}",
         "1:74: unknown protocol 'openai'; did you mean 'openai-chat'?"),
        ("{name: a, type: openai, api-key: k, models: [m], protocols: []}", "1:73: a provider speaks at least one "
         f"protocol; known are {', '.join(FORMATS)}"),
        ("{name: a, type: openai, models: [m], auth: basic}",
         "1:56: unknown auth 'basic'; known are bearer, x-api-key, x-goog-api-key, none, client"),
        ("{name: a, models: [m]}", "1:13: a provider without a type needs base-url and protocols; add them, or 'type:' "
         f"with one of {KINDS}"),
        ("{name: a, models: [m], base-url: 'http://127.0.0.1'}", "1:13: a provider without a type needs protocols; add "
         f"them, or 'type:' with one of {KINDS}"),
        ("{name: a, type: ollama, models: []}", f"1:45: {LIST_MODELS}"),
        ("{name: a, type: ollama, models: m}",
         "1:45: expected a list, got a string; put the items in [ ], or each on a line after '- '"),
        ("{name: a, type: ollama, models: [5]}", "1:46: expected a string, got a whole number; put it in quotes"),
        ("{name: a, type: ollama, models: ['']}", "1:46: a name has 1 to 256 bytes and no control characters"),
        (f"{{name: a, type: ollama, models: ['{'é' * 128}x']}}", "1:46: a name has 1 to 256 bytes and no control "
         "characters"),
        ("{name: a, type: ollama, models: [{upstream: x}]}",
         "1:46: this model has no id; write {id: NAME, upstream: NAME-THERE}"),
        ("{name: a, type: ollama, models: [{id: x, upstream: ' '}]}",
         "1:64: a name has 1 to 256 bytes and no control characters"),
        ("{name: a, type: ollama, models: [{id: x, to: y}]}", "1:54: unknown key 'to'; known are id, upstream"),
        ("{name: a, type: ollama, models: [m]}, {name: a, type: vllm, models: [m]}",
         "1:51: a provider named 'a' stands already at f.yaml:1:13; give this one another name"),
        ("{name: a, type: openai, models: [m], api-key: 5}",
         "1:59: expected a string, got a whole number; put it in quotes"),
        ("{name: a, type: openai, models: [m], api-key-file: 5}",
         "1:64: expected a string, got a whole number; put it in quotes"),
        ("{name: a, type: openai, models: [m], auth: none, base-url: '${NO}'}",
         "1:72: the variable NO is not set; set it, or write ${NO:-default}"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_where_it_stands(provider: str, complaint: str) -> None:
    assert [f"f.yaml:{complaint}"] == complaints(provider)


def test_a_name_of_256_bytes_is_taken() -> None:
    assert "é" * 128 == one(f"{{name: a, type: ollama, models: ['{'é' * 128}']}}").models[0].id


def test_providers_are_a_list() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("providers: {anthropic: x}", "f.yaml", {})

    assert "f.yaml:1:12: expected a list, got a mapping; put the items in [ ], or each on a line after '- '" == str(
        caught.value
    )


def test_nothing_shows_a_secret_in_its_repr() -> None:
    provider = one("{name: a, type: openai, models: [m], api-key: sk-secret, headers: {X-A: secret}}")

    assert "secret" not in repr(provider)


def test_a_variable_s_value_is_not_shown_where_a_word_is_unknown() -> None:
    [complaint] = complaints("{name: a, type: '${KEY}', models: [m]}", KEY="sk-secret")

    assert f"f.yaml:1:29: unknown type '${{KEY}}'; known are {KINDS}" == complaint


@pytest.mark.parametrize("models", ["", ", models: discover", ", models: ~"])
def test_a_provider_without_a_list_is_asked_for_its_models(models: str) -> None:
    [provider] = parse(f"providers: [{{name: a, type: ollama{models}}}]", "f.yaml", {}).settings.providers

    assert (True, ()) == (provider.discover, provider.models)
