"""``ampmap doctor``: looks at everything that has to fit together, and names the way out of each fault."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from ..errors import ConfigError
from ..escaping import counted
from ..http.dialer import Dialer
from ..http.pool import Pool
from ..records.human_format import wants_colour
from ..routing.snapshot import Snapshot, compile_snapshot
from ..settings import Listen, Settings, TcpListen
from ..threads import Overdue, run_within
from .agent_checks import check_agents
from .amp_checks import check_program, check_upstream
from .faults import find_faults
from .findings import Finding, as_dict, as_lines, is_well
from .occupant import ask_health, who_listens
from .options import load
from .provider_checks import Checked, check_provider, check_rules

HELP = """\
Look at everything that has to fit together, and say the way out of each fault:
the configuration, the port, each provider (reached, its certificate, its key,
its formats), rules that nothing serves, Amp's upstream, token and client, and
the settings of each agent. Providers are asked for their lists of models and
nothing that is paid for; Amp is asked whose token it is. Nothing is changed.

example:
  ampmap doctor

exit codes: 0 all is well, with or without notes; 1 there is a fault
"""

_THREAD_S = 10.0  # for blocking calls: files of agents, a port of this machine

T = TypeVar("T")


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs, and add the command's own options."""
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    logging.getLogger("ampmap").addHandler(logging.NullHandler())  # the findings say what is wrong
    findings, settings = _configuration(options)
    if settings is not None:
        findings += anyio.run(examine, settings, dict(os.environ), Path.cwd())
    if options.json:
        print(json.dumps({**as_dict(findings), "exit_code": int(not is_well(findings))}, indent=2))
    else:
        colour = sys.stdout.isatty() and wants_colour(os.environ)
        print("\n".join(as_lines(findings, sys.stdout.encoding or "ascii", colour=colour)))
    return 0 if is_well(findings) else 1


def _configuration(options: argparse.Namespace) -> tuple[list[Finding], Settings | None]:
    area = "configuration"
    try:
        complaints, settings = find_faults(partial(load, options))
    except ConfigError as exc:
        return [Finding(area, "bad", str(each), "`ampmap check` after a change") for each in exc.complaints], None
    findings = [
        Finding(area, "bad" if each.severity == "error" else "note", str(each)) for each in complaints
    ]  # fmt: skip
    where = settings.source or "no file: the built-in defaults, and providers from the environment"
    numbers = f"{counted(len(settings.providers), 'provider')}, {counted(len(settings.amp.rules), 'rule')}"
    if is_well(findings):
        findings.insert(0, Finding(area, "well", f"{where}: {numbers}"))
    return findings, settings


async def examine(settings: Settings, env: Mapping[str, str], directory: Path) -> list[Finding]:
    """Look at everything except the file itself, in parallel; return the findings in a fixed order.

    ``directory`` is where agents would be started. Takes a minute at most; cancelling it leaves nothing behind.
    """
    snapshot, _ = compile_snapshot(settings)
    pool = Pool(Dialer(env, settings.limits, settings.timeouts.connect_s), settings.limits, settings.timeouts)
    listens: dict[Listen, list[Finding]] = {}
    checked: dict[str, Checked] = {}
    rest: dict[str, list[Finding]] = {}

    async def listen(at: Listen) -> None:
        listens[at] = await _in_thread(partial(_port, at, snapshot), "listen", str(at))

    async def provider(name: str) -> None:
        found = next(each for each in settings.providers if each.name == name)
        checked[name] = await check_provider(pool, found)

    async def amp() -> None:
        rest["amp"] = await check_upstream(pool, settings.amp, env)

    async def machine() -> None:
        rest["program"] = await _in_thread(lambda: list(check_program(env)), "Amp", "its program")
        rest["agents"] = await _in_thread(lambda: check_agents(settings, env, directory), "agents", "their settings")

    try:
        async with anyio.create_task_group() as group:
            for each in settings.listen:
                group.start_soon(listen, each)
            for one in settings.providers:
                group.start_soon(provider, one.name)
            group.start_soon(amp)
            group.start_soon(machine)
    finally:
        pool.close()
    return [
        *(finding for each in settings.listen for finding in listens[each]),
        *(finding for each in settings.providers for finding in checked[each.name].findings),
        *check_rules(snapshot, checked),
        *rest["amp"],
        *rest["program"],
        *rest["agents"],
    ]


async def _in_thread(look: Callable[[], list[Finding]], area: str, what: str) -> list[Finding]:
    try:
        return await run_within(_THREAD_S, look)
    except Overdue:
        return [Finding(area, "bad", f"{what}: not looked at within {_THREAD_S:g} s", "look for a disk that hangs")]


def _port(at: Listen, snapshot: Snapshot) -> list[Finding]:
    if isinstance(at, TcpListen) and at.port == 0:
        return [Finding("listen", "well", f"{at}: any free port")]
    words = ask_health(at)
    if words is None:
        what = f"{at}: nobody listens there now"
        return [Finding("listen", "note", what, "`ampmap serve`; `ampmap run AGENT` needs none")]
    if not words:
        who, _, remedy = who_listens(at).partition("; ")
        return [Finding("listen", "bad", f"{at}: {who}", remedy)]
    if snapshot.digest in words:
        return [Finding("listen", "well", f"{at}: an ampmap with this configuration listens there")]
    what = f"{at}: an ampmap listens there, but with another configuration, or without the last change of this one"
    return [
        Finding("listen", "bad", what, "its log, and `ampmap check`, say why; or stop it, and start it with this one")
    ]
