"""``ampmap serve``: the proxy itself, until a signal ends it."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from contextlib import suppress
from functools import partial
from importlib.util import find_spec

import anyio

from ..net.systemd import inherited, listens_of, service_manager
from ..proxy.reload import Source
from ..records.log_format import set_up
from ..routing.snapshot import compile_snapshot
from ..server import Server, serve
from .banner import banner
from .occupant import reason
from .options import complain, load_found, load_from
from .process import mute, raise_file_limit, served


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
    set_up(loaded.settings.log)
    raise_file_limit()
    with suppress(OSError):  # a full disk, or nobody to read it: no reason not to serve
        complain((*loaded.warnings, *warnings))

    def announce(server: Server) -> None:
        gc.freeze()  # what a start makes stays: walking through it would hold streams up
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


def _cannot(exc: OSError) -> int:
    print(f"ampmap: {reason(exc)}", file=sys.stderr)
    return 1
