"""Make the request for an upstream: a new target, only the fields meant for it, new framing, the right credential.

Pure. The order matters: first hop-by-hop fields are dropped, and fields that the client named in ``Connection``; then
fields that are not for this upstream; only then are fields added, so that no client can have one of ours dropped.
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
    is_foreign,
    names_secret,
    our_keys,
    own_login,
    provider_credential,
    query_for_amp,
    query_for_provider,
    without_keys,
)
from ..formats.base import Repairs, Written
from ..formats.client_fields import is_for_own_vendor
from ..formats.registry import FORMATS
from ..http.headers import (
    IDENTITY,
    OF_THE_BODY,
    Chunked,
    Empty,
    Framing,
    Headers,
    Length,
    end_to_end,
    joined,
    remade,
    request_head,
)
from ..http.line_cache import Remade
from ..routing.snapshot import Candidate
from ..routing.target import ModelRoute, Target, provider_path
from ..settings import Auth, Hop, Settings

_REPLACED = frozenset({b"host", b"content-length"}) | IDENTITY  # framing is never copied: RFC 9112 §6.1, §6.2
# Another origin must not get the client's credentials (RFC 9110 §11.6.2, RFC 6265 §5.4).
_NOT_FOR_AMP = _REPLACED | CREDENTIAL_FIELDS | FOREIGN_FIELDS | {b"cookie"}
# Providers get decoded bodies. The gate has checked a web page's origin; Ollama would check it again, and refuse it.
_NOT_FOR_PROVIDERS = _NOT_FOR_AMP | {b"content-encoding", b"accept-encoding", b"expect", b"origin", b"referer"}
_NOT_WITH_CHANGES = _NOT_FOR_PROVIDERS | OF_THE_BODY
_FORWARDED = re.compile(rb"x[-_]forwarded[-_]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request to be sent: its hop, its head, and its method, which decides how the reply is framed."""

    hop: Hop
    method: bytes
    head: bytes = field(repr=False)  # it may hold a credential
    upgrade: bool = False  # it asks for a WebSocket
    keys: tuple[str, ...] = field(default=(), repr=False)  # the client keys, which trailers must not carry either


def to_provider(
    candidate: Candidate,
    route: ModelRoute,
    target: Target,
    headers: Headers,
    body_bytes: int,
    settings: Settings,
    *,
    changed: bool,
) -> UpstreamRequest:
    """Make the request for a provider of the client's own format; ``body_bytes`` is the length of its body.

    The reply is requested without content coding, so that its tokens can be read, unless the provider's ``headers`` set
    ``Accept-Encoding``. ``changed`` means that the body was changed or the reply may have to be: then ``headers``
    cannot set it, and digests of the body are dropped.
    """
    provider, endpoint, keys = candidate.provider, candidate.endpoint, our_keys(settings)
    hop = Hop(provider.origin, provider.ca_file)
    own = _own(hop, provider.headers, endpoint.auth, provider.api_key, changed)
    repairs = FORMATS[route.protocol].repairs if route.segment is not None else None
    through = remade(headers, _through, own.drop, keys, repairs, endpoint.auth == "client")
    login = own.credential
    if endpoint.auth == "client":
        login = joined([pair for pair in own_login(headers, keys) if pair[0].lower() not in own.named])
    path = provider_path(endpoint.base_path, route.canonical, candidate.model, endpoint.version_path)
    query = target.query and query_for_provider(target.query, endpoint.auth, keys, has_amp_headers(headers))
    length = b"Content-Length: %d\r\n" % body_bytes
    head = request_head(b"POST", _joined(path, query), (), b"".join((own.host, through, own.lines, login, length)))
    return UpstreamRequest(hop, b"POST", head)


def to_translated(candidate: Candidate, written: Written, headers: Headers, settings: Settings) -> UpstreamRequest:
    """Make the request for a provider of another format."""
    provider, endpoint, keys = candidate.provider, candidate.endpoint, our_keys(settings)
    hop = Hop(provider.origin, provider.ca_file)
    own = _own(hop, provider.headers, endpoint.auth, provider.api_key, True)
    through = remade(headers, _through_translated, own.drop | {b"content-type"}, keys)
    version = [pair for pair in FORMATS[endpoint.protocol].source.fields if pair[0] not in own.named]
    length = sum(map(len, written.pieces))
    lines = joined([*version, (b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % length)])
    path = provider_path(endpoint.base_path, written.path, candidate.model, endpoint.version_path)
    before = b"".join((own.host, through, own.lines, own.credential, lines))
    return UpstreamRequest(hop, b"POST", request_head(b"POST", _joined(path, written.query or None), (), before))


@dataclass(frozen=True, slots=True)
class _Own:
    """The header lines that a provider's configuration adds to every request, and the fields it drops."""

    host: bytes
    lines: bytes = field(repr=False)
    credential: bytes = field(repr=False)
    named: frozenset[bytes]  # the fields in the provider's ``headers``, which override all others
    drop: frozenset[bytes]


@lru_cache(maxsize=64)
def _own(hop: Hop, headers: tuple[tuple[str, str], ...], auth: Auth, api_key: str, changed: bool) -> _Own:
    configured = [(name.encode("ascii"), content.encode("latin-1")) for name, content in headers]
    if changed:
        configured = [pair for pair in configured if pair[0].lower() != b"accept-encoding"]
    if not any(pair[0].lower() == b"accept-encoding" for pair in configured):
        configured.append((b"Accept-Encoding", b"identity"))
    named = frozenset(name.lower() for name, _ in configured)
    drop = _NOT_WITH_CHANGES if changed else _NOT_FOR_PROVIDERS
    credential = [pair for pair in provider_credential(auth, api_key) if pair[0].lower() not in named]
    host = joined([(b"Host", hop.origin.authority.encode("ascii"))])
    return _Own(host, joined(configured), joined(credential), named, drop | named if headers else drop)


@lru_cache(maxsize=64)
def _through(drop: frozenset[bytes], keys: tuple[str, ...], repairs: Repairs | None, is_login: bool) -> Remade:
    """Return the rewriting of the client's lines for a provider of its own format.

    It drops Amp's keys, and the client's own secrets unless they are the provider's login (``is_login``).
    """

    def line(pair: tuple[bytes, bytes]) -> bytes:
        kept = [each for each in _forwarded((pair,), drop, keys) if AMP_MARK not in each[1]]
        kept = [each for each in kept if is_login or not names_secret(each[0])]
        return joined(repairs.lines(kept) if repairs else kept)

    return Remade(line)


@lru_cache(maxsize=64)
def _through_translated(drop: frozenset[bytes], keys: tuple[str, ...]) -> Remade:
    """Return the rewriting of the client's lines for a provider of another format."""

    def line(pair: tuple[bytes, bytes]) -> bytes:
        kept = [each for each in _forwarded((pair,), drop, keys) if AMP_MARK not in each[1]]
        return joined([each for each in kept if not (is_for_own_vendor(each[0]) or names_secret(each[0]))])

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
) -> UpstreamRequest:
    """Make the request for the Amp upstream: the client's lines with other credentials and framing.

    ``cookies`` are the client's ``Cookie`` lines without other servers' cookies; ``key`` is the client key that it
    presented, ``fallback`` the Amp key of the environment or of Amp's own secrets file. ``whole``: the body has been
    read, so an ``Expect: 100-continue`` has been fulfilled (RFC 9110 §10.1.1). ``upgrade``: ask for a WebSocket, as the
    client did; no other upgrade is passed on (RFC 9110 §7.8).
    """
    amp, keys = settings.amp, our_keys(settings)
    assert amp.origin is not None
    lines = [(b"Host", amp.origin.authority.encode("ascii"))]
    waits = not (whole or isinstance(framing, Empty))
    forwarded = _forwarded(headers, _NOT_FOR_AMP if waits else _NOT_FOR_AMP | {b"expect"}, keys)
    lines += [pair for pair in forwarded if not is_foreign(*pair)]
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
    return UpstreamRequest(Hop(amp.origin), method, head, upgrade, keys)


def trailers_for_amp(lines: Headers, keys: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """Return the client's trailers for Amp, without those that would not be sent as header fields either."""
    return [pair for pair in _forwarded(lines, _NOT_FOR_AMP, keys) if not is_foreign(*pair)]


def _forwarded(headers: Headers, drop: frozenset[bytes], keys: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """Return the client's end-to-end lines except those in ``drop`` and those with one of our client keys."""
    lines = without_keys(end_to_end(headers, drop), keys)
    return [pair for pair in lines if not _FORWARDED.match(pair[0])]


def _joined(path: str, query: str | None) -> bytes:
    return (path if query is None else f"{path}?{query}").encode("ascii")
