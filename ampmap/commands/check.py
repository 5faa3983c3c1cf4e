"""``ampmap check``: errors and warnings of a configuration together, in the order of its files."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from ..config.file import Loaded, UnusableFiles
from ..errors import Complaint, Place
from ..escaping import counted
from ..routing.lint import unreachable
from ..routing.logins import login_warnings
from ..routing.snapshot import compile_snapshot
from ..settings import Settings
from .options import complain, load


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs, and add the command's own options."""
    parser.add_argument("--strict", action="store_true", help="exit with 1 when there are warnings")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    found, settings = check(partial(load, options))
    complain(found)
    if any(complaint.severity == "error" for complaint in found):
        return 2
    where = settings.source or "no configuration file: the built-in defaults"
    numbers = {"provider": len(settings.providers), "rule": len(settings.amp.rules), "warning": len(found)}
    counts = ", ".join(counted(number, noun) for noun, number in numbers.items())
    print(f"{where}: usable; {counts}")
    return 1 if found and options.strict else 0


def check(load: Callable[[], Loaded]) -> tuple[list[Complaint], Settings]:
    """Return what is wrong with a configuration, and the settings that could be read from it. Blocks as ``load`` does.

    Errors: ConfigError where nothing could be read.
    """
    try:
        loaded = load()
        settings, found = loaded.settings, list(loaded.warnings)
    except UnusableFiles as exc:
        if exc.settings is None:
            raise
        settings, found = exc.settings, list(exc.complaints)
    snapshot, warnings = compile_snapshot(settings)
    found += [*warnings, *unreachable(snapshot), *login_warnings(settings)]
    has_errors = any(complaint.severity == "error" for complaint in found)
    if not settings.providers and not has_errors:
        what = "no provider is configured, so that nothing can be served but by Amp; write one under 'providers:'"
        found.append(Complaint(what, severity="warning"))
    return sorted(found, key=lambda complaint: complaint.place or Place("", 0)), settings
