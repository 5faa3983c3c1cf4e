"""The first steps: a starter configuration for what this machine has, and the shell lines that point agents here.

``starter`` and ``env_lines`` are pure; ``answering_servers`` knocks at loopback ports, ``write_starter`` makes a file.
No secret is ever written: keys stay in the environment, and what is written names their variables.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import anyio

from ..config.presets import PRESETS, Preset
from ..errors import Complaint, ConfigError, Place

VENDORS = ("anthropic", "openai", "gemini", "openrouter")
LOCAL = ("ollama", "lmstudio", "vllm", "llamacpp", "litellm", "cliproxyapi")
AGENTS = ("amp", "claude", "codex", "gemini", "openai")

KNOCK_S = 0.3  # loopback answers, or refuses, in well under a millisecond
CLIENT_KEY = "AMPMAP_API_KEY"

_HEAD = """\
# What ampmap maps, and who serves it. After a change:
#   ampmap check                      what is wrong, with its line
#   ampmap explain claude-opus-4.5    what would happen to a model, step by step
# A running ampmap takes changes as they are saved.

# listen: 127.0.0.1:8267

# Rules: what an agent asks for, and what is served instead when no provider below has that model.
# 'ampmap map add FROM TO' adds one; these are examples.
amp-model-mappings:
  # - {from: claude-opus-4.5, to: claude-sonnet-4}             # a name, in any case
  # - {from: gpt-4.5, to: [gpt-5, gemini-2.5-pro]}             # several, tried in order
  # - {from: '^claude-.*haiku', to: qwen3-coder, regex: true}  # a pattern, searched in the name
  # - {from: claude-opus-4-7, to: glm-5, credits: refuse}      # for this model, never Amp credits

# What happens to requests of Amp's clients that nothing here serves: allow, warn or refuse to spend credits.
amp-credits: warn

"""

_PROVIDERS = """\
# Who serves models. Each is asked for its list of models; 'models: [NAME, gpt-*]' says them instead.
# A key is written as the variable that holds it. What begins with '#' was not found: uncomment what you have.
providers:
"""

_OTHER = """\
  # - name: gateway                             # anything else that speaks one of these protocols
  #   base-url: https://gateway.example.com
  #   protocols: [anthropic, openai-chat, openai-responses, gemini]
  #   api-key: ${GATEWAY_KEY}
"""


def starter(env: Mapping[str, str], answering: Iterable[str]) -> str:
    """Return a configuration in YAML for the keys in ``env`` and the ``answering`` local servers, by preset's name."""
    names = set(answering)
    found = [PRESETS[name] for name in VENDORS if env.get(PRESETS[name].key_env, "").strip()]
    found += [PRESETS[name] for name in LOCAL if name in names]
    lines: list[str] = []
    for preset in found:
        lines += _provider(preset, bool(env.get(preset.key_env, "").strip()))
    for name in (*VENDORS, *LOCAL):
        if PRESETS[name] not in found:
            entry = _provider(PRESETS[name], name in VENDORS)
            lines += [f"  # {line[2:]}" for line in entry]
    return _HEAD + _PROVIDERS + "\n".join(lines) + "\n" + _OTHER


def _provider(preset: Preset, has_key: bool) -> list[str]:
    origin = preset.origin
    where = f"# at {origin}; take it out if something else answers there" if origin.scheme == "http" else ""
    lines = [f"  - name: {preset.name}", f"    type: {preset.name}"]
    if where:
        lines[1] = f"{lines[1]:<27} {where}"
    if has_key:
        lines.append(f"    api-key: ${{{preset.key_env}}}")
    return lines


async def answering_servers(presets: Iterable[Preset] | None = None) -> list[str]:
    """Return the names of the local servers whose ports answer, in the presets' order; who answers is not asked.

    All are knocked at together, for 0.3 seconds at most.
    """
    asked = [PRESETS[name] for name in LOCAL] if presets is None else list(presets)
    found: set[str] = set()

    async def knock(preset: Preset) -> None:
        with anyio.move_on_after(KNOCK_S):
            try:
                stream = await anyio.connect_tcp(preset.origin.host, preset.origin.port)
            except OSError:
                return
            found.add(preset.name)
            await stream.aclose()

    async with anyio.create_task_group() as group:
        for preset in asked:
            group.start_soon(knock, preset)
    return [preset.name for preset in asked if preset.name in found]


def write_starter(path: Path, text: str) -> None:
    """Write a new file that only its owner can read, and the directories above it. Blocks.

    Errors: ConfigError when something stands there already, which is left as it is, or when it cannot be written.
    """
    try:
        for directory in reversed(path.absolute().parents):
            if not directory.exists():
                directory.mkdir(mode=0o700)
        # O_EXCL follows no link either
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # half a configuration is worse than none
            path.unlink(missing_ok=True)
            raise
    except FileExistsError as exc:
        what = "there is one already, which is left as it is; move it away, or name another place with --config"
        raise ConfigError(Complaint(what, Place(str(path), 1))) from exc
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        reason = exc.strerror if isinstance(exc, OSError) else "not a path"
        raise ConfigError(Complaint(f"cannot write this file: {reason}", Place(str(path), 1))) from exc


def env_lines(agent: str | None, url: str, needs_key: bool) -> list[str]:
    """Return the lines of a POSIX shell that point ``agent``, or every one, at the proxy at ``url``.

    Only assignments and comments. With ``needs_key`` the agent's key is taken from ``$AMPMAP_API_KEY``.

    Errors: ConfigError for an agent that is not known.
    """
    if agent is not None and agent not in AGENTS:
        raise ConfigError(Complaint(f"unknown agent {agent!r}; known are {', '.join(AGENTS)}"))
    url = url.rstrip("/").replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    lines = []
    if needs_key:
        lines.append(f"# This proxy asks for a key: set {CLIENT_KEY} to one of its api-keys first.")
    for name in AGENTS[:-1] if agent is None else (agent,):
        lines += _lines(name, url, needs_key)
    return lines


def _lines(agent: str, url: str, needs_key: bool) -> list[str]:
    """Return one agent's lines. Each takes its base URL from a variable of its own, and wants some key beside it."""
    match agent:
        case "amp":
            key = (
                _key("AMP_API_KEY", needs_key)
                if needs_key
                else "# Amp's key for this address: amp login, or AMP_API_KEY"
            )
            return ["# Amp's classic CLI", _export("AMP_URL", url), key]
        case "claude":
            # code.claude.com/docs/en/llm-gateway-connect: without /v1; ANTHROPIC_AUTH_TOKEN comes before a saved login
            # and is sent as a bearer token, and a login or key that is there already does as well.
            token = _key("ANTHROPIC_AUTH_TOKEN", needs_key)
            return [
                "# Claude Code",
                _export("ANTHROPIC_BASE_URL", url),
                token if needs_key else f"# only where it has no login and no key of its own: {token}",
            ]
        case "codex":
            return [*_codex_comment(url), *_openai(url, needs_key)]
        case "openai":
            return ["# OpenAI SDKs", *_openai(url, needs_key)]
        case _:
            # GOOGLE_GEMINI_BASE_URL is read by @google/genai, and by Gemini CLI for its login by key only.
            return [
                "# Gemini CLI, with /auth set to 'Use Gemini API key'",
                _export("GOOGLE_GEMINI_BASE_URL", url),
                _key("GEMINI_API_KEY", needs_key),
            ]


def _codex_comment(url: str) -> list[str]:
    # developers.openai.com/codex/config-advanced: a provider of one's own, which speaks responses only. The variable is
    # deprecated in favour of a key of that file, with a warning at first, and later releases do not read it at all.
    return [
        "# Codex CLI takes the address from ~/.codex/config.toml, and no longer from OPENAI_BASE_URL. Write there:",
        '#   model_provider = "ampmap"',
        "#   [model_providers.ampmap]",
        '#   name = "ampmap"',
        f"#   base_url = {json.dumps(url + '/v1')}",
        '#   wire_api = "responses"',
        '#   env_key = "OPENAI_API_KEY"',
        "# Older releases, and OpenAI SDKs:",
    ]


def _openai(url: str, needs_key: bool) -> list[str]:
    return [_export("OPENAI_BASE_URL", url + "/v1"), _key("OPENAI_API_KEY", needs_key)]


def _export(variable: str, value: str) -> str:
    return f"export {variable}={shlex.quote(value)}"


def _key(variable: str, needs_key: bool) -> str:
    """Return a key for agents that do not start without one: the proxy's, or any, which the proxy takes off."""
    value = f"${{{CLIENT_KEY}:-set-{CLIENT_KEY}}}" if needs_key else f"${{{variable}:-ampmap}}"
    return f'export {variable}="{value}"'
