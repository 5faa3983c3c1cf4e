"""The command line: arguments and environment in, an exit code out.

Each command has a module: ``add`` gives its parser the command's own options and the function to run, ``HELP`` says
what the command does, with an example and its exit codes. A command's module is imported only if its name is among the
arguments; ``serve``, ``init`` and ``rules`` are always imported.
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

COMMANDS = {  # name: module and help
    "serve": ("serve", "run the proxy (what happens without a command)"),
    "run": ("run", "start an agent that is pointed at a proxy of its own"),
    "init": ("init", "write a configuration for the keys and local servers that are found"),
    "check": ("check", "read the configuration and say what is wrong with it"),
    "doctor": ("doctor", "look for what keeps agents, this proxy and providers apart, and say the way out"),
    "explain": ("explain", "say what would happen to a model, and why"),
    "replay": ("replay", "take a recorded log through the configuration and say what would change"),
    "map": ("rules", "list the rules in the file, add one, remove one"),
    "env": ("env", "print lines that point an agent here, for `eval`"),
    "schema": ("schema", "print a JSON Schema of the configuration"),
    "demo": ("demo", "show the main job on stand-in providers"),
}

_HELP = """\
Coding agents ask for models by names that are fixed inside them. ampmap is a
local proxy that serves these names by models that you have.

first steps:
  ampmap init          finds your keys and local servers, writes a configuration
  ampmap run claude    starts Claude Code, or another agent, through ampmap
  ampmap help run      says more about a command
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Errors are printed to standard error."""
    set_up_streams()
    given, rest = _without_rest(arguments() if argv is None else argv)
    parser = parser_for(given)
    options, unknown = parser.parse_known_args(given)
    if unknown:
        hint = "; arguments of the agent stand behind --: ampmap run AGENT -- ARGUMENTS" if "run" in given else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    options.rest = rest
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


def _without_rest(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split off the arguments behind ``--``, which are for the program that ``run`` starts."""
    command = next((argument for argument in given if argument in COMMANDS), "")
    if command != "run" or "--" not in given:
        return list(given), []
    end = list(given).index("--")
    return list(given[:end]), list(given[end + 1 :])


def parser_for(given: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for these arguments. Commands that are not among them get no options in it."""
    common = argparse.ArgumentParser(add_help=False)
    add_common(common, argparse.SUPPRESS)
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="ampmap", description=_HELP, formatter_class=as_written)
    parser.add_argument("-V", "--version", action="version", version=f"ampmap {__version__}")
    add_common(parser, None)
    parser.set_defaults(run=serve.run)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, (module_name, summary) in COMMANDS.items():
        command = commands.add_parser(name, parents=[common], help=summary, formatter_class=as_written)
        if name in given:
            module = import_module(f".{module_name}", __package__)
            command.description = module.HELP
            module.add(command, common)
    helper = commands.add_parser("help", help="say more about a command")
    helper.add_argument("command", nargs="?", choices=tuple(COMMANDS), metavar="COMMAND")
    helper.set_defaults(run=_help)
    return parser


def _help(options: argparse.Namespace) -> int:
    given = [options.command, "--help"] if options.command else ["--help"]
    parser_for(given).parse_args(given)
    return 0
