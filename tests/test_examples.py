"""What lies in examples/ is what users copy: it has to work as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ampmap
from ampmap.commands.main import main

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_example_configuration_has_no_fault() -> None:
    assert 0 == main(["check", "--strict", "--config", str(EXAMPLES / "ampmap.yaml")])


def test_the_example_test_passes_in_a_pytest_that_knows_nothing_else() -> None:
    arguments = ["-q", "-p", "no:cacheprovider", "-W", "error", "-c", "/dev/null", "--rootdir", str(EXAMPLES)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, str(EXAMPLES / "test_with_ampmap.py")],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_every_public_name_can_be_imported_and_no_other() -> None:
    assert all(getattr(ampmap, name) is not None for name in ampmap.__all__)
    assert sorted(ampmap.__all__) == list(ampmap.__all__)
    assert not hasattr(ampmap, "nothing")
