"""Providers' errors in the words by which Messages clients know what to do."""

from __future__ import annotations

import json
import re

import pytest
from hub import dialect

from ampmap.formats.failures import read_failure

OUTPUT = re.compile(r"max_tokens: (\d+) > (\d+), which is the maximum allowed number of output tokens for ")
PROMPT = re.compile(r"prompt is too long: (\d+) tokens > (\d+) maximum")


def said(status: int, message: str, **more: str) -> tuple[str, str]:
    failed = read_failure(status, json.dumps({"error": {"message": message, **more}}).encode())
    assert failed.status == status
    found = dialect("anthropic").failure(failed)
    assert found["type"] == "error"
    return found["error"]["type"], found["error"]["message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"), (401, "authentication_error"), (402, "billing_error"),
        (403, "permission_error"), (404, "not_found_error"), (408, "timeout_error"), (413, "request_too_large"),
        (422, "invalid_request_error"), (429, "rate_limit_error"), (500, "api_error"), (502, "api_error"),
        (503, "api_error"), (504, "timeout_error"), (529, "overloaded_error"), (418, "invalid_request_error"),
    ],
)  # fmt: skip
def test_the_type_by_status(status: int, kind: str) -> None:
    assert said(status, "why") == (kind, "why")


@pytest.mark.parametrize(
    ("message", "asked", "most"),
    [
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            "9000", "8192",
        ),
        (
            "the request exceeds the available context size (4096 tokens), try increasing it: 5000 tokens",
            "5000", "4096",
        ),
        (
            "This model's maximum context length is 131,072 tokens. However, you requested 140,000 tokens",
            "140000", "131072",
        ),
        ("prompt is too long: 201000 tokens > 200000 maximum", "201000", "200000"),
    ],
)  # fmt: skip
def test_a_prompt_that_is_too_long(message: str, asked: str, most: str) -> None:
    kind, words = said(400, message)

    found = PROMPT.match(words)
    assert kind == "invalid_request_error" and found and found.groups() == (asked, most)
    assert message in words


def test_a_prompt_that_is_too_long_without_numbers() -> None:
    assert said(400, "Too much.", code="context_length_exceeded")[1] == "prompt is too long: Too much."
    assert said(500, "maximum context length is 5")[1] == "maximum context length is 5"


@pytest.mark.parametrize(
    ("message", "asked", "most"),
    [
        (
            "max_tokens is too large: 128000. This model supports at most 16384 completion tokens, whereas you "
            "provided 128000.",
            "128000", "16384",
        ),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", "8193", "8192"),
        ("max_completion_tokens exceeds the limit of 4096 tokens", "4097", "4096"),
    ],
)  # fmt: skip
def test_a_reply_that_would_be_too_long(message: str, asked: str, most: str) -> None:
    words = said(400, message)[1]

    found = OUTPUT.match(words)
    assert found and found.groups() == (asked, most) and message in words


def test_prompt_and_reply_together() -> None:
    message = (
        "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 8192 "
        "tokens and your request has 100 input tokens (32000 > 8192 - 100)."
    )

    assert said(400, message)[1].startswith("input length and `max_tokens` exceed context limit: 100 + 32000 > 8192")


def test_a_message_about_neither_is_passed_on() -> None:
    assert said(400, "max_tokens must be at least 1")[1] == "max_tokens must be at least 1"
