"""Requests as upstreams get them: new target, clean header lines, framing made anew, the right credential.

Pure. What the client nominated and what is hop-by-hop goes first, then what is not for this upstream, and only then is
anything added.
"""

from __future__ import annotations

from dataclasses import dataclass

from .credentials import (
    CREDENTIAL_FIELDS,
    amp_credential,
    own_login,
    provider_credential,
    query_for_amp,
    query_for_provider,
)
from .headers import IDENTITY, Chunked, Framing, Headers, Length, end_to_end, request_head
from .mapping import Candidate
from .settings import Hop, Settings
from .target import ModelRoute, Target, provider_path

_REMADE = frozenset({b"host", b"content-length"}) | IDENTITY
_NOT_FOR_PROVIDERS = _REMADE | CREDENTIAL_FIELDS | {b"cookie", b"expect"}


@dataclass(frozen=True, slots=True)
class Outbound:
    """A request ready to leave: where to, its head, and its method, which decides how the reply is framed."""

    hop: Hop
    method: bytes
    head: bytes


def to_provider(
    candidate: Candidate,
    route: ModelRoute,
    target: Target,
    headers: Headers,
    body_bytes: int,
    settings: Settings,
    *,
    plain_reply: bool,
) -> Outbound:
    """Make the request for a local provider; ``body_bytes`` is its body's length.

    ``plain_reply`` asks for a reply without content coding, so that a name in it can be given back.
    """
    provider, endpoint = candidate.provider, candidate.endpoint
    drop = _NOT_FOR_PROVIDERS | {name.lower().encode() for name, _ in provider.headers}
    if plain_reply:
        drop |= {b"accept-encoding"}
    lines = [(b"Host", provider.origin.authority.encode("ascii"))]
    lines += _not_forwarded(end_to_end(headers, drop))
    if plain_reply:
        lines.append((b"Accept-Encoding", b"identity"))
    lines += [(name.encode("ascii"), content.encode("latin-1")) for name, content in provider.headers]
    if endpoint.auth == "client":
        lines += own_login(headers, settings.api_keys)
    else:
        lines += provider_credential(endpoint.auth, provider.api_key)
    lines.append((b"Content-Length", b"%d" % body_bytes))
    path = provider_path(endpoint.base_path, route.canonical, candidate.model)
    query = query_for_provider(target.query, endpoint.auth)
    return Outbound(
        Hop(provider.origin, provider.ca_file), b"POST", request_head(b"POST", _joined(path, query), lines)
    )


def to_amp(
    method: bytes,
    target: Target,
    headers: Headers,
    framing: Framing,
    settings: Settings,
    key: str | None,
    fallback: str,
) -> Outbound:
    """Make the request for the Amp upstream, which gets the client's bytes but for credentials and framing.

    ``key`` is the client key that was shown, ``fallback`` the Amp key of the environment or of Amp's own secrets file.
    """
    amp = settings.amp
    assert amp.origin is not None
    lines = [(b"Host", amp.origin.authority.encode("ascii"))]
    lines += _not_forwarded(end_to_end(headers, _REMADE | CREDENTIAL_FIELDS))
    lines += amp_credential(headers, amp, settings.api_keys, key, fallback)
    if isinstance(framing, Length):
        lines.append((b"Content-Length", b"%d" % framing.count))
    elif isinstance(framing, Chunked):
        lines.append((b"Transfer-Encoding", b"chunked"))
    path = "/" if target.path == "*" else target.path
    query = query_for_amp(target.query, settings.api_keys)
    head = request_head(method, _joined(amp.base_path.rstrip("/") + path, query), lines)
    return Outbound(Hop(amp.origin), method, head)


def _not_forwarded(lines: Headers) -> list[tuple[bytes, bytes]]:
    return [pair for pair in lines if pair[0][:12].lower() != b"x-forwarded-"]


def _joined(path: str, query: str | None) -> bytes:
    return (path if query is None else f"{path}?{query}").encode("ascii")
