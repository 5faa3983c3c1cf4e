"""Garbage collection: what a start makes is left out of it, so that no stream waits for a walk through it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kit import GUARD_S

WATCHED = """
import gc, os, signal, sys, threading, time
from ampmap.__main__ import main

assert gc.isenabled()
imported = gc.get_freeze_count()
assert imported > 10 * len(gc.get_objects()), imported

def see():
    while gc.get_freeze_count() <= imported:
        time.sleep(0.001)
    collected.append(len(gc.get_objects()))
    os.kill(os.getpid(), signal.SIGTERM)

collected = []
threading.Thread(target=see, daemon=True).start()
code = main(sys.argv[1:])
assert collected[0] < gc.get_freeze_count() / 10, collected
sys.exit(code)
"""


def test_what_is_there_when_the_proxy_listens_is_walked_through_no_more(tmp_path: Path) -> None:
    config = tmp_path / "ampmap.yaml"
    config.write_text("listen: 127.0.0.1:0\n")

    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "--config", str(config)], capture_output=True, text=True, timeout=GUARD_S
    )

    assert (0, "") == (done.returncode, done.stderr if done.returncode else "")
