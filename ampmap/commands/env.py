"""``ampmap env``: lines of shell that point agents at the proxy of this configuration."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping

from ..errors import Complaint, ConfigError
from ..settings import Settings, TcpListen
from .agents import AGENTS, CLIENT_KEY, FOLDER, Address, Agent, SetUp
from .options import load

HELP = """\
Print lines of shell that point an agent, or all of them, at the proxy that
`ampmap serve` runs with this configuration. `ampmap run AGENT` needs none of it.

example:
  eval "$(ampmap env claude)"

exit codes: 0; 2 a configuration that cannot be used, or no address but sockets
"""

_KEY = "@key@"  # a placeholder for the key


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs, and add the command's own options."""
    parser.add_argument("agent", nargs="?", choices=tuple(AGENTS), metavar="AGENT", help=f"one of: {', '.join(AGENTS)}")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    settings = load(options).settings
    listen = next((at for at in settings.listen if isinstance(at, TcpListen)), None)
    if listen is None:
        raise ConfigError(Complaint("this proxy listens on unix sockets only, which no agent can be pointed at"))
    lines = env_lines(options.agent, f"http://{listen}", bool(settings.api_keys), takes_login(settings), os.environ)
    lines += [f"export {name}={shlex.quote(hosts)}" for name, hosts in past_proxies(os.environ).items()]
    print("\n".join(lines))
    return 0


def past_proxies(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep requests to this machine off an HTTP proxy, if the environment names one."""
    if not any(env.get(name) for name in env if name.lower() in ("http_proxy", "https_proxy", "all_proxy")):
        return {}
    hosts = {name: [host for host in env.get(name, "").split(",") if host] for name in ("NO_PROXY", "no_proxy")}
    return {name: ",".join(dict.fromkeys(["127.0.0.1", *known])) for name, known in hosts.items()}


def takes_login(settings: Settings) -> bool:
    """Tell whether the agent's own login has to reach a provider: one wants it, and the proxy asks for no key."""
    auths = [endpoint.auth for provider in settings.providers for endpoint in provider.endpoints]
    return "client" in auths and not settings.api_keys


def env_lines(
    name: str | None, url: str, needs_key: bool, login: bool = False, env: Mapping[str, str] | None = None
) -> list[str]:
    """Return the lines of a POSIX shell that point an agent, or all of them, at the proxy at ``url``.

    They are assignments, comments, and a function for each agent that no variable can point anywhere. With
    ``needs_key`` the agent's key is taken from ``$AMPMAP_API_KEY``; ``login`` is as in :class:`Address`. ``env`` is the
    shell's environment.
    """
    at = Address(reachable(url.rstrip("/")), _KEY, login, amp_key=_KEY if needs_key else "")
    lines = []
    if needs_key:
        lines.append(f"# This proxy asks for a key: set {CLIENT_KEY} to one of its api-keys first.")
    for agent in AGENTS.values() if name is None else (AGENTS[name],):
        lines += _lines(agent, agent.point(at, env or {}), at, needs_key)
    return lines


def _lines(agent: Agent, found: SetUp, at: Address, needs_key: bool) -> list[str]:
    lines = [f"# {line.format(url=at.url)}" for line in (agent.title, *agent.notes)]
    if found.unset:
        lines.append(f"# Best not set beside these: {' '.join(found.unset)}")
    for variable, content in found.variables.items():
        if FOLDER not in content:
            own = variable if content == _KEY else CLIENT_KEY  # a variable with more than a key may not repeat itself
            lines.append(f"export {variable}={_shell(content, _key(own, needs_key))}")
    if agent.wrap:
        options = " ".join(map(shlex.quote, found.options))
        lines.append(f'{agent.program}() {{ command {agent.program} {options} "$@"; }}')
    return lines


def exports(url: str, needs_key: bool) -> list[str]:
    """Return one line for each agent that can be pointed at the proxy at ``url``, for people to read. Pure."""
    at = Address(reachable(url), _KEY)
    more = " and one of this proxy's api-keys as its key" if needs_key else ""
    port = url.rpartition(":")[2]
    elsewhere = "" if port == str(TcpListen().port) else f" --port {port}"
    lines = []
    for name, agent in AGENTS.items():
        found = agent.point(at, {})
        variables = {variable: content for variable, content in found.variables.items() if content != _KEY}
        if agent.wrap or (agent.program and len(variables) != 1) or any(_KEY in each for each in variables.values()):
            lines.append(f'{agent.title:<12} eval "$(ampmap env {name}{elsewhere})"')
        else:
            ((variable, content),) = variables.items()
            lines.append(f"{agent.title:<12} export {variable}={content}{more}")
    return lines


def reachable(url: str) -> str:
    """Return a URL by which this machine reaches the proxy: loopback, if the proxy listens at every address."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _shell(content: str, key: str) -> str:
    return key.join(shlex.quote(part) if part else "" for part in content.split(_KEY))


def _key(variable: str, needs_key: bool) -> str:
    """Return a key, because some agents do not start without one: the proxy's, or any, which the proxy drops."""
    return f'"${{{CLIENT_KEY}:-set-{CLIENT_KEY}}}"' if needs_key else f'"${{{variable}:-ampmap}}"'
