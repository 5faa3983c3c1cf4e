"""Bodies of the errors that ampmap makes by itself, in the asker's own format.

Pure; ``proxy`` sends them. Clients show the ``message`` to their users; ``advice`` writes those about models.
"""

from __future__ import annotations

import json
from functools import lru_cache

from ..formats.registry import DEFAULT, FORMATS
from ..settings import Protocol


def error_body(protocol: Protocol | None, status: int, message: str, code: str | None = None, param: str = "") -> bytes:
    """Return an error as JSON in ``protocol``'s form; in the default format's where the client speaks none.

    ``code`` replaces the code that ``status`` has, in formats that have codes; ``param`` names the member at fault.
    """
    known = FORMATS[protocol or DEFAULT]
    body = known.error(status, message, code)
    if param and known.names_params:
        body["error"]["param"] = param
    return json.dumps(body).encode()


def plain_body(message: str) -> bytes:
    """Return an error in the form that Amp's own routes use."""
    return json.dumps({"error": message}).encode()


def amp_unreachable(why: str) -> bytes:
    """Return the body of the 502 for an Amp upstream that can't be reached; Amp's users know its wording."""
    message = f"Failed to reach Amp upstream: {why}"
    return json.dumps({"error": "amp_upstream_proxy_error", "message": message}).encode()


@lru_cache(maxsize=64)
def reason_of(status: int) -> bytes:
    """Return the standard reason phrase of ``status``."""
    from http import HTTPStatus  # sixty members to be made, which a start can do without

    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
