"""Bodies of the errors that ampmap makes by itself, in the asker's own format.

Pure. A client shows its user the ``message`` of the format it knows; ``advice`` writes those that concern a model.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from ..settings import Protocol

# https://docs.anthropic.com/en/api/errors
_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# https://platform.openai.com/docs/guides/error-codes
_OPENAI = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "permission_denied"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
}
# https://cloud.google.com/apis/design/errors
_GEMINI = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(protocol: Protocol | None, status: int, message: str, code: str | None = None) -> bytes:
    """Return an error as JSON in ``protocol``'s form; OpenAI's where the asker speaks none in particular.

    ``code`` replaces the code that ``status`` has in OpenAI's form; other forms have none.
    """
    body: object
    if protocol == "anthropic":
        kind = _ANTHROPIC.get(status, "api_error" if status >= 500 else "invalid_request_error")
        body = {"type": "error", "error": {"type": kind, "message": message}}
    elif protocol == "gemini":
        word = _GEMINI.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
        body = {"error": {"code": status, "message": message, "status": word}}
    else:
        kind, usual = _OPENAI.get(status, ("api_error" if status >= 500 else "invalid_request_error", None))
        body = {"error": {"message": message, "type": kind, "code": code or usual}}
    return json.dumps(body).encode()


def plain_body(message: str) -> bytes:
    """Return an error in the form that Amp's own routes use."""
    return json.dumps({"error": message}).encode()


def amp_unreachable(why: str) -> bytes:
    """Return the body of the 502 for an Amp upstream that can't be reached; Amp's users know its wording."""
    message = f"Failed to reach Amp upstream: {why}"
    return json.dumps({"error": "amp_upstream_proxy_error", "message": message}).encode()


def reason_of(status: int) -> bytes:
    """Return the standard reason phrase of ``status``."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
