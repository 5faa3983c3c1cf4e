"""``ampmap check``: prints the errors and warnings of a configuration, in the order of its files."""

from __future__ import annotations

import argparse
from functools import partial

from ..escaping import counted
from . import doctor
from .faults import find_faults
from .options import complain, load

HELP = """\
Read the configuration and print each error and warning with its line.

example:
  ampmap check --strict

exit codes: 0; 1 warnings, under --strict; 2 errors; with --online those of
`ampmap doctor`
"""


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs, and add the command's own options."""
    parser.add_argument("--strict", action="store_true", help="exit with 1 when there are warnings")
    parser.add_argument("--online", action="store_true", help="look at more than the file: the same as `ampmap doctor`")
    parser.set_defaults(run=run, json=False)


def run(options: argparse.Namespace) -> int:
    if options.online:
        return doctor.run(options)
    found, settings = find_faults(partial(load, options))
    complain(found)
    if any(complaint.severity == "error" for complaint in found):
        return 2
    where = settings.source or "no configuration file: the built-in defaults"
    numbers = {"provider": len(settings.providers), "rule": len(settings.amp.rules), "warning": len(found)}
    counts = ", ".join(counted(number, noun) for noun, number in numbers.items())
    print(f"{where}: usable; {counts}")
    return 1 if found and options.strict else 0
