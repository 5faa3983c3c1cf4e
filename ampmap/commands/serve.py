"""``ampmap serve``: runs the proxy until a signal ends it."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from contextlib import suppress
from functools import partial
from importlib.util import find_spec

import anyio

from ..config.file import LOAD_S
from ..errors import Complaint, ConfigError
from ..files import open_to_append
from ..net.systemd import inherited, listens_of, service_manager
from ..proxy.reload import Source
from ..records.log_format import set_up
from ..routing.snapshot import compile_snapshot
from ..server import Server, serve
from ..threads import Overdue, call_within
from .banner import banner
from .occupant import reason
from .options import complain, load_found, load_from, no_provider
from .process import mute, raise_file_limit, served

HELP = """\
Run the proxy until it is ended by TERM or INT (Ctrl-C), which let replies under
way finish; a second one cuts them. HUP reads the configuration again, which is
followed as it is saved anyway, and opens log.file anew. `ampmap run AGENT`
needs no `serve`.

examples:
  ampmap serve
  ampmap serve --config my.yaml --port 9000

exit codes: 0 ended by a signal; 1 it could not listen; 2 a configuration that
cannot be used
"""


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs; the command has no options of its own."""
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    manager = service_manager(os.environ)
    try:
        sockets = inherited(os.environ)
    except OSError as exc:
        return _cannot(exc)
    handed_over = listens_of(sockets)
    path, loaded = load_found(options, handed_over)
    source = None
    if path is not None:
        read_again = partial(load_from, path, options, handed_over)
        source = Source(path, read_again, loaded.files, applied=lambda settings: set_up(settings.log))
    _, warnings = compile_snapshot(loaded.settings)
    if loaded.settings.log.file:
        _try_log(loaded.settings.log.file)
    set_up(loaded.settings.log)
    raise_file_limit()
    with suppress(OSError):  # a full disk, or nobody to read it: no reason not to serve
        complain((*loaded.warnings, *warnings))
        if not loaded.settings.providers:
            complain([Complaint(no_provider(), severity="warning")])

    def announce(server: Server) -> None:
        gc.freeze()  # the objects of the start stay: collecting among them would delay streams
        try:
            print(banner(loaded.settings, server.addresses), flush=True)
        except OSError:  # a full disk, or nobody to read it: no reason not to serve
            mute()

    try:
        serving = partial(serve, loaded.settings, sockets=sockets or None, source=source, on_ready=announce)
        uvloop = find_spec("uvloop") is not None  # the extra of that name
        anyio.run(served, partial(serving, manager=manager), backend_options={"use_uvloop": uvloop})
    except OSError as exc:
        return _cannot(exc)
    return 0


def _try_log(file: str) -> None:
    """Open the log's file once. Errors: ConfigError where it cannot be written."""
    try:
        os.close(call_within(LOAD_S, partial(open_to_append, file)))
    except (OSError, Overdue) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else f"it did not open within {LOAD_S:g} s"
        what = f"log.file is {file}, which cannot be written: {reason}; correct that, or name another file"
        raise ConfigError(Complaint(what)) from exc


def _cannot(exc: OSError) -> int:
    print(f"ampmap: {reason(exc)}", file=sys.stderr)
    return 1
