"""Requests as upstreams get them: path, query, fields, framing, and whose credential is in them."""

from __future__ import annotations

import pytest
from outbounds import field, fields, for_amp, for_provider
from policy import lines, provider, split_head

from ampmap.config.file import parse
from ampmap.http import headers as headers_module
from ampmap.http.headers import Chunked, Empty, Framing, Length
from ampmap.proxy import upstream_request as upstream_request_module
from ampmap.settings import Amp, AmpKey, Auth, Origin, Protocol, Settings

# Where a provider's requests go.


@pytest.mark.parametrize(
    ("path", "base_path", "model", "start"),
    [
        ("/api/provider/anthropic/v1/messages", "", "m", "POST /v1/messages HTTP/1.1"),
        ("/v1/messages?beta=true", "", "m", "POST /v1/messages?beta=true HTTP/1.1"),
        ("/chat/completions", "", "m", "POST /v1/chat/completions HTTP/1.1"),
        ("/api/provider/kimi/chat/completions", "/v1", "m", "POST /v1/chat/completions HTTP/1.1"),
        ("/v1/chat/completions", "/api/paas/v4", "m", "POST /api/paas/v4/chat/completions HTTP/1.1"),
        ("/v1/chat/completions", "/v1beta/openai", "m", "POST /v1beta/openai/chat/completions HTTP/1.1"),
        ("/v1/responses", "/openai/v1", "m", "POST /openai/v1/responses HTTP/1.1"),
        (
            "/api/provider/google/v1beta1/publishers/google/models/g:streamGenerateContent?alt=sse&key=x",
            "",
            "org/other(8192)",
            "POST /v1beta/models/org/other(8192):streamGenerateContent?alt=sse HTTP/1.1",
        ),
        ("http://localhost/v1/messages?x=%2F+", "/b", "m", "POST /b/v1/messages?x=%2F+ HTTP/1.1"),
        ("/v1/messages?", "", "m", "POST /v1/messages? HTTP/1.1"),
        ("/v1/messages?key=x", "", "m", "POST /v1/messages HTTP/1.1"),
    ],
)
def test_a_provider_gets_its_protocols_canonical_path_and_the_query(
    path: str, base_path: str, model: str, start: str
) -> None:
    outbound = for_provider(path, who=provider("one", "m", base_path=base_path), model=model)

    assert start == split_head(outbound.head)[0]
    assert (Origin("https", "one.example", 443), b"POST") == (outbound.hop.origin, outbound.method)


PRESETS: list[tuple[str, Protocol, str, str, str]] = [
    ("anthropic", "anthropic", "api.anthropic.com", "/v1/messages", "x-api-key"),
    ("openai", "openai-chat", "api.openai.com", "/v1/chat/completions", "authorization"),
    ("openai", "openai-responses", "api.openai.com", "/v1/responses", "authorization"),
    ("gemini", "gemini", "generativelanguage.googleapis.com", "/v1beta/models/m:x", "x-goog-api-key"),
    ("gemini", "openai-chat", "generativelanguage.googleapis.com", "/v1beta/openai/chat/completions", "authorization"),
    ("openrouter", "openai-chat", "openrouter.ai", "/api/v1/chat/completions", "authorization"),
    ("openrouter", "openai-responses", "openrouter.ai", "/api/v1/responses", "authorization"),
    ("openrouter", "anthropic", "openrouter.ai", "/api/v1/messages", "authorization"),
    ("ollama", "openai-chat", "127.0.0.1:11434", "/v1/chat/completions", "authorization"),
    ("litellm", "gemini", "127.0.0.1:4000", "/v1beta/models/m:x", "authorization"),
    ("cliproxyapi", "anthropic", "127.0.0.1:8317", "/v1/messages", "authorization"),
]
PATHS: dict[Protocol, str] = {
    "anthropic": "/v1/messages",
    "openai-chat": "/chat/completions",
    "openai-responses": "/responses",
    "gemini": "/v1beta1/publishers/google/models/g:x",
}


@pytest.mark.parametrize(("preset", "protocol", "host", "path", "shown"), PRESETS)
def test_each_preset_is_asked_where_and_as_its_vendor_says(
    preset: str, protocol: Protocol, host: str, path: str, shown: str
) -> None:
    loaded = parse(f"providers: [{{name: p, type: {preset}, api-key: secret, models: [m]}}]", "f.yaml", {})

    outbound = for_provider(PATHS[protocol], who=loaded.settings.providers[0])

    start, found = split_head(outbound.head)
    assert f"POST {path} HTTP/1.1" == start
    assert ("host", host) == found[0]
    assert [shown] == [name for name, value in found if "secret" in value]


# What a provider's requests hold.


def test_end_to_end_fields_pass_as_they_are_and_the_rest_does_not() -> None:
    headers = [
        (b"Host", b"localhost:8267"),
        (b"X-Custom", b"a"),
        (b"x-custom", b"b"),
        (b"Accept-Encoding", b"gzip"),
        (b"Content-Type", b"application/json"),
        (b"anthropic-version", b"2023-06-01"),
        (b"x-amp-thread-id", b"T-1"),
        (b"Connection", b"keep-alive, X-Nominated, content-length, host"),
        (b"X-Nominated", b"no"),
        (b"Keep-Alive", b"no"),
        (b"TE", b"no"),
        (b"Upgrade", b"no"),
        (b"Proxy-Authorization", b"no"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"7"),
        (b"Expect", b"100-continue"),
        (b"Cookie", b"no"),
        (b"Origin", b"http://no"),
        (b"Referer", b"http://no"),
        (b"X-Forwarded-For", b"no"),
        (b"x-forwarded-anything", b"no"),
        (b"Forwarded", b"no"),
        (b"Via", b"no"),
        (b"X-Real-IP", b"no"),
        (b"Api-Key", b"no"),
    ]

    assert [
        ("host", "one.example"),
        ("x-custom", "a"),
        ("x-custom", "b"),
        ("content-type", "application/json"),
        ("anthropic-version", "2023-06-01"),
        ("x-amp-thread-id", "T-1"),
        ("accept-encoding", "identity"),
        ("authorization", "Bearer provider-secret"),
        ("content-length", "42"),
    ] == fields(for_provider(headers=headers))


@pytest.mark.parametrize(
    "nominated", ["authorization", "x-api-key", "host", "content-length", "accept-encoding, X-Team"]
)
def test_a_client_cannot_nominate_what_is_added(nominated: str) -> None:
    who = provider("one", "m", headers=(("X-Team", "blue"),))
    outbound = for_provider(headers=lines(connection=nominated, accept_encoding="br"), who=who, changed=True)

    assert [
        ("host", "one.example"),
        ("x-team", "blue"),
        ("accept-encoding", "identity"),
        ("authorization", "Bearer provider-secret"),
        ("content-length", "42"),
    ] == fields(outbound)


def test_what_clients_nominate_is_taken_off_and_not_remembered() -> None:
    first = for_provider(headers=lines(connection="close", x_0="kept"))
    memories = upstream_request_module._through, headers_module._crossing, headers_module._with_hop_by_hop
    headers_module.crossing([(b"X", b"y")], frozenset())
    kept = [memory.cache_info().currsize for memory in memories]

    for number in range(100):
        nominating = [*lines(connection=f"X-{number}"), (b"X-%d" % number, b"y"), (b"X-Kept", b"z")]
        assert ["z"] == field(for_provider(headers=nominating), "x-kept")
        assert [] == field(for_provider(headers=nominating), f"x-{number}")
        assert b"X-Kept: z\r\n" == headers_module.crossing(nominating, frozenset())

    assert ["kept"] == field(first, "x-0")
    assert kept == [memory.cache_info().currsize for memory in memories]


def test_configured_fields_replace_the_clients_and_the_key() -> None:
    configured = (("X-Team", "blue"), ("authorization", "Custom zzz"), ("Accept-Encoding", "br"), ("X-Latin", "é"))
    headers = lines(x_team="red", accept_encoding="gzip")
    who = provider("one", "m", headers=configured)

    outbound = for_provider(headers=headers, who=who)
    renamed = for_provider(headers=headers, who=who, changed=True)

    assert ["Custom zzz"] == field(outbound, "authorization")
    assert [["blue"], ["br"], ["é"]] == [field(outbound, name) for name in ("x-team", "accept-encoding", "x-latin")]
    assert ["identity"] == field(renamed, "accept-encoding")
    own = for_provider(headers=lines(authorization="Bearer mine"), who=provider(
        "one", "m", auth="client", headers=configured
    ))  # fmt: skip
    assert ["Custom zzz"] == field(own, "authorization")


@pytest.mark.parametrize(
    ("path", "sent", "left"),
    [
        ("/api/provider/a/v1/messages", ["context-1m-2025-08-07"], []),
        ("/api/provider/a/v1/messages", ["a, context-1m-2025-08-07 ,b"], ["a,b"]),
        ("/api/provider/a/v1/messages", ["a", "context-1m-2025-08-07", "b,context-1m-2025-08-07"], ["a", "b"]),
        ("/api/provider/a/v1/messages", ["a ,  b"], ["a ,  b"]),
        ("/api/provider/a/v1/messages", ["context-1m-2025-08-07-x"], ["context-1m-2025-08-07-x"]),
        ("/v1/messages", ["a, context-1m-2025-08-07"], ["a, context-1m-2025-08-07"]),
    ],
)
def test_the_beta_of_amps_client_leaves_every_line_under_api_provider(
    path: str, sent: list[str], left: list[str]
) -> None:
    headers = [(b"Anthropic-Beta", value.encode()) for value in sent]

    assert left == field(for_provider(path, headers), "anthropic-beta")
    assert sent == field(for_amp(path, headers), "anthropic-beta")


@pytest.mark.parametrize(
    ("auth", "shown"),
    [
        ("bearer", [("authorization", "Bearer provider-secret")]),
        ("x-api-key", [("x-api-key", "provider-secret")]),
        ("x-goog-api-key", [("x-goog-api-key", "provider-secret")]),
        ("none", []),
        ("client", [("authorization", "Bearer mine"), ("x-goog-api-key", "mine-too")]),
    ],
)
def test_a_providers_key_takes_the_place_of_every_credential_of_the_client(
    auth: Auth, shown: list[tuple[str, str]]
) -> None:
    headers = lines(Authorization="Bearer mine", X_API_Key="k1", x_goog_api_key="mine-too", cookie="session=mine")
    outbound = for_provider(
        "/v1/messages?key=mine&a=b", headers, who=provider("one", "m", auth=auth), settings=Settings(api_keys=("k1",))
    )

    names = ("authorization", "x-api-key", "x-goog-api-key", "cookie")
    assert shown == [pair for pair in fields(outbound) if pair[0] in names]
    assert ("/v1/messages?key=mine&a=b" if auth == "client" else "/v1/messages?a=b") in split_head(outbound.head)[0]


# What Amp gets.


@pytest.mark.parametrize(
    ("path", "base_path", "start"),
    [
        ("/api/internal?getUserInfo", "", "GET /api/internal?getUserInfo HTTP/1.1"),
        ("/threads/a%2fb//c\\d?x=%20&y=+", "", "GET /threads/a%2fb//c\\d?x=%20&y=+ HTTP/1.1"),
        ("/auth?", "/amp/", "GET /amp/auth? HTTP/1.1"),
        ("http://localhost/auth", "/amp", "GET /amp/auth HTTP/1.1"),
    ],
)
def test_amps_path_and_query_keep_their_bytes(path: str, base_path: str, start: str) -> None:
    settings = Settings(amp=Amp(base_path=base_path))

    assert start == split_head(for_amp(path, method=b"GET", settings=settings).head)[0]


def test_amp_gets_the_clients_fields_but_for_credentials_and_identity() -> None:
    headers = [
        (b"Host", b"localhost"),
        (b"Cookie", b"session=amps"),
        (b"X-Amp-Client-Version", b"1"),
        (b"anthropic-beta", b"context-1m-2025-08-07"),
        (b"Accept-Encoding", b"gzip, br"),
        (b"Expect", b"100-continue"),
        (b"Connection", b"close, X-A"),
        (b"X-A", b"no"),
        (b"X-Forwarded-Proto", b"no"),
        (b"Authorization", b"Bearer sk-ant-no"),
        (b"x-api-key", b"AIza-no"),
        (b"x-goog-api-key", b"gsk_no"),
        (b"api-key", b"no"),
        (b"X-Amz-Security-Token", b"no"),
    ]

    assert [
        ("host", "ampcode.com"),
        ("x-amp-client-version", "1"),
        ("anthropic-beta", "context-1m-2025-08-07"),
        ("accept-encoding", "gzip, br"),
        ("expect", "100-continue"),
        ("x-api-key", "sgamp_mine"),
        ("authorization", "Bearer sgamp_mine"),
        ("content-length", "5"),
    ] == fields(for_amp(headers=headers, framing=Length(5), settings=Settings(amp=Amp(api_key="sgamp_mine"))))


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        (Empty(), []),
        (Length(0), [("content-length", "0")]),
        (Length(9), [("content-length", "9")]),
        (Chunked(), [("transfer-encoding", "chunked")]),
    ],
)
def test_framing_is_made_anew(framing: Framing, expected: list[tuple[str, str]]) -> None:
    headers = lines(content_length="77", transfer_encoding="chunked")
    found = fields(for_amp(headers=headers, framing=framing))

    assert expected == [pair for pair in found if pair[0] in ("content-length", "transfer-encoding")]


def test_a_client_is_known_to_amp_by_the_key_configured_for_it() -> None:
    pairs = (AmpKey(upstream_api_key="sgamp_of_1", client_keys=("k1",)),)
    settings = Settings(api_keys=("k1",), amp=Amp(api_key="sgamp_all", api_keys=pairs))

    assert ["sgamp_of_1"] == field(for_amp(settings=settings, key="k1"), "x-api-key")
    assert ["sgamp_all"] == field(for_amp(settings=settings), "x-api-key")
