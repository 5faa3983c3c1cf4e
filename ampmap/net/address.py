"""Split and check hosts, ports, base URLs and addresses to listen on.

``config.reader`` calls it for what a user wrote, ``http``, ``routing`` and ``access`` for names and addresses in
requests. Pure: no name is looked up. Functions raise ``ValueError`` with a sentence for the user that does not show the
text: a URL may hold a secret.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Literal

from ..settings import Listen, Origin, TcpListen, UnixListen

MAX_SOCKET_PATH_BYTES = 103  # sun_path: 108 on Linux, 104 on macOS and the BSDs, with the final NUL

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")  # RFC 1123 §2.1, and "_" as container names have it
_AUTHORITY = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+))(?::([0-9]{0,5}))?")
_LIKE_IPV6 = re.compile(r"\[?[0-9A-Fa-f:.]+")
_URL_PATH = re.compile(r"(/([A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*)*")  # RFC 3986 §3.3


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can be ``host``: 127/8, ::1, either as IPv4 in IPv6, ``localhost`` and below.

    An address with a zone belongs to an interface. Source for the names: RFC 6761 §6.3.
    """
    try:
        address = ipaddress.ip_address(host.removesuffix("."))
    except ValueError:
        name = host.lower().removesuffix(".")
        return name == "localhost" or (name.endswith(".localhost") and _is_name(name))
    # RFC 4291 §2.5.5.2: how a dual-stack socket shows a peer.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback and "%" not in host


def host_of(authority: str) -> str | None:
    """Return the host of ``host[:port]``, in lower case and without brackets; None where that is no authority.

    A user name, an IPv6 address without brackets or with a zone, and a name that no DNS could hold are none. Source:
    RFC 3986 §3.2.
    """
    match = _AUTHORITY.fullmatch(authority)
    if not match or "%" in authority:
        return None
    host = (match[1] or match[2]).lower()
    return host if is_host(host) and (":" in host) == bool(match[1]) else None


def is_host(host: str) -> bool:
    """Tell whether ``host`` is a literal address, or a name that cannot be mistaken for one."""
    return is_address(host) or _is_name(host)


def is_address(host: str) -> bool:
    """Tell whether ``host`` is a literal address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def split_url(text: str) -> tuple[Origin, str]:
    """Return the origin and path of a base URL. Errors: ValueError, in words for the user, without the URL in them."""
    if not _VISIBLE.fullmatch(text):
        raise ValueError("a URL has visible ASCII characters only")
    scheme: Literal["http", "https"] = "https" if text[:5].lower() == "https" else "http"
    if text[: len(scheme) + 3].lower() != scheme + "://":
        raise ValueError("a base URL begins with http:// or https://")
    if "?" in text or "#" in text:
        raise ValueError("a base URL has no query and no fragment")
    authority, slash, rest = text[len(scheme) + 3 :].partition("/")
    path = (slash + rest).rstrip("/")
    if "@" in authority:
        raise ValueError("a base URL has no user name and no password")
    if not _URL_PATH.fullmatch(path) or {".", ".."} & set(path.lower().replace("%2e", ".").split("/")):
        raise ValueError("the URL's path has characters or segments that a path cannot have")
    match = _AUTHORITY.fullmatch(authority)
    host = (match[1] or match[2]).lower() if match else ""
    port = int(match[3]) if match and match[3] else 443 if scheme == "https" else 80
    if not match or not is_host(host) or (":" in host) != bool(match[1]) or "%" in host or not 0 < port <= 65_535:
        raise ValueError("the URL's host or port is not valid")
    return Origin(scheme, str(ipaddress.ip_address(host)) if match[1] else host, port), path


def split_listen(text: str) -> Listen:
    """Return the address that ``text`` names. Errors: ValueError, in words for the user."""
    if text.startswith("unix:"):
        path = text[5:]
        if not path.startswith("/") or _CONTROL.search(path) or len(path.encode()) > MAX_SOCKET_PATH_BYTES:
            raise ValueError(f"write unix:/PATH, at most {MAX_SOCKET_PATH_BYTES} bytes of it")
        return UnixListen(path=path)
    host, _, port = text.rpartition(":")
    shown = port if port.isascii() and port.isdigit() and len(port) <= 5 else "8267"
    if not host:
        if text == port and is_host(text):
            raise ValueError(f"an address needs a port; write {text}:8267")
        raise ValueError(f"a port needs a host; write 127.0.0.1:{shown}, or 0.0.0.0:{shown} for every interface")
    if ":" in host and not host.endswith("]") and _LIKE_IPV6.fullmatch(host):
        raise ValueError("an IPv6 address needs brackets, a port and quotes; write '[::1]:8267'")
    is_bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if is_bracketed else host
    if not is_host(bare) or (":" in bare) != is_bracketed:
        raise ValueError("not an address to listen on; write 127.0.0.1:8267, '[::1]:8267' or unix:/run/ampmap.sock")
    if shown != port or int(port) > 65_535:
        raise ValueError("expected a port from 0 to 65535 after the last ':'")
    return TcpListen(host=bare, port=int(port))
