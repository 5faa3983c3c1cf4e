"""Completion files for bash, zsh and fish, made from the parser when a wheel is built.

The wheel leaves this module out. Hatchling loads it by its path, so it can import nothing relatively.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import shtab
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Where each shell looks below a prefix, /usr or a virtual environment.
FILES = {
    "bash": "share/bash-completion/completions/ampmap",
    "zsh": "share/zsh/site-functions/_ampmap",
    "fish": "share/fish/vendor_completions.d/ampmap.fish",
}
_PATHS = {"config", "file", "request"}  # arguments that take a file's name


class Completions(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the files to a wheel; an editable installation gets none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        self._folder = tempfile.TemporaryDirectory()
        for shell, text in completions().items():
            path = Path(self._folder.name, shell)
            path.write_text(text, "utf-8")
            build_data["shared_data"][str(path)] = FILES[shell]

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()


def completions() -> dict[str, str]:
    """Return the text of each shell's file."""
    main = import_module("ampmap.commands.main")
    found = {}
    for shell in FILES:
        parser = main.parser_for(tuple(main.COMMANDS))
        _mark_files(parser)
        found[shell] = shtab.complete(parser, shell)
    return found


def _mark_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if action.dest in _PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _mark_files(command)
