"""What commands share: common options, the configuration that is loaded with them, and complaints on stderr."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from ..config import file as configfile
from ..config.file import LOAD_S, Loaded, overdue
from ..config.presets import PRESETS
from ..errors import Complaint, ConfigError
from ..escaping import printable_lines
from ..net.address import is_loopback
from ..settings import Listen, LogFormat, Settings, TcpListen
from ..threads import Overdue, call_within


def add_common(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Add the options that may stand before or after the command; the later one wins."""
    parser.add_argument("--config", metavar="PATH", default=default, help="a YAML file, or a directory of them")
    parser.add_argument("--host", default=default, help="listen on this address instead")
    parser.add_argument("--port", type=_port, default=default, help="listen on this port instead")
    parser.add_argument("--log-format", choices=get_args(LogFormat), default=default)
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default=default)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write a number from 0 to 65535")
    return int(text)


def no_provider() -> str:
    """Return the complaint that there is no provider, with the way out."""
    keys = ", ".join(preset.key_env for preset in PRESETS.values() if preset.from_env)
    return (
        f"no provider is configured, so nothing can be served: set a key in the environment ({keys}) or start a local "
        "server; `ampmap init` then writes a configuration for what it finds"
    )


def load(options: argparse.Namespace) -> Loaded:
    """Read the configuration and lay the command line's options over it. Errors: ConfigError, also after LOAD_S."""
    return load_found(options)[1]


def load_found(options: argparse.Namespace, handed_over: tuple[Listen, ...] = ()) -> tuple[Path | None, Loaded]:
    """Do as :func:`load`; also return the configuration's path. ``handed_over`` is that of :func:`load_from`."""
    path: Path | None = None

    def load() -> Loaded:
        nonlocal path
        path = configfile.find_config(options.config, os.environ)
        return load_from(path, options, handed_over)

    try:
        loaded = call_within(LOAD_S, load)
    except Overdue:
        raise overdue(path or Path(options.config or ""), LOAD_S) from None
    return path, loaded


def load_from(path: Path | None, options: argparse.Namespace, handed_over: tuple[Listen, ...] = ()) -> Loaded:
    """Read the configuration at ``path``, or the defaults; sockets ``handed_over`` replace its addresses. Blocks."""
    loaded = configfile.load(path, os.environ) if path else configfile.defaults(os.environ)
    settings = loaded.settings
    if path is not None:
        settings = dataclasses.replace(settings, source=str(path.absolute()))  # `explain` compares it with a proxy's
    if handed_over:
        _refuse_handed_over(settings, handed_over)
        settings = dataclasses.replace(settings, listen=handed_over)
    elif options.host is not None or options.port is not None:
        first = next((at for at in settings.listen if isinstance(at, TcpListen)), TcpListen())
        host, port = options.host, options.port
        listen = TcpListen(host=first.host if host is None else host, port=first.port if port is None else port)
        _refuse_strangers(settings, listen)
        settings = dataclasses.replace(settings, listen=(listen,))
    log = settings.log
    log = dataclasses.replace(log, format=options.log_format or log.format, level=options.log_level or log.level)
    return dataclasses.replace(loaded, settings=dataclasses.replace(settings, log=log))


def _refuse_strangers(settings: Settings, listen: TcpListen) -> None:
    if not (settings.api_keys or settings.allow_open_access or is_loopback(listen.host)):
        what = f"--host {listen.host}: others could use this proxy; set api-keys, or 'allow-open-access: true'"
        raise ConfigError(Complaint(what))


def _refuse_handed_over(settings: Settings, listens: tuple[Listen, ...]) -> None:
    """Refuse sockets of systemd that are open to strangers, as addresses in the configuration would be refused."""
    found = [what for what in map(configfile.open_to_strangers, listens) if what]
    if found and not (settings.api_keys or settings.allow_open_access):
        raise ConfigError(*(Complaint(f"handed over by LISTEN_FDS: {what}") for what in found))


def complain(complaints: Sequence[Complaint]) -> None:
    """Print errors and warnings to standard error, each with its place."""
    for complaint in complaints:
        word = "" if complaint.severity == "error" else "warning: "
        where = f"{complaint.place}: " if complaint.place else ""
        print(printable_lines(f"{where}{word}{complaint.what}"), file=sys.stderr)
