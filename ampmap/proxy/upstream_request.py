"""Requests as upstreams get them: new target, clean header lines, framing made anew, the right credential.

Pure. What the client nominated and what is hop-by-hop goes first, then what is not for this upstream, and only then is
anything added.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from ..access.credentials import (
    AMP_MARK,
    CREDENTIAL_FIELDS,
    FOREIGN_FIELDS,
    amp_credential,
    has_amp_headers,
    our_keys,
    own_login,
    provider_credential,
    query_for_amp,
    query_for_provider,
    without_keys,
)
from ..amp.repairs import without_long_context
from ..http.headers import (
    IDENTITY,
    OF_THE_BODY,
    Chunked,
    Empty,
    Framing,
    Headers,
    Length,
    Remade,
    end_to_end,
    joined,
    remade,
    request_head,
)
from ..routing.snapshot import Candidate
from ..routing.target import ModelRoute, Target, provider_path
from ..settings import Auth, Hop, Settings

_REMADE = frozenset({b"host", b"content-length"}) | IDENTITY  # framing is never copied: RFC 9112 §6.1, §6.2
_NOT_FOR_AMP = _REMADE | CREDENTIAL_FIELDS | FOREIGN_FIELDS | {b"cookie"}
# A request that goes to another origin takes no credential of the client's along (RFC 9110 §11.6.2, RFC 6265 §5.4).
# A web page's origin has been judged here; a provider that judged it again, as Ollama does, would refuse the page.
# Providers get bodies decoded.
_NOT_FOR_PROVIDERS = _NOT_FOR_AMP | {b"content-encoding", b"expect", b"origin", b"referer"}
_FORWARDED = re.compile(rb"x[-_]forwarded[-_]", re.IGNORECASE)
_NOT_WITH_PLAIN_REPLY = _NOT_FOR_PROVIDERS | OF_THE_BODY | {b"accept-encoding"}


@dataclass(frozen=True, slots=True)
class Outbound:
    """A request ready to leave: where to, its head, and its method, which decides how the reply is framed."""

    hop: Hop
    method: bytes
    head: bytes = field(repr=False)  # with a credential in it
    upgrade: bool = False  # it asks for a WebSocket
    keys: tuple[str, ...] = field(default=(), repr=False)  # of our clients: its trailers may not show them either


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

    ``plain_reply`` says that the body is changed, or the reply may have to be: the reply is asked for without content
    coding, and digests of the body as it was are left out.
    """
    provider, endpoint, keys = candidate.provider, candidate.endpoint, our_keys(settings)
    hop = Hop(provider.origin, provider.ca_file)
    own = _own(hop, provider.headers, endpoint.auth, provider.api_key, plain_reply)
    through = remade(headers, _through, own.drop, keys, route.segment is not None)
    login = own.credential
    if endpoint.auth == "client":
        login = joined([pair for pair in own_login(headers, keys) if pair[0].lower() not in own.named])
    path = provider_path(endpoint.base_path, route.canonical, candidate.model, endpoint.version_path)
    query = target.query and query_for_provider(target.query, endpoint.auth, keys, has_amp_headers(headers))
    length = b"Content-Length: %d\r\n" % body_bytes
    head = request_head(b"POST", _joined(path, query), (), b"".join((own.host, through, own.lines, login, length)))
    return Outbound(hop, b"POST", head)


@dataclass(frozen=True, slots=True)
class _Own:
    """What a provider's configuration adds to each request, and takes off: the same for all of them."""

    host: bytes
    lines: bytes = field(repr=False)
    credential: bytes = field(repr=False)
    named: frozenset[bytes]  # what is written by hand wins
    drop: frozenset[bytes]


@lru_cache(maxsize=64)
def _own(hop: Hop, headers: tuple[tuple[str, str], ...], auth: Auth, api_key: str, plain_reply: bool) -> _Own:
    configured = [(name.encode("ascii"), content.encode("latin-1")) for name, content in headers]
    if plain_reply:
        configured = [pair for pair in configured if pair[0].lower() != b"accept-encoding"]
        configured.append((b"Accept-Encoding", b"identity"))
    named = frozenset(name.lower() for name, _ in configured)
    drop = _NOT_WITH_PLAIN_REPLY if plain_reply else _NOT_FOR_PROVIDERS
    credential = [pair for pair in provider_credential(auth, api_key) if pair[0].lower() not in named]
    host = joined([(b"Host", hop.origin.authority.encode("ascii"))])
    return _Own(host, joined(configured), joined(credential), named, drop | named if headers else drop)


@lru_cache(maxsize=64)
def _through(drop: frozenset[bytes], keys: tuple[str, ...], mended: bool) -> Remade:
    """Return what becomes of the client's lines on their way to a provider; no key of Amp's gets there."""

    def line(pair: tuple[bytes, bytes]) -> bytes:
        kept = [each for each in _forwarded((pair,), drop, keys) if AMP_MARK not in each[1]]
        return joined(without_long_context(kept) if mended else kept)

    return Remade(line)


def to_amp(
    method: bytes,
    target: Target,
    headers: Headers,
    framing: Framing,
    settings: Settings,
    key: str | None,
    fallback: str,
    *,
    cookies: Headers = (),
    whole: bool = False,
    upgrade: bool = False,
) -> Outbound:
    """Make the request for the Amp upstream, which gets the client's bytes but for credentials and framing.

    ``cookies`` are the client's ``Cookie`` lines, less other servers' cookies; ``key`` is the client key it showed,
    ``fallback`` the Amp key of the environment or of Amp's own secrets file.
    ``whole`` says that the body is at hand, so that nobody has to be asked for it (RFC 9110 §10.1.1); ``upgrade`` asks
    for a WebSocket, as the client did; any other upgrade is not passed on (RFC 9110 §7.8).
    """
    amp, keys = settings.amp, our_keys(settings)
    assert amp.origin is not None
    lines = [(b"Host", amp.origin.authority.encode("ascii"))]
    waits = not (whole or isinstance(framing, Empty))
    lines += _forwarded(headers, _NOT_FOR_AMP if waits else _NOT_FOR_AMP | {b"expect"}, keys)
    lines += without_keys(cookies, keys)
    lines += amp_credential(headers, amp, keys, key, fallback)
    if isinstance(framing, Length):
        lines.append((b"Content-Length", b"%d" % framing.count))
    elif isinstance(framing, Chunked):
        lines.append((b"Transfer-Encoding", b"chunked"))
    if upgrade:
        lines += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    query = query_for_amp(target.query, keys)
    head = request_head(method, _joined(amp.base_path.rstrip("/") + target.path, query), lines)
    return Outbound(Hop(amp.origin), method, head, upgrade, keys)


def trailers_for_amp(lines: Headers, keys: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """Return the client's trailers that may go on: what is no field for Amp is no trailer either."""
    return _forwarded(lines, _NOT_FOR_AMP, keys)


def _forwarded(headers: Headers, drop: frozenset[bytes], keys: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """Return the client's lines that may go on: end-to-end, not in ``drop``, and with no key of ours in them."""
    lines = without_keys(end_to_end(headers, drop), keys)
    return [pair for pair in lines if not _FORWARDED.match(pair[0])]


def _joined(path: str, query: str | None) -> bytes:
    return (path if query is None else f"{path}?{query}").encode("ascii")
