"""Connect to upstreams: TCP with happy eyeballs, proxies of the environment, TLS with verification.

``pool`` is the caller. One deadline covers name look-up, connect, proxy and handshake together. Every failure becomes
:class:`DialFailed` with a short reason, and leaves no socket behind. The only module that imports ssl.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import ipaddress
import logging
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote, urlsplit

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from ..errors import DialFailed, NoFiles, UpstreamProtocolError
from ..files import NotRegular, require_regular
from ..net.address import is_loopback
from ..net.lookup import LookUps, shortage
from ..net.stream import Stream
from ..settings import Hop, Limits, Origin
from ..threads import Overdue, run_within
from .parser import ResponseParser

_log = logging.getLogger("ampmap.upstream")

_HAPPY_EYEBALLS_S = 0.25  # RFC 8305 §5
_AUTHORITIES = "ca-file, SSL_CERT_FILE"
_AUTHORITIES_S = 5.0
_NO_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy of the environment; ``authorization`` is a whole field value, empty without user and password."""

    origin: Origin
    authorization: bytes = b""

    def __repr__(self) -> str:
        return f"Proxy({self.origin})"


class Dialer:
    """Dials upstreams. ``env`` decides which go through a proxy; TLS contexts are made once for each CA file."""

    def __init__(self, env: Mapping[str, str], limits: Limits, connect_s: float) -> None:
        self._proxies = _proxies(env)
        self._no_proxy = {"no": env.get("no_proxy") or env.get("NO_PROXY") or ""}
        self._no_proxy_networks = _networks(self._no_proxy["no"])
        self._no_proxy_globs = _globs(self._no_proxy["no"])
        self._limits = limits
        self.connect_s = connect_s
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._look_ups = LookUps()
        self._late: dict[str, threading.Event] = {}  # set once the overdue reading of a file of authorities ends

    def forget(self) -> None:
        """Read the files of authorities anew for the next connection."""
        self._contexts.clear()

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """Return the proxy for ``origin``; never one for this machine itself, as in Go's and other clients."""
        proxy = self._proxies.get(origin.scheme)
        if proxy is None or is_loopback(origin.host):
            return None
        # Imported where a proxy is configured: it brings http.client and email along, a tenth of the time of a start.
        from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed leaves it out

        name = f"{origin.host}:{origin.port}"
        bypass = proxy_bypass_environment(name, self._no_proxy) or self._in_no_proxy_network(origin.host)
        bypass = bypass or any(glob.fullmatch(origin.host) or glob.fullmatch(name) for glob in self._no_proxy_globs)
        return None if bypass else proxy

    def _in_no_proxy_network(self, host: str) -> bool:
        """Tell whether ``host`` is an address in one of the networks that ``NO_PROXY`` names, as in Go and curl."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._no_proxy_networks)

    def addressed(self, origin: Origin) -> Callable[[bytes], bytes] | None:
        """Return what remakes a head for ``origin`` where connections to it lead to a proxy that reads requests.

        That proxy is told the whole URL (RFC 9112 §3.2.2). For https there is a tunnel, and nothing to remake.
        """
        proxy = self.proxy_for(origin) if origin.scheme == "http" else None
        return None if proxy is None else partial(_absolute, origin, proxy)

    async def dial(self, hop: Hop) -> tuple[ByteStream, Stream]:
        """Return a byte stream to ``hop`` and the socket's stream below it (the same one without TLS).

        Raises :class:`DialFailed` for a name that has no address, a refused or late connection, a certificate that does
        not prove the host. Cancelling leaves nothing open.
        """
        raw: Stream | None = None
        proxy = self.proxy_for(hop.origin)
        via = proxy.origin if proxy else hop.origin
        own: BaseException | None = None  # a want of this machine's, in which the upstream has no part
        try:
            with anyio.fail_after(self.connect_s):
                raw = await _connect(await self._look_ups.addresses(via.host), via.port)
                if hop.origin.scheme == "http":
                    return raw, raw
                if proxy is not None:
                    await self._tunnel(raw, hop.origin, proxy)
                context = await self._context(hop.ca_file)
                tls = await TLSStream.wrap(
                    raw, server_side=False, hostname=hop.origin.host, ssl_context=context, standard_compatible=True
                )
                return tls, raw
        except TimeoutError:
            within = f"{self.connect_s:g} s (timeouts.connect-s)"
            reason = f"timed out: no connection within {within}"
            if raw is None and self._look_ups.is_running(via.host):
                reason = f"timed out: no name server has answered for {via.host} within {within}"
        except ssl.SSLCertVerificationError as exc:
            own = shortage()
            reason = f"its certificate is not trusted ({exc.verify_message})"
            self._contexts.pop(hop.ca_file, None)  # OpenSSL says nothing of a system's authorities it can't read
        except ssl.SSLError as exc:
            reason = f"no agreement on TLS ({exc.reason or 'handshake failed'})"
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as exc:
            cause = exc.__cause__
            reason = "it closed the connection before it was ready"
            if isinstance(cause, ssl.SSLError):
                reason = f"no agreement on TLS ({cause.reason or 'handshake failed'})"
        except UpstreamProtocolError as exc:
            reason = str(exc)
        except socket.gaierror as exc:
            reason = f"its name has no address ({exc.strerror})"
        except Overdue:
            reason = f"its authorities' certificates ({_AUTHORITIES}) were not read within {_AUTHORITIES_S:g} s"
        except NotRegular as exc:
            reason = f"its authorities' certificates ({_AUTHORITIES}) cannot be read: {exc.strerror}"
        except OSError as exc:
            own = exc if exc.errno in _NO_FILES else None
            reason = os.strerror(exc.errno) if exc.errno else str(exc)  # asyncio's own words hide what went wrong
        except UnicodeError:
            reason = "its name is not one that can be looked up"
        except BaseException as exc:
            if not (isinstance(exc, RuntimeError) and "new thread" in str(exc)):
                if raw is not None:
                    raw.abort()
                raise
            own, reason = exc, "no thread is left to look its name up or to read certificates"
        if raw is not None:
            raw.abort()
        if own is not None:
            reason = os.strerror(own.errno) if isinstance(own, OSError) and own.errno else reason
            raise NoFiles(f"ampmap can open no connection to {hop.origin}: {reason}") from own
        through = f" through the proxy {proxy.origin}" if proxy else ""
        raise DialFailed(f"cannot connect to {hop.origin}{through}: {reason}")

    async def _tunnel(self, raw: Stream, origin: Origin, proxy: Proxy) -> None:
        """Ask the proxy for a tunnel. Source: RFC 9110 §9.3.6."""
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        authority = f"{host}:{origin.port}".encode("ascii")
        lines = b"Host: %b\r\n" % authority
        if proxy.authorization:
            lines += b"Proxy-Authorization: %b\r\n" % proxy.authorization
        await raw.send(b"CONNECT %b HTTP/1.1\r\n%b\r\n" % (authority, lines))
        parser = ResponseParser(self._limits, b"HEAD")  # a 2xx to CONNECT has no body whatever its fields say
        while (found := parser.head()) is None or found[0].status < 200:
            if found is None:
                parser.feed(await raw.receive())
        if not 200 <= found[0].status < 300:
            raise UpstreamProtocolError(f"the proxy refuses the tunnel with status {found[0].status}")
        if parser.rest():
            raise UpstreamProtocolError("the proxy sent bytes of its own into the tunnel")

    async def _context(self, ca_file: str) -> ssl.SSLContext:
        context = self._contexts.get(ca_file)
        if context is None:
            # Reading the system's certificates takes tens of milliseconds: not on the loop.
            late = self._late.get(ca_file)
            if late is not None and not late.is_set():
                raise Overdue  # a thread still waits for this file: start no second one
            ended = threading.Event()

            def make() -> ssl.SSLContext:
                try:
                    return _make_context(ca_file)
                finally:
                    ended.set()

            try:
                context = await run_within(_AUTHORITIES_S, make)
            except Overdue:
                self._late[ca_file] = ended
                raise
            self._contexts[ca_file] = context
        return context


def _make_context(ca_file: str) -> ssl.SSLContext:
    """Return a context that verifies as a browser would; ``ca_file`` adds to the system's authorities."""
    for file in filter(None, (os.environ.get("SSL_CERT_FILE"), ca_file)):
        require_regular(file)  # OpenSSL would wait for a pipe's writer
    context = ssl.create_default_context()
    if own := shortage():  # OpenSSL says nothing of a file of the system's authorities that it can't open
        raise own
    if ca_file:
        context.load_verify_locations(ca_file)
        # Set by Python 3.13: private authorities often lack an authority key identifier (RFC 5280 §4.2.1.1).
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["http/1.1"])  # RFC 7301 §3.1; "h2" would be taken at its word
    # RFC 9112 §9.8: else a cut reply looks like a whole one.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


async def _connect(addresses: list[str], port: int) -> Stream:
    """Connect to the first of the addresses that answers. Source: RFC 8305 §5.

    Not asyncio's own race: cancelled in the moment in which one address answers, that forgets the open socket.
    """
    loop = asyncio.get_running_loop()
    if len(addresses) == 1:
        _, stream = await loop.create_connection(Stream, addresses[0], port)
        return stream
    won: list[Stream] = []
    failures: list[str] = []
    shortages: list[OSError] = []

    async def attempt(address: str, failed: anyio.Event) -> None:
        try:
            _, stream = await loop.create_connection(Stream, address, port)
        except OSError as exc:
            if exc.errno in _NO_FILES:
                shortages.append(exc)
            failures.append(f"{address}: {os.strerror(exc.errno) if exc.errno else exc}")
            failed.set()
            return
        won.append(stream)
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for address in addresses:
                failed = anyio.Event()
                group.start_soon(attempt, address, failed)
                with anyio.move_on_after(_HAPPY_EYEBALLS_S):
                    await failed.wait()
    except BaseException:
        for stream in won:
            stream.abort()
        raise
    for late in won[1:]:
        late.abort()
    if won:
        return won[0]
    raise shortages[0] if shortages else OSError("; ".join(failures))


def _absolute(origin: Origin, proxy: Proxy, head: bytes) -> bytes:
    """Return ``head``, and what follows it, with the whole URL as its target and the proxy's own credential."""
    line, _, rest = head.partition(b"\r\n")
    method, _, target = line.partition(b" ")
    login = b"Proxy-Authorization: %b\r\n" % proxy.authorization if proxy.authorization else b""
    return b"%b http://%b%b\r\n%b%b" % (method, origin.authority.encode("ascii"), target, login, rest)


def _proxies(env: Mapping[str, str]) -> dict[str, Proxy]:
    found = {}
    for scheme in ("http", "https"):
        name = f"{scheme}_proxy"
        url = env.get(name) or env.get(name.upper()) or env.get("all_proxy") or env.get("ALL_PROXY")
        if url and (proxy := _proxy(url)):
            found[scheme] = proxy
    return found


def _proxy(url: str) -> Proxy | None:
    """Return the proxy that a variable names; None, with a warning that does not show it, for one of another kind."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme == "http" and parts.hostname:
            login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
            basic = b"Basic " + base64.b64encode(login) if parts.username else b""
            return Proxy(Origin("http", parts.hostname, parts.port or 80), basic)
    except ValueError:
        pass
    _log.warning("a proxy of the environment is not used: only http://[USER:PASSWORD@]HOST[:PORT] is understood")
    return None


def _networks(no_proxy: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for part in no_proxy.split(","):
        with suppress(ValueError):
            found.append(ipaddress.ip_network(part.strip(), strict=False))
    return found


def _globs(no_proxy: str) -> list[re.Pattern[str]]:
    """Return the entries with a ``*``; one of digits and dots, ``192.0.2.*``, is for addresses alone."""
    found = []
    for part in no_proxy.split(","):
        if "*" in (entry := part.strip()):
            any_text = "[0-9.]*" if not entry.strip("0123456789.*") else ".*"
            found.append(re.compile(re.escape(entry).replace(r"\*", any_text), re.IGNORECASE))
    return found
