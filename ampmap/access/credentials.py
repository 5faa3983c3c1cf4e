"""Which key a client shows, and which credential goes to which upstream.

Pure. ``gate`` asks for the client's key, ``proxy`` for the fields of the upstream request. Three promises are kept
here: no upstream sees a client's key, Amp sees no key that is not Amp's, and a provider sees no key of Amp's. A key is
recognised in every field that holds it by itself, not only in the usual ones: a client that shows it twice, or in a
field of its own making, must not give it away.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from ..errors import BadRequest
from ..formats.registry import KEY_FIELDS
from ..http.headers import Headers, end_to_end, once_a_section, values
from ..http.query import Parameter, parameters
from ..settings import Amp, Auth, Settings

_CREDENTIALS = (b"authorization", *(name.encode("ascii") for name in KEY_FIELDS))
CREDENTIAL_FIELDS = frozenset(_CREDENTIALS)
CREDENTIAL_PARAMETERS = ("key", "auth_token")

# Where other vendors' clients show their keys: Azure, AWS, and what some gateways ask for.
FOREIGN_FIELDS = frozenset({b"api-key", b"x-auth-token", b"x-amz-security-token"})
# Gateways have fields of their own: x-litellm-api-key, helicone-auth, cf-aig-authorization, ocp-apim-subscription-key.
_SECRET_NAME = re.compile(
    rb"(?:\A|[-_])(?:(?:api|access|secret|subscription)[-_]?key|auth|authorization|jwt|password|secret|token)\Z",
    re.IGNORECASE,
)
_SECRET_PARAMETERS = frozenset({*CREDENTIAL_PARAMETERS, "access_token", "api_key", "api-key", "apikey"})

# How other vendors' keys begin: Anthropic and OpenAI, Google (keys and logins), Groq, xAI, Fireworks, Hugging Face,
# Cerebras, Perplexity, Replicate, NVIDIA, GitHub, AWS.
_FOREIGN = re.compile(
    r"(?<![A-Za-z0-9])(sk-|AIza|ya29\.|gsk_|xai-|fw_|hf_|csk-|pplx-|r8_|nvapi-|gh[opsu]_|github_pat_|AKIA)"
)
_AMP_MARK = "sgamp_"  # how Amp's own begin
AMP_MARK = _AMP_MARK.encode()


def names_secret(name: bytes) -> bool:
    """Tell whether a field's name says that a secret is in it, such as ``x-litellm-api-key`` or ``helicone-auth``."""
    return _SECRET_NAME.search(name) is not None


def is_foreign(name: bytes, content: bytes) -> bool:
    """Tell whether a field holds another vendor's key than Amp's, by its name and by how the key begins."""
    return names_secret(name) and _FOREIGN.search(content.decode("latin-1")) is not None


def token_of(name: bytes, content: bytes) -> str:
    """Return the secret in a credential field's value: what follows ``Bearer``, or the whole of it."""
    shown = content.decode("latin-1").strip()
    if name == b"authorization" and shown[:7].lower() == "bearer ":
        return shown[7:].strip()
    return shown


def presented(headers: Headers, query: str | None) -> tuple[str, ...]:
    """Return every credential that a request shows, in fields and in the query.

    Raises :class:`BadRequest` when one credential field comes twice: two servers could each believe another line.
    """
    shown = _presented_in_fields(headers)
    if not query:
        return shown
    in_query = [parameter for parameter in parameters(query) if parameter.name in CREDENTIAL_PARAMETERS]
    return (*shown, *(token for parameter in in_query for token in parameter.readings if token))


@once_a_section
def _presented_in_fields(headers: Headers) -> tuple[str, ...]:
    tokens = []
    for name in _CREDENTIALS:
        if lines := values(headers, name):
            if len(lines) > 1:
                raise BadRequest(f"the {name.decode('ascii')} field comes more than once; send one")
            tokens.append(token_of(name, lines[0]))
    return tuple(filter(None, tokens))


def client_key(shown: Iterable[str], api_keys: tuple[str, ...]) -> str | None:
    """Return the one of ``api_keys`` that the client shows; None when it shows none of them.

    Every key is compared with every credential, each in constant time, so that the time taken does not tell which one
    nearly fitted.
    """
    match = None
    for token in shown:
        for known in api_keys:
            if hmac.compare_digest(token.encode(), known.encode()):
                match = known
    return match


def our_keys(settings: Settings) -> tuple[str, ...]:
    """Return every key by which a client of this proxy may be known; all of them are secrets between it and us."""
    if not (settings.api_keys or settings.amp.api_keys):
        return ()
    theirs = (key for pair in settings.amp.api_keys for key in pair.client_keys)
    return tuple(dict.fromkeys((*settings.api_keys, *theirs)))


@lru_cache(maxsize=8)
def _pattern(keys: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, keys))})(?![\w-])")


def shows_one_of(keys: tuple[str, ...], content: str) -> bool:
    """Tell whether one of ``keys`` stands in ``content``, as a word of its own."""
    return bool(keys) and _pattern(keys).search(content) is not None


def without_keys(lines: Headers, keys: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """Return the lines in which none of ``keys`` stands, in the name or the value."""
    if not keys:
        return list(lines)
    return [pair for pair in lines if not shows_one_of(keys, (b"%b:%b" % pair).decode("latin-1"))]


def provider_credential(auth: Auth, api_key: str) -> list[tuple[bytes, bytes]]:
    """Return the lines that present a provider's own key; none for ``none`` and ``client``."""
    secret = api_key.encode("latin-1")
    if auth == "bearer":
        return [(b"Authorization", b"Bearer " + secret)] if secret else []
    if auth in KEY_FIELDS:
        return [(auth.encode(), secret)] if secret else []
    return []


def own_login(headers: Headers, keys: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """Return the client's own credential lines for a provider with ``auth: client``.

    None of ``keys``, which are this proxy's, and no key of Amp's is among them: both belong to somebody else.
    """
    is_amp = has_amp_headers(headers)
    return [line for line, token in _own_lines(headers, keys) if not _is_amps(token, is_amp)]


def query_for_provider(query: str | None, auth: Auth, keys: tuple[str, ...] = (), is_amp: bool = False) -> str | None:
    """Return the query for a local provider, less its credentials; with ``auth: client`` less those of others only.

    ``is_amp`` says that the request carries Amp's own fields, so that its credentials are Amp's.
    """

    def may_pass(parameter: Parameter) -> bool:
        if parameter.name.lower() not in _SECRET_PARAMETERS:
            return not any(_AMP_MARK in reading for reading in (parameter.name, *parameter.readings))
        return auth == "client" and not any(_is_amps(reading, is_amp) for reading in parameter.readings)

    return _filtered(query, keys, may_pass)


def query_for_amp(query: str | None, keys: tuple[str, ...]) -> str | None:
    """Return the query for Amp: parameters that hold a key of ours, or another vendor's key, are taken out."""

    def may_pass(parameter: Parameter) -> bool:
        is_secret = parameter.name.lower() in _SECRET_PARAMETERS
        return not (is_secret and any(_FOREIGN.search(reading) for reading in parameter.readings))

    return _filtered(query, keys, may_pass)


def _filtered(query: str | None, keys: tuple[str, ...], may_pass: Callable[[Parameter], bool]) -> str | None:
    """Return ``query`` less what may not pass; all that stays keeps its bytes and its order."""
    if not query:
        return query
    kept = [
        parameter.raw
        for parameter in parameters(query)
        if may_pass(parameter)
        and not any(shows_one_of(keys, reading) for reading in (parameter.name, *parameter.readings))
    ]
    return "&".join(kept) if kept else None


def amp_credential(
    headers: Headers, amp: Amp, keys: tuple[str, ...], key: str | None, fallback: str
) -> list[tuple[bytes, bytes]]:
    """Return the credential lines for the Amp upstream.

    In order: the Amp key configured for this client (``key`` is the client key it showed), the configured Amp key, the
    client's own lines if they are Amp's and none of ``keys``, ``fallback`` (from the environment or Amp's own secrets
    file), nothing.
    """
    secret = next((pair.upstream_api_key for pair in amp.api_keys if key is not None and key in pair.client_keys), "")
    secret = secret or amp.api_key
    if not secret:
        is_amp = has_amp_headers(headers)
        if own := [line for line, token in _own_lines(headers, keys) if _is_amps(token, is_amp)]:
            return own
        secret = fallback
    if not secret:
        return []
    raw = secret.encode("ascii")
    return [(b"X-Api-Key", raw), (b"Authorization", b"Bearer " + raw)]


def _own_lines(headers: Headers, keys: tuple[str, ...]) -> Iterator[tuple[tuple[bytes, bytes], str]]:
    """Yield each credential line that may cross a proxy and shows no key of ours, with the secret in it."""
    for line in without_keys(end_to_end(headers), keys):
        name = line[0].lower()
        if name in CREDENTIAL_FIELDS and (token := token_of(name, line[1])):
            yield line, token


def _is_amps(token: str, is_amp: bool) -> bool:
    """Tell whether a credential is Amp's: it looks so, or Amp's client sends it and it looks like nobody else's."""
    return _AMP_MARK in token or (is_amp and not _FOREIGN.search(token))


@once_a_section
def has_amp_headers(headers: Headers) -> bool:
    """Tell whether a request carries one of Amp's own fields."""
    return any(name[:6].lower() == b"x-amp-" for name, _ in headers)
