"""Who may call what: web pages, DNS rebinding, loopback-only routes and client keys.

Pure. A proxy on loopback can be reached by every web page that its user opens, so a request that a browser made for
somebody else's page is refused before anything else is looked at. Only the TCP peer counts for "local": fields such as
``X-Forwarded-For`` can be written by anyone.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from .credentials import client_key
from .headers import Headers, value
from .settings import Settings, TcpListen
from .target import Admin, Management, Route, Target

LOCALHOST_ONLY = "Access denied: management routes restricted to localhost"
_PROBES = ("health", "ready")


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a client's connection, as the system tells them; ``host`` is empty for a unix socket."""

    host: str
    local: bool  # the peer is this machine, over loopback or a unix socket
    on_loopback: bool  # the connection was accepted on a loopback TCP address

    @classmethod
    def of(cls, peer: object, here: object) -> Peer:
        """Read what ``getpeername`` and ``getsockname`` gave; anything but an address pair is a unix socket."""
        if not (isinstance(peer, tuple) and isinstance(here, tuple)):
            return cls("", True, False)
        return cls(str(peer[0]), is_loopback(str(peer[0])), is_loopback(str(here[0])))


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer instead of a service; ``plain`` asks for Amp's one-line error form."""

    status: int
    message: str
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request may go on. ``key`` is the client key it showed; ``origin`` a web origin that gets CORS answers."""

    key: str | None = None
    origin: bytes | None = None
    preflight: bool = False


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is a loopback address or name: 127/8, ::1, v4-mapped ones, ``localhost`` and below."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def admit(
    method: bytes, target: Target, headers: Headers, route: Route, peer: Peer, settings: Settings, shown: list[str]
) -> Admitted | Refusal:
    """Decide whether a request may go on; ``shown`` are the credentials it shows.

    The order of the answers is part of the contract: availability of the Amp upstream (503), origin (403, 421),
    localhost (403), key (401).
    """
    if isinstance(route, Admin) and route.page in _PROBES:
        return Admitted()
    restricted = isinstance(route, Management)
    if restricted and settings.amp.origin is None:
        return Refusal(503, "amp upstream proxy not available", plain=True)
    stranger = _web_page(method, target, headers, route, peer, settings)
    if isinstance(stranger, Refusal):
        return stranger
    restricted = restricted and settings.amp.restrict_management_to_localhost
    if (restricted or isinstance(route, Admin)) and not peer.local:
        return Refusal(403, LOCALHOST_ONLY, plain=True)
    if stranger is not None and method == b"OPTIONS":
        return Admitted(None, stranger, preflight=True)  # a preflight never carries credentials
    key = client_key(shown, settings.api_keys) if settings.api_keys else None
    if settings.api_keys and key is None:
        hint = "Authorization: Bearer, x-api-key or x-goog-api-key"
        return Refusal(401, "Invalid API key: none of this proxy's api-keys" if shown else f"Missing API key: {hint}")
    return Admitted(key, stranger)


def _web_page(
    method: bytes, target: Target, headers: Headers, route: Route, peer: Peer, settings: Settings
) -> Refusal | bytes | None:
    """Return a refusal for another site's page, the origin of an allowed one, None where no web page is behind it."""
    host = (target.authority or (value(headers, b"host") or b"").decode("latin-1")).strip().lower()
    if peer.on_loopback and not settings.api_keys and host and not _is_ours(host, settings):
        return Refusal(421, f"this proxy is not {host!r}; use localhost, or set api-keys and listen on that address")
    site, origin = value(headers, b"sec-fetch-site"), value(headers, b"origin")
    if origin is not None and origin.decode("latin-1").lower() in (f"http://{host}", f"https://{host}"):
        origin = None
    if origin is not None and origin.decode("latin-1") in settings.allowed_origins:
        return origin
    if origin is None and site in (None, b"none", b"same-origin"):
        return Refusal(403, "no web page of another origin asks this") if method == b"OPTIONS" else None
    navigates = value(headers, b"sec-fetch-mode") == b"navigate" and method in (b"GET", b"HEAD")
    if origin is None and navigates and isinstance(route, Management):
        return None
    return Refusal(403, "web pages of other origins may not use this proxy; see allowed-origins")


def _is_ours(host: str, settings: Settings) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    if is_loopback(name):
        return True
    return any(isinstance(at, TcpListen) and at.host.lower() == name.strip("[]") for at in settings.listen)
