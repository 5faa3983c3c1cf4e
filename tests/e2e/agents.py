"""The coding agents that are run: which package, how a single task is given to each, what it asks in.

How an agent is pointed at ampmap is not here: ``ampmap run`` and ``ampmap env`` say that.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from pathlib import Path

from .asks import Format
from .clients import Lacking, installed, installing, namespace, node, released


@dataclass(frozen=True)
class Agent:
    """An agent; ``program`` is a pattern below ``node_modules``, ``asks`` the model that a task asks for."""

    title: str
    package: str
    pinned: str
    variable: str  # of the environment: another version, or "latest"
    program: str
    speaks: Format
    asks: str
    arguments: tuple[str, ...]  # before the prompt
    after: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    by_env: bool = True  # the lines of ``ampmap env`` point it, not ``ampmap run`` alone
    has_name: bool = True  # ``ampmap run`` knows it; another client is started by ``run --as``

    @property
    def version(self) -> str:
        """The version to run."""
        wanted = os.environ.get(self.variable) or self.pinned
        return self.newest() if wanted == "latest" else wanted

    def newest(self) -> str:
        """Return the newest version. Raises :class:`Lacking`."""
        return released(self.package)

    def command(self) -> tuple[str, ...]:
        """Return how it is started; install it if need be. Raises :class:`Lacking`."""
        with installing:
            found = _found(self.package, self.version, self.program)
        if isinstance(found, str):
            raise Lacking(found)
        return (node(), "--no-warnings", str(found)) if found.suffix == ".js" else (str(found),)


@functools.cache
def _found(package: str, version: str, program: str) -> Path | str:
    """Return a program, or why there is none: what is lacking once is not looked for again."""
    try:
        namespace()
        programs = sorted((installed(package, version) / "node_modules").glob(program))
    except Lacking as exc:
        return str(exc)
    return programs[0] if programs else f"{package} {version} has no program for this system"


AGENTS: dict[str, Agent] = {
    "claude": Agent(
        "Claude Code", "@anthropic-ai/claude-code", "2.1.197", "AMPMAP_CLAUDE_CODE_VERSION",
        "@anthropic-ai/claude-code-*/claude", "anthropic", "claude-opus-4-8",
        ("-p",), ("--allowedTools", "Bash"),
        {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
    ),
    "codex": Agent(
        "Codex", "@openai/codex", "0.171.0", "AMPMAP_CODEX_VERSION",
        "@openai/codex-*/vendor/*/bin/codex", "openai-responses", "gpt-6.2-sol",
        ("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
    ),
    "gemini": Agent(
        "Gemini CLI", "@google/gemini-cli", "0.61.0", "AMPMAP_GEMINI_CLI_VERSION",
        "@google/gemini-cli/bundle/gemini.js", "gemini", "gemini-3.8-flash",
        ("--skip-trust", "--yolo", "-p"),
    ),
    "opencode": Agent(
        "OpenCode", "opencode-ai", "1.18.33", "AMPMAP_OPENCODE_VERSION",
        "opencode-linux-*/bin/opencode", "anthropic", "claude-sonnet-4-6",
        ("run", "-m", "anthropic/claude-sonnet-4-6"),
        env={"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"},
    ),
    "qwen": Agent(
        "Qwen Code", "@qwen-code/qwen-code", "0.15.10", "AMPMAP_QWEN_CODE_VERSION",
        "@qwen-code/qwen-code/cli.js", "openai-chat", "gpt-5.5",
        ("--yolo", "-p"),
        env={"OPENAI_MODEL": "gpt-5.5"},
    ),
    "pi": Agent(
        "pi", "@mariozechner/pi-coding-agent", "0.73.1", "AMPMAP_PI_VERSION",
        "@mariozechner/pi-coding-agent/dist/cli.js", "anthropic", "claude-opus-4-7",
        ("-p", "--model", "anthropic/claude-opus-4-7"),
        env={"PI_OFFLINE": "1", "PI_TELEMETRY": "0"}, by_env=False,
    ),
}  # fmt: skip


def put_on_path(folder: Path, name: str, command: tuple[str, ...]) -> None:
    """Write a program called ``name`` into a folder, which becomes the command."""
    quoted = " ".join(f"'{word}'" for word in command)
    path = folder / name
    path.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
    path.chmod(0o755)
