"""Other proxies, each set up by name in a folder of its own under the user's cache directory, and only when asked for.

All are told to give the model that the client asks for another name; those that translate have a chat server behind
them. They run as their makers' guides say, at the versions below.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import bodies
from .machine import start
from .nginx import free_port, wait_listening
from .proxies import Proxy


@dataclass(frozen=True, slots=True)
class Peer:
    """How a proxy is installed, and what it can take part in."""

    requirement: str  # for npm where it begins with @, or else for pip
    fewer: int  # it gets one request for so many of the others'
    chat: bool = True  # it serves clients of OpenAI's chat
    translates: bool = True  # it serves clients of Messages from a chat server
    gives_back: bool = True  # replies name the model as the client did


KNOWN = {
    "mitmproxy": Peer("mitmproxy==11.0.2", fewer=20, translates=False),
    # The newest whose proxy can be installed: litellm-proxy, which later ones want, is not at PyPI.
    "litellm": Peer("litellm[proxy]==1.108.7", fewer=10),
    # The newest that takes Node 20 and a config.json.
    "claude-code-router": Peer("@musistudio/claude-code-router@2.0.0", fewer=4, chat=False, gives_back=False),
    "switchyard": Peer("nemo-switchyard==0.3.0", fewer=1, gives_back=False),
}

_ADDON = '''\
"""Gives the model another name on the way there, and its own on the way back."""

import json


def request(flow):
    body = json.loads(flow.request.content)
    if body.get("model") == "ASKED":
        body["model"] = "SERVED"
        flow.request.content = json.dumps(body).encode()


def responseheaders(flow):
    if "text/event-stream" in flow.response.headers.get("content-type", ""):
        flow.response.stream = lambda data: data.replace(b'"SERVED"', b'"ASKED"')


def response(flow):
    if flow.response.content:
        flow.response.content = flow.response.content.replace(b'"SERVED"', b'"ASKED"')
'''
_LITELLM = """\
model_list:
  - model_name: ASKED
    litellm_params: {model: openai/SERVED, api_base: "http://127.0.0.1:PORT/v1", api_key: sk-provider}
"""
_SWITCHYARD = """\
schema_version = 1

[llm_clients.bench]
format = "openai_chat"
base_url = "http://127.0.0.1:PORT/v1"
api_key_env = "BENCH_KEY"

[targets.served]
id = "SERVED"
llm_client = "bench"

[routes.asked]
id = "ASKED"
type = "passthrough"
target = "served"
"""
_SWITCHYARD_HOST = """\
import signal, sys
from switchyard_rust.server import Server

with Server(sys.argv[1], int(sys.argv[2])):
    signal.pause()
"""
_CCR = """\
{
  "HOST": "127.0.0.1",
  "LOG": false,
  "NON_INTERACTIVE_MODE": true,
  "Providers": [
    {
      "name": "bench",
      "api_base_url": "http://127.0.0.1:PORT/v1/chat/completions",
      "api_key": "sk-provider",
      "models": ["SERVED"]
    }
  ],
  "Router": {"default": "bench,SERVED"}
}
"""


def home(name: str) -> Path:
    """Return where a peer is installed."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "ampmap-bench" / name


def missing(name: str) -> str:
    """Install a peer if this version of it is not there; say what is wrong if that can't be done."""
    if name not in KNOWN:
        return f"{name} is no peer that the bench knows; it knows {', '.join(KNOWN)}"
    place, wanted = home(name), KNOWN[name].requirement
    stamp = place / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    place.mkdir(parents=True, exist_ok=True)
    try:
        if wanted.startswith("@"):
            npm = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(place)]
            subprocess.run([*npm, wanted], check=True, timeout=900)
        else:
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
            pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, wanted], check=True, timeout=900)
    except (OSError, subprocess.SubprocessError) as exc:
        return f"{name} can't be installed: {exc}"
    stamp.write_text(wanted)
    return ""


@contextmanager
def running(name: str, which: frozenset[int], directory: Path, port: int) -> Iterator[Proxy]:
    """Run a peer that renames as the others do."""
    own = free_port()
    place = directory / name
    place.mkdir(exist_ok=True)
    env = {
        "HOME": str(place),
        "PYTHONPATH": "",
        "BENCH_KEY": "sk-provider",
        "SERVICE_PORT": str(own),  # claude-code-router's
        "LITELLM_MASTER_KEY": bodies.CLIENT_KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        # It would ask OpenAI's providers for Responses.
        "LITELLM_USE_CHAT_COMPLETIONS_URL_FOR_ANTHROPIC_MESSAGES": "True",
    }
    process = start(_command(name, place, port, own), which, place / "output.log", env)
    try:
        wait_listening(own, process)
        process.with_children()
        yield Proxy(own, process)
    finally:
        process.stop()


def _command(name: str, place: Path, port: int, own: int) -> list[str]:
    """Write a peer's configuration into ``place`` and return how it is run."""

    def written(file: str, text: str) -> str:
        text = text.replace("ASKED", bodies.ASKED).replace("SERVED", bodies.SERVED).replace("PORT", str(port))
        (place / file).parent.mkdir(exist_ok=True)
        (place / file).write_text(text)
        return str(place / file)

    programs = home(name) / "bin"
    if name == "mitmproxy":
        command = [str(programs / "mitmdump"), "--mode", f"reverse:http://127.0.0.1:{port}"]
        command += ["--listen-host", "127.0.0.1", "--listen-port", str(own), "-s", written("addon.py", _ADDON)]
        return [*command, "--set", f"confdir={place}", "--set", "flow_detail=1"]
    if name == "litellm":
        command = [str(programs / "litellm"), "--config", written("litellm.yaml", _LITELLM)]
        return [*command, "--host", "127.0.0.1", "--port", str(own)]
    if name == "switchyard":
        routes = written("routes.toml", _SWITCHYARD)
        return [str(programs / "python"), "-c", _SWITCHYARD_HOST, routes, str(own)]
    written(".claude-code-router/config.json", _CCR)
    return [str(home(name) / "node_modules/.bin/ccr"), "start"]
