"""A real nginx that reads every request to its end and tells how it read it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ampmap.settings import Origin

PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
MISSING = "there is no nginx here to compare with: apt-get install nginx-light"

# The server within answers: only a request that is passed on has its body read, kept and logged.
_CONFIG = """
daemon off; master_process off; pid {place}/pid; error_log {place}/error.log info; worker_rlimit_nofile 1024;
events {{ worker_connections 512; }}
http {{
  client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c; uwsgi_temp_path {place}/d;
  scgi_temp_path {place}/e; client_body_buffer_size 1m; client_body_in_single_buffer on; client_max_body_size 0;
  large_client_header_buffers 4 128k; underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;
  log_format read escape=json '{{"connection": "$connection", "line": "$request", "status": "$status", "body": "$request_body"}}';
  access_log off;
  server {{ listen 127.0.0.1:{port} reuseport; access_log {place}/read.log read; location / {{ proxy_pass http://unix:{place}/s:; }} }}
  server {{ listen unix:{place}/s; location / {{ return 200 "read"; }} }}
}}
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class Read:
    """One request as nginx read it."""

    connection: int
    method: bytes
    target: bytes
    body: bytes
    status: int


class Nginx:
    """A running nginx."""

    def __init__(self, origin: Origin, place: Path) -> None:
        self.origin = origin
        self._place = place
        self._marks = 0
        self._seen = 0
        self._complained = 0

    def read(self) -> tuple[list[Read], list[str]]:
        """Return what was read since the last call, in order, and what nginx found wrong with it.

        It logs a request in the turn in which it answers it; a request of ours marks the end.
        """
        self._marks += 1
        mark = f"/mark-{self._marks}"
        with socket.create_connection((self.origin.host, self.origin.port), timeout=10) as sock:
            sock.sendall(f"GET {mark} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            while sock.recv(4096):
                pass
        lines = (self._place / "read.log").read_bytes().splitlines()
        assert mark.encode() in lines[-1] or any(mark.encode() in line for line in lines[self._seen :])
        fresh, self._seen = lines[self._seen :], len(lines)
        errors = (self._place / "error.log").read_text(errors="replace").splitlines()
        complaints = [line for line in errors[self._complained :] if "client sent" in line]
        self._complained = len(errors)
        return [found for line in fresh if not (found := _read(line)).target.startswith(b"/mark-")], complaints


def _read(line: bytes) -> Read:
    fields = {name: value.encode("latin-1") for name, value in json.loads(line.decode("latin-1")).items()}
    method, _, rest = fields["line"].partition(b" ")
    return Read(int(fields["connection"]), method, rest.rpartition(b" ")[0], fields["body"], int(fields["status"]))


@contextmanager
def running_nginx(place: Path) -> Iterator[Nginx]:
    """Run nginx in ``place``. Its port is held by a socket that never listens, so that nobody else can get it."""
    assert PROGRAM is not None
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        origin = Origin("http", "127.0.0.1", held.getsockname()[1])
        (place / "nginx.conf").write_text(_CONFIG.format(place=place, port=origin.port))
        process = subprocess.Popen(
            [PROGRAM, "-p", str(place), "-c", str(place / "nginx.conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait(origin, process, place)
            yield Nginx(origin, place)
        finally:
            process.terminate()
            process.wait(10)


def _wait(origin: Origin, process: subprocess.Popen[bytes], place: Path) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((origin.host, origin.port), timeout=10).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((place / "error.log").read_text()) from None
            time.sleep(0.01)
