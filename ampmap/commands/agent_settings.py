"""Read where each agent asks now: from its own settings and the environment, in the order in which the agent looks.

``agent_checks`` calls it. No file is changed. Settings may hold keys, so only the host of a URL is ever shown.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ..amp.secrets import AmpSecret
from ..files import read_regular
from ..net.address import split_url

_FILE_BYTES = 1024 * 1024
# Some of the files are in the working directory, which may be a stranger's: no search begins again within a text that
# lacks its end.
_STRING = r'("(?:[^"\\]++|\\.)*+(?:"|\\?\Z))'
_COMMENT = re.compile(_STRING + r"|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_LAST_COMMA = re.compile(_STRING + r"|,(?=\s*[}\]])", re.DOTALL)
_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=(.*)$", re.MULTILINE)
_AIDER_BASE = re.compile(r"^openai-api-base:\s*(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A setting that says where an agent asks. To lead to a proxy, its URL has to end with ``path``.

    Of the pointers with the same ``slot`` the agent follows the first.
    """

    where: str
    url: str = field(repr=False)  # it may hold a secret
    path: str = ""
    slot: str = ""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A reason why an agent does not ask where its settings point, and the way out."""

    what: str
    remedy: str


Seen: TypeAlias = Iterator[Pointer | Obstacle]


class AgentHome:
    """The files and variables that agents read. ``unreadable`` names existing files that could not be parsed."""

    def __init__(self, env: Mapping[str, str], directory: Path) -> None:
        self.env = env
        self.path = Path(env.get("HOME", ""))
        self.directory = directory
        self.unreadable: list[str] = []

    def variable(self, name: str, path: str = "", slot: str = "") -> Iterator[Pointer]:
        """Yield the pointer that a variable of the environment is, if it is set."""
        if url := self.env.get(name, "").strip():
            yield Pointer(name, url, path, slot)

    def text(self, path: Path) -> str:
        """Return a file's text; empty if there is no such file, or it cannot be read."""
        try:
            return read_regular(path, _FILE_BYTES).decode("utf-8-sig")
        except FileNotFoundError:
            return ""
        except (OSError, ValueError):
            self.unreadable.append(str(path))
            return ""

    def json(self, path: Path) -> dict[str, Any]:
        """Return an object of JSON, which may have comments; empty if there is none."""
        return self._object(path, lambda text: json.loads(_LAST_COMMA.sub(r"\1", _COMMENT.sub(r"\1", text))))

    def toml(self, path: Path) -> dict[str, Any]:
        """Return a file of TOML; empty if there is none."""
        return self._object(path, tomllib.loads)

    def variables(self, path: Path) -> dict[str, str]:
        """Return the variables that a file of assignments sets."""
        found = _ASSIGNMENT.findall(self.text(path))
        return {name: content.strip().strip("\"'") for name, content in found}

    def _object(self, path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
        text = self.text(path)
        if not text.strip():
            return {}
        try:
            found = parse(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self.unreadable.append(str(path))
            return {}
        return found


def _at(tree: Any, *path: str) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _pointer(where: str, url: object, path: str = "", slot: str = "") -> Iterator[Pointer]:
    if isinstance(url, str) and url.strip():
        yield Pointer(where, url.strip(), path, slot)


def _claude(home: AgentHome) -> Seen:
    # code.claude.com/docs/en/settings: variables in a settings file replace those of the environment.
    base = Path(home.env.get("CLAUDE_CONFIG_DIR") or home.path / ".claude")
    own = home.directory / ".claude"
    files = (
        Path("/etc/claude-code/managed-settings.json"), own / "settings.local.json", own / "settings.json",
        base / "settings.json",
    )  # fmt: skip
    sources = [(f"'env' in {file}", _at(home.json(file), "env")) for file in files]
    for where, variables in [*sources, ("the environment", dict(home.env))]:
        yield from _pointer(f"ANTHROPIC_BASE_URL of {where}", _at(variables, "ANTHROPIC_BASE_URL"))
        for name in ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"):
            if str(_at(variables, name) or "0").lower() not in ("0", "false"):
                yield Obstacle(f"{name} of {where} leads it to a cloud", "take it out there")


def _codex(home: AgentHome) -> Seen:
    # It takes its address from no variable.
    file = Path(home.env.get("CODEX_HOME") or home.path / ".codex") / "config.toml"
    config = home.toml(file)
    profile = _at(config, "profiles", str(config.get("profile"))) or {}
    name = _at(profile, "model_provider") or config.get("model_provider")
    if name and name != "openai":
        chosen = _at(config, "model_providers", str(name)) or {}
        yield from _pointer(f"model_providers.{name} in {file}", _at(chosen, "base_url"), "/v1")
        if _at(chosen, "wire_api") == "chat":
            yield Obstacle(f'it takes no wire_api = "chat" any more ({file})', 'write wire_api = "responses"')
    else:
        yield from _pointer(f"openai_base_url in {file}", config.get("openai_base_url"), "/v1")


def _gemini(home: AgentHome) -> Seen:
    base = Path(home.env.get("GEMINI_CLI_HOME") or home.path)
    file = base / ".gemini" / "settings.json"
    settings = home.json(file)
    selected = _at(settings, "security", "auth", "selectedType") or settings.get("selectedAuthType")
    files = [home.directory / ".gemini" / ".env", home.directory / ".env", base / ".gemini" / ".env", base / ".env"]
    found: list[tuple[str, Mapping[str, str]]] = [("the environment", home.env)]
    for dotenv in dict.fromkeys(files):  # Gemini CLI reads the first that exists, and replaces no variable
        if assigned := home.variables(dotenv):
            found.append((str(dotenv), assigned))
            break
    known = {name: content for _, each in reversed(found) for name, content in each.items()}
    vertex = selected == "vertex-ai" or (not selected and known.get("GOOGLE_GENAI_USE_VERTEXAI") == "true")
    name = "GOOGLE_VERTEX_BASE_URL" if vertex else "GOOGLE_GEMINI_BASE_URL"
    for where, variables in found:
        yield from _pointer(f"{name} of {where}", variables.get(name))
    if selected not in (None, "vertex-ai", "gemini-api-key"):
        yield Obstacle(f"the login {selected!r} of {file} comes before variables", "select another by /auth there")
    elif not selected and not vertex and known.get(name):
        what = f"with {name} alone it selects a login that it then refuses"
        yield Obstacle(what, f'write {{"security": {{"auth": {{"selectedType": "gemini-api-key"}}}}}} into {file}')


_BASES = {"anthropic": "/v1", "openai": "/v1", "google": "/v1beta"}


def _opencode(home: AgentHome) -> Seen:
    directory = Path(home.env.get("XDG_CONFIG_HOME") or home.path / ".config") / "opencode"
    sources: list[tuple[str, dict[str, Any]]] = []
    if content := home.env.get("OPENCODE_CONFIG_CONTENT"):
        try:
            sources.append(("OPENCODE_CONFIG_CONTENT", json.loads(content)))
        except ValueError:
            home.unreadable.append("OPENCODE_CONFIG_CONTENT")
    files = [home.directory / "opencode.json", directory / "opencode.jsonc", directory / "opencode.json"]
    if named := home.env.get("OPENCODE_CONFIG"):
        files.insert(1, Path(named))
    sources += [(str(file), home.json(file)) for file in files]
    for where, tree in sources:
        providers = _at(tree, "provider")
        for name in providers if isinstance(providers, dict) else ():
            url = _at(providers, name, "options", "baseURL")
            yield from _pointer(f"provider.{name} in {where}", url, _BASES.get(name, "/v1"), name)


def _qwen(home: AgentHome) -> Seen:
    file = home.path / ".qwen" / "settings.json"
    auth = _at(home.json(file), "security", "auth") or {}
    selected = _at(auth, "selectedType")
    yield from _pointer(f"security.auth.baseUrl in {file}", _at(auth, "baseUrl"), "/v1")
    yield from home.variable("OPENAI_BASE_URL", "/v1")
    dotenv = home.path / ".qwen" / ".env"
    yield from _pointer(f"OPENAI_BASE_URL of {dotenv}", home.variables(dotenv).get("OPENAI_BASE_URL"), "/v1")
    if selected not in (None, "openai"):
        yield Obstacle(f"{file} selects the login {selected!r}", "qwen --auth-type openai")


def _pi(home: AgentHome) -> Seen:
    file = home.path / ".pi" / "agent" / "models.json"
    providers = _at(home.json(file), "providers")
    for name in providers if isinstance(providers, dict) else ():
        path = "" if name == "anthropic" else _BASES.get(name, "/v1")
        yield from _pointer(f"providers.{name} in {file}", _at(providers, name, "baseUrl"), path, name)


def _aider(home: AgentHome) -> Seen:
    for name in ("AIDER_OPENAI_API_BASE", "OPENAI_API_BASE", "OPENAI_BASE_URL"):
        yield from home.variable(name, "/v1")
    for file in dict.fromkeys((home.directory / ".aider.conf.yml", home.path / ".aider.conf.yml")):
        for url in _AIDER_BASE.findall(home.text(file)):
            yield from _pointer(f"openai-api-base in {file}", url.strip("\"'"), "/v1")


def _amp(home: AgentHome) -> Seen:
    directory = Path(home.env.get("XDG_CONFIG_HOME") or home.path / ".config") / "amp"
    file = Path(home.env.get("AMP_SETTINGS_FILE") or directory / "settings.json")
    pointers = [*home.variable("AMP_URL"), *_pointer(f"amp.url in {file}", home.json(file).get("amp.url"))]
    yield from pointers
    if pointers:
        try:
            origin, _ = split_url(pointers[0].url)
        except ValueError:
            return
        if not AmpSecret(home.env).key_for(origin):
            yield Obstacle("it has no token for that address", "amp login, or set AMP_API_KEY")


SETTINGS: Mapping[str, Callable[[AgentHome], Seen]] = {
    "claude": _claude,
    "codex": _codex,
    "gemini": _gemini,
    "opencode": _opencode,
    "qwen": _qwen,
    "pi": _pi,
    "aider": _aider,
    "amp": _amp,
}
"""For each agent, in the order of ``agents.AGENTS``: what yields its pointers and obstacles, the strongest first."""
