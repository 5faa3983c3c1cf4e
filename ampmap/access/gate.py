"""Who may call what: web pages, DNS rebinding, loopback-only routes and client keys.

Pure. Every web page that a user opens can reach a proxy on loopback, and Amp's pages, which pass through this proxy,
even have its origin. So a browser's request is judged by the page that caused it. The first row that fits counts:

==================================================  ===========================================================
request                                             answer
==================================================  ===========================================================
``/_ampmap/health`` and ``/_ampmap/ready``          served to all
Host is no name of this proxy, without ``api-keys``  421, except over a unix socket, which no browser can reach
Host is ``ampmap.localhost``                        421 for management and for all that concerns models
page of ``allowed-origins``                         served; ``/_ampmap/`` under ``ampmap.localhost`` only
``Sec-Purpose: prefetch``                           403
page of another origin                              403, except navigations (GET) to management
page of this proxy's origin, or its service worker  management; ``/_ampmap/`` under ``ampmap.localhost``; else 403
address typed by the user                           served; ``/_ampmap/`` under ``ampmap.localhost`` only
navigation that lacks ``Sec-Fetch-Site``            403 for management, unless Host is a loopback name
no browser                                          served
==================================================  ===========================================================

Browsers send ``Sec-Fetch-Site`` only to origins that they trust: https, loopback names, 127/8 and ``[::1]``. They send
``Origin`` with all but GET and HEAD of the page's own origin. ``Sec-Fetch-Mode`` alone is no sign of a browser: Node's
fetch sends it. After the page, the peer's address and the key are checked. Only the TCP peer counts for "local": fields
such as ``X-Forwarded-For`` can be written by anyone. ``/_ampmap/`` itself, a page without data, needs no key: it asks
for one, and shows it with what it fetches.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from ..http.headers import Headers, once_a_section, values
from ..net.address import host_of, is_address, is_loopback
from ..routing.target import Admin, Management, ModelList, ModelRoute, ProviderOther, Route, Target
from ..settings import Settings, TcpListen
from .credentials import client_key, our_keys

OWN_HOST = "ampmap.localhost"  # an origin that Amp's pages never have; RFC 6761 §6.3 makes it loopback
LOCALHOST_ONLY = "Access denied: management routes restricted to localhost"
_LIVE_PAGE = Admin("")
_PROBES = ("health", "ready")
_RESTRICTED = (Management, Admin)
_MODELS = (ModelRoute, ModelList, ProviderOther)
_FIELDS = (b"host", b"sec-fetch-site", b"origin", b"sec-purpose", b"service-worker-navigation-preload", b"accept")


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a client's connection, as the system tells them; ``host`` is empty for a unix socket."""

    host: str
    local: bool  # the peer is this machine, over loopback or a unix socket

    @classmethod
    def of(cls, peer: object, here: object) -> Peer:
        """Read what ``getpeername`` and ``getsockname`` gave.

        A peer that resets its connection at once has no address left to tell. Only what ``getsockname`` says makes it
        a unix socket's: a path, or the bytes of an abstract name. Whoever it was else counts as a stranger.
        """
        if isinstance(here, str | bytes):
            return cls("", True)
        if not isinstance(peer, tuple):
            return cls("", False)
        return cls(str(peer[0]), is_loopback(str(peer[0])))

    @property
    def by_unix_socket(self) -> bool:
        """True when the connection came over a unix socket."""
        return self.local and not self.host


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
    if settings.api_keys and key is None and route != _LIVE_PAGE:
        missing = "Missing API key: Authorization: Bearer, x-api-key or x-goog-api-key"
        invalid = "Invalid API key: none of this proxy's api-keys; give the agent one of them"
        return Refusal(401, invalid if shown else missing, origin=stranger)
    return Admitted(key or client_key(shown, our_keys(settings)), stranger)


def _web_page(
    method: bytes, target: Target, headers: Headers, route: Route, peer: Peer, settings: Settings
) -> Refusal | bytes | None:
    """Return a refusal, the origin of an allowed page, or None where no page of another origin asks."""
    named, site, origin, purpose, preload, accept = _of_a_web_page(headers)
    authority = named if target.authority is None else target.authority
    host = _Host(None, True) if authority is None else _host(authority)  # HTTP/1.0 may lack a Host
    if not (host.is_known or settings.api_keys or peer.by_unix_socket or _is_listed(host.name, settings)):
        shown = host.name or "the host that the request names"
        return Refusal(421, f"this proxy is not {shown}; use localhost, or list the name under 'allowed-hosts:'")
    at_home = host.name == OWN_HOST
    if at_home and isinstance(route, (*_MODELS, Management)):
        return Refusal(421, f"{OWN_HOST} has ampmap's own pages only, under /_ampmap/; use localhost for all else")
    is_own = origin is not None and origin.lower() in (f"http://{authority}".lower(), f"https://{authority}".lower())
    if is_own:
        origin = None
    not_here = isinstance(route, Admin) and not at_home
    if origin is not None and origin != "null" and origin in settings.allowed_origins:  # "null" is anyone's sandbox
        allowed = origin.encode("latin-1")
        return Refusal(403, _only_at_home(authority), origin=allowed) if not_here else allowed
    if "prefetch" in (purpose or ""):
        # Any page can have any address fetched ahead, and Chromium says of that what it says of a typed one: "none".
        return Refusal(403, "prefetch requests are refused: any web page can cause them; open the address itself")
    if origin is None and site in (None, "none", "same-origin"):
        if method == b"OPTIONS":
            return Refusal(403, "OPTIONS is answered for web pages alone whose origin is under 'allowed-origins:'")
        if not_here and (is_own or site is not None):
            return Refusal(403, _only_at_home(authority))
        # A service worker reads what its navigation preload brings, which goes out as "none".
        if isinstance(route, _MODELS) and (is_own or site == "same-origin" or preload is not None):
            return Refusal(403, "web pages under this proxy's own address may not use models: Amp's pages are there")
        is_unsaid = site is None and isinstance(route, Management) and not host.is_loopback
        if is_unsaid and "text/html" in (accept or ""):
            return Refusal(403, "browsers do not say which page asks under this name; use localhost for Amp's pages")
        return None
    if origin is None and isinstance(route, Management) and _navigates(method, headers):
        return None
    return Refusal(403, "web pages of other origins may not use this proxy; list yours under 'allowed-origins:'")


@once_a_section
def _of_a_web_page(headers: Headers) -> tuple[str | None, ...]:
    return tuple([_combined(headers, name) for name in _FIELDS])


def _only_at_home(authority: str | None) -> str:
    port = (authority or "").rpartition(":")[2]
    where = f"{OWN_HOST}:{port}" if port.isdigit() else OWN_HOST
    return f"browsers find ampmap's own pages under http://{where}/_ampmap/ only: Amp's pages have this address, too"


def _navigates(method: bytes, headers: Headers) -> bool:
    """Tell whether a browser goes to a page as a whole: not within a frame, where another page would lie around it."""
    mode, destination = _combined(headers, b"sec-fetch-mode"), _combined(headers, b"sec-fetch-dest")
    return method == b"GET" and mode == "navigate" and destination in (None, "document")


def _combined(headers: Headers, name: bytes) -> str | None:
    """Return the value of a field; where it comes more than once, one that fits nothing (RFC 9110 §5.3)."""
    found = values(headers, name)
    return b", ".join(found).decode("latin-1") if found else None


def _is_listed(host: str | None, settings: Settings) -> bool:
    """Tell whether ``host`` is in ``allowed-hosts``, or a name that the proxy listens on."""
    if host is None or is_address(host):
        return False
    names = [*settings.allowed_hosts, *(at.host for at in settings.listen if isinstance(at, TcpListen))]
    return host.removesuffix(".") in [name.lower().removesuffix(".") for name in names]


class _Host(NamedTuple):
    """The host in an authority, and what is known of it.

    No DNS server can make ``is_known`` hosts lead here: addresses and loopback names. Browsers trust ``is_loopback``
    ones: requests to them say which page asks.
    """

    name: str | None
    is_known: bool = False
    is_loopback: bool = False


def _host(authority: str) -> _Host:
    return (_recalled_host if len(authority) <= _RECALLED_CHARS else _parsed_host)(authority)


def _parsed_host(authority: str) -> _Host:
    host = host_of(authority)
    if host is None:
        return _Host(None)
    if not is_address(host):
        return _Host(host, is_loopback(host), is_loopback(host))
    address = ipaddress.ip_address(host)
    # These lead to loopback, too, but browsers do not trust them.
    if address.is_unspecified or getattr(address, "ipv4_mapped", None) is not None:
        return _Host(host)
    return _Host(host, True, is_loopback(host))


_RECALLED_CHARS = 256
_recalled_host = lru_cache(maxsize=64)(_parsed_host)  # agents name the same one in every request
