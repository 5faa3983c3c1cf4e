"""Find out who listens at an address that ``serve`` wanted: another ampmap, or which process. Blocks."""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from ..escaping import printable
from ..net.listener import CannotListen
from ..settings import Listen, TcpListen

_HEALTHY = "ok"
_ASK_S = 1.0  # a proxy on this machine answers in milliseconds
_ASKED = b"GET /_ampmap/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def reason(exc: OSError) -> str:
    """Say why the proxy cannot start."""
    what = exc.strerror or str(exc)
    if isinstance(exc, CannotListen) and exc.errno == errno.EADDRINUSE:
        return f"{what}: {who_listens(exc.address)}"
    return what


def who_listens(address: Listen) -> str:
    """Say who listens at ``address`` and how to choose another; takes a second at most."""
    if isinstance(address, TcpListen):
        port = address.port + 1 if address.port < 65535 else 8267
        advice = f"choose another port by --port {port} or 'listen:'"
    else:
        advice = "choose another path under 'listen:'"
    if (ask_health(address) or [""])[0] == _HEALTHY:
        return f"an ampmap listens there already; stop it, or {advice}"
    name = _process(address.port) if isinstance(address, TcpListen) else ""
    return f"{name or 'another program'} listens there; {advice}"


def ask_health(address: Listen) -> list[str] | None:
    """Return the words of the health page, which every ampmap serves to everybody; the first is ``ok``.

    None if nobody listens, an empty list if another program does. Takes two seconds at most, and sends no key.
    """
    end = time.monotonic() + _ASK_S
    reply = b""
    try:
        sock = _connected(address)
    except TimeoutError:
        return []
    except OSError:
        return None
    with suppress(OSError), sock:
        sock.sendall(_ASKED)
        while (left := end - time.monotonic()) > 0 and len(reply) < 4096:
            sock.settimeout(left)
            data = sock.recv(4096)
            if not data:
                break
            reply += data
    head, _, body = reply.partition(b"\r\n\r\n")
    if not (head.startswith(b"HTTP/1.1 200 ") and body.startswith(b"ok\n")):
        return []
    return body.decode("ascii", "replace").split()


def _connected(address: Listen) -> socket.socket:
    if isinstance(address, TcpListen):
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address.host, address.host)
        return socket.create_connection((host, address.port), _ASK_S)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(_ASK_S)
        sock.connect(address.path)
    except BaseException:
        sock.close()
        raise
    return sock


def _process(port: int) -> str:
    """Return the process that listens on a TCP port; empty if Linux does not show it to this user."""
    sockets: set[str] = set()
    for table in ("tcp", "tcp6"):  # proc_pid_net(5)
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        with suppress(OSError):
            if any(os.readlink(file) in sockets for file in (process / "fd").iterdir()):
                return f"{printable((process / 'comm').read_text().strip())} (process {process.name})"
    return ""
