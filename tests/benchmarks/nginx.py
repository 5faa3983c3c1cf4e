"""nginx: as a plain reverse proxy, and with Lua that renames the model in both directions.

The Lua is as quick as such a thing can be: it replaces the first ``"model":"…"`` in the request's bytes wherever that
stands, and the served name wherever a piece of the reply has it whole. It parses nothing.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import bodies
from .machine import Process, start
from .proxies import Proxy

START_S = 120.0  # the slowest of the peers needs half a minute
MODULES = Path("/usr/lib/nginx/modules")
_WANTED = ("ndk_http_module.so", "ngx_http_lua_module.so")

_CONFIG = """\
{modules}
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 65536;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
events {{ worker_connections 16384; }}
http {{
  access_log {directory}/access.log;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  client_max_body_size 64m;
  client_body_buffer_size 64m;
  keepalive_requests 1000000;
  upstream bench {{ server 127.0.0.1:{port}; keepalive 4096; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{own} backlog=4096;
    location / {{
      proxy_pass http://bench;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering {buffering};
      proxy_read_timeout 600s;
      {lua}
    }}
    location = /health {{ return 200; }}
  }}
}}
"""
_LUA = """\
access_by_lua_block {
        ngx.req.read_body()
        local body = ngx.req.get_body_data()
        local at = body and body:find('"model"', 1, true)
        if at then
          local _, quote = body:find('^%s*:%s*"', at + 7)
          local close = quote and body:find('"', quote + 1, true)
          if close and body:sub(quote + 1, close - 1) == "ASKED" then
            ngx.req.set_body_data(body:sub(1, quote) .. "SERVED" .. body:sub(close))
          end
        end
      }
      header_filter_by_lua_block { ngx.header.content_length = nil }
      body_filter_by_lua_block {
        local piece = ngx.arg[1]
        if piece and piece:find('"SERVED"', 1, true) then
          ngx.arg[1] = ngx.re.gsub(piece, '"SERVED"', '"ASKED"', "jo")
        end
      }"""


def missing(*, lua: bool = False) -> str:
    """Say what this machine lacks for nginx; nothing when it is all there."""
    if shutil.which("nginx") is None:
        return "nginx is not here (Debian: nginx-light)"
    if lua and not all((MODULES / name).exists() for name in _WANTED):
        return "nginx's Lua module is not here (Debian: libnginx-mod-http-lua)"
    return ""


@contextmanager
def nginx(which: frozenset[int], directory: Path, port: int, *, lua: bool = False) -> Iterator[Proxy]:
    """Run nginx with one worker; with ``lua`` it renames."""
    home = directory / ("nginx-lua" if lua else "nginx")
    home.mkdir(exist_ok=True)
    own = free_port()
    config = home / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            directory=home,
            port=port,
            own=own,
            user="user root;" if os.geteuid() == 0 else "",
            modules="\n".join(f"load_module {MODULES / name};" for name in _WANTED) if lua else "",
            lua=_LUA.replace("ASKED", bodies.ASKED).replace("SERVED", bodies.SERVED) if lua else "",
            buffering="on" if lua else "off",
        )
    )
    process = start(["nginx", "-c", str(config), "-p", str(home)], which, home / "output.log")
    try:
        wait_listening(own, process)
        while len(process.pids) < 2:  # the master listens before it has a worker
            process.with_children()
        yield Proxy(own, process)
    finally:
        process.stop()


def free_port() -> int:
    """Return a port that nobody listens at just now, and that the system gives to nobody who asks for any port."""
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("none of 100 ports is free")


def wait_listening(port: int, process: Process) -> None:
    """Wait until a process accepts connections at this port."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.popen.poll() is None:
        with socket.socket() as sock:
            sock.settimeout(1.0)
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError(f"a proxy did not start: {process.log.read_text()[-2000:]}")
