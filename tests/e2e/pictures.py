"""Programs that draw pictures of agents at work, where there is no network but loopback."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from .agents import AGENTS
from .clients import namespace


def draw(program: str, agents: Iterable[str], drawn: Callable[[Path, dict[str, tuple[str, ...]]], None]) -> None:
    """Install the agents, then run the program ``python -m PROGRAM FOLDER`` once more in a network namespace.

    There it calls ``drawn`` with the folder for the pictures and with each agent's command.
    """
    folder = Path(sys.argv[1]).resolve()
    if len(sys.argv) > 2:
        drawn(folder, pickle.loads(Path(sys.argv[2]).read_bytes()))
        return
    with tempfile.TemporaryDirectory(prefix="ampmap-e2e-") as place:
        found = Path(place, "commands")
        found.write_bytes(pickle.dumps({name: AGENTS[name].command() for name in agents}))
        subprocess.run([*namespace(), sys.executable, "-m", program, str(folder), str(found)], check=True)
