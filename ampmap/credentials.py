"""Who a client is, and which credential goes to which upstream.

Pure. Two promises are kept here: a provider never sees a client's key, and Amp never sees a key that is not Amp's.
Values are compared in constant time.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

from .errors import BadRequest
from .headers import Headers
from .settings import Amp, Auth
from .target import query_values, without_query_credentials

CREDENTIAL_FIELDS = frozenset({b"authorization", b"x-api-key", b"x-goog-api-key"})
CREDENTIAL_PARAMETERS = ("key", "auth_token")

# Shapes of other vendors' keys: Anthropic and OpenAI, Google, Groq, xAI, Fireworks, Hugging Face.
_FOREIGN = re.compile(r"(sk-|AIza|gsk_|xai-|fw_|hf_)")
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+\Z")


def token_of(name: bytes, content: bytes) -> str:
    """Return the secret in a credential field's value: what follows ``Bearer``, or the whole of it."""
    shown = content.decode("latin-1").strip()
    if name == b"authorization" and shown[:7].lower() == "bearer ":
        return shown[7:].strip()
    return shown


def presented(headers: Headers, query: str | None) -> list[str]:
    """Return every credential that a request shows, in fields and in the query.

    Raises :class:`BadRequest` when one credential field comes twice: two servers could each believe another line.
    """
    found: dict[bytes, str] = {}
    for key, content in headers:
        name = key.lower()
        if name in CREDENTIAL_FIELDS:
            if name in found:
                raise BadRequest(f"the {key.decode('ascii')} field comes more than once; send one")
            found[name] = token_of(name, content)
    tokens = [token for token in found.values() if token]
    if query:
        for parameter in CREDENTIAL_PARAMETERS:
            tokens += [token for token in query_values(query, parameter) if token]
    return tokens


def client_key(shown: Iterable[str], api_keys: tuple[str, ...]) -> str | None:
    """Return the one of ``api_keys`` that the client shows; None when it shows none of them.

    Every key is compared with every credential, so that the time taken does not tell which one nearly fitted.
    """
    match = None
    for token in shown:
        for known in api_keys:
            if hmac.compare_digest(token.encode(), known.encode()):
                match = known
    return match


def provider_credential(auth: Auth, api_key: str) -> list[tuple[bytes, bytes]]:
    """Return the lines that present a provider's own key; none for ``none`` and ``client``."""
    secret = api_key.encode("latin-1")
    if auth == "bearer":
        return [(b"Authorization", b"Bearer " + secret)] if secret else []
    if auth in ("x-api-key", "x-goog-api-key"):
        return [(auth.encode(), secret)] if secret else []
    return []


def own_login(headers: Headers, api_keys: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """Return the client's own credential lines for a provider with ``auth: client``.

    Neither a key of this proxy nor an Amp token is among them: both belong to somebody else.
    """
    lines = []
    for key, content in headers:
        name = key.lower()
        if name in CREDENTIAL_FIELDS:
            token = token_of(name, content)
            if client_key([token], api_keys) is None and not token.startswith("sgamp_"):
                lines.append((key, content))
    return lines


def query_for_provider(query: str | None, auth: Auth) -> str | None:
    """Return the query for a local provider, less its credentials; with ``auth: client`` they are the user's own."""
    return query if auth == "client" else without_query_credentials(query)


def query_for_amp(query: str | None, api_keys: tuple[str, ...]) -> str | None:
    """Return the query for Amp: only parameters that hold a client key of ours are taken out."""
    if not query or not api_keys:
        return query
    ours = {name for name in CREDENTIAL_PARAMETERS if client_key(query_values(query, name), api_keys)}
    return without_query_credentials(query, frozenset(ours)) if ours else query


def amp_credential(
    headers: Headers, amp: Amp, api_keys: tuple[str, ...], key: str | None, fallback: str
) -> list[tuple[bytes, bytes]]:
    """Return the credential lines for the Amp upstream.

    In order: the Amp key configured for this client (``key`` is the client key it showed), the configured Amp key, the
    client's own lines if they are Amp's, ``fallback`` (from the environment or Amp's own secrets file), nothing.
    """
    secret = next((pair.upstream_api_key for pair in amp.api_keys if key is not None and key in pair.client_keys), "")
    secret = secret or amp.api_key
    if not secret:
        if own := _own_amp_lines(headers, api_keys):
            return own
        secret = fallback
    if not secret:
        return []
    raw = secret.encode("ascii")
    return [(b"X-Api-Key", raw), (b"Authorization", b"Bearer " + raw)]


def _own_amp_lines(headers: Headers, api_keys: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    is_amp = has_amp_headers(headers)
    lines = []
    for key, content in headers:
        name = key.lower()
        if name in CREDENTIAL_FIELDS:
            token = token_of(name, content)
            amps = token.startswith("sgamp_") or (is_amp and not _FOREIGN.match(token))
            if token and amps and client_key([token], api_keys) is None:
                lines.append((key, content))
    return lines


def has_amp_headers(headers: Headers) -> bool:
    """Tell whether a request carries one of Amp's own fields."""
    return any(key[:6].lower() == b"x-amp-" for key, _ in headers)


def is_header_safe(secret: str) -> bool:
    """Tell whether a secret can stand in a field: visible ASCII without blanks (RFC 6750 §2.1 allows less)."""
    return _HEADER_SAFE.match(secret) is not None
