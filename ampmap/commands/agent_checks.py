"""Check whether each agent's own settings and the environment lead it to this proxy. Blocks; changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..net.address import is_loopback, split_url
from ..settings import Origin, Settings, TcpListen
from .agent_settings import SETTINGS, AgentHome, Obstacle, Pointer
from .agents import AGENTS, CLIENT_KEY, Agent
from .env import past_proxies
from .findings import Finding

_AREA = "agents"


def check_agents(settings: Settings, env: Mapping[str, str], directory: Path) -> list[Finding]:
    """Look at the agents that are installed or pointed somewhere; ``directory`` is where they would be started."""
    found: list[Finding] = []
    for name, agent in AGENTS.items():
        if agent.program and name in SETTINGS:
            found += _agent(name, agent, settings, AgentHome(env, directory))
    found = found or [Finding(_AREA, "note", "none of those that `ampmap run` knows is installed, or pointed anywhere")]
    return [*found, *_environment(settings, env)]


def _agent(name: str, agent: Agent, settings: Settings, home: AgentHome) -> Iterator[Finding]:
    seen = list(SETTINGS[name](home))
    pointers = [each for each in seen if isinstance(each, Pointer)]
    obstacles = [each for each in seen if isinstance(each, Obstacle)]
    run = f"ampmap run {name}"
    for path in dict.fromkeys(home.unreadable):
        yield Finding(_AREA, "bad", f"{agent.title}: {path} cannot be read", "correct that file")
    first: dict[str, Pointer] = {}
    hidden: list[tuple[Pointer, Pointer]] = []
    for pointer in pointers:
        winner = first.setdefault(pointer.slot, pointer)
        if _is_here(pointer, settings) and not _is_here(winner, settings):
            hidden.append((pointer, winner))
    here = [pointer for pointer in first.values() if _is_here(pointer, settings)]
    wrong = [pointer for pointer in here if not _is_usable(pointer)]
    if hidden:
        pointer, winner = hidden[0]
        what = f"{agent.title}: {pointer.where} leads here, but {winner.where} comes first: {_host(winner)}"
        yield Finding(_AREA, "bad", what, f"take that out, or `{run}`, which gets round it")
    elif wrong:
        what = f"{agent.title}: {wrong[0].where} leads here, but its scheme or path is wrong"
        yield Finding(_AREA, "bad", what, f"write http://{_host(wrong[0])}{wrong[0].path}")
    elif here and obstacles:
        what = f"{agent.title}: {here[0].where} leads here, but {obstacles[0].what}"
        yield Finding(_AREA, "bad", what, f"{obstacles[0].remedy}; or `{run}`")
    elif here:
        yield Finding(_AREA, "well", f"{agent.title}: leads here ({here[0].where})")
    elif first:
        pointer = next(iter(first.values()))
        what = f"{agent.title}: leads to {_host(pointer)} ({pointer.where})"
        yield Finding(_AREA, "note", what, f"`{run}`, or point it here: `ampmap env {name}` says how")
    elif shutil.which(agent.program, path=home.env.get("PATH")):
        what = f"{agent.title}: leads to its vendor; nothing points it here"
        yield Finding(_AREA, "note", what, f"`{run}`, or point it here: `ampmap env {name}` says how")


def _environment(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    key = env.get(CLIENT_KEY, "")
    if settings.api_keys and not key:
        what = f"this proxy asks for a key, and {CLIENT_KEY} is not set here"
        yield Finding(
            _AREA, "note", what, f"export {CLIENT_KEY} with one of its api-keys; `ampmap env` takes it from there"
        )
    elif settings.api_keys and key not in settings.api_keys:
        yield Finding(_AREA, "bad", f"{CLIENT_KEY} is none of this proxy's api-keys", "set it to one of them")
    for name, hosts in past_proxies(env).items():
        if "127.0.0.1" not in env.get(name, "").split(","):
            what = "the environment names an HTTP proxy, through which agents may ask for this machine as well"
            yield Finding(_AREA, "note", what, f"export {name}={hosts}")
            return


def _origin(pointer: Pointer) -> tuple[Origin, str] | None:
    try:
        return split_url(pointer.url)
    except ValueError:
        return None


def _is_here(pointer: Pointer, settings: Settings) -> bool:
    """Tell whether a URL leads to an address that this configuration listens on."""
    if (found := _origin(pointer)) is None:
        return False
    origin = found[0]
    for listen in settings.listen:
        if isinstance(listen, TcpListen) and listen.port == origin.port:
            is_local = is_loopback(origin.host) and (is_loopback(listen.host) or listen.host in ("0.0.0.0", "::"))
            if is_local or origin.host == listen.host:
                return True
    return False


def _is_usable(pointer: Pointer) -> bool:
    """Tell whether a URL has the scheme and the path that this proxy needs."""
    found = _origin(pointer)
    return found is not None and found[0].scheme == "http" and found[1] == pointer.path


def _host(pointer: Pointer) -> str:
    found = _origin(pointer)
    return found[0].authority if found else "something that is no URL"
