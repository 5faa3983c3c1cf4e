"""Pictures of the live page while real agents work: ``python -m e2e.live_page FOLDER``; ``make live-pictures``.

In a network namespace that has loopback alone, Claude Code, Codex, Gemini CLI and OpenCode ask ampmap, before strict
providers of which one never ends a stream and one is down; a headless Chromium looks on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import anyio
from browser import chromium

from .agent_run import AS_ENV_SAYS, KEY
from .agents import AGENTS, put_on_path
from .inside import ampmap, loopback_up
from .pictures import draw
from .provider import NO_FAULTS, Faults, providing

_URL = "http://127.0.0.1:8267"
_PAGE = "http://ampmap.localhost:8267/_ampmap/"
_AGENTS = ("codex", "gemini", "opencode", "claude")
_CONFIG = """\
listen: 127.0.0.1:8267
amp-upstream-url: ''
log: {format: json}
amp-model-mappings:
  - {from: 'claude-*haiku*', to: 'qwen3-coder:30b'}
  - {from: 'claude-fable*', to: 'gpt-oss:120b'}
  - {from: 'claude-opus-*', to: claude-sonnet-4-6}
  - {from: 'gpt-*', to: 'qwen3-coder:30b'}
  - {from: 'gemini-*', to: claude-sonnet-4-6}
providers:
"""
_PROVIDER = "  - {{name: {}, base-url: '{}', protocols: [{}], auth: bearer, api-key: {}, models: ['{}']}}\n"
_PICTURES = (("live-page", 1440, 1000, "light", 1), ("live-page-dark", 360, 800, "dark", 2))


def _inside(folder: Path, commands: dict[str, tuple[str, ...]]) -> None:
    loopback_up()
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ampmap-e2e-", ignore_cleanup_errors=True)))
        messages = stack.enter_context(providing("anthropic", KEY, "claude-sonnet-4-6", NO_FAULTS))
        chat = stack.enter_context(providing("openai-chat", KEY, "qwen3-coder:30b", NO_FAULTS))
        endless = stack.enter_context(providing("openai-chat", KEY, "gpt-oss:120b", Faults(endless=True)))
        config = home / "config.yaml"
        config.write_text(
            _CONFIG
            + _PROVIDER.format("anthropic", messages.url, "anthropic", KEY, messages.model)
            + _PROVIDER.format("ollama", chat.url, "openai-chat", KEY, chat.model)
            + _PROVIDER.format("lab", endless.url, "openai-chat", KEY, endless.model)
            + _PROVIDER.format("attic", "http://127.0.0.1:9", "openai-chat", KEY, "glm-5")
        )
        for name in ("bin", "work", "tmp"):
            (home / name).mkdir()
        for name, command in commands.items():
            put_on_path(home / "bin", name, command)
        stack.enter_context(ampmap(config, home / "ampmap.log", home))
        for model in ("kimi-k2", *["glm-5"] * 6):
            _ask(model)
        for agent in ("codex", "gemini", "opencode"):
            _start(agent, home, config).wait(90)
        late = [_start("claude", home, config, "--model", "claude-fable-5") for _ in range(2)]
        try:
            _ask("glm-5")
            _start("claude", home, config).wait(90)
            profile = Path(stack.enter_context(tempfile.TemporaryDirectory()), "profile")
            anyio.run(_pictures, stack.enter_context(chromium.launched(profile)), folder)
        finally:
            for process in late:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _ask(model: str) -> None:
    """Ask for a model that cannot be served."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]}).encode()
    asked = urllib.request.Request(f"{_URL}/v1/chat/completions", body, {"Content-Type": "application/json"})
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(asked, timeout=10).close()


def _start(name: str, home: Path, config: Path, *arguments: str) -> subprocess.Popen[bytes]:
    agent = AGENTS[name]
    env = {
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "HOME": str(home), "TERM": "dumb", "SHELL": "/bin/sh",
        "TMPDIR": str(home / "tmp"), **agent.env,
    }  # fmt: skip
    given = [*agent.arguments, *arguments, "say hello", *agent.after]
    return subprocess.Popen(
        ["sh", "-c", AS_ENV_SAYS, "sh", sys.executable, str(config), name, *given], cwd=home / "work", env=env,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


async def _pictures(devtools: str, folder: Path) -> None:
    async with chromium.connected(devtools) as browser:
        for name, width, height, scheme, scale in _PICTURES:
            async with browser.page() as tab:
                await tab.looks(width, height, scheme, still=True, scale=scale)
                await tab.go(_PAGE)
                await tab.until("document.querySelectorAll('#streams tr').length === 2")
                await tab.picture(folder / f"{name}.webp")


if __name__ == "__main__":
    draw("e2e.live_page", _AGENTS, _inside)
