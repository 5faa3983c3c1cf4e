"""The soak itself, for a few seconds: it measures, it judges, it writes, and it repeats what it did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the soak reads /proc: it runs on Linux only")
def test_a_short_soak_finds_nothing_and_writes_what_it_was_like(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "soak",
        "--seconds",
        "6",
        "--seed",
        "7",
        "--megabytes",
        "1",
        "--out",
        str(tmp_path),
    ]
    env = {**os.environ, "PYTHONPATH": str(TESTS)}

    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr
    told = json.loads((tmp_path / "soak.json").read_text())
    assert not told["findings"]
    assert sum(told["kinds"].values()) == sum(told["outcomes"].values()) > 50
    assert (tmp_path / "soak.svg").read_text().startswith("<svg")
    assert "| open files |" in (tmp_path / "soak.md").read_text()
