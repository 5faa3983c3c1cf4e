"""The list of models: what is in it, and in whose format."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from policy import EVERYBODY, in_cooldown, names_listed, provider, rule, snapshot

from ampmap.formats.registry import FORMATS
from ampmap.proxy.model_list import ListForm, form_of, scan_list
from ampmap.routing.snapshot import Availability, Offer, Snapshot
from ampmap.routing.target import ModelList, parse_target, route_of
from ampmap.settings import Protocol, Rule, When

FORMS = {served.name: ListForm(protocol, served) for protocol, known in FORMATS.items() for served in known.lists}


def model_list(asked: ModelList, form: str, found: Snapshot, availability: Availability) -> bytes | None:
    steps = scan_list(asked, FORMS[form], found, availability)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            body: bytes | None = done.value
            return body


FOUND = snapshot(
    provider("one", "a", "glob-*", "alias=there", "c(1)", protocols=("anthropic",), translate=False),
    provider("two", "b", "a", protocols=("openai-chat", "gemini"), translate=False),
    provider("asked", discover=True, protocols=("openai-chat",), translate=False),
    rule("mapped", "a"),
    rule("unserved", "nobody"),
    rule(" Globbed ", "glob-1"),
    rule("^pattern", "b", regex=True),
    rule("a", "b"),
)


@pytest.mark.parametrize(
    ("path", "fields", "form"),
    [
        ("/v1/models", "", "openai"),
        ("/models", "", "openai"),
        ("/v1/models/a", "anthropic-version", "anthropic"),
        ("/api/provider/anthropic/v1/models", "", "anthropic"),
        ("/api/provider/Anthropic/v1/models", "", "anthropic"),
        ("/api/provider/groq/models", "", "openai"),
        ("/api/provider/google/v1/models", "", "gemini"),
        ("/v1beta/models", "", "gemini"),
        ("/v1beta/models/a", "anthropic-version", "gemini"),
        ("/api/provider/anthropic/v1beta/models", "", "gemini"),
        ("/v1/models", "x-goog-api-key", "gemini"),
        ("/v1/models/a", "x-goog-api-client", "gemini"),
        ("/v1/models", "anthropic-version x-goog-api-key", "anthropic"),
        ("/v1/models?client_version=0.171.0", "", "codex"),
        ("/v1/models?client_version=0.171.0", "chatgpt-account-id", "codex-login"),
        ("/v1/models?client_version=0.171.0", "anthropic-version", "anthropic"),
    ],
)
def test_the_format_is_the_askers(path: str, fields: str, form: str) -> None:
    target = parse_target(path.encode(), b"GET")
    asked = route_of(target, b"GET", False)

    assert isinstance(asked, ModelList)
    found = form_of(asked, target.query, [(name.encode(), b"x") for name in fields.split()])

    assert FORMS[form] == found


@pytest.mark.parametrize(
    ("protocol", "names"),
    [
        ("anthropic", ["a", "alias", "c(1)", "mapped", "Globbed"]),
        ("gemini", ["a", "b", "mapped"]),
        ("openai-responses", []),
        (None, ["a", "alias", "c(1)", "b", "mapped", "Globbed"]),
    ],
)
def test_a_list_has_the_models_then_the_mapped_ones_each_once(protocol: Protocol | None, names: list[str]) -> None:
    assert sorted(names) == sorted(names_listed(FOUND, EVERYBODY, protocol))
    assert names[-1:] == names_listed(FOUND, EVERYBODY, protocol)[-1:]


def test_what_is_offered_is_listed_and_a_cooldown_takes_nothing_off() -> None:
    offers = {"asked": Offer(frozenset({"o-20251101", "n"}), {"o": "o-20251101"})}
    calm = names_listed(FOUND, Availability(offers=offers), "openai-chat")

    assert {"n", "o-20251101", "o"} < set(calm)
    assert calm == names_listed(FOUND, replace(in_cooldown("one", "two"), offers=offers), "openai-chat")


def test_a_rule_for_one_provider_path_is_listed_there_alone() -> None:
    conditional = Rule(source="only-here", targets=("a",), when=When(provider="xai"))
    found = snapshot(provider("one", "a"), conditional)

    for segment, names in (("xai", ["a", "only-here"]), ("groq", ["a"]), (None, ["a"])):
        body = model_list(ModelList(segment), "openai", found, EVERYBODY)
        assert names == [each["id"] for each in json.loads(body or b"")["data"]]
        one = model_list(ModelList(segment, id="only-here"), "openai", found, EVERYBODY)
        assert ("only-here" in names) == (one is not None)


def listed(asked: ModelList, form: str) -> Any:
    body = model_list(asked, form, FOUND, EVERYBODY)
    return None if body is None else json.loads(body)


def test_a_list_has_the_form_of_its_format() -> None:
    openai, anthropic, gemini = (listed(ModelList(), form) for form in ("openai", "anthropic", "gemini"))

    assert "list" == openai["object"]
    assert {"id": "a", "object": "model", "created": 1735689600, "owned_by": "ampmap"} == openai["data"][0]
    assert (False, "a", "Globbed") == (anthropic["has_more"], anthropic["first_id"], anthropic["last_id"])
    assert {"type": "model", "id": "a", "display_name": "a", "created_at": "2025-01-01T00:00:00Z"} == (
        anthropic["data"][0]
    )
    names = [each["name"] for each in gemini["models"]]
    assert {"models/a", "models/b", "models/mapped"} == set(names)
    assert "generateContent" in gemini["models"][0]["supportedGenerationMethods"]


def test_codex_gets_a_catalogue_of_what_speaks_its_format_beside_the_list() -> None:
    found = snapshot(
        provider("one", "a", "b", protocols=("openai-responses",), translate=False),
        provider("two", "c", protocols=("openai-chat",), translate=False),
    )
    own, login = (
        json.loads(model_list(ModelList(), form, found, EVERYBODY) or b"") for form in ("codex", "codex-login")
    )

    assert ["a", "b", "c"] == [each["id"] for each in own["data"]]
    assert [("a", 0), ("b", 1)] == [(each["slug"], each["priority"]) for each in own["models"]]
    assert all(each["base_instructions"] for each in own["models"])
    assert [] == login["models"]
    assert own["data"] == login["data"]


def test_an_empty_list_is_a_list() -> None:
    nothing = snapshot()

    assert {"data": [], "has_more": False, "first_id": None, "last_id": None} == json.loads(
        model_list(ModelList(), "anthropic", nothing, EVERYBODY) or b""
    )


@pytest.mark.parametrize(
    ("name", "form", "served"),
    [
        ("a", "openai", True),
        ("models/a", "gemini", True),
        ("glob-7", "anthropic", True),
        ("PATTERN-x", "gemini", True),
        ("Mapped", "openai", True),
        ("A", "openai", True),  # the rule from 'a' matches in any case
        ("B", "openai", True),
        ("unserved", "openai", False),
        ("glob-7", "gemini", False),
        ("", "openai", False),
    ],
)
def test_one_model_is_told_of_if_a_request_for_it_would_be_served(name: str, form: str, served: bool) -> None:
    found = listed(ModelList(id=name), form)

    assert served == (found is not None)
    if served:
        assert name in (found.get("id"), found.get("name"), found.get("name", "").removeprefix("models/"))
