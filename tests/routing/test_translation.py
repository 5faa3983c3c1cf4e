"""Which requests are translated for whom, into which format, and in which order such providers are tried."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from policy import EVERYBODY, in_cooldown, names_listed, provider, rule, settings, snapshot

from ampmap.commands.explain import as_json, as_text, explain_for
from ampmap.config.file import parse
from ampmap.formats.registry import FORMATS
from ampmap.routing.advice import no_provider
from ampmap.routing.decide import Ask, decide
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.routing.translation import asked_in, is_translated
from ampmap.settings import Endpoint, Provider, Settings

CHAT, CLAUDE = "openai-chat", "anthropic"
chat = provider("chat", "m", protocols=(CHAT,))
claude = provider("claude", "m", protocols=(CLAUDE,))


def tried(ask: Ask, *providers: Provider, world: Availability = EVERYBODY) -> list[tuple[str, str]]:
    """Return the names of the providers in the order in which they are tried, and the format in which each is asked."""
    found = decide(ask, snapshot(*providers), world)
    return [(each.provider.name, each.endpoint.protocol) for each in found.candidates]


def test_providers_of_the_own_format_come_first() -> None:
    assert [("claude", CLAUDE), ("chat", CHAT)] == tried(Ask(CLAUDE, "m"), chat, claude)
    assert [("chat", CHAT), ("claude", CLAUDE)] == tried(Ask(CHAT, "m"), claude, chat)
    assert [("chat", CHAT), ("claude", CLAUDE)] == tried(Ask("gemini", "m"), chat, claude)


def test_a_provider_in_cooldown_comes_behind_one_that_needs_translation() -> None:
    asked = Ask(CLAUDE, "m")

    assert [("chat", CHAT), ("claude", CLAUDE)] == tried(asked, chat, claude, world=in_cooldown("claude"))


def test_targets_keep_their_order_whatever_they_speak() -> None:
    other = provider("other", "n", protocols=(CHAT,))
    found = decide(Ask(CLAUDE, "q"), snapshot(claude, other, rule("q", "n", "m")), EVERYBODY)

    assert ["other", "claude"] == [each.provider.name for each in found.candidates]


def test_a_provider_is_never_tried_in_two_formats() -> None:
    both = provider("both", "m", protocols=(CHAT, CLAUDE))

    assert [("both", CLAUDE)] == tried(Ask(CLAUDE, "m"), both)


@pytest.mark.parametrize(
    ("written", "into"),
    [
        ("type: gemini, api-key: k", "gemini"),
        ("type: openai, api-key: k", "openai-responses"),
        ("type: openai, api-key: k, protocols: [openai-chat]", CHAT),
        ("type: openrouter, api-key: k", CLAUDE),
        ("type: groq, api-key: k", CHAT),
        ("base-url: 'http://127.0.0.1:1', protocols: [openai-responses, openai-chat]", "openai-responses"),
        ("base-url: 'http://127.0.0.1:1', protocols: [openai-chat, openai-responses]", CHAT),
    ],
)
def test_each_kind_of_provider_is_asked_in_the_format_that_suits_it(written: str, into: str) -> None:
    config = parse(f"providers: [{{name: p, models: [m], {written}}}]", "f.yaml", {}).settings
    asked = next(each for each in FORMATS if config.providers[0].endpoint(each) is None)
    endpoint = asked_in(config.providers[0], asked, config)

    assert endpoint is not None and into == endpoint.protocol


@pytest.mark.parametrize(
    ("general", "own", "serves"), [(True, None, True), (False, None, False), (True, False, False), (False, True, True)]
)
def test_translation_can_be_switched_off(general: bool, own: bool | None, serves: bool) -> None:
    config = replace(settings(replace(chat, translate=own)), translate=general)

    assert serves == bool(decide(Ask(CLAUDE, "m"), compile_snapshot(config)[0], EVERYBODY).candidates)


def test_a_clients_own_login_is_never_translated() -> None:
    login = provider("login", "m", protocols=(CHAT,), auth="client")
    mixed = replace(login, endpoints=(*login.endpoints, Endpoint(protocol="gemini")))

    assert [] == tried(Ask(CLAUDE, "m"), login)
    assert [("login", "gemini")] == tried(Ask(CLAUDE, "m"), mixed)


def test_a_format_that_nobody_has_a_dialect_for_is_not_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, CHAT, replace(FORMATS[CHAT], dialect=None))

    assert [] == tried(Ask(CLAUDE, "m"), chat)
    assert [] == tried(Ask(CHAT, "m"), claude)


@pytest.mark.parametrize(
    ("protocol", "path", "translated"),
    [
        (CLAUDE, "/v1/messages", True),
        (CLAUDE, "/v1/messages/count_tokens", True),
        (CHAT, "/v1/chat/completions", True),
        (CHAT, "/v1/completions", False),
        (CHAT, "/v1/embeddings", False),
        ("openai-responses", "/v1/responses", True),
        ("openai-responses", "/v1/responses/input_tokens", True),
        ("openai-responses", "/v1/responses/compact", False),
        ("gemini", "/v1beta/models/{model}:generateContent", True),
        ("gemini", "/v1beta/models/{model}:countTokens", True),
        ("gemini", "/v1beta/models/{model}:embedContent", False),
    ],
)
def test_only_generation_and_counters_are_translated(protocol: str, path: str, translated: bool) -> None:
    other = claude if protocol != CLAUDE else chat

    assert translated == is_translated(protocol, path)
    assert translated == bool(tried(Ask(protocol, "m", translates=is_translated(protocol, path)), other))


def test_lists_show_what_translation_reaches() -> None:
    def names(config: Settings) -> list[str]:
        return names_listed(compile_snapshot(config)[0], EVERYBODY, "gemini")

    config = settings(chat, rule("alias", "m"))

    assert ["m", "alias"] == names(config)
    assert [] == names(replace(config, translate=False))


def test_explain_says_what_is_translated() -> None:
    found = snapshot(claude, chat)
    explained, _ = explain_for(None, "m", CLAUDE, found, EVERYBODY)

    assert [None, "anthropic -> openai-chat"] == [
        each.get("translated") for each in json.loads(as_json(explained, found))["decisions"][0]["candidates"]
    ]
    shown = as_text(explained, found, EVERYBODY)
    assert "by claude, then chat as m, translated to openai-chat  (free" in shown
    assert "provider chat for m: serves it as m, translated to openai-chat" in shown


def test_advice_names_the_format_only_where_nothing_is_translated() -> None:
    found = snapshot(replace(chat, translate=False))
    ask = Ask(CLAUDE, "m")
    said = no_provider(decide(ask, found, EVERYBODY), found, EVERYBODY)
    assert "chat (lists it, but only in openai-chat (translate: false))" in said

    found, ask = snapshot(claude), Ask(CHAT, "m", translates=False)
    said = no_provider(decide(ask, found, EVERYBODY), found, EVERYBODY)
    assert "claude (lists it, but only in anthropic)" in said
