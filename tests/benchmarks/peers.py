"""Proxies from PyPI that rename models too, each in an environment of its own under the user's cache directory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import bodies
from .machine import start
from .nginx import free_port, wait_listening
from .proxies import Proxy

KNOWN = {"mitmproxy": ["mitmproxy"], "litellm": ["litellm[proxy]"]}

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


def home(name: str) -> Path:
    """Return where a peer is installed."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "ampmap-bench" / name


def missing(name: str) -> str:
    """Install a peer if it is not there; say what is wrong if that can't be done."""
    if name not in KNOWN:
        return f"{name} is no peer that the bench knows; it knows {', '.join(KNOWN)}"
    stamp = home(name) / ".installed"
    if stamp.exists():
        return ""
    try:
        subprocess.run([sys.executable, "-m", "venv", str(home(name))], check=True)
        pip = [str(home(name) / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *KNOWN[name]], check=True, timeout=900)
    except (OSError, subprocess.SubprocessError) as exc:
        return f"{name} can't be installed: {exc}"
    stamp.touch()
    return ""


@contextmanager
def running(name: str, which: frozenset[int], directory: Path, port: int) -> Iterator[Proxy]:
    """Run a peer that renames as the others do."""
    own = free_port()
    place = directory / name
    place.mkdir(exist_ok=True)
    program = str(home(name) / "bin" / ("mitmdump" if name == "mitmproxy" else "litellm"))

    def written(file: str, text: str) -> str:
        text = text.replace("ASKED", bodies.ASKED).replace("SERVED", bodies.SERVED).replace("PORT", str(port))
        (place / file).write_text(text)
        return str(place / file)

    if name == "mitmproxy":
        command = [program, "--mode", f"reverse:http://127.0.0.1:{port}", "--listen-host", "127.0.0.1"]
        command += ["--listen-port", str(own), "-s", written("addon.py", _ADDON)]
        command += ["--set", f"confdir={place}", "--set", "flow_detail=1"]
    else:
        command = [program, "--config", written("litellm.yaml", _LITELLM), "--host", "127.0.0.1", "--port", str(own)]
    env = {
        "PYTHONPATH": "",
        "LITELLM_MASTER_KEY": bodies.CLIENT_KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
    }
    process = start(command, which, place / "output.log", env)
    try:
        wait_listening(own, process)
        process.with_children()
        yield Proxy(own, process)
    finally:
        process.stop()
