"""Routes of targets: model routes, lists, management, and what is left."""

from __future__ import annotations

import pytest
from policy import route

from ampmap.errors import BadRequest
from ampmap.routing.target import (
    Admin,
    Home,
    Management,
    ModelList,
    ModelRoute,
    ProviderOther,
    Route,
    Unknown,
)
from ampmap.settings import Protocol

# Model routes.

CANONICAL: list[tuple[str, Protocol, str]] = [
    ("/v1/messages", "anthropic", "/v1/messages"),
    ("/v1/messages/count_tokens", "anthropic", "/v1/messages/count_tokens"),
    ("/v1/responses/input_tokens", "openai-responses", "/v1/responses/input_tokens"),
    ("/v1/chat/completions", "openai-chat", "/v1/chat/completions"),
    ("/chat/completions", "openai-chat", "/v1/chat/completions"),
    ("/v1/completions", "openai-chat", "/v1/completions"),
    ("/completions", "openai-chat", "/v1/completions"),
    ("/v1/embeddings", "openai-chat", "/v1/embeddings"),
    ("/embeddings", "openai-chat", "/v1/embeddings"),
    ("/v1/responses", "openai-responses", "/v1/responses"),
    ("/responses", "openai-responses", "/v1/responses"),
    ("/v1/responses/compact", "openai-responses", "/v1/responses/compact"),
]


@pytest.mark.parametrize(("path", "protocol", "canonical"), CANONICAL)
def test_a_wire_format_is_known_by_its_path_alone_or_under_a_provider(
    path: str, protocol: Protocol, canonical: str
) -> None:
    assert ModelRoute(protocol, canonical) == route(path)
    assert ModelRoute(protocol, canonical, "groq") == route(f"/api/provider/groq{path}")
    assert ModelRoute(protocol, canonical, "groq") == route(f"/api/provider/groq{path}?a=b", amp=True)


@pytest.mark.parametrize(("path", "protocol", "canonical"), CANONICAL)
def test_only_post_asks_a_model(path: str, protocol: Protocol, canonical: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"):
        assert Unknown() == route(path, method)
        assert ProviderOther("x") == route(f"/api/provider/x{path}", method)


@pytest.mark.parametrize(
    "path",
    [
        "/messages",
        "/v1/messages/batches",
        "/v2/chat/completions",
        "/v1/chat/completionsx",
        "/responses/compact",
    ],
)
def test_another_path_is_no_model_route(path: str) -> None:
    assert Unknown() == route(path)
    assert ProviderOther("x") == route(f"/api/provider/x{path}")


@pytest.mark.parametrize(
    ("path", "model", "verb"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", "generateContent"),
        ("/v1beta1/publishers/google/models/g:streamGenerateContent", "g", "streamGenerateContent"),
        ("/v1/projects/p/locations/l/publishers/google/models/g:countTokens", "g", "countTokens"),
        ("/v1/models/g:generateContent", "g", "generateContent"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict", None, ""),
        ("/v1beta1/publishers/mistralai/models/m:streamRawPredict", None, ""),
        ("/v1beta1/publishers/google/x/models/m:x", None, ""),
        ("/v1beta1/publishers/notgoogle/models/m:x", None, ""),
        ("/v1beta/models/gemini%202:x", "gemini 2", "x"),
        ("/v1beta/models/g(8192):x", "g(8192)", "x"),
        ("/v1beta/models/g%28high%29:x", "g(high)", "x"),
        ("/v1beta/models/org/name:x", "org/name", "x"),
        ("/v1beta/models/accounts/a/models/b:x", "accounts/a/models/b", "x"),
        ("/v1beta/models/name:tag:x", "name:tag", "x"),
        ("/v1beta/models/%ff:x", "", "x"),
        ("/v1beta/models/%20:x", "", "x"),
        ("/v1beta/models/%E6%A8%A1:x", "模", "x"),
        ("/v1beta/models/:x", None, ""),
        ("/v1beta/models/g:", None, ""),
        ("/v1beta/models/g", None, ""),
        ("/v1beta/models/g:x/y", None, ""),
        ("/v1beta/model/g:x", None, ""),
    ],
)
def test_a_gemini_path_names_its_model(path: str, model: str | None, verb: str) -> None:
    canonical = f"/v1beta/models/{{model}}:{verb}"

    alone, under = route(path), route(f"/api/provider/google{path}")

    assert (Unknown() if model is None else ModelRoute("gemini", canonical, None, model)) == alone
    assert (ProviderOther("google") if model is None else ModelRoute("gemini", canonical, "google", model)) == under


def test_a_gemini_path_needs_no_version() -> None:
    assert ModelRoute("gemini", "/v1beta/models/{model}:x", None, "g") == route("/models/g:x")


@pytest.mark.parametrize(("path", "method"), [("/v1beta/models/{}:x", "POST"), ("/v1/models/{}", "GET")])
def test_a_name_in_a_path_has_256_bytes_at_most(path: str, method: str) -> None:
    assert not isinstance(route(path.format("m" * 254 + "%C3%A4"), method), Unknown)

    with pytest.raises(BadRequest, match="256"):
        route(path.format("m" * 255 + "%C3%A4"), method)


# Lists of models.


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/models", ModelList()),
        ("/models", ModelList()),
        ("/v1beta/models", ModelList(protocol="gemini")),
        ("/v1/models/gpt-5", ModelList(id="gpt-5")),
        ("/models/org/name", ModelList(id="org/name")),
        ("/v1beta/models/g%20x", ModelList(protocol="gemini", id="g x")),
        ("/api/provider/anthropic/v1/models", ModelList("anthropic")),
        ("/api/provider/x/models/y", ModelList("x", id="y")),
        ("/api/provider/google/v1beta/models", ModelList("google", "gemini")),
        ("/v1/models?limit=5", ModelList()),
    ],
)
def test_lists_of_models_are_ampmaps_own(path: str, asked: ModelList) -> None:
    assert asked == route(path, "GET")
    assert asked == route(path, "HEAD")
    assert not isinstance(route(path, "POST"), ModelList)


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/modelsx", "/v1beta1/models", "/v2/models"])
def test_what_only_resembles_a_list_is_none(path: str) -> None:
    assert Unknown() == route(path, "GET")


# Management.

MANAGED = [
    *(f"/api/{name}" for name in (
        "internal", "user", "auth", "meta", "ads", "telemetry", "threads", "thread-actors", "durable-thread-workers",
        "attachments", "skills", "rivet", "otel", "tab",
    )),
    "/auth", "/threads", "/docs", "/settings", "/attachments", "/actors",
]  # fmt: skip


@pytest.mark.parametrize("path", MANAGED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_management_is_known_with_and_without_sub_paths_and_by_any_method(path: str, method: str) -> None:
    for end in ("", "/", "/a", "/a/b?c=d", "?x", "//a", "/models/a:b", "/v1/models"):
        assert Management() == route(path + end, method)


@pytest.mark.parametrize("path", MANAGED)
def test_a_boundary_is_needed(path: str) -> None:
    for wrong in (path + "x", path + "-x", path + "%2fx", path.upper(), "/" + path, path + ".", "/x" + path):
        assert Unknown() == route(wrong, "GET")


@pytest.mark.parametrize("path", ["/threads.rss", "/news.rss"])
def test_the_feeds_have_no_sub_paths(path: str) -> None:
    assert Management() == route(path, "GET")
    assert Unknown() == route(path + "/a", "GET")


@pytest.mark.parametrize("path", ["/api/new", "/api/new/x", "/api/a.b_c~d-e", "/api/provider", "/api/providers/x"])
def test_an_unknown_api_path_is_amps_only_with_amps_own_fields(path: str) -> None:
    assert Management() == route(path, amp=True)
    assert Unknown() == route(path)


@pytest.mark.parametrize(
    "path",
    ["/api/%70rovider/a/v1/messages", "/api//provider/a/v1/messages", "/api/Provider/a/v1/messages", "/api/a%2fb/x",
     "/api/", "/api", "/apix/new", "/other", "/api\\provider/x"],
)  # fmt: skip
def test_amps_fields_open_no_second_way_to_paid_routes(path: str) -> None:
    assert Unknown() == route(path, amp=True)


# What is left.


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/", "GET", Home()),
        ("/?x", "HEAD", Home()),
        ("/", "POST", Unknown()),
        ("/_ampmap/health", "GET", Admin("health")),
        ("/_ampmap/", "GET", Admin("")),
        ("/_ampmap/status/x", "POST", Admin("status/x")),
        ("/_ampmap", "GET", Unknown()),
        ("/_ampmapx/health", "GET", Unknown()),
        ("/favicon.ico", "GET", Unknown()),
        ("/api/provider/", "POST", ProviderOther("")),
        ("/api/provider/cerebras/v1/tcp_warming", "GET", ProviderOther("cerebras")),
        ("/api/provider/anthropic", "POST", ProviderOther("anthropic")),
        ("/api/provider/a/v1/messages/batches", "POST", ProviderOther("a")),
    ],
)
def test_other_paths(path: str, method: str, expected: Route) -> None:
    assert expected == route(path, method)


def test_an_empty_provider_name_stays_under_the_rules_for_credits() -> None:
    assert ModelRoute("anthropic", "/v1/messages", "") == route("/api/provider//v1/messages")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages/", "//v1/messages", "/v1//messages", "/V1/Messages", "/v1/%6dessages", "/v1/messages;x=1",
        "/v1/messages/count_tokens/", "/chat/completions/", "/v1/Responses", "/v1beta/models/m%3AgenerateContent",
        "/v1beta/Models/m:generateContent", "/v1beta/models/m:generateContent/",
    ],
)  # fmt: skip
def test_no_other_spelling_of_a_models_path_gets_to_amp(path: str) -> None:
    """Amp's server could read it as the usual one, and a model that a provider serves would spend credits."""
    assert Unknown() == route(path)
    with pytest.raises(BadRequest, match="odd spelling of /"):
        route(f"/api/provider/any{path}", "POST")


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/files", "/v1/images/generations", "/v1/messages/x;y"])
def test_other_paths_are_amps(path: str) -> None:
    assert ProviderOther("any") == route(f"/api/provider/any{path}", "POST")
