"""The agents: which wire formats each asks in, and how it is pointed at a proxy. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from ..formats.registry import FORMATS
from ..settings import Protocol

_CLIENT_KEY = "AMPMAP_API_KEY"


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent, or kind of client. Without ``url_variable`` no line is known that points it at a proxy.

    ``{url}`` in ``hint`` is the proxy's URL with ``path`` after it, ``{quoted}`` in ``note`` the same in double quotes.
    """

    protocols: tuple[Protocol, ...] = ()  # that it asks in; none: its user chooses
    title: str = ""
    url_variable: str = ""  # takes the proxy's URL
    path: str = ""  # after the URL
    key_variable: str = ""  # takes the key that it sends
    keyless: str = "{key}"  # the line in place of ``{key}``, which sets the key, for a proxy that asks for none
    note: str = ""  # comments above its lines of shell
    hint: str = ""  # its line in the banner, if it is not the variable alone


AGENTS: Mapping[str, Agent] = {
    "amp": Agent(
        tuple(FORMATS),
        "Amp",
        url_variable="AMP_URL",
        key_variable="AMP_API_KEY",
        keyless="# Amp's key for this address: amp login, or AMP_API_KEY",
        note="# Amp's classic CLI",
    ),
    "claude": Agent(
        ("anthropic",),
        "Claude Code",
        # code.claude.com/docs/en/llm-gateway-connect: without /v1; ANTHROPIC_AUTH_TOKEN comes before a saved login and
        # is sent as a bearer token, and a login or key that is there already does as well.
        url_variable="ANTHROPIC_BASE_URL",
        key_variable="ANTHROPIC_AUTH_TOKEN",
        keyless="# only where it has no login and no key of its own: {key}",
        note="# Claude Code",
    ),
    "codex": Agent(
        ("openai-responses",),
        "Codex",
        url_variable="OPENAI_BASE_URL",
        path="/v1",
        key_variable="OPENAI_API_KEY",
        # developers.openai.com/codex/config-advanced: a provider of one's own, which speaks responses only. The
        # variable is deprecated in favour of a key of that file, with a warning at first, and later releases do not
        # read it at all.
        note="""\
# Codex CLI takes the address from ~/.codex/config.toml, and no longer from OPENAI_BASE_URL. Write there:
#   model_provider = "ampmap"
#   [model_providers.ampmap]
#   name = "ampmap"
#   base_url = {quoted}
#   wire_api = "responses"
#   env_key = "OPENAI_API_KEY"
# Older releases, and OpenAI SDKs:""",
        hint='base_url = "{url}" for a provider in ~/.codex/config.toml; see `ampmap env codex`',
    ),
    "openai": Agent(
        title="OpenAI SDKs",
        url_variable="OPENAI_BASE_URL",
        path="/v1",
        key_variable="OPENAI_API_KEY",
        note="# OpenAI SDKs",
    ),
    "gemini": Agent(
        ("gemini",),
        "Gemini CLI",
        # Read by @google/genai, and by Gemini CLI for its login by key only.
        url_variable="GOOGLE_GEMINI_BASE_URL",
        key_variable="GEMINI_API_KEY",
        note="# Gemini CLI, with /auth set to 'Use Gemini API key'",
    ),
    "opencode": Agent(tuple(FORMATS)),
    "qwen": Agent(("openai-chat",)),
    "pi": Agent(("anthropic",)),
    "aider": Agent(("openai-chat",)),
}
ASKED_AS = tuple(name for name, agent in AGENTS.items() if agent.protocols)
POINTED = tuple(name for name, agent in AGENTS.items() if agent.url_variable)


def exports(url: str, needs_key: bool) -> list[str]:
    """Return one line for each agent that can be pointed at the proxy at ``url``, for people to read."""
    url = _reachable(url)
    key = " and one of this proxy's api-keys as its key" if needs_key else ""
    lines = []
    for agent in (AGENTS[name] for name in POINTED):
        hint = agent.hint or f"export {agent.url_variable}={{url}}"
        lines.append(f"{agent.title:<12} {hint.format(url=url + agent.path)}{key}")
    return lines


def env_lines(name: str | None, url: str, needs_key: bool) -> list[str]:
    """Return the lines of a POSIX shell that point an agent of ``POINTED``, or all, at the proxy at ``url``.

    Only assignments and comments. With ``needs_key`` the agent's key is taken from ``$AMPMAP_API_KEY``.
    """
    url = _reachable(url.rstrip("/"))
    lines = []
    if needs_key:
        lines.append(f"# This proxy asks for a key: set {_CLIENT_KEY} to one of its api-keys first.")
    names = [each for each in POINTED if each != "openai"] if name is None else [name]  # Codex's lines do for SDKs
    for agent in (AGENTS[each] for each in names):
        base = url + agent.path
        lines += agent.note.format(quoted=json.dumps(base)).split("\n")
        lines.append(f"export {agent.url_variable}={shlex.quote(base)}")
        key = _key(agent.key_variable, needs_key)
        lines.append(key if needs_key else agent.keyless.format(key=key))
    return lines


def _reachable(url: str) -> str:
    """Return a URL that leads to the proxy: one that listens at every address is reached by loopback."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _key(variable: str, needs_key: bool) -> str:
    """Return a key for agents that do not start without one: the proxy's, or any, which the proxy takes off."""
    value = f"${{{_CLIENT_KEY}:-set-{_CLIENT_KEY}}}" if needs_key else f"${{{variable}:-ampmap}}"
    return f'export {variable}="{value}"'
