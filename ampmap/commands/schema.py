"""``ampmap schema``: a JSON Schema of the configuration, for editors."""

from __future__ import annotations

import argparse
import json
import os
from contextlib import suppress
from pathlib import Path

from ..config.keys import schema

HELP = """\
Print a JSON Schema (2020-12) of the configuration, made from the tables that
read it. Editors that use yaml-language-server complete and check by it a file
whose first line is

  # yaml-language-server: $schema=./ampmap.schema.json

`ampmap init` writes that line and the schema beside the configuration; after an
upgrade, this brings it up to date.

example:
  ampmap schema > ~/.config/ampmap/ampmap.schema.json

exit codes: 0
"""

NAME = "ampmap.schema.json"
MODELINE = f"# yaml-language-server: $schema=./{NAME}\n"


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs; the command has no options of its own."""
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    print(text(), end="")
    return 0


def text() -> str:
    """Return the schema as a file holds it."""
    return json.dumps(schema(), indent=1) + "\n"


def write_beside(config: Path) -> bool:
    """Write the schema into the configuration's directory, by atomic replace; False where that fails. Blocks."""
    part = config.parent / f".{NAME}.part"
    with suppress(OSError):
        part.write_text(text())
        os.replace(part, config.parent / NAME)
        return True
    return False
