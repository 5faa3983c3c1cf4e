"""Bodies of ampmap's own errors, in the asker's format."""

from __future__ import annotations

import json

import pytest

from ampmap.routing.errorbody import amp_unreachable, error_body, plain_body, reason_of
from ampmap.settings import Protocol


@pytest.mark.parametrize(
    ("status", "anthropic", "openai", "gemini"),
    [
        (400, "invalid_request_error", ("invalid_request_error", None), "INVALID_ARGUMENT"),
        (401, "authentication_error", ("invalid_request_error", "invalid_api_key"), "UNAUTHENTICATED"),
        (403, "permission_error", ("invalid_request_error", "permission_denied"), "PERMISSION_DENIED"),
        (404, "not_found_error", ("invalid_request_error", "model_not_found"), "NOT_FOUND"),
        (413, "request_too_large", ("invalid_request_error", "request_too_large"), "INVALID_ARGUMENT"),
        (418, "invalid_request_error", ("invalid_request_error", None), "INVALID_ARGUMENT"),
        (500, "api_error", ("api_error", None), "INTERNAL"),
        (502, "api_error", ("api_error", None), "UNAVAILABLE"),
        (503, "api_error", ("api_error", None), "UNAVAILABLE"),
        (504, "timeout_error", ("api_error", None), "DEADLINE_EXCEEDED"),
        (599, "api_error", ("api_error", None), "INTERNAL"),
    ],
)
def test_an_error_wears_the_askers_format(
    status: int, anthropic: str, openai: tuple[str, str | None], gemini: str
) -> None:
    said = 'what "is"\nwrong \u202e'

    assert {"type": "error", "error": {"type": anthropic, "message": said}} == json.loads(
        error_body("anthropic", status, said)
    )
    askers: tuple[Protocol | None, ...] = ("openai-chat", "openai-responses", None)
    for asker in askers:
        assert {"error": {"message": said, "type": openai[0], "code": openai[1]}} == json.loads(
            error_body(asker, status, said)
        )
    assert {"error": {"code": status, "message": said, "status": gemini}} == json.loads(
        error_body("gemini", status, said)
    )


def test_amps_own_forms_keep_their_wording() -> None:
    assert b'{"error": "amp upstream proxy not available"}' == plain_body("amp upstream proxy not available")
    assert {
        "error": "amp_upstream_proxy_error",
        "message": "Failed to reach Amp upstream: why",
    } == json.loads(amp_unreachable("why"))


@pytest.mark.parametrize(("status", "reason"), [(404, b"Not Found"), (502, b"Bad Gateway"), (599, b"")])
def test_a_status_has_its_standard_reason(status: int, reason: bytes) -> None:
    assert reason == reason_of(status)
