"""A real LiteLLM as ampmap's provider: ``python -m e2e.litellm_run RUN OUTCOME`` within a network namespace.

LiteLLM stands between ampmap, which discovers its models, and strict stand-ins; programs with vendors' SDKs ask ampmap
in each wire format.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .asks import Format
from .inside import ampmap, loopback_up
from .origins import Arrival
from .provider import NO_FAULTS, Provider, providing

PROGRAMS: dict[Format, str] = {
    "anthropic": "anthropic_messages.py", "openai-chat": "openai_chat.py", "openai-responses": "openai_responses.py",
    "gemini": "google_genai.py",
}  # fmt: skip
MASTER_KEY = "sk-key-of-litellm"
KEY = "sk-key-of-the-stand-in"
BY_CHAT, BY_RESPONSES, BY_GEMINI = "litellm-by-chat", "litellm-by-responses", "litellm-by-gemini"

_LITELLM = "http://127.0.0.1:4000"
_SERVED = "served-1"
# hosted_vllm/ is asked in Chat Completions for Messages, too, for which openai/ is asked in Responses. For Gemini it is
# asked with ids of calls that no provider gave out.
_PREFIXES = {BY_CHAT: "hosted_vllm", BY_RESPONSES: "openai", BY_GEMINI: "gemini"}
_MODEL = """\
  - model_name: {name}
    litellm_params: {{model: {prefix}/{served}, api_base: '{url}', api_key: {key}}}
"""
_CONFIG = f"""\
general_settings: {{master_key: {MASTER_KEY}}}
router_settings: {{num_retries: 0, disable_cooldowns: true}}
model_list:
"""
_AMPMAP = f"""\
listen: 127.0.0.1:0
amp-upstream-url: ''
log: {{format: json}}
providers:
  - {{name: gateway, type: litellm, base-url: '{_LITELLM}', api-key: {MASTER_KEY}, models: discover}}
"""
_SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
_RAW: dict[Format, tuple[str, dict[str, Any]]] = {
    "anthropic": ("/v1/messages", {
        "model": BY_CHAT, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "bash", "input_schema": _SCHEMA}]}),
    "openai-chat": ("/v1/chat/completions", {
        "model": BY_CHAT, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": "bash", "parameters": _SCHEMA}}]}),
    "openai-responses": ("/v1/responses", {
        "model": BY_RESPONSES, "input": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "name": "bash", "parameters": _SCHEMA, "strict": False}]}),
    "gemini": (f"/v1beta/models/{BY_GEMINI}:generateContent", {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "tools": [{"functionDeclarations": [{"name": "bash", "parameters": _SCHEMA}]}]}),
}  # fmt: skip


@dataclass(frozen=True)
class LiteLLMRun:
    """What starts LiteLLM's proxy, and how long the run may take."""

    command: tuple[str, ...]
    limit_s: float = 500.0  # its import alone takes a minute on a busy machine


@dataclass(frozen=True)
class Turn:
    """A program's tool turn in one wire format, and a request that the stand-in wants later."""

    status: int | None
    said: str
    seen: list[Arrival]
    complaints: list[str]
    limited: tuple[int, str | None, bytes]  # status, Retry-After, body
    directly: tuple[int, str | None, bytes]  # the same request, asked of LiteLLM itself


@dataclass(frozen=True)
class LiteLLMOutcome:
    """All that was seen: the models that ampmap lists, a turn for each format, ampmap's records."""

    listed: list[str]
    turns: dict[Format, Turn]
    records: list[dict[str, Any]]


def main() -> None:
    """Run what the first file says, write the second one."""
    run: LiteLLMRun = pickle.loads(Path(sys.argv[1]).read_bytes())
    loopback_up()
    Path(sys.argv[2]).write_bytes(pickle.dumps(_run(run)))


def _run(run: LiteLLMRun) -> LiteLLMOutcome:
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ampmap-e2e-", ignore_cleanup_errors=True)))
        chat, responses, gemini = (
            stack.enter_context(providing(wire, KEY, _SERVED, NO_FAULTS))
            for wire in ("openai-chat", "openai-responses", "gemini")
        )
        gemini.key_in = "x-goog-api-key"
        urls = {BY_CHAT: f"{chat.url}/v1", BY_RESPONSES: f"{responses.url}/v1", BY_GEMINI: f"{gemini.url}/v1beta"}
        stack.enter_context(_litellm(run, home, urls))
        providers = {"openai-responses": responses, "gemini": gemini}
        config, log = home / "ampmap.yaml", home / "ampmap.log"
        config.write_text(_AMPMAP)
        url = f"http://127.0.0.1:{stack.enter_context(ampmap(config, log, home))}"
        listed = json.loads(_got(f"{url}/v1/models")[2])
        turns = {wire: _turn(wire, url, home, providers.get(wire, chat)) for wire in PROGRAMS}
        time.sleep(0.2)  # the last records are written when the connections are over
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        records = [record for record in lines if record.get("provider")]
        return LiteLLMOutcome([model["id"] for model in listed["data"]], turns, records)


@contextlib.contextmanager
def _litellm(run: LiteLLMRun, home: Path, urls: dict[str, str]) -> Iterator[None]:
    config, log = home / "litellm.yaml", home / "litellm.log"
    models = [
        _MODEL.format(name=name, prefix=_PREFIXES[name], served=_SERVED, url=url, key=KEY) for name, url in urls.items()
    ]
    config.write_text("".join([_CONFIG, *models]))
    host, _, port = _LITELLM.removeprefix("http://").partition(":")
    command = [*run.command, "--config", str(config), "--host", host, "--port", port, "--telemetry", "False"]
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, env=env)
    try:
        until = time.monotonic() + run.limit_s / 2
        while not _is_up():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"LiteLLM does not come up:\n{log.read_text()[-4000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


def _is_up() -> bool:
    try:
        return _got(f"{_LITELLM}/health/liveliness")[0] == 200
    except OSError:
        return False


def _got(url: str, body: bytes | None = None) -> tuple[int, str | None, bytes]:
    headers = {"Content-Type": "application/json", "anthropic-version": "2023-06-01"}
    if url.startswith(_LITELLM):
        headers["Authorization"] = f"Bearer {MASTER_KEY}"
    asked = urllib.request.Request(url, body, headers)
    try:
        reply = urllib.request.urlopen(asked, timeout=30)
    except urllib.error.HTTPError as exc:
        reply = exc
    with reply:
        return reply.status, reply.headers["Retry-After"], reply.read()


def _turn(wire: Format, url: str, home: Path, provider: Provider) -> Turn:
    path, body = _RAW[wire]
    model = body.get("model", BY_GEMINI)
    env = {
        "PATH": os.environ["PATH"], "HOME": str(home), "ANTHROPIC_BASE_URL": url, "OPENAI_BASE_URL": f"{url}/v1",
        "GOOGLE_GEMINI_BASE_URL": url, "ANTHROPIC_API_KEY": "any", "OPENAI_API_KEY": "any", "GEMINI_API_KEY": "any",
    }  # fmt: skip
    provider.seen.clear()
    provider.complaints.clear()
    script = Path(__file__).parent / "programs" / PROGRAMS[wire]
    done = subprocess.run(
        [sys.executable, str(script), model, "say hello"], env=env, capture_output=True, text=True, timeout=120
    )
    seen = list(provider.seen)
    provider.limited = 2
    limited, directly = (_got(f"{each}{path}", json.dumps(body).encode()) for each in (url, _LITELLM))
    return Turn(done.returncode, done.stdout + done.stderr, seen, list(provider.complaints), limited, directly)


if __name__ == "__main__":
    # Pickles name the module by its import path, not "__main__".
    from e2e import litellm_run

    litellm_run.main()
