"""The path that a provider is sent, and what may be shown of a target."""

from __future__ import annotations

import pytest

from ampmap.routing.target import path_of, provider_path

# The path that a provider is sent.


@pytest.mark.parametrize(
    ("base_path", "canonical", "path"),
    [
        ("", "/v1/chat/completions", "/v1/chat/completions"),
        ("/", "/v1/messages", "/v1/messages"),
        ("/v1", "/v1/messages", "/v1/messages"),
        ("/v1/", "/v1/messages", "/v1/messages"),
        ("/api", "/v1/responses", "/api/v1/responses"),
        ("/api/v1", "/v1/responses", "/api/v1/responses"),
        ("/api/paas/v4", "/v1/chat/completions", "/api/paas/v4/chat/completions"),
        ("/v1beta/openai", "/v1/chat/completions", "/v1beta/openai/chat/completions"),
        ("/openai/v1", "/v1/responses/compact", "/openai/v1/responses/compact"),
        ("/compatible-mode/v1", "/v1/embeddings", "/compatible-mode/v1/embeddings"),
        ("/vertex", "/v1/messages", "/vertex/v1/messages"),
        ("/version", "/v1/messages", "/version/v1/messages"),
        ("/v1beta", "/v1beta/models/{model}:x", "/v1beta/models/M:x"),
        ("", "/v1beta/models/{model}:x", "/v1beta/models/M:x"),
        ("/v1beta1/publishers/google", "/v1beta/models/{model}:x", "/v1beta1/publishers/google/models/M:x"),
    ],
)
def test_a_base_url_and_a_canonical_path_are_joined(base_path: str, canonical: str, path: str) -> None:
    assert path == provider_path(base_path, canonical, "M")


@pytest.mark.parametrize(
    ("model", "written"),
    [
        ("gemini-2.5-pro(8192)", "gemini-2.5-pro(8192)"),
        ("org/name:tag@1", "org/name:tag@1"),
        ("a b", "a%20b"),
        ("a?key=b#c", "a%3Fkey=b%23c"),
        ("%2e%2e", "%252e%252e"),
        ("a\r\nHost: x", "a%0D%0AHost:%20x"),
        ("模", "%E6%A8%A1"),
        ("{model}", "%7Bmodel%7D"),
    ],
)
def test_a_models_name_can_be_nothing_but_a_name_in_a_path(model: str, written: str) -> None:
    assert f"/v1beta/models/{written}:x" == provider_path("", "/v1beta/models/{model}:x", model)


def test_the_part_after_a_name_is_never_taken_for_the_name() -> None:
    path = provider_path("", "/v1beta/models/{model}:{model}", "m")

    assert "/v1beta/models/m:{model}" == path


# What may be shown.


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"/v1/messages?key=secret", b"/v1/messages"),
        (b"/a#?key=secret", b"/a"),
        (b"http://user:secret@h/p?x", b"http://h/p"),
        (b"http://a:b@c@h", b"http://h"),
        (b"/x://y@z", b"/x://y@z"),
        (b"*", b"*"),
        (b"\xff", b"\xff"),
    ],
)
def test_what_is_shown_of_a_target_holds_no_secret(raw: bytes, shown: bytes) -> None:
    assert shown == path_of(raw)
