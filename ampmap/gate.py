"""Who may call what: web pages, DNS rebinding, loopback-only routes and client keys.

Pure. A proxy on loopback can be reached by every web page that its user opens, so a request that a browser made for
somebody else's page is refused before anything else is looked at. Only the TCP peer counts for "local": fields such as
``X-Forwarded-For`` can be written by anyone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from .address import host_of, is_loopback
from .credentials import client_key, our_keys
from .headers import Headers, once_a_section, values
from .settings import Settings, TcpListen
from .target import Admin, Management, Route, Target

LOCALHOST_ONLY = "Access denied: management routes restricted to localhost"
_PROBES = ("health", "ready")
_RESTRICTED = (Management, Admin)


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a client's connection, as the system tells them; ``host`` is empty for a unix socket."""

    host: str
    local: bool  # the peer is this machine, over loopback or a unix socket
    on_loopback: bool  # the connection was accepted on a loopback TCP address

    @classmethod
    def of(cls, peer: object, here: object) -> Peer:
        """Read what ``getpeername`` and ``getsockname`` gave.

        A peer that resets its connection at once has no address left to tell. Only what ``getsockname`` says makes it
        a unix socket's: a path, or the bytes of an abstract name. Whoever it was else counts as a stranger.
        """
        if isinstance(here, str | bytes):
            return cls("", True, False)
        on_loopback = isinstance(here, tuple) and is_loopback(str(here[0]))
        if not isinstance(peer, tuple):
            return cls("", False, on_loopback)
        return cls(str(peer[0]), is_loopback(str(peer[0])), on_loopback)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer instead of a service.

    ``plain`` asks for Amp's one-line error form; ``origin`` is an allowed web origin, whose page may read the answer.
    """

    status: int
    message: str
    plain: bool = False
    origin: bytes | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request may go on.

    ``key`` is the client key it showed, be it one that admits or one that only has an Amp key of its own; ``origin`` is
    a web origin that gets CORS answers.
    """

    key: str | None = field(default=None, repr=False)
    origin: bytes | None = None
    preflight: bool = False


def is_probe(route: Route) -> bool:
    """Tell whether a route passes every gate: probes come from anywhere and learn nothing."""
    return isinstance(route, Admin) and route.page in _PROBES


def admit(
    method: bytes, target: Target, headers: Headers, route: Route, peer: Peer, settings: Settings, shown: Sequence[str]
) -> Admitted | Refusal:
    """Decide whether a request may go on; ``shown`` are the credentials it shows.

    The order of the answers is part of the contract: availability of the Amp upstream (503), origin (403, 421),
    localhost (403), key (401).
    """
    if is_probe(route):
        return Admitted()
    if isinstance(route, Management) and settings.amp.origin is None:
        return Refusal(503, "amp upstream proxy not available", plain=True)
    stranger = _web_page(method, target, headers, route, peer, settings)
    if isinstance(stranger, Refusal):
        return stranger
    restricted = isinstance(route, _RESTRICTED) and settings.amp.restrict_management_to_localhost
    if restricted and not peer.local:
        return Refusal(403, LOCALHOST_ONLY, plain=True, origin=stranger)
    if stranger is not None and method == b"OPTIONS":
        return Admitted(None, stranger, preflight=True)  # a preflight never carries credentials
    key = client_key(shown, settings.api_keys)
    if settings.api_keys and key is None:
        missing = "Missing API key: Authorization: Bearer, x-api-key or x-goog-api-key"
        return Refusal(401, "Invalid API key: none of this proxy's api-keys" if shown else missing, origin=stranger)
    return Admitted(key or client_key(shown, our_keys(settings)), stranger)


def _web_page(
    method: bytes, target: Target, headers: Headers, route: Route, peer: Peer, settings: Settings
) -> Refusal | bytes | None:
    """Return a refusal for another site's page, the origin of an allowed one, None where no web page is behind it."""
    host, site, origin, purpose = _of_a_web_page(headers)
    authority = target.authority or host or ""
    if peer.on_loopback and not settings.api_keys and authority and not _is_ours(authority, settings):
        named = host_of(authority) or "what the request names as its host"
        return Refusal(421, f"this proxy is not {named}; use localhost, or set api-keys and listen on that address")
    if origin is not None and origin != "null" and origin in settings.allowed_origins:  # "null" is anyone's sandbox
        return origin.encode("latin-1")
    if origin is not None and origin.lower() in (f"http://{authority}".lower(), f"https://{authority}".lower()):
        origin = None
    if "prefetch" in (purpose or ""):
        # Any page can have any address fetched ahead, and Chromium says of that what it says of a typed one: "none".
        return Refusal(403, "browsers may not fetch ahead from this proxy, for any web page can make them")
    if origin is None and site in (None, "none", "same-origin"):
        return Refusal(403, "OPTIONS is for web pages of allowed-origins alone") if method == b"OPTIONS" else None
    if origin is None and isinstance(route, Management) and _navigates(method, headers):
        return None
    return Refusal(403, "web pages of other origins may not use this proxy; see allowed-origins")


@once_a_section
def _of_a_web_page(headers: Headers) -> tuple[str | None, ...]:
    return tuple([_combined(headers, name) for name in (b"host", b"sec-fetch-site", b"origin", b"sec-purpose")])


def _navigates(method: bytes, headers: Headers) -> bool:
    """Tell whether a browser goes to a page as a whole: not within a frame, where another page would lie around it."""
    mode, destination = _combined(headers, b"sec-fetch-mode"), _combined(headers, b"sec-fetch-dest")
    return method == b"GET" and mode == "navigate" and destination in (None, "document")


def _combined(headers: Headers, name: bytes) -> str | None:
    """Return the value of a field; where it comes more than once, one that fits nothing (RFC 9110 §5.3)."""
    found = values(headers, name)
    return b", ".join(found).decode("latin-1") if found else None


def _is_ours(authority: str, settings: Settings) -> bool:
    """Tell whether ``authority`` names this machine's loopback, or an address that is listened on."""
    host, on_loopback = _host(authority)
    return on_loopback or any(
        host is not None and isinstance(at, TcpListen) and at.host.lower().removesuffix(".") == host.removesuffix(".")
        for at in settings.listen
    )


@lru_cache(maxsize=64)  # agents name the same one in every request
def _host(authority: str) -> tuple[str | None, bool]:
    host = host_of(authority)
    return host, host is not None and is_loopback(host)
