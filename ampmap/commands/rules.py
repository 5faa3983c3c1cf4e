"""``ampmap map``: lists the rules in the configuration's file, adds one, removes one."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..config.file import find_config
from ..config.rule_file import map_add, map_list, map_remove
from ..errors import Complaint, ConfigError
from ..escaping import printable_lines
from ..routing.reasons import shown_rule

HELP = """\
List, add and remove rules in the configuration file. Its comments and its order
stay as they are.

examples:
  ampmap map add claude-opus-4-8 qwen3-coder
  ampmap map remove claude-opus-4-8
  ampmap map list

exit codes: 0; 2 a file that cannot be edited, or no such rule
"""


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add the three actions, each with what runs."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    action = actions.add_parser("list", parents=[common], help="show the rules in the order of the file")
    action.set_defaults(run=_list)
    action = actions.add_parser("add", parents=[common], help="map FROM to TO; a rule from FROM gets the new target")
    action.add_argument("source", metavar="FROM")
    action.add_argument("target", metavar="TO")
    action.add_argument("--regex", action="store_true", help="FROM is a pattern, searched in a model's name")
    action.set_defaults(run=_add)
    action = actions.add_parser("remove", parents=[common], help="take the rules from FROM out")
    action.add_argument("source", metavar="FROM")
    action.set_defaults(run=_remove)


def _path(options: argparse.Namespace) -> Path:
    path = find_config(options.config, os.environ)
    if path is None:
        raise ConfigError(Complaint("there is no configuration to edit; `ampmap init` writes one"))
    return path


def _list(options: argparse.Namespace) -> int:
    for rule in map_list(_path(options)):
        print(printable_lines(shown_rule(rule)))
    return 0


def _add(options: argparse.Namespace) -> int:
    if not (options.source.strip() and options.target.strip()):
        raise ConfigError(Complaint("a rule needs both names: ampmap map add FROM TO"))
    print(printable_lines(map_add(_path(options), options.source, options.target, options.regex)))
    return 0


def _remove(options: argparse.Namespace) -> int:
    print(printable_lines(map_remove(_path(options), options.source)))
    return 0
