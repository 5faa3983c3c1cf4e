"""``ampmap run``: an agent, pointed at a proxy of its own that runs in this process.

The main thread waits for the agent and for signals; the proxy runs in a thread of its own, until the agent has ended.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ..amp.secrets import AmpSecret
from ..errors import Complaint, ConfigError
from ..formats.registry import FORMATS
from ..proxy.reload import Source
from ..records.log_format import set_up
from ..routing.snapshot import compile_snapshot
from ..server import Server, running
from ..settings import Settings
from .agents import AGENTS, FOLDER, PROGRAMS, RUN, Address, SetUp
from .child import guarded
from .env import past_proxies, reachable, takes_login
from .options import complain, load_found, load_from, no_provider
from .process import end_within
from .summary import Summary

HELP = """\
Start an agent that is pointed at a proxy of its own: on a free port, in this
process, with your configuration, which is followed as it is saved. No file of
the agent is changed. At the end a table on standard error says what it asked for
and who served it. The proxy's log is ~/.local/state/ampmap/run.log, or
$XDG_STATE_HOME/ampmap/run.log.

examples:
  ampmap run claude
  ampmap run codex -- exec 'say hi'
  ampmap run --as PROTOCOL -- python my_agent.py

exit codes: the agent's own, or 128 + n if signal n ended it; 1 the proxy could
not listen; 2 a configuration or command line that cannot be used; 126 the agent
cannot be started; 127 it is not installed
"""

_LEAVING_S = 5.0  # for the proxy's end, beside the drain
_LAST_S = 2.0  # for threads that still run at the end
_LOG_BYTES = 10_000_000  # a longer log of earlier runs is renamed to run.log.1

NOT_STARTED, NOT_INSTALLED = 126, 127  # as shells have it


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs, and add the command's own options; what stands behind ``--`` comes as ``options.rest``."""
    parser.add_argument("agent", nargs="?", metavar="AGENT", help=f"one of: {', '.join(RUN)}")
    parser.add_argument("--as", dest="protocol", choices=tuple(FORMATS), help="point any program that asks so")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    title, program, arguments = _program(options)
    options.host, options.port = options.host or "127.0.0.1", options.port or 0
    path, loaded = load_found(options)
    if not loaded.settings.providers and options.agent != "amp":
        raise ConfigError(Complaint(no_provider()))
    found = shutil.which(program)
    if found is None:
        hint = f"; install it: {AGENTS[options.agent].install}" if options.agent else ""
        print(f"ampmap: {program} is not installed, or not on PATH{hint}", file=sys.stderr)
        return NOT_INSTALLED
    _, warnings = compile_snapshot(loaded.settings)
    complain((*loaded.warnings, *warnings))
    point = AGENTS[options.agent].point if options.agent else PROGRAMS[options.protocol]
    summary = Summary()
    with ExitStack() as stack:
        child = stack.enter_context(guarded())  # before there are threads, which would take the signals
        log, log_path = _open_log()
        _log_to(log, loaded.settings)
        portal = stack.enter_context(start_blocking_portal("asyncio", {"use_uvloop": find_spec("uvloop") is not None}))
        source = Source(path, partial(load_from, path, options), loaded.files, partial(_log_to, log)) if path else None
        context = portal.wrap_async_context_manager(running(loaded.settings, source=source))
        try:
            proxy = stack.enter_context(context)
        except OSError as exc:
            print(f"ampmap: {exc.strerror or exc}", file=sys.stderr)
            return 1
        proxy.service.journal.listeners.append(summary.add)
        pointed = point(_address(reachable(proxy.url), loaded.settings), os.environ)
        folder = stack.enter_context(_folder(pointed))
        given = [option.replace(FOLDER, folder) for option in pointed.options]
        if options.agent and arguments[:1] and arguments[0] in AGENTS[options.agent].subcommands:
            given = []
        try:
            code = child.run(found, [*given, *arguments], _environment(pointed, folder))
        except OSError as exc:
            print(f"ampmap: cannot start {found}: {exc.strerror}", file=sys.stderr)
            return NOT_STARTED
        drain_s = proxy.service.snapshot.settings.timeouts.drain_s
        end_within(drain_s + _LEAVING_S, code)
        child.release(partial(_cut, portal, proxy))
    _print([*summary.lines(title), *_credits(proxy, options.agent == "amp"), f"  log: {log_path}"])
    end_within(_LAST_S, code)
    return code


def _cut(portal: BlockingPortal, proxy: Server) -> None:
    with suppress(RuntimeError):  # the proxy has ended
        portal.start_task_soon(proxy.cut)


def _credits(proxy: Server, is_amp: bool) -> list[str]:
    journal = proxy.service.journal
    if not (journal.paid or journal.avoided or is_amp):
        return []
    return [f"  Amp credits: {journal.paid} paid, {journal.avoided} avoided"]


def _print(lines: list[str]) -> None:
    with suppress(OSError):  # if nobody reads it, the agent has not failed
        print("\n".join(lines), file=sys.stderr, flush=True)


def _program(options: argparse.Namespace) -> tuple[str, str, list[str]]:
    """Return the title, the program and its arguments by the command line. Raises :class:`ConfigError`."""
    if options.protocol is None and options.agent in RUN:
        agent = AGENTS[options.agent]
        return agent.title, agent.program, options.rest
    if options.agent is None and options.protocol is not None and options.rest:
        return options.rest[0], options.rest[0], options.rest[1:]
    name = options.agent or (options.rest[0] if options.rest else "PROGRAM")
    agents = ", ".join(RUN)
    what = f"ampmap run knows the agents {agents}; any other program: ampmap run --as PROTOCOL -- {shlex.quote(name)}"
    raise ConfigError(Complaint(what))


def _address(url: str, settings: Settings) -> Address:
    key = settings.api_keys[0] if settings.api_keys else "ampmap"
    amp_key = ""
    if settings.api_keys or settings.amp.api_key:  # the proxy puts Amp's own in its place
        amp_key = key
    elif settings.amp.origin is not None:  # Amp's login is kept for ampcode.com, not for this address
        amp_key = AmpSecret(os.environ).key_for(settings.amp.origin)
    return Address(url, key, takes_login(settings), amp_key)


def _environment(pointed: SetUp, folder: str) -> dict[str, str]:
    """Return the agent's environment: this process's, with what points it here."""
    env = {name: content for name, content in os.environ.items() if name not in pointed.unset}
    env.update({name: content.replace(FOLDER, folder) for name, content in pointed.variables.items()})
    env.update(past_proxies(env))
    return env


@contextmanager
def _folder(pointed: SetUp) -> Iterator[str]:
    """Make the agent's folder, which only this user can read, if it needs one; remove it at the end."""
    if not pointed.files:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="ampmap-", ignore_cleanup_errors=True) as folder:
        for name, content in pointed.files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, "utf-8")
        for name, target in pointed.links.items():
            if not os.path.lexists(target):
                os.mkdir(target)  # otherwise the agent's files would be removed with this folder
            Path(folder, name).symlink_to(target)
        try:
            yield folder
        finally:
            _move_back(folder, pointed)


def _move_back(folder: str, pointed: SetUp) -> None:
    """Move files that the agent wrote in the place of links, or beside them, to the user's own folders."""
    for here, there in {(Path(folder, name).parent, Path(target).parent) for name, target in pointed.links.items()}:
        for path in here.iterdir():
            if not path.is_symlink() and str(path.relative_to(folder)) not in pointed.files:
                with suppress(OSError):
                    shutil.move(path, there / path.name)


def _open_log() -> tuple[int, str]:
    """Open the log to append to it; only this user can read it. If it cannot be written, open the null device."""
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        path = Path(state if os.path.isabs(state) else Path.home() / ".local" / "state", "ampmap", "run.log")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), str(path)
    except (OSError, RuntimeError) as exc:  # RuntimeError: there is no home
        return os.open(os.devnull, os.O_WRONLY), f"none, it cannot be written ({exc})"


def _log_to(descriptor: int, settings: Settings) -> None:
    """Send ampmap's log and that of libraries there, so that none of it appears between the agent's lines."""
    set_up(settings.log, descriptor)
    logging.getLogger().handlers[:] = logging.getLogger("ampmap").handlers
