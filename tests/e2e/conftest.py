"""These tests run programs from the npm registry: only when asked for, by ``AMPMAP_E2E=1`` or by their path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_HERE = Path(__file__).resolve().parent
TABLE = pytest.StashKey[list[tuple[str, ...]]]()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this directory out of a run of all tests."""
    named = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    asked_for = os.environ.get("AMPMAP_E2E") == "1" or any(path.is_relative_to(_HERE) for path in named)
    return None if asked_for else True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was seen of each client in each scenario."""
    rows = config.stash.get(TABLE, [])
    if not rows:
        return
    rows = [("client", "scenario", "s", "asked for", "was sent as", "what was seen"), *sorted(rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("the real CLI")
    for row in rows:
        terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
