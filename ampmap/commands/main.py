"""The command line: arguments and environment in, an exit code out.

Each command has a module: ``add`` gives its parser the command's own options and the function to run. The module of a
command is imported when its name is among the arguments, except for three that are imported at once.

Exit codes: 0 done; 1 warnings under ``check --strict``, or a proxy that could not listen; 2 a configuration or a
command line that can't be used; ``explain`` adds 3 for a request that would spend credits, 4 for one that nobody
serves or that is refused, and 5 for one that is covered but cannot be served now.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from .._version import __version__
from ..errors import ConfigError

# `init` and `rules` write configurations: imported for the first time on a full disk, they could be left half compiled.
from . import init as init
from . import rules as rules
from . import serve
from .options import add_common, complain
from .process import arguments, mute, obey_signals, set_up_streams

_COMMANDS = {  # name: module and help
    "serve": ("serve", "run the proxy (what happens without a command)"),
    "check": ("check", "read the configuration and say what is wrong with it"),
    "explain": ("explain", "say what would happen to a model, and why"),
    "map": ("rules", "list the rules in the file, add one, remove one"),
    "init": ("init", "write a commented starter for what is found here"),
    "env": ("env", "print lines that point an agent here, for `eval`"),
    "demo": ("demo", "show the main job on stand-in providers"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Prints what is wrong to standard error."""
    set_up_streams()
    given = arguments() if argv is None else argv
    options = parser_for(given).parse_args(given)
    obey_signals(hang_up=options.run is not serve.run)
    try:
        return int(options.run(options))
    except ConfigError as exc:
        complain(exc.complaints)
        return 2
    except KeyboardInterrupt:
        return 130
    except UnicodeEncodeError:
        print("ampmap: an argument is not UTF-8; write it as UTF-8", file=sys.stderr)
        return 2
    except BrokenPipeError:
        mute()
        return 1


def parser_for(given: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for these arguments: commands that are not among them have no options of their own in it."""
    common = argparse.ArgumentParser(add_help=False)
    add_common(common, argparse.SUPPRESS)
    parser = argparse.ArgumentParser(
        prog="ampmap", description="A local proxy that maps the models coding agents ask for to models you can serve."
    )
    parser.add_argument("--version", action="version", version=f"ampmap {__version__}")
    add_common(parser, None)
    parser.set_defaults(run=serve.run)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, (module, summary) in _COMMANDS.items():
        command = commands.add_parser(name, parents=[common], help=summary)
        if name in given:
            import_module(f".{module}", __package__).add(command, common)
    return parser
