"""``ampmap env``: lines of shell that point agents at the proxy of this configuration."""

from __future__ import annotations

import argparse

from ..errors import Complaint, ConfigError
from ..settings import TcpListen
from .agents import POINTED, env_lines
from .options import load


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs, and add the command's own options."""
    parser.add_argument("agent", nargs="?", choices=POINTED)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    settings = load(options).settings
    listen = next((at for at in settings.listen if isinstance(at, TcpListen)), None)
    if listen is None:
        raise ConfigError(Complaint("this proxy listens on unix sockets only, which no agent can be pointed at"))
    print("\n".join(env_lines(options.agent, f"http://{listen}", bool(settings.api_keys))))
    return 0
