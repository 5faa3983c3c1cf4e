"""Errors of providers, read from a body or event of any format into a :class:`Failure`. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from .events import Failure

MESSAGE_CHARS: Final = 2048
"""The longest message that a client gets."""
SECRET_CHARS: Final = 8

CONTEXT, RATE, QUOTA, KEY, OVERLOADED, MODEL = (
    "context_length_exceeded", "rate_limit_exceeded", "insufficient_quota", "invalid_api_key", "overloaded",
    "model_not_found",
)  # fmt: skip
"""The codes of a :class:`Failure`."""

_BY_STATUS: Final = {401: KEY, 402: QUOTA, 404: MODEL, 429: RATE, 529: OVERLOADED}
_CONTEXT_WORDS: Final = re.compile(
    "maximum context length|context window|context_length_exceeded|too many tokens|prompt is too long|context size|"
    "exceeds the maximum number of tokens",
    re.IGNORECASE,
)
_SECONDS: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s\Z")  # a google.protobuf.Duration
# Vendors' words for an error, and the status that they send it with outside a stream.
_STATUS_OF: Final = {
    "invalid_request_error": 400, "invalid_prompt": 400, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400,
    "context_length_exceeded": 400, "authentication_error": 401, "invalid_api_key": 401, "UNAUTHENTICATED": 401,
    "billing_error": 402, "permission_error": 403, "PERMISSION_DENIED": 403, "not_found_error": 404, "NOT_FOUND": 404,
    "model_not_found": 404, "request_too_large": 413, "rate_limit_error": 429, "rate_limit_exceeded": 429,
    "insufficient_quota": 429, "RESOURCE_EXHAUSTED": 429, "api_error": 500, "server_error": 500, "INTERNAL": 500,
    "UNAVAILABLE": 503, "timeout_error": 504, "DEADLINE_EXCEEDED": 504, "overloaded_error": 529, "overloaded": 529,
    "server_is_overloaded": 529,
}  # fmt: skip


# platform.claude.com/docs/en/api/errors
_TYPES: Final = {
    401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    408: "timeout_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip


def error_type(status: int) -> str:
    """Return what Messages and Chat Completions call the type of an error with this HTTP status."""
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def read_failure(status: int, body: bytes) -> Failure:
    """Return the failure in the body of an HTTP error; its status stays."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    text = (
        "" if found is not None else re.sub(r"<[^<>]*>|\s+", " ", body[: 4 * MESSAGE_CHARS].decode("utf-8", "replace"))
    )
    message, words, _ = _said(found)
    message = (message or text.strip() or f"the provider answered {status}")[:MESSAGE_CHARS]
    return Failure(status, message, _code(status, message, words), _retry_after_s(found))


def without_secrets(failure: Failure, secrets: Iterable[str]) -> Failure:
    """Return a failure whose message has none of ``secrets``: some servers quote the key that they refuse.

    A secret of fewer than SECRET_CHARS stays, because it may be a word.
    """
    message = failure.message
    for secret in secrets:
        if len(secret) >= SECRET_CHARS:
            message = message.replace(secret, "[secret]")
    return replace(failure, message=message)


def asked_wait_s(body: bytes) -> float | None:
    """Return how long the body of an HTTP error asks to wait, in seconds; None if it does not say."""
    try:
        return _retry_after_s(json.loads(body))
    except (ValueError, RecursionError):
        return None


def stated_failure(value: Any, otherwise: str = "the provider reported an error") -> Failure:
    """Return the failure that a reply of status 200 states; ``value`` is the event, the reply or its ``error``.

    ``otherwise`` is the message for a value without one.
    """
    message, words, number = _said(value)
    status = number if number and 400 <= number <= 599 else next((_STATUS_OF[w] for w in words if w in _STATUS_OF), 502)
    message = (message or otherwise)[:MESSAGE_CHARS]
    return Failure(status, message, _code(status, message, words), _retry_after_s(value))


def _retry_after_s(value: Any) -> float | None:
    """Return how long to wait by ``google.rpc.RetryInfo``, which Google puts among the details of an error."""
    value = value[0] if isinstance(value, list) and value else value  # Google puts errors into a list outside streams
    error = value.get("error", value) if isinstance(value, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and (found := _SECONDS.match(delay)):
            return float(found[1])
    return None


def _said(value: Any) -> tuple[str, list[str], int | None]:
    """Return the first message in an error, the words for its kind, and a number that may be a status."""
    message, words, number = "", list[str](), None
    stack = [value]
    for _ in range(16):
        if not stack:
            break
        found = stack.pop()
        if isinstance(found, str):
            message = message or found
        elif isinstance(found, list):
            stack.extend(reversed(found[:4]))
        elif isinstance(found, dict):
            for key in ("type", "code", "status"):
                if isinstance(word := found.get(key), str) and word != "error":
                    words.append(word)
                elif isinstance(word, int) and not isinstance(word, bool):
                    number = number or word
            stack.extend(found[key] for key in ("msg", "detail", "message", "error", "response") if found.get(key))
    return message, words, number


def _code(status: int, message: str, words: list[str]) -> str:
    if CONTEXT in words or (status in (400, 413, 422) and _CONTEXT_WORDS.search(message)):
        return CONTEXT
    return QUOTA if QUOTA in words else _BY_STATUS.get(status, "")
