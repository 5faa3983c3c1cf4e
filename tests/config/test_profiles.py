"""What a translator has to know of a provider: from its wire format, its preset, and what is written."""

from __future__ import annotations

import pytest
from configtext import complaints, parse

from ampmap.config import keys
from ampmap.config.presets import PRESETS
from ampmap.config.profiles import with_profile
from ampmap.formats.profile import Profile
from ampmap.formats.registry import FORMATS
from ampmap.settings import Endpoint, Provider

GATEWAY = "name: g, base-url: 'http://127.0.0.1:1', protocols: [openai-chat, anthropic], models: [m]"


def one(text: str, before: str = "") -> Provider:
    [provider] = parse(f"{before}\nproviders: [{{{text}}}]").settings.providers
    return provider


def profile_of(provider: Provider, protocol: str = "openai-chat") -> Profile:
    endpoint = provider.endpoint(protocol)
    assert endpoint is not None and endpoint.profile is not None
    return endpoint.profile


def test_all_eight_keys_can_be_written() -> None:
    written = (
        "{max-output: 32000, max-tokens-key: max_completion_tokens, effort: [low, high], mid-system: keep, files: true,"
        " reasoning-field: reasoning_content, strict-schemas: true, stream-usage: false}"
    )
    found = profile_of(one(f"{GATEWAY}, profile: {written}"))

    expected = {
        "max_output": 32000, "max_tokens_key": "max_completion_tokens", "effort": ("low", "high"),
        "reasoning_field": "reasoning_content", "files": True, "strict_schemas": True, "mid_system": "keep",
        "stream_usage": False,
    }  # fmt: skip

    assert {name.replace("_", "-") for name in expected} == keys.PROFILE.keys()
    assert expected == {name: getattr(found, name) for name in expected}


def test_what_is_not_written_is_as_the_format_has_it() -> None:
    provider = one(f"{GATEWAY}, profile: {{max-output: 9}}")

    for protocol in ("openai-chat", "anthropic"):
        usual = with_profile(Endpoint(protocol=protocol), {"max_output": 9}).profile
        assert usual == profile_of(provider, protocol)
        assert FORMATS[protocol].profile != profile_of(provider, protocol)


def test_what_is_written_comes_over_the_preset() -> None:
    provider = one("name: o, type: openai, api-key: k, profile: {effort: [], reasoning-field: none}")

    for protocol in ("openai-chat", "openai-responses"):
        assert () == profile_of(provider, protocol).effort
    assert "max_completion_tokens" == profile_of(provider).max_tokens_key


def test_presets_know_what_their_vendors_refuse() -> None:
    def known(kind: str, protocol: str = "openai-chat") -> Profile:
        return profile_of(one(f"name: p, type: {kind}, api-key: k"), protocol)

    assert ("max_completion_tokens", False, 40) == (
        known("openai").max_tokens_key, known("openai").effort_with_tools, known("openai").tool_id_max,
    )  # fmt: skip
    for kind in ("deepseek", "moonshot"):
        assert ("thinking", "reasoning_content", False) == (
            known(kind).thinking_switch, known(kind).reasoning_field, known(kind).forced_with_thinking,
        )  # fmt: skip
    assert ("nine", False) == (known("mistral").tool_id, known("mistral").stream_usage)
    assert ("reasoning", "reasoning_details", True) == (
        known("openrouter").thinking_switch, known("openrouter").reasoning_field, known("openrouter").cache_control,
    )  # fmt: skip
    assert "keep" == known("openai").mid_system == known("openai", "openai-responses").mid_system
    assert not known("deepseek").json_schema and known("groq").json_schema
    assert ("prefix", "continue_final_message") == (known("mistral").prefill, known("vllm").prefill)
    assert known("vllm").top_k and not known("vllm", "anthropic").top_level_cache_control


@pytest.mark.parametrize("name", PRESETS)
def test_each_profile_of_a_preset_can_be_made(name: str) -> None:
    preset = PRESETS[name]

    assert preset.profiles.keys() <= {each.protocol for each in preset.endpoints}
    for endpoint in preset.endpoints:
        assert with_profile(endpoint, preset.profiles.get(endpoint.protocol, {})).profile is not None


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("{max-outputs: 1}", "unknown key 'max-outputs'; did you mean 'max-output'?"),
        ("{max_output: 1}", "unknown key 'max_output'; did you mean 'max-output'?"),
        ("{developer-role: true}", "unknown key 'developer-role'; known are max-output, max-tokens-key, effort, "),
        ("{max-output: 0}", "expected a whole number from 1 to "),
        ("{max-tokens-key: max-tokens}", "unknown value 'max-tokens'; did you mean 'max_tokens'?"),
        ("{effort: high}", "expected a list, got a string; put the items in [ ], or each on a line after '- '"),
        ("{effort: [hihg]}", "unknown effort 'hihg'; did you mean 'high'?"),
        ("{reasoning-field: thoughts}", "unknown field 'thoughts'; known are reasoning_content, reasoning, "),
        ("{files: 'yes'}", "expected true or false, got a string; write true or false, without quotes"),
        ("{mid-system: folded}", "unknown value 'folded'; did you mean 'fold'?"),
        ("[max-output]", "expected a mapping, got a list; write 'key: value' lines"),
    ],
)
def test_what_is_wrong_has_its_line(written: str, complaint: str) -> None:
    [found] = complaints(f"providers:\n- {{{GATEWAY},\n   profile: {written}}}")

    assert found.startswith(("f.yaml:3:13: ", "f.yaml:3:14: ", "f.yaml:3:2", "f.yaml:3:3")) and complaint in found


@pytest.mark.parametrize(
    ("general", "own", "expected"),
    [("", "", (True, None)), ("translate: false", "", (False, None)), ("", ", translate: false", (True, False)),
     ("translate: false", ", translate: true", (False, True))],
)  # fmt: skip
def test_translation_can_be_left_out(general: str, own: str, expected: tuple[bool, bool | None]) -> None:
    settings = parse(f"{general}\nproviders: [{{{GATEWAY}{own}}}]").settings

    assert expected == (settings.translate, settings.providers[0].translate)


@pytest.mark.parametrize(
    ("text", "preferred"),
    [
        (GATEWAY, ()),
        ("name: o, type: openai, api-key: k", ("openai-responses", "openai-chat")),
        ("name: g, type: gemini, api-key: k", ("gemini", "openai-chat")),
        ("name: r, type: openrouter, api-key: k", ("anthropic", "openai-chat", "openai-responses")),
        ("name: l, type: litellm, api-key: k", ("anthropic", "openai-chat", "openai-responses", "gemini")),
        ("name: o, type: openai, api-key: k, protocols: [openai-chat]", ("openai-chat",)),
        ("name: l, type: litellm, api-key: k, protocols: [gemini, openai-chat]", ("openai-chat", "gemini")),
    ],
)
def test_a_kind_of_provider_has_formats_that_it_is_best_asked_in(text: str, preferred: tuple[str, ...]) -> None:
    assert preferred == one(text).preferred
