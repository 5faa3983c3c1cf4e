"""The agents: their wire formats, how they are installed and pointed at a proxy, and the models that they ask for.

This is the only table of agents, vendors and their models; all commands read it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..formats.registry import FORMATS
from ..settings import Protocol

CLIENT_KEY = "AMPMAP_API_KEY"
"""The variable in which an agent's shell holds one of the proxy's ``api-keys``."""


@dataclass(frozen=True, slots=True)
class Address:
    """The proxy that an agent is pointed at.

    ``key`` is the key that the agent sends: one of the proxy's ``api-keys``, or any word if the proxy asks for none.
    ``login`` says that a provider wants the agent's own login, so no key may replace it. ``amp_key`` is Amp's own key,
    if it is known.
    """

    url: str
    key: str = field(default="ampmap", repr=False)
    login: bool = False
    amp_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SetUp:
    """Everything that points one agent at one proxy, without a change to the agent's own files.

    ``options`` come before the agent's other arguments; they hold no key, as every user of the machine can read them.
    ``unset`` are variables that would lead elsewhere. ``files`` are written into an empty folder for the run, and
    ``links`` lead from there to the user's own files; ``FOLDER`` in an option or a variable stands for that folder.
    """

    variables: Mapping[str, str]
    options: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


FOLDER = "{folder}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent, or one kind of client.

    ``point`` takes the proxy and the environment. ``wrap`` says that variables alone do not point the agent, so ``env``
    prints a function with its options. ``notes`` are lines that ``env`` prints as comments; ``{url}`` in them is the
    proxy's. An agent refuses options before one of its ``subcommands``.
    """

    title: str
    point: Callable[[Address, Mapping[str, str]], SetUp]
    program: str = ""  # empty: a kind of client
    protocols: tuple[Protocol, ...] = ()  # the wire formats that it asks in; empty: its user chooses
    install: str = ""
    wrap: bool = False
    notes: tuple[str, ...] = ()
    subcommands: tuple[str, ...] = ()


def _claude(at: Address, env: Mapping[str, str]) -> SetUp:
    # code.claude.com/docs/en/llm-gateway-connect: the URL without /v1; ANTHROPIC_AUTH_TOKEN comes before a saved login
    # and is sent as a bearer token. …/settings: variables in a settings file replace those of the environment, and
    # --settings comes before every file but an administrator's.
    off = dict.fromkeys(("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"), "0")
    variables = {"ANTHROPIC_BASE_URL": at.url}
    options = ("--settings", json.dumps({"env": {**variables, **off}}))
    if at.login:
        return SetUp(variables, options)
    return SetUp({**variables, "ANTHROPIC_AUTH_TOKEN": at.key}, options, unset=("ANTHROPIC_API_KEY",))


def _codex(at: Address, env: Mapping[str, str]) -> SetUp:
    # developers.openai.com/codex/config-advanced: a provider of one's own, which speaks responses only; -c comes before
    # ~/.codex/config.toml. A string of JSON is one of TOML.
    own = f"requires_openai_auth = {str(at.login).lower()}{'' if at.login else f', env_key = {json.dumps(CLIENT_KEY)}'}"
    provider = f'{{name = "ampmap", base_url = {json.dumps(f"{at.url}/v1")}, wire_api = "responses", {own}}}'
    options = ("-c", 'model_provider="ampmap"', "-c", f"model_providers.ampmap={provider}")
    return SetUp({} if at.login else {CLIENT_KEY: at.key}, options)


def _gemini(at: Address, env: Mapping[str, str]) -> SetUp:
    # With GOOGLE_GEMINI_BASE_URL alone Gemini CLI selects an authentication that its own check refuses (exit 41); with
    # Vertex's variables it does not. The authentication that settings.json selects comes before every variable: then it
    # gets another home, in which that one word differs and everything else is a link to the user's own.
    variables = {
        "GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_VERTEX_BASE_URL": at.url, "GOOGLE_API_KEY": at.key,
        "GEMINI_DEFAULT_AUTH_TYPE": _VERTEX,
    }  # fmt: skip
    unset = ("GOOGLE_GENAI_USE_GCA", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION")
    home = Path(env.get("GEMINI_CLI_HOME") or env.get("HOME", ""), ".gemini")
    try:
        settings = Path(home, "settings.json").read_text("utf-8")
        own = {entry.name: str(entry) for entry in home.iterdir() if entry.name != "settings.json"}
    except (OSError, ValueError):
        return SetUp(variables, unset=unset)
    pointed = _SELECTED.sub(rf"\g<1>{_VERTEX}", settings)
    if pointed == settings:
        return SetUp(variables, unset=unset)
    sessions = {name: str(home / name) for name in ("history", "tmp")}
    return SetUp(
        {**variables, "GEMINI_CLI_HOME": FOLDER},
        unset=unset,
        files={".gemini/settings.json": pointed},
        links={f".gemini/{name}": target for name, target in (sessions | own).items()},
    )


_VERTEX = "vertex-ai"
_SELECTED = re.compile(r'("selected(?:Auth)?Type"\s*:\s*")[^"]*')


def _opencode(at: Address, env: Mapping[str, str]) -> SetUp:
    # opencode.ai/docs/config: OPENCODE_CONFIG_CONTENT is laid over the user's and the project's files.
    key = {} if at.login else {"apiKey": at.key}
    bases = {"anthropic": "/v1", "openai": "/v1", "google": "/v1beta"}
    wanted = {"provider": {name: {"options": {"baseURL": f"{at.url}{path}", **key}} for name, path in bases.items()}}
    variable = "OPENCODE_CONFIG_CONTENT"
    return SetUp({variable: json.dumps(_merged(_json(env.get(variable, "")), wanted))})


def _qwen(at: Address, env: Mapping[str, str]) -> SetUp:
    # Without a model it takes no key from the environment, and says that no authentication is selected.
    more = {"QWEN_DEFAULT_AUTH_TYPE": "openai", "OPENAI_MODEL": env.get("OPENAI_MODEL") or ASKED_BY_DEFAULT}
    return SetUp({**_openai(at, env).variables, **more}, ("--auth-type", "openai", "--openai-base-url", f"{at.url}/v1"))


def _pi(at: Address, env: Mapping[str, str]) -> SetUp:
    # Its docs/custom-provider.md: a base URL alone moves a provider, and its models stay.
    bases = {"anthropic": "", "openai": "/v1", "google": "/v1beta"}
    moved = [f"  pi.registerProvider({json.dumps(name)}, {{baseUrl: {json.dumps(at.url + path)}}});"
             for name, path in bases.items()]  # fmt: skip
    name = "ampmap.js"
    keys = {} if at.login else {"ANTHROPIC_API_KEY": at.key}
    text = "\n".join(["export default function (pi) {", *moved, "}", ""])
    return SetUp(keys, ("-e", f"{FOLDER}/{name}"), files={name: text})


def _aider(at: Address, env: Mapping[str, str]) -> SetUp:
    # aider.chat/docs/llms/openai-compat.html; options come before variables and .aider.conf.yml. It chooses its model
    # by the keys that it finds: those of vendors that would be asked past the proxy are taken away.
    variables = {
        "OPENAI_API_BASE": f"{at.url}/v1", "OPENAI_API_KEY": at.key, "ANTHROPIC_API_BASE": at.url,
    }  # fmt: skip
    if env.get("ANTHROPIC_API_KEY"):
        variables["ANTHROPIC_API_KEY"] = at.key
    return SetUp(
        variables,
        ("--openai-api-base", f"{at.url}/v1"),
        unset=("OPENROUTER_API_KEY", "DEEPSEEK_API_KEY", "GEMINI_API_KEY", "VERTEXAI_PROJECT"),
    )


def _amp(at: Address, env: Mapping[str, str]) -> SetUp:
    return SetUp({"AMP_URL": at.url, **({"AMP_API_KEY": at.amp_key} if at.amp_key else {})})


def _anthropic_sdk(at: Address, env: Mapping[str, str]) -> SetUp:
    # The SDKs warn where both variables hold a credential; llm and LiteLLM read this one alone.
    if at.login:
        return SetUp({"ANTHROPIC_BASE_URL": at.url})
    variables = {"ANTHROPIC_BASE_URL": at.url, "ANTHROPIC_API_KEY": at.key}
    return SetUp(variables, unset=("ANTHROPIC_AUTH_TOKEN",))


def _openai(at: Address, env: Mapping[str, str]) -> SetUp:
    return SetUp({"OPENAI_BASE_URL": f"{at.url}/v1", "OPENAI_API_KEY": at.key})


def _google_sdk(at: Address, env: Mapping[str, str]) -> SetUp:
    # The SDKs warn where GEMINI_API_KEY holds a key, too.
    variables = {"GOOGLE_GEMINI_BASE_URL": at.url, "GOOGLE_API_KEY": at.key}
    return SetUp(variables, unset=("GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"))


ASKED_BY_DEFAULT = "gpt-6.2-sol"
"""The model for agents that do not start without the name of one."""

AGENTS: Mapping[str, Agent] = {
    "claude": Agent(
        title="Claude Code",
        program="claude",
        install="npm install -g @anthropic-ai/claude-code",
        protocols=("anthropic",),
        point=_claude,
        notes=(
            "Variables under 'env' in ~/.claude/settings.json replace these; `ampmap run claude` replaces those.",
            "/model lists ampmap's models, too: export CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY=1",
            "Where another vendor's model answers, these keep its requests plain: export ENABLE_TOOL_SEARCH=false"
            " CLAUDE_CODE_ATTRIBUTION_HEADER=0 CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS=1",
            "and, if the model needs it: export CLAUDE_CODE_MAX_OUTPUT_TOKENS=8192 MAX_THINKING_TOKENS=0",
        ),
    ),
    "codex": Agent(
        title="Codex",
        program="codex",
        install="npm install -g @openai/codex",
        protocols=("openai-responses",),
        point=_codex,
        wrap=True,
        notes=(
            "Codex takes its address from no variable. Instead of this function, ~/.codex/config.toml can say:",
            '  model_provider = "ampmap"',
            "  [model_providers.ampmap]",
            '  name = "ampmap"',
            '  base_url = "{url}/v1"',
            '  wire_api = "responses"',
            f'  env_key = "{CLIENT_KEY}"',
        ),
    ),
    "gemini": Agent(
        title="Gemini CLI",
        program="gemini",
        install="npm install -g @google/gemini-cli",
        protocols=("gemini",),
        point=_gemini,
        notes=(
            "A login that ~/.gemini/settings.json selects comes before these: `ampmap run gemini` gets round it, or set"
            ' there: {{"security": {{"auth": {{"selectedType": "vertex-ai"}}}}}}',
        ),
    ),
    "opencode": Agent(
        title="OpenCode",
        program="opencode",
        install="npm install -g opencode-ai",
        protocols=tuple(FORMATS),
        point=_opencode,
        notes=("Its providers anthropic, openai and google lead here: opencode -m anthropic/MODEL",),
    ),
    "qwen": Agent(
        title="Qwen Code",
        program="qwen",
        install="npm install -g @qwen-code/qwen-code",
        protocols=("openai-chat",),
        point=_qwen,
        subcommands=("mcp", "extensions", "auth", "hooks", "hook", "channel", "review"),
        notes=("An authentication that ~/.qwen/settings.json selects comes first; then: qwen --auth-type openai",),
    ),
    "pi": Agent(
        title="pi",
        program="pi",
        install="npm install -g @mariozechner/pi-coding-agent",
        protocols=("anthropic",),
        point=_pi,
        subcommands=("install", "remove", "uninstall", "update", "list", "config"),
        notes=(
            "pi takes its address from no variable. Write into ~/.pi/agent/models.json, or use `ampmap run pi`:",
            '  {{"providers": {{"anthropic": {{"baseUrl": "{url}"}}}}}}',
        ),
    ),
    "aider": Agent(
        title="aider",
        program="aider",
        install="python -m pip install aider-chat",
        protocols=("openai-chat",),
        point=_aider,
        notes=("Name a model of this kind: aider --model openai/MODEL",),
    ),
    "amp": Agent(
        title="Amp",
        program="amp",
        install="npm install -g @sourcegraph/amp",
        protocols=tuple(FORMATS),
        point=_amp,
        notes=(
            "Amp's classic CLI; the newer one runs its models in Amp's cloud, out of any proxy's sight.",
            "Its key for this address: amp login, or AMP_API_KEY",
        ),
    ),
    "openai": Agent(title="OpenAI SDKs", point=_openai),
}
ASKED_AS = tuple(name for name, agent in AGENTS.items() if agent.protocols)
RUN = tuple(name for name, agent in AGENTS.items() if agent.program)

PROGRAMS: Mapping[Protocol, Callable[[Address, Mapping[str, str]], SetUp]] = {
    "anthropic": _anthropic_sdk,
    "openai-chat": _openai,
    "openai-responses": _openai,
    "gemini": _google_sdk,
}
"""How any program is pointed at a proxy that asks in a wire format: the variables that the vendor's SDKs read."""


def _json(text: str) -> dict[str, Any]:
    """Return an object of JSON; empty for any other text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one object over another, member by member."""
    found = dict(below)
    for name, content in above.items():
        under = found.get(name)
        found[name] = _merged(under, content) if isinstance(under, dict) and isinstance(content, dict) else content
    return found


@dataclass(frozen=True, slots=True)
class Family:
    """Models whose names match ``glob``; agents ask for ``asked`` today, in these wire formats.

    ``small`` says that these models are meant for small tasks.
    """

    glob: str
    asked: str
    protocols: tuple[Protocol, ...]
    small: bool = False


FAMILIES = (
    Family("claude-*haiku*", "claude-haiku-4-5", ("anthropic",), small=True),
    Family("claude-*", "claude-opus-4-8", ("anthropic",)),
    Family("gpt-*", ASKED_BY_DEFAULT, ("openai-responses", "openai-chat")),
    Family("gemini-*", "gemini-3.8-flash", ("gemini",)),
)
"""The narrower glob before the wider one."""

_WORD = r"(?:^|[-_./:])(?:{})"
NO_CHAT = re.compile(
    _WORD.format(
        "embed|bge|minilm|e5-|rerank|whisper|transcri|tts|speech|audio|realtime|live|image|imagen|dall-e|sora|veo|"
        "moderation|guard|ocr|babbage|davinci"
    ),
    re.IGNORECASE,
)
SMALL = re.compile(_WORD.format("haiku|mini|nano|flash|small|lite|tiny"), re.IGNORECASE)
CODING = re.compile(r"cod(?:e|er|ing|ex|estral)(?![a-z])|devstral", re.IGNORECASE)
"""Words in the names of models: of those that hold no conversations, of small ones, of those made for coding."""
